import MeshModel
import Testing
import Time

@testable import Traffic

struct CanaryRunTests {
    private let plan = CanaryPlan(
        steps: percents(10, 50),
        interval: .seconds(10),
        minimumSample: 50,
        badJudgementsMax: 2
    )

    private let hourly = CanaryPlan(
        steps: percents(10, 50),
        interval: .seconds(3_600),
        minimumSample: 50
    )

    @Test("a good canary goes step by step, an interval each, and is promoted after the last")
    func promotion() {
        var clock = Timeline(CanaryRun(plan: plan))
        #expect(clock.run.share == Share(percent: 10))
        #expect(clock.run.untilJudgement == .seconds(10))
        #expect(clock.advance(9.9, good) == nil)
        #expect(clock.advance(0.1, good)?.action == .advanced)
        #expect(clock.run.share == Share(percent: 50))
        #expect(clock.run.state.window == CanaryWindow())
        #expect(clock.advance(9.9, good) == nil)
        let last = clock.advance(0.1, good)
        #expect(last?.action == .promoted)
        #expect(last?.text == "canary 100 % of 200, baseline 100 % of 400: as good: promoted")
        #expect(clock.run.share == Share(percent: 100))
        #expect(clock.run.untilJudgement == nil)
        #expect(clock.advance(1_000, bad) == nil)
        #expect(clock.run.share == Share(percent: 100))
    }

