// Application protocols as ALPN names them (RFC 7301), as small values: asking which one was agreed
// on costs no string, so the request path may.

/// A protocol spoken inside a TLS connection.
///
/// In the order of preference: the first one that both ends know is taken.
public enum ApplicationProtocol: UInt8, Sendable, CaseIterable {
    /// HTTP/2 (RFC 9113).
    case http2
    /// HTTP/1.1.
    case http1
    /// Opaque bytes between two sidecars.
    case tcp
    /// The stream between a sidecar and its controller.
    case control

    /// The name as ALPN carries it.
    var name: StaticString {
        switch self {
        case .http2: "h2"
        case .http1: "http/1.1"
        case .tcp: "mesh-tcp/1"
        case .control: "mesh-control/1"
        }
    }

    /// The protocol of that name, if it is one of ours.
    init?(name: UnsafeBufferPointer<UInt8>) {
        for known in Self.allCases {
            let wanted = UnsafeBufferPointer(
                start: known.name.utf8Start,
                count: known.name.utf8CodeUnitCount
            )
            guard !wanted.elementsEqual(name) else {
                self = known
                return
            }
        }
        return nil
    }
}

extension ApplicationProtocol: CustomStringConvertible {
    /// The name as ALPN carries it.
    public var description: String { name.description }
}

/// The application protocols that one end of a connection offers or accepts.
public struct ALPNSet: OptionSet, Sendable, Hashable {
    /// One bit for each `ApplicationProtocol`.
    public let rawValue: UInt8

    /// Bits without a protocol are dropped.
    public init(rawValue: UInt8) {
        self.rawValue = rawValue & ((1 << UInt8(ApplicationProtocol.allCases.count)) - 1)
    }

    /// Only `member`.
    public init(_ member: ApplicationProtocol) { self.init(rawValue: 1 << member.rawValue) }

    /// HTTP/2.
    public static let http2 = ALPNSet(.http2)
    /// HTTP/1.1.
    public static let http1 = ALPNSet(.http1)
    /// Opaque bytes between two sidecars.
    public static let tcp = ALPNSet(.tcp)
    /// The stream between a sidecar and its controller.
    public static let control = ALPNSet(.control)

    /// Whether `member` is offered or accepted.
    public func contains(_ member: ApplicationProtocol) -> Bool {
        contains(ALPNSet(member))
    }

    /// The list as a ClientHello carries it: each name after its length, the preferred one first.
    var wireList: [UInt8] {
        var list: [UInt8] = []
        for member in ApplicationProtocol.allCases where contains(member) {
            list.append(UInt8(member.name.utf8CodeUnitCount))
            member.name.withUTF8Buffer { list.append(contentsOf: $0) }
        }
        return list
    }

    /// Where in a ClientHello's list the protocol stands that we prefer most.
    ///
    /// Nil when none is common or the list is malformed.
    func choose(among offered: UnsafeBufferPointer<UInt8>) -> Range<Int>? {
        var best: (rank: UInt8, range: Range<Int>)?
        var index = 0
        while index < offered.count {
            let start = index + 1
            let end = start + Int(offered[index])
            guard end <= offered.count else { return nil }
            let name = UnsafeBufferPointer(rebasing: offered[start..<end])
            if let found = ApplicationProtocol(name: name), contains(found),
                found.rawValue < best?.rank ?? .max
            {
                best = (found.rawValue, start..<end)
            }
            index = end
        }
        return best?.range
    }
}
