import MeshModel
import Testing
import Time

@testable import Traffic

struct OutlierProbationTests {
    @Test("an ejection that is over becomes probation, for those who ask and for those who wait")
    func ejectionEnds() throws {
        var (detector, until) = try ejected()
        #expect(detector.nextDue == ms(1_000))
        #expect(detector.advance(now: ms(1_000)).isEmpty)
        let before = MonotonicTime(nanoseconds: until.nanoseconds - 1)
        #expect(detector.advance(now: before).isEmpty)
        #expect(detector.standing(0, now: before) == .ejected(until: until))
        #expect(detector.standing(0, now: until) == .probation(isProbing: false))
        #expect(detector.advance(now: until) == [.probation(0)])
        #expect(detector.standing(0, now: until) == .probation(isProbing: false))
        #expect(detector.setAsideCount == 1)
    }

    @Test("one request probes, and its success restores with clean counts")
    func success() throws {
        var (detector, until) = try ejected()
        detector.beginProbe(0, now: until)
        #expect(detector.standing(0, now: until) == .probation(isProbing: true))
        #expect(detector.endProbe(0, succeeded: true, now: until) == .restored)
        #expect(detector.standing(0, now: until) == .healthy)
        #expect(detector.setAsideCount == 0)
        #expect(detector.counts(0, now: until) == (successes: 0, failures: 0))
        // The five failures before are still in the window's time, but are not counted any more.
        for _ in 0..<4 { #expect(detector.record(0, isFailure: true, now: until) == nil) }
        #expect(detector.record(0, isFailure: true, now: until)?.count == 2)
    }

    @Test("a failed probe ejects again, for longer")
    func failure() throws {
        var (detector, until) = try ejected()
        detector.beginProbe(0, now: until)
        guard case .ejected(let again) = detector.endProbe(0, succeeded: false, now: until) else {
            Issue.record("not ejected")
            return
        }
        #expect(again.count == 2)
        #expect(again.until >= until + .milliseconds(4_800))
        #expect(detector.standing(0, now: until) == .ejected(until: again.until))
        #expect(detector.setAsideCount == 1)
    }

    @Test("a probe whose caller went away gives the turn to the next request")
    func lost() throws {
        var (detector, until) = try ejected()
        for _ in 0..<3 {
            detector.beginProbe(0, now: until)
            #expect(detector.endProbe(0, succeeded: nil, now: until) == .none)
            #expect(detector.standing(0, now: until) == .probation(isProbing: false))
        }
        detector.beginProbe(0, now: until)
        #expect(detector.endProbe(0, succeeded: true, now: until) == .restored)
    }

    @Test("a probe that nothing answers ejects again by time, and its late answer restores")
    func hanging() throws {
        var (detector, until) = try ejected()
        detector.beginProbe(0, now: until)
        let patience = until + .milliseconds(1_500)
        #expect(detector.nextDue == ms(1_000))
        _ = detector.advance(now: until)
        #expect(detector.standing(0, now: patience) == .probation(isProbing: true))
        let changes = detector.advance(now: patience)
        guard case .ejected(0, let again)? = changes.first, changes.count == 1 else {
            Issue.record("\(changes)")
            return
        }
        #expect(again.cause == .probe)
        #expect(again.count == 2)
        #expect(detector.endProbe(0, succeeded: true, now: patience + .seconds(1)) == .restored)
        #expect(detector.setAsideCount == 0)
    }

    @Test("the late failure or loss of a hanging probe changes nothing", arguments: [false, nil])
    func hangingFailure(succeeded: Bool?) throws {
        var (detector, until) = try ejected()
        detector.beginProbe(0, now: until)
        _ = detector.advance(now: until + .milliseconds(1_500))
        let standing = detector.standing(0, now: until + .milliseconds(1_600))
        let late = until + .milliseconds(1_600)
        #expect(detector.endProbe(0, succeeded: succeeded, now: late) == .none)
        #expect(detector.standing(0, now: late) == standing)
        #expect(detector.ejections(0) == 2)
    }

    @Test("the second of two probes counts as a request once the first has restored")
    func secondProbe() throws {
        var (detector, until) = try ejected()
        detector.beginProbe(0, now: until)
        detector.beginProbe(0, now: until)
        #expect(detector.endProbe(0, succeeded: true, now: until) == .restored)
        #expect(detector.endProbe(0, succeeded: false, now: until) == .none)
        #expect(detector.consecutiveFailures(0) == 1)
        #expect(detector.endProbe(0, succeeded: nil, now: until) == .none)
        #expect(detector.consecutiveFailures(0) == 1)
        #expect(detector.setAsideCount == 0)
    }

    @Test("a probe of a healthy endpoint is a request")
    func probeOfHealthy() {
        var detector = OutlierDetector(.default, count: 2, seed: 1)
        detector.beginProbe(0, now: ms(1))
        #expect(detector.standing(0, now: ms(1)) == .healthy)
        #expect(detector.endProbe(0, succeeded: true, now: ms(1)) == .none)
        #expect(detector.counts(0, now: ms(1)) == (successes: 1, failures: 0))
    }

    @Test("requests that were sent before an ejection neither lengthen it nor end it")
    func stragglers() throws {
        var (detector, until) = try ejected()
        for isFailure in [true, false, true, true, true, true, true] {
            #expect(detector.record(0, isFailure: isFailure, now: ms(1_000)) == nil)
        }
        #expect(detector.standing(0, now: ms(1_000)) == .ejected(until: until))
        #expect(detector.ejections(0) == 1)
    }

    @Test("a clock that stands still ends no ejection and traps nothing")
    func standingClock() throws {
        var (detector, until) = try ejected()
        for _ in 0..<10_000 {
            _ = detector.record(1, isFailure: true, now: ms(0))
            _ = detector.record(2, isFailure: false, now: ms(0))
            #expect(detector.advance(now: ms(0)).isEmpty)
        }
        #expect(detector.standing(0, now: ms(0)) == .ejected(until: until))
    }

    @Test("the end of time traps nothing")
    func endOfTime() {
        var detector = OutlierDetector(.default, count: 4, seed: 1)
        let end = MonotonicTime.distantFuture
        for _ in 0..<10 { _ = detector.record(0, isFailure: true, now: end) }
        #expect(detector.setAsideCount == 1)
        _ = detector.advance(now: end)
        detector.beginProbe(0, now: end)
        detector.endProbe(0, succeeded: true, now: end)
        _ = detector.record(0, isFailure: true, now: end)
        _ = detector.advance(now: end)
    }

    // MARK: Changes of the list

    @Test("an ejection goes along with its endpoint")
    func remapEjected() throws {
        var (detector, until) = try ejected()
        #expect(detector.remap([nil, 2, 0, 1], now: ms(500)).isEmpty)
        #expect(detector.count == 4)
        #expect(detector.standing(2, now: ms(500)) == .ejected(until: until))
        for index in [0, 1, 3] { #expect(detector.standing(index, now: ms(500)) == .healthy) }
        #expect(detector.setAsideCount == 1)
        _ = detector.advance(now: ms(1_000))
        #expect(detector.advance(now: until) == [.probation(2)])
        detector.beginProbe(2, now: until)
        detector.remap([2, 0, 1], now: until)
        #expect(detector.standing(0, now: until) == .probation(isProbing: true))
        #expect(detector.endProbe(0, succeeded: true, now: until) == .restored)
    }

    @Test("counts go along with their endpoint, and a new one has none")
    func remapCounts() {
        var detector = OutlierDetector(.default, count: 2, seed: 1)
        _ = fail(&detector, 1, 4, at: 1)
        succeed(&detector, 0, 3, at: 1)
        detector.remap([1, nil, 0], now: ms(1_000))
        #expect(detector.consecutiveFailures(0) == 4)
        #expect(detector.counts(1, now: ms(1_000)) == (successes: 0, failures: 0))
        #expect(detector.counts(2, now: ms(1_000)) == (successes: 3, failures: 0))
        #expect(fail(&detector, 0, 1, at: 1)?.cause == .consecutiveFailures(5))
    }

    @Test("an ejected endpoint that leaves takes its ejection with it")
    func remapRemoved() throws {
        var (detector, _) = try ejected()
        detector.remap([1, 2], now: ms(500))
        #expect(detector.setAsideCount == 0)
        var passes = 0
        while let due = detector.nextDue, passes < 100 {
            passes += 1
            #expect(detector.advance(now: due).isEmpty)
        }
        #expect(passes < 100)
    }

    @Test("the last endpoint of a list is restored, whatever it did")
    func remapLast() throws {
        var (detector, _) = try ejected()
        #expect(detector.remap([0], now: ms(500)) == [0])
        #expect(detector.standing(0, now: ms(500)) == .healthy)
        #expect(detector.setAsideCount == 0)
    }

    @Test("of too many set aside in a shorter list those return that would be first")
    func remapExcess() {
        var detector = OutlierDetector(.default, count: 8, seed: 9)
        for index in 0..<4 { _ = fail(&detector, index, 5, at: index * 2) }
        #expect(detector.setAsideCount == 4)
        #expect(detector.remap([3, 2, 1, 0], now: ms(6_500)) == [3, 2])
        #expect(detector.setAsideCount == 2)
        #expect(detector.remap([], now: ms(6_500)).isEmpty)
        #expect(detector.setAsideCount == 0)
        #expect(detector.remap([nil, nil], now: ms(6_500)).isEmpty)
        #expect(detector.count == 2)
    }

    /// Endpoint 0 of three ejected at 0 s.
    private func ejected() throws -> (OutlierDetector, MonotonicTime) {
        var detector = OutlierDetector(.default, count: 3, seed: 4)
        let ejection = try #require(fail(&detector, 0, 5, at: 0))
        return (detector, ejection.until)
    }
}
