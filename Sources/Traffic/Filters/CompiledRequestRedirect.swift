public import Bytes
public import HTTP
public import MeshModel

/// A route's redirect, compiled.
public struct CompiledRequestRedirect: Sendable {
    /// The status to answer with.
    public let status: Int
    private let scheme: Scheme?
    private let hostname: ContiguousArray<UInt8>
    private let port: UInt16?
    private let path: CompiledPathModifier?

    /// Compiles `redirect` for a route of this match.
    public init(_ redirect: RequestRedirect, match: RouteMatch) {
        status = redirect.status
        scheme = redirect.scheme.map { $0 == "https" ? .https : .http }
        hostname = ContiguousArray((redirect.hostname ?? "").utf8)
        port = redirect.port
        path = redirect.path.flatMap { CompiledPathModifier($0, routePath: match.path) }
    }

    /// Appends the value of Location for `head`, which came by `requestScheme` for a service at
    /// `servicePort`.
    ///
    /// Without a port of its own the redirect is to the usual one of its scheme when it names one, else
    /// to the service's; the usual one is not written (Gateway API `HTTPRequestRedirectFilter`). Every
    /// byte comes from the configuration or from a checked target and authority.
    public func appendLocation(
        for head: RequestHead,
        requestScheme: Scheme,
        servicePort: UInt16,
        to buffer: ByteBuffer
    ) {
        let hasHost = !hostname.isEmpty || head.hasAuthority
        if hasHost {
            let scheme = self.scheme ?? requestScheme
            buffer.append(scheme == .https ? "https://" : "http://")
            if hostname.isEmpty {
                head.withHost { buffer.append($0) }
            } else {
                buffer.append(hostname.span)
            }
            let port = self.port ?? (self.scheme == nil ? servicePort : scheme.usualPort)
            if port != scheme.usualPort {
                buffer.append(UInt8(ascii: ":"))
                buffer.append(decimal: UInt64(port))
            }
        }
        head.withTarget { target in
            if let path, path.append(target, to: buffer) { return }
            // `*` has no path.
            if target.isEmpty || target[0] != UInt8(ascii: "/") {
                buffer.append(UInt8(ascii: "/"))
                return
            }
            var from = 0
            // HTTP/1.0 without Host: a reference that begins with `//` would name one.
            if !hasHost {
                while from + 1 < target.count, target[from + 1] == UInt8(ascii: "/") { from += 1 }
            }
            buffer.append(target.extracting(from..<target.count))
        }
    }
}

extension Scheme {
    fileprivate var usualPort: UInt16 { self == .https ? 443 : 80 }
}
