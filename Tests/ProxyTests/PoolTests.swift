import MeshModel
import Reactor
import Telemetry
import Testing
import Time

@testable import Proxy

/// Upstream connections: reuse, bounds, failures to connect, retries.
struct PoolTests {
    private let get = "GET / HTTP/1.1\r\nHost: orders\r\n\r\n"
    private let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

    private func bench(_ limits: ClusterLimits = .default) throws -> (ProxyBench, Application) {
        let bench = try ProxyBench()
        let application = try bench.application()
        try bench.serve([application.socketAddress], limits: limits)
        return (bench, application)
    }

    @Test("the connection used last is used next; the others stay idle")
    func lastInFirstOut() throws {
        let (bench, application) = try bench()
        let callers = try (0..<3).map { _ in try bench.caller() }
        for (index, caller) in callers.enumerated() {
            caller.write(get)
            try bench.expect(try bench.accepted(application, index + 1), receives: get)
        }
        for (caller, upstream) in zip(callers, application.connections) {
            upstream.forget()
            upstream.write(ok)
            try bench.expect(caller, receives: ok)
        }
        #expect(bench.metrics.value(.upstreamConnectionsIdle, .outbound) == 3)
        let last = application.connections[2]
        for _ in 0..<3 {
            try bench.exchange(callers[0], get, { last }, sees: get, answers: ok)
        }
        #expect(application.connections.count == 3)
        #expect(bench.metrics.value(.upstreamReuses, .outbound) == 3)
        #expect(bench.metrics.value(.upstreamConnects, .outbound) == 3)
        try bench.finish()
    }

