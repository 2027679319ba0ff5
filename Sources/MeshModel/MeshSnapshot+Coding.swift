// A snapshot as JSON: keys are the property names, durations are Gateway API text, absent optional
// parts are left out. What is written is complete, so equal snapshots give equal bytes.

extension MeshSnapshot {
    /// Who wrote a document, and so what it may leave out.
    public enum Source: Sendable {
        /// The controller: everything stands there.
        case controller
        /// A person, in a static file: no `version`, and `trustBundle` only if wanted.
        case staticFile
    }

    /// Decodes and validates a snapshot; throws everything wrong with it.
    public static func decode(
        json: [UInt8],
        from source: Source = .controller,
        file: String? = nil
    ) throws(ConfigErrors) -> MeshSnapshot {
        let node = try ConfigNode.parse(json: json, file: file)
        let diagnostics = ConfigDiagnostics(file: file)
        let snapshot = decode(ConfigCursor(node, diagnostics: diagnostics), from: source)
        return try diagnostics.result(snapshot)
    }

    /// Decodes and validates a snapshot; throws everything wrong with it.
    public static func decode(
        json: String,
        from source: Source = .controller,
        file: String? = nil
    ) throws(ConfigErrors) -> MeshSnapshot {
        try decode(json: Array(json.utf8), from: source, file: file)
    }

    /// Decodes a snapshot as part of a larger document; nil when errors were reported.
    public static func decode(_ cursor: ConfigCursor, from source: Source) -> MeshSnapshot? {
        guard
            let object = cursor.object(fields: [
                "version", "trustDomain", "workload", "trustBundle", "inbound", "services",
                "clusters", "unknownDestinations", "locality", "loadShedding",
            ])
        else { return nil }
        let version: UInt64?
        let trustBundle: [String]?
        let decodeVersion = { (field: ConfigCursor) in field.integer(in: 0...UInt64.max) }
        let decodeBundle = { (field: ConfigCursor) in
            field.array(count: 0...Limits.trustBundleMax) { $0.string(.certificate) }
        }
        switch source {
        case .controller:
            version = object.required("version", decodeVersion)
            trustBundle = object.required("trustBundle", decodeBundle)
        case .staticFile:
            version = object.optional("version", default: 0, decodeVersion)
            trustBundle = object.optional("trustBundle", default: [], decodeBundle)
        }
        let trustDomain = object.required("trustDomain") { $0.trustDomain() }
        let workload = object.required("workload") { $0.spiffeID() }
        let inbound = object.required("inbound", InboundService.decode)
        let services = object.required("services") {
            $0.array(count: 0...Limits.servicesMax, of: VirtualService.decode)
        }
        let clusters = object.required("clusters") {
            $0.array(count: 0...Limits.clustersMax, of: Cluster.decode)
        }
        let unknownDestinations = object.optional("unknownDestinations", default: .pass) {
            $0.oneOf(UnknownDestinations.self)
        }
        let locality = object.optional("locality", default: .unknown, Locality.decode)
        let loadShedding = object.switchable("loadShedding", default: .default) {
            LoadShedding.decode($0)
        }
        guard let version, let trustDomain, let workload, let trustBundle, let inbound,
            let services, let clusters, let unknownDestinations, let locality, let loadShedding
        else { return nil }
        do {
            return try MeshSnapshot(
                version: version,
                trustDomain: trustDomain,
                workload: workload,
                trustBundle: trustBundle,
                inbound: inbound,
                services: services,
                clusters: clusters,
                unknownDestinations: unknownDestinations,
                locality: locality,
                loadShedding: loadShedding
            )
        } catch {
            cursor.report(error)
            return nil
        }
    }

    /// The snapshot as compact JSON; equal snapshots give equal text.
    public func encode() -> String {
        var writer = JSONWriter()
        writer.object { writer in
            writer.field("version", version)
            writer.field("trustDomain", trustDomain.name)
            writer.field("workload", workload.description)
            writer.field("trustBundle") { $0.array(trustBundle) { $0.string($1) } }
            writer.field("inbound", inbound.encode)
            writer.field("services") { $0.array(services) { $1.encode(&$0) } }
            writer.field("clusters") { $0.array(clusters) { $1.encode(&$0) } }
            writer.field("unknownDestinations", unknownDestinations.rawValue)
            writer.field("locality", locality.encode)
            writer.field("loadShedding", orNone: loadShedding) { $1.encode(&$0) }
        }
        return writer.text
    }
}

