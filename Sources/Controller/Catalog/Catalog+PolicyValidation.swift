// What must hold between policies and what they are for.

import MeshModel

extension CatalogDraft {
    mutating func validatePolicies() {
        policies.mesh = meshes.first ?? MeshResource()
        policies.guarded = Set(services.values.filter(isGuarded).map(\.key))
        collectPolicies()
        validateFallbacks()
        var seen: Set<ConfigPlace> = []
        for service in services.values.sorted(by: { $0.key < $1.key }) {
            var errors: [ConfigError] = []
            let policy = policies.policy(of: service, &errors)
            validateSubsets(of: service, policy)
            validateProtocols(of: service, policy)
            let attached = routes.values.sorted { $0.key < $1.key }.filter { route in
                service.ports.contains { route.isAttached(to: service, $0) }
            }
            for route in attached {
                for index in route.rules.indices {
                    _ = policies.policy(of: route, rule: index, over: policy, &errors)
                    let limits = policies.callersLimits(
                        of: route,
                        rule: index,
                        to: service,
                        policy
                    )
                    validateCount(limits, of: route, rule: index)
                }
            }
            validateInbound(of: service, policy, attached)
            // A policy with several targets is laid over each of them.
            for error in errors where seen.insert(ConfigPlace(error)).inserted { report(error) }
        }
        for route in routes.values.sorted(by: { $0.key < $1.key }) { validateBackendSubsets(route) }
    }

    private func isGuarded(_ service: ServiceResource) -> Bool {
        guard let name = service.workload else { return false }
        let workload = workloads[ObjectKey(namespace: service.key.namespace, name: name)]
        return workload?.service == service.key.name
    }

    /// Orders policies by target: one of a kind for each, and none for what is not there.
    private mutating func collectPolicies() {
        for policy in trafficPolicies.values.sorted(by: { $0.key < $1.key }) {
            for (index, target) in policy.targets.enumerated() {
                let path = spec.field("targetRefs").index(index)
                guard validate(target, policy.origin, at: path) else { continue }
                if let first = policies.traffic[target] {
                    reportSecond(
                        .trafficPolicy,
                        target,
                        first.key,
                        first.origin,
                        policy.origin,
                        path
                    )
                } else {
                    policies.traffic[target] = policy
                }
            }
        }
        for policy in faultPolicies.values.sorted(by: { $0.key < $1.key }) {
            for (index, target) in policy.targets.enumerated() {
                let path = spec.field("targetRefs").index(index)
                guard validate(target, policy.origin, at: path) else { continue }
                if let first = policies.faults[target] {
                    reportSecond(.faultPolicy, target, first.key, first.origin, policy.origin, path)
                } else {
                    policies.faults[target] = policy
                }
            }
        }
    }

    private mutating func reportSecond(
        _ kind: ResourceKind,
        _ target: PolicyTarget,
        _ first: ObjectKey,
        _ firstOrigin: Origin,
        _ origin: Origin,
        _ path: ConfigPath
    ) {
        report(
            origin.error(
                path,
                "\(kind.rawValue) \(first.name) in \(firstOrigin.place) is for it already",
                value: target.description,
                allowed: "one \(kind.rawValue) for each target"
            )
        )
    }

    private mutating func validate(
        _ target: PolicyTarget,
        _ origin: Origin,
        at path: ConfigPath
    ) -> Bool {
        let namespace = target.key.namespace
        switch target.kind {
        case .service:
            if services[target.key] != nil { return true }
            let known = names(services.keys, in: namespace)
            reportDangling(
                origin,
                path.field("name"),
                "service",
                target.key.name,
                among: known
            )
        case .route(let isGRPC):
            if let route = routes[target.key], route.isGRPC == isGRPC {
                guard let name = target.rule else { return true }
                let rules = route.rules.compactMap(\.name)
                if rules.contains(name) { return true }
                report(
                    origin.error(
                        path.field("sectionName"),
                        "the route has no rule of this name",
                        value: name,
                        allowed: suggestion(for: name, among: rules)
                    )
                )
                return false
            }
            let keys = routes.values.filter { $0.isGRPC == isGRPC }.map(\.key)
            reportDangling(
                origin,
                path.field("name"),
                target.kind.resourceKind.rawValue,
                target.key.name,
                among: names(keys, in: namespace)
            )
        }
        return false
    }

    private mutating func validateFallbacks() {
        for policy in trafficPolicies.values {
            guard let fallback = policy.fallback, let reference = fallback.service else { continue }
            let path = spec.field("fallback").field("backendRef")
            let service = validate(reference, policy.key.namespace, policy.origin, at: path)
            if let service { validate(fallback.subset, of: service, policy.origin, at: path) }
        }
    }

    private mutating func validateBackendSubsets(_ route: RouteResource) {
        for (index, rule) in route.rules.enumerated() {
            for (number, backend) in rule.backends.enumerated() {
                let key = ObjectKey(namespace: route.key.namespace, name: backend.service.name)
                guard let service = services[key] else { continue }
                let path = spec.field("rules").index(index).field("backendRefs").index(number)
                validate(backend.subset, of: service, route.origin, at: path)
            }
        }
    }

