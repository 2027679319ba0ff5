import HTTP
import MeshModel
import Testing
import Time

@testable import Traffic

struct ExplainerTests {
    private static let now = MonotonicTime(nanoseconds: 1_000_000_000_000)
    private static let wall = WallTime(unixNanoseconds: 1_795_222_923_000_000_000)

    private func snapshot(
        routes: [Route],
        clusters: [MeshModel.Cluster]? = nil,
        inbound: InboundService = InboundService(name: "web.default")
    ) throws -> MeshSnapshot {
        let id = try #require(SPIFFEID("spiffe://mesh.internal/ns/default/sa/web"))
        return try MeshSnapshot(
            version: 42,
            trustDomain: id.trustDomain,
            workload: id,
            trustBundle: [],
            inbound: inbound,
            services: [
                VirtualService(
                    name: "orders.default",
                    hosts: ["orders", "orders.default"],
                    port: 8_080,
                    routes: routes
                )
            ],
            clusters: clusters ?? [cluster("v1"), cluster("v2")]
        )
    }

    private func cluster(
        _ name: String,
        endpoints: [Endpoint]? = nil,
        balancing: LoadBalancing = .default
    ) -> MeshModel.Cluster {
        let address = SocketAddress(addressBytes: [10, 0, 0, 1], port: 80)
        return MeshModel.Cluster(
            name: name,
            security: .plaintext,
            endpoints: endpoints ?? [Endpoint(address: address)],
            balancing: balancing
        )
    }

