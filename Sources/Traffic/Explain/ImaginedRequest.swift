import Bytes
public import HTTP

/// A request as it would be sent, to be explained.
public struct ImaginedRequest: Sendable {
    /// `GET`, in upper case.
    public let method: String
    /// Lower case, without a port.
    public let host: String
    /// Nil: the caller names none.
    public let port: UInt16?
    /// Path and query; begins with `/`.
    public let target: String
    /// Header fields, in any case.
    public let headers: [(name: String, value: String)]
    /// Whether `headers` are all there were: those of a request that was seen are not kept.
    public let hasAllHeaders: Bool

    /// Makes a request; nil when a part could not be sent so.
    public init?(
        method: String = "GET",
        host: String,
        port: UInt16? = nil,
        target: String = "/",
        headers: [(name: String, value: String)] = [],
        hasAllHeaders: Bool = true
    ) {
        guard method.utf8.allSatisfy(isTokenByte), !method.isEmpty,
            !host.isEmpty, host.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != 0x2F }),
            target.hasPrefix("/"), target.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }),
            headers.allSatisfy({ $0.name.utf8.allSatisfy(isTokenByte) && !$0.name.isEmpty }),
            headers.allSatisfy({ $0.value.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F } })
        else { return nil }
        self.method = method
        self.host = host.lowercased()
        self.port = port
        self.target = target
        self.headers = headers
        self.hasAllHeaders = hasAllHeaders
    }

    /// The path without the query.
    public var path: String {
        String(target.prefix { $0 != "?" })
    }

    /// The head that decisions are made on.
    public var head: RequestHead {
        let head = RequestHead()
        head.set(method: Array(method.utf8).span)
        head.set(target: Array(target.utf8).span)
        let authority = Array((port.map { "\(host):\($0)" } ?? host).utf8)
        head.set(authority: authority.span, hostCount: host.utf8.count, port: port)
        for (name, value) in headers {
            let name = Array(name.utf8)
            head.fields.append(
                FieldName(matching: name.span),
                name: name.span,
                value: Array(value.utf8).span
            )
        }
        return head
    }
}

/// RFC 9110 §5.6.2.
private func isTokenByte(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
    default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
    }
}
