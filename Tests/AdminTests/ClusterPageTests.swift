import MeshModel
import Testing

@testable import Admin

/// One cluster of two endpoints on two workers, one of which has set one of them aside.
func inventedClusters() -> [AdminCluster] {
    func endpoint(
        _ address: String,
        _ worker: Int,
        _ change: (inout AdminCluster.EndpointView) -> Void = { _ in }
    ) -> AdminCluster.Endpoint {
        var view = AdminCluster.EndpointView(worker: worker)
        view.latencyNanoseconds = 1_254_000
        view.score = 1_254_000.4
        view.successes = 20
        change(&view)
        var endpoint = AdminCluster.Endpoint(
            address: address,
            activeConnections: 1,
            idleConnections: 2,
            dialingConnections: 0,
            pendingRequests: 0,
            connectFailures: 4,
            views: [view]
        )
        endpoint.locality = "eu/a"
        return endpoint
    }
    func cluster(_ worker: Int, _ endpoints: [AdminCluster.Endpoint]) -> AdminCluster {
        AdminCluster(
            name: "orders",
            activeRequests: 1,
            pendingRequests: 0,
            connections: 6,
            retryBudgetLeft: 99,
            views: [
                .init(worker: worker, activeRequests: 1, isPanic: false, adaptiveLimit: nil)
            ],
            endpoints: endpoints
        )
    }
    let healthy = endpoint("10.0.0.1:80", 0)
    return AdminCluster.merged([
        cluster(1, [endpoint("10.0.0.1:80", 1), endpoint("10.0.0.2:80", 1)]),
        cluster(
            0,
            [
                healthy,
                endpoint("10.0.0.2:80", 0) {
                    $0.isHealthy = false
                    $0.standing = "ejected"
                    $0.explanation = "ejected, out for 2.1 s: 5 failures in a row; probed in 0.9 s"
                    $0.outMilliseconds = 2_100
                    $0.ejectedMilliseconds = 900
                    $0.cause = "consecutive-failures"
                    $0.ejections = 1
                    $0.weight = 0.4
                    $0.failures = 5
                    $0.consecutiveFailures = 5
                },
            ]
        ),
    ])
}

@Suite("Pages of clusters and endpoints")
struct ClusterPageTests {
    private func state(_ clusters: [AdminCluster]) throws -> AdminSnapshot {
        var state = try inventedState()
        state.clusters = clusters
        return state
    }

    private func list(_ node: ConfigNode?) -> [ConfigNode] {
        guard case .array(let elements)? = node?.value else { return [] }
        return elements
    }

