import MeshModel
import Reactor
import Telemetry
import Testing
import Time

@testable import Proxy

struct RoutingTests {
    private let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

    @Test("a request goes to the service its Host names, byte by byte as it was sent")
    func byHost() throws {
        let bench = try ProxyBench()
        let orders = try bench.application()
        let stock = try bench.application()
        try bench.apply(
            [ProxyBench.service("orders"), ProxyBench.service("stock")],
            [
                ProxyBench.cluster("orders", [orders.socketAddress]),
                ProxyBench.cluster("stock", [stock.socketAddress]),
            ]
        )
        let caller = try bench.caller()
        let request = "GET /a%20b?c=d HTTP/1.1\r\nHost: ORDERS:80\r\nX-CamelCase: A b\r\n\r\n"
        try bench.exchange(
            caller,
            request,
            { try bench.accepted(orders) },
            sees: request,
            answers: ok
        )
        let other = "POST / HTTP/1.1\r\nhost: stock.default\r\nContent-Length: 3\r\n\r\nabc"
        try bench.exchange(
            caller,
            other,
            { try bench.accepted(stock) },
            sees: other,
            answers: ok
        )
        #expect(bench.metrics.requestCount(.outbound) == 2)
        try bench.finish()
    }

    @Test("absolute-form routes by the target's authority, whatever Host says (RFC 9112 §3.2.2)")
    func absoluteForm() throws {
        let bench = try ProxyBench()
        let orders = try bench.application()
        try bench.serve([orders.socketAddress])
        let caller = try bench.caller()
        try bench.exchange(
            caller,
            "GET http://orders/x?y HTTP/1.1\r\nHost: elsewhere\r\nA: b\r\n\r\n",
            { try bench.accepted(orders) },
            sees: "GET /x?y HTTP/1.1\r\nA: b\r\nHost: orders\r\n\r\n",
            answers: ok
        )
        try bench.finish()
    }

    @Test("an unknown host, a wrong port and a request without route get a 404 that says so")
    func notFound() throws {
        let bench = try ProxyBench()
        let orders = try bench.application()
        let route = Route(
            name: "orders",
            match: RouteMatch(path: .prefix("/api")),
            backends: [WeightedCluster(cluster: "orders")]
        )
        try bench.apply(
            [VirtualService(name: "orders", hosts: ["orders"], port: 80, routes: [route])],
            [ProxyBench.cluster("orders", [orders.socketAddress])]
        )
        let caller = try bench.caller()
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736"
        for (host, path, cause) in [
            ("nobody", "/api", "unknown_service"), ("orders:81", "/api", "wrong_port"),
            ("orders", "/apix", "no_route"),
        ] {
            caller.forget()
            caller.write(
                "GET \(path) HTTP/1.1\r\nHost: \(host)\r\n"
                    + "traceparent: 00-\(trace)-00f067aa0ba902b7-01\r\n\r\n"
            )
            try bench.loop.until { caller.text.hasSuffix("}\n") }
            #expect(caller.text.hasPrefix("HTTP/1.1 404 Not Found\r\n"))
            #expect(field("content-type", in: caller.text) == "application/problem+json")
            #expect(caller.text.contains("\"type\":\"urn:mesh:problem:\(cause)\""))
            #expect(caller.text.contains("\"status\":404"))
            #expect(caller.text.contains("\"trace_id\":\"\(trace)\""))
            #expect(bench.metrics.value(.localReplies, .outbound, label: cause) == 1)
        }
        #expect(orders.connections.isEmpty)
        #expect(!caller.isOver)
        try bench.finish()
    }

    @Test("before the first snapshot every request gets a 503 that says to come back")
    func notConfigured() throws {
        let bench = try ProxyBench()
        let caller = try bench.caller()
        caller.write("GET / HTTP/1.1\r\nHost: orders\r\n\r\n")
        try bench.loop.until { caller.text.hasSuffix("}\n") }
        #expect(caller.text.hasPrefix("HTTP/1.1 503 "))
        #expect(field("retry-after", in: caller.text) == "1")
        #expect(caller.text.contains("not_configured"))
        try bench.finish()
    }

    @Test("a local reply to HEAD has the length of its body and no body (RFC 9110 §9.3.2)")
    func headOfLocalReply() throws {
        let bench = try ProxyBench()
        let orders = try bench.application()
        try bench.serve([orders.socketAddress])
        let caller = try bench.caller()
        caller.write("HEAD / HTTP/1.1\r\nHost: nobody\r\n\r\n")
        try bench.loop.until { caller.text.hasSuffix("\r\n\r\n") }
        #expect(caller.text.hasPrefix("HTTP/1.1 404 "))
        bench.loop.settle()
        #expect(caller.text.hasSuffix("\r\n\r\n"))
        try bench.exchange(
            caller,
            "GET / HTTP/1.1\r\nHost: orders\r\n\r\n",
            { try bench.accepted(orders) },
            sees: "GET / HTTP/1.1\r\nHost: orders\r\n\r\n",
            answers: ok
        )
        try bench.finish()
    }

