// The proxy's file: ranges while it is decoded, relations between its parts in
// `ProxyConfiguration.init`, all errors at once.

extension ProxyConfiguration {
    /// Decodes and validates a configuration file; throws everything wrong with it.
    public static func decode(
        json: [UInt8],
        file: String? = nil
    ) throws(ConfigErrors) -> ProxyConfiguration {
        let node = try ConfigNode.parse(json: json, file: file)
        let diagnostics = ConfigDiagnostics(file: file)
        let configuration = decode(ConfigCursor(node, diagnostics: diagnostics))
        return try diagnostics.result(configuration)
    }

    /// Decodes and validates a configuration file; throws everything wrong with it.
    public static func decode(
        json: String,
        file: String? = nil
    ) throws(ConfigErrors) -> ProxyConfiguration {
        try decode(json: Array(json.utf8), file: file)
    }

    private static func decode(_ cursor: ConfigCursor) -> ProxyConfiguration? {
        guard
            let object = cursor.object(fields: [
                "workers", "admin", "outbound", "inbound", "identity", "controller",
                "dataDirectory", "accessLog", "drain", "limits", "http2", "detection",
                "tcpListeners", "interception", "dns", "mesh",
            ])
        else { return nil }
        let errorsBefore = cursor.diagnostics.errorCount
        let workers = object.optional("workers", default: 1) { $0.integer(in: Limits.workers) }
        let admin = object.optional("admin", default: .loopback(port: 15_000)) {
            $0.socketAddress(
                defaultAddress: "127.0.0.1",
                defaultPort: 15_000,
                ports: Limits.listenPort
            )
        }
        let outbound = object.ifPresent("outbound") {
            $0.socketAddress(
                defaultAddress: "127.0.0.1",
                defaultPort: 15_001,
                ports: Limits.listenPort
            )
        }
        let inbound = object.ifPresent("inbound", Inbound.decode)
        let identity = object.ifPresent("identity", IdentityFiles.decode)
        let controller = object.ifPresent("controller", ControllerEndpoint.decode)
        let dataDirectory = object.ifPresent("dataDirectory") { $0.string(.filePath) }
        let accessLog = object.optional("accessLog", default: .errors) {
            $0.oneOf(AccessLogLevel.self)
        }
        let drain = object.optional("drain", default: .default, DrainSettings.decode)
        let limits = object.optional("limits", default: .default, RequestLimits.decode)
        let http2 = object.optional("http2", default: .default, HTTP2Limits.decode)
        let detection = object.optional("detection", default: .default, DetectionSettings.decode)
        let tcpListeners = object.optional("tcpListeners", default: []) {
            $0.array(count: 0...Limits.tcpListenersMax, of: TCPListener.decode)
        }
        let interception = object.ifPresent("interception", Interception.decode)
        let dns = object.optional("dns", default: .default, DNSConfiguration.decode)
        let mesh = object.ifPresent("mesh") { MeshSnapshot.decode($0, from: .staticFile) }
        // An optional part that did not decode would look absent to the checks between parts.
        guard cursor.diagnostics.errorCount == errorsBefore,
            let workers, let admin, let accessLog, let drain, let limits, let http2,
            let detection, let tcpListeners, let dns
        else { return nil }
        do {
            return try ProxyConfiguration(
                workers: workers,
                admin: admin,
                outbound: outbound,
                inbound: inbound,
                identity: identity,
                controller: controller,
                dataDirectory: dataDirectory,
                accessLog: accessLog,
                drain: drain,
                limits: limits,
                http2: http2,
                detection: detection,
                tcpListeners: tcpListeners,
                interception: interception,
                dns: dns,
                mesh: mesh
            )
        } catch {
            cursor.report(error)
            return nil
        }
    }
}

