import Testing
import Time

@testable import Simulation

@Suite struct EventQueueTests {
    @Test("Events come by time, and those of one instant in the order they were added")
    func order() throws {
        var random = FastRandom(seed: 7)
        var queue = EventQueue()
        var expected: [(time: UInt64, subject: Int)] = []
        for subject in 0..<500 {
            let time = random.next() % 50
            expected.append((time, subject))
            queue.add(
                Event(.retry, at: MonotonicTime(nanoseconds: time), subject: subject)
            )
        }
        expected.sort { ($0.time, $0.subject) < ($1.time, $1.subject) }
        for event in expected {
            let taken = queue.next()
            let next = try #require(taken)
            #expect(next.time.nanoseconds == event.time)
            #expect(Int(next.subject) == event.subject)
        }
        let none = queue.next()
        #expect(none == nil)
    }

    @Test("Events that are added while others are taken keep the order")
    func interleaved() {
        var random = FastRandom(seed: 8)
        var queue = EventQueue()
        var now: UInt64 = 0
        for subject in 0..<2_000 {
            let time = MonotonicTime(nanoseconds: now + random.next() % 100)
            queue.add(Event(.retry, at: time, subject: subject))
            guard random.next() % 2 == 0, let event = queue.next() else { continue }
            #expect(event.time.nanoseconds >= now)
            now = event.time.nanoseconds
        }
    }
}
