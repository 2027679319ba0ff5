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

    /// The turn that is due, or the one after it when it is that of `avoided` and another is there.
    func next(avoiding avoided: UInt32) -> Int {
        guard turns[0].index == avoided, turns.count > 1 else { return 0 }
        return turns.count > 2 && turns[2].precedes(turns[1]) ? 2 : 1
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
