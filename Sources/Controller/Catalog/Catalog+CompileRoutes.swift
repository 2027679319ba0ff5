// From routes and policies to the routes of a service, in the order they are tried.

import MeshModel

/// What a cluster is made of: a port of a service, or a subset's part of it.
struct CompiledBackend {
    let service: ServiceResource
    let port: ServicePort
    let subset: String?

    /// Clusters stand in the order of their services, then as ports are numbered.
    struct Key: Hashable, Comparable {
        let service: ObjectKey
        let port: UInt16
        let subset: String

        static func < (first: Key, second: Key) -> Bool {
            (first.service, first.port, first.subset)
                < (second.service, second.port, second.subset)
        }
    }

    var key: Key { Key(service: service.key, port: port.port, subset: subset ?? "") }
    var name: String { service.name(of: port, subset: subset) }
}

/// A route and what is behind its clusters.
struct CompiledRoute {
    let route: Route
    let precedence: RoutePrecedence
    let backends: [CompiledBackend]
}

extension Catalog {
    func compileRoutes(
        _ service: ServiceResource,
        _ port: ServicePort,
        _ policy: ServicePolicy
    ) -> [CompiledRoute] {
        let attached = routes.filter { $0.isAttached(to: service, port) }
        guard !attached.isEmpty else { return [defaultRoute(service, port, policy)] }
        // Routes stand in the order of their keys, rules and matches as written; the sort is stable.
        return attached.flatMap { compile($0, to: service, policy) }
            .enumerated()
            .sorted { first, second in
                let (one, other) = (first.element.precedence, second.element.precedence)
                return one == other ? first.offset < second.offset : one > other
            }
            .map(\.element)
    }

    /// The one route of a service that nobody routes for.
    private func defaultRoute(
        _ service: ServiceResource,
        _ port: ServicePort,
        _ policy: ServicePolicy
    ) -> CompiledRoute {
        let backend = CompiledBackend(service: service, port: port, subset: nil)
        let backends = [WeightedCluster(cluster: backend.name)]
        let times = policy.timeouts.route
        let precedence = RoutePrecedence(http: .everything)
        guard port.protocol != .tcp else {
            // What has no requests has no policy on them.
            let route = Route(
                name: service.key.name,
                backends: backends,
                timeouts: RouteTimeouts(streamIdle: times.streamIdle, tcpIdle: times.tcpIdle),
                retry: policy.retry
            )
            return CompiledRoute(route: route, precedence: precedence, backends: [backend])
        }
        let saved = policy.fallback.map { fallback(of: $0, in: service.key.namespace) }
        let route = Route(
            name: service.key.name,
            backends: backends,
            timeouts: times,
            retry: policy.retry,
            fallback: saved?.fallback,
            faults: policy.faults,
            rateLimits: policies.callersLimits(to: service, policy),
            priority: policy.priority
        )
        return CompiledRoute(
            route: route,
            precedence: precedence,
            backends: [backend] + (saved?.backend.map { [$0] } ?? [])
        )
    }

    private func compile(
        _ route: RouteResource,
        to service: ServiceResource,
        _ servicePolicy: ServicePolicy
    ) -> [CompiledRoute] {
        route.rules.indices.flatMap { index -> [CompiledRoute] in
            let rule = route.rules[index]
            var errors: [ConfigError] = []
            let policy = policies.policy(of: route, rule: index, over: servicePolicy, &errors)
            assert(errors.isEmpty, "a valid catalog's policies fit what they are laid over")
            let backends = rule.backends.map {
                backend($0.service, $0.subset, in: route.key.namespace)
            }
            let mirrors = rule.mirrors.map { backend($0.service, nil, in: route.key.namespace) }
            // A redirect answers itself.
            let saved =
                backends.isEmpty
                ? nil : policy.fallback.map { fallback(of: $0, in: route.key.namespace) }
            var filters = rule.filters
            filters.lifecycle = policy.lifecycle
            filters.mirrors = zip(mirrors, rule.mirrors).map {
                RequestMirror(cluster: $0.name, share: $1.share)
            }
            return rule.matches.map { match in
                CompiledRoute(
                    route: Route(
                        name: route.name(ofRule: index),
                        match: match.condition,
                        backends: zip(backends, rule.backends).map { backend, rule in
                            WeightedCluster(cluster: backend.name, weight: rule.weight)
                        },
                        timeouts: policy.timeouts,
                        retry: policy.retry,
                        filters: filters,
                        fallback: saved?.fallback,
                        stickiness: backends.isEmpty ? nil : rule.stickiness,
                        faults: policy.faults,
                        rateLimits: policies.callersLimits(
                            of: route,
                            rule: index,
                            to: service,
                            servicePolicy
                        ),
                        priority: policy.priority ?? servicePolicy.priority
                    ),
                    precedence: match.precedence,
                    backends: backends + mirrors + (saved?.backend.map { [$0] } ?? [])
                )
            }
        }
    }

    private func fallback(
        of fallback: TrafficPolicyResource.Fallback,
        in namespace: String
    ) -> (fallback: Fallback, backend: CompiledBackend?) {
        let backend = fallback.service.map { self.backend($0, fallback.subset, in: namespace) }
        return (Fallback(cluster: backend?.name, response: fallback.response), backend)
    }

    private func backend(
        _ reference: ServiceReference,
        _ subset: String?,
        in namespace: String
    ) -> CompiledBackend {
        let key = ObjectKey(namespace: namespace, name: reference.name)
        guard let service = services[key],
            let port = reference.port.map({ service.port($0) }) ?? service.ports[0]
        else { preconditionFailure("a valid catalog has no dangling backend") }
        return CompiledBackend(service: service, port: port, subset: subset)
    }
}
