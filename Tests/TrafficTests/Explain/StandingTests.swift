import MeshModel
import Testing
import Time

@testable import Traffic

@Suite("Where an endpoint stands, in words")
struct StandingTests {
    private func text(_ bench: SelectorBench, _ index: Int = 0) -> String {
        bench.selector.state(index, now: bench.now).standingText(now: bench.now)
    }

    private func out(_ bench: SelectorBench, _ index: Int = 0) -> UInt64? {
        bench.selector.state(index, now: bench.now).outMilliseconds(now: bench.now)
    }

    @Test("an endpoint that is used is healthy and not out")
    func healthy() {
        let bench = SelectorBench(count: 3)
        #expect(text(bench) == "healthy")
        #expect(out(bench) == nil)
        bench.attempt(0, .failure)
        #expect(bench.selector.state(0, now: bench.now).consecutiveFailures == 1)
        #expect(text(bench) == "healthy")
    }

    @Test("from ejection through a failed probe to the return: since when, why, until when")
    func ejection() throws {
        let bench = SelectorBench(count: 3)
        bench.eject(0)
        bench.pass(milliseconds: 1_250)
        #expect(out(bench) == 1_250)
        let left = try #require(
            bench.selector.state(0, now: bench.now).ejectedMilliseconds(now: bench.now)
        )
        let seconds = "\(left / 1_000).\(left % 1_000 / 100) s"
        #expect(
            text(bench)
                == "ejected, out for 1.2 s: 5 failures in a row; one request probes it in \(seconds)"
        )
        bench.pass(milliseconds: 2_750)
        #expect(
            text(bench)
                == "probation, out for 4.0 s: 5 failures in a row; the next request probes it"
        )
        let probe = try #require(bench.pick())
        bench.selector.started(probe, now: bench.now)
        #expect(text(bench).hasSuffix("one request probes it now"))
        bench.finish(probe, .failure)
        bench.pass(milliseconds: 1_000)
        // Out since the first ejection, not since the failed probe.
        #expect(out(bench) == 5_000)
        #expect(
            text(bench).hasPrefix(
                "ejected, out for 5.0 s: the request that probed it failed; "
                    + "ejected 2 times in a row; one request probes it in "
            )
        )
        bench.pass(milliseconds: 10_000)
        let next = try #require(bench.pick())
        bench.selector.started(next, now: bench.now)
        #expect(bench.finish(next) == .restored(0))
        #expect(text(bench) == "healthy")
        #expect(out(bench) == nil)
        bench.pass(milliseconds: 1_000)
        bench.eject(0)
        #expect(out(bench) == 0)
    }

    @Test("one that fails its health checks is back when they succeed")
    func unwell() {
        let bench = SelectorBench(
            SelectorBench.members(2),
            healthCheck: HealthCheck(kind: .tcp, failuresMax: 1, successesMin: 1)
        )
        _ = bench.selector.healthChecked(0, isWell: false, now: bench.now)
        bench.pass(milliseconds: 300)
        #expect(
            text(bench)
                == "unwell, out for 0.3 s: its health checks fail; back when its health checks succeed"
        )
        // Who is out for two reasons is out since the first.
        bench.eject(0)
        #expect(out(bench) == 300)
    }

    @Test(
        "each cause has its numbers",
        arguments: [
            (EjectionCause.successRate(successes: 3, requests: 10), "only 3 of 10 succeeded"),
            (
                .deviation(success: 912_345, threshold: 950_000),
                "success of 91.2 %, below 95.0 %, far from the others"
            ),
            (.consecutiveFailures(7), "7 failures in a row"),
        ]
    )
    func causes(cause: EjectionCause, text: String) {
        #expect(cause.explained == text)
    }

    @Test("panic begins when too few are healthy")
    func panic() {
        let outliers = OutlierDetection(ejectedMax: Share(percent: 100))
        let bench = SelectorBench(count: 3, outliers: outliers)
        bench.eject(0)
        #expect(!bench.selector.isInPanic)
        bench.eject(1)
        #expect(bench.selector.isInPanic)
    }
}
