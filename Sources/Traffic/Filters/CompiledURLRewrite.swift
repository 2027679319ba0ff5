public import Bytes
public import HTTP
public import MeshModel

/// A route's change of what the endpoint is asked for, compiled.
public struct CompiledURLRewrite: Sendable {
    private let hostname: ContiguousArray<UInt8>
    private let path: CompiledPathModifier?

    /// Compiles `rewrite` for a route of this match.
    ///
    /// A prefix cannot be replaced where the route matches by pattern: the path stays as it is then.
    public init(_ rewrite: URLRewrite, match: RouteMatch) {
        hostname = ContiguousArray((rewrite.hostname ?? "").utf8)
        path = rewrite.path.flatMap { CompiledPathModifier($0, routePath: match.path) }
    }

    /// Rewrites `head`; `scratch` is left empty.
    ///
    /// The query stays. A new hostname comes without a port, in Host and as authority.
    public func apply(to head: RequestHead, scratch: ByteBuffer) {
        if let path {
            scratch.clear()
            if head.withTarget({ path.append($0, to: scratch) }) {
                scratch.withSpan { head.set(target: $0) }
            }
            scratch.clear()
        }
        guard !hostname.isEmpty else { return }
        head.set(authority: hostname.span, hostCount: hostname.count, port: nil)
        head.fields.removeAll(.host)
        head.fields.append(.host, hostname.span)
    }
}
