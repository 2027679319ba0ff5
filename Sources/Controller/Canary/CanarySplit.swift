import MeshModel

/// Divides a route's traffic between the two versions of a canary.
///
/// What a route sends to the baseline is divided; what it sends elsewhere stays what it was. A route
/// that sends nothing to the baseline is none of the canary's business.
struct CanarySplit {
    /// Ends the name of a route that testers take, whose requests count nowhere.
    static let forcedSuffix = "/forced"

    let baseline: String
    let canary: String
    /// What stands for the baseline too: the whole service, where the baseline is a subset of it.
    let whole: String?
    let share: Share
    let stickiness: Stickiness?
    let forceHeader: RouteMatch.Header?

    /// The routes in place of `route`, in the order tried; nil when it stays as it is.
    func routes(for route: Route) -> [Route]? {
        guard let divided = divide(route.backends) else { return nil }
        let split = route.with(backends: divided, stickiness: stickiness ?? route.stickiness)
        guard let forced = forced(route) else { return [split] }
        return [forced, split]
    }

    /// The weights with the baseline's divided; nil without a baseline.
    ///
    /// A canary that has a weight of its own already shares both with the baseline.
    private func divide(_ backends: [WeightedCluster]) -> [WeightedCluster]? {
        guard backends.contains(where: { isBaseline($0.cluster) && $0.weight > 0 }) else {
            return nil
        }
        var divided: UInt64 = 0
        var clusters: [(name: String, weight: UInt64)] = []
        for backend in backends {
            if isBaseline(backend.cluster) || backend.cluster == canary {
                divided += UInt64(backend.weight)
            } else {
                let whole = UInt64(backend.weight) * UInt64(Share.all.millionths)
                clusters.append((backend.cluster, whole))
            }
        }
        let part = UInt64(share.millionths)
        clusters.insert((canary, divided * part), at: 0)
        clusters.insert((baseline, divided * (UInt64(Share.all.millionths) - part)), at: 0)
        let weights = Self.reduced(clusters.map(\.weight))
        return zip(clusters, weights).map { cluster, weight in
            WeightedCluster(cluster: cluster.name, weight: weight)
        }
    }

    private func isBaseline(_ cluster: String) -> Bool {
        cluster == baseline || cluster == whole
    }

    /// The same proportions in small numbers; only what does not fit is rounded, and nothing to 0.
    static func reduced(_ weights: [UInt64]) -> [UInt32] {
        let divisor = max(1, weights.reduce(0, greatestCommonDivisor))
        let exact = weights.map { $0 / divisor }
        let largest = exact.max() ?? 0
        let bound = UInt64(Limits.weight.upperBound)
        guard largest > bound else { return exact.map { UInt32($0) } }
        return exact.map { weight in
            guard weight > 0 else { return 0 }
            return UInt32(max(1, (Double(weight) / Double(largest) * Double(bound)).rounded()))
        }
    }

    /// The route of testers: the same requests with the field, all to the canary.
    private func forced(_ route: Route) -> Route? {
        guard let forceHeader, route.match.headers.count < Limits.headersMax,
            route.name.utf8.count + Self.forcedSuffix.utf8.count <= Limits.nameBytesMax,
            !route.match.headers.contains(where: { $0.name == forceHeader.name })
        else { return nil }
        let match = RouteMatch(
            path: route.match.path,
            method: route.match.method,
            headers: route.match.headers + [forceHeader],
            queryParameters: route.match.queryParameters,
            isGRPC: route.match.isGRPC
        )
        return route.with(
            name: route.name + Self.forcedSuffix,
            match: match,
            backends: [WeightedCluster(cluster: canary)],
            stickiness: nil
        )
    }

    private static func greatestCommonDivisor(_ first: UInt64, _ second: UInt64) -> UInt64 {
        var (first, second) = (first, second)
        while second != 0 { (first, second) = (second, first % second) }
        return first
    }
}

extension Route {
    /// The same policies for other backends.
    fileprivate func with(
        name: String? = nil,
        match: RouteMatch? = nil,
        backends: [WeightedCluster],
        stickiness: Stickiness?
    ) -> Route {
        Route(
            name: name ?? self.name,
            match: match ?? self.match,
            backends: backends,
            timeouts: timeouts,
            retry: retry,
            filters: filters,
            fallback: fallback,
            stickiness: stickiness,
            faults: faults,
            rateLimits: rateLimits,
            priority: priority
        )
    }
}
