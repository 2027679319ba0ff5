import Foundation
import MeshModel
import Simulation
import Testing
import Time

@Suite struct ExperimentTests {
    @Test func timing() throws {
        let mesh = TestMesh(retry: RetryPolicy(statuses: [503]))
        let scenario = Scenario(
            duration: .seconds(20),
            callers: [
                CallerLoad(
                    workload: try TestMesh.id(0),
                    request: SimulatedRequest(host: "s1"),
                    arrivals: .poisson(perSecond: 200)
                )
            ],
            applications: [ApplicationBehaviour(service: "s1.default", serviceTime: .lognormal(median: .milliseconds(5), p99: .milliseconds(40)))],
            faults: [
                EndpointFault(service: "s1.default", endpoint: TestMesh.endpoint(1, 0), from: .seconds(5), until: .seconds(10), kind: .errors(share: .all, status: 503, grpcCode: 14))
            ]
        )
        let t = Date()
        let record = try Simulation(snapshots: mesh.snapshots(), scenario: scenario, seed: 1).run()
        print("XX", Date().timeIntervalSince(t), record.requests.count, record.eventCount)
        let r = RunReport(record, of: scenario)
        print("XX", r.total, r.upstream, r.localReplies)
        for s in record.standings { print("XX", Double(s.time.nanoseconds)/1e9, record.clusters[s.cluster].worker, s.event) }
    }
}
