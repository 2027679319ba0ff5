import MeshModel
import Telemetry
import Testing

@testable import Proxy

/// What a route's policies do to requests that pass through the proxy.
struct RoutePolicyTests {
    private let get = "GET /shop/cart?x=1 HTTP/1.1\r\nHost: orders\r\n\r\n"
    private let elsewhere = RequestRedirect(scheme: "https", hostname: "new.example", status: 302)
    private let ok = "HTTP/1.1 204 No Content\r\n\r\n"

    private func apply(_ bench: ProxyBench, _ route: Route, _ clusters: [Cluster]) throws {
        try bench.apply(
            [VirtualService(name: "orders", hosts: ["orders"], port: 80, routes: [route])],
            clusters
        )
    }

    private func route(
        _ backends: [WeightedCluster] = [WeightedCluster(cluster: "orders")],
        match: RouteMatch = .everything,
        timeouts: RouteTimeouts = .default,
        filters: RouteFilters = .none,
        fallback: Fallback? = nil,
        stickiness: Stickiness? = nil,
        faults: [Fault] = [],
        rateLimits: [RateLimit] = []
    ) -> Route {
        Route(
            name: "orders/0",
            match: match,
            backends: backends,
            timeouts: timeouts,
            filters: filters,
            fallback: fallback,
            stickiness: stickiness,
            faults: faults,
            rateLimits: rateLimits
        )
    }

    /// Sends a request that no endpoint is to see, and returns the answer.
    private func answer(_ bench: ProxyBench, to request: String) throws -> String {
        let caller = try bench.caller()
        caller.write(request)
        try bench.loop.until { caller.text.contains("\r\n\r\n") || caller.isOver }
        bench.loop.settle()
        return caller.text
    }

    @Test("a rewritten request reaches the endpoint, and changed fields both sides")
    func rewrite() throws {
        let bench = try ProxyBench()
        let application = try bench.application()
        let changed = route(
            match: RouteMatch(path: .prefix("/shop")),
            filters: RouteFilters(
                requestHeaders: HeaderModifier(add: [.init(name: "X-Added", value: "1")]),
                responseHeaders: HeaderModifier(set: [.init(name: "X-From", value: "mesh")]),
                rewrite: URLRewrite(hostname: "inner.example", path: .prefix("/v2"))
            )
        )
        try apply(bench, changed, [ProxyBench.cluster("orders", [application.socketAddress])])
        let caller = try bench.caller()
        caller.write(get)
        let upstream = try bench.accepted(application)
        try bench.loop.until { upstream.text.hasSuffix("\r\n\r\n") }
        #expect(upstream.text.hasPrefix("GET /v2/cart?x=1 HTTP/1.1\r\n"))
        #expect(field("host", in: upstream.text) == "inner.example")
        #expect(field("x-added", in: upstream.text) == "1")
        upstream.write(ok)
        try bench.loop.until { caller.text.hasSuffix("\r\n\r\n") }
        #expect(field("x-from", in: caller.text) == "mesh")
        try bench.finish()
    }

    @Test("a redirect is answered by the proxy and reaches nobody")
    func redirect() throws {
        let bench = try ProxyBench()
        let moved = route(
            [],
            filters: RouteFilters(
                redirect: RequestRedirect(scheme: "https", hostname: "new.example", status: 308)
            )
        )
        try apply(bench, moved, [])
        let text = try answer(bench, to: get)
        #expect(statuses(text) == [308])
        #expect(field("location", in: text) == "https://new.example/shop/cart?x=1")
        try bench.finish()
    }

    @Test("a preflight is answered by the proxy; other origins get no permission")
    func preflight() throws {
        let bench = try ProxyBench()
        let open = route(
            filters: RouteFilters(cors: CORSPolicy(allowOrigins: [.exact("https://app.example")]))
        )
        try apply(bench, open, [ProxyBench.cluster("orders", [])])
        func ask(_ origin: String) throws -> String {
            try answer(
                bench,
                to: "OPTIONS / HTTP/1.1\r\nHost: orders\r\nOrigin: \(origin)\r\n"
                    + "Access-Control-Request-Method: GET\r\n\r\n"
            )
        }
        let allowed = try ask("https://app.example")
        #expect(statuses(allowed) == [204])
        #expect(field("access-control-allow-origin", in: allowed) == "https://app.example")
        let other = try ask("https://evil-app.example")
        #expect(field("access-control-allow-origin", in: other) == nil)
        try bench.finish()
    }