    mutating func validate(
        _ subset: String?,
        of service: ServiceResource,
        _ origin: Origin,
        at path: ConfigPath
    ) {
        guard let subset else { return }
        let target = PolicyTarget(kind: .service, key: service.key, rule: nil)
        let known = policies.traffic[target]?.subsets.map(\.name) ?? []
        if known.contains(subset) { return }
        report(
            origin.error(
                path.field("subset"),
                "the service has no such subset",
                value: subset,
                allowed: suggestion(for: subset, among: known)
            )
        )
    }

    /// A subset that nobody is in was mistyped.
    private mutating func validateSubsets(of service: ServiceResource, _ policy: ServicePolicy) {
        guard let origin = origin(ofPolicyFor: service), !service.endpoints.isEmpty else { return }
        for (index, subset) in policy.subsets.enumerated()
        where service.endpoints(of: subset).isEmpty {
            report(
                origin.error(
                    spec.field("subsets").index(index).field("labels"),
                    "no endpoint of service \(service.key.name) has these labels",
                    value: subset.labels.sorted { $0.key < $1.key }
                        .map { "\($0.key)=\($0.value)" }.joined(separator: ",")
                )
            )
        }
    }

    /// What the ports speak must carry what the policy needs.
    private mutating func validateProtocols(of service: ServiceResource, _ policy: ServicePolicy) {
        let origin = origin(ofPolicyFor: service) ?? policies.mesh.origin ?? service.origin
        let path =
            origin.document["kind"]?.value == .string(ResourceKind.mesh.rawValue)
            ? spec.field("defaults") : spec
        if let hash = policy.loadBalancing.hash, hash != .address,
            service.ports.contains(where: { $0.protocol == .tcp })
        {
            report(
                origin.error(
                    path.field("loadBalancing").field("hash"),
                    "service \(service.key.name) has a tcp port, which has no requests to hash",
                    allowed: "address"
                )
            )
        }
        if case .grpc? = policy.healthCheck?.kind,
            service.ports.contains(where: {
                $0.protocol.clusterProtocol(isPlaintext: service.isPlaintext) == .http1
            })
        {
            report(
                origin.error(
                    path.field("healthCheck").field("kind"),
                    "service \(service.key.name) has an http port, which carries no gRPC",
                    allowed: "http or tcp"
                )
            )
        }
        validateRequests(of: service)
    }

    /// A policy on requests, written for a service that has none, was meant to do something.
    private mutating func validateRequests(of service: ServiceResource) {
        guard service.ports.allSatisfy({ $0.protocol == .tcp }) else { return }
        let target = PolicyTarget(kind: .service, key: service.key, rule: nil)
        let problem = "service \(service.key.name) is tcp, which has no requests"
        if let policy = policies.traffic[target] {
            for field in ["fallback", "rateLimits", "priorities"]
            where policy.origin.document["spec"]?[field] != nil {
                report(policy.origin.error(spec.field(field), problem, allowed: "without it"))
            }
        }
        if let policy = policies.faults[target] {
            report(policy.origin.error(spec.field("faults"), problem, allowed: "without it"))
        }
    }

    private func origin(ofPolicyFor service: ServiceResource) -> Origin? {
        policies.traffic[PolicyTarget(kind: .service, key: service.key, rule: nil)]?.origin
    }

    private mutating func validateCount(
        _ limits: [RateLimit],
        of route: RouteResource,
        rule index: Int
    ) {
        guard limits.count > Limits.rateLimitsMax else { return }
        report(
            route.origin.error(
                spec.field("rules").index(index),
                "too many rate limits of its service, its route and itself",
                value: "\(limits.count)",
                allowed: "up to \(Limits.rateLimitsMax) together"
            )
        )
    }

    private mutating func validateInbound(
        of service: ServiceResource,
        _ policy: ServicePolicy,
        _ attached: [RouteResource]
    ) {
        let limits = policies.inboundLimits(of: service, policy, attached)
        let priorities = policies.inboundPriorities(of: service, policy, attached)
        let counts = [
            ("rate limits", limits.count, Limits.rateLimitsMax),
            ("priorities", priorities.count, Limits.prioritiesMax),
            (
                "matches in a rate limit", limits.map(\.matches.count).max() ?? 0,
                Limits.policyMatchesMax
            ),
        ]
        for (name, count, most) in counts where count > most {
            report(
                service.origin.error(
                    spec,
                    "too many \(name) of the service and the routes to it",
                    value: "\(count)",
                    allowed: "up to \(most) together"
                )
            )
        }
    }
}

/// Where an error was found, to report it once.
private struct ConfigPlace: Hashable {
    let file: String?
    let path: ConfigPath
    let problem: String

    init(_ error: ConfigError) {
        file = error.file
        path = ConfigPath(components: error.path.components + [.field("\(error.position as Any)")])
        problem = error.problem
    }
}
