// Maglev hashing (Eisenbud et al., NSDI 2016, §3.4): the owners take the places of a table in turns,
// each in an order of its own. One look-up per request and shares that are even to a place; when an
// endpoint leaves, a few more hashes than its own move. Weighted owners have weighted turns.

/// Owners of hashes, in a table.
struct MaglevTable {
    private let places: ContiguousArray<UInt32>

    /// A table of these owners; none of the weights may be 0.
    init(_ owners: [HashOwner]) {
        guard !owners.isEmpty else {
            places = []
            return
        }
        // Whatever the list's order, every proxy makes the same table.
        let owners = owners.sorted { ($0.hash, $0.index) < ($1.hash, $1.index) }
        let size = UInt64(Self.size(owners: owners.count))
        var places = ContiguousArray<UInt32>(repeating: Self.free, count: Int(size))
        // An owner's order: offset, offset + skip, …, each place once as the size is a prime.
        var positions = ContiguousArray(owners.map { $0.hash % size })
        let skips = owners.map { Hashing.mix($0.hash) % (size - 1) + 1 }
        var turns = TurnQueue(
            ContiguousArray(
                owners.indices.map {
                    TurnQueue.Turn(due: 1 / Double(owners[$0].weight), index: UInt32($0))
                }
            )
        )
        for _ in 0..<size {
            let owner = Int(turns.turns[0].index)
            while places[Int(positions[owner])] != Self.free {
                positions[owner] = (positions[owner] + skips[owner]) % size
            }
            places[Int(positions[owner])] = owners[owner].index
            turns.postpone(0, by: 1 / Double(owners[owner].weight))
        }
        self.places = places
    }

    /// The owner of `hash` among those that `isUsable` accepts.
    ///
    /// The next places belong to anyone, so the hashes of an owner that is out spread over all. Nil
    /// when too many places in a row have none: the caller then falls back.
    @inline(__always)
    func owner(_ hash: UInt64, where isUsable: (UInt32) -> Bool) -> UInt32? {
        guard !places.isEmpty else { return nil }
        var place = Int(hash % UInt64(places.count))
        for _ in 0..<min(places.count, Hashing.stepsMax) {
            if isUsable(places[place]) { return places[place] }
            place = place + 1 == places.count ? 0 : place + 1
        }
        return nil
    }

    /// A prime of at least 100 places per owner, as the paper advises, up to its 65,537.
    static func size(owners: Int) -> Int {
        let wanted = owners * 100
        return sizes.first { $0 >= wanted } ?? Self.sizeMax
    }

    private static let sizes = [1_021, 4_093, 16_381, 65_537]
    private static let sizeMax = 65_537
    private static let free = UInt32.max
}
