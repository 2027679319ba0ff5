import Bytes
import MeshModel
import Testing
import Time

@testable import Traffic

struct SharedRateLimiterTests {
    private static let start = MonotonicTime(nanoseconds: 1_000_000_000_000)

    private func at(_ milliseconds: UInt64) -> MonotonicTime {
        Self.start.advanced(byNanoseconds: milliseconds * 1_000_000)
    }

    private func take(_ limiter: SharedRateLimiter, _ key: String = "", at time: MonotonicTime)
        -> RateLimitVerdict
    {
        limiter.take(Array(key.utf8).span, now: time)
    }

    private func text(_ body: (ByteBuffer) -> Void) -> String {
        let buffer = ByteBuffer()
        body(buffer)
        return buffer.string
    }

    @Test("a rested bucket allows a burst, and then the rate")
    func burst() {
        let limiter = SharedRateLimiter(RateLimit(name: "all", requests: 10, burst: 5))
        for left in [4, 3, 2, 1, 0] {
            let verdict = take(limiter, at: at(0))
            #expect(verdict.isAllowed && verdict.remaining == left && verdict.limit == 5)
        }
        #expect(!take(limiter, at: at(0)).isAllowed)
        #expect(!take(limiter, at: at(99)).isAllowed)
        #expect(take(limiter, at: at(100)).isAllowed)
        #expect(!take(limiter, at: at(100)).isAllowed)
        // A rest of any length fills it once.
        var allowed = 0
        while take(limiter, at: at(1_000_000)).isAllowed { allowed += 1 }
        #expect(allowed == 5)
    }

    @Test("a refused request says when to come back, and then is let in")
    func retryAfter() {
        let limiter = SharedRateLimiter(
            RateLimit(name: "slow", requests: 1, period: .seconds(90), burst: 2)
        )
        #expect(take(limiter, at: at(0)).resetSeconds == 90)
        #expect(take(limiter, at: at(0)).resetSeconds == 180)
        let verdict = take(limiter, at: at(500))
        #expect(!verdict.isAllowed && verdict.remaining == 0)
        #expect(verdict.retryAfterSeconds == 90 && verdict.resetSeconds == 180)
        #expect(!take(limiter, at: at(89_999)).isAllowed)
        #expect(take(limiter, at: at(90_500)).isAllowed)
        #expect(take(limiter, at: at(90_500)).retryAfterSeconds == 90)
    }

