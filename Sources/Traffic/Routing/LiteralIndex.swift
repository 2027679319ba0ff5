// Text → the routes whose patterns need it, all texts of a path found in one pass: Aho and Corasick's
// automaton ("Efficient string matching", CACM 18, 1975), its edges in one hash table, built once.

import Bytes

/// Routes by texts that their paths must begin with or contain.
struct LiteralIndex: Sendable {
    /// The edge from a node with a byte, and where it leads; 0: none, as nothing leads to the root.
    private struct Edge: Sendable {
        var key: UInt64 = 0
        var target: Int32 = 0
    }

    private struct Node: Sendable {
        /// The node of the longest suffix of this one's text that is one too.
        var suffix: Int32 = 0
        /// The next node with routes among this one and its suffixes; -1: none.
        var found: Int32 = -1
        /// Where its routes stand in `routes`, ascending.
        var from: Int32 = 0
        var count: Int32 = 0
    }

    private var edges: ContiguousArray<Edge>
    private var nodes: ContiguousArray<Node> = [Node()]
    private var routes: ContiguousArray<RouteEntry> = []
    private let isAnchored: Bool

    /// An index of these texts, given in the order of the routes, with which a path begins if
    /// `isAnchored` and which it else contains.
    init(_ texts: [KeyedRoute], isAnchored: Bool) {
        self.isAnchored = isAnchored
        var size = 16
        while size < texts.reduce(0, { $0 + $1.path.count }) * 2 { size *= 2 }
        edges = ContiguousArray(repeating: Edge(), count: size)
        var lists: [[RouteEntry]] = [[]]
        var parents: [(node: Int32, byte: UInt8)] = [(0, 0)]
        for (text, route) in texts {
            var node: Int32 = 0
            for byte in text {
                let slot = slot(node, byte)
                if edges[slot].target == 0 {
                    edges[slot] = Edge(key: key(node, byte), target: Int32(nodes.count))
                    nodes.append(Node())
                    lists.append([])
                    parents.append((node, byte))
                }
                node = edges[slot].target
            }
            lists[Int(node)].append(route)
        }
        for (index, list) in lists.enumerated() where !list.isEmpty {
            nodes[index].from = Int32(routes.count)
            nodes[index].count = Int32(list.count)
            nodes[index].found = Int32(index)
            routes += list
        }
        if !isAnchored { linkSuffixes(parents) }
    }

    var isEmpty: Bool { routes.isEmpty }

    subscript(place: Int) -> RouteEntry { routes[place] }

    /// How far a path has been looked at.
    struct Cursor {
        fileprivate var index = 0
        fileprivate var node: Int32 = 0
        /// The next node whose routes are due; -1: none at this byte.
        fileprivate var found: Int32 = -1
    }

    /// The places of the routes of the next text in `path`; nil: there is none.
    func next(in path: Span<UInt8>, _ cursor: inout Cursor) -> Range<Int>? {
        while cursor.found < 0 {
            guard cursor.index < path.count else { return nil }
            let byte = path[cursor.index]
            var next = edges[slot(cursor.node, byte)].target
            if next == 0, isAnchored {
                cursor.index = path.count
                return nil
            }
            while next == 0, cursor.node != 0 {
                cursor.node = nodes[Int(cursor.node)].suffix
                next = edges[slot(cursor.node, byte)].target
            }
            cursor.node = next
            cursor.index += 1
            cursor.found = nodes[Int(next)].found
        }
        let hit = nodes[Int(cursor.found)]
        cursor.found = isAnchored ? -1 : nodes[Int(hit.suffix)].found
        return Int(hit.from)..<Int(hit.from + hit.count)
    }

    /// Nodes by length of their texts: a suffix is shorter than what it ends.
    private mutating func linkSuffixes(_ parents: [(node: Int32, byte: UInt8)]) {
        var depths = [Int32](repeating: 0, count: nodes.count)
        for index in 1..<max(nodes.count, 1) {
            depths[index] = depths[Int(parents[index].node)] + 1
        }
        let order = depths.indices.sorted { (depths[$0], $0) < (depths[$1], $1) }
        for index in order where depths[index] > 1 {
            let (parent, byte) = parents[index]
            var node = nodes[Int(parent)].suffix
            var target = edges[slot(node, byte)].target
            while target == 0, node != 0 {
                node = nodes[Int(node)].suffix
                target = edges[slot(node, byte)].target
            }
            nodes[index].suffix = target
            if nodes[index].found < 0 { nodes[index].found = nodes[Int(target)].found }
        }
    }

    @inline(__always)
    private func key(_ node: Int32, _ byte: UInt8) -> UInt64 {
        UInt64(UInt32(bitPattern: node)) << 8 | UInt64(byte)
    }

    /// The slot of an edge, or the empty one where it would stand.
    ///
    /// At most half of them are taken, by configured texts alone: a path can lengthen no chain.
    @inline(__always)
    private func slot(_ node: Int32, _ byte: UInt8) -> Int {
        let key = key(node, byte)
        let mask = edges.count &- 1
        var slot = Int(truncatingIfNeeded: (key &* 0x9E37_79B9_7F4A_7C15) >> 32) & mask
        while edges[slot].target != 0, edges[slot].key != key { slot = (slot &+ 1) & mask }
        return slot
    }
}
