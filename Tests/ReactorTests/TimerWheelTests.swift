import Testing
import Time

@testable import Reactor

private final class Recorder: TimerTarget {
    var fired: [Int] = []
    var onFire: ((Timer) -> Void)?
    override func onTimer(_ timer: Timer) {
        fired.append(timer.kind)
        onFire?(timer)
    }
}

struct TimerWheelTests {
    private let start = MonotonicTime(nanoseconds: 123_456_789_012)
    private func at(_ milliseconds: UInt64) -> MonotonicTime {
        start.advanced(byNanoseconds: milliseconds * 1_000_000)
    }

    @Test("a timer fires once its deadline has passed, never before, at every level of the wheel")
    func firesInTime() {
        for delay: UInt64 in [
            1, 2, 63, 64, 65, 127, 128, 4095, 4096, 4097, 262_143, 262_144, 300_000, 16_777_215,
            16_777_216, 20_000_000,
        ] {
            let wheel = TimerWheel(now: start)
            let recorder = Recorder()
            let timer = Timer(kind: 1)
            wheel.arm(timer, at: at(delay), target: recorder)
            wheel.advance(to: at(delay - 1))
            #expect(recorder.fired.isEmpty, "early for \(delay)")
            wheel.advance(to: at(delay + 1))
            #expect(recorder.fired == [1], "not fired for \(delay)")
            #expect(wheel.count == 0)
        }
    }

    @Test("random arming, moving and cancelling agrees with a sorted list (200 seeds)")
    func agreesWithModel() {
        for seed in 0..<200 {
            var generator = SplitMix(state: UInt64(seed))
            let wheel = TimerWheel(now: start)
            let recorder = Recorder()
            let timers = (0..<20).map { Timer(kind: $0) }
            var due: [Int: UInt64] = [:]
            var now: UInt64 = 0
            for _ in 0..<300 {
                let which = Int(generator.next() % 20)
                switch generator.next() % 4 {
                case 0, 1:
                    let delay =
                        1 + generator.next() % [3, 70, 5000, 300_000][Int(generator.next() % 4)]
                    wheel.arm(timers[which], at: at(now + delay), target: recorder)
                    due[which] = now + delay
                case 2:
                    wheel.cancel(timers[which])
                    due[which] = nil
                default:
                    now += generator.next() % [2, 100, 10_000][Int(generator.next() % 3)]
                    recorder.fired = []
                    wheel.advance(to: at(now))
                    // One tick of lateness is allowed, none of earliness.
                    let fired = Set(recorder.fired)
                    for (timer, deadline) in due {
                        if fired.contains(timer) { #expect(deadline <= now) }
                        if !fired.contains(timer) { #expect(deadline + 1 > now, "seed \(seed)") }
                    }
                    for timer in fired { due[timer] = nil }
                }
                #expect(wheel.count == due.count)
                if let next = wheel.nextDeadline(), let earliest = due.values.min() {
                    #expect(next <= at(earliest + 1), "would oversleep, seed \(seed)")
                }
            }
        }
    }

    @Test("a callback may cancel its neighbour and arm itself again")
    func reentrant() {
        let wheel = TimerWheel(now: start)
        let recorder = Recorder()
        let timers = [Timer(kind: 0), Timer(kind: 1)]
        recorder.onFire = { fired in
            wheel.cancel(timers[1 - fired.kind])
            wheel.arm(fired, at: self.at(10), target: recorder)
        }
        for timer in timers { wheel.arm(timer, at: at(5), target: recorder) }
        wheel.advance(to: at(6))
        #expect(recorder.fired.count == 1)
        #expect(wheel.count == 1)
        recorder.onFire = nil
        wheel.advance(to: at(11))
        #expect(recorder.fired.count == 2)
    }

    @Test("nothing armed means no deadline, however far the clock moved")
    func empty() {
        let wheel = TimerWheel(now: start)
        wheel.advance(to: at(1_000_000_000))
        #expect(wheel.nextDeadline() == nil)
    }
}

struct SplitMix: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
