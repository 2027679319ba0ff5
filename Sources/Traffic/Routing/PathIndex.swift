// Path → the routes that name it, by bytes: open addressing over flat arrays, built once.
//
// One pass over a request's path hashes it and asks at the end of each segment whether a prefix is
// known that ends there, so that the cost is that of the path and not that of the number of routes.

import Bytes

/// Routes by exact path or by prefix of whole segments.
struct PathIndex: Sendable {
    private struct Entry: Sendable {
        let hash: UInt64
        let path: ContiguousArray<UInt8>
        /// Where its routes stand in `routes`, ascending.
        var from = 0
        var count = 0
    }

    private var entries: ContiguousArray<Entry> = []
    private var slots: ContiguousArray<Int32>
    private var routes: ContiguousArray<RouteEntry> = []
    /// Bytes of the longest path; longer ones are not looked up.
    let bytesMax: Int

    /// An index of these paths, given in the order of the routes.
    init(_ paths: [KeyedRoute]) {
        var size = 16
        while size < paths.count * 2 { size *= 2 }
        slots = ContiguousArray(repeating: -1, count: size)
        bytesMax = paths.map(\.path.count).max() ?? 0
        var lists: [[RouteEntry]] = []
        for (path, route) in paths {
            let hash = path.reduce(PathHash()) { $0.adding($1) }.value
            let slot = slot(of: hash, path.span)
            if slots[slot] < 0 {
                slots[slot] = Int32(entries.count)
                entries.append(Entry(hash: hash, path: path))
                lists.append([])
            }
            lists[Int(slots[slot])].append(route)
        }
        for (index, list) in lists.enumerated() {
            entries[index].from = routes.count
            entries[index].count = list.count
            routes += list
        }
    }

    var isEmpty: Bool { entries.isEmpty }

    /// The routes of `path`, by their places in `self[place]`.
    func find(_ hash: PathHash, _ path: Span<UInt8>) -> Range<Int> {
        let index = Int(slots[slot(of: hash.value, path)])
        guard index >= 0 else { return 0..<0 }
        let from = entries[index].from
        return from..<from + entries[index].count
    }

    subscript(place: Int) -> RouteEntry { routes[place] }

    private func slot(of hash: UInt64, _ path: Span<UInt8>) -> Int {
        let mask = slots.count - 1
        // The low bits of a product know the low bits of its factors alone.
        var slot = Int(truncatingIfNeeded: hash >> 32) & mask
        while slots[slot] >= 0 {
            let index = Int(slots[slot])
            if entries[index].hash == hash {
                let stored = entries[index].path
                if path.equals(stored.span) { return slot }
            }
            slot = (slot + 1) & mask
        }
        return slot
    }
}

/// A route in a list: its index, and whether there is more to ask than the path.
struct RouteEntry: Sendable {
    let index: Int32
    let hasConditions: Bool
}

/// A hash that grows byte by byte (FNV-1a): of a path and of each of its prefixes in one pass.
///
/// The tables hold configured paths only, so an attacker who picks paths to look up can lengthen no
/// chain.
struct PathHash {
    private(set) var value: UInt64 = 0xCBF2_9CE4_8422_2325

    @inline(__always)
    mutating func add(_ byte: UInt8) { value = (value ^ UInt64(byte)) &* 0x100_0000_01B3 }

    func adding(_ byte: UInt8) -> PathHash {
        var copy = self
        copy.add(byte)
        return copy
    }
}
