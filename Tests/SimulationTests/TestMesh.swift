import MeshModel
import Simulation
import Testing

/// Snapshots of a chain of services, `web` → `s1` → `s2` …, each with endpoints of its own.
struct TestMesh {
    var services = 1
    var endpoints = 3
    var retry = RetryPolicy.default
    var request: Duration?
    var outliers: OutlierDetection? = .default
    var budget: RetryBudget? = .default
    var balancing = LoadBalancing.default
    var healthCheck: HealthCheck?

    func snapshots() throws -> [MeshSnapshot] {
        try (0...services).map { number in
            let next = number + 1
            let isLast = number == services
            return try MeshSnapshot(
                version: 1,
                trustDomain: #require(TrustDomain("mesh.internal")),
                workload: try Self.id(number),
                trustBundle: [],
                inbound: InboundService(name: Self.name(number)),
                services: isLast
                    ? []
                    : [
                        VirtualService(
                            name: Self.name(next),
                            hosts: ["s\(next)"],
                            port: 80,
                            routes: [
                                Route(
                                    name: "s\(next)",
                                    backends: [WeightedCluster(cluster: Self.name(next))],
                                    timeouts: RouteTimeouts(request: request),
                                    retry: retry
                                )
                            ]
                        )
                    ],
                clusters: isLast
                    ? []
                    : [
                        Cluster(
                            name: Self.name(next),
                            security: .mutual([try Self.id(next)]),
                            endpoints: (0..<endpoints).map {
                                Endpoint(target: Self.endpoint(next, $0))
                            },
                            balancing: balancing,
                            outlierDetection: outliers,
                            healthCheck: healthCheck,
                            retryBudget: budget
                        )
                    ]
            )
        }
    }

    static func id(_ number: Int) throws -> SPIFFEID {
        try #require(SPIFFEID("spiffe://mesh.internal/ns/default/sa/\(sa(number))"))
    }

    static func name(_ number: Int) -> String { "\(sa(number)).default" }

    static func endpoint(_ service: Int, _ number: Int) -> EndpointTarget {
        .address(
            SocketAddress(addressBytes: [10, 0, UInt8(service), UInt8(number + 1)], port: 8_080)
        )
    }

    private static func sa(_ number: Int) -> String { number == 0 ? "web" : "s\(number)" }
}