    @Test("after its sunset a version is gone, and says so")
    func sunset() throws {
        let bench = try ProxyBench()
        let ended = route(
            filters: RouteFilters(lifecycle: APILifecycle(deprecation: 1, sunset: 2))
        )
        try apply(bench, ended, [ProxyBench.cluster("orders", [])])
        let text = try answer(bench, to: get)
        #expect(statuses(text) == [410])
        #expect(field("sunset", in: text) == "Thu, 01 Jan 1970 00:00:02 GMT")
        #expect(field("deprecation", in: text) == "@1")
        try bench.finish()
    }

    @Test("over its limit a caller gets 429, when to come back and what the limit is")
    func rateLimit() throws {
        let bench = try ProxyBench()
        let application = try bench.application()
        let limit = RateLimit(name: "slow", requests: 1, period: .seconds(60))
        try apply(
            bench,
            route(rateLimits: [limit]),
            [ProxyBench.cluster("orders", [application.socketAddress])]
        )
        let caller = try bench.caller()
        caller.write(get)
        let upstream = try bench.accepted(application)
        try bench.expect(upstream, receives: get)
        upstream.write(ok)
        try bench.expect(caller, receives: ok)
        let text = try answer(bench, to: get)
        #expect(statuses(text) == [429])
        #expect(Int(field("retry-after", in: text) ?? "") ?? 0 >= 1)
        #expect(field("ratelimit-policy", in: text) == "\"slow\";q=1;w=60")
        #expect(field("ratelimit", in: text)?.hasPrefix("\"slow\";r=0;t=") ?? false)
        #expect(bench.metrics.value(.rateLimited, .outbound) == 1)
        #expect(bench.metrics.requestCount(.outbound, service: "orders") == 2)
        try bench.finish()
    }

    @Test("faults abort and reset as they are told, for whom they match only")
    func faults() throws {
        let bench = try ProxyBench()
        func header(_ value: String) -> [RouteMatch] {
            [RouteMatch(headers: [.init(name: "x-fault", value: value)])]
        }
        let broken = route(faults: [
            Fault(matches: header("abort"), abort: (.all, .status(418))),
            Fault(matches: header("reset"), abort: (.all, .reset)),
            Fault(
                matches: header("late"),
                delay: (.all, .milliseconds(5)),
                abort: (.all, .status(503))
            ),
        ])
        try apply(bench, broken, [ProxyBench.cluster("orders", [])])
        func ask(_ fault: String) throws -> String {
            try answer(bench, to: "GET / HTTP/1.1\r\nHost: orders\r\nX-Fault: \(fault)\r\n\r\n")
        }
        #expect(statuses(try ask("abort")) == [418])
        #expect(try ask("reset").isEmpty)
        #expect(statuses(try ask("late")) == [503])
        #expect(try ask("none").contains("urn:mesh:problem:no_endpoint"))
        #expect(bench.metrics.value(.faultsInjected, .outbound, label: "delay") == 1)
        try bench.finish()
    }

    @Test("without an endpoint the fallback's cluster serves, and without that its response")
    func fallback() throws {
        let bench = try ProxyBench()
        let other = try bench.application()
        let response = FallbackResponse(status: 200, contentType: "text/plain", body: "later")
        let clusters = [
            ProxyBench.cluster("orders", []), ProxyBench.cluster("spare", [other.socketAddress]),
        ]
        try apply(
            bench,
            route(fallback: Fallback(cluster: "spare", response: response)),
            clusters
        )
        let caller = try bench.caller()
        caller.write(get)
        let upstream = try bench.accepted(other)
        try bench.expect(upstream, receives: get)
        upstream.write(ok)
        try bench.expect(caller, receives: ok)
        let nobody = [clusters[0], ProxyBench.cluster("spare", [])]
        for fallback in [
            Fallback(response: response), Fallback(cluster: "spare", response: response),
        ] {
            try apply(bench, route(fallback: fallback), nobody)
            let text = try answer(bench, to: get)
            #expect(statuses(text) == [200])
            #expect(field("content-type", in: text) == "text/plain")
            #expect(text.hasSuffix("later"))
        }
        try apply(bench, route(fallback: Fallback(cluster: "spare")), nobody)
        #expect(statuses(try answer(bench, to: get)) == [503])
        try bench.finish()
    }