    @Test("hammering at a limit does not move it away")
    func hammering() {
        let limiter = SharedRateLimiter(RateLimit(name: "all", requests: 1, burst: 1))
        #expect(take(limiter, at: at(0)).isAllowed)
        for _ in 0..<10_000 { #expect(!take(limiter, at: at(999)).isAllowed) }
        #expect(take(limiter, at: at(1_000)).isAllowed)
    }

    @Test("time that goes back fills nothing and traps nothing")
    func timeGoesBack() {
        let limiter = SharedRateLimiter(RateLimit(name: "all", requests: 2, burst: 2))
        #expect(take(limiter, at: at(10_000)).isAllowed)
        #expect(take(limiter, at: at(10_000)).isAllowed)
        for early in [UInt64(9_999), 0] { #expect(!take(limiter, at: at(early)).isAllowed) }
        #expect(!take(limiter, at: MonotonicTime(nanoseconds: 0)).isAllowed)
        #expect(!take(limiter, at: at(10_000)).isAllowed)
    }

    @Test("the extremes of rate, burst, period and time are counted without overflow")
    func extremes() {
        for requests in [1, Limits.rate.upperBound] {
            for burst in [1, Limits.rate.upperBound] {
                for period in [Limits.timeout.lowerBound, Limits.timeout.upperBound] {
                    let limiter = SharedRateLimiter(
                        RateLimit(name: "x", requests: requests, period: period, burst: burst)
                    )
                    for time: UInt64 in [.max, 0, 1, .max - 1] {
                        _ = take(limiter, at: MonotonicTime(nanoseconds: time))
                    }
                    let verdict = take(limiter, at: MonotonicTime(nanoseconds: 0))
                    #expect(verdict.remaining >= 0 && verdict.resetSeconds >= 0)
                    #expect(verdict.isAllowed == (verdict.retryAfterSeconds == 0))
                }
            }
        }
    }

    /// The same bucket told the other way, by tokens that drip in, in whole units.
    private struct Model {
        let limit: RateLimit
        var units: UInt128
        var last = SharedRateLimiterTests.start.nanoseconds

        init(_ limit: RateLimit) {
            self.limit = limit
            units = UInt128(limit.burst) * UInt128(limit.period.nanoseconds)
        }

        mutating func take(at time: UInt64) -> Bool {
            let cost = UInt128(limit.period.nanoseconds)
            units = min(
                UInt128(limit.burst) * cost,
                units + UInt128(time - last) * UInt128(limit.requests)
            )
            last = time
            guard units >= cost else { return false }
            units -= cost
            return true
        }

        var remaining: Int { Int(units / UInt128(limit.period.nanoseconds)) }
    }

    @Test(
        "every request is judged as by a bucket of dripping tokens, for any rate",
        arguments: 0..<40 as Range<UInt64>
    )
    func exact(seed: UInt64) {
        var random = FastRandom(seed: seed)
        let limit = RateLimit(
            name: "any",
            requests: Int.random(in: 1...(seed.isMultiple(of: 2) ? 50 : 1_000_000), using: &random),
            period: .milliseconds(Int.random(in: 1...100_000, using: &random)),
            burst: Int.random(in: 1...200, using: &random)
        )
        let interval = limit.period.nanoseconds / UInt64(limit.requests)
        let limiter = SharedRateLimiter(limit)
        var model = Model(limit)
        var time = Self.start.nanoseconds
        var differences = 0
        var allowed = 0
        for _ in 0..<5_000 {
            switch Int.random(in: 0..<20, using: &random) {
            case 0: time += UInt64.random(in: 0...limit.period.nanoseconds * 2, using: &random)
            case 1..<5: break
            default: time += UInt64.random(in: 0...interval * 2, using: &random)
            }
            let verdict = take(limiter, at: MonotonicTime(nanoseconds: time))
            if verdict.isAllowed { allowed += 1 }
            if verdict.isAllowed != model.take(at: time) { differences += 1 }
            if verdict.remaining != model.remaining { differences += 1 }
        }
        #expect(differences == 0)
        #expect(allowed > 0)
    }

    @Test("exactly the rate is never refused, however odd, when there is room for rounding")
    func steady() {
        let limiter = SharedRateLimiter(
            RateLimit(name: "odd", requests: 7, period: .milliseconds(13), burst: 2)
        )
        var refused = 0
        for index in 0..<70_000 as Range<UInt64> {
            // The index-th request is due at index × 13/7 ms, rounded up to whole nanoseconds.
            let due = (index * 13_000_000 + 6) / 7
            let time = Self.start.advanced(byNanoseconds: due)
            if !take(limiter, at: time).isAllowed { refused += 1 }
        }
        #expect(refused == 0)
    }

    @Test("each key has a bucket of its own, the empty one too")
    func keys() {
        let limiter = SharedRateLimiter(
            RateLimit(name: "caller", key: .caller, requests: 1, burst: 1)
        )
        let long = String(repeating: "a", count: 8)
        let keys = ["", "a", "b", "aa", "a\u{0}", "\u{0}", "\u{0}\u{0}", long, long + "a"]
        for key in keys { #expect(take(limiter, key, at: at(0)).isAllowed, "\(key)") }
        for key in keys { #expect(!take(limiter, key, at: at(0)).isAllowed, "\(key)") }
        #expect(limiter.keyCount == keys.count)
    }

    @Test("a limit of all requests has one bucket, whatever key it is given")
    func noKey() {
        let limiter = SharedRateLimiter(RateLimit(name: "all", requests: 1, burst: 1))
        #expect(take(limiter, "a", at: at(0)).isAllowed)
        #expect(!take(limiter, "b", at: at(0)).isAllowed)
    }

    @Test("a flood of keys is bounded, and gives nobody who is over the limit a new bucket")
    func flood() {
        let limiter = SharedRateLimiter(
            RateLimit(name: "address", key: .address, requests: 10, period: .seconds(10))
        )
        while take(limiter, "greedy", at: at(0)).isAllowed {}
        for index in 0..<200_000 {
            _ = take(limiter, "flood \(index)", at: at(0))
            if index.isMultiple(of: 1_000), take(limiter, "greedy", at: at(0)).isAllowed {
                Issue.record("let in after \(index) keys")
                return
            }
        }
        #expect(limiter.keyCount <= SharedRateLimiter.keysMax)
        #expect(limiter.keyCount > SharedRateLimiter.keysMax * 9 / 10)
    }

    @Test("as many keys as there is room for are counted as if each were alone")
    func manyKeys() {
        let limiter = SharedRateLimiter(
            RateLimit(name: "caller", key: .caller, requests: 3, period: .seconds(60))
        )
        let keys = (0..<1_000).map { "spiffe://example.org/ns/default/sa/\($0)" }
        for _ in 0..<3 {
            #expect(keys.allSatisfy { take(limiter, $0, at: at(0)).isAllowed })
        }
        #expect(keys.allSatisfy { !take(limiter, $0, at: at(0)).isAllowed })
        #expect(limiter.keyCount == 1_000)
    }

    @Test("the fields are the lists of the draft")
    func fields() {
        let limiter = SharedRateLimiter(
            RateLimit(name: "per-caller", requests: 100, period: .seconds(60), burst: 10)
        )
        #expect(text { limiter.appendPolicy(to: $0) } == #""per-caller";q=100;w=60"#)
        let verdict = take(limiter, at: at(0))
        #expect(text { limiter.append(verdict, to: $0) } == #""per-caller";r=9;t=1"#)
    }

    @Test(
        "a period that is not whole seconds is stated for the next that is",
        arguments: [
            (Duration.milliseconds(500), #""x";q=20;w=1"#),
            (.milliseconds(1_500), #""x";q=13;w=2"#),
            (.milliseconds(1), #""x";q=10000;w=1"#), (.seconds(86_400), #""x";q=10;w=86400"#),
        ]
    )
    func oddPeriods(period: Duration, item: String) {
        let limiter = SharedRateLimiter(RateLimit(name: "x", requests: 10, period: period))
        #expect(text { limiter.appendPolicy(to: $0) } == item)
    }
}
