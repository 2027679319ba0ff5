import MeshModel
import Testing
import Time

@testable import Traffic

struct OutlierSuspicionTests {
    @Test("one failure and nothing after it makes a suspect, which one request probes")
    func suspect() throws {
        var detector = OutlierDetector(.default, count: 3, suspects: true, seed: 1)
        #expect(detector.record(0, isFailure: true, now: ms(0)) == nil)
        #expect(detector.advance(now: ms(799)).isEmpty)
        #expect(detector.standing(0, now: ms(799)) == .healthy)
        let due = try #require(timeOfProbation(&detector, from: 799, to: 1_201))
        #expect(due >= ms(800))
        #expect(detector.standing(0, now: due) == .probation(isProbing: false))
        #expect(detector.setAsideCount == 1)
        #expect(detector.ejections(0) == 0)
        detector.beginProbe(0, now: due)
        #expect(detector.endProbe(0, succeeded: true, now: due) == .cleared)
        #expect(detector.standing(0, now: due) == .healthy)
        #expect(detector.setAsideCount == 0)
    }

    @Test("an answer after the failure ends the suspicion")
    func answered() {
        var detector = OutlierDetector(.default, count: 3, suspects: true, seed: 1)
        _ = detector.record(0, isFailure: true, now: ms(0))
        _ = detector.record(0, isFailure: false, now: ms(500))
        #expect(timeOfProbation(&detector, from: 500, to: 20_000) == nil)
        #expect(detector.nextDue == nil)
        _ = detector.record(0, isFailure: true, now: ms(20_000))
        #expect(detector.nextDue != nil)
    }

    @Test("where balancing goes on after a failure nobody is suspected")
    func unsuspecting() {
        var detector = OutlierDetector(.default, count: 3, seed: 1)
        _ = detector.record(0, isFailure: true, now: ms(0))
        #expect(timeOfProbation(&detector, from: 0, to: 20_000) == nil)
    }

    @Test("a suspect that fails its probe is ejected, as for the first time")
    func failedProbe() throws {
        var detector = OutlierDetector(.default, count: 3, suspects: true, seed: 1)
        _ = detector.record(0, isFailure: true, now: ms(0))
        let due = try #require(timeOfProbation(&detector, from: 0, to: 2_000))
        detector.beginProbe(0, now: due)
        guard case .ejected(let ejection) = detector.endProbe(0, succeeded: false, now: due) else {
            Issue.record("not ejected")
            return
        }
        #expect(ejection.count == 1)
        #expect(ejection.until <= due + .milliseconds(3_600))
        _ = detector.advance(now: ejection.until)
        detector.beginProbe(0, now: ejection.until)
        // Now it was ejected: whoever is told of that is told of its return.
        #expect(detector.endProbe(0, succeeded: true, now: ejection.until) == .restored)
    }

    @Test("a failure that cost little is probed soon, one that cost nothing after ten milliseconds")
    func cheapFailure() throws {
        for (latency, wait) in [(0, 10), (1, 16), (20, 320)] {
            var detector = OutlierDetector(.default, count: 3, suspects: true, seed: 1)
            _ = detector.record(
                0,
                isFailure: true,
                latencyNanoseconds: UInt64(latency) * 1_000_000,
                now: ms(0)
            )
            #expect(timeOfProbation(&detector, from: 0, to: 2_000) == ms(wait))
        }
    }

