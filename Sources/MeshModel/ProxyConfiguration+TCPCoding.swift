// The parts of the proxy's file that lie below HTTP.

extension ProxyConfiguration.TCPListener {
    static func decode(_ cursor: ConfigCursor) -> ProxyConfiguration.TCPListener? {
        guard let object = cursor.object(fields: ["listen", "service", "port"]) else { return nil }
        let listen = object.required("listen") {
            $0.socketAddress(defaultAddress: "127.0.0.1", ports: Limits.listenPort)
        }
        let service = object.required("service") { $0.string(.host) }
        let port = object.required("port") { $0.integer(in: Limits.port) }
        guard let listen, let service, let port else { return nil }
        return .init(listen: listen, service: service, port: UInt16(port))
    }
}

extension ProxyConfiguration.Interception {
    static func decode(_ cursor: ConfigCursor) -> ProxyConfiguration.Interception? {
        guard let object = cursor.object(fields: ["outbound", "inbound"]) else { return nil }
        let outbound = object.optional("outbound", default: false) { $0.bool() }
        let inbound = object.optional("inbound", default: false) { $0.bool() }
        guard let outbound, let inbound else { return nil }
        guard outbound || inbound else {
            cursor.report("nothing is intercepted", allowed: "outbound, inbound or both true")
            return nil
        }
        return .init(outbound: outbound, inbound: inbound)
    }
}

extension DetectionSettings {
    static func decode(_ cursor: ConfigCursor) -> DetectionSettings? {
        guard let object = cursor.object(fields: ["timeout"]) else { return nil }
        return object.optional("timeout", default: Self.default.timeout) {
            $0.duration(in: Limits.detectionTimeout)
        }.map { DetectionSettings(timeout: $0) }
    }
}

extension DNSConfiguration {
    static func decode(_ cursor: ConfigCursor) -> DNSConfiguration? {
        guard let object = cursor.object(fields: ["listen", "upstreams"]) else { return nil }
        let errorsBefore = cursor.diagnostics.errorCount
        let listen = object.ifPresent("listen") {
            $0.socketAddress(
                defaultAddress: "127.0.0.1",
                defaultPort: 15_053,
                ports: Limits.listenPort
            )
        }
        let upstreams = object.optional("upstreams", default: []) { field in
            field.array(count: 0...Limits.nameServersMax) {
                $0.socketAddress(defaultPort: 53, ports: Limits.port)
            }
        }
        guard let upstreams, cursor.diagnostics.errorCount == errorsBefore else { return nil }
        return DNSConfiguration(listen: listen, upstreams: upstreams)
    }
}
