import MeshModel
import Testing
import Time

@testable import Traffic

struct AdaptiveLimitTests {
    @Test(
        "it finds what a service can do at once, from below and from above",
        arguments: [10, 60],
        [5, 20, 500]
    )
    func converges(capacity: Int, initial: Int) {
        var load = Load(capacity: capacity, initial: initial)
        load.run(milliseconds: 16_000)
        var limits: [Int] = []
        var served = 0
        for _ in 0..<40 {
            served += load.run(milliseconds: 100)
            limits.append(load.limit.limit)
        }
        let mean = Double(limits.reduce(0, +)) / 40
        #expect(mean > Double(capacity) * 0.9, "\(limits)")
        #expect(mean < Double(capacity) * 2.5 + 10, "\(limits)")
        // A service that takes 20 ms does `capacity` × 50 a second.
        #expect(Double(served) > Double(capacity) * 50 * 4 * 0.9)
    }

    @Test("a service that can do less gets less, and as much as before when it recovers")
    func followsCapacity() {
        var load = Load(capacity: 100, initial: 20)
        load.run(milliseconds: 10_000)
        let before = load.limit.limit
        #expect(before > 90)
        load.capacity = 20
        load.run(milliseconds: 20_000)
        #expect(load.limit.limit < 70)
        load.capacity = 100
        load.run(milliseconds: 10_000)
        #expect(load.limit.limit > 90)
    }

    @Test("a service that becomes slower for good, but not by load, keeps its throughput")
    func followsLatency() {
        var load = Load(capacity: 50, initial: 20)
        load.run(milliseconds: 10_000)
        load.service = .milliseconds(80)
        load.run(milliseconds: 40_000)
        #expect(load.limit.limit > 45)
        #expect(load.limit.bestLatencyNanoseconds > 70_000_000)
        load.service = .milliseconds(20)
        load.run(milliseconds: 65_000)
        #expect(load.limit.bestLatencyNanoseconds < 30_000_000)
        #expect((45...150).contains(load.limit.limit))
    }

    @Test("a best that was measured in a queue is corrected by the dips")
    func firstMeasuredInQueue() {
        // 1000 requests run before the first sample: the best window is ten times too slow.
        var load = Load(capacity: 20, initial: 1_000)
        load.run(milliseconds: 60_000)
        #expect(load.limit.bestLatencyNanoseconds < 40_000_000)
        #expect(load.limit.limit < 70)
    }

    @Test(
        "service times that differ widely do not push it down",
        arguments: [1, 2, 3] as [UInt64]
    )
    func noise(seed: UInt64) {
        var load = Load(capacity: 50, initial: 20, seed: seed)
        load.isNoisy = true
        load.run(milliseconds: 35_000)
        #expect((40...160).contains(load.limit.limit))
    }

    @Test("drops shrink it, whatever the latency of what is answered")
    func drops() {
        var limit = AdaptiveLimit(AdaptiveConcurrency(initial: 500))
        for time in 0..<2_000 {
            let isDropped = time % 20 == 0
            limit.sample(
                latencyNanoseconds: isDropped ? 1_000 : 10_000_000,
                active: limit.limit,
                isDropped: isDropped,
                now: ms(time)
            )
        }
        #expect(limit.limit < 100)
        var dropsOnly = AdaptiveLimit(AdaptiveConcurrency(initial: 500))
        for time in 0..<20_000 {
            dropsOnly.sample(latencyNanoseconds: 0, active: 500, isDropped: true, now: ms(time))
        }
        #expect(dropsOnly.limit == 5)
        #expect(dropsOnly.bestLatencyNanoseconds == 0)
    }

