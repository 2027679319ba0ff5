// Rate limits and priorities: where they are enforced, and under which names.
//
// A service with a sidecar is guarded by it, so that a limit is one bucket and not one for each
// caller. A route's limits go along where its requests end up at that very service and look there as
// the route matched them; else, and where there is no sidecar, each caller counts its own.

import MeshModel

extension PolicyTable {
    /// The limits of requests to a service, on any route, that its callers' proxies enforce.
    func callersLimits(to service: ServiceResource, _ policy: ServicePolicy) -> [RateLimit] {
        guarded.contains(service.key) ? [] : policy.rateLimits
    }

    /// The limits of requests on a rule that its callers' proxies enforce.
    func callersLimits(
        of route: RouteResource,
        rule index: Int,
        to service: ServiceResource,
        _ policy: ServicePolicy
    ) -> [RateLimit] {
        var limits = callersLimits(to: service, policy)
        let (whole, own) = targets(of: route, rule: index)
        if !isGuarded(route, by: service) {
            limits += (traffic[whole]?.rateLimits ?? []).map { $0.named("\(route.key.name)/") }
        }
        if !isGuarded(route, rule: index, by: service) {
            limits += (own.flatMap { traffic[$0] }?.rateLimits ?? []).map {
                $0.named("\(route.name(ofRule: index))/")
            }
        }
        return limits
    }

    /// The limits that the sidecar of a service enforces; `routes` are those attached to it.
    func inboundLimits(
        of service: ServiceResource,
        _ policy: ServicePolicy,
        _ routes: [RouteResource]
    ) -> [RateLimit] {
        guard guarded.contains(service.key) else { return [] }
        var limits = policy.rateLimits
        for route in routes {
            let conditions = route.rules.map { $0.matches.map(\.condition) }
            if isGuarded(route, by: service), !route.rules.isEmpty {
                let whole = targets(of: route, rule: 0).whole
                limits += (traffic[whole]?.rateLimits ?? []).map {
                    $0.named("\(route.key.name)/", matching: conditions.flatMap { $0 })
                }
            }
            for index in route.rules.indices where isGuarded(route, rule: index, by: service) {
                let own = targets(of: route, rule: index).own
                limits += (own.flatMap { traffic[$0] }?.rateLimits ?? []).map {
                    $0.named("\(route.name(ofRule: index))/", matching: conditions[index])
                }
            }
        }
        return limits
    }

    /// The priorities that the sidecar of a service knows: a rule's before its route's before the
    /// service's.
    func inboundPriorities(
        of service: ServiceResource,
        _ policy: ServicePolicy,
        _ routes: [RouteResource]
    ) -> [PriorityRule] {
        guard guarded.contains(service.key) else { return [] }
        var rules: [PriorityRule] = []
        for isOwn in [true, false] {
            for route in routes {
                for index in route.rules.indices where isGuarded(route, rule: index, by: service) {
                    let (whole, own) = targets(of: route, rule: index)
                    let target = isOwn ? own : whole
                    guard let priority = target.flatMap({ traffic[$0] })?.priority else { continue }
                    let matches = route.rules[index].matches.map(\.condition).orAll
                    rules.append(PriorityRule(matches: matches, priority: priority))
                }
            }
        }
        return rules + policy.priorities
    }

    /// Whether all requests of a route end at the sidecar of `service`, and as they were matched.
    private func isGuarded(_ route: RouteResource, by service: ServiceResource) -> Bool {
        route.rules.indices.allSatisfy { isGuarded(route, rule: $0, by: service) }
    }

    private func isGuarded(
        _ route: RouteResource,
        rule index: Int,
        by service: ServiceResource
    ) -> Bool {
        let rule = route.rules[index]
        return guarded.contains(service.key) && !rule.backends.isEmpty
            && rule.backends.allSatisfy { $0.service.name == service.key.name }
            && rule.filters.rewrite?.path == nil
    }
}

extension RateLimit {
    /// The same limit with a name that tells its owner, for requests that match one of `matches`.
    fileprivate func named(_ owner: String, matching matches: [RouteMatch]? = nil) -> RateLimit {
        RateLimit(
            name: owner + name,
            // Too many were reported; the limit must not trap before that is seen.
            matches: Array((matches?.orAll ?? self.matches).prefix(Limits.policyMatchesMax)),
            key: key,
            requests: requests,
            period: period,
            burst: burst
        )
    }
}

extension [RouteMatch] {
    /// Nothing where one of them matches everything, which means the same.
    fileprivate var orAll: [RouteMatch] { contains(.everything) ? [] : self }
}
