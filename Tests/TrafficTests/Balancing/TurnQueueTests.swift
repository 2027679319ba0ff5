import Testing
import Time

@testable import Traffic

struct TurnQueueTests {
    static func queue(_ dues: [Double]) -> TurnQueue {
        TurnQueue(
            ContiguousArray(
                dues.enumerated().map { TurnQueue.Turn(due: $1, index: UInt32($0)) }
            )
        )
    }

    @Test("turns come in the order of their deadlines, equal ones by index")
    func order() {
        var queue = Self.queue([0.5, 0.1, 0.5, 0.3])
        let order = (0..<4).map { _ in
            let index = queue.turns[0].index
            queue.postpone(0, by: 10)
            return index
        }
        #expect(order == [1, 3, 0, 2])
    }

    @Test("the turn of the one to avoid passes to the next, and is kept")
    func avoiding() {
        var queue = Self.queue([0.1, 0.9, 0.3, 0.4])
        let place = queue.next { $0 != 0 }
        #expect(queue.turns[place].index == 2)
        // The second is due after both others, wherever it lies in the heap.
        #expect(queue.turns[queue.next { ![0, 2, 3].contains($0) }].index == 1)
        #expect(queue.turns[queue.next { ![0, 2].contains($0) }].index == 3)
        #expect(queue.next { _ in false } == 0)
        queue.postpone(place, by: 1)
        #expect(queue.turns[queue.next { $0 != 7 }].index == 0)
        let alone = Self.queue([1])
        #expect(alone.next { $0 != 0 } == 0)
    }

    @Test("for random weights every prefix is fair to within a turn")
    func fair() {
        var random = FastRandom(seed: 12)
        for _ in 0..<20 {
            let weights = (0..<9).map { _ in Double.random(in: 1...20, using: &random) }
            var queue = Self.queue(weights.map { 1 / $0 })
            var counts = [Double](repeating: 0, count: 9)
            for _ in 0..<5_000 {
                let index = Int(queue.turns[0].index)
                let time = queue.turns[0].due
                counts[index] += 1
                queue.postpone(0, by: 1 / weights[index])
                #expect(abs(counts[index] - time * weights[index]) < 0.01)
            }
        }
    }
}