    @Test("what speaks of one connection, and claims of identity, do not pass; the rest does")
    func hopByHop() throws {
        let bench = try ProxyBench()
        let orders = try bench.application()
        try bench.serve([orders.socketAddress])
        let caller = try bench.caller()
        try bench.exchange(
            caller,
            "GET / HTTP/1.1\r\nHost: orders\r\nConnection: keep-alive, X-Private\r\n"
                + "Keep-Alive: timeout=5\r\nX-Private: 1\r\nProxy-Authorization: x\r\n"
                + "Proxy-Connection: close\r\nUpgrade: websocket\r\nTE: gzip, trailers\r\n"
                + "X-Forwarded-Client-Cert: By=spiffe://mesh.test/ns/default/sa/root\r\n"
                + "Accept: */*\r\n\r\n",
            { try bench.accepted(orders) },
            sees: "GET / HTTP/1.1\r\nHost: orders\r\nAccept: */*\r\nTE: trailers\r\n"
                + "Connection: TE\r\n\r\n",
            answers: "HTTP/1.1 200 Fine\r\nConnection: x-secret\r\nX-Secret: 1\r\n"
                + "Keep-Alive: timeout=1\r\nServer: Old/1\r\nContent-Length: 0\r\n\r\n",
            delivered: "HTTP/1.1 200 Fine\r\nServer: Old/1\r\nContent-Length: 0\r\n\r\n"
        )
        try bench.finish()
    }

    @Test("the trace of the caller goes on under a new parent id; without one a trace begins")
    func trace() throws {
        let bench = try ProxyBench()
        let orders = try bench.application()
        try bench.serve([orders.socketAddress])
        let caller = try bench.caller()
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736"
        caller.write(
            "GET / HTTP/1.1\r\nHost: orders\r\n"
                + "traceparent: 00-\(trace)-00f067aa0ba902b7-01\r\nX-Request-ID: abc\r\n\r\n"
        )
        let upstream = try bench.accepted(orders)
        try bench.loop.until { upstream.text.hasSuffix("\r\n\r\n") }
        let parts = (field("traceparent", in: upstream.text) ?? "").split(separator: "-")
        #expect(parts.count == 4)
        #expect(parts.dropFirst().first.map(String.init) == trace)
        #expect(parts.dropFirst(2).first != "00f067aa0ba902b7")
        #expect(field("x-request-id", in: upstream.text) == "abc")
        upstream.forget()
        upstream.write(ok)
        try bench.expect(caller, receives: ok)
        caller.write("GET / HTTP/1.1\r\nHost: orders\r\n\r\n")
        try bench.loop.until { upstream.text.hasSuffix("\r\n\r\n") }
        let fresh = (field("traceparent", in: upstream.text) ?? "").split(separator: "-")
        #expect(fresh.count == 4 && fresh[1] != trace)
        #expect(field("x-request-id", in: upstream.text)?.isEmpty == false)
        #expect(bench.log.lines.count == 1 && bench.log.lines[0].contains(trace))
        try bench.finish()
    }

    @Test("weights hold exactly: 900 to 100 of 1,000 requests, over a snapshot that keeps them")
    func weights() throws {
        let bench = try ProxyBench()
        let stable = try bench.application()
        let canary = try bench.application()
        stable.answerEach(with: "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\ns")
        canary.answerEach(with: "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nc")
        let route = Route(
            name: "orders",
            backends: [
                WeightedCluster(cluster: "stable", weight: 900),
                WeightedCluster(cluster: "canary", weight: 100),
            ]
        )
        let service = VirtualService(
            name: "orders",
            hosts: ["orders"],
            port: 80,
            routes: [route]
        )
        let clusters = [
            ProxyBench.cluster("stable", [stable.socketAddress]),
            ProxyBench.cluster("canary", [canary.socketAddress]),
        ]
        try bench.apply([service], clusters)
        let caller = try bench.caller()
        var canaries = 0
        for number in 1...1000 {
            // In the middle of a period of ten, so that a schedule begun anew would show.
            if number % 97 == 0 { try bench.apply([service], clusters) }
            caller.forget()
            caller.write("GET / HTTP/1.1\r\nHost: orders\r\n\r\n")
            try bench.loop.until { caller.text.utf8.count >= 39 }
            if caller.text.hasSuffix("c") { canaries += 1 }
            if number % 10 == 0 { #expect(canaries == number / 10) }
        }
        #expect(stable.connections.count == 1 && canary.connections.count == 1)
        #expect(bench.metrics.requestCount(.outbound) == 1000)
        try bench.finish()
    }
}
