import HTTP
import Testing

@testable import Telemetry

struct WatchedTrafficTests {
    @Test("the named routes to one cluster of a service are summed over workers, and nothing else")
    func sums() {
        var total = MetricsSnapshot()
        for _ in 0..<2 {
            let worker = WorkerMetrics()
            record(worker, route: "orders/0", status: 200)
            record(worker, route: "orders/1", status: 503)
            record(worker, route: "orders/other", status: 500)
            record(worker, route: "orders/0", cluster: "orders-v1", status: 500)
            record(worker, route: "orders/0", service: "users", status: 500)
            record(worker, route: "orders/0", direction: .inbound, status: 500)
            total.merge(worker.snapshot())
        }
        let traffic = watched(total)
        #expect(traffic.requests == 4)
        #expect(traffic.failures == 2)
        #expect(traffic.nanoseconds == 4 * 3_000_000)
        #expect(traffic.buckets.reduce(0, +) == 4)
        // 2...4 ms
        #expect(traffic.buckets[4] == 4)
    }

    @Test("no response is a failure, a 4xx is none, and a client that left is nothing")
    func outcomes() {
        let worker = WorkerMetrics()
        record(worker, route: "orders/0", status: 0, flag: .upstreamReset)
        record(worker, route: "orders/0", status: 404)
        record(worker, route: "orders/0", status: 429)
        record(worker, route: "orders/0", status: 0, flag: .downstreamClosed)
        record(worker, route: "orders/0", status: 502, flag: .downstreamClosed)
        let traffic = watched(worker.snapshot())
        #expect(traffic.requests == 3)
        #expect(traffic.failures == 1)
    }

    @Test("a call that failed in a good response is a failure")
    func failedCalls() {
        let worker = WorkerMetrics()
        record(worker, route: "orders/0", status: 200, hasFailedCall: true)
        record(worker, route: "orders/0", status: 200)
        var total = worker.snapshot()
        total.merge(worker.snapshot())
        #expect(watched(total).requests == 4)
        #expect(watched(total).failures == 2)
    }

    @Test("a route named twice is counted once, an unknown one not at all")
    func names() {
        let worker = WorkerMetrics()
        record(worker, route: "orders/0", status: 200)
        let snapshot = worker.snapshot()
        let traffic = snapshot.watchedTraffic(
            service: "orders",
            cluster: "orders-v2",
            routes: ["orders/0", "orders/0", "none"]
        )
        #expect(traffic.requests == 1)
        let none = snapshot.watchedTraffic(service: "orders", cluster: "none", routes: ["orders/0"])
        #expect(none.requests == 0)
        #expect(none.buckets.count == 19)
    }

    private func watched(_ snapshot: MetricsSnapshot) -> WatchedTraffic {
        snapshot.watchedTraffic(
            service: "orders",
            cluster: "orders-v2",
            routes: ["orders/0", "orders/1"]
        )
    }

    private func record(
        _ worker: WorkerMetrics,
        route: String,
        service: String = "orders",
        cluster: String = "orders-v2",
        direction: Direction = .outbound,
        status: Int,
        flag: ResponseFlag? = nil,
        hasFailedCall: Bool = false
    ) {
        let key = RequestSeriesKey(
            direction: direction,
            service: service,
            route: route,
            cluster: cluster
        )
        worker.series(for: key).record(
            method: .get,
            status: status,
            duration: 3_000_000,
            requestBytes: 0,
            responseBytes: 0,
            flag: flag,
            hasFailedCall: hasFailedCall
        )
    }
}