    @Test("the text of a step tells where it goes")
    func stepText() {
        var clock = Timeline(CanaryRun(plan: plan))
        #expect(
            clock.advance(10, good)?.text
                == "canary 100 % of 100, baseline 100 % of 200: as good: step 2 of 2, 50 %"
        )
    }

    @Test("a canary of which half fails goes back with the minimum sample, not the interval")
    func clearlyBad() {
        var clock = Timeline(CanaryRun(plan: hourly))
        #expect(clock.advance(1, window(49, 25, 400, 0)) == nil)
        let event = clock.advance(1, window(1, 1, 10, 0))
        #expect(event?.action == .rolledBack)
        #expect(clock.run.share == Share(percent: 0))
        #expect(clock.run.state.phase == .rolledBack)
        #expect(
            event?.text == "canary 48 % of 50, baseline 100 % of 410: "
                + "worse by more than 1 %: rolled back"
        )
    }

    @Test("a version that breaks late in a long good interval goes back as soon as that shows")
    func breaksLate() {
        var clock = Timeline(CanaryRun(plan: hourly))
        for _ in 0..<3_000 { #expect(clock.advance(1, window(50, 0, 450, 0)) == nil) }
        var seconds = 0
        var event: CanaryEvent?
        while event == nil, seconds < 10 {
            event = clock.advance(1, window(50, 30, 450, 0))
            seconds += 1
        }
        #expect(event?.action == .rolledBack)
        #expect(seconds == 1)
    }

    @Test("slightly worse beyond chance warns, and rolls back the second time in a row")
    func warning() {
        var clock = Timeline(CanaryRun(plan: plan))
        let worse = window(1_000, 22, 9_000, 9)
        let first = clock.advance(10, worse)
        #expect(first?.action == .warned)
        #expect(clock.run.share == Share(percent: 10))
        #expect(clock.run.state.badJudgements == 1)
        #expect(clock.advance(9, worse) == nil)
        #expect(clock.advance(1, window(0, 0, 0, 0))?.action == .rolledBack)
    }

    @Test("a good judgement in between forgives a bad one")
    func forgiven() {
        var clock = Timeline(CanaryRun(plan: plan))
        let worse = window(1_000, 22, 9_000, 9)
        #expect(clock.advance(10, worse)?.action == .warned)
        #expect(clock.advance(10, good)?.action == .advanced)
        #expect(clock.advance(10, worse)?.action == .warned)
        #expect(clock.run.share == Share(percent: 50))
    }

    @Test("thin traffic holds, says so once, and goes on when there is enough")
    func thin() {
        var clock = Timeline(CanaryRun(plan: plan))
        #expect(clock.advance(9, window(30, 30, 30, 0)) == nil)
        let held = clock.advance(1, window(0, 0, 0, 0))
        #expect(held?.action == .held)
        #expect(
            held?.text == "canary 0 % of 30, baseline 100 % of 30: "
                + "fewer than 50 requests on a side: held"
        )
        #expect(clock.run.held == .zero)
        for _ in 0..<100 { #expect(clock.advance(3_600, window(0, 0, 0, 0)) == nil) }
        #expect(clock.run.share == Share(percent: 10))
        #expect(clock.run.held == .seconds(360_000))

        var second = Timeline(CanaryRun(plan: plan))
        #expect(second.advance(11, window(40, 0, 400, 0))?.action == .held)
        #expect(second.advance(1, window(10, 0, 100, 0))?.action == .advanced)
        #expect(second.run.held == nil)
    }

    @Test("a hold has an end when the plan says so, and the baseline gets everything")
    func holdMax() {
        let impatient = CanaryPlan(
            steps: percents(10),
            interval: .seconds(10),
            minimumSample: 50,
            holdMax: .seconds(60)
        )
        var clock = Timeline(CanaryRun(plan: impatient))
        #expect(clock.advance(10, window(5, 0, 5, 0))?.action == .held)
        #expect(clock.advance(59, window(5, 0, 5, 0)) == nil)
        let event = clock.advance(1, window(0, 0, 0, 0))
        #expect(event?.action == .rolledBack)
        #expect(event?.text.contains("no decision within 60.0 seconds: rolled back") == true)
        #expect(clock.run.share == Share(percent: 0))
    }

    @Test("what may be chance is judged again after another interval, with more of the sample")
    func uncertain() {
        var clock = Timeline(CanaryRun(plan: plan))
        #expect(clock.advance(10, window(100, 3, 900, 0))?.action == .held)
        #expect(clock.advance(5, window(100, 0, 900, 0)) == nil)
        #expect(clock.run.untilJudgement == .seconds(5))
        #expect(clock.advance(5, window(300, 0, 2_700, 0))?.action == .advanced)
    }

    @Test("when both sides fail alike the canary stays where it is, until they are well again")
    func outage() {
        let strict = CanaryPlan(
            steps: percents(10, 50),
            interval: .seconds(10),
            minimumSample: 50,
            successRateMin: 0.99
        )
        var clock = Timeline(CanaryRun(plan: strict))
        let outage = clock.advance(10, window(100, 60, 900, 540))
        #expect(outage?.action == .held)
        #expect(outage?.text.contains("both below 99 %") == true)
        for _ in 0..<20 { #expect(clock.advance(10, window(100, 60, 900, 540)) == nil) }
        #expect(clock.advance(10, good)?.action == .advanced)
    }

    // MARK: The operator

    @Test("a paused run keeps its share and decides nothing, and goes on with a new window")
    func pause() throws {
        var clock = Timeline(CanaryRun(plan: plan))
        _ = clock.advance(5, good)
        #expect(try clock.run.pause().text == "by an operator: paused")
        #expect(clock.advance(1_000, window(500, 500, 500, 0)) == nil)
        #expect(clock.run.share == Share(percent: 10))
        #expect(clock.run.untilJudgement == nil)
        #expect(try clock.run.resume().action == .resumed)
        #expect(clock.run.state.window == CanaryWindow())
        #expect(clock.advance(9, good) == nil)
        #expect(clock.advance(1, good)?.action == .advanced)
    }

    @Test("an operator promotes or aborts at any time before the end")
    func words() throws {
        var first = CanaryRun(plan: plan)
        #expect(try first.promote().action == .promoted)
        #expect(first.share == Share(percent: 100))
        var second = CanaryRun(plan: plan)
        _ = try second.pause()
        #expect(try second.abort().text == "by an operator: rolled back")
        #expect(second.share == Share(percent: 0))
    }

    @Test("what makes no sense now is refused with the reason")
    func refusals() throws {
        var run = CanaryRun(plan: plan)
        #expect(throws: CanaryRefusal.running) { try run.resume() }
        _ = try run.pause()
        #expect(throws: CanaryRefusal.paused) { try run.pause() }
        _ = try run.abort()
        #expect(throws: CanaryRefusal.finished(.rolledBack)) { try run.promote() }
        #expect(throws: CanaryRefusal.finished(.rolledBack)) { try run.pause() }
        #expect(throws: CanaryRefusal.finished(.rolledBack)) { try run.resume() }
        #expect(throws: CanaryRefusal.finished(.rolledBack)) { try run.abort() }
        #expect(run.share == Share(percent: 0))
    }

    // MARK: Restart

    @Test("a run goes on in the same step after a restart, and the absence is no interval")
    func restart() throws {
        var clock = Timeline(CanaryRun(plan: plan))
        _ = clock.advance(10, good)
        _ = clock.advance(4, good)
        let restored = try #require(CanaryRun(plan: plan, state: clock.run.state))
        // Another machine's clock, or the same a day later.
        var later = Timeline(restored, start: 86_400)
        #expect(later.run.share == Share(percent: 50))
        #expect(later.advance(0, good) == nil)
        #expect(later.run.untilJudgement == .seconds(6))
        #expect(later.advance(5.9, good) == nil)
        #expect(later.advance(0.1, good)?.action == .promoted)
    }

    @Test("a finished run stays finished after a restart")
    func restartFinished() throws {
        var clock = Timeline(CanaryRun(plan: plan))
        _ = try clock.run.abort()
        let restored = try #require(CanaryRun(plan: plan, state: clock.run.state))
        #expect(restored.share == Share(percent: 0))
    }

    @Test("the state of a longer plan is no state of this one")
    func foreignState() {
        var clock = Timeline(CanaryRun(plan: plan))
        _ = clock.advance(10, good)
        let short = CanaryPlan(steps: percents(10), interval: .seconds(10), minimumSample: 50)
        #expect(CanaryRun(plan: short, state: clock.run.state) == nil)
        let slow = CanaryPlan(steps: percents(10, 50), interval: .seconds(20), minimumSample: 50)
        #expect(CanaryRun(plan: slow, state: clock.run.state) == nil)
    }

    @Test("steps are shares that rise, from 1 to 99 per cent")
    func steps() {
        #expect(CanaryPlan.areSteps(percents(1, 99)))
        #expect(!CanaryPlan.areSteps(percents()))
        #expect(!CanaryPlan.areSteps(percents(0, 5)))
        #expect(!CanaryPlan.areSteps(percents(50, 100)))
        #expect(!CanaryPlan.areSteps(percents(5, 5)))
        #expect(!CanaryPlan.areSteps(percents(50, 5)))
        #expect(!CanaryPlan.areSteps((1...21).map(Share.init(percent:))))
    }

    private var good: CanaryWindow { window(100, 0, 200, 0) }
    private var bad: CanaryWindow { window(100, 100, 200, 0) }
}

/// A run and its clock.
struct Timeline {
    var run: CanaryRun
    private var now: MonotonicTime

    init(_ run: CanaryRun, start: UInt64 = 0) {
        self.run = run
        now = MonotonicTime(nanoseconds: start * 1_000_000_000)
        _ = self.run.advance(now: now)
    }

    mutating func advance(_ seconds: Double, _ news: CanaryWindow) -> CanaryEvent? {
        now = now.advanced(byNanoseconds: UInt64((seconds * 1e9).rounded()))
        run.record(news)
        return run.advance(now: now)
    }
}

func window(
    _ canary: UInt64,
    _ canaryFailures: UInt64,
    _ baseline: UInt64,
    _ baselineFailures: UInt64
) -> CanaryWindow {
    CanaryWindow(
        canary: counts(canary, failures: canaryFailures),
        baseline: counts(baseline, failures: baselineFailures)
    )
}

func percents(_ numbers: Int...) -> [Share] { numbers.map(Share.init(percent:)) }
