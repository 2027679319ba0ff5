import MeshModel
import Testing
import Time

@testable import Traffic

struct OutlierTimelineTests {
    /// What a broken endpoint does to requests.
    enum Breakage: CaseIterable {
        /// Answers 503 after 2 ms.
        case errors
        /// Swallows everything: connections fail after the timeout of a second.
        case blackHole
        /// Keeps connections and answers nothing; callers have no timeout at all.
        case silence
    }

    @Test(
        "a broken endpoint is out within two seconds and back within ten of its recovery",
        arguments: Breakage.allCases
    )
    func outAndBack(breakage: Breakage) {
        // Out for a moment, for long, and for very long: growth must not keep it away.
        for (seconds, seeds) in [(5, 40), (61, 10), (600, 2)] {
            for seed in 0..<seeds {
                var timeline = OutlierTimeline(breakage, seed: UInt64(seed))
                timeline.run(until: ms(10_000), isBroken: false)
                #expect(timeline.ejectedAt == nil)
                timeline.run(until: ms(10_000 + seconds * 1_000), isBroken: true)
                if breakage == .silence {
                    // Nothing fails where nothing times out: balancing must keep away from it.
                    #expect(timeline.ejectedAt == nil)
                    continue
                }
                guard let ejectedAt = timeline.ejectedAt else {
                    Issue.record("never ejected, seed \(seed)")
                    continue
                }
                #expect(ejectedAt <= ms(12_000), "seed \(seed)")
                #expect(timeline.lostToProbes <= 1 + seconds / 4)
                timeline.restoredAt = nil
                let recovery = ms(10_000 + seconds * 1_000)
                timeline.run(until: recovery + .seconds(20), isBroken: false)
                guard let restoredAt = timeline.restoredAt else {
                    Issue.record("never restored, seed \(seed)")
                    continue
                }
                #expect(restoredAt <= recovery + .seconds(10), "seed \(seed), \(seconds) s")
                #expect(timeline.detector.setAsideCount == 0)
            }
        }
    }

    @Test("an endpoint that falls silent while it is set aside is back within ten seconds too")
    func silentProbes() {
        for seed in 0..<20 {
            var timeline = OutlierTimeline(.errors, seed: UInt64(seed))
            timeline.run(until: ms(5_000), isBroken: true)
            timeline.breakage = .silence
            timeline.run(until: ms(65_000), isBroken: true)
            timeline.restoredAt = nil
            timeline.run(until: ms(85_000), isBroken: false)
            #expect(timeline.restoredAt.map { $0 <= ms(75_000) } == true, "seed \(seed)")
        }
    }

    @Test("of 10,000 endpoints those that fail are ejected, in time that does not grow with all")
    func manyEndpoints() {
        let count = 10_000
        var detector = OutlierDetector(.default, count: count, seed: 1)
        var ejected = 0
        for second in 0..<20 {
            for index in 0..<count {
                let isFailure = index % 100 == 0
                for _ in 0..<2 {
                    if detector.record(index, isFailure: isFailure, now: ms(second * 1_000)) != nil
                    {
                        ejected += 1
                    }
                }
            }
            for change in detector.advance(now: ms(second * 1_000)) {
                guard case .probation(let index) = change else { continue }
                #expect(index % 100 == 0)
            }
        }
        #expect(ejected == 100)
        #expect(detector.setAsideCount == 100)
    }

