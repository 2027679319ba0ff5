import MeshModel
import Testing
import Time

@testable import Traffic

/// Many canaries under random traffic: how seldom good ones are blamed and bad ones let through.
struct CanaryPropertyTests {
    private static let seeds: UInt64 = 100
    private let plan = CanaryPlan(
        steps: percents(5, 25, 50),
        interval: .seconds(60),
        minimumSample: 100,
        successRateMin: nil
    )

    @Test(
        "equally good versions are promoted, not blamed for noise",
        arguments: [0, 0.001, 0.01, 0.05, 0.2]
    )
    func noFalseAlarm(failureRate: Double) {
        var ends = Ends()
        for seed in 0..<Self.seeds {
            ends.add(end(seed, canary: failureRate, baseline: failureRate))
        }
        #expect(ends.rolledBack <= Int(Self.seeds) / 100, "\(ends) at \(failureRate)")
        #expect(ends.promoted >= Int(Self.seeds) * 95 / 100, "\(ends) at \(failureRate)")
    }

    @Test("versions that fail more are rolled back", arguments: [0.05, 0.1, 0.5, 1])
    func detection(failureRate: Double) {
        var ends = Ends()
        for seed in 0..<Self.seeds {
            ends.add(end(seed, canary: failureRate, baseline: 0.002))
        }
        #expect(ends.promoted == 0, "\(ends) at \(failureRate)")
        #expect(ends.rolledBack >= Int(Self.seeds) * 99 / 100, "\(ends) at \(failureRate)")
    }

    @Test("half of the requests failing shows before the first interval is over, in every case")
    func quickDetection() {
        for seed in 0..<Self.seeds {
            let end = end(seed, canary: 0.5, baseline: 0.002)
            #expect(end.phase == .rolledBack)
            // 100 requests at 5 per cent of 50 a second are there after 40 s.
            #expect(end.seconds <= 60)
        }
    }

    @Test("three times slower is rolled back, equally slow is not", arguments: [1, 3])
    func latency(times: Int) {
        var ends = Ends()
        for seed in 0..<Self.seeds {
            ends.add(end(seed, canary: 0.002, baseline: 0.002, slowness: times))
        }
        if times == 1 {
            #expect(ends.rolledBack <= Int(Self.seeds) / 100, "\(ends)")
        } else {
            #expect(ends.rolledBack >= Int(Self.seeds) * 99 / 100, "\(ends)")
        }
    }

    @Test("one seed gives one story")
    func deterministic() {
        #expect(end(3, canary: 0.03, baseline: 0.01) == end(3, canary: 0.03, baseline: 0.01))
    }

    private struct End: Equatable {
        let phase: CanaryPhase
        let seconds: Int
    }

    private struct Ends {
        var promoted = 0
        var rolledBack = 0
        var open = 0

        mutating func add(_ end: End) {
            switch end.phase {
            case .promoted: promoted += 1
            case .rolledBack: rolledBack += 1
            case .running, .paused: open += 1
            }
        }
    }

    /// 50 requests a second for up to an hour.
    private func end(
        _ seed: UInt64,
        canary: Double,
        baseline: Double,
        slowness: Int = 1
    ) -> End {
        var random = FastRandom(seed: seed &* 977 &+ 5)
        let thresholds = [canary, baseline].map { UInt64($0 * Double(1 << 32)) }
        let speeds = [Speed(slowness: slowness), Speed(slowness: 1)]
        var clock = Timeline(CanaryRun(plan: plan))
        for second in 1...3_600 {
            var sides = [Side(), Side()]
            let share = UInt64(clock.run.share.millionths)
            for _ in 0..<50 {
                let bits = random.next()
                let side = (((bits >> 32) * 1_000_000) >> 32) < share ? 0 : 1
                let isFailed = bits & 0xFFFF_FFFF < thresholds[side]
                sides[side].add(isFailed, speeds[side], random.next().trailingZeroBitCount)
            }
            let news = CanaryWindow(canary: sides[0].counts, baseline: sides[1].counts)
            if clock.advance(1, news) != nil, clock.run.state.phase.isFinished {
                return End(phase: clock.run.state.phase, seconds: second)
            }
        }
        return End(phase: clock.run.state.phase, seconds: 3_600)
    }

    /// A long tail: 2 ms, and half of the rest always 30 % more.
    private struct Speed {
        let latencies: [UInt64]
        let buckets: [Int]

        init(slowness: Int) {
            var latency = 2_000_000.0 * Double(slowness)
            var latencies: [UInt64] = []
            for _ in 0...64 {
                latencies.append(UInt64(min(latency, 1e10)))
                latency *= 1.3
            }
            self.latencies = latencies
            buckets = latencies.map(canaryBucket)
        }
    }

    private struct Side {
        private var requests: UInt64 = 0
        private var failures: UInt64 = 0
        private var nanoseconds: UInt64 = 0
        private var buckets = [UInt64](repeating: 0, count: CanaryCounts.bucketCount)

        mutating func add(_ isFailed: Bool, _ speed: Speed, _ rank: Int) {
            requests += 1
            failures += isFailed ? 1 : 0
            nanoseconds += speed.latencies[rank]
            buckets[speed.buckets[rank]] += 1
        }

        var counts: CanaryCounts {
            CanaryCounts(
                requests: requests,
                failures: failures,
                buckets: buckets,
                nanoseconds: nanoseconds
            ) ?? .none
        }
    }
}
