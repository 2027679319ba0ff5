import MeshModel
import Testing
import Time

@testable import Traffic

struct OverloadDetectorTests {
    @Test("who goes first: sheddable, then normal, critical last")
    func priorities() {
        var detector = OverloadDetector(.default)
        let shed = { (detector: OverloadDetector) in Priority.allCases.filter(detector.sheds) }
        #expect(shed(detector) == [])
        var now = 0
        run(&detector, &now, waited: 150, milliseconds: 1_050)
        #expect(shed(detector) == [.sheddable])
        run(&detector, &now, waited: 150, milliseconds: 600)
        #expect(shed(detector) == [.sheddable])
        run(&detector, &now, waited: 150, milliseconds: 100)
        #expect(shed(detector) == [.sheddable, .normal])
        run(&detector, &now, waited: 150, milliseconds: 600)
        #expect(shed(detector) == [.sheddable, .normal, .critical])
        run(&detector, &now, waited: 5_000, milliseconds: 60_000)
        #expect(detector.level == 3)
    }

    @Test("while a backlog shrinks, what is refused already is enough")
    func catchingUp() {
        var detector = OverloadDetector(.default)
        var now = 0
        run(&detector, &now, waited: 4_000, milliseconds: 1_050)
        #expect(detector.level == 1)
        for waited in stride(from: 3_900 as UInt64, to: 200, by: -10) {
            run(&detector, &now, waited: waited, milliseconds: 10)
            #expect(detector.level == 1)
        }
        // It shrinks no more.
        run(&detector, &now, waited: 200, milliseconds: 1_500)
        #expect(detector.level == 2)
    }

    @Test("exactly the target is late, a nanosecond less is not")
    func target() {
        for (waited, expected) in [(100_000_000, 1), (99_999_999, 0)] as [(UInt64, Int)] {
            var detector = OverloadDetector(.default)
            for time in 0...1_000 { detector.turn(waitedNanoseconds: waited, now: ms(time)) }
            #expect(detector.level == expected)
        }
    }

    @Test("one turn in time within each interval is no overload, however late the others")
    func bursts() {
        var detector = OverloadDetector(.default)
        for time in 0..<60_000 {
            detector.turn(
                waitedNanoseconds: time % 990 == 0 ? 99_000_000 : 900_000_000,
                now: ms(time)
            )
            #expect(detector.level == 0)
        }
    }

    @Test("one pause of the machine, however long, is no overload")
    func pause() {
        var detector = OverloadDetector(.default)
        var now = 0
        for _ in 0..<50 {
            run(&detector, &now, waited: 1, milliseconds: 500)
            now += 10_000
            detector.turn(waitedNanoseconds: 10_000_000_000, now: ms(now))
            #expect(detector.level == 0)
        }
    }

    @Test("a worker that is early for an interval takes one priority back")
    func recovery() {
        var detector = overloaded()
        var now = 10_000
        detector.turn(waitedNanoseconds: 0, now: ms(now))
        run(&detector, &now, waited: 10, milliseconds: 990)
        #expect(detector.level == 3)
        run(&detector, &now, waited: 10, milliseconds: 20)
        #expect(detector.level == 2)
        run(&detector, &now, waited: 10, milliseconds: 1_000)
        #expect(detector.level == 1)
        run(&detector, &now, waited: 10, milliseconds: 1_000)
        #expect(detector.level == 0)
        run(&detector, &now, waited: 10, milliseconds: 10_000)
        #expect(detector.level == 0)
    }

    @Test("between half the target and the target nothing changes")
    func hysteresis() {
        var detector = overloaded()
        var now = 10_000
        run(&detector, &now, waited: 50, milliseconds: 60_000)
        #expect(detector.level == 3)
        var calm = OverloadDetector(.default)
        run(&calm, &now, waited: 99, milliseconds: 60_000)
        #expect(calm.level == 0)
    }

    @Test("one turn that is not early begins the way back anew")
    func interruptedRecovery() {
        var detector = overloaded()
        var now = 10_000
        for _ in 0..<50 {
            run(&detector, &now, waited: 10, milliseconds: 900)
            detector.turn(waitedNanoseconds: 60_000_000, now: ms(now))
            #expect(detector.level == 3)
        }
    }

    @Test("a worker that slept for an interval is not overloaded when it wakes in time")
    func idle() {
        var detector = overloaded()
        detector.turn(waitedNanoseconds: 1, now: ms(3_600_000))
        #expect(detector.level == 0)
        detector = overloaded()
        // It did not sleep: the input waited meanwhile.
        detector.turn(waitedNanoseconds: 3_000_000_000, now: ms(3_600_000))
        #expect(detector.level == 3)
    }

    @Test("a clock that stands still changes nothing")
    func standingClock() {
        var detector = OverloadDetector(.default)
        for _ in 0..<10_000 { detector.turn(waitedNanoseconds: .max, now: ms(5)) }
        #expect(detector.level == 0)
        detector = overloaded()
        for _ in 0..<10_000 { detector.turn(waitedNanoseconds: 0, now: ms(10_000)) }
        #expect(detector.level == 3)
    }

    @Test("refusing keeps a worker that is asked for twice what it can from growing late")
    func closedLoop() {
        // Of what arrives a quarter is sheddable, half normal, a quarter critical; the worker does
        // 100 requests a turn of 10 ms and a refusal costs a tenth of a request.
        var detector = OverloadDetector(.default)
        var backlog = 0.0
        var refusedCritical = 0
        var waitMax: UInt64 = 0
        for turn in 0..<6_000 {
            let waited = UInt64(backlog / 100 * 10_000_000)
            if turn > 1_000 { waitMax = max(waitMax, waited) }
            detector.turn(waitedNanoseconds: waited, now: ms(turn * 10))
            for (priority, count) in [(Priority.sheddable, 50.0), (.normal, 100), (.critical, 50)] {
                let isShed = detector.sheds(priority)
                if isShed, priority == .critical { refusedCritical += 1 }
                backlog += isShed ? count / 10 : count
            }
            backlog = max(0, backlog - 100)
        }
        #expect(refusedCritical == 0)
        #expect(waitMax < 1_500_000_000)
        #expect(detector.level > 0)
    }

    /// All priorities refused at 10 s.
    private func overloaded() -> OverloadDetector {
        var detector = OverloadDetector(.default)
        var now = 0
        run(&detector, &now, waited: 200, milliseconds: 10_000)
        #expect(detector.level == 3)
        return detector
    }

    /// Turns each 10 ms.
    private func run(
        _ detector: inout OverloadDetector,
        _ now: inout Int,
        waited: UInt64,
        milliseconds: Int
    ) {
        let end = now + milliseconds
        while now < end {
            now += 10
            detector.turn(waitedNanoseconds: waited * 1_000_000, now: ms(now))
        }
    }
}
