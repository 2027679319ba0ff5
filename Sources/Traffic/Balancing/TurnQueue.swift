// Weighted turns: earliest deadline first. Who had a turn gets the next one 1 / weight later, so an
// endpoint of weight 3 has three evenly spaced turns for one of its neighbour's. O(log n).

/// Who is next, by deadlines.
struct TurnQueue {
    struct Turn {
        var due: Double
        let index: UInt32

        @inline(__always)
        func precedes(_ other: Turn) -> Bool {
            due < other.due || (due == other.due && index < other.index)
        }
    }

    /// A binary heap.
    private(set) var turns: ContiguousArray<Turn>

    /// A queue of these turns in any order.
    init(_ turns: ContiguousArray<Turn>) {
        self.turns = turns
        for place in stride(from: turns.count / 2 - 1, through: 0, by: -1) { sink(place) }
    }

    /// The first turn of one that `isWanted`, or the first when none is.
    ///
    /// Looks no further than below those that are not wanted.
    func next(where isWanted: (UInt32) -> Bool) -> Int {
        if isWanted(turns[0].index) { return 0 }
        var reachable = [1, 2].filter { $0 < turns.count }
        while let first = reachable.min(by: { turns[$0].precedes(turns[$1]) }) {
            if isWanted(turns[first].index) { return first }
            reachable.removeAll { $0 == first }
            reachable += [first * 2 + 1, first * 2 + 2].filter { $0 < turns.count }
        }
        return 0
    }

    /// Puts the turn at `place` off by `delay`, which is above 0.
    mutating func postpone(_ place: Int, by delay: Double) {
        turns[place].due += delay
        sink(place)
    }

    private mutating func sink(_ start: Int) {
        var place = start
        while true {
            var least = place
            let left = place * 2 + 1
            if left < turns.count, turns[left].precedes(turns[least]) { least = left }
            if left + 1 < turns.count, turns[left + 1].precedes(turns[least]) { least = left + 1 }
            if least == place { return }
            turns.swapAt(place, least)
            place = least
        }
    }
}
