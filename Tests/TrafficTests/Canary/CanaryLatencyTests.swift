import Foundation
import Testing
import Time

@testable import Traffic

/// How many requests it takes to tell two latencies apart, over many seeds of random traffic.
struct CanaryLatencyTests {
    private static let seeds: UInt64 = 100

    /// Requests of each version, how many times as slow the canary is, and the ratio that is allowed.
    struct Case: CustomTestStringConvertible {
        let requests: Double
        let slowness: Double
        let quantile: CanaryPlan.Latency.Quantile
        let ratio: Double

        var testDescription: String {
            "\(slowness) times at \(ratio) by \(quantile) of \(requests)"
        }
    }

    @Test(
        "a canary that is slower by more than is allowed is bad once there are so many requests",
        arguments: [
            Case(requests: 200_000, slowness: 1.6, quantile: .p99, ratio: 1.5),
            Case(requests: 10_000, slowness: 2, quantile: .p99, ratio: 1.5),
            Case(requests: 4_000, slowness: 1.6, quantile: .p50, ratio: 1.5),
            Case(requests: 60_000, slowness: 1.4, quantile: .p99, ratio: 1.25),
            Case(requests: 4_000, slowness: 1.4, quantile: .p50, ratio: 1.25),
        ]
    )
    func slower(_ test: Case) { #expect(blamed(test) >= 95) }

    @Test(
        "a canary that is slower by less is not blamed for it",
        arguments: [
            Case(requests: 300, slowness: 1.2, quantile: .p99, ratio: 1.5),
            Case(requests: 100_000, slowness: 1.2, quantile: .p99, ratio: 1.5),
            Case(requests: 1_000_000, slowness: 1.2, quantile: .p99, ratio: 1.5),
            Case(requests: 100_000, slowness: 1.4, quantile: .p99, ratio: 1.5),
            Case(requests: 100_000, slowness: 1, quantile: .p99, ratio: 1.25),
            Case(requests: 100_000, slowness: 1.1, quantile: .p50, ratio: 1.25),
            Case(requests: 300, slowness: 1.1, quantile: .p50, ratio: 1.25),
        ]
    )
    func notSlower(_ test: Case) { #expect(blamed(test) <= 1) }

    /// In how many of the seeds.
    private func blamed(_ test: Case) -> Int {
        let latency = CanaryPlan.Latency(quantile: test.quantile, ratioMax: test.ratio)
        let plan = CanaryPlan(minimumSample: 100, latency: latency)
        return (0..<Self.seeds).count { seed in
            var random = FastRandom(seed: seed &* 977 &+ 5)
            // Where in its bucket a latency lies must make no difference.
            let milliseconds = 2 * Double.random(in: 1..<2, using: &random)
            let window = CanaryWindow(
                canary: side(test.requests, milliseconds * test.slowness, &random),
                baseline: side(test.requests, milliseconds, &random)
            )
            guard case .bad = plan.judge(window, .regular).verdict else { return false }
            return true
        }
    }

    /// Requests that arrive by chance (Poisson), none faster than `milliseconds`, and half of those
    /// slower than any time slower than 1.3 times that.
    private func side(
        _ requests: Double,
        _ milliseconds: Double,
        _ random: inout FastRandom
    ) -> CanaryCounts {
        let exponent = 2.642
        func slower(than nanoseconds: Double) -> Double {
            let ratio = nanoseconds / (milliseconds * 1e6)
            return ratio <= 1 ? 1 : pow(ratio, -exponent)
        }
        var buckets: [UInt64] = []
        var sum = 0.0
        for index in 0..<CanaryCounts.bucketCount {
            let lower = index == 0 ? 0 : CanaryCounts.bound(index - 1)
            let isLast = index == CanaryCounts.bucketCount - 1
            let upper = isLast ? lower * 2 : CanaryCounts.bound(index)
            let share = slower(than: lower) - (isLast ? 0 : slower(than: upper))
            let count = poisson(requests * share, &random)
            buckets.append(UInt64(count))
            sum += count * max((lower + upper) / 2, milliseconds * 1e6)
        }
        return CanaryCounts(
            requests: buckets.reduce(0, +),
            failures: 0,
            buckets: buckets,
            nanoseconds: UInt64(sum)
        ) ?? .none
    }

    /// Knuth's method where it is exact and cheap, else the normal distribution it comes close to.
    private func poisson(_ mean: Double, _ random: inout FastRandom) -> Double {
        guard mean < 50 else {
            let normal = (0..<12).reduce(-6.0) { sum, _ in
                sum + Double.random(in: 0..<1, using: &random)
            }
            return max(0, (mean + normal * mean.squareRoot()).rounded())
        }
        let limit = exp(-mean)
        var product = Double.random(in: 0..<1, using: &random)
        var count = 0.0
        while product > limit {
            product *= Double.random(in: 0..<1, using: &random)
            count += 1
        }
        return count
    }
}
