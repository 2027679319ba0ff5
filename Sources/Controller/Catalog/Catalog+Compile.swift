// From manifests to the one snapshot a workload's proxy gets: only what it uses, in one order, so
// that equal manifests give equal bytes.

public import MeshModel

extension Catalog {
    /// The snapshot of one workload; nil when there is no such workload.
    ///
    /// Throws only on a trust bundle that is none; all else was validated before.
    public func compile(
        workload key: ObjectKey,
        version: UInt64,
        trustBundle: [String]
    ) throws(ConfigErrors) -> MeshSnapshot? {
        guard let workload = workloads[key] else { return nil }
        let used = workload.uses.sorted().compactMap { services[$0] }
        var clusters: [ObjectKey: Cluster] = [:]
        var virtualServices: [VirtualService] = []
        for service in used {
            let routes = compileRoutes(service)
            for backend in routes.flatMap(\.backends) where clusters[backend] == nil {
                clusters[backend] = services[backend].map(compileCluster)
            }
            virtualServices.append(
                VirtualService(
                    name: service.key.description,
                    hosts: service.hosts(from: key.namespace),
                    port: service.port,
                    routes: routes.map(\.route)
                )
            )
        }
        return try MeshSnapshot(
            version: version,
            trustDomain: mesh.trustDomain,
            workload: workload.spiffeID(in: mesh.trustDomain),
            trustBundle: trustBundle,
            inbound: compileInbound(workload),
            services: virtualServices,
            clusters: clusters.sorted { $0.key < $1.key }.map(\.value)
        )
    }

    private func compileInbound(_ workload: WorkloadResource) -> InboundService {
        let key = ObjectKey(
            namespace: workload.key.namespace,
            name: workload.service ?? workload.key.name
        )
        let service = workload.service.flatMap { _ in services[key] }
        let times = (service?.timeouts ?? .none).over(mesh.defaults)
        // The caller's side limits the exchange: its route may allow more than the service's own
        // limit, which must not cut it here.
        return InboundService(
            name: key.description,
            timeouts: RouteTimeouts(streamIdle: times.streamIdle),
            limits: service?.limits ?? .default
        )
    }

    private func compileCluster(_ service: ServiceResource) -> Cluster {
        let times = service.timeouts.over(mesh.defaults)
        var security = ClusterSecurity.plaintext
        if let name = service.workload {
            guard
                let id = spiffeID(
                    of: ObjectKey(namespace: service.key.namespace, name: name)
                )
            else { preconditionFailure("a valid catalog has no dangling workload") }
            security = .mutual([id])
        }
        return Cluster(
            name: service.clusterName,
            security: security,
            endpoints: service.endpoints,
            connectTimeout: times.connect,
            idleTimeout: times.idle,
            limits: service.limits
        )
    }

    private func compileRoutes(_ service: ServiceResource) -> [CompiledRoute] {
        let attached = routes.filter { route in
            route.key.namespace == service.key.namespace
                && route.parents.contains { $0.name == service.key.name }
        }
        let times = service.timeouts.over(mesh.defaults)
        guard !attached.isEmpty else {
            let backend = WeightedCluster(cluster: service.clusterName)
            return [
                CompiledRoute(
                    route: Route(
                        name: service.key.name,
                        backends: [backend],
                        timeouts: RouteTimeouts(
                            request: times.request,
                            streamIdle: times.streamIdle
                        )
                    ),
                    backends: [service.key]
                )
            ]
        }
        // Routes stand in the order of their keys, rules and matches as written; the sort is stable.
        return attached.flatMap { compile($0, times) }
            .enumerated()
            .sorted { first, second in
                let (one, other) = (first.element.precedence, second.element.precedence)
                return one == other ? first.offset < second.offset : one > other
            }
            .map(\.element)
    }

    private func compile(
        _ route: HTTPRouteResource,
        _ times: TimeoutDefaults
    ) -> [CompiledRoute] {
        route.rules.enumerated().flatMap { index, rule in
            let request = rule.requestTimeout.map { $0 == .zero ? nil : $0 } ?? times.request
            let keys = rule.backends.map {
                ObjectKey(namespace: route.key.namespace, name: $0.service.name)
            }
            return rule.matches.map { match in
                CompiledRoute(
                    route: Route(
                        name: "\(route.key.name)/\(index)",
                        match: match,
                        backends: zip(keys, rule.backends).map { key, backend in
                            WeightedCluster(cluster: key.description, weight: backend.weight)
                        },
                        timeouts: RouteTimeouts(request: request, streamIdle: times.streamIdle)
                    ),
                    backends: keys
                )
            }
        }
    }
}

/// A route and the services behind its clusters.
private struct CompiledRoute {
    let route: Route
    let backends: [ObjectKey]

    /// Larger is tried first.
    ///
    /// Gateway API `HTTPRouteRule.matches`: an exact path, the longest
    /// prefix, a method, the most headers; then the order of routes, rules and matches.
    var precedence: Precedence {
        let match = route.match
        let path: (isExact: Int, length: Int) =
            switch match.path {
            case .exact: (1, 0)
            case .prefix(let prefix): (0, prefix.unicodeScalars.count)
            case nil: (0, 1)  // "/"
            }
        return Precedence(
            isExactPath: path.isExact,
            prefixLength: path.length,
            hasMethod: match.method == nil ? 0 : 1,
            headerCount: match.headers.count
        )
    }

    struct Precedence: Comparable {
        let isExactPath: Int
        let prefixLength: Int
        let hasMethod: Int
        let headerCount: Int

        static func < (first: Precedence, second: Precedence) -> Bool {
            (first.isExactPath, first.prefixLength, first.hasMethod, first.headerCount)
                < (second.isExactPath, second.prefixLength, second.hasMethod, second.headerCount)
        }
    }
}
