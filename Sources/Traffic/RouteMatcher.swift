// Whether a request takes a route, compared byte by byte without making a String.

import Bytes
public import HTTP
public import MeshModel

/// One route's conditions, compiled when a snapshot arrives.
public struct RouteMatcher: Sendable {
    private enum Path: Sendable {
        case any
        case exact(ContiguousArray<UInt8>)
        /// Without a trailing slash; empty for `/`, which matches everything.
        case prefix(ContiguousArray<UInt8>)
    }

    private struct Header: Sendable {
        let name: ContiguousArray<UInt8>
        let value: ContiguousArray<UInt8>

        init(_ header: RouteMatch.Header) {
            name = ContiguousArray(header.name.utf8)
            guard case .exact(let text) = header.value else {
                preconditionFailure("patterns are not compiled yet")
            }
            value = ContiguousArray(text.utf8)
        }
    }

    private let path: Path
    private let method: ContiguousArray<UInt8>?
    private let headers: ContiguousArray<Header>
    /// Whether there is no condition: asked first, as a matcher is not copied for that.
    public let matchesEverything: Bool

    /// Compiles `match`.
    public init(_ match: RouteMatch) {
        switch match.path {
        case nil: path = .any
        case .exact(let text): path = .exact(ContiguousArray(text.utf8))
        case .pattern: preconditionFailure("patterns are not compiled yet")
        case .prefix(let text):
            let trimmed = text.hasSuffix("/") ? text.dropLast() : text[...]
            path = trimmed.isEmpty ? .any : .prefix(ContiguousArray(trimmed.utf8))
        }
        method = match.method.map { ContiguousArray($0.utf8) }
        headers = ContiguousArray(
            match.headers.map {
                Header($0)
            }
        )
        if case .any = path, method == nil, headers.isEmpty {
            matchesEverything = true
        } else {
            matchesEverything = false
        }
    }

    /// Whether `request` meets every condition.
    public func matches(_ request: RequestHead) -> Bool {
        if matchesEverything { return true }
        guard matchesPath(request) else { return false }
        if let method {
            guard request.withMethod({ equal($0, method) }) else { return false }
        }
        for header in headers where !matches(header, request.fields) { return false }
        return true
    }

    private func matchesPath(_ request: RequestHead) -> Bool {
        switch path {
        case .any: true
        case .exact(let expected): request.withPath { equal($0, expected) }
        case .prefix(let prefix):
            // Whole segments: `/a` takes `/a` and `/a/b`, not `/ab`.
            request.withPath { path in
                guard path.count >= prefix.count else { return false }
                guard equal(path.extracting(0..<prefix.count), prefix) else { return false }
                return path.count == prefix.count || path[prefix.count] == UInt8(ascii: "/")
            }
        }
    }

    /// A condition on a field that occurs several times holds when one line has the value.
    private func matches(_ header: Header, _ fields: FieldBlock) -> Bool {
        var from = 0
        while let index = fields.firstIndex(named: header.name.span, from: from) {
            if fields.withValue(at: index, { equal($0, header.value) }) { return true }
            from = index + 1
        }
        return false
    }
}

private func equal(_ bytes: Span<UInt8>, _ expected: ContiguousArray<UInt8>) -> Bool {
    guard bytes.count == expected.count else { return false }
    for index in 0..<bytes.count where bytes[index] != expected[index] { return false }
    return true
}
