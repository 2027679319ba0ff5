import HTTP
import Testing

@testable import Telemetry

struct WatchedTrafficTests {
    @Test("the named routes to one cluster of a service are summed over workers, and nothing else")
    func sums() {
        var total = MetricsSnapshot()
        for _ in 0..<2 {
            let worker = watchedWorker()
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
        // 2.75...3 ms
        #expect(traffic.buckets[35] == 4)
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
        #expect(none.buckets.count == 145)
    }

    @Test("latencies are counted while their series is watched, whether it is there before or not")
    func precise() {
        let worker = WorkerMetrics()
        record(worker, route: "orders/0", status: 200)
        #expect(worker.snapshot().requests.values.map(\.precise) == [[]])
        worker.watch(keys)
        for route in ["orders/0", "orders/1", "orders/other"] {
            record(worker, route: route, status: 200)
        }
        let precise = worker.snapshot().requests.values.filter { !$0.precise.isEmpty }
        #expect(precise.count == 2)
        #expect(watched(worker.snapshot()).requests == 3)
        #expect(watched(worker.snapshot()).buckets.reduce(0, +) == 2)
        worker.watch([])
        record(worker, route: "orders/0", status: 200)
        #expect(watched(worker.snapshot()).requests == 4)
        #expect(watched(worker.snapshot()).buckets.reduce(0, +) == 2)
    }

    @Test("what only one worker counted precisely is in the sum, whichever comes first")
    func oneWorker() {
        let (precise, other) = (watchedWorker(), WorkerMetrics())
        for worker in [precise, other] { record(worker, route: "orders/0", status: 200) }
        for workers in [[precise, other], [other, precise]] {
            var total = MetricsSnapshot()
            for worker in workers { total.merge(worker.snapshot()) }
            #expect(watched(total).requests == 2)
            #expect(watched(total).buckets.reduce(0, +) == 1)
        }
    }

    private let keys = RequestSeriesKey.outbound(
        service: "orders",
        cluster: "orders-v2",
        routes: ["orders/0", "orders/1"]
    )

    private func watchedWorker() -> WorkerMetrics {
        let worker = WorkerMetrics()
        worker.watch(keys)
        return worker
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
