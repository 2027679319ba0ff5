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
            var seen: Set<Endpoint> = []
            for (position, endpoint) in cluster.endpoints.enumerated()
            where !seen.insert(endpoint).inserted {
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
                if route.backends.allSatisfy({ $0.weight == 0 }) {
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

    private static func path(_ field: String, _ index: Int) -> ConfigPath {
        ConfigPath.root.field(field).index(index)
    }

    private struct HostAndPort: Hashable {
        let host: String
        let port: UInt16
    }
}