    @Test("whatever happens, the counts agree and the bound is kept", arguments: 0..<30)
    func anything(seed: Int) {
        var random = FastRandom(seed: UInt64(seed))
        var count = Int.random(in: 1...12, using: &random)
        var detector = OutlierDetector(
            .default,
            count: count,
            suspects: seed % 2 == 0,
            seed: UInt64(seed)
        )
        var now = ms(1)
        for _ in 0..<5_000 {
            let index = Int.random(in: 0..<count, using: &random)
            switch Int.random(in: 0..<40, using: &random) {
            case 0:
                let old = count
                count = Int.random(in: 1...12, using: &random)
                let order = (0..<old).shuffled(using: &random)
                detector.remap((0..<count).map { $0 < old ? order[$0] : nil }, now: now)
            case 1...4: detector.beginProbe(index, now: now)
            case 5...8:
                let outcome: Bool? = [true, false, nil].randomElement(using: &random) ?? nil
                detector.endProbe(index, succeeded: outcome, now: now)
            case 9...12: now = now + .milliseconds(Int.random(in: 0...4_000, using: &random))
            case 13...16:
                let due = detector.nextDue
                _ = detector.advance(now: now)
                if let next = detector.nextDue, let due, due > now { #expect(next == due) }
            default:
                let isFailure = Int.random(in: 0..<3, using: &random) > 0
                let ejection = detector.record(index, isFailure: isFailure, now: now)
                if let ejection {
                    #expect(ejection.until > now && ejection.until <= now + .seconds(8))
                    #expect(detector.standing(index, now: now) == .ejected(until: ejection.until))
                }
            }
            let standings = (0..<count).map { detector.standing($0, now: now) }
            #expect(standings.count { $0 != .healthy } == detector.setAsideCount)
            #expect(detector.setAsideCount <= detector.setAsideMax)
            for case .ejected(let until) in standings { #expect(until <= now + .seconds(8)) }
        }
    }
}

/// Three endpoints, of which the first breaks, and a caller with 100 requests a second that takes
/// them in turn, except where the detector has set one aside.
private struct OutlierTimeline {
    var detector: OutlierDetector
    var breakage: OutlierTimelineTests.Breakage
    var ejectedAt: MonotonicTime?
    var restoredAt: MonotonicTime?
    var lostToProbes = 0
    private var pending: [Pending] = []
    private var now = ms(0)
    private var turn = 0

    private struct Pending {
        let index: Int
        let isProbe: Bool
        let isSuccess: Bool
        let at: MonotonicTime
    }

    init(_ breakage: OutlierTimelineTests.Breakage, seed: UInt64) {
        detector = OutlierDetector(.default, count: 3, seed: seed)
        self.breakage = breakage
    }

    mutating func run(until end: MonotonicTime, isBroken: Bool) {
        while now < end {
            now = now + .milliseconds(10)
            for ended in pending where ended.at <= now { finish(ended) }
            pending.removeAll { $0.at <= now }
            _ = detector.advance(now: now)
            send(isBroken: isBroken)
        }
    }

    private mutating func send(isBroken: Bool) {
        for _ in 0..<3 {
            turn = (turn + 1) % 3
            switch detector.standing(turn, now: now) {
            case .healthy: begin(turn, isProbe: false, isBroken: isBroken)
            case .probation(isProbing: false):
                detector.beginProbe(turn, now: now)
                begin(turn, isProbe: true, isBroken: isBroken)
            case .probation(isProbing: true), .ejected: continue
            }
            return
        }
    }

    private mutating func begin(_ index: Int, isProbe: Bool, isBroken: Bool) {
        let isFailure = isBroken && index == 0
        if isFailure, isProbe { lostToProbes += 1 }
        let duration: Duration
        switch (isFailure, breakage) {
        case (false, _), (true, .errors): duration = .milliseconds(2)
        case (true, .blackHole): duration = .seconds(1)
        case (true, .silence): return
        }
        pending.append(
            Pending(index: index, isProbe: isProbe, isSuccess: !isFailure, at: now + duration)
        )
    }

    private mutating func finish(_ ended: Pending) {
        if ended.isProbe {
            let result = detector.endProbe(ended.index, succeeded: ended.isSuccess, now: now)
            if result == .restored { restoredAt = now }
        } else if detector.record(ended.index, isFailure: !ended.isSuccess, now: now) != nil {
            ejectedAt = ejectedAt ?? now
        }
    }
}