    @Test("where no endpoint takes a request the fallback does, however many there are")
    func fallbackOfDeadEndpoints() throws {
        let bench = try ProxyBench()
        let response = FallbackResponse(status: 200, contentType: "text/plain", body: "later")
        for count in 1...4 {
            let other = try bench.application()
            let dead = try (0..<count).map { _ in try bench.closedPort() }
            try apply(
                bench,
                route(fallback: Fallback(cluster: "spare", response: response)),
                [
                    ProxyBench.cluster("orders", dead),
                    ProxyBench.cluster("spare", [other.socketAddress]),
                ]
            )
            let post =
                "POST /shop HTTP/1.1\r\nHost: orders\r\nContent-Length: 5\r\n\r\nwhole"
            let caller = try bench.caller()
            caller.write(post)
            let upstream = try bench.accepted(other)
            try bench.expect(upstream, receives: post)
            upstream.write(ok)
            try bench.expect(caller, receives: ok)
            try apply(
                bench,
                route(fallback: Fallback(response: response)),
                [ProxyBench.cluster("orders", dead)]
            )
            #expect(try answer(bench, to: get).hasSuffix("later"))
            try apply(bench, route(), [ProxyBench.cluster("orders", dead)])
            #expect(statuses(try answer(bench, to: get)) == [503])
        }
        try bench.finish()
    }

    @Test("limits and faults hold for a route that redirects, and not for a preflight")
    func limitedRedirect() throws {
        let bench = try ProxyBench()
        let limit = RateLimit(name: "slow", requests: 1, period: .seconds(60))
        try apply(
            bench,
            route(
                [],
                filters: RouteFilters(
                    redirect: elsewhere,
                    cors: CORSPolicy(allowOrigins: [.exact("https://app.example")])
                ),
                rateLimits: [limit]
            ),
            []
        )
        #expect(statuses(try answer(bench, to: get)) == [302])
        #expect(statuses(try answer(bench, to: get)) == [429])
        let preflight =
            "OPTIONS / HTTP/1.1\r\nHost: orders\r\nOrigin: https://app.example\r\n"
            + "Access-Control-Request-Method: GET\r\n\r\n"
        #expect(statuses(try answer(bench, to: preflight)) == [204])
        let fault = Fault(abort: (.all, .status(418)))
        try apply(
            bench,
            route([], filters: RouteFilters(redirect: elsewhere), faults: [fault]),
            []
        )
        #expect(statuses(try answer(bench, to: get)) == [418])
        try bench.finish()
    }

    @Test("lines of a field that a limit counts by are one value")
    func limitByJoinedField() throws {
        let bench = try ProxyBench()
        let limit = RateLimit(
            name: "user",
            key: .header("x-user"),
            requests: 1,
            period: .seconds(60)
        )
        try apply(
            bench,
            route([], filters: RouteFilters(redirect: elsewhere), rateLimits: [limit]),
            []
        )
        func status(_ users: [String]) throws -> [Int] {
            let lines = users.map { "X-User: \($0)\r\n" }.joined()
            return statuses(
                try answer(bench, to: "GET / HTTP/1.1\r\nHost: orders\r\n\(lines)\r\n")
            )
        }
        #expect(try status(["a"]) == [302])
        #expect(try status(["a"]) == [429])
        #expect(try status(["b", "a"]) == [302])
        #expect(try status(["b", "a"]) == [429])
        #expect(try status(["b"]) == [302])
        try bench.finish()
    }

