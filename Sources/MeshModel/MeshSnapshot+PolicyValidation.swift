// What must hold between policies and the rest of a snapshot.

extension MeshSnapshot {
    /// Reports policies that name what is not there, contradict each other, or speak of requests
    /// where there are none.
    func checkPolicies(_ problems: inout [ConfigError]) {
        let protocols = Dictionary(
            clusters.map { ($0.name, $0.protocol) },
            uniquingKeysWith: { first, _ in first }
        )
        for (index, service) in services.enumerated() {
            var limits: [String: RateLimit] = [:]
            for (position, route) in service.routes.enumerated() {
                let path = Self.path("services", index).field("routes").index(position)
                let isTCP = service.protocol == .tcp
                checkTargets(of: route, isTCP: isTCP, protocols, at: path, &problems)
                checkFilters(of: route, at: path, &problems)
                checkNames(of: route.rateLimits, at: path, &problems)
                checkShared(route.rateLimits, &limits, at: path, &problems)
                if isTCP { checkNoPolicies(route, at: path, &problems) }
            }
        }
        checkNames(of: inbound.rateLimits, at: ConfigPath.root.field("inbound"), &problems)
        for (index, cluster) in clusters.enumerated() {
            checkProtocol(of: cluster, at: Self.path("clusters", index), &problems)
        }
    }

    /// Mirrors and fallbacks go to clusters of the snapshot that take what the service gets.
    private func checkTargets(
        of route: Route,
        isTCP: Bool,
        _ protocols: [String: ServiceProtocol],
        at path: ConfigPath,
        _ problems: inout [ConfigError]
    ) {
        var targets = route.filters.mirrors.enumerated().map { index, mirror in
            (mirror.cluster, path.field("filters").field("mirrors").index(index))
        }
        if let cluster = route.fallback?.cluster {
            targets.append((cluster, path.field("fallback")))
        }
        for (name, place) in targets {
            guard let proto = protocols[name] else {
                problems.append(
                    ConfigError(
                        path: place.field("cluster"),
                        problem: "no such cluster",
                        value: name,
                        allowed: suggestion(for: name, among: clusters.map(\.name))
                    )
                )
                continue
            }
            if isTCP ? proto != .tcp && proto != .auto : proto == .tcp {
                problems.append(
                    ConfigError(
                        path: place.field("cluster"),
                        problem: "a \(isTCP ? "tcp" : "HTTP") service cannot use a cluster of "
                            + "protocol \(proto)",
                        value: name
                    )
                )
            }
        }
    }

    /// Gateway API `HTTPRouteFilter`: one of redirect and rewrite, and a matched prefix is replaced
    /// only where one matched.
    private func checkFilters(
        of route: Route,
        at path: ConfigPath,
        _ problems: inout [ConfigError]
    ) {
        let filters = path.field("filters")
        if route.filters.redirect != nil {
            let others: [(String, Bool)] = [
                ("rewrite", route.filters.rewrite != nil),
                ("mirrors", !route.filters.mirrors.isEmpty),
            ]
            for (name, isThere) in others where isThere {
                problems.append(
                    ConfigError(
                        path: filters.field(name),
                        problem: "a redirect sends nothing to an endpoint",
                        allowed: "without it"
                    )
                )
            }
            let unused: [(String, Bool)] = [
                ("fallback", route.fallback != nil), ("stickiness", route.stickiness != nil),
            ]
            for (name, isThere) in unused where isThere {
                problems.append(
                    ConfigError(
                        path: path.field(name),
                        problem: "a redirect sends nothing to an endpoint",
                        allowed: "without it"
                    )
                )
            }
        }
        let modifiers = [
            ("rewrite", route.filters.rewrite?.path), ("redirect", route.filters.redirect?.path),
        ]
        for case (let name, .prefix(let prefix)?) in modifiers {
            if case .prefix? = route.match.path { continue }
            problems.append(
                ConfigError(
                    path: filters.field(name).field("path").field("prefix"),
                    problem: "there is no matched prefix to replace",
                    value: prefix,
                    allowed: "full, or a match whose path is a prefix"
                )
            )
        }
    }

    private func checkNames(
        of limits: [RateLimit],
        at path: ConfigPath,
        _ problems: inout [ConfigError]
    ) {
        var seen: Set<String> = []
        for (index, limit) in limits.enumerated() where !seen.insert(limit.name).inserted {
            problems.append(
                ConfigError(
                    path: path.field("rateLimits").index(index).field("name"),
                    problem: "the name stands twice in rateLimits",
                    value: limit.name
                )
            )
        }
    }

    /// Limits of one name in a service are one limit.
    private func checkShared(
        _ limits: [RateLimit],
        _ known: inout [String: RateLimit],
        at path: ConfigPath,
        _ problems: inout [ConfigError]
    ) {
        for (index, limit) in limits.enumerated() {
            guard let other = known[limit.name] else {
                known[limit.name] = limit
                continue
            }
            if other == limit { continue }
            problems.append(
                ConfigError(
                    path: path.field("rateLimits").index(index),
                    problem: "another route of the service has another limit of this name",
                    value: limit.name,
                    allowed: "the same limit, or another name"
                )
            )
        }
    }

    /// An opaque connection has no request to change, refuse, answer or tell apart.
    private func checkNoPolicies(
        _ route: Route,
        at path: ConfigPath,
        _ problems: inout [ConfigError]
    ) {
        let parts: [(String, Bool)] = [
            ("filters", route.filters != .none),
            ("fallback", route.fallback?.response != nil),
            ("stickiness", route.stickiness != nil),
            ("faults", !route.faults.isEmpty),
            ("rateLimits", !route.rateLimits.isEmpty),
        ]
        for (name, isThere) in parts where isThere {
            problems.append(
                ConfigError(
                    path: path.field(name),
                    problem: "a tcp service has no requests",
                    allowed: "without it"
                )
            )
        }
    }

    /// What a cluster speaks must carry what its policies need.
    private func checkProtocol(
        of cluster: Cluster,
        at path: ConfigPath,
        _ problems: inout [ConfigError]
    ) {
        if case .grpc? = cluster.healthCheck?.kind, cluster.protocol == .http1 {
            problems.append(
                ConfigError(
                    path: path.field("healthCheck").field("kind"),
                    problem: "http1 carries no gRPC",
                    allowed: "http or tcp, or a cluster of protocol http2 or auto"
                )
            )
        }
        guard cluster.protocol == .tcp, let hash = cluster.balancing.hash, hash != .address else {
            return
        }
        problems.append(
            ConfigError(
                path: path.field("balancing").field("hash"),
                problem: "tcp has no requests to hash",
                allowed: "address"
            )
        )
    }
}