    private func explain(
        _ snapshot: MeshSnapshot,
        host: String = "orders",
        port: UInt16? = nil,
        target: String = "/x",
        headers: [(name: String, value: String)] = [],
        observed: ObservedExchange? = nil
    ) throws -> Explanation {
        let request = try #require(
            ImaginedRequest(
                host: host,
                port: port,
                target: target,
                headers: headers,
                hasAllHeaders: observed == nil
            )
        )
        return Explainer(snapshot)
            .explain(request, observed: observed, wall: Self.wall, now: Self.now)
    }

    private let canary = Route(
        name: "orders/0",
        match: RouteMatch(headers: [.init(name: "x-canary", value: "yes")]),
        backends: [WeightedCluster(cluster: "v2")]
    )
    private let posts = Route(
        name: "orders/1",
        match: RouteMatch(path: .prefix("/x"), method: "POST"),
        backends: [WeightedCluster(cluster: "v1")]
    )
    private let split = Route(
        name: "orders/2",
        match: RouteMatch(path: .prefix("/x")),
        backends: [
            WeightedCluster(cluster: "v1", weight: 2), WeightedCluster(cluster: "v2", weight: 1),
        ]
    )
    private let rest = Route(name: "orders/3", backends: [WeightedCluster(cluster: "v1")])

    @Test("the route that is taken, and why each before it is not")
    func routes() throws {
        let snapshot = try snapshot(routes: [canary, posts, split, rest])
        let explanation = try explain(snapshot)
        #expect(explanation.service == "orders.default" && explanation.version == 42)
        #expect(explanation.takenRoute?.name == "orders/2")
        #expect(
            explanation.routes.map(\.refusal) == [
                "the header x-canary is missing", "the method GET is another", nil,
            ]
        )
        #expect(explanation.laterRoutes == 1 && explanation.denial == nil)
        #expect(explanation.backends.map(\.shareBasisPoints) == [6_667, 3_333])
        #expect(explanation.clusters.map(\.name) == ["v1", "v2"])
        let other = try explain(snapshot, headers: [("X-Canary", "no")])
        #expect(other.routes.first?.refusal == "the header x-canary is another")
        let forced = try explain(snapshot, headers: [("X-Canary", "yes")])
        #expect(forced.takenRoute?.name == "orders/0" && forced.laterRoutes == 3)
        #expect(try explain(snapshot, target: "/y").takenRoute?.name == "orders/3")
    }

    @Test("a service without a route for it is told with every refusal")
    func noRoute() throws {
        let explanation = try explain(try snapshot(routes: [canary, posts]), target: "/y")
        #expect(explanation.takenRoute == nil && explanation.routes.count == 2)
        #expect(explanation.routes.last?.refusal == "the path /y is another")
        #expect(explanation.denial?.hasPrefix("no route") == true)
        #expect(explanation.clusters.isEmpty)
    }

    @Test("a host or a port that is none of the workload's is told so")
    func noService() throws {
        let snapshot = try snapshot(routes: [rest])
        let unknown = try explain(snapshot, host: "payments")
        #expect(unknown.service == nil)
        #expect(unknown.denial?.hasPrefix("unknown service: ") == true)
        #expect(unknown.denial?.contains("none by payments; it calls orders") == true)
        let port = try explain(snapshot, port: 9_090)
        #expect(port.denial == "unknown service: orders is called at 8080, not at 9090")
        #expect(try explain(snapshot, host: "ORDERS", port: 8_080).denial == nil)
    }

    @Test("a sticky request is told its backend, and it is the one that the split chooses")
    func sticky() throws {
        let route = Route(
            name: "orders/0",
            backends: split.backends,
            stickiness: .header("x-user")
        )
        let snapshot = try snapshot(routes: [route])
        let schedule = SplitSchedule(weights: [2, 1])
        var backends: Set<Int> = []
        for user in 0..<20 {
            let request = try #require(
                ImaginedRequest(host: "orders", headers: [("x-user", "u\(user)")])
            )
            let hash = try #require(CompiledStickiness(.header("x-user")).hash(request.head))
            let explanation = Explainer(snapshot)
                .explain(request, wall: Self.wall, now: Self.now)
            let chosen = explanation.backends.firstIndex { $0.isChosen }
            #expect(chosen == schedule.choice(hash: hash))
            if let chosen { backends.insert(chosen) }
        }
        #expect(backends == [0, 1])
        #expect(try explain(snapshot).backends.allSatisfy { !$0.isChosen })
    }

    @Test("with a hash the endpoint is told, which stays the same")
    func hashed() throws {
        let endpoints = (1...5).map {
            Endpoint(address: SocketAddress(addressBytes: [10, 0, 0, UInt8($0)], port: 80))
        }
        let ring = LoadBalancing(algorithm: .ringHash, hash: .header("x-user"))
        let snapshot = try snapshot(
            routes: [rest],
            clusters: [cluster("v1", endpoints: endpoints, balancing: ring)]
        )
        func chosen(_ user: String) throws -> [String] {
            try explain(snapshot, headers: [("x-user", user)]).clusters[0].endpoints
                .filter(\.isChosen).map(\.address)
        }
        let users = (0..<20).map { "u\($0)" }
        let first = try users.map { try chosen($0) }
        #expect(first.allSatisfy { $0.count == 1 } && Set(first).count > 1)
        #expect(try users.map { try chosen($0) } == first)
        #expect(try explain(snapshot).clusters[0].endpoints.allSatisfy { !$0.isChosen })
    }

    @Test("names are told as such, and no endpoint at all too")
    func names() throws {
        let named = Endpoint(target: .name("db.example.org", port: 5_432))
        let explanation = try explain(
            try snapshot(routes: [rest], clusters: [cluster("v1", endpoints: [named])])
        )
        #expect(explanation.clusters[0].endpoints.map(\.address) == ["db.example.org:5432"])
        #expect(explanation.text.contains("a name, not resolved here"))
        let none = try explain(
            try snapshot(routes: [rest], clusters: [cluster("v1", endpoints: [])])
        )
        #expect(none.text.contains("no endpoints"))
    }

    @Test("limits, faults, filters, retries and priority of the route are told, where they apply")
    func policies() throws {
        let admins = RouteMatch(headers: [.init(name: "x-role", value: "admin")])
        let route = Route(
            name: "orders/0",
            backends: [WeightedCluster(cluster: "v1")],
            timeouts: RouteTimeouts(request: .seconds(2)),
            retry: RetryPolicy(
                statuses: [503],
                perTryTimeout: .milliseconds(300),
                hedge: Hedge(delay: .milliseconds(50))
            ),
            filters: RouteFilters(
                requestHeaders: HeaderModifier(set: [.init(name: "x-key", value: "s3cret")]),
                mirrors: [RequestMirror(cluster: "v2", share: Share(millionths: 125_000))]
            ),
            fallback: Fallback(cluster: "v2"),
            faults: [
                Fault(delay: (Share(percent: 5), .seconds(1))),
                Fault(matches: [admins], abort: (.all, .status(500))),
            ],
            rateLimits: [
                RateLimit(name: "everyone", requests: 10),
                RateLimit(name: "admins", matches: [admins], requests: 1),
            ],
            priority: .critical
        )
        let explanation = try explain(try snapshot(routes: [route]))
        #expect(explanation.rateLimits.map { $0.prefix(9) } == ["everyone:"])
        #expect(explanation.faults == ["5 % wait 1s"])
        #expect(explanation.priority == .critical)
        #expect(explanation.filters.contains("mirror: 12.5 % to v2"))
        #expect(explanation.timeouts.contains("whole exchange 2s"))
        #expect(explanation.retries.first?.contains("status 503") == true)
        #expect(explanation.clusters.map(\.name) == ["v1", "v2"])
        #expect(!explanation.text.contains("s3cret") && !explanation.json.contains("s3cret"))
        let admin = try explain(try snapshot(routes: [route]), headers: [("x-role", "admin")])
        #expect(admin.rateLimits.count == 2 && admin.faults.count == 2)
    }

    @Test("an API version that has ended and a redirect are told as the answer")
    func answers() throws {
        let ended = Route(
            name: "orders/0",
            backends: [WeightedCluster(cluster: "v1")],
            filters: RouteFilters(lifecycle: APILifecycle(sunset: Self.wall.unixSeconds))
        )
        #expect(try explain(try snapshot(routes: [ended])).denial?.contains("410") == true)
        let redirect = Route(
            name: "orders/0",
            backends: [],
            filters: RouteFilters(redirect: RequestRedirect(hostname: "new.example", status: 308))
        )
        #expect(try explain(try snapshot(routes: [redirect])).denial?.contains("308") == true)
    }

    @Test("the budget of a cluster without traffic is its floor")
    func budget() throws {
        let explanation = try explain(try snapshot(routes: [rest]))
        #expect(explanation.clusters[0].budgetLeft == 100)
        #expect(explanation.text.contains("100 left"))
    }

    @Test("of a request that was seen its own route counts, and what its worker knows")
    func observed() throws {
        let member = EndpointMember(key: SocketAddress(addressBytes: [10, 0, 0, 9], port: 80))
        let selector = EndpointSelector(cluster("v2"), own: .unknown, seed: 1)
        selector.update([member], now: Self.now)
        let seen = ObservedExchange(
            service: "orders.default",
            route: 2,
            cluster: "v2",
            clusters: [
                "v2": ObservedCluster(
                    endpoints: [(member, selector.state(0, now: Self.now))],
                    budgetLeft: 3
                )
            ]
        )
        let explanation = try explain(
            try snapshot(routes: [canary, posts, split, rest]),
            observed: seen
        )
        #expect(explanation.takenRoute?.index == 2)
        // It may have had the header, with another value.
        #expect(explanation.routes[0].refusal == "the header x-canary")
        #expect(explanation.backends.filter(\.isChosen).map(\.cluster) == ["v2"])
        let known = try #require(explanation.clusters.first { $0.name == "v2" })
        #expect(known.budgetLeft == 3)
        #expect(known.endpoints.map(\.address) == ["10.0.0.9:80"])
    }

    @Test("a request that was refused before it had a backend is told its route all the same")
    func refused() throws {
        let seen = ObservedExchange(service: "unknown", route: nil, cluster: "", clusters: [:])
        let explanation = try explain(
            try snapshot(routes: [canary, posts, split, rest]),
            observed: seen
        )
        #expect(explanation.service == "orders.default" && explanation.denial == nil)
        #expect(explanation.takenRoute?.index == 2)
        #expect(explanation.backends.allSatisfy { !$0.isChosen })
        #expect(explanation.split == "it went to none")
        let none = try explain(try snapshot(routes: [canary]), observed: seen)
        #expect(none.denial?.hasPrefix("no route") == true)
    }

    @Test("a service of ten thousand routes is told in short")
    func manyRoutes() throws {
        let routes = (0..<10_000).map { index in
            Route(
                name: "orders/\(index)",
                match: RouteMatch(path: .exact("/r\(index)")),
                backends: [WeightedCluster(cluster: "v1")]
            )
        }
        let explanation = try explain(try snapshot(routes: routes), target: "/r9000")
        #expect(explanation.takenRoute?.index == 9_000)
        #expect(explanation.routes.count == Explainer.routesMax + 1)
        #expect(explanation.omittedRoutes == 9_000 - Explainer.routesMax)
        #expect(explanation.laterRoutes == 999)
    }

    @Test("a request of a peer is told the limits and the priority of the application")
    func inbound() throws {
        let reports = RouteMatch(path: .prefix("/reports"))
        let snapshot = try snapshot(
            routes: [rest],
            inbound: InboundService(
                name: "web.default",
                rateLimits: [RateLimit(name: "all", requests: 5)],
                priorities: [PriorityRule(matches: [reports], priority: .sheddable)]
            )
        )
        let request = try #require(ImaginedRequest(host: "web", target: "/reports/1"))
        let explanation = Explainer(snapshot).explainInbound(request, now: Self.now)
        #expect(explanation.listener == "inbound" && explanation.service == "web.default")
        #expect(explanation.priority == .sheddable && explanation.rateLimits.count == 1)
    }

    @Test("text and JSON say the same, and the JSON is some")
    func forms() throws {
        let explanation = try explain(try snapshot(routes: [canary, split, rest]))
        let node = try ConfigNode.parse(json: explanation.json)
        #expect(node["route"]?.value == .string("orders/2"))
        #expect(node["version"]?.value == .number("42"))
        let lines = explanation.text.split(separator: "\n")
        #expect(lines.contains("request      GET orders/x"))
        #expect(lines.contains("route        orders/2 (#1): path under /x"))
        #expect(
            lines.contains(
                "not taken    orders/0 (#0): header x-canary is yes; "
                    + "the header x-canary is missing"
            )
        )
        #expect(lines.contains("backend      v1, weight 2, 66.67 %"))
        #expect(lines.contains { $0.hasPrefix("endpoint     10.0.0.1:80, weight 1, healthy") })
    }

    @Test(
        "what cannot be sent is no request",
        arguments: [
            ("", "orders", "/"), ("GE T", "orders", "/"), ("GET", "", "/"), ("GET", "a b", "/"),
            ("GET", "a/b", "/"), ("GET", "orders", ""), ("GET", "orders", "x"),
            ("GET", "orders", "/a b"), ("GET", "orders", "/\n"), ("GET", "orders", "/ä"),
        ]
    )
    func noRequest(method: String, host: String, target: String) {
        #expect(ImaginedRequest(method: method, host: host, target: target) == nil)
    }

    @Test("nor is one with a header that is none")
    func noHeader() {
        for header in [("", "v"), ("a b", "v"), ("a:", "v"), ("a", "x\r\ny: z"), ("a", "\u{7F}")] {
            #expect(ImaginedRequest(host: "orders", headers: [header]) == nil)
        }
    }
}
