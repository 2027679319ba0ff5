// The routes whose paths are regular expressions, by a text that all paths they take have: a request
// tries only those whose text is in its path. `/api/v[0-9]+/users/.*` is found by `/users/`,
// `/(v1|v2)/x/.*` by `/v1/x/` and `/v2/x/`, `.*\.(png|jpg)` by `.png` and `.jpg`.
//
// Invariants:
// - no request tries more than twice the routes: one that has so many texts, or one so often, that
//   the index would cost more than it saves is answered by trying all in order

import Bytes
import HTTP
import MeshModel
import RegularExpressions

/// Routes by what their patterns need.
struct PatternIndex: Sendable {
    private let beginnings: LiteralIndex
    private let contents: LiteralIndex
    private let all: ContiguousArray<RouteEntry>

    init(beginnings: [KeyedRoute], contents: [KeyedRoute]) {
        self.beginnings = LiteralIndex(beginnings, isAnchored: true)
        self.contents = LiteralIndex(contents, isAnchored: false)
        var all: ContiguousArray<RouteEntry> = []
        for (_, route) in (beginnings + contents).sorted(by: { $0.route.index < $1.route.index })
        where all.last?.index != route.index {
            all.append(route)
        }
        self.all = all
    }

    var isEmpty: Bool { all.isEmpty }

    /// Puts the first route that `head` takes into `best` when it comes before.
    func match(
        _ path: Span<UInt8>,
        _ head: RequestHead,
        _ table: borrowing RouteTable,
        _ best: inout Int32
    ) {
        var triesLeft = all.count
        tryAll(beginnings, path, head, table, &triesLeft, &best)
        tryAll(contents, path, head, table, &triesLeft, &best)
        guard triesLeft <= 0 else { return }
        for place in all.indices {
            let entry = all[place]
            guard entry.index < best else { return }
            if table.takes(entry, head) { best = entry.index }
        }
    }
    /// Tries the routes that `index` finds, as long as there are tries left.
    private func tryAll(
        _ index: borrowing LiteralIndex,
        _ path: Span<UInt8>,
        _ head: RequestHead,
        _ table: borrowing RouteTable,
        _ triesLeft: inout Int,
        _ best: inout Int32
    ) {
        guard !index.isEmpty else { return }
        var cursor = LiteralIndex.Cursor()
        while let places = index.next(in: path, &cursor) {
            for place in places {
                let entry = index[place]
                guard entry.index < best else { break }
                guard triesLeft > 0 else { return }
                triesLeft -= 1
                if table.takes(entry, head) { best = entry.index }
            }
        }
    }
}
