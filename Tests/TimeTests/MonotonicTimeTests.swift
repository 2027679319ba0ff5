import Testing

@testable import Time

struct MonotonicTimeTests {
    @Test("adding past the end of the clock's range gives the distant future instead of trapping")
    func saturates() {
        let late = MonotonicTime(nanoseconds: .max - 5)
        #expect(late.advanced(byNanoseconds: 6) == .distantFuture)
        #expect(late.advanced(byNanoseconds: 5).nanoseconds == .max)
    }

    @Test("time since a later reading is zero")
    func sinceLater() {
        let early = MonotonicTime(nanoseconds: 5)
        let late = MonotonicTime(nanoseconds: 9)
        #expect(early.nanoseconds(since: late) == 0)
        #expect(late.nanoseconds(since: early) == 4)
    }

    @Test("a duration becomes whole nanoseconds, clamped at both ends")
    func durations() {
        #expect(Duration.milliseconds(1500).nanoseconds == 1_500_000_000)
        #expect(Duration.seconds(-3).nanoseconds == 0)
        #expect(Duration.nanoseconds(-1).nanoseconds == 0)
        #expect(Duration.seconds(Int64.max).nanoseconds == .max)
    }

    @Test("two readings of the monotonic clock never go back")
    func monotonic() {
        let first = Clock.monotonic()
        #expect(first <= Clock.monotonic())
    }
}