    @Test("a deadline that cannot be read is not passed on")
    func unreadableDeadline() throws {
        let bench = try ProxyBench()
        let application = try bench.application()
        try apply(bench, route(), [ProxyBench.cluster("orders", [application.socketAddress])])
        let caller = try bench.caller()
        let head = "GET / HTTP/1.1\r\nHost: orders\r\n"
        caller.write(head + "mesh-timeout: x\r\nmesh-deadline: 1234567890123456\r\n\r\n")
        let upstream = try bench.accepted(application)
        try bench.expect(upstream, receives: head + "\r\n")
        upstream.write(ok)
        try bench.expect(caller, receives: ok)
        try bench.finish()
    }

    @Test("a request over the bound that follows latency is told so, not that of the configuration")
    func concurrencyBound() throws {
        let bench = try ProxyBench()
        let application = try bench.application()
        let cluster = Cluster(
            name: "orders",
            security: .plaintext,
            endpoints: [Endpoint(address: application.socketAddress)],
            adaptiveConcurrency: AdaptiveConcurrency(initial: 1, min: 1, max: 1)
        )
        try apply(bench, route(), [cluster])
        let caller = try bench.caller()
        caller.write(get)
        let upstream = try bench.accepted(application)
        try bench.expect(upstream, receives: get)
        let text = try answer(bench, to: get)
        #expect(statuses(text) == [503])
        #expect(text.contains("urn:mesh:problem:concurrency_limit"))
        #expect(bench.metrics.value(.localReplies, .outbound, label: "concurrency_limit") == 1)
        upstream.write(ok)
        try bench.expect(caller, receives: ok)
        try bench.finish()
    }

    @Test("a caller that is given a cookie stays at its backend")
    func sticky() throws {
        let bench = try ProxyBench()
        let applications = [try bench.application(), try bench.application()]
        try apply(
            bench,
            route(
                [WeightedCluster(cluster: "a"), WeightedCluster(cluster: "b")],
                stickiness: .cookie(name: "side", lifetime: nil)
            ),
            [
                ProxyBench.cluster("a", [applications[0].socketAddress]),
                ProxyBench.cluster("b", [applications[1].socketAddress]),
            ]
        )
        let caller = try bench.caller()
        caller.write(get)
        let first = try bench.reached(applications, by: get)
        first.forget()
        first.write(ok)
        try bench.loop.until { caller.text.hasSuffix("\r\n\r\n") }
        let cookie = try #require(field("set-cookie", in: caller.text))
        let pair = String(cookie.prefix { $0 != ";" })
        #expect(pair.hasPrefix("side="))
        for _ in 0..<4 {
            let again = "GET / HTTP/1.1\r\nHost: orders\r\nCookie: \(pair)\r\n\r\n"
            caller.forget()
            caller.write(again)
            let peer = try bench.reached(applications, by: again)
            #expect(peer === first)
            peer.forget()
            peer.write(ok)
            try bench.loop.until { caller.text.hasSuffix("\r\n\r\n") }
            #expect(field("set-cookie", in: caller.text) == nil)
        }
        try bench.finish()
    }

    @Test("the time that is left travels on, and what is expired is not sent")
    func deadline() throws {
        let bench = try ProxyBench()
        let application = try bench.application()
        try apply(
            bench,
            route(timeouts: RouteTimeouts(request: .seconds(30))),
            [ProxyBench.cluster("orders", [application.socketAddress])]
        )
        let expired = try answer(
            bench,
            to: "GET / HTTP/1.1\r\nHost: orders\r\nmesh-deadline: 1000\r\n\r\n"
        )
        #expect(statuses(expired) == [504])
        #expect(expired.contains("urn:mesh:problem:deadline_expired"))
        let caller = try bench.caller()
        caller.write("GET / HTTP/1.1\r\nHost: orders\r\nmesh-timeout: 20S\r\n\r\n")
        let upstream = try bench.accepted(application)
        try bench.loop.until { upstream.text.hasSuffix("\r\n\r\n") }
        let left = try #require(field("mesh-timeout", in: upstream.text))
        #expect(left.hasSuffix("u") || left == "20000000u")
        #expect(Int(left.dropLast()) ?? .max <= 20_000_000)
        upstream.write(ok)
        try bench.expect(caller, receives: ok)
        try bench.finish()
    }
}
