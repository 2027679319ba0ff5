import MeshModel
import Simulation
import Testing
import Time
import Traffic

/// What nobody waits for to its end says something too: hedges, and no timeout at all.
@Suite struct SilenceTests {
    @Test("Behind hedges a black hole gets next to nothing, though nothing ever times out")
    func hedgedBlackHole() throws {
        for seed in UInt64(0)..<20 {
            let record = try run(.blackHole, hedge: .milliseconds(10), seed: seed)
            #expect(share(record) < 0.04, "seed \(seed)")
            #expect(failures(record) == 0, "seed \(seed)")
            #expect(served(record) >= 5, "seed \(seed)")
        }
    }

    @Test("An endpoint that is only slower than its hedges is avoided, not ejected")
    func hedgedSlowness() throws {
        for seed in UInt64(0)..<20 {
            let record = try run(.slow(factor: 20), hedge: .milliseconds(10), seed: seed)
            #expect(share(record) < 0.05, "seed \(seed)")
            #expect(record.standings.isEmpty, "seed \(seed)")
            #expect(served(record) >= 5, "seed \(seed)")
        }
    }

    @Test("Without any timeout a black hole gets no more than its neighbours have under way")
    func silence() throws {
        for seed in UInt64(0)..<20 {
            let record = try run(.blackHole, hedge: nil, seed: seed)
            let swallowed = record.attempts.count {
                $0.endpoint == 0 && $0.start >= Self.from && $0.start < Self.until
            }
            // Of 1,200 requests; what is under way there raises its load with each.
            #expect(swallowed <= 12, "seed \(seed)")
        }
    }

    // MARK: Parts

    private static let from = MonotonicTime.seconds(2)
    private static let until = MonotonicTime.seconds(8)

    private func run(
        _ kind: EndpointFault.Kind,
        hedge: Duration?,
        seed: UInt64
    ) throws -> RunRecord {
        let mesh = TestMesh(retry: RetryPolicy(hedge: hedge.map { Hedge(delay: $0) }))
        let scenario = Scenario(
            duration: .seconds(18),
            callers: [
                CallerLoad(
                    workload: try TestMesh.id(0),
                    request: SimulatedRequest(host: "s1"),
                    arrivals: .poisson(perSecond: 200)
                )
            ],
            applications: [
                ApplicationBehaviour(
                    service: TestMesh.name(1),
                    serviceTime: .exponential(mean: .milliseconds(5))
                )
            ],
            faults: [
                EndpointFault(
                    service: TestMesh.name(1),
                    endpoint: TestMesh.endpoint(1, 0),
                    from: .seconds(2),
                    until: .seconds(8),
                    kind: kind
                )
            ]
        )
        return try Simulation(snapshots: mesh.snapshots(), scenario: scenario, seed: seed).run()
    }

    /// The bad endpoint's share of the attempts from a second after its trouble began.
    private func share(_ record: RunRecord) -> Double {
        let attempts = record.attempts.filter {
            $0.start >= Self.from + .seconds(1) && $0.start < Self.until
        }
        return Double(attempts.count { $0.endpoint == 0 }) / Double(attempts.count)
    }

    private func failures(_ record: RunRecord) -> Int {
        record.requests.count { $0.start >= Self.from + .seconds(1) && $0.end == .failed }
    }

    /// What it got in the ten seconds after its recovery.
    private func served(_ record: RunRecord) -> Int {
        record.attempts.count { $0.endpoint == 0 && $0.start >= Self.until }
    }
}
