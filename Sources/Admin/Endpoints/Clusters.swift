import HTTP
import MeshModel

extension AdminEndpoint {
    static let clusters = AdminEndpoint(
        method: .get,
        path: "/clusters",
        summary: "clusters: bounds and load; endpoints: standing and load, by worker",
        answer: .page { .json(.array($0.clusters.map(page))) }
    )
}

private func page(_ cluster: AdminCluster) -> JSONPage {
    .object([
        ("name", .string(cluster.name)),
        ("endpointsOut", .integer(cluster.endpointsOut)),
        ("activeRequests", .integer(cluster.activeRequests)),
        ("pendingRequests", .integer(cluster.pendingRequests)),
        ("connections", .integer(cluster.connections)),
        (
            "limits",
            .object([
                ("connections", .integer(cluster.limits.connections)),
                ("pendingRequests", .integer(cluster.limits.pendingRequests)),
                ("requests", .integer(cluster.limits.requests)),
            ])
        ),
        ("retryBudgetLeft", integer(cluster.retryBudgetLeft)),
        ("workers", .array(cluster.views.map(page))),
        ("endpoints", .array(cluster.endpoints.map(page))),
    ])
}

private func page(_ view: AdminCluster.View) -> JSONPage {
    .object([
        ("worker", .integer(view.worker)),
        ("activeRequests", .integer(view.activeRequests)),
        ("isPanic", .bool(view.isPanic)),
        ("adaptiveLimit", integer(view.adaptiveLimit)),
    ])
}

private func page(_ endpoint: AdminCluster.Endpoint) -> JSONPage {
    .object([
        ("address", .string(endpoint.address)),
        ("standing", .string(endpoint.standing)),
        ("locality", .string(endpoint.locality)),
        ("weight", .integer(endpoint.weight)),
        ("activeConnections", .integer(endpoint.activeConnections)),
        ("idleConnections", .integer(endpoint.idleConnections)),
        ("dialingConnections", .integer(endpoint.dialingConnections)),
        ("pendingRequests", .integer(endpoint.pendingRequests)),
        ("connectFailures", .integer(endpoint.connectFailures)),
        ("workers", .array(endpoint.views.map(page))),
    ])
}

private func page(_ view: AdminCluster.EndpointView) -> JSONPage {
    .object([
        ("worker", .integer(view.worker)),
        ("standing", .string(view.standing)),
        ("explanation", .string(view.explanation)),
        ("outMilliseconds", integer(view.outMilliseconds)),
        ("ejectedMilliseconds", integer(view.ejectedMilliseconds)),
        ("cause", .optional(view.cause)),
        ("ejections", .integer(view.ejections)),
        ("active", .integer(view.active)),
        ("latencyNanoseconds", .integer(view.latencyNanoseconds)),
        // Whole, as in explanations: a thousandth of a nanosecond says nothing.
        ("score", .integer(Int(exactly: view.score.rounded()) ?? .max)),
        ("weight", .number(thousandths(view.weight))),
        ("successes", .integer(view.successes)),
        ("failures", .integer(view.failures)),
        ("consecutiveFailures", .integer(view.consecutiveFailures)),
    ])
}

private func integer(_ value: (some BinaryInteger)?) -> JSONPage {
    value.map { .integer($0) } ?? .null
}

/// A weight with three digits behind the point, none where it is whole; weights are bounded.
func thousandths(_ value: Double) -> String {
    let thousandths = Int((value * 1_000).rounded())
    let rest = thousandths % 1_000
    let whole = "\(thousandths / 1_000)"
    return rest == 0 ? whole : "\(whole).\(String(rest + 1_000).dropFirst())"
}
