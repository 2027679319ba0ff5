import MeshModel
import Telemetry
import Testing
import Time
import Traffic

@testable import Proxy

@Suite("Questions about exchanges that still run")
struct RunningExchangeTests {
    private let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

    private func get(_ id: String) -> String {
        "GET /orders/1?token=secret HTTP/1.1\r\nHost: orders\r\nX-Request-Id: \(id)\r\n\r\n"
    }

    private func apply(_ bench: ProxyBench, _ route: Route, _ application: Application) throws {
        try bench.apply(
            [VirtualService(name: "orders", hosts: ["orders"], port: 80, routes: [route])],
            [
                ProxyBench.cluster(
                    "orders",
                    [application.socketAddress],
                    limits: ClusterLimits(connections: 1)
                )
            ]
        )
    }

    private func route(
        retry: RetryPolicy = .default,
        timeouts: RouteTimeouts = .default,
        faults: [Fault] = []
    ) -> Route {
        Route(
            name: "orders/0",
            backends: [WeightedCluster(cluster: "orders")],
            timeouts: timeouts,
            retry: retry,
            faults: faults
        )
    }

    private func seen(_ bench: ProxyBench, _ id: String) -> ExchangeStory? {
        bench.worker.seenExchanges(id).first?.story
    }

    @Test("from the queue for a connection to the end each step is told, and nothing else changes")
    func steps() throws {
        let bench = try ProxyBench()
        let application = try bench.application()
        try apply(bench, route(timeouts: RouteTimeouts(request: .seconds(30))), application)
        let (first, second) = (try bench.caller(), try bench.caller())
        first.write(get("one"))
        let upstream = try bench.accepted(application)
        try bench.loop.until { upstream.text.hasSuffix("\r\n\r\n") }
        second.write(
            "PUT /x HTTP/1.1\r\nHost: orders\r\nX-Request-Id: two\r\nContent-Length: 5\r\n\r\nab"
        )
        try bench.loop.until { bench.metrics.value(.requestsPending, .outbound) == 1 }

        let waiting = try #require(seen(bench, "two"))
        #expect(waiting.progress?.step == .waitingForConnection)
        #expect(waiting.progress?.attempts == 1)
        #expect(waiting.status == 0 && waiting.flag == nil)
        let one = try #require(seen(bench, "ONE"))
        #expect(one.progress?.step == .waitingForResponse)
        #expect(one.path == "/orders/1" && one.requestID == "one" && one.route == 0)
        #expect(one.attempts.map(\.endpoint) == [application.socketAddress.description])
        #expect(one.limitNanoseconds == 30_000_000_000)
        #expect(seen(bench, one.traceID) == one)
        #expect(try #require(bench.worker.seenExchanges("one").first).observed.clusters.count == 1)

        upstream.write(ok)
        try bench.loop.until { first.text.hasSuffix("ok") }
        let ended = try #require(seen(bench, "one"))
        #expect(ended.progress == nil && ended.status == 200)
        try bench.loop.until { upstream.text.hasSuffix("ab") }
        let sending = try #require(seen(bench, "two")?.progress)
        #expect(sending == .init(step: .sending, attempts: 1, requestBytes: 2, responseBytes: 0))
        second.write("cde")
        try bench.loop.until { upstream.text.hasSuffix("abcde") }
        #expect(seen(bench, "two")?.progress?.step == .waitingForResponse)
        upstream.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc")
        try bench.loop.until { second.text.hasSuffix("abc") }
        let responding = try #require(seen(bench, "two"))
        #expect(
            responding.progress
                == .init(step: .responding, attempts: 1, requestBytes: 5, responseBytes: 3)
        )
        #expect(responding.status == 200)
        upstream.write("d")
        try bench.loop.until { second.text.hasSuffix("abcd") }
        #expect(bench.worker.seenExchanges("two").map(\.story.progress) == [nil])
        // Asking counted nothing.
        #expect(bench.metrics.requestCount(.outbound) == 2)
        try bench.finish()
    }

    @Test("a wait before the next attempt is told with the attempt that failed")
    func backoff() throws {
        let bench = try ProxyBench()
        let application = try bench.application()
        let retry = RetryPolicy(
            statuses: [503],
            retryAfterMax: .seconds(10)
        )
        try apply(bench, route(retry: retry), application)
        let caller = try bench.caller()
        caller.write(get("one"))
        let upstream = try bench.accepted(application)
        try bench.loop.until { upstream.text.hasSuffix("\r\n\r\n") }
        // An order to wait has no jitter that could be over already.
        upstream.write(
            "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 9\r\nContent-Length: 0\r\n\r\n"
        )
        try bench.loop.until { bench.metrics.value(.retries, .outbound, label: "response") == 1 }
        let story = try #require(seen(bench, "one"))
        #expect(story.progress?.step == .backoff)
        #expect(story.progress?.attempts == 1)
        #expect(story.attempts.map(\.status) == [503])
        try bench.finish()
    }

    @Test("a delay made on purpose is told as one")
    func fault() throws {
        let bench = try ProxyBench()
        let application = try bench.application()
        let slow = Fault(delay: (share: Share(percent: 100), duration: .seconds(60)))
        try apply(bench, route(faults: [slow]), application)
        let caller = try bench.caller()
        caller.write(get("one"))
        try bench.loop.until { seen(bench, "one") != nil }
        let story = try #require(seen(bench, "one"))
        #expect(story.progress?.step == .delayedByFault)
        #expect(story.progress?.attempts == 0)
        #expect(story.attempts.isEmpty)
        try bench.finish()
    }

    @Test("streams of one HTTP/2 connection are found each for itself")
    func http2() throws {
        let bench = try ProxyBench()
        let application = try bench.http2Application()
        try bench.serve([application.application.socketAddress], protocol: .http2)
        let caller = try bench.http2Caller()
        let sent = (0..<3).map { caller.request("GET", "/\($0)", [("x-request-id", "id-\($0)")]) }
        try bench.loop.until { application.ends.first?.streams.count { $0.hasHead } == 3 }
        for number in 0..<3 {
            let found = bench.worker.seenExchanges("id-\(number)")
            #expect(found.map(\.story.path) == ["/\(number)"])
            #expect(found.first?.story.progress?.step == .waitingForResponse)
        }
        for request in application.ends[0].streams { request.answer(204) }
        application.ends[0].flush()
        _ = try bench.answers(sent)
        #expect(seen(bench, "id-1")?.progress == nil)
        #expect(seen(bench, "id-1")?.status == 204)
        try bench.finish()
    }

    @Test("who repeats an id gets a bounded answer, and an unknown id none")
    func bounded() throws {
        let bench = try ProxyBench()
        let application = try bench.application()
        try bench.serve([application.socketAddress])
        let callers = try (0..<TelemetryLimits.exchangesFoundMax + 4).map { _ in
            let caller = try bench.caller()
            caller.write(get("same"))
            return caller
        }
        try bench.loop.until { application.connections.count == callers.count }
        #expect(bench.worker.seenExchanges("same").count == TelemetryLimits.exchangesFoundMax)
        for unknown in ["", "other", "sam", "same2"] {
            #expect(bench.worker.seenExchanges(unknown).isEmpty)
        }
        try bench.finish()
    }
}