    @Test("while its probes fail a suspect waits for thirds of ejections, up to the longest")
    func series() throws {
        var detector = OutlierDetector(.default, count: 3, suspects: true, seed: 1)
        var now = try #require(probationAfterFailure(&detector, at: ms(0)))
        for number in 2...40 {
            detector.beginProbe(0, now: now)
            guard case .ejected(let ejection) = detector.endProbe(0, succeeded: false, now: now)
            else {
                Issue.record("not ejected")
                return
            }
            let seconds = min(number, 7)
            #expect(ejection.until >= now + .milliseconds(min(seconds * 800, 5_333)))
            #expect(ejection.until <= now + .milliseconds(min(seconds * 1_201, 8_000)))
            now = ejection.until
            _ = detector.advance(now: now)
        }
        // Five in a row is another matter than a suspicion.
        detector.beginProbe(0, now: now)
        #expect(detector.endProbe(0, succeeded: true, now: now) == .restored)
        for _ in 0..<4 { #expect(detector.record(0, isFailure: true, now: now) == nil) }
        let ejection = detector.record(0, isFailure: true, now: now)
        #expect(ejection.map { $0.until > now + .seconds(5) } == true)
    }

    @Test("a suspect's probe that is swallowed ends with the patience")
    func swallowedProbe() throws {
        var detector = OutlierDetector(.default, count: 3, suspects: true, seed: 1)
        _ = detector.record(0, isFailure: true, now: ms(0))
        let due = try #require(timeOfProbation(&detector, from: 0, to: 2_000))
        detector.beginProbe(0, now: due)
        guard case .ejected(0, let ejection) = detector.advance(now: due + .seconds(2)).first else {
            Issue.record("not ejected")
            return
        }
        #expect(ejection.cause == .probe)
    }

    @Test(
        "who is suspected again and again waits longer, up to the longest ejection; health forgives"
    )
    func growth() throws {
        var detector = OutlierDetector(.default, count: 3, suspects: true, seed: 1)
        var now = ms(0)
        var waits: [UInt64] = []
        for _ in 0..<12 {
            let failed = now
            now = try #require(probationAfterFailure(&detector, at: failed))
            waits.append(now.nanoseconds(since: failed) / 1_000_000)
            detector.beginProbe(0, now: now)
            detector.endProbe(0, succeeded: true, now: now)
        }
        #expect(waits[0] <= 1_201 && waits[1] >= 1_599)
        #expect(waits[11] > waits[0] && waits.allSatisfy { $0 <= 8_001 })
        let later = now + .seconds(200)
        let again = try #require(probationAfterFailure(&detector, at: later))
        #expect(again <= later + .milliseconds(1_201))
    }

    @Test("no more endpoints are suspects than may be set aside; the others wait for their turn")
    func bound() throws {
        var detector = OutlierDetector(.default, count: 3, suspects: true, seed: 1)
        for index in 0..<3 { _ = detector.record(index, isFailure: true, now: ms(0)) }
        var changes: [OutlierDetector.Change] = []
        for time in 0..<3_000 { changes += detector.advance(now: ms(time)) }
        #expect(changes.count == 1)
        #expect(detector.setAsideCount == 1)
        guard case .probation(let first) = changes.first else {
            Issue.record("nobody is suspected")
            return
        }
        detector.beginProbe(first, now: ms(3_000))
        detector.endProbe(first, succeeded: true, now: ms(3_000))
        #expect(timeOfProbation(&detector, from: 3_000, to: 4_300) != nil)
    }

    @Test("a suspicion goes with its endpoint when the list changes, and ends with it")
    func remap() {
        var detector = OutlierDetector(.default, count: 4, suspects: true, seed: 1)
        _ = detector.record(3, isFailure: true, now: ms(0))
        detector.remap([3, 1, nil], now: ms(100))
        var changes: [OutlierDetector.Change] = []
        for time in 100..<1_300 { changes += detector.advance(now: ms(time)) }
        #expect(changes == [.probation(0)])
        detector.remap([1, nil], now: ms(1_300))
        #expect(detector.setAsideCount == 0)
    }

    /// When endpoint 0, or the only one that comes, is to be probed.
    private func timeOfProbation(
        _ detector: inout OutlierDetector,
        from: Int,
        to: Int
    ) -> MonotonicTime? {
        for time in from..<to where !detector.advance(now: ms(time)).isEmpty { return ms(time) }
        return nil
    }

    private func probationAfterFailure(
        _ detector: inout OutlierDetector,
        at time: MonotonicTime
    ) -> MonotonicTime? {
        _ = detector.record(0, isFailure: true, now: time)
        for step in 0..<9_000 {
            let now = time + .milliseconds(step)
            if !detector.advance(now: now).isEmpty { return now }
        }
        return nil
    }
}
