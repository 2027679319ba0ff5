// What must hold between the parts of a snapshot; ranges of single values are checked where those
// values are made.

extension MeshSnapshot {
    /// Everything that does not fit together, with paths.
    func crossReferenceErrors() -> [ConfigError] {
        var problems: [ConfigError] = []
        checkIdentities(&problems)
        checkBounds(&problems)
        checkNames(&problems)
        checkRoutes(&problems)
        checkProtocols(&problems)
        checkAddresses(&problems)
        checkInboundPorts(&problems)
        checkPolicies(&problems)
        return problems
    }

    private func checkIdentities(_ problems: inout [ConfigError]) {
        if workload.trustDomain != trustDomain {
            problems.append(
                foreign(workload, at: ConfigPath.root.field("workload"))
            )
        }
        for (index, certificate) in trustBundle.enumerated()
        where !Syntax.certificate.isValid(certificate) {
            problems.append(
                ConfigError(
                    path: ConfigPath.root.field("trustBundle").index(index),
                    problem: "not valid",
                    value: certificate.shortened(to: Limits.previewCharactersMax),
                    allowed: Syntax.certificate.allowed
                )
            )
        }
        for (index, cluster) in clusters.enumerated() {
            guard case .mutual(let identities) = cluster.security else { continue }
            let path = Self.path("clusters", index).field("security").field("mutual")
            for (position, identity) in identities.enumerated()
            where identity.trustDomain != trustDomain {
                problems.append(foreign(identity, at: path.index(position)))
            }
        }
    }

    private func foreign(_ identity: SPIFFEID, at path: ConfigPath) -> ConfigError {
        ConfigError(
            path: path,
            problem: "outside the trust domain",
            value: identity.description,
            allowed: "spiffe://\(trustDomain)/…"
        )
    }

    private func checkBounds(_ problems: inout [ConfigError]) {
        let counts = [
            ("trustBundle", trustBundle.count, Limits.trustBundleMax),
            ("services", services.count, Limits.servicesMax),
            ("clusters", clusters.count, Limits.clustersMax),
        ]
        for (field, count, bound) in counts where count > bound {
            problems.append(
                ConfigError(
                    path: ConfigPath.root.field(field),
                    problem: "wrong number of elements",
                    value: "\(count)",
                    allowed: "0...\(bound) elements"
                )
            )
        }
    }

    private func checkNames(_ problems: inout [ConfigError]) {
        reportDuplicates(services.map(\.name), in: "services", &problems)
        reportDuplicates(clusters.map(\.name), in: "clusters", &problems)
        var owners: [HostAndPort: String] = [:]
        for (index, service) in services.enumerated() {
            for (position, host) in service.hosts.enumerated() {
                let key = HostAndPort(host: host, port: service.port)
                guard let owner = owners.updateValue(service.name, forKey: key) else { continue }
                problems.append(
                    ConfigError(
                        path: Self.path("services", index).field("hosts").index(position),
                        problem: "service \(owner) has this host on port \(service.port) already",
                        value: host
                    )
                )
            }
        }
        for (index, cluster) in clusters.enumerated() {
            var seen: Set<EndpointTarget> = []
            for (position, endpoint) in cluster.endpoints.enumerated()
            where !seen.insert(endpoint.target).inserted {
                problems.append(
                    ConfigError(
                        path: Self.path("clusters", index).field("endpoints").index(position),
                        problem: "the endpoint stands twice in this cluster",
                        value: endpoint.target.description
                    )
                )
            }
        }
    }

    private func reportDuplicates(
        _ names: [String],
        in field: String,
        _ problems: inout [ConfigError]
    ) {
        var seen: Set<String> = []
        for (index, name) in names.enumerated() where !seen.insert(name).inserted {
            problems.append(
                ConfigError(
                    path: Self.path(field, index).field("name"),
                    problem: "the name stands twice in \(field)",
                    value: name
                )
            )
        }
    }

    private func checkRoutes(_ problems: inout [ConfigError]) {
        let names = clusters.map(\.name)
        let known = Set(names)
        for (index, service) in services.enumerated() {
            for (position, route) in service.routes.enumerated() {
                let path = Self.path("services", index).field("routes").index(position)
                    .field("backends")
                for (number, backend) in route.backends.enumerated()
                where !known.contains(backend.cluster) {
                    problems.append(
                        ConfigError(
                            path: path.index(number).field("cluster"),
                            problem: "no such cluster",
                            value: backend.cluster,
                            allowed: suggestion(for: backend.cluster, among: names)
                        )
                    )
                }
                // No share of nothing: such a route could answer no request.
                // A redirect has no backends at all, and answers itself.
                if !route.backends.isEmpty, route.backends.allSatisfy({ $0.weight == 0 }) {
                    problems.append(
                        ConfigError(
                            path: path,
                            problem: "all weights are 0",
                            allowed: "at least one weight above 0"
                        )
                    )
                }
            }
        }
    }

