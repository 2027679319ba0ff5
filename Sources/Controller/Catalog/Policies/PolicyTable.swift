// The policies of a catalog by what they are for, and what they come to.
//
// Precedence: mesh < service < route < rule. What a level does not say it takes from the one above;
// a rule's own `retry` and `timeouts` stand between the policies of its route and of itself.

import MeshModel

/// The policies of a catalog; at most one of a kind for each target.
struct PolicyTable: Sendable {
    var mesh = MeshResource()
    var traffic: [PolicyTarget: TrafficPolicyResource] = [:]
    var faults: [PolicyTarget: FaultPolicyResource] = [:]
    /// Services whose workload says that it implements them, so that its sidecar can guard them.
    var guarded: Set<ObjectKey> = []

    /// What holds for a service; settings that do not fit what they are laid over are reported.
    func policy(of service: ServiceResource, _ errors: inout [ConfigError]) -> ServicePolicy {
        let target = PolicyTarget(kind: .service, key: service.key, rule: nil)
        let policy = traffic[target]
        let base = mesh.defaults
        var result = ServicePolicy(timeouts: service.timeouts.over(base), base: base)
        if let limits = service.limits {
            result.limits = limits.over(result.limits, &errors) {
                ClusterLimits.decode($0, base: $1)
            }
        }
        if let faults = faults[target], mesh.faultInjection == .enabled {
            result.faults = faults.faults
        }
        guard let policy else { return result }
        lay(policy, over: &result, &errors)
        result.fallback = policy.fallback
        result.rateLimits = policy.rateLimits
        result.priorities = policy.priorities
        result.subsets = policy.subsets
        return result
    }

    private func lay(
        _ policy: TrafficPolicyResource,
        over result: inout ServicePolicy,
        _ errors: inout [ConfigError]
    ) {
        if let setting = policy.retry {
            result.retry = setting.over(result.retry, &errors) {
                RetryPolicy.decode($0, base: $1)
            }
        }
        if let setting = policy.limits {
            result.limits = setting.over(result.limits, &errors) {
                ClusterLimits.decode($0, base: $1)
            }
        }
        if let setting = policy.loadBalancing {
            result.loadBalancing = setting.over(result.loadBalancing, &errors) {
                LoadBalancing.decode($0, base: $1)
            }
        }
        if let setting = policy.outlierDetection {
            result.outlierDetection = setting.over(optional: result.outlierDetection, &errors) {
                OutlierDetection.decode($0, base: $1)
            }
        }
        if let setting = policy.healthCheck {
            result.healthCheck = setting.over(optional: result.healthCheck, &errors) {
                HealthCheck.decode($0, base: $1)
            }
        }
        if let setting = policy.retryBudget {
            result.retryBudget = setting.over(optional: result.retryBudget, &errors) {
                RetryBudget.decode($0, base: $1)
            }
        }
        if let setting = policy.adaptiveConcurrency {
            result.adaptiveConcurrency = setting.over(
                optional: result.adaptiveConcurrency,
                &errors
            ) { AdaptiveConcurrency.decode($0, base: $1) }
        }
    }

    /// What holds for a rule of a route to a service with `service` as policy.
    func policy(
        of route: RouteResource,
        rule index: Int,
        over service: ServicePolicy,
        _ errors: inout [ConfigError]
    ) -> RulePolicy {
        let rule = route.rules[index]
        var result = RulePolicy(
            timeouts: service.timeouts.route,
            retry: service.retry,
            fallback: service.fallback,
            faults: service.faults
        )
        let (whole, own) = targets(of: route, rule: index)
        lay(traffic[whole], over: &result, &errors)
        result.retry = rule.retry.over(result.retry)
        result.timeouts = RouteTimeouts(
            request: rule.requestTimeout.map { $0 == .zero ? nil : $0 } ?? result.timeouts.request,
            streamIdle: result.timeouts.streamIdle,
            tcpIdle: result.timeouts.tcpIdle
        )
        lay(own.flatMap { traffic[$0] }, over: &result, &errors)
        if mesh.faultInjection == .enabled {
            let policy = own.flatMap { faults[$0] } ?? faults[whole]
            result.faults = policy?.faults ?? result.faults
        }
        return result
    }

    private func lay(
        _ policy: TrafficPolicyResource?,
        over result: inout RulePolicy,
        _ errors: inout [ConfigError]
    ) {
        guard let policy else { return }
        if let setting = policy.retry {
            result.retry = setting.over(result.retry, &errors) {
                RetryPolicy.decode($0, base: $1)
            }
        }
        if let setting = policy.timeouts {
            result.timeouts = setting.over(result.timeouts, &errors) {
                TrafficPolicyResource.decodeTimeouts($0, base: $1)
            }
        }
        result.fallback = policy.fallback ?? result.fallback
        result.priority = policy.priority ?? result.priority
        result.lifecycle = policy.lifecycle ?? result.lifecycle
    }

    /// What policies for a whole route and for one of its rules name.
    func targets(
        of route: RouteResource,
        rule index: Int
    ) -> (whole: PolicyTarget, own: PolicyTarget?) {
        let kind = PolicyTarget.Kind.route(isGRPC: route.isGRPC)
        return (
            PolicyTarget(kind: kind, key: route.key, rule: nil),
            route.rules[index].name.map { PolicyTarget(kind: kind, key: route.key, rule: $0) }
        )
    }
}

/// What holds for a service and, as long as they say nothing, for the routes to it.
struct ServicePolicy: Sendable {
    let timeouts: ServiceTimeouts
    var limits: ClusterLimits
    var retry: RetryPolicy
    var retryBudget: RetryBudget?
    var loadBalancing: LoadBalancing
    var outlierDetection: OutlierDetection?
    var healthCheck: HealthCheck?
    var adaptiveConcurrency: AdaptiveConcurrency?
    var fallback: TrafficPolicyResource.Fallback?
    var faults: [Fault] = []
    var rateLimits: [RateLimit] = []
    var priorities: [PriorityRule] = []
    var subsets: [TrafficPolicyResource.Subset] = []

    init(timeouts: ServiceTimeouts, base: MeshDefaults) {
        self.timeouts = timeouts
        limits = base.limits
        retry = base.retry
        retryBudget = base.retryBudget
        loadBalancing = base.loadBalancing
        outlierDetection = base.outlierDetection
        healthCheck = base.healthCheck
        adaptiveConcurrency = base.adaptiveConcurrency
    }

    /// The priority of requests that no route gives one.
    var priority: Priority {
        priorities.first { $0.matches.isEmpty }?.priority ?? .normal
    }
}

/// What holds for a rule of a route.
struct RulePolicy: Sendable {
    var timeouts: RouteTimeouts
    var retry: RetryPolicy
    var fallback: TrafficPolicyResource.Fallback?
    var faults: [Fault]
    var priority: Priority?
    var lifecycle: APILifecycle?
}
