import HTTP
import MeshModel
import Telemetry
import Testing

@testable import mesh_proxy

struct TrafficReporterTests {
    @Test("each watch is answered with the sum over the workers, in the order asked")
    func counts() throws {
        let workers = [WorkerMetrics(), WorkerMetrics()]
        let watches = try ["orders-v2", "none"].map { cluster in
            try #require(
                TrafficWatch(
                    name: "of-\(cluster)",
                    service: "orders",
                    cluster: cluster,
                    routes: ["orders"]
                )
            )
        }
        for worker in workers { worker.watch(TrafficReporter.keys(of: watches)) }
        for (index, worker) in workers.enumerated() {
            let key = RequestSeriesKey(
                direction: .outbound,
                service: "orders",
                route: "orders",
                cluster: "orders-v2"
            )
            worker.series(for: key).record(
                method: .get,
                status: index == 0 ? 200 : 500,
                duration: 1_000_000,
                requestBytes: 0,
                responseBytes: 0,
                flag: nil
            )
        }
        let counts = TrafficReporter.counts(of: watches, in: workers.map { $0.snapshot() })
        #expect(counts.map(\.name) == ["of-orders-v2", "of-none"])
        #expect(counts.map(\.requests) == [2, 0])
        #expect(counts.map(\.failures) == [1, 0])
        #expect(counts.map(\.nanoseconds) == [2_000_000, 0])
        #expect(counts[0].buckets.reduce(0, +) == 2)
    }

    @Test("without workers there is nothing, in as many buckets as the protocol has")
    func none() throws {
        let watch = try #require(
            TrafficWatch(name: "a", service: "orders", cluster: "orders", routes: [])
        )
        let counts = TrafficReporter.counts(of: [watch], in: [])
        #expect(counts.map(\.requests) == [0])
        #expect(counts[0].buckets.count == TrafficCount.bucketCount)
    }
}