    /// Opaque connections have no requests, so nothing that speaks of requests may stand there.
    private func checkProtocols(_ problems: inout [ConfigError]) {
        let protocols = Dictionary(
            clusters.map { ($0.name, $0.protocol) },
            uniquingKeysWith: { first, _ in first }
        )
        for (index, service) in services.enumerated() {
            let isTCP = service.protocol == .tcp
            if isTCP, service.routes.count > 1 {
                problems.append(
                    ConfigError(
                        path: Self.path("services", index).field("routes"),
                        problem: "a tcp service has one route",
                        value: "\(service.routes.count) routes",
                        allowed: "one route that matches everything"
                    )
                )
            }
            for (position, route) in service.routes.enumerated() {
                let path = Self.path("services", index).field("routes").index(position)
                if isTCP, route.match != .everything {
                    problems.append(
                        ConfigError(
                            path: path.field("match"),
                            problem: "a tcp service has no requests to match",
                            allowed: "without it"
                        )
                    )
                }
                if isTCP { checkNoRequest(route.timeouts, at: path, &problems) }
                for (number, backend) in route.backends.enumerated() {
                    guard let theirs = protocols[backend.cluster] else { continue }
                    let fits = isTCP ? theirs == .tcp || theirs == .auto : theirs != .tcp
                    if fits { continue }
                    problems.append(
                        ConfigError(
                            path: path.field("backends").index(number).field("cluster"),
                            problem: "a service of protocol \(service.protocol) cannot use a "
                                + "cluster of protocol \(theirs)",
                            value: backend.cluster
                        )
                    )
                }
            }
        }
    }

    func checkNoRequest(
        _ timeouts: RouteTimeouts,
        at path: ConfigPath,
        _ problems: inout [ConfigError]
    ) {
        guard let request = timeouts.request else { return }
        problems.append(
            ConfigError(
                path: path.field("timeouts").field("request"),
                problem: "tcp has no requests to limit",
                value: request.gatewayText,
                allowed: "without it; tcpIdle limits silence"
            )
        )
    }

    private func checkAddresses(_ problems: inout [ConfigError]) {
        var owners: [AddressAndPort: String] = [:]
        var hosts: [String: (service: String, addresses: Set<IPAddress>)] = [:]
        for (index, service) in services.enumerated() {
            let path = Self.path("services", index).field("addresses")
            for (position, address) in service.addresses.enumerated() {
                if address.isLoopback || address.isUnspecified || address.isMulticast {
                    problems.append(
                        ConfigError(
                            path: path.index(position),
                            problem: "cannot stand for a service",
                            value: address.description,
                            allowed: "an address that is not loopback, unspecified or multicast"
                        )
                    )
                }
                let key = AddressAndPort(address: address, port: service.port)
                guard let owner = owners.updateValue(service.name, forKey: key) else { continue }
                problems.append(
                    ConfigError(
                        path: path.index(position),
                        problem: "service \(owner) has this address on port "
                            + "\(service.port) already",
                        value: address.description
                    )
                )
            }
            // A name resolves without a port: an address that only one of the ports has would be
            // given out for the others, too.
            let addresses = Set(service.addresses)
            for host in service.hosts {
                guard let first = hosts[host] else {
                    hosts[host] = (service.name, addresses)
                    continue
                }
                if first.addresses == addresses { continue }
                problems.append(
                    ConfigError(
                        path: path,
                        problem: "service \(first.service) has the host \(host), too, "
                            + "with other addresses",
                        allowed: "the same addresses on all ports of a host"
                    )
                )
            }
        }
    }

    private func checkInboundPorts(_ problems: inout [ConfigError]) {
        let root = ConfigPath.root.field("inbound")
        if inbound.protocol == .tcp { checkNoRequest(inbound.timeouts, at: root, &problems) }
        var seen: Set<UInt16> = []
        for (index, port) in inbound.ports.enumerated() where !seen.insert(port.port).inserted {
            problems.append(
                ConfigError(
                    path: root.field("ports").index(index).field("port"),
                    problem: "the port stands twice in ports",
                    value: "\(port.port)"
                )
            )
        }
    }

    static func path(_ field: String, _ index: Int) -> ConfigPath {
        ConfigPath.root.field(field).index(index)
    }

    private struct HostAndPort: Hashable {
        let host: String
        let port: UInt16
    }

    private struct AddressAndPort: Hashable {
        let address: IPAddress
        let port: UInt16
    }
}
