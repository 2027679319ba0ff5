// Path replacement as rewrites and redirects share it.

import Bytes
import HTTP
import MeshModel

/// A new path for a request, whole or in place of what the route's prefix matched.
struct CompiledPathModifier: Sendable {
    /// The whole path, or what stands for the prefix, without a slash at its end.
    private let replacement: ContiguousArray<UInt8>
    /// What is replaced, without a slash at its end; nil: the whole path.
    private let prefix: ContiguousArray<UInt8>?

    /// Compiles `modifier` for a route of this path; nil when a prefix is to be replaced where the
    /// route matches by pattern, which has none.
    ///
    /// An exact path is a prefix that takes all of the path.
    init?(_ modifier: PathModifier, routePath: RouteMatch.Path?) {
        switch modifier {
        case .full(let path):
            replacement = ContiguousArray(path.utf8)
            prefix = nil
        case .prefix(let path):
            replacement = withoutSlash(path)
            switch routePath {
            case nil: prefix = []
            case .exact(let text), .prefix(let text): prefix = withoutSlash(text)
            case .pattern: return nil
            }
        }
    }

    /// Appends the new target, with the query as it was, to `buffer`; false, and nothing is appended,
    /// when the path is none of those that the route takes.
    func append(_ target: Span<UInt8>, to buffer: ByteBuffer) -> Bool {
        guard !target.isEmpty, target[0] == UInt8(ascii: "/") else { return false }
        let pathCount = target.firstIndex(of: UInt8(ascii: "?")) ?? target.count
        guard let prefix else {
            buffer.append(replacement.span)
            buffer.append(target.extracting(pathCount..<target.count))
            return true
        }
        guard pathCount >= prefix.count, target.extracting(0..<prefix.count).equals(prefix.span),
            pathCount == prefix.count || target[prefix.count] == UInt8(ascii: "/")
        else { return false }
        var rest = prefix.count
        if replacement.isEmpty {
            // `/a//evil.example` must not become `//evil.example`, which names a host where a
            // reference is read (RFC 3986 §4.2).
            while rest + 1 < pathCount, target[rest + 1] == UInt8(ascii: "/") { rest += 1 }
            if rest == pathCount { buffer.append(UInt8(ascii: "/")) }
        }
        buffer.append(replacement.span)
        buffer.append(target.extracting(rest..<target.count))
        return true
    }
}

private func withoutSlash(_ path: String) -> ContiguousArray<UInt8> {
    ContiguousArray((path.hasSuffix("/") ? path.dropLast() : path[...]).utf8)
}
