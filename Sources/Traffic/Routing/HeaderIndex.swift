// Field value → the routes that ask for it, for routes that name no path: a tenant or a tester's
// header in each of ten thousand routes costs one look-up per line of that name.

import Bytes
import HTTP
import MeshModel

/// Routes by the exact value of one field.
struct HeaderIndex: Sendable {
    private let key: FieldKey
    private let values: PathIndex

    init(name: String, _ routes: [KeyedRoute]) {
        key = FieldKey(name)
        values = PathIndex(routes)
    }

    /// Puts the first route that `head` takes into `best` when it comes before.
    func match(_ head: RequestHead, _ table: borrowing RouteTable, _ best: inout Int32) {
        let fields = head.fields
        var from = 0
        while let index = key.firstIndex(in: fields, from: from) {
            fields.withValue(at: index) { value in
                guard value.count <= values.bytesMax else { return }
                var hash = PathHash()
                for position in 0..<value.count { hash.add(value[position]) }
                for place in values.find(hash, value) {
                    let entry = values[place]
                    guard entry.index < best else { return }
                    if table.takes(entry, head) {
                        best = entry.index
                        return
                    }
                }
            }
            from = index + 1
        }
    }
}

/// Collects the routes of header indexes.
struct HeaderIndexes {
    private var names: [String] = []
    private var routes: [String: [KeyedRoute]] = [:]

    /// Adds a route by the exact header that `sharing` says is in the fewest routes; false when it has
    /// none, or none that may be indexed.
    mutating func add(
        _ match: RouteMatch,
        _ route: RouteEntry,
        sharing: (RouteMatch.Header) -> Int
    ) -> Bool {
        let allowed = match.headers.filter { header in
            guard HeaderIndexes.canHold(header) else { return false }
            return routes[header.name] != nil || names.count < HeaderIndexes.namesMax
        }
        guard let best = allowed.min(by: { sharing($0) < sharing($1) }),
            case .exact(let value) = best.value
        else { return false }
        if routes[best.name] == nil { names.append(best.name) }
        routes[best.name, default: []].append((ContiguousArray(value.utf8), route))
        return true
    }

    /// Whether a route may be found by this header; HTTP/2 names the host elsewhere than in a field.
    static func canHold(_ header: RouteMatch.Header) -> Bool {
        guard header.name != "host", case .exact = header.value else { return false }
        return true
    }

    var made: ContiguousArray<HeaderIndex> {
        ContiguousArray(names.map { HeaderIndex(name: $0, routes[$0] ?? []) })
    }

    /// Each name is looked for in every request, so that more of them cost more than they save.
    private static let namesMax = 8
}
