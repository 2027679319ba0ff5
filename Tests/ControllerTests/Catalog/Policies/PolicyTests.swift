import Controller
import MeshModel
import Testing

@Suite struct PolicyTests {
    @Test("A service's policy arrives in its cluster and its routes")
    func ofService() throws {
        let snapshot = try compile(
            policy(
                service,
                """
                retry: {attempts: 3, statuses: [503], grpcCodes: [UNAVAILABLE], conditions: [reset]}
                retryBudget: {share: 10%, perSecond: 5}
                loadBalancing: {algorithm: maglev, hash: {header: x-user}, slowStart: {window: 30s}}
                outlierDetection: {consecutiveFailures: 3, successRateMin: none}
                healthCheck: {kind: {http: /health}}
                limits: {requests: 10}
                fallback: {backendRef: {name: v2}, response: {status: 503, body: later}}
                """
            )
        )
        let route = snapshot.services[0].routes[0]
        #expect(
            route.retry
                == RetryPolicy(attempts: 3, conditions: .reset, statuses: [503], grpcCodes: [14])
        )
        #expect(
            route.fallback
                == Fallback(
                    cluster: "v2.default",
                    response: FallbackResponse(status: 503, body: "later")
                )
        )
        let cluster = snapshot.clusters[0]
        #expect(cluster.name == "orders.default")
        #expect(cluster.retryBudget == RetryBudget(share: Share(percent: 10), perSecond: 5))
        #expect(
            cluster.balancing
                == LoadBalancing(
                    algorithm: .maglev,
                    hash: .header("x-user"),
                    slowStart: SlowStart(window: .seconds(30))
                )
        )
        #expect(
            cluster.outlierDetection
                == OutlierDetection(consecutiveFailures: 3, successRateMin: nil)
        )
        #expect(cluster.healthCheck == HealthCheck(kind: .http(path: "/health")))
        #expect(cluster.limits == ClusterLimits(requests: 10))
        #expect(snapshot.clusters.map(\.name) == ["orders.default", "v2.default"])
        #expect(snapshot.clusters[1].outlierDetection == .default)
    }

    @Test("What a level does not say it takes from the one above: mesh, service, route, rule")
    func precedence() throws {
        let snapshot = try compile(
            Manifests.object(
                "Mesh",
                "mesh",
                """
                defaults:
                  requestTimeout: 9s
                  retry: {attempts: 1, statuses: [500], replayBytesMax: 1}
                  outlierDetection: none
                  limits: {connections: 7}
                  loadShedding: {target: 50ms}
                """
            ),
            policy(service, "retry: {attempts: 2, grpcCodes: [14]}", name: "a"),
            policy(route, "retry: {attempts: 3, backoff: {base: 50ms}}", name: "b"),
            policy(
                rule("slow"),
                "retry: {attempts: 5, hedge: {delay: 1s}}\ntimeouts: {request: 3s}",
                name: "c"
            ),
            Manifests.route(
                """
                - name: slow
                  matches: [{path: {value: /slow}}]
                  timeouts: {request: 5s}
                  retry: {attempts: 4}
                  backendRefs: [{name: orders}]
                - name: fast
                  matches: [{path: {value: /fast}}]
                  retry: {attempts: 4}
                  backendRefs: [{name: orders}]
                - backendRefs: [{name: v2}]
                """
            )
        )
        let routes = snapshot.services[0].routes
        #expect(routes.map(\.name) == ["r/slow", "r/fast", "r/2"])
        #expect(routes.map(\.retry.attempts) == [5, 4, 3])
        #expect(routes.map(\.retry.statuses) == [[500], [500], [500]])
        #expect(routes.map(\.retry.grpcCodes) == [[14], [14], [14]])
        #expect(routes.map(\.retry.replayBytesMax) == [1, 1, 1])
        #expect(routes.allSatisfy { $0.retry.backoff.base == .milliseconds(50) })
        #expect(routes[0].retry.hedge == Hedge(delay: .seconds(1)))
        #expect(routes[1].retry.hedge == nil)
        #expect(routes.map(\.timeouts.request) == [.seconds(3), .seconds(9), .seconds(9)])
        #expect(snapshot.clusters.allSatisfy { $0.outlierDetection == nil })
        #expect(snapshot.clusters.allSatisfy { $0.limits == ClusterLimits(connections: 7) })
        #expect(snapshot.loadShedding == LoadShedding(target: .milliseconds(50)))
    }

    @Test("A service's own limits stand between the mesh's and its policy's")
    func limits() throws {
        let mesh = Manifests.object("Mesh", "mesh", "defaults: {limits: {connections: 1}}")
        let own = Manifests.object(
            "Service",
            "v3",
            "security: plaintext\nlimits: {requests: 2}"
        )
        let target = "{group: mesh.internal, kind: Service, name: v3}"
        let snapshot = try compile(mesh, own, policy(target, "limits: {pendingRequests: 3}"))
        let cluster = snapshot.clusters.first { $0.name == "v3.default" }
        #expect(
            cluster?.limits == ClusterLimits(connections: 1, pendingRequests: 3, requests: 2)
        )
    }

    @Test("The sidecar of a service enforces its limits, and those of routes that lead to it")
    func inboundLimits() throws {
        let texts = [
            policy(
                service,
                """
                rateLimits: [{name: all, requests: 100, matches: [{method: POST}]}]
                priorities: [{priority: critical, matches: [{path: {value: /pay}}]}]
                adaptiveConcurrency: {}
                """,
                name: "a"
            ),
            policy(route, "priority: sheddable", name: "b"),
            policy(
                rule("search"),
                """
                rateLimits: [{name: each, key: caller, requests: 5, period: 1m, burst: 2}]
                priority: normal
                """,
                name: "c"
            ),
            Manifests.route(
                """
                - name: search
                  matches: [{path: {value: /search}}]
                  backendRefs: [{name: orders}]
                - backendRefs: [{name: orders}]
                """
            ),
        ]
        let callers = try compile(texts)
        #expect(callers.services[0].routes.map(\.rateLimits) == [[], []])
        #expect(callers.services[0].routes.map(\.priority) == [.normal, .sheddable])
        #expect(callers.clusters[0].adaptiveConcurrency == nil)
        #expect(callers.inbound.rateLimits.isEmpty)
        let inbound = try compile(texts, workload: "orders").inbound
        #expect(
            inbound.rateLimits == [
                RateLimit(name: "all", matches: [RouteMatch(method: "POST")], requests: 100),
                RateLimit(
                    name: "r/search/each",
                    matches: [RouteMatch(path: .prefix("/search"))],
                    key: .caller,
                    requests: 5,
                    period: .seconds(60),
                    burst: 2
                ),
            ]
        )
        #expect(
            inbound.priorities == [
                PriorityRule(matches: [RouteMatch(path: .prefix("/search"))], priority: .normal),
                PriorityRule(
                    matches: [RouteMatch(path: .prefix("/search"))],
                    priority: .sheddable
                ),
                PriorityRule(priority: .sheddable),
                PriorityRule(matches: [RouteMatch(path: .prefix("/pay"))], priority: .critical),
            ]
        )
        #expect(inbound.adaptiveConcurrency == AdaptiveConcurrency())
    }

    @Test("Where no sidecar sees the requests as they were matched, the callers count")
    func callersLimits() throws {
        let snapshot = try compile(
            Manifests.object("Service", "v3", "security: plaintext"),
            policy(
                "{group: mesh.internal, kind: Service, name: v3}",
                "rateLimits: [{name: x, requests: 1}]\nadaptiveConcurrency: {}",
                name: "a"
            ),
            policy(route, "rateLimits: [{name: w, requests: 2}]", name: "b"),
            policy(rule("new"), "rateLimits: [{name: z, requests: 3}]", name: "c"),
            Manifests.route(
                """
                - name: new
                  matches: [{path: {value: /new}}]
                  filters:
                    - type: URLRewrite
                      urlRewrite: {path: {type: ReplaceFullPath, replaceFullPath: /old}}
                  backendRefs: [{name: orders}]
                - backendRefs: [{name: orders}, {name: v2}]
                """
            )
        )
        let orders = try #require(snapshot.services.first { $0.name == "orders.default" })
        #expect(
            orders.routes.map { $0.rateLimits.map(\.name) } == [["r/w", "r/new/z"], ["r/w"]]
        )
        let other = try #require(snapshot.services.first { $0.name == "v3.default" })
        #expect(other.routes[0].rateLimits == [RateLimit(name: "x", requests: 1)])
        #expect(
            snapshot.clusters.first { $0.name == "v3.default" }?.adaptiveConcurrency
                == AdaptiveConcurrency()
        )
    }

    @Test("A workload that does not say what it implements guards nothing: the callers count")
    func unguarded() throws {
        let texts = [policy(service, "rateLimits: [{name: all, requests: 1}]")]
        let snapshot = try compile(texts, implements: false)
        #expect(snapshot.services[0].routes[0].rateLimits.map(\.name) == ["all"])
        let inbound = try compile(texts, workload: "orders", implements: false).inbound
        #expect(inbound.rateLimits.isEmpty)
    }

    @Test("Faults are the most specific policy's, and one switch ends them all")
    func faults() throws {
        let texts = [
            fault(service, "- abort: {share: 10%, kind: {status: 503}}", name: "a"),
            fault(
                rule("slow"),
                "- matches: [{headers: [{name: x-test, value: b}]}]\n  delay: {duration: 2s}",
                name: "b"
            ),
            Manifests.route(
                """
                - name: slow
                  matches: [{path: {value: /slow}}]
                  backendRefs: [{name: orders}]
                - backendRefs: [{name: orders}]
                """
            ),
        ]
        let routes = try compile(texts).services[0].routes
        #expect(
            routes.map(\.faults) == [
                [
                    Fault(
                        matches: [
                            RouteMatch(headers: [RouteMatch.Header(name: "x-test", value: "b")])
                        ],
                        delay: (.all, .seconds(2))
                    )
                ],
                [Fault(abort: (Share(percent: 10), .status(503)))],
            ]
        )
        let off = Manifests.object("Mesh", "mesh", "faultInjection: disabled")
        #expect(try compile(texts + [off]).services[0].routes.map(\.faults) == [[], []])
    }

    @Test("A subset is a cluster of the endpoints that have its labels")
    func subsets() throws {
        let snapshot = try compile(
            Manifests.object(
                "Service",
                "v3",
                """
                security: plaintext
                targetPort: 80
                endpoints:
                  - {address: 10.0.0.1, labels: {version: "1"}, weight: 3}
                  - {address: 10.0.0.2, labels: {version: "2", canary: "true"},
                     locality: {region: eu, zone: eu-1}}
                """
            ),
            policy(
                "{group: mesh.internal, kind: Service, name: v3}",
                "subsets: [{name: new, labels: {version: \"2\"}}]"
            ),
            Manifests.route("- backendRefs: [{name: v3, subset: new}, {name: v3, weight: 9}]")
        )
        #expect(
            snapshot.services[0].routes[0].backends == [
                WeightedCluster(cluster: "v3.default_new"),
                WeightedCluster(cluster: "v3.default", weight: 9),
            ]
        )
        let whole = try #require(snapshot.clusters.first { $0.name == "v3.default" })
        #expect(whole.endpoints.map(\.weight) == [3, 1])
        let subset = try #require(snapshot.clusters.first { $0.name == "v3.default_new" })
        #expect(subset.endpoints.map(\.target.description) == ["10.0.0.2:80"])
        #expect(subset.endpoints[0].locality == Locality(region: "eu", zone: "eu-1"))
    }

    @Test("A workload's place and a version's end arrive in the snapshot")
    func localityAndLifecycle() throws {
        let text = [
            Manifests.route("- backendRefs: [{name: orders}]"),
            policy(
                route,
                """
                lifecycle:
                  deprecation: 2026-02-28
                  sunset: "2028-02-29T12:30:15Z"
                  link: https://docs.example/v2
                """
            ),
        ]
        let snapshot = try compile(text, web: "uses: [{service: orders}]\nlocality: {zone: eu-1}")
        #expect(snapshot.locality == Locality(region: "", zone: "eu-1"))
        #expect(
            snapshot.services[0].routes[0].filters.lifecycle
                == APILifecycle(
                    deprecation: 1_772_236_800,
                    sunset: 1_835_440_215,
                    link: "https://docs.example/v2"
                )
        )
    }

    @Test("A policy of a tcp service bounds connections")
    func tcp() throws {
        let snapshot = try compile(
            Manifests.object("Service", "v3", "security: plaintext\nprotocol: tcp"),
            policy(
                "{group: mesh.internal, kind: Service, name: v3}",
                "limits: {connections: 3}\nloadBalancing: {algorithm: ringHash, hash: address}"
            )
        )
        let cluster = try #require(snapshot.clusters.first { $0.name == "v3.default" })
        #expect(cluster.limits.connections == 3)
        #expect(cluster.balancing.algorithm == .ringHash)
    }

    // MARK: - Manifests

    private let service = "{group: mesh.internal, kind: Service, name: orders}"
    private let route = "{group: gateway.networking.k8s.io, kind: HTTPRoute, name: r}"

    private func rule(_ name: String) -> String {
        route.replacing("name: r", with: "name: r, sectionName: \(name)")
    }

    private func policy(_ target: String, _ spec: String, name: String = "p") -> String {
        Manifests.object("TrafficPolicy", name, "targetRefs: [\(target)]\n" + spec)
    }

    private func fault(_ target: String, _ faults: String, name: String) -> String {
        Manifests.object("FaultPolicy", name, "targetRefs: [\(target)]\nfaults:\n" + faults)
    }

    private func compile(_ texts: String...) throws -> MeshSnapshot { try compile(texts) }

    /// The snapshot of a workload beside services `orders` with a sidecar and `v2` without.
    private func compile(
        _ texts: [String],
        workload: String = "web",
        web: String? = nil,
        implements: Bool = true
    ) throws -> MeshSnapshot {
        let hasThird = texts.contains { $0.contains("kind: Service\nmetadata:\n  name: v3") }
        let uses = "uses: [{service: orders}\(hasThird ? ", {service: v3}" : "")]"
        let whole =
            texts + [
                Manifests.object("Service", "orders", "workload: orders"),
                Manifests.object("Workload", "orders", implements ? "service: orders" : "{}"),
                Manifests.object("Service", "v2", "security: plaintext"),
                Manifests.object("Workload", "web", web ?? uses),
            ]
        let snapshot = try Manifests.catalog(whole.joined(separator: "\n---\n"))
            .compile(workload: ObjectKey(name: workload), version: 1, trustBundle: [])
        let found = try #require(snapshot)
        #expect(try MeshSnapshot.decode(json: found.encode()) == found)
        return found
    }
}
