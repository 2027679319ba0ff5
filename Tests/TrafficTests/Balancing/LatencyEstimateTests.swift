import Testing

@testable import Traffic

struct LatencyEstimateTests {
    static let second: UInt64 = 1_000_000_000

    @Test("a slower sample replaces the estimate at once")
    func peak() {
        var latency = LatencyEstimate(nanoseconds: 10, now: 0)
        latency.add(500, now: 1)
        #expect(latency.held == 500)
    }

    @Test("faster samples are followed with a time constant of ten seconds")
    func follows() {
        var latency = LatencyEstimate(nanoseconds: 1_000, now: 0)
        latency.add(0, now: 10 * Self.second)
        #expect(latency.held.isNear(1_000 * 0.367_879, within: 0.01))
        var often = LatencyEstimate(nanoseconds: 1_000, now: 0)
        for tick in 1...10_000 as ClosedRange<UInt64> { often.add(0, now: tick * 1_000_000) }
        #expect(often.held.isNear(1_000 * 0.367_879, within: 0.01))
    }

    @Test(
        "what is kept after a time is e^(−t / 10 s)",
        arguments: [
            (0.0, 1.0), (0.1, 0.990_05), (1, 0.904_84), (5, 0.606_53), (10, 0.367_88),
            (20, 0.135_34), (40, 0.018_32),
        ]
    )
    func kept(_ seconds: Double, _ expected: Double) {
        let kept = LatencyEstimate.kept(after: UInt64(seconds * 1e9))
        #expect(kept.isNear(expected, within: 0.02))
    }

    @Test("nothing is kept after very long, and no time makes it infinite or negative")
    func extremes() {
        for time in [600 * Self.second, 1 << 62, .max] {
            let kept = LatencyEstimate.kept(after: time)
            #expect(kept >= 0)
            #expect(kept < 1e-6)
        }
    }

    @Test(
        "an estimate that is not fed falls; a clock that stands still or goes back changes nothing"
    )
    func falls() {
        var latency = LatencyEstimate(nanoseconds: 1_000, now: 50 * Self.second)
        #expect(latency.value(at: 50 * Self.second) == 1_000)
        #expect(latency.value(at: 0) == 1_000)
        #expect(latency.value(at: 55 * Self.second).isNear(606.5, within: 0.02))
        latency.settle(at: 40 * Self.second)
        #expect(latency.held == 1_000)
        latency.add(10, now: 40 * Self.second)
        #expect(latency.held == 1_000)
        latency.settle(at: 55 * Self.second)
        #expect(latency.held.isNear(606.5, within: 0.02))
    }

    @Test("an estimate twenty times as high as others is below them in less than ten seconds")
    func fallsFaster() {
        let latency = LatencyEstimate(nanoseconds: 2_000, now: 0)
        #expect(latency.value(at: 6 * Self.second) > 200)
        #expect(latency.value(at: 8 * Self.second) < 100)
        #expect(latency.value(at: .max) < 1e-3)
    }

    @Test("the past of a long attempt at one endpoint is no reason to forget it")
    func held() {
        let record = EndpointRecord(id: 1, now: 0)
        record.finish(.success, 5_000_000, at: 0)
        record.start(at: 0)
        #expect(record.expectedLatency(at: 100 * Self.second) == 5e6)
        record.finish(.neutral, 0, at: 100 * Self.second)
        #expect(record.expectedLatency(at: 100 * Self.second) == 5e6)
        #expect(record.expectedLatency(at: 110 * Self.second) < 2e6)
    }

    @Test("an endpoint that was not asked for long is judged by its first answer alone")
    func firstAnswerAfterPause() {
        let record = EndpointRecord(id: 0, now: 0)
        record.start(at: 0)
        record.finish(.success, 250_000_000, at: 250_000_000)
        record.start(at: 7_000_000_000)
        record.finish(.success, 5_000_000, at: 7_005_000_000)
        #expect(record.latency.held == 5_000_000)
        record.start(at: 7_100_000_000)
        record.finish(.success, 4_000_000, at: 7_104_000_000)
        #expect(record.latency.held > 4_900_000)
    }

    @Test("the first answer after a failure ends its penalty, unless it was asked for before")
    func penalty() {
        let record = EndpointRecord(id: 0, now: 0)
        for _ in 0..<3 { record.start(at: 0) }
        record.finish(.success, 5_000_000, at: 5_000_000)
        record.finish(.failure, 250_000_000, at: 250_000_000)
        record.finish(.success, 260_000_000, at: 260_000_000)
        #expect(record.latency.held == 260_000_000)
        record.start(at: 300_000_000)
        record.finish(.success, 5_000_000, at: 305_000_000)
        #expect(record.latency.held == 5_000_000)
        record.start(at: 310_000_000)
        record.finish(.failure, 1_000, at: 310_001_000)
        #expect(record.latency.held == LatencyEstimate.start)
        record.start(at: 320_000_000)
        record.finish(.success, 4_000_000, at: 324_000_000)
        #expect(record.latency.held == 4_000_000)
    }

    @Test("an endpoint that is outpaced again and again looks slower each time, until it answers")
    func outpaced() {
        let record = EndpointRecord(id: 0, now: 0)
        record.start(at: 0)
        record.finish(.success, 5_000_000, at: 5_000_000)
        var now: UInt64 = 10_000_000
        for times in 0..<20 {
            record.start(at: now)
            now += 15_000_000
            record.finish(.outpaced, 15_000_000, at: now)
            let most = LatencyEstimate.outpacedMax
            #expect(record.latency.held == min(15_000_000 * Double(1 << times), most))
        }
        record.start(at: now)
        record.finish(.success, 5_000_000, at: now + 5_000_000)
        #expect(record.latency.held == 5_000_000)
    }

    @Test("attempts that were outpaced together are one sign of slowness, not many")
    func outpacedTogether() {
        let record = EndpointRecord(id: 0, now: 0)
        record.start(at: 0)
        record.finish(.success, 5_000_000, at: 5_000_000)
        for _ in 0..<8 { record.start(at: 10_000_000) }
        for _ in 0..<8 { record.finish(.outpaced, 15_000_000, at: 25_000_000) }
        #expect(record.latency.held == 15_000_000)
    }

    @Test("a refusal for overload is no penalty that one answer ends")
    func overload() {
        let record = EndpointRecord(id: 0, now: 0)
        record.start(at: 0)
        record.finish(.overload, 1_000_000, at: 1_000_000)
        record.start(at: 2_000_000)
        record.finish(.success, 1_000_000, at: 3_000_000)
        #expect(record.latency.held > 4e9)
    }

    @Test("absurd latencies are taken for very long ones")
    func absurd() {
        let record = EndpointRecord(id: 1, now: 0)
        record.finish(.success, .max, at: 1)
        #expect(record.latency.held > 1e18)
        #expect(record.latency.held.isFinite)
    }
}
