import Controller
import MeshModel
import Testing

@Suite struct CatalogCompileTests {
    @Test("An empty set is a catalog with the mesh's defaults")
    func empty() throws {
        let empty = try Manifests.catalog("# nothing\n---\n---\n")
        #expect(empty.mesh.trustDomain.name == "mesh.internal")
        #expect(empty.mesh.leafLifetime == .seconds(86_400))
        #expect(empty.workloads.isEmpty)
        let key = ObjectKey(name: "web")
        #expect(try empty.compile(workload: key, version: 1, trustBundle: []) == nil)
    }

    @Test("A snapshot holds only what its workload uses")
    func onlyUsed() throws {
        let snapshot = try compile(
            Manifests.orders + "\n---\n"
                + Manifests.object("Service", "other", "security: plaintext") + "\n---\n"
                + Manifests.object("Workload", "web", "uses: [{service: orders}]")
        )
        #expect(snapshot.version == 7)
        #expect(snapshot.workload.description == "spiffe://mesh.internal/ns/default/sa/web")
        #expect(snapshot.inbound.name == "web.default")
        #expect(snapshot.services.map(\.name) == ["orders.default"])
        #expect(
            snapshot.services[0].hosts == [
                "orders", "orders.default", "orders.default.svc",
                "orders.default.svc.cluster.local",
            ]
        )
        #expect(snapshot.services[0].routes.map(\.name) == ["orders"])
        #expect(snapshot.services[0].routes[0].match == .everything)
        #expect(snapshot.clusters.map(\.name) == ["orders.default"])
        let identity = SPIFFEID("spiffe://mesh.internal/ns/default/sa/orders")
        #expect(snapshot.clusters[0].security == .mutual([try #require(identity)]))
    }

    @Test("A workload that uses nothing sees nothing")
    func usesNothing() throws {
        let snapshot = try compile(
            Manifests.orders + "\n---\n" + Manifests.object("Workload", "web", "{}")
        )
        #expect(snapshot.services.isEmpty)
        #expect(snapshot.clusters.isEmpty)
    }

    @Test("A service of another namespace has no short name, and its own workload's identity")
    func namespaces() throws {
        let inShop = Manifests.orders.replacing(
            "name: orders\n",
            with: "name: orders\n  namespace: shop\n"
        )
        let snapshot = try compile(
            inShop + "\n---\n"
                + Manifests.object("Workload", "web", "uses: [{service: orders, namespace: shop}]")
        )
        #expect(snapshot.services[0].hosts.first == "orders.shop")
        #expect(!snapshot.services[0].hosts.contains("orders"))
        let identity = SPIFFEID("spiffe://mesh.internal/ns/shop/sa/orders")
        #expect(snapshot.clusters[0].security == .mutual([try #require(identity)]))
    }

    @Test("Weights, endpoints, limits and times arrive in the snapshot")
    func values() throws {
        let snapshot = try compile(
            Manifests.object(
                "Mesh",
                "mesh",
                """
                trustDomain: example.org
                defaults: {connectTimeout: 2s, requestTimeout: 30s, streamIdleTimeout: 1m}
                """
            ) + "\n---\n"
                + Manifests.object(
                    "Service",
                    "orders",
                    """
                    port: 8080
                    security: plaintext
                    endpoints: [{address: 10.0.0.1, port: 80}, {address: "::1", port: 81}]
                    limits: {connections: 3, pendingRequests: 0, requests: 4}
                    timeouts: {connect: 3s, idle: 4s}
                    """
                ) + "\n---\n" + Manifests.object("Service", "v2", "security: plaintext") + "\n---\n"
                + Manifests.route(
                    """
                    - backendRefs: [{name: orders, port: 8080, weight: 90}, {name: v2, weight: 10}]
                    - matches: [{path: {value: /slow}}]
                      backendRefs: [{name: v2}]
                      timeouts: {request: 0s}
                    - matches: [{path: {value: /fast}}]
                      backendRefs: [{name: v2}]
                      timeouts: {request: 5s}
                    """
                ) + "\n---\n" + Manifests.object("Workload", "web", "uses: [{service: orders}]")
        )
        #expect(snapshot.trustDomain.name == "example.org")
        #expect(snapshot.services[0].port == 8_080)
        #expect(snapshot.services[0].routes.map(\.name) == ["r/1", "r/2", "r/0"])
        #expect(
            snapshot.services[0].routes[2].backends == [
                WeightedCluster(cluster: "orders.default", weight: 90),
                WeightedCluster(cluster: "v2.default", weight: 10),
            ]
        )
        #expect(
            snapshot.services[0].routes.map(\.timeouts.request)
                == [nil, .seconds(5), .seconds(30)]
        )
        #expect(snapshot.services[0].routes[0].timeouts.streamIdle == .seconds(60))
        let cluster = snapshot.clusters[0]
        #expect(cluster.security == .plaintext)
        #expect(cluster.endpoints.map(\.target.description) == ["10.0.0.1:80", "[::1]:81"])
        #expect(
            cluster.limits == ClusterLimits(connections: 3, pendingRequests: 0, requests: 4)
        )
        #expect(cluster.connectTimeout == .seconds(3))
        #expect(cluster.idleTimeout == .seconds(4))
        #expect(snapshot.clusters[1].connectTimeout == .seconds(2))
        #expect(snapshot.clusters[1].idleTimeout == .seconds(600))
    }

    @Test("The inbound side is named and bounded by the service it implements, not by its routes")
    func inbound() throws {
        let snapshot = try compile(
            Manifests.object(
                "Service",
                "shop",
                """
                workload: web
                limits: {connections: 9}
                timeouts: {request: 1s, streamIdle: 2s}
                """
            ) + "\n---\n" + Manifests.object("Workload", "web", "service: shop")
        )
        #expect(
            snapshot.inbound
                == InboundService(
                    name: "shop.default",
                    timeouts: RouteTimeouts(streamIdle: .seconds(2)),
                    limits: ClusterLimits(connections: 9)
                )
        )
    }

    @Test("Routes stand in Gateway API's order of precedence")
    func precedence() throws {
        let backend = "backendRefs: [{name: orders}]"
        let snapshot = try compile(
            Manifests.orders + "\n---\n"
                + Manifests.object("Workload", "web", "uses: [{service: orders}]")
                + "\n---\n"
                + Manifests.route(
                    name: "b",
                    """
                    - \(backend)
                    - matches: [{path: {value: /a}}]
                      \(backend)
                    - matches: [{path: {value: /a/b/}}]
                      \(backend)
                    - matches: [{headers: [{name: X-A, value: "1"}]}, {method: GET}]
                      \(backend)
                    - matches: [{path: {type: Exact, value: /}}]
                      \(backend)
                    """
                ) + "\n---\n"
                + Manifests.route(
                    name: "a",
                    """
                    - matches: [{path: {value: /a}, headers: [{name: b, value: c}]}]
                      \(backend)
                    - matches: [{path: {value: /a}, method: POST}]
                      \(backend)
                    - matches: [{path: {value: /a}}]
                      \(backend)
                    - matches: [{headers: [{name: x, value: a}, {name: z, value: a}]}]
                      \(backend)
                    """
                )
        )
        let routes = snapshot.services[0].routes
        #expect(
            routes.map(\.name) == [
                "b/4",  // exact
                "b/2",  // longest prefix
                "a/1",  // method before headers
                "a/0", "a/2", "b/1",  // alphabetical
                "b/3", "a/3", "b/3", "b/0",
            ]
        )
        #expect(routes[1].match.path == .prefix("/a/b"))
        #expect(routes[6].match == RouteMatch(method: "GET"))
        #expect(
            routes[8].match == RouteMatch(headers: [RouteMatch.Header(name: "x-a", value: "1")])
        )
        #expect(routes[9].match == .everything)
    }

    @Test("Equal manifests give equal bytes, however they are split into files and ordered")
    func deterministic() throws {
        let texts = [
            Manifests.orders,
            Manifests.object("Workload", "web", "uses: [{service: v2}, {service: orders}]"),
            Manifests.object("Service", "v2", "security: plaintext"),
            Manifests.route("- backendRefs: [{name: v2}, {name: orders}]"),
        ]
        let key = ObjectKey(name: "web")
        let whole = try Manifests.catalog(texts.joined(separator: "\n---\n"))
            .compile(workload: key, version: 1, trustBundle: [])?.encode()
        let split = try Catalog(
            manifests: texts.reversed().enumerated().map { index, text in
                ManifestFile(name: "\(index).yaml", bytes: Array(text.utf8))
            }
        ).compile(workload: key, version: 1, trustBundle: [])?.encode()
        #expect(whole != nil)
        #expect(whole == split)
    }

    @Test("A workload is found by its identity, of the right trust domain only")
    func lookup() throws {
        let set = try Manifests.catalog(Manifests.object("Workload", "web", "serviceAccount: shop"))
        let id = try #require(SPIFFEID("spiffe://mesh.internal/ns/default/sa/shop"))
        #expect(set.workload(id: id)?.key == ObjectKey(name: "web"))
        #expect(set.spiffeID(of: ObjectKey(name: "web")) == id)
        let foreign = try #require(SPIFFEID("spiffe://other/ns/default/sa/shop"))
        #expect(set.workload(id: foreign) == nil)
        #expect(set.spiffeID(of: ObjectKey(namespace: "b", name: "web")) == nil)
    }

    @Test("A trust bundle that is none is refused")
    func trustBundle() throws {
        let set = try Manifests.catalog(Manifests.object("Workload", "web", "{}"))
        #expect(throws: ConfigErrors.self) {
            try set.compile(workload: ObjectKey(name: "web"), version: 1, trustBundle: ["x"])
        }
    }

    private func compile(_ text: String) throws -> MeshSnapshot {
        let snapshot = try Manifests.catalog(text).compile(
            workload: ObjectKey(name: "web"),
            version: 7,
            trustBundle: []
        )
        return try #require(snapshot)
    }
}
