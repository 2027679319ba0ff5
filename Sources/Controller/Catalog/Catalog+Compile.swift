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
        var clusters: [CompiledBackend.Key: Cluster] = [:]
        var virtualServices: [VirtualService] = []
        for service in used {
            let hosts = service.hosts(from: key.namespace)
            let addresses = virtualAddresses[service.key].map { [$0] } ?? []
            let policy = policy(of: service)
            for port in service.ports {
                let routes = divide(
                    compileRoutes(service, port, policy),
                    of: service,
                    port,
                    canaryShares
                )
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
            unknownDestinations: mesh.unknownDestinations,
            locality: workload.locality,
            loadShedding: mesh.defaults.loadShedding
        )
    }

    /// What holds for a service.
    func policy(of service: ServiceResource) -> ServicePolicy {
        var errors: [ConfigError] = []
        let policy = policies.policy(of: service, &errors)
        assert(errors.isEmpty, "a valid catalog's policies fit what they are laid over")
        return policy
    }

    private func compileInbound(_ workload: WorkloadResource) -> InboundService {
        let key = ObjectKey(
            namespace: workload.key.namespace,
            name: workload.service ?? workload.key.name
        )
        guard let service = workload.service.flatMap({ _ in services[key] }) else {
            let times = TimeoutSettings.none.over(mesh.defaults).route
            return InboundService(
                name: key.description,
                timeouts: RouteTimeouts(streamIdle: times.streamIdle, tcpIdle: times.tcpIdle),
                limits: mesh.defaults.limits
            )
        }
        let policy = policy(of: service)
        let times = policy.timeouts.route
        let attached = routes(attachedTo: service)
        // The caller's side limits the exchange: its route may allow more than the service's own
        // limit, which must not cut it here.
        return InboundService(
            name: key.description,
            timeouts: RouteTimeouts(streamIdle: times.streamIdle, tcpIdle: times.tcpIdle),
            limits: policy.limits,
            protocol: inboundProtocol(service),
            ports: inboundPorts(service),
            rateLimits: policies.inboundLimits(of: service, policy, attached),
            priorities: policies.inboundPriorities(of: service, policy, attached),
            adaptiveConcurrency: policies.guarded.contains(key) ? policy.adaptiveConcurrency : nil
        )
    }

    /// The routes of any port of a service, in the order of their keys.
    private func routes(attachedTo service: ServiceResource) -> [RouteResource] {
        routes.filter { route in service.ports.contains { route.isAttached(to: service, $0) } }
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

    private func compileCluster(_ backend: CompiledBackend) -> Cluster {
        let (service, port) = (backend.service, backend.port)
        let policy = policy(of: service)
        var security = ClusterSecurity.plaintext
        if let name = service.workload {
            guard
                let id = spiffeID(
                    of: ObjectKey(namespace: service.key.namespace, name: name)
                )
            else { preconditionFailure("a valid catalog has no dangling workload") }
            security = .mutual([id])
        }
        let subset = backend.subset.flatMap { name in policy.subsets.first { $0.name == name } }
        return Cluster(
            name: backend.name,
            security: security,
            endpoints: service.endpoints(of: subset).compactMap { $0.endpoint(of: port) },
            connectTimeout: policy.timeouts.connect,
            idleTimeout: policy.timeouts.idle,
            limits: policy.limits,
            protocol: port.protocol.clusterProtocol(isPlaintext: service.isPlaintext),
            balancing: policy.loadBalancing,
            outlierDetection: policy.outlierDetection,
            healthCheck: policy.healthCheck,
            retryBudget: policy.retryBudget,
            // Where there is a sidecar it knows best how many its application bears.
            adaptiveConcurrency: policies.guarded.contains(service.key)
                ? nil : policy.adaptiveConcurrency
        )
    }
}
