import HTTP

extension AdminEndpoint {
    static let clusters = AdminEndpoint(
        method: .get,
        path: "/clusters",
        summary: "clusters, their endpoints and load",
        answer: .page { .json(.array($0.clusters.map(page))) }
    )
}

private func page(_ cluster: AdminCluster) -> JSONPage {
    .object([
        ("name", .string(cluster.name)),
        ("activeRequests", .integer(cluster.activeRequests)),
        ("pendingRequests", .integer(cluster.pendingRequests)),
        ("connections", .integer(cluster.connections)),
        ("endpoints", .array(cluster.endpoints.map(page))),
    ])
}

private func page(_ endpoint: AdminCluster.Endpoint) -> JSONPage {
    .object([
        ("address", .string(endpoint.address)),
        ("activeConnections", .integer(endpoint.activeConnections)),
        ("idleConnections", .integer(endpoint.idleConnections)),
        ("dialingConnections", .integer(endpoint.dialingConnections)),
        ("pendingRequests", .integer(endpoint.pendingRequests)),
        ("connectFailures", .integer(endpoint.connectFailures)),
    ])
}
