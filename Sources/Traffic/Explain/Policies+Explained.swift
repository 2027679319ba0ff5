// Policies in a few words each, for explanations.

public import MeshModel
import RegularExpressions

extension Duration {
    var explained: String { gatewayText ?? "\(self)" }
}

extension Locality {
    /// `region/zone`, what is known of it; empty: nothing.
    public var explained: String {
        if region.isEmpty { return zone }
        return zone.isEmpty ? region : "\(region)/\(zone)"
    }
}

extension Share {
    /// `12.5 %`.
    var explained: String {
        let whole = millionths / 10_000
        let rest = millionths % 10_000
        guard rest > 0 else { return "\(whole) %" }
        var digits = String(rest + 10_000).dropFirst()
        while digits.hasSuffix("0") { digits = digits.dropLast() }
        return "\(whole).\(digits) %"
    }
}

extension RouteMatch {
    var explained: String {
        var parts: [String] = []
        switch path {
        case .exact(let text)?: parts.append("path is \(text)")
        case .prefix(let text)?: parts.append("path under \(text)")
        case .pattern(let pattern)?: parts.append("path matches \(pattern.text)")
        case nil: break
        }
        if let method { parts.append("method is \(method)") }
        if isGRPC { parts.append("is gRPC") }
        parts += headers.map { "header \($0.name) \($0.value.explained)" }
        parts += queryParameters.map { "query \($0.name) \($0.value.explained)" }
        return parts.isEmpty ? "everything" : parts.joined(separator: ", ")
    }
}

extension RouteMatch.Value {
    var explained: String {
        switch self {
        case .exact(let text): "is \(text)"
        case .pattern(let pattern): "matches \(pattern.text)"
        }
    }
}

extension RouteFilters {
    var explained: [String] {
        var parts: [String] = []
        if let requestHeaders { parts.append("request headers: \(requestHeaders.explained)") }
        if let responseHeaders { parts.append("response headers: \(responseHeaders.explained)") }
        if let rewrite {
            let parts0 = [
                rewrite.hostname.map { "host \($0)" }, rewrite.path.map(\.explained),
            ]
            parts.append("rewrite: \(parts0.compactMap(\.self).joined(separator: ", "))")
        }
        if let redirect { parts.append("redirect: \(redirect.status)") }
        parts += mirrors.map { "mirror: \($0.share.explained) to \($0.cluster)" }
        if cors != nil { parts.append("cors") }
        if let lifecycle {
            let ends = lifecycle.sunset.map { "ends at \($0)" } ?? "has no end"
            parts.append("lifecycle: \(lifecycle.deprecation == nil ? "" : "deprecated, ")\(ends)")
        }
        return parts
    }
}

extension HeaderModifier {
    /// Names alone: values may be secrets.
    var explained: String {
        let parts = [("set", set.map(\.name)), ("add", add.map(\.name)), ("remove", remove)]
        return parts.filter { !$0.1.isEmpty }
            .map { "\($0.0) \($0.1.joined(separator: " "))" }
            .joined(separator: ", ")
    }
}

extension PathModifier {
    var explained: String {
        switch self {
        case .full(let text): "path \(text)"
        case .prefix(let text): "prefix \(text)"
        }
    }
}

extension Fallback {
    var explained: String {
        let parts = [cluster.map { "cluster \($0)" }, response.map { "response \($0.status)" }]
        return "without endpoints: " + parts.compactMap(\.self).joined(separator: ", then ")
    }
}

extension Stickiness {
    var explained: String {
        switch self {
        case .header(let name): "header \(name)"
        case .cookie(let name, _): "cookie \(name)"
        }
    }
}

extension RateLimit {
    var explained: String {
        let kind: String
        switch key {
        case .all: kind = "all requests"
        case .caller: kind = "each caller"
        case .header(let name): kind = "each value of header \(name)"
        case .address: kind = "each address"
        }
        return "\(name): \(requests) in \(period.explained) for \(kind), bursts of \(burst)"
    }
}

extension Fault {
    var explained: String {
        var parts: [String] = []
        if let delay {
            parts.append("\(delay.share.explained) wait \(delay.duration.explained)")
        }
        if let abort {
            let kind =
                switch abort.kind {
                case .status(let status): "status \(status)"
                case .grpc(let code): "gRPC code \(code)"
                case .reset: "a reset"
                }
            parts.append("\(abort.share.explained) get \(kind)")
        }
        return parts.joined(separator: ", ")
    }
}

extension RetryPolicy {
    var explained: [String] {
        guard attempts > 0 else { return ["never"] }
        var conditions = ["what provably did no work"]
        if self.conditions.contains(.reset) { conditions.append("reset") }
        if self.conditions.contains(.perTryTimeout) { conditions.append("per-try timeout") }
        if !statuses.isEmpty {
            let text = statuses.map { "\($0)" }.joined(separator: " ")
            conditions.append("status \(text)")
        }
        if !grpcCodes.isEmpty {
            let text = grpcCodes.map { "\($0)" }.joined(separator: " ")
            conditions.append("gRPC code \(text)")
        }
        var parts = [
            "\(attempts) more attempts after \(conditions.joined(separator: ", "))",
            "backoff \(backoff.base.explained) to \(backoff.max.explained)",
            "Retry-After up to \(retryAfterMax.explained)",
            "bodies up to \(replayBytesMax) bytes",
        ]
        if retriesNonIdempotent { parts.append("also for methods that are not idempotent") }
        if let perTryTimeout { parts.append("\(perTryTimeout.explained) for each try") }
        if let hedge {
            parts.append("hedge after \(hedge.delay.explained), \(hedge.attempts) at most")
        }
        if ownsRetries { parts.append("layers below repeat only what is safe (mesh-attempt)") }
        return parts
    }
}

extension RetryBudget {
    var explained: String {
        "\(share.explained) of requests in \(window.explained) and \(perSecond) a second"
    }
}

extension LoadBalancing {
    var explained: String {
        var parts = [algorithm.rawValue]
        switch hash {
        case .header(let name)?: parts.append("by header \(name)")
        case .cookie(let name)?: parts.append("by cookie \(name)")
        case .path?: parts.append("by path")
        case .address?: parts.append("by address")
        case nil: break
        }
        if let slowStart { parts.append("slow start \(slowStart.window.explained)") }
        if locality != .none { parts.append("near ones first") }
        return parts.joined(separator: ", ")
    }
}

extension ClusterLimits {
    var explained: String {
        "\(connections) connections, \(pendingRequests) waiting, \(requests) running, per worker"
    }
}

extension OutlierDetection {
    var explained: String {
        var parts: [String] = []
        if let consecutiveFailures { parts.append("\(consecutiveFailures) failures in a row") }
        if let successRateMin {
            parts.append("under \(successRateMin.explained) success in \(window.explained)")
        }
        if let sigmaThousandths {
            parts.append("\(sigmaThousandths / 1_000).\(sigmaThousandths % 1_000 / 100) σ below")
        }
        return parts.joined(separator: ", ")
            + "; out for \(ejection.explained), \(ejectedMax.explained) at most, "
            + "panic below \(panicBelow.explained)"
    }
}
