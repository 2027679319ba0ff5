import MeshModel
import Testing

@testable import Controller

@Suite("Canary shares in snapshots")
struct CanarySplitTests {
    @Test("A service without routes is divided between its endpoints and the canary's")
    func defaultRoute() throws {
        let routes = try routes(CanaryFixtures.catalog(), share: Share(percent: 5))
        #expect(routes.map(\.name) == ["orders"])
        #expect(weights(routes[0]) == ["orders.default": 19, "orders-v2.default": 1])
    }

    @Test("The canary's cluster comes with the share, though the workload does not use its service")
    func cluster() throws {
        let snapshot = try snapshot(CanaryFixtures.catalog(), share: Share(percent: 5))
        #expect(snapshot.clusters.map(\.name) == ["orders.default", "orders-v2.default"])
        #expect(snapshot.services.map(\.name) == ["orders.default"])
    }

    @Test(
        "Rolled back or promoted, all of it goes to one side",
        arguments: [(Share.none, [1, 0]), (Share.all, [0, 1])] as [(Share, [UInt32])]
    )
    func ends(share: Share, expected: [UInt32]) throws {
        let routes = try routes(CanaryFixtures.catalog(), share: share)
        #expect(routes[0].backends.map(\.weight) == expected)
    }

    @Test("Without a share it is the first step's")
    func firstStep() throws {
        let snapshot = try CanaryFixtures.catalog("steps: [\"10%\"]").compile(
            workload: ObjectKey(name: "web"),
            version: 1,
            trustBundle: []
        )
        let route = try #require(snapshot?.services[0].routes[0])
        #expect(weights(route) == ["orders.default": 9, "orders-v2.default": 1])
    }

    @Test("Only what goes to the baseline is divided, the rest keeps its weight")
    func otherBackends() throws {
        let catalog = try CanaryFixtures.catalog(
            routes: Manifests.route(
                """
                - backendRefs: [{name: orders, weight: 90}, {name: virtual2, weight: 10}]
                - matches: [{path: {value: /other}}]
                  backendRefs: [{name: virtual2}]
                """
            ) + "\n---\n" + Manifests.object("Service", "virtual2", "security: plaintext")
        )
        let routes = try routes(catalog, share: Share(percent: 50))
        #expect(routes.map(\.name) == ["r/1", "r/0"])
        #expect(weights(routes[0]) == ["virtual2.default": 1])
        #expect(
            weights(routes[1]) == [
                "orders.default": 9, "orders-v2.default": 9, "virtual2.default": 2,
            ]
        )
    }

    @Test("A canary that stands in the route already shares its weight with the baseline")
    func merged() throws {
        let catalog = try CanaryFixtures.catalog(
            routes: Manifests.route(
                "- backendRefs: [{name: orders, weight: 1}, {name: orders-v2, weight: 3}]"
            )
        )
        let routes = try routes(catalog, share: Share(percent: 25))
        #expect(weights(routes[0]) == ["orders.default": 3, "orders-v2.default": 1])
    }

    @Test("Subsets of one service are two versions, and the whole service stands for the baseline")
    func subsets() throws {
        let catalog = try Manifests.catalog(
            [
                Manifests.object(
                    "Service",
                    "orders",
                    """
                    security: plaintext
                    endpoints:
                      - {address: 10.0.0.1, port: 80, labels: {version: v1}}
                      - {address: 10.0.0.2, port: 80, labels: {version: v2}}
                    """
                ),
                Manifests.object(
                    "TrafficPolicy",
                    "orders",
                    """
                    targetRefs: [{group: mesh.internal, kind: Service, name: orders}]
                    subsets:
                      - {name: v1, labels: {version: v1}}
                      - {name: v2, labels: {version: v2}}
                    """
                ),
                Manifests.object("Workload", "web", "uses: [{service: orders}]"),
                Manifests.object(
                    "Canary",
                    "orders",
                    """
                    targetRef: {name: orders}
                    baseline: {name: orders, subset: v1}
                    canary: {name: orders, subset: v2}
                    """
                ),
            ].joined(separator: "\n---\n")
        )
        let snapshot = try snapshot(catalog, share: Share(percent: 25))
        let clusters = snapshot.clusters.map(\.name)
        #expect(clusters.contains("orders.default_v1") && clusters.contains("orders.default_v2"))
        #expect(
            weights(snapshot.services[0].routes[0]) == [
                "orders.default_v1": 3, "orders.default_v2": 1,
            ]
        )
        #expect(snapshot.services[0].routes.count == 1)
    }

    @Test("Testers' requests come first, by the same match, and go to the canary alone")
    func forced() throws {
        let catalog = try CanaryFixtures.catalog(
            "forceHeader: {name: X-Canary, value: always}",
            routes: Manifests.route(
                """
                - matches: [{path: {type: Exact, value: /a}, method: GET}]
                  backendRefs: [{name: orders}]
                """
            )
        )
        let routes = try routes(catalog, share: Share(percent: 5))
        #expect(routes.map(\.name) == ["r/0/forced", "r/0"])
        #expect(routes[0].match.path == .exact("/a"))
        #expect(routes[0].match.method == "GET")
        #expect(
            routes[0].match.headers == [RouteMatch.Header(name: "x-canary", value: "always")]
        )
        #expect(weights(routes[0]) == ["orders-v2.default": 1])
        #expect(routes[1].match.headers.isEmpty)
    }

    @Test("A sticky canary keeps callers on their version, testers excepted")
    func sticky() throws {
        let routes = try routes(
            CanaryFixtures.catalog(
                "sticky: {cookie: version}\nforceHeader: {name: x-canary, value: a}"
            ),
            share: Share(percent: 5)
        )
        #expect(routes.map(\.stickiness) == [nil, .cookie(name: "version", lifetime: nil)])
    }

    @Test("Weights that do not fit are rounded, and none that was there to nothing")
    func reduced() {
        #expect(CanarySplit.reduced([950_000, 50_000]) == [19, 1])
        #expect(CanarySplit.reduced([0, 7]) == [0, 1])
        let large = CanarySplit.reduced([1_000_000_000_001, 1, 0])
        #expect(large == [1_000_000, 1, 0])
        #expect(CanarySplit.reduced([.max, .max]) == [1, 1])
    }

    private func weights(_ route: Route) -> [String: UInt32] {
        Dictionary(uniqueKeysWithValues: route.backends.map { ($0.cluster, $0.weight) })
    }

    private func routes(_ catalog: Catalog, share: Share) throws -> [Route] {
        try snapshot(catalog, share: share).services[0].routes
    }

    private func snapshot(_ catalog: Catalog, share: Share) throws -> MeshSnapshot {
        try #require(
            try catalog.compile(
                workload: ObjectKey(name: "web"),
                version: 1,
                trustBundle: [],
                canaryShares: [ObjectKey(name: "orders"): share]
            )
        )
    }
}
