import MeshModel

extension Explanation {
    /// The explanation for people, with a line feed at the end.
    public var text: String {
        var lines = ExplanationLines()
        lines.add("request", request)
        lines.add("listener", listener)
        lines.add("version", "\(version)")
        if let service { lines.add("service", service) }
        if let denial { lines.add("answered by", "the proxy: \(denial)") }
        for route in routes {
            let name = "\(route.name) (#\(route.index)): \(route.conditions)"
            lines.add(
                route.refusal == nil ? "route" : "not taken",
                route.refusal.map { "\(name); \($0)" } ?? name
            )
        }
        if omittedRoutes > 0 { lines.add("not taken", "and \(omittedRoutes) more before it") }
        if laterRoutes > 0 { lines.add("not asked", "\(laterRoutes) routes behind it") }
        for filter in filters { lines.add("filter", filter) }
        for limit in rateLimits { lines.add("rate limit", limit) }
        for fault in faults { lines.add("fault", fault) }
        if priority != .normal { lines.add("priority", priority.rawValue) }
        for timeout in timeouts { lines.add("timeout", timeout) }
        for retry in retries { lines.add("retry", retry) }
        for backend in backends {
            lines.add("backend", backend.text)
        }
        if !split.isEmpty { lines.add("chosen", split) }
        for cluster in clusters { cluster.add(to: &lines) }
        return lines.text
    }
}

extension Explanation.Backend {
    fileprivate var text: String {
        let whole = shareBasisPoints / 100
        let rest = shareBasisPoints % 100
        let share = rest == 0 ? "\(whole)" : "\(whole).\(String(rest + 100).dropFirst())"
        return "\(cluster), weight \(weight), \(share) %\(isChosen ? " <- this request" : "")"
    }
}

extension Explanation.Cluster {
    fileprivate func add(to lines: inout ExplanationLines) {
        lines.add("cluster", "\(name): \(balancing)")
        lines.add("", "limits: \(limits)")
        if let adaptiveLimit { lines.add("", "running requests now: \(adaptiveLimit) at most") }
        if isPanic { lines.add("", "PANIC: too few endpoints are healthy, all are used") }
        lines.add("", "set aside: \(outlierDetection ?? "never")")
        if let retryBudget {
            lines.add(
                "",
                "retry budget: \(retryBudget)\(budgetLeft.map { "; \($0) left" } ?? "")"
            )
        }
        if endpoints.isEmpty { lines.add("", "no endpoints") }
        for endpoint in endpoints { lines.add("endpoint", endpoint.text) }
    }
}

extension Explanation.Endpoint {
    fileprivate var text: String {
        var parts = [address, "weight \(weight)"]
        if !locality.isEmpty { parts.append(locality) }
        if let state {
            if state.weight < Double(weight) { parts.append("\(tenths(state.weight)) of it now") }
            parts.append(standing)
            if state.active > 0 { parts.append("\(state.active) running") }
            parts.append("latency \(state.latencyNanoseconds / 1_000) us")
            if state.score > 0 { parts.append("score \(rounded(state.score))") }
            let seen = state.successes + state.failures
            if seen > 0 { parts.append("\(state.failures) of \(seen) failed") }
        } else {
            parts.append("a name, not resolved here")
        }
        return parts.joined(separator: ", ") + (isChosen ? " <- this request" : "")
    }

    private func tenths(_ weight: Double) -> String {
        let tenths = Int((weight * 10).rounded())
        return "\(tenths / 10).\(tenths % 10)"
    }

    private func rounded(_ score: Double) -> String {
        score.isFinite && score < 1e15 ? "\(Int(score.rounded()))" : "\(score)"
    }
}

/// Lines of a label and a text.
public struct ExplanationLines: Sendable {
    /// The lines so far, each with its line feed.
    public private(set) var text = ""

    /// No lines.
    public init() {}

    /// Adds a line; an empty label goes on with the one before.
    public mutating func add(_ label: String, _ value: String) {
        let space = String(repeating: " ", count: max(1, 13 - label.count))
        // A text of a request must not make lines of its own, nor speak to the terminal.
        let safe = value.unicodeScalars.map { scalar in
            scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value) ? "?" : String(scalar)
        }
        text += label + space + safe.joined() + "\n"
    }
}