    @Test("The JSON has bounds and load of a cluster, and each endpoint's standing by worker")
    func json() throws {
        let reply = AdminEndpoint.clusters.reply(try state(inventedClusters()))
        #expect(reply.contentType == "application/json")
        let page = list(try ConfigNode.parse(json: reply.bodyText))
        #expect(page.count == 1)
        let cluster = page[0]
        #expect(cluster["name"]?.value == .string("orders"))
        #expect(cluster["endpointsOut"]?.value == .number("1"))
        #expect(cluster["activeRequests"]?.value == .number("2"))
        #expect(cluster["limits"]?["requests"]?.value == .number("1024"))
        #expect(cluster["retryBudgetLeft"]?.value == .number("99"))
        #expect(
            list(cluster["workers"]).map { $0["isPanic"]?.value } == [.bool(false), .bool(false)]
        )
        let endpoints = list(cluster["endpoints"])
        #expect(
            endpoints.map { $0["standing"]?.value } == [.string("healthy"), .string("ejected")]
        )
        #expect(endpoints[1]["connectFailures"]?.value == .number("8"))
        #expect(endpoints[1]["locality"]?.value == .string("eu/a"))
        let views = list(endpoints[1]["workers"])
        #expect(views.map { $0["worker"]?.value } == [.number("0"), .number("1")])
        #expect(
            AdminReply.json(JSONPage(views[0])).bodyText == """
                {
                  "worker": 0,
                  "standing": "ejected",
                  "explanation": "ejected, out for 2.1 s: 5 failures in a row; probed in 0.9 s",
                  "outMilliseconds": 2100,
                  "ejectedMilliseconds": 900,
                  "cause": "consecutive-failures",
                  "ejections": 1,
                  "active": 0,
                  "latencyNanoseconds": 1254000,
                  "score": 1254000,
                  "weight": 0.400,
                  "successes": 20,
                  "failures": 5,
                  "consecutiveFailures": 5
                }

                """
        )
        #expect(views[1]["cause"]?.value == .null)
    }

    @Test("A proxy without clusters has empty pages")
    func empty() throws {
        #expect(AdminEndpoint.clusters.reply(try state([])).bodyText == "[]\n")
        #expect(AdminEndpoint.endpoints.reply(try state([])).bodyText == "no endpoint is out\n")
    }

    @Test("The table begins with what is out: who says so, since when, why and until when")
    func table() throws {
        let reply = AdminEndpoint.endpoints.reply(try state(inventedClusters()))
        #expect(reply.contentType == "text/plain; charset=utf-8")
        #expect(
            reply.bodyText == """
                1 OUT, first below

                orders   1 of 2 endpoints out
                  2 running, 0 waiting, 99 retries left; at most, each worker: 1024 running, 1024 waiting, 1024 connections
                  STANDING  ENDPOINT     WORKER  ACTIVE  LATENCY  WEIGHT   OK  FAILED
                  ejected   10.0.0.2:80  0       0       1.25 ms  0.400/1  20  5       eu/a  ejected, out for 2.1 s: 5 failures in a row; probed in 0.9 s
                  healthy   10.0.0.2:80  others  0       1.25 ms  1        20  0       eu/a
                  healthy   10.0.0.1:80  all     0       1.25 ms  1        40  0       eu/a

                """
        )
    }

    @Test("Panic and the bound by latency are told, and a troubled cluster comes first")
    func panic() throws {
        let calm = AdminCluster(
            name: "a",
            activeRequests: 0,
            pendingRequests: 0,
            connections: 0,
            endpoints: []
        )
        var troubled = calm
        troubled.name = "b"
        troubled.views = [
            .init(worker: 0, activeRequests: 1, isPanic: false, adaptiveLimit: 20),
            .init(worker: 1, activeRequests: 1, isPanic: true, adaptiveLimit: 22),
        ]
        let text = AdminEndpoint.endpoints.reply(try state([calm, troubled])).bodyText
        #expect(text.contains("1024 running (by latency 20, 22), 1024 waiting"))
        #expect(text.contains("PANIC at worker 1: too few endpoints are healthy, all are used"))
        let names = text.split(separator: "\n").filter { $0.contains("endpoints out") }
        #expect(names == ["b   0 of 0 endpoints out", "a   0 of 0 endpoints out"])
    }

    @Test("Of many healthy endpoints the table tells the first ones, of those out all")
    func many() throws {
        var cluster = inventedClusters()[0]
        let (healthy, out) = (cluster.endpoints[0], cluster.endpoints[1])
        cluster.endpoints =
            (0..<250).map { index in
                var endpoint = healthy
                endpoint.address = "healthy \(index)"
                return endpoint
            }
            + (0..<250).map { index in
                var endpoint = out
                endpoint.address = "out \(index)"
                return endpoint
            }
        let text = AdminEndpoint.endpoints.reply(try state([cluster])).bodyText
        #expect(text.hasPrefix("250 OUT"))
        #expect(text.contains("out 249"))
        #expect(text.contains("healthy 199") && !text.contains("healthy 200"))
        #expect(text.hasSuffix("  and 50 more that are healthy\n"))
    }

    @Test("Clusters of several workers are added up and sorted")
    func merged() {
        func endpoint(_ address: String, active: Int) -> AdminCluster.Endpoint {
            AdminCluster.Endpoint(
                address: address,
                activeConnections: active,
                idleConnections: 1,
                dialingConnections: 2,
                pendingRequests: 3,
                connectFailures: 4
            )
        }
        func cluster(_ name: String, _ endpoints: [AdminCluster.Endpoint]) -> AdminCluster {
            AdminCluster(
                name: name,
                activeRequests: 1,
                pendingRequests: 2,
                connections: 3,
                endpoints: endpoints
            )
        }
        let merged = AdminCluster.merged([
            cluster("b", [endpoint("2", active: 5), endpoint("1", active: 6)]), cluster("a", []),
            cluster("b", [endpoint("2", active: 7)]),
        ])
        #expect(merged.map(\.name) == ["a", "b"])
        #expect(merged[1].activeRequests == 2)
        #expect(merged[1].pendingRequests == 4)
        #expect(merged[1].connections == 6)
        #expect(
            merged[1].endpoints == [
                endpoint("1", active: 6),
                AdminCluster.Endpoint(
                    address: "2",
                    activeConnections: 12,
                    idleConnections: 2,
                    dialingConnections: 4,
                    pendingRequests: 6,
                    connectFailures: 8
                ),
            ]
        )
    }
}