extension ConfigCursor {
    /// Reports what an initializer that checks cross-references found, each at its place below this
    /// value.
    public func report(_ errors: ConfigErrors) {
        for error in errors.errors {
            diagnostics.report(
                ConfigError(
                    file: diagnostics.file,
                    position: node.position(of: error.path),
                    path: ConfigPath(components: path.components + error.path.components),
                    problem: error.problem,
                    value: error.value,
                    allowed: error.allowed
                )
            )
        }
    }

    /// A trust domain.
    public func trustDomain() -> TrustDomain? {
        guard let text = string() else { return nil }
        guard let value = TrustDomain(text) else {
            report("not a trust domain", allowed: "1...255 of a-z, 0-9, '.', '_', '-'")
            return nil
        }
        return value
    }

    /// A workload's identity.
    public func spiffeID() -> SPIFFEID? {
        guard let text = string() else { return nil }
        guard let value = SPIFFEID(text) else {
            report("not a SPIFFE ID", allowed: "spiffe://trust-domain/path")
            return nil
        }
        return value
    }

    /// An object of IP literal and port; `address` and `port` are defaults, nil where required.
    public func socketAddress(
        defaultAddress: String? = nil,
        defaultPort: UInt16? = nil,
        ports: ClosedRange<Int>
    ) -> SocketAddress? {
        guard let object = object(fields: ["address", "port"]) else { return nil }
        let address = object.cursor("address").map { $0.ipLiteral() } ?? defaultAddress
        let port =
            object.cursor("port").map { $0.integer(in: ports).map { UInt16($0) } } ?? defaultPort
        if object.cursor("address") == nil, defaultAddress == nil {
            object.reportMissing("address")
        }
        if object.cursor("port") == nil, defaultPort == nil { object.reportMissing("port") }
        guard let address, let port else { return nil }
        return SocketAddress(address: address, port: port)
    }

    /// An IPv4 or IPv6 address.
    public func ipAddress() -> IPAddress? {
        ipLiteral().flatMap { IPAddress($0) }
    }

    /// An IPv4 or IPv6 literal.
    public func ipLiteral() -> String? {
        string(
            Syntax(allowed: "an IPv4 or IPv6 literal such as 127.0.0.1 or ::1") {
                IPLiteral.parse($0) != nil
            }
        )
    }
}

extension SocketAddress {
    func encode(_ writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("address", address)
            writer.field("port", port)
        }
    }
}

extension VirtualService {
    static func decode(_ cursor: ConfigCursor) -> VirtualService? {
        guard
            let object = cursor.object(fields: [
                "name", "hosts", "port", "protocol", "addresses", "routes",
            ])
        else { return nil }
        let name = object.required("name") { $0.string(.name) }
        let hosts = object.required("hosts") {
            $0.array(count: 1...Limits.hostsMax) { $0.string(.host) }
        }
        let port = object.optional("port", default: 80) { $0.integer(in: Limits.port) }
        let proto = object.optional("protocol", default: .auto) { $0.oneOf(ServiceProtocol.self) }
        let addresses = object.optional("addresses", default: []) { field in
            field.array(count: 0...Limits.addressesMax) { $0.ipAddress() }
        }
        let routes = object.required("routes") {
            $0.array(count: 1...Limits.routesMax, of: Route.decode)
        }
        guard let name, let hosts, let port, let proto, let addresses, let routes else {
            return nil
        }
        return VirtualService(
            name: name,
            hosts: hosts,
            port: UInt16(port),
            routes: routes,
            protocol: proto,
            addresses: addresses
        )
    }

    func encode(_ writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("name", name)
            writer.field("hosts") { $0.array(hosts) { $0.string($1) } }
            writer.field("port", port)
            writer.field("protocol", `protocol`.rawValue)
            writer.field("addresses") { $0.array(addresses) { $0.string($1.description) } }
            writer.field("routes") { $0.array(routes) { $1.encode(&$0) } }
        }
    }
}

extension JSONWriter {
    /// Writes a field that holds a duration, which must be one of whole milliseconds: every
    /// duration of the model is in `Limits.timeout` and comes from text or passes `init`.
    mutating func field(_ name: String, _ value: Duration) {
        guard let text = value.gatewayText else {
            preconditionFailure("\(name) is not a whole number of milliseconds")
        }
        field(name, text)
    }
}
