// From manifests to the one snapshot a workload's proxy gets: only what it uses, in one order, so
// that equal manifests give equal bytes.

public import MeshModel

extension Catalog {
    /// The snapshot of one workload; nil when there is no such workload.
    ///
    /// Throws only on a trust bundle that is none; all else was validated before. A canary without an
    /// entry in `canaryShares` is at its first step.
    public func compile(
        workload key: ObjectKey,
        version: UInt64,
        trustBundle: [String],
        canaryShares: [ObjectKey: Share] = [:]
    ) throws(ConfigErrors) -> MeshSnapshot? {
        guard let workload = workloads[key] else { return nil }
        let used = workload.uses.sorted().compactMap { services[$0] }
        var clusters: [PortKey: Cluster] = [:]
        var virtualServices: [VirtualService] = []
        for service in used {
            let hosts = service.hosts(from: key.namespace)
            let addresses = virtualAddresses[service.key].map { [$0] } ?? []
            for port in service.ports {
                let routes = divide(compileRoutes(service, port), of: service, port, canaryShares)
                for backend in routes.flatMap(\.backends) where clusters[backend.key] == nil {
                    clusters[backend.key] = compileCluster(backend)
                }
                virtualServices.append(
                    VirtualService(
                        name: service.name(of: port),
                        hosts: hosts,
                        port: port.port,
                        routes: routes.map(\.route),
                        protocol: port.protocol.serviceProtocol,
                        addresses: addresses
                    )
                )
            }
        }
        return try MeshSnapshot(
            version: version,
            trustDomain: mesh.trustDomain,
            workload: workload.spiffeID(in: mesh.trustDomain),
            trustBundle: trustBundle,
            inbound: compileInbound(workload),
            services: virtualServices,
            clusters: clusters.sorted { $0.key < $1.key }.map(\.value),
            unknownDestinations: mesh.unknownDestinations
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
            timeouts: RouteTimeouts(streamIdle: times.streamIdle, tcpIdle: times.tcpIdle),
            limits: service?.limits ?? .default,
            protocol: service.map(inboundProtocol) ?? .auto,
            ports: service.map(inboundPorts) ?? []
        )
    }

    /// What is spoken on ports that no `targetPort` names: where a service says only what callers
    /// name, its one protocol is the application's.
    private func inboundProtocol(_ service: ServiceResource) -> ServiceProtocol {
        guard service.ports.count == 1, service.ports[0].targetPort == nil else { return .auto }
        return service.ports[0].protocol.serviceProtocol
    }

    private func inboundPorts(_ service: ServiceResource) -> [InboundPort] {
        var seen: Set<UInt16> = []
        return service.ports.compactMap { port in
            guard let target = port.targetPort, seen.insert(target).inserted else { return nil }
            return InboundPort(port: target, protocol: port.protocol.serviceProtocol)
        }
    }

    private func compileCluster(_ backend: CompiledRoute.Backend) -> Cluster {
        let (service, port) = (backend.service, backend.port)
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
            name: service.name(of: port),
            security: security,
            endpoints: service.endpoints.compactMap { $0.endpoint(of: port) },
            connectTimeout: times.connect,
            idleTimeout: times.idle,
            limits: service.limits,
            protocol: port.protocol.clusterProtocol(isPlaintext: service.isPlaintext)
        )
    }

    private func compileRoutes(
        _ service: ServiceResource,
        _ port: ServicePort
    ) -> [CompiledRoute] {
        let attached = routes.filter { $0.isAttached(to: service, port) }
        let times = service.timeouts.over(mesh.defaults)
        guard !attached.isEmpty else {
            let backend = CompiledRoute.Backend(service: service, port: port)
            return [
                CompiledRoute(
                    route: Route(
                        name: service.key.name,
                        backends: [WeightedCluster(cluster: backend.name)],
                        timeouts: RouteTimeouts(
                            // What has no requests has no limit on them.
                            request: port.protocol == .tcp ? nil : times.request,
                            streamIdle: times.streamIdle,
                            tcpIdle: times.tcpIdle
                        )
                    ),
                    backends: [backend]
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

    /// The routes with the traffic divided by the service's canary, if it has one.
    private func divide(
        _ routes: [CompiledRoute],
        of service: ServiceResource,
        _ port: ServicePort,
        _ shares: [ObjectKey: Share]
    ) -> [CompiledRoute] {
        guard port.protocol != .tcp, let canary = canary(of: service.key) else { return routes }
        let sides = [canary.baseline, canary.canary].map { side in
            let key = ObjectKey(namespace: canary.key.namespace, name: side.name)
            guard let service = services[key],
                let port = side.resolve(in: service, calledOn: port.port)
            else { preconditionFailure("a valid catalog has no dangling backend") }
            return CompiledRoute.Backend(service: service, port: port)
        }
        let split = CanarySplit(
            baseline: sides[0].name,
            canary: sides[1].name,
            share: shares[canary.key] ?? canary.firstShare,
            stickiness: canary.stickiness,
            forceHeader: canary.forceHeader
        )
        return routes.flatMap { compiled in
            split.routes(for: compiled.route)?.map {
                CompiledRoute(route: $0, backends: compiled.backends + sides)
            } ?? [compiled]
        }
    }

    private func compile(
        _ route: HTTPRouteResource,
        _ times: TimeoutDefaults
    ) -> [CompiledRoute] {
        route.rules.enumerated().flatMap { index, rule in
            let request = rule.requestTimeout.map { $0 == .zero ? nil : $0 } ?? times.request
            let backends = rule.backends.map { backend($0.service, of: route) }
            return rule.matches.map { match in
                CompiledRoute(
                    route: Route(
                        name: "\(route.key.name)/\(index)",
                        match: match,
                        backends: zip(backends, rule.backends).map { backend, rule in
                            WeightedCluster(cluster: backend.name, weight: rule.weight)
                        },
                        timeouts: RouteTimeouts(
                            request: request,
                            streamIdle: times.streamIdle,
                            tcpIdle: times.tcpIdle
                        )
                    ),
                    backends: backends
                )
            }
        }
    }

    private func backend(
        _ reference: HTTPRouteResource.ServiceReference,
        of route: HTTPRouteResource
    ) -> CompiledRoute.Backend {
        let key = ObjectKey(namespace: route.key.namespace, name: reference.name)
        guard let service = services[key],
            let port = reference.port.map({ service.port($0) }) ?? service.ports[0]
        else { preconditionFailure("a valid catalog has no dangling backend") }
        return CompiledRoute.Backend(service: service, port: port)
    }
}

/// A service's port in the order of clusters: by the service's key, then as its ports are numbered.
private struct PortKey: Hashable, Comparable {
    let service: ObjectKey
    let port: UInt16

    static func < (first: PortKey, second: PortKey) -> Bool {
        (first.service, first.port) < (second.service, second.port)
    }
}

/// A route and the services behind its clusters.
private struct CompiledRoute {
    struct Backend {
        let service: ServiceResource
        let port: ServicePort

        var key: PortKey { PortKey(service: service.key, port: port.port) }
        var name: String { service.name(of: port) }
    }

    let route: Route
    let backends: [Backend]

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
            case .pattern: (0, 0)
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
