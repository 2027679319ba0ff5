import MeshModel
import Simulation
import Testing
import Time
import Traffic

@Suite struct SimulationTests {
    @Test("The same seed gives the same run, another one another")
    func determinism() throws {
        for seed: UInt64 in [2, 3, 5] {
            let first = try Play(seed: seed).run(seed: seed)
            let second = try Play(seed: seed).run(seed: seed)
            #expect(first.requests.map(\.nanoseconds) == second.requests.map(\.nanoseconds))
            #expect(first.attempts.map(\.endpoint) == second.attempts.map(\.endpoint))
            #expect(first.eventCount == second.eventCount)
            let other = try Play(seed: seed).run(seed: seed + 1_000_000)
            #expect(first.requests.map(\.nanoseconds) != other.requests.map(\.nanoseconds))
        }
    }

    @Test("A request takes the network's and the application's time, at every hop")
    func latency() throws {
        let mesh = TestMesh(services: 3)
        let record = try run(
            mesh,
            load: try load(.fixed(perSecond: 10)),
            applications: Play.chain(3, .constant(.milliseconds(7)), propagates: true)
        )
        #expect(record.requests.count == 10)
        #expect(record.requests.allSatisfy { $0.nanoseconds == 3 * (7 + 2) * 1_000_000 })
    }

    @Test("An application with one server works on one request after the other, then refuses")
    func queue() throws {
        let application = ApplicationBehaviour(
            service: "s1.default",
            serviceTime: .constant(.milliseconds(200)),
            concurrency: 1,
            queue: 1
        )
        let record = try run(
            TestMesh(endpoints: 1, outliers: nil),
            load: try load(.fixed(perSecond: 20)),
            applications: [application]
        )
        let served = record.requests.filter { $0.end == .succeeded }
        #expect(record.requests.count == 20)
        // Five a second, and those that were waiting at the end.
        #expect((4...7).contains(served.count))
        #expect(served.allSatisfy { (202...402).contains($0.nanoseconds / 1_000_000) })
        #expect(record.requests.filter { $0.end == .failed }.allSatisfy { $0.status == 503 })
    }

    @Test("Closed callers wait for their answers")
    func closed() throws {
        let record = try run(
            TestMesh(),
            load: try load(.closed(callers: 5, thinkTime: .milliseconds(43))),
            applications: [
                ApplicationBehaviour(
                    service: "s1.default",
                    serviceTime: .constant(.milliseconds(5))
                )
            ]
        )
        // A round is 43 + 5 + 2 ms: 20 in a second.
        #expect((95...105).contains(record.requests.count))
    }

    @Test("A crash cuts off what runs; a black hole swallows it")
    func crash() throws {
        let slow = ApplicationBehaviour(
            service: "s1.default",
            serviceTime: .constant(.milliseconds(400))
        )
        let mesh = TestMesh(
            endpoints: 1,
            retry: RetryPolicy(attempts: 0),
            request: .milliseconds(900),
            outliers: nil
        )
        func ends(_ kind: EndpointFault.Kind) throws -> RunRecord {
            try run(
                mesh,
                load: try load(.fixed(perSecond: 10)),
                applications: [slow],
                faults: [EndpointFault(service: "s1.default", from: .milliseconds(600), kind: kind)]
            )
        }
        let crashed = try ends(.crash)
        // Those that came at 200 to 500 ms are cut off at 600.
        let cut = crashed.requests.filter { $0.status == 502 }
        #expect(cut.map { $0.nanoseconds / 1_000_000 }.sorted() == [100, 200, 300, 400])
        #expect(crashed.localReplies["connect_failed"] == 4)
        let swallowed = try ends(.blackHole)
        #expect(swallowed.requests.filter { $0.status == 504 }.count == 4)
        #expect(swallowed.localReplies == ["request_timeout": 4])
    }

    @Test("A new snapshot takes effect in every worker after its spread")
    func change() throws {
        let play = try Play(seed: 0)
        #expect(play.kind == .split && play.changes.count == 1)
        let record = try play.run(seed: 0)
        #expect(record.brokenInvariants(play) == [])
        // Without the change the same expectations fail, unless the weights stay.
        let others = try (0..<40).map { try Play(seed: $0 * 7) }.filter { $0.epochs.count == 2 }
        #expect(others.count > 10)
        for var play in others.prefix(5) {
            play.changes = []
            #expect(try play.run(seed: 0).brokenInvariants(play) != [])
        }
    }

