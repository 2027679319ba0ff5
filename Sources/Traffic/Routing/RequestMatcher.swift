// Whether a request meets one of a few matches, as faults, limits and priorities ask.

import Bytes
public import HTTP
public import MeshModel
import RegularExpressions

/// A path condition.
enum CompiledPath: Sendable {
    case any
    case exact(ContiguousArray<UInt8>)
    /// Without a trailing slash; never empty.
    case prefix(ContiguousArray<UInt8>)
    case pattern(Pattern)

    init(_ path: RouteMatch.Path?) {
        switch path {
        case nil: self = .any
        case .exact(let text): self = .exact(ContiguousArray(text.utf8))
        case .pattern(let pattern): self = .pattern(pattern)
        case .prefix(let text):
            let trimmed = text.hasSuffix("/") ? text.dropLast() : text[...]
            self = trimmed.isEmpty ? .any : .prefix(ContiguousArray(trimmed.utf8))
        }
    }

    var isPattern: Bool { if case .pattern = self { true } else { false } }

    func matches(_ head: RequestHead) -> Bool {
        switch self {
        case .any: true
        case .exact(let expected): head.withPath { $0.equals(expected.span) }
        case .pattern(let pattern): head.withPath { pattern.matches($0) }
        case .prefix(let prefix):
            // Whole segments: `/a` takes `/a` and `/a/b`, not `/ab`.
            head.withPath { path in
                guard path.count >= prefix.count,
                    path.extracting(0..<prefix.count).equals(prefix.span)
                else { return false }
                return path.count == prefix.count || path[prefix.count] == UInt8(ascii: "/")
            }
        }
    }
}

/// One match, compiled.
final class CompiledMatch: Sendable {
    let path: CompiledPath
    let conditions: RouteConditions
    /// Whether there is no condition at all.
    let isEmpty: Bool

    init(_ match: RouteMatch) {
        path = CompiledPath(match.path)
        conditions = RouteConditions(match)
        if case .any = path { isEmpty = conditions.isEmpty } else { isEmpty = false }
    }

    func mismatch(_ head: RequestHead) -> RouteMismatch? {
        path.matches(head) ? conditions.mismatch(head) : .path
    }
}

/// Some matches of which a request must meet one; none: every request does.
public struct RequestMatcher: Sendable {
    private let matches: ContiguousArray<CompiledMatch>
    /// Whether every request matches: asked first.
    public let matchesEverything: Bool

    /// Compiles `matches`.
    public init(_ matches: [RouteMatch]) {
        let compiled = ContiguousArray(matches.map { CompiledMatch($0) })
        matchesEverything = compiled.isEmpty || compiled.contains { $0.isEmpty }
        self.matches = matchesEverything ? [] : compiled
    }

    /// Whether `head` meets one of the matches.
    public func matches(_ head: RequestHead) -> Bool {
        if matchesEverything { return true }
        for match in matches where match.mismatch(head) == nil { return true }
        return false
    }
}
