// Which of a service's routes a request takes: the first in the configured order whose conditions all
// hold.
//
// What it is: routes by exact path, by prefix, by one header value, and by a text that a regular
// expression's paths must have, each in a hash table, and a list of the rest. A request looks at the
// routes its own path names, one list per segment or text, and at the rest as long as they come before
// the best one found. So ten thousand routes cost what one costs, unless they differ in nothing that
// is indexed: in methods, query parameters, patterns of header values, or patterns of paths without a
// text of their own, such as `(?i)/Users/.*` or `/[a-z]+/[0-9]+`.
//
// Invariants:
// - every route is in exactly one index; lists are in the order of the routes
// - the answer is that of trying all routes in order

import Bytes
public import HTTP
public import MeshModel

/// What became of one route when a request was looked at.
public struct RouteVerdict: Sendable, Hashable {
    /// The index of the route.
    public let route: Int
    /// The first condition that failed; nil: all hold.
    public let mismatch: RouteMismatch?
}

/// A service's routes, compiled when a snapshot arrives; immutable and shared by all workers.
public final class RouteTable: Sendable {
    private let matches: ContiguousArray<CompiledMatch>
    private let exact: PathIndex
    private let prefixes: PathIndex
    private let headers: ContiguousArray<HeaderIndex>
    private let patterns: PatternIndex
    private let hasPatterns: Bool
    /// Those that no index holds.
    private let rest: ContiguousArray<RouteEntry>
    private let firstTakesAll: Bool
    private let pathBytesMax: Int

    /// A table of `routes` in the order they are tried.
    public init(_ routes: [Route]) {
        matches = ContiguousArray(routes.map { CompiledMatch($0.match) })
        let sorted = RouteSorter(routes, matches)
        exact = PathIndex(sorted.exact)
        prefixes = PathIndex(sorted.prefixes)
        headers = sorted.headers.made
        patterns = PatternIndex(beginnings: sorted.beginnings, contents: sorted.contents)
        rest = sorted.rest
        firstTakesAll = matches.first?.isEmpty ?? false
        pathBytesMax = max(exact.bytesMax, prefixes.bytesMax)
        hasPatterns = !patterns.isEmpty
    }

    /// The index of the route that `head` takes; nil when there is none.
    public func match(_ head: RequestHead) -> Int? {
        if firstTakesAll { return 0 }
        var best = Int32.max
        if pathBytesMax > 0 { head.withPath { matchPath($0, head, &best) } }
        for index in headers.indices { headers[index].match(head, self, &best) }
        if hasPatterns { head.withPath { patterns.match($0, head, self, &best) } }
        for place in rest.indices {
            let entry = rest[place]
            guard entry.index < best else { break }
            if takes(entry, head) { best = entry.index }
        }
        return best == .max ? nil : Int(best)
    }

    /// What each route says about `head`, for explanations; not for the request path.
    public func verdicts(_ head: RequestHead) -> [RouteVerdict] {
        matches.enumerated().map { RouteVerdict(route: $0, mismatch: $1.mismatch(head)) }
    }

    private func matchPath(_ path: Span<UInt8>, _ head: RequestHead, _ best: inout Int32) {
        var hash = PathHash()
        let hasPrefixes = !prefixes.isEmpty
        let count = min(path.count, pathBytesMax)
        for index in 0..<count {
            let byte = path[index]
            if byte == UInt8(ascii: "/"), index > 0, hasPrefixes {
                let places = prefixes.find(hash, path.extracting(0..<index))
                if !places.isEmpty { choose(prefixes, places, head, &best) }
            }
            hash.add(byte)
        }
        // A path that goes on has a segment that ends here only if the next byte says so.
        guard count == path.count || path[count] == UInt8(ascii: "/") else { return }
        let whole = path.extracting(0..<count)
        if hasPrefixes { choose(prefixes, prefixes.find(hash, whole), head, &best) }
        if count == path.count { choose(exact, exact.find(hash, whole), head, &best) }
    }

    private func choose(
        _ index: borrowing PathIndex,
        _ places: Range<Int>,
        _ head: RequestHead,
        _ best: inout Int32
    ) {
        for place in places {
            let entry = index[place]
            guard entry.index < best else { return }
            if !entry.hasConditions || conditionsHold(entry.index, head) {
                best = entry.index
                return
            }
        }
    }

    /// Whether the conditions besides the path hold.
    private func conditionsHold(_ index: Int32, _ head: RequestHead) -> Bool {
        matches[Int(index)].conditions.mismatch(head) == nil
    }

    /// Whether all conditions of a route that no path index holds do.
    func takes(_ entry: RouteEntry, _ head: RequestHead) -> Bool {
        !entry.hasConditions || matches[Int(entry.index)].mismatch(head) == nil
    }
}