    @Test("Scenarios that name what is not there are refused")
    func mistakes() throws {
        let unknown = SimulatedRequest(host: "nowhere")
        let stranger = try #require(SPIFFEID("spiffe://mesh.internal/ns/default/sa/stranger"))
        let scenarios = [
            scenario(try load(.fixed(perSecond: 1), unknown)),
            scenario(
                CallerLoad(
                    workload: stranger,
                    request: SimulatedRequest(host: "s1"),
                    arrivals: .fixed(perSecond: 1)
                )
            ),
            scenario(
                try load(.fixed(perSecond: 1)),
                applications: [ApplicationBehaviour(service: "s2.default")]
            ),
            scenario(
                try load(.fixed(perSecond: 1)),
                faults: [
                    EndpointFault(
                        service: "s1.default",
                        endpoint: TestMesh.endpoint(1, 9),
                        from: .zero,
                        kind: .crash
                    )
                ]
            ),
        ]
        for scenario in scenarios {
            #expect(throws: SimulationError.self) {
                try Simulation(snapshots: TestMesh().snapshots(), scenario: scenario, seed: 1)
            }
        }
    }

    @Test("Services that call each other in a circle end with 508")
    func circle() throws {
        let mesh = TestMesh(endpoints: 1)
        var snapshots = try mesh.snapshots()
        // s1 may call itself.
        snapshots[1] = try MeshSnapshot(
            version: 1,
            trustDomain: snapshots[0].trustDomain,
            workload: snapshots[1].workload,
            trustBundle: [],
            inbound: snapshots[1].inbound,
            services: snapshots[0].services,
            clusters: snapshots[0].clusters
        )
        let application = ApplicationBehaviour(
            service: "s1.default",
            calls: [SimulatedRequest(host: "s1")]
        )
        let record = try Simulation(
            snapshots: snapshots,
            scenario: scenario(try load(.fixed(perSecond: 5)), applications: [application]),
            seed: 1
        ).run()
        #expect(record.requests.allSatisfy { $0.status == 508 })
        #expect(record.localReplies["loop"] == record.requests.count)
    }

    // MARK: The invariants can break

    @Test("Without a budget a chain of services that all retry breaks the bound on requests")
    func storm() throws {
        let mesh = TestMesh(
            services: 4,
            retry: RetryPolicy(
                attempts: 2,
                statuses: [503],
                backoff: Backoff(base: .milliseconds(1), max: .milliseconds(1))
            ),
            outliers: nil,
            budget: nil
        )
        func play(propagates: Bool) throws -> (Play, RunRecord) {
            let scenario = Scenario(
                duration: .seconds(1),
                callers: [try load(.fixed(perSecond: 30))],
                applications: Play.chain(4, .constant(.milliseconds(1)), propagates: propagates),
                faults: [
                    EndpointFault(
                        service: "s4.default",
                        from: .zero,
                        kind: .errors(share: .all, status: 503, grpcCode: 14)
                    )
                ]
            )
            var play = Play(.totalFailure, scenario, try mesh.snapshots())
            play.budget = RetryBudget(perSecond: 0)
            return (play, try play.run(seed: 1))
        }
        let (first, storm) = try play(propagates: false)
        #expect(storm.brokenInvariants(first).count == 10)
        let reached = storm.clusters.filter { $0.cluster == "s4.default" }
        #expect(reached.reduce(0) { $0 + $1.sent } == 81 * storm.requests.count)
        // With attempts that travel the outermost layer alone repeats.
        let (second, calm) = try play(propagates: true)
        #expect(calm.brokenInvariants(second).count == 1)
        let calmed = calm.clusters.filter { $0.cluster == "s4.default" }
        #expect(calmed.reduce(0) { $0 + $1.sent } == 3 * calm.requests.count)
    }

    @Test("Without a policy a bad endpoint breaks what must hold for callers")
    func unprotected() throws {
        var found: Set<String> = []
        for seed in stride(from: UInt64(2), to: 150, by: 7) {
            let play = try Play(seed: seed)
            #expect(play.kind == .badEndpoint)
            let record = try Simulation(
                snapshots: play.snapshots,
                scenario: play.scenario,
                seed: seed,
                isBare: true
            ).run()
            found.formUnion(play.check(record).map { String($0.prefix(16)) })
        }
        #expect(found.contains("the bad endpoint"))
        #expect(found.contains { $0.hasPrefix("0.") })
    }

    // MARK: Parts

    private func load(
        _ arrivals: CallerLoad.Arrivals,
        _ request: SimulatedRequest = SimulatedRequest(host: "s1")
    ) throws -> CallerLoad {
        CallerLoad(workload: try TestMesh.id(0), request: request, arrivals: arrivals)
    }

    private func scenario(
        _ load: CallerLoad,
        applications: [ApplicationBehaviour] = [],
        faults: [EndpointFault] = []
    ) -> Scenario {
        Scenario(
            duration: .seconds(1),
            callers: [load],
            applications: applications,
            faults: faults
        )
    }

    private func run(
        _ mesh: TestMesh,
        load: CallerLoad,
        applications: [ApplicationBehaviour] = [],
        faults: [EndpointFault] = []
    ) throws -> RunRecord {
        try Simulation(
            snapshots: mesh.snapshots(),
            scenario: scenario(load, applications: applications, faults: faults),
            seed: 1
        ).run()
    }
}