extension ProxyConfiguration.Inbound {
    static func decode(_ cursor: ConfigCursor) -> ProxyConfiguration.Inbound? {
        guard let object = cursor.object(fields: ["listen", "application", "plaintext"]) else {
            return nil
        }
        let listen = object.required("listen") {
            $0.socketAddress(defaultPort: 15_006, ports: Limits.listenPort)
        }
        let application = object.required("application") {
            $0.socketAddress(defaultAddress: "127.0.0.1", ports: Limits.port)
        }
        let plaintext = object.optional("plaintext", default: false) { $0.bool() }
        guard let listen, let application, let plaintext else { return nil }
        return .init(listen: listen, application: application, plaintext: plaintext)
    }
}

extension ProxyConfiguration.IdentityFiles {
    static func decode(_ cursor: ConfigCursor) -> ProxyConfiguration.IdentityFiles? {
        guard
            let object = cursor.object(fields: ["certificateFile", "keyFile", "trustBundleFile"])
        else { return nil }
        let certificate = object.required("certificateFile") { $0.string(.filePath) }
        let key = object.required("keyFile") { $0.string(.filePath) }
        let trustBundle = object.required("trustBundleFile") { $0.string(.filePath) }
        guard let certificate, let key, let trustBundle else { return nil }
        return .init(certificateFile: certificate, keyFile: key, trustBundleFile: trustBundle)
    }
}

extension ProxyConfiguration.ControllerEndpoint {
    static func decode(_ cursor: ConfigCursor) -> ProxyConfiguration.ControllerEndpoint? {
        guard let object = cursor.object(fields: ["address", "joinTokenFile"]) else { return nil }
        let address = object.required("address") {
            $0.socketAddress(defaultPort: 15_010, ports: Limits.port)
        }
        let joinTokenFile = object.ifPresent("joinTokenFile") { $0.string(.filePath) }
        guard let address else { return nil }
        return .init(address: address, joinTokenFile: joinTokenFile)
    }
}

extension DrainSettings {
    static func decode(_ cursor: ConfigCursor) -> DrainSettings? {
        guard let object = cursor.object(fields: ["gracePeriod", "propagation"]) else { return nil }
        let gracePeriod = object.optional("gracePeriod", default: Self.default.gracePeriod) {
            $0.duration(in: Limits.drain)
        }
        let propagation = object.optional("propagation", default: Self.default.propagation) {
            $0.duration(in: Limits.drain)
        }
        guard let gracePeriod, let propagation else { return nil }
        return DrainSettings(gracePeriod: gracePeriod, propagation: propagation)
    }
}

extension RequestLimits {
    static func decode(_ cursor: ConfigCursor) -> RequestLimits? {
        guard
            let object = cursor.object(fields: [
                "requestLineBytesMax", "fieldSectionBytesMax", "fieldCountMax", "headTimeout",
                "connectionIdle", "connectionsMax",
            ])
        else { return nil }
        func integer(_ name: String, _ value: Int, _ range: ClosedRange<Int>) -> Int? {
            object.optional(name, default: value) { $0.integer(in: range) }
        }
        let standard = Self.default
        let line = integer(
            "requestLineBytesMax",
            standard.requestLineBytesMax,
            Limits.requestLineBytes
        )
        let fields = integer(
            "fieldSectionBytesMax",
            standard.fieldSectionBytesMax,
            Limits.fieldSectionBytes
        )
        let count = integer("fieldCountMax", standard.fieldCountMax, Limits.fieldCount)
        let connections = integer("connectionsMax", standard.connectionsMax, Limits.concurrency)
        let head = object.optional("headTimeout", default: standard.headTimeout) { $0.duration() }
        let idle = object.optional("connectionIdle", default: standard.connectionIdle) {
            $0.duration()
        }
        guard let line, let fields, let count, let head, let idle, let connections else {
            return nil
        }
        return RequestLimits(
            requestLineBytesMax: line,
            fieldSectionBytesMax: fields,
            fieldCountMax: count,
            headTimeout: head,
            connectionIdle: idle,
            connectionsMax: connections
        )
    }
}
