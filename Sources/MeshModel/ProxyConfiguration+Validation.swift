// What must hold between the parts of a proxy's configuration; ranges of single values are checked
// where those values are made.

extension ProxyConfiguration {
    /// Everything at odds between the parts.
    func crossReferenceErrors() -> [ConfigError] {
        var problems: [ConfigError] = []
        // It answers without authentication, and shows peers and certificates.
        if !admin.isLoopback {
            problems.append(Self.reachable(admin, at: Self.field("admin")))
        }
        if outbound == nil, inbound == nil, tcpListeners.isEmpty {
            problems.append(
                ConfigError(
                    problem: "nothing to do",
                    allowed: "outbound, inbound, tcpListeners or several"
                )
            )
        }
        checkSource(&problems)
        if drain.propagation > drain.gracePeriod {
            problems.append(
                ConfigError(
                    path: Self.field("drain"),
                    problem: "propagation is longer than gracePeriod",
                    value: drain.propagation.gatewayText,
                    allowed: drain.gracePeriod.gatewayText
                )
            )
        }
        checkTCPListeners(&problems)
        checkInterception(&problems)
        checkDNS(&problems)
        checkListeners(&problems)
        return problems
    }

    private func checkSource(_ problems: inout [ConfigError]) {
        func report(
            _ field: String?,
            _ problem: String,
            allowed: String? = nil
        ) {
            let path = field.map { Self.field($0) } ?? .root
            problems.append(ConfigError(path: path, problem: problem, allowed: allowed))
        }
        switch (controller, mesh) {
        case (nil, nil): report(nil, "no mesh", allowed: "exactly one of controller, mesh")
        case (.some, .some):
            report("mesh", "ambiguous", allowed: "exactly one of controller, mesh")
        case (.some, nil):
            if dataDirectory == nil { report("dataDirectory", "required with controller") }
            if identity != nil {
                report("identity", "the controller gives the identity", allowed: "without it")
            }
        case (nil, .some(let mesh)):
            if identity == nil, let user = firstUserOfTLS(mesh) {
                report("identity", "required by mTLS of \(user)")
            }
            if dataDirectory != nil {
                report("dataDirectory", "used only with controller", allowed: "without it")
            }
        }
    }

    private func firstUserOfTLS(_ mesh: MeshSnapshot) -> String? {
        if let inbound, !inbound.plaintext { return "inbound" }
        return mesh.clusters.first { $0.security != .plaintext }.map { "cluster \($0.name)" }
    }

    /// What a controller will send cannot be checked here: such a listener has nobody to connect to
    /// until a snapshot with its service arrives.
    private func checkTCPListeners(_ problems: inout [ConfigError]) {
        guard let mesh else { return }
        for (index, listener) in tcpListeners.enumerated() {
            let path = Self.field("tcpListeners").index(index)
            guard let service = mesh.service(host: listener.service, port: listener.port) else {
                let known = mesh.services.flatMap { service in
                    service.hosts.map { "\($0):\(service.port)" }
                }
                let wanted = "\(listener.service):\(listener.port)"
                problems.append(
                    ConfigError(
                        path: path.field("service"),
                        problem: "no such service in mesh",
                        value: wanted,
                        allowed: suggestion(for: wanted, among: known)
                    )
                )
                continue
            }
            guard service.protocol == .http1 || service.protocol == .http2 else { continue }
            problems.append(
                ConfigError(
                    path: path.field("service"),
                    problem: "the service speaks \(service.protocol)",
                    value: listener.service,
                    allowed: "a service of protocol tcp or auto; HTTP goes through outbound"
                )
            )
        }
    }

    private func checkInterception(_ problems: inout [ConfigError]) {
        guard let interception else { return }
        let path = Self.field("interception")
        for (field, isOn, hasListener) in [
            ("outbound", interception.outbound, outbound != nil),
            ("inbound", interception.inbound, inbound != nil),
        ] where isOn && !hasListener {
            problems.append(
                ConfigError(
                    path: path.field(field),
                    problem: "there is no \(field) listener to redirect to",
                    allowed: "only with \(field)"
                )
            )
        }
    }

    private func checkDNS(_ problems: inout [ConfigError]) {
        guard let listen = dns.listen else { return }
        // Answers are larger than questions, and a sender's address is easily forged.
        if !listen.isLoopback {
            problems.append(Self.reachable(listen, at: Self.field("dns").field("listen")))
        }
        for (index, upstream) in dns.upstreams.enumerated() where upstream == listen {
            problems.append(
                ConfigError(
                    path: Self.field("dns").field("upstreams").index(index),
                    problem: "the proxy would ask itself",
                    value: upstream.description,
                    allowed: "another address than listen"
                )
            )
        }
    }

    private func checkListeners(_ problems: inout [ConfigError]) {
        var listeners = [
            (Self.field("admin"), admin as SocketAddress?),
            (Self.field("outbound"), outbound),
            (Self.field("inbound").field("listen"), inbound?.listen),
            (Self.field("dns").field("listen"), dns.listen),
        ].compactMap { path, address in address.map { (path: path, address: $0) } }
        listeners += tcpListeners.enumerated().map { index, listener in
            (Self.field("tcpListeners").index(index).field("listen"), listener.listen)
        }
        // With SO_REUSEPORT the kernel would let both bind, and spread connections over them.
        for (index, listener) in listeners.enumerated() {
            let earlier = listeners[..<index]
            guard let other = earlier.first(where: { $0.address.overlaps(listener.address) }) else {
                continue
            }
            problems.append(
                ConfigError(
                    path: listener.path,
                    problem: "\(other.path) listens there already",
                    value: listener.address.description,
                    allowed: "an address of its own, or port 0"
                )
            )
        }
    }

    private static func reachable(_ address: SocketAddress, at path: ConfigPath) -> ConfigError {
        ConfigError(
            path: path,
            problem: "must not be reachable from outside",
            value: address.description,
            allowed: "a loopback address"
        )
    }

    private static func field(_ name: String) -> ConfigPath { ConfigPath.root.field(name) }
}

extension SocketAddress {
    /// Whether a connection could be for both, as listeners.
    fileprivate func overlaps(_ other: SocketAddress) -> Bool {
        guard port != 0, port == other.port else { return false }
        return ipAddress == other.ipAddress || ipAddress.covers(other.ipAddress)
            || other.ipAddress.covers(ipAddress)
    }
}

extension IPAddress {
    /// `::` takes IPv4, too, unless the machine is set up otherwise.
    fileprivate func covers(_ other: IPAddress) -> Bool {
        isUnspecified && (bytes.count == 16 || other.bytes.count == 4)
    }
}