    @Test("it does not grow while it is not used, nor shrink below twice what is")
    func unused() {
        var limit = AdaptiveLimit(AdaptiveConcurrency(initial: 100))
        for time in 0..<25_000 {
            let latency: UInt64 = time < 10_000 ? 1_000_000 : 50_000_000
            limit.sample(latencyNanoseconds: latency, active: 20, isDropped: false, now: ms(time))
            if time < 10_000, limit.limit != 50 { #expect(limit.limit == 100) }
        }
        #expect(limit.limit == 40)
    }

    @Test("a dip halves it for a moment, often at first and then once a minute")
    func dips() {
        var limit = AdaptiveLimit(AdaptiveConcurrency(initial: 100, max: 100))
        var dipped: [Int] = []
        for time in stride(from: 0, to: 200_000, by: 5) {
            limit.sample(
                latencyNanoseconds: 10_000_000,
                active: limit.limit,
                isDropped: false,
                now: ms(time)
            )
            #expect(limit.limit == 100 || limit.limit == 50)
            if limit.limit == 50 { dipped.append(time) }
        }
        let starts = dipped.indices.filter { $0 == 0 || dipped[$0] > dipped[$0 - 1] + 5 }
        let seconds = starts.map { (dipped[$0] + 500) / 1_000 }
        #expect(seconds == [1, 3, 7, 15, 31, 63, 123, 183])
        #expect(dipped.count * 5 < seconds.count * 150)
    }

    @Test("whatever is measured, its bounds are kept", arguments: (0..<20).map { UInt64($0) })
    func bounds(seed: UInt64) {
        var random = FastRandom(seed: seed)
        let policy = AdaptiveConcurrency(initial: 10, min: 7, max: 90)
        var limit = AdaptiveLimit(policy)
        var now = ms(1)
        for _ in 0..<20_000 {
            let latencies: [UInt64] = [0, 1, 1_000_000, 3_000_000_000, .max]
            limit.sample(
                latencyNanoseconds: latencies.randomElement(using: &random) ?? 0,
                active: Int.random(in: 0...1_000, using: &random),
                isDropped: Int.random(in: 0..<200, using: &random) == 0,
                now: now
            )
            now = now + .milliseconds(Int.random(in: 0...60, using: &random))
            #expect((7...90).contains(limit.limit))
        }
    }

    @Test("a clock that stands still changes nothing")
    func standingClock() {
        var limit = AdaptiveLimit(AdaptiveConcurrency(initial: 30))
        for _ in 0..<10_000 {
            limit.sample(latencyNanoseconds: 5, active: 30, isDropped: false, now: ms(9))
        }
        #expect(limit.limit == 30)
    }
}

/// Callers who always want more, and a service that does `capacity` requests at once, in 2 ms steps.
private struct Load {
    var capacity: Int
    var service = Duration.milliseconds(20)
    var isNoisy = false
    var limit: AdaptiveLimit
    private var now = ms(0)
    private var running: [(startedAt: MonotonicTime, endsAt: MonotonicTime)] = []
    private var waiting: [MonotonicTime] = []
    private var random: FastRandom

    init(capacity: Int, initial: Int, seed: UInt64 = 1) {
        self.capacity = capacity
        limit = AdaptiveLimit(AdaptiveConcurrency(initial: initial))
        random = FastRandom(seed: seed)
    }

    /// Returns how many requests were served.
    @discardableResult
    mutating func run(milliseconds: Int) -> Int {
        var served = 0
        for _ in 0..<milliseconds / 2 {
            now = now + .milliseconds(2)
            for ended in running where ended.endsAt <= now {
                served += 1
                limit.sample(
                    latencyNanoseconds: now.nanoseconds(since: ended.startedAt),
                    active: running.count + waiting.count,
                    isDropped: false,
                    now: now
                )
            }
            running.removeAll { $0.endsAt <= now }
            while running.count + waiting.count < limit.limit { waiting.append(now) }
            let begun = min(max(capacity - running.count, 0), waiting.count)
            for startedAt in waiting.prefix(begun) {
                running.append((startedAt, now + duration()))
            }
            waiting.removeFirst(begun)
        }
        return served
    }

    /// Constant, or between a quarter and seven quarters of it.
    private mutating func duration() -> Duration {
        isNoisy ? service * Double.random(in: 0.25...1.75, using: &random) : service
    }
}
