// The same as /clusters, for eyes: which endpoint is out, since when, why, and what brings it back.

import HTTP
import MeshModel

extension AdminEndpoint {
    static let endpoints = AdminEndpoint(
        method: .get,
        path: "/endpoints",
        summary: "a table: which endpoint is out, since when, why, until when",
        answer: .page { .text(table($0.clusters)) }
    )
}

/// Those with something out come first; what workers say alike is one row.
private func table(_ clusters: [AdminCluster]) -> String {
    let troubled = clusters.filter { $0.isTroubled }
    let count = clusters.reduce(0) { $0 + $1.endpointsOut }
    var text = count == 0 ? "no endpoint is out\n" : "\(count) OUT, first below\n"
    for cluster in troubled + clusters.filter({ !$0.isTroubled }) {
        text += "\n" + cluster.heading
        let rows = cluster.endpoints.filter(\.isOut).flatMap(\.rows)
        let healthy = cluster.endpoints.filter { !$0.isOut }
        let shown = healthy.prefix(healthyMax)
        text += aligned([columns] + rows + shown.flatMap(\.rows))
        let rest = healthy.count - shown.count
        if rest > 0 { text += "  and \(rest) more that are healthy\n" }
    }
    return text
}

private let columns = [
    "STANDING", "ENDPOINT", "WORKER", "ACTIVE", "LATENCY", "WEIGHT", "OK", "FAILED", "",
]
/// Healthy endpoints of a cluster that are told one by one; `/clusters` has all.
private let healthyMax = 200

extension AdminCluster {
    fileprivate var isTroubled: Bool { endpointsOut > 0 || views.contains { $0.isPanic } }

    fileprivate var heading: String {
        var parts = ["\(activeRequests) running", "\(pendingRequests) waiting"]
        if let retryBudgetLeft { parts.append("\(retryBudgetLeft) retries left") }
        var bounds = [
            "\(limits.requests) running", "\(limits.pendingRequests) waiting",
            "\(limits.connections) connections",
        ]
        let adaptive = views.compactMap { view in view.adaptiveLimit.map { "\($0)" } }
        if !adaptive.isEmpty { bounds[0] += " (by latency \(adaptive.joined(separator: ", ")))" }
        var text = "\(name)   \(endpointsOut) of \(endpoints.count) endpoints out\n"
        text += "  \(parts.joined(separator: ", ")); "
        text += "at most, each worker: \(bounds.joined(separator: ", "))\n"
        let panic = views.filter(\.isPanic).map { "\($0.worker)" }
        if !panic.isEmpty {
            text += "  PANIC at worker \(panic.joined(separator: ", ")): "
            text += "too few endpoints are healthy, all are used\n"
        }
        return text
    }
}

extension AdminCluster.Endpoint {
    /// One for each worker that does not use it, then one for all others.
    fileprivate var rows: [[String]] {
        guard !views.isEmpty else { return [row([], worker: "", "not in the list any more")] }
        let healthy = views.filter(\.isHealthy)
        let out = views.filter { !$0.isHealthy }
        return out.map { row([$0], worker: "\($0.worker)", $0.explanation) }
            + (healthy.isEmpty
                ? [] : [row(healthy, worker: out.isEmpty ? "all" : "others", "")])
    }

    private func row(
        _ views: [AdminCluster.EndpointView],
        worker: String,
        _ explanation: String
    ) -> [String] {
        let weight = views.map(\.weight).min() ?? 0
        let latency = (views.map(\.latencyNanoseconds).max() ?? 0) / 10_000
        let hundredths = String(latency % 100 + 100).dropFirst()
        return [
            views.first?.standing ?? "", address, worker,
            "\(views.reduce(0) { $0 + $1.active })", "\(latency / 100).\(hundredths) ms",
            weight < Double(self.weight)
                ? "\(thousandths(weight))/\(self.weight)" : "\(self.weight)",
            "\(views.reduce(0) { $0 + $1.successes })", "\(views.reduce(0) { $0 + $1.failures })",
            [locality, explanation].filter { !$0.isEmpty }.joined(separator: "  "),
        ]
    }
}

/// Columns as wide as their widest cell.
private func aligned(_ rows: [[String]]) -> String {
    var widths = [Int](repeating: 0, count: columns.count)
    for row in rows {
        for (index, cell) in row.enumerated() { widths[index] = max(widths[index], cell.count) }
    }
    return rows.map { row in
        var line = " "
        for (cell, width) in zip(row, widths) {
            line += " " + cell + String(repeating: " ", count: width - cell.count + 1)
        }
        while line.hasSuffix(" ") { line.removeLast() }
        return line + "\n"
    }.joined()
}
