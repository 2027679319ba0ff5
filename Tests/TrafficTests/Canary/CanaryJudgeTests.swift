import Testing
import Time

@testable import Traffic

struct CanaryJudgeTests {
    private let plan = CanaryPlan(minimumSample: 100, successRateMin: 0.95)

    @Test("the text tells both sides' numbers and what they come to")
    func text() {
        let judgement = plan.judge(
            CanaryWindow(
                canary: counts(411, failures: 36),
                baseline: counts(3_702, failures: 7)
            ),
            .regular
        )
        #expect(
            judgement.text == "canary 91.2 % of 411, baseline 99.8 % of 3,702: "
                + "worse by more than 1 %, below 95 %"
        )
    }

    @Test("equal sides are good")
    func good() {
        #expect(verdict(counts(200, failures: 1), counts(2_000, failures: 10)) == .good)
        #expect(verdict(counts(100), counts(100)) == .good)
    }

    @Test("half of the minimum sample failing is bad, at any confidence")
    func clearlyBad() {
        let window = CanaryWindow(canary: counts(100, failures: 50), baseline: counts(900))
        for confidence in [CanaryPlan.Confidence.regular, .early] {
            guard case .bad = plan.judge(window, confidence).verdict else {
                Issue.record("half of all requests failed")
                continue
            }
        }
    }

    @Test("below the minimum sample nothing is said, however bad")
    func thin() {
        #expect(
            verdict(counts(99, failures: 99), counts(5_000)) == .thin(minimumSample: 100)
        )
        #expect(verdict(.none, .none) == .thin(minimumSample: 100))
    }

    @Test("a baseline without a sample promotes nothing")
    func thinBaseline() {
        #expect(verdict(counts(5_000), counts(99)) == .thin(minimumSample: 100))
        #expect(verdict(counts(5_000), .none) == .thin(minimumSample: 100))
    }

    @Test("a canary that fails throughout is bad also against a small baseline")
    func badAgainstSmallBaseline() {
        #expect(isBad(verdict(counts(5_000, failures: 5_000), counts(20))))
    }

    @Test("worse as counted, but not beyond chance, is uncertain")
    func uncertain() {
        #expect(
            verdict(counts(100, failures: 3), counts(1_000, failures: 5))
                == .uncertain([.worseThanBaseline(dropMax: 0.01)])
        )
    }

    @Test("when both sides are below the minimum it is not the canary's fault")
    func bothBad() {
        #expect(
            verdict(counts(500, failures: 50), counts(5_000, failures: 500))
                == .bothBad(minimum: 0.95)
        )
    }

    @Test("a canary that is worse even than a failing baseline is bad")
    func worseThanFailing() {
        #expect(isBad(verdict(counts(500, failures: 400), counts(5_000, failures: 500))))
    }

    @Test("a drop that the plan allows is good, and below the minimum it is not")
    func allowedDrop() {
        let lenient = CanaryPlan(
            minimumSample: 100,
            successRateMin: 0.97,
            successRateDropMax: 0.1,
            latency: nil
        )
        let allowed = CanaryWindow(canary: counts(1_000, failures: 20), baseline: counts(9_000))
        #expect(lenient.judge(allowed, .regular).verdict == .good)
        let below = CanaryWindow(canary: counts(1_000, failures: 80), baseline: counts(9_000))
        #expect(lenient.judge(below, .regular).verdict == .bad([.belowMinimum(0.97)]))
    }

    // MARK: Latency

    @Test("an equally fast canary is good, wherever in a bucket it lies")
    func equallyFast() {
        for bucket in 0..<CanaryCounts.bucketCount {
            #expect(
                verdict(counts(500, bucket: bucket), counts(5_000, bucket: bucket)) == .good
            )
        }
    }

    @Test("a little slower is good: 15 ms and 17 ms")
    func neighbours() {
        let fast = exact(5_000, nanoseconds: 15_000_000)
        let slower = exact(500, nanoseconds: 17_000_000)
        #expect(verdict(slower, fast) == .good)
    }

    @Test("twice as slow is slower by more than half, and the text says the quantiles")
    func slower() throws {
        let latency = CanaryPlan.Latency(quantile: .p50, ratioMax: 1.5)
        let plan = CanaryPlan(minimumSample: 100, latency: latency)
        let window = CanaryWindow(
            canary: exact(500, nanoseconds: 20_000_000),
            baseline: exact(5_000, nanoseconds: 9_000_000)
        )
        let judgement = plan.judge(window, .regular)
        #expect(judgement.verdict == .bad([.slowerThanBaseline(latency)]))
        #expect(judgement.text.contains("with p50 19"))
        #expect(judgement.text.hasSuffix("slower by more than 1.5 times"))
    }

    @Test("a slow tail is found though the mean hardly moves")
    func tail() {
        var canary = exact(970, nanoseconds: 5_000_000)
        canary.add(exact(30, nanoseconds: 500_000_000))
        var baseline = exact(9_900, nanoseconds: 5_000_000)
        baseline.add(exact(100, nanoseconds: 100_000_000))
        #expect(
            verdict(canary, baseline)
                == .bad([.slowerThanBaseline(CanaryPlan.Latency())])
        )
    }

    @Test("a canary faster than the baseline is good")
    func faster() {
        #expect(
            verdict(
                exact(500, nanoseconds: 1_000_000),
                exact(5_000, nanoseconds: 50_000_000)
            ) == .good
        )
    }

    @Test("without a latency threshold a slow canary is good")
    func noThreshold() {
        let plan = CanaryPlan(minimumSample: 100, latency: nil)
        let window = CanaryWindow(
            canary: exact(500, nanoseconds: 9_000_000_000),
            baseline: exact(5_000, nanoseconds: 1_000_000)
        )
        #expect(plan.judge(window, .regular).verdict == .good)
    }

    @Test("any counts are judged without a trap")
    func arbitrary() {
        var random = FastRandom(seed: 7)
        for _ in 0..<3_000 {
            let window = CanaryWindow(canary: any(&random), baseline: any(&random))
            _ = plan.judge(window, .early).text
            _ = plan.judge(window, .regular).text
        }
    }

    private func any(_ random: inout FastRandom) -> CanaryCounts {
        func number() -> UInt64 {
            let bits = UInt64.random(in: 0...64, using: &random)
            return bits == 0 ? 0 : random.next() >> (64 - bits)
        }
        let requests = number()
        let counts = CanaryCounts(
            requests: requests,
            failures: min(requests, number()),
            buckets: (0..<CanaryCounts.bucketCount).map { _ in number() },
            nanoseconds: number()
        )
        return counts ?? .none
    }

    private func verdict(_ canary: CanaryCounts, _ baseline: CanaryCounts) -> CanaryVerdict {
        plan.judge(CanaryWindow(canary: canary, baseline: baseline), .regular).verdict
    }

    private func isBad(_ verdict: CanaryVerdict) -> Bool {
        if case .bad = verdict { true } else { false }
    }

    /// Counts whose requests took exactly this long each, as a proxy would put them in buckets.
    private func exact(_ requests: UInt64, nanoseconds: UInt64) -> CanaryCounts {
        var buckets = [UInt64](repeating: 0, count: CanaryCounts.bucketCount)
        buckets[canaryBucket(nanoseconds)] = requests
        return CanaryCounts(
            requests: requests,
            failures: 0,
            buckets: buckets,
            nanoseconds: requests * nanoseconds
        ) ?? .none
    }
}
