import Testing
import Time

@testable import ControlClient

@Suite struct RenewalScheduleTests {
    private func at(_ seconds: Double) -> WallTime {
        WallTime(unixNanoseconds: Int64(seconds * 1_000_000_000))
    }

    @Test("renewal is due at two thirds of the life, give or take 5 %", arguments: 0..<20)
    func twoThirds(_: Int) {
        var generator = SystemRandomNumberGenerator()
        let schedule = RenewalSchedule(
            obtained: at(1_000),
            notBefore: at(1_000),
            notAfter: at(87_400),
            using: &generator
        )
        let share = Double(schedule.due.unixNanoseconds / 1_000_000_000 - 1_000) / 86_400
        #expect(share > 0.61 && share < 0.72)
    }

    @Test("the life counts from when we got it, so one dated back by a minute is not due at once")
    func datedBack() {
        var generator = SystemRandomNumberGenerator()
        let schedule = RenewalSchedule(
            obtained: at(1_000),
            notBefore: at(940),
            notAfter: at(1_020),
            using: &generator
        )
        #expect(schedule.due > at(1_012) && schedule.due < at(1_015))
    }

    @Test("after a failure it waits about a second, then longer")
    func failures() {
        var generator = SystemRandomNumberGenerator()
        var schedule = RenewalSchedule(
            obtained: at(0),
            notBefore: at(0),
            notAfter: at(86_400),
            using: &generator
        )
        var now = at(60_000)
        for expected in [1.0, 2, 4, 8, 16, 32, 64, 128, 150, 150] {
            schedule.failed(now: now, using: &generator)
            let wait = Double(schedule.due.unixNanoseconds - now.unixNanoseconds) / 1e9
            #expect(wait > expected * 0.79 && wait < expected * 1.21)
            now = schedule.due
        }
    }

    @Test("near the end it tries more often than the waits would, but not more than each second")
    func nearTheEnd() {
        var generator = SystemRandomNumberGenerator()
        var schedule = RenewalSchedule(
            obtained: at(0),
            notBefore: at(0),
            notAfter: at(40),
            using: &generator
        )
        var now = at(20)
        for _ in 0..<10 { schedule.failed(now: now, using: &generator) }
        #expect(schedule.due <= at(25))
        now = at(39)
        schedule.failed(now: now, using: &generator)
        #expect(schedule.due == at(40))
    }

    @Test("a certificate that came expired is due at once and does not trap")
    func expired() {
        var generator = SystemRandomNumberGenerator()
        let schedule = RenewalSchedule(
            obtained: at(2_000),
            notBefore: at(0),
            notAfter: at(1_000),
            using: &generator
        )
        #expect(schedule.due == at(2_000))
    }
}