    @Test("bytes are counted on both sides, both ways, heads included")
    func bytes() throws {
        let (bench, application) = try bench()
        let caller = try bench.caller()
        try bench.exchange(
            caller,
            get,
            { try bench.accepted(application) },
            sees: get,
            answers: ok
        )
        #expect(
            bench.metrics.value(.downstreamBytesReceived, .outbound) == UInt64(get.utf8.count)
        )
        #expect(bench.metrics.value(.downstreamBytesSent, .outbound) == UInt64(ok.utf8.count))
        #expect(bench.metrics.value(.upstreamBytesReceived, .outbound) == UInt64(ok.utf8.count))
        // Trace fields were added on the way.
        #expect(bench.metrics.value(.upstreamBytesSent, .outbound) > UInt64(get.utf8.count))
        try bench.finish()
    }

    @Test("a service that says Connection: close, or speaks HTTP/1.0, gets a new connection")
    func notKept() throws {
        let (bench, application) = try bench()
        let caller = try bench.caller()
        try bench.exchange(
            caller,
            get,
            { try bench.accepted(application) },
            sees: get,
            answers: "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
            delivered: ok
        )
        try bench.loop.until { application.connections[0].isOver }
        try bench.exchange(
            caller,
            get,
            { try bench.accepted(application, 2) },
            sees: get,
            answers: "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
            delivered: ok
        )
        try bench.exchange(
            caller,
            get,
            { try bench.accepted(application, 3) },
            sees: get,
            answers: ok
        )
        try bench.finish()
    }

    @Test("an idle connection that the service closes is forgotten, and never used")
    func idleClosed() throws {
        let (bench, application) = try bench()
        let caller = try bench.caller()
        try bench.exchange(
            caller,
            get,
            { try bench.accepted(application) },
            sees: get,
            answers: ok
        )
        application.connections[0].close()
        try bench.loop.until {
            bench.metrics.value(.upstreamConnectionsActive, .outbound) == 0
        }
        #expect(bench.metrics.value(.upstreamConnectionsIdle, .outbound) == 0)
        let post = "POST / HTTP/1.1\r\nHost: orders\r\nContent-Length: 1\r\n\r\nx"
        try bench.exchange(
            caller,
            post,
            { try bench.accepted(application, 2) },
            sees: post,
            answers: ok
        )
        try bench.finish()
    }

    @Test("unused connections are closed after the idle time, used ones are not")
    func idleTimeout() throws {
        let bench = try ProxyBench()
        let application = try bench.application()
        try bench.serve([application.socketAddress], idleTimeout: .milliseconds(50))
        let caller = try bench.caller()
        try bench.exchange(
            caller,
            get,
            { try bench.accepted(application) },
            sees: get,
            answers: ok
        )
        caller.write(get)
        let upstream = application.connections[0]
        upstream.forget()
        try bench.expect(upstream, receives: get)
        let start = Clock.monotonic()
        try bench.loop.until { Clock.monotonic() >= start + .milliseconds(150) }
        #expect(!upstream.isOver)
        caller.forget()
        upstream.write(ok)
        try bench.expect(caller, receives: ok)
        try bench.loop.until { upstream.isOver }
        #expect(bench.metrics.value(.upstreamConnectionsIdle, .outbound) == 0)
        try bench.finish()
    }

    /// A connection that dies under the request of `method`, after one that went well on it.
    private func stale(
        _ request: String,
        body: (Peer) throws -> Void = { _ in },
        _ check: (ProxyBench, Application, Peer) throws -> Void
    ) throws {
        let (bench, application) = try bench()
        let caller = try bench.caller()
        try bench.exchange(
            caller,
            get,
            { try bench.accepted(application) },
            sees: get,
            answers: ok
        )
        let old = application.connections[0]
        old.forget()
        caller.forget()
        caller.write(request)
        try bench.loop.until { withoutTrace(old.text).utf8.count >= request.utf8.count }
        old.close()
        try check(bench, application, caller)
        try bench.finish()
    }

    @Test("a pooled connection that dies under a GET costs a retry, not the request")
    func staleGet() throws {
        try stale(get) { bench, application, caller in
            let fresh = try bench.accepted(application, 2)
            try bench.expect(fresh, receives: get)
            fresh.write(ok)
            try bench.expect(caller, receives: ok)
            #expect(bench.metrics.value(.retries, .outbound, label: "upstream_closed") == 1)
        }
    }

    @Test("a PUT is repeated with its body, once")
    func stalePut() throws {
        let put = "PUT / HTTP/1.1\r\nHost: orders\r\nContent-Length: 5\r\n\r\nhello"
        try stale(put) { bench, application, caller in
            let fresh = try bench.accepted(application, 2)
            try bench.expect(fresh, receives: put)
            fresh.write(ok)
            try bench.expect(caller, receives: ok)
            #expect(application.connections.count == 2)
        }
    }

    @Test("a PUT whose connection dies in the middle of its body loses and repeats no byte")
    func stalePutInTheMiddle() throws {
        let (bench, application) = try bench()
        let caller = try bench.caller()
        try bench.exchange(
            caller,
            get,
            { try bench.accepted(application) },
            sees: get,
            answers: ok
        )
        let old = application.connections[0]
        old.forget()
        caller.forget()
        let head = "PUT / HTTP/1.1\r\nHost: orders\r\nContent-Length: 10\r\n\r\n"
        caller.write(head + "01234")
        try bench.loop.until { old.text.hasSuffix("01234") }
        old.close()
        let fresh = try bench.accepted(application, 2)
        try bench.expect(fresh, receives: head + "01234")
        caller.write("56789")
        try bench.expect(fresh, receives: head + "0123456789")
        fresh.write(ok)
        try bench.expect(caller, receives: ok)
        try bench.finish()
    }

    @Test("a POST is never repeated: the service may have acted on it")
    func stalePost() throws {
        try stale("POST / HTTP/1.1\r\nHost: orders\r\nContent-Length: 5\r\n\r\nhello") {
            bench,
            application,
            caller in
            try bench.loop.until { caller.text.hasSuffix("}\n") }
            #expect(statuses(caller.text) == [502])
            #expect(application.connections.count == 1)
            #expect(bench.metrics.value(.retriesRefused, .outbound) == 1)
        }
    }

    @Test("a GET is not repeated once a byte of its answer has come")
    func partialAnswer() throws {
        let (bench, application) = try bench()
        let caller = try bench.caller()
        try bench.exchange(
            caller,
            get,
            { try bench.accepted(application) },
            sees: get,
            answers: ok
        )
        let old = application.connections[0]
        old.forget()
        caller.forget()
        caller.write(get)
        try bench.expect(old, receives: get)
        old.write("HTTP/1.1 20")
        bench.loop.settle()
        old.close()
        try bench.loop.until { caller.text.hasSuffix("}\n") }
        #expect(statuses(caller.text) == [502])
        #expect(application.connections.count == 1)
        try bench.finish()
    }

    @Test("an endpoint that refuses connections is left for another one, any method")
    func refusedThenAnother() throws {
        let bench = try ProxyBench()
        let application = try bench.application()
        let closed = try bench.closedPort()
        try bench.serve([closed, application.socketAddress])
        let post = "POST / HTTP/1.1\r\nHost: orders\r\nContent-Length: 2\r\n\r\nhi"
        let caller = try bench.caller()
        for _ in 0..<4 {
            caller.forget()
            caller.write(post)
            let upstream = try bench.accepted(application)
            try bench.expect(upstream, receives: post)
            upstream.forget()
            upstream.write(ok)
            try bench.expect(caller, receives: ok)
        }
        #expect(bench.metrics.value(.retries, .outbound, label: "connect_failed") >= 1)
        #expect(
            bench.metrics.value(.upstreamConnectFailures, .outbound, label: "connect_failed") >= 1
        )
        try bench.finish()
    }

    @Test("when nobody listens the caller gets a 503 after three attempts", arguments: [1, 1_024])
    func refused(connections: Int) throws {
        let bench = try ProxyBench()
        try bench.serve(
            [try bench.closedPort()],
            limits: ClusterLimits(connections: connections)
        )
        let caller = try bench.caller()
        caller.write(get)
        try bench.loop.until { caller.text.hasSuffix("}\n") }
        #expect(statuses(caller.text) == [503])
        #expect(caller.text.contains("urn:mesh:problem:connect_failed"))
        // A sidecar that lives before a dead application must not look like one that is busy.
        #expect(field("retry-after", in: caller.text) == nil)
        #expect(bench.metrics.value(.upstreamConnectFailures, .outbound) == 3)
        try bench.finish()
    }

    @Test("a cluster without endpoints gives a 503 at once")
    func noEndpoint() throws {
        let bench = try ProxyBench()
        try bench.serve([])
        let caller = try bench.caller()
        caller.write(get)
        try bench.loop.until { caller.text.hasSuffix("}\n") }
        #expect(statuses(caller.text) == [503])
        #expect(caller.text.contains("no_endpoint"))
        try bench.finish()
    }

    @Test("more running requests than the cluster's bound: 503, counted, nothing forwarded")
    func requestsBound() throws {
        let (bench, application) = try bench(ClusterLimits(requests: 1))
        let first = try bench.caller()
        first.write(get)
        let upstream = try bench.accepted(application)
        try bench.expect(upstream, receives: get)
        let second = try bench.caller()
        second.write(get)
        try bench.loop.until { second.text.hasSuffix("}\n") }
        #expect(statuses(second.text) == [503])
        #expect(bench.metrics.value(.localReplies, .outbound, label: "too_many_requests") == 1)
        upstream.forget()
        upstream.write(ok)
        try bench.expect(first, receives: ok)
        try bench.exchange(second, get, { upstream }, sees: get, answers: ok)
        #expect(application.connections.count == 1)
        try bench.finish()
    }

    @Test("requests over the bound on connections wait their turn, those over the queue get a 503")
    func connectionsBound() throws {
        let (bench, application) = try bench(ClusterLimits(connections: 1, pendingRequests: 1))
        let callers = try (0..<3).map { _ in try bench.caller() }
        callers[0].write(get)
        let upstream = try bench.accepted(application)
        try bench.expect(upstream, receives: get)
        callers[1].write(get)
        try bench.loop.until { bench.metrics.value(.requestsPending, .outbound) == 1 }
        callers[2].write(get)
        try bench.loop.until { callers[2].text.hasSuffix("}\n") }
        #expect(statuses(callers[2].text) == [503])
        #expect(
            bench.metrics.value(.localReplies, .outbound, label: "too_many_pending_requests") == 1
        )
        let report = try bench.report()
        #expect(report.clusters[0].pendingRequests == 1 && report.clusters[0].connections == 1)
        for caller in callers[..<2] {
            upstream.forget()
            upstream.write(ok)
            try bench.expect(caller, receives: ok)
            if caller === callers[0] { try bench.expect(upstream, receives: get) }
        }
        #expect(application.connections.count == 1)
        try bench.finish()
    }

    @Test("a waiting request gets a new connection when the one it waited for is not reusable")
    func waiterAfterClose() throws {
        let (bench, application) = try bench(ClusterLimits(connections: 1))
        let first = try bench.caller()
        let second = try bench.caller()
        first.write(get)
        let upstream = try bench.accepted(application)
        try bench.expect(upstream, receives: get)
        second.write(get)
        try bench.loop.until { bench.metrics.value(.requestsPending, .outbound) == 1 }
        upstream.write("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
        upstream.close()
        try bench.expect(first, receives: ok)
        let fresh = try bench.accepted(application, 2)
        try bench.expect(fresh, receives: get)
        fresh.write(ok)
        try bench.expect(second, receives: ok)
        try bench.finish()
    }

    @Test("an idle connection to one endpoint does not keep another endpoint from being reached")
    func idleGivesWay() throws {
        let bench = try ProxyBench()
        let applications = [try bench.application(), try bench.application()]
        try bench.serve(
            applications.map(\.socketAddress),
            limits: ClusterLimits(connections: 1)
        )
        let caller = try bench.caller()
        for _ in 0..<4 {
            caller.forget()
            caller.write(get)
            try bench.loop.until {
                applications.flatMap(\.connections).contains { !$0.text.isEmpty }
                    || !caller.text.isEmpty
            }
            let reached = applications.flatMap(\.connections).first { !$0.text.isEmpty }
            guard let upstream = reached, caller.text.isEmpty else {
                Issue.record("refused: \(caller.text)")
                break
            }
            upstream.forget()
            upstream.write(ok)
            try bench.expect(caller, receives: ok)
        }
        #expect(applications.allSatisfy { !$0.connections.isEmpty })
        try bench.finish()
    }

    @Test("more connections than the listener's bound are closed at once and counted")
    func downstreamBound() throws {
        let bench = try ProxyBench(limits: RequestLimits(connectionsMax: 2))
        let callers = try (0..<2).map { _ in try bench.caller() }
        let third = try bench.caller()
        try bench.loop.until { third.isOver }
        #expect(callers.allSatisfy { !$0.isOver })
        #expect(bench.metrics.value(.connectionsRefused, .outbound) == 1)
        callers[0].close()
        try bench.loop.until { callers[0].closed != nil }
        let fourth = try bench.caller()
        bench.loop.settle()
        #expect(!fourth.isOver)
        try bench.finish()
    }

    @Test("the bound on connections is each listener's own")
    func downstreamBoundPerListener() throws {
        let backend = try ProxyBench.listen()
        let bench = try ProxyBench(
            limits: RequestLimits(connectionsMax: 1),
            application: .loopback(port: backend.address.port)
        )
        let outside = try bench.inboundCaller()
        let inside = try bench.caller()
        bench.loop.settle()
        #expect(!outside.isOver && !inside.isOver)
        #expect(bench.metrics.value(.connectionsRefused, .outbound) == 0)
        try bench.finish()
    }
}
