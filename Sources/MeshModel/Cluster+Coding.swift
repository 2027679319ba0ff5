// Clusters as parts of a snapshot's JSON.

extension Cluster {
    static func decode(_ cursor: ConfigCursor) -> Cluster? {
        guard
            let object = cursor.object(fields: [
                "name", "security", "protocol", "endpoints", "connectTimeout", "idleTimeout",
                "limits",
            ])
        else { return nil }
        let name = object.required("name") { $0.string(.name) }
        let security = object.required("security", ClusterSecurity.decode)
        let proto = object.optional("protocol", default: .auto) { $0.oneOf(ServiceProtocol.self) }
        let endpoints = object.required("endpoints") {
            $0.array(count: 0...Limits.endpointsMax, of: Endpoint.decode)
        }
        let connectTimeout = object.optional("connectTimeout", default: connectTimeoutDefault) {
            $0.duration()
        }
        let idleTimeout = object.optional("idleTimeout", default: idleTimeoutDefault) {
            $0.duration()
        }
        let limits = object.optional("limits", default: .default, ClusterLimits.decode)
        guard let name, let security, let endpoints, let connectTimeout, let idleTimeout,
            let limits, let proto
        else { return nil }
        return Cluster(
            name: name,
            security: security,
            endpoints: endpoints,
            connectTimeout: connectTimeout,
            idleTimeout: idleTimeout,
            limits: limits,
            protocol: proto
        )
    }

    func encode(_ writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("name", name)
            writer.field("security", security.encode)
            writer.field("protocol", `protocol`.rawValue)
            writer.field("endpoints") { $0.array(endpoints) { $1.encode(&$0) } }
            writer.field("connectTimeout", connectTimeout)
            writer.field("idleTimeout", idleTimeout)
            writer.field("limits", limits.encode)
        }
    }
}

extension ClusterSecurity {
    /// `"plaintext"` or `{"mutual": [SPIFFE ID, …]}`.
    static func decode(_ cursor: ConfigCursor) -> ClusterSecurity? {
        if case .string(let text) = cursor.node.value {
            guard text == "plaintext" else {
                cursor.report("unknown value", allowed: allowed)
                return nil
            }
            return .plaintext
        }
        guard case .object = cursor.node.value else {
            cursor.report("wrong type, \(cursor.node.kind)", allowed: allowed)
            return nil
        }
        return cursor.object(fields: ["mutual"])?.required("mutual") {
            $0.array(count: 1...Limits.identitiesMax) { $0.spiffeID() }
        }.map { .mutual($0) }
    }

    func encode(_ writer: inout JSONWriter) {
        switch self {
        case .plaintext: writer.string("plaintext")
        case .mutual(let identities):
            writer.object { writer in
                writer.field("mutual") { $0.array(identities) { $0.string($1.description) } }
            }
        }
    }

    private static let allowed = #""plaintext" or {"mutual": [SPIFFE IDs of the servers]}"#
}

extension Endpoint {
    /// `{"address": {"address": …, "port": …}}`, or `{"name": …, "port": …}` of a name.
    static func decode(_ cursor: ConfigCursor) -> Endpoint? {
        guard let object = cursor.object(fields: ["address", "name", "port"]) else { return nil }
        guard object.cursor("name") != nil else {
            object.cursor("port")?.report("only beside name", allowed: "the port inside address")
            return object.required("address") { $0.socketAddress(ports: Limits.port) }
                .map { Endpoint(address: $0) }
        }
        if object.cursor("address") != nil {
            cursor.report("ambiguous", allowed: "exactly one of address, name")
        }
        let name = object.required("name") { $0.string(.hostName) }
        let port = object.required("port") { $0.integer(in: Limits.port) }
        guard let name, let port else { return nil }
        return Endpoint(target: .name(name, port: UInt16(port)))
    }

    func encode(_ writer: inout JSONWriter) {
        writer.object { writer in
            switch target {
            case .address(let address): writer.field("address", address.encode)
            case .name(let name, let port):
                writer.field("name", name)
                writer.field("port", port)
            }
        }
    }
}

extension ClusterLimits {
    /// Decodes bounds; also read from manifests, which use the same fields.
    public static func decode(_ cursor: ConfigCursor) -> ClusterLimits? {
        guard let object = cursor.object(fields: ["connections", "pendingRequests", "requests"])
        else { return nil }
        let connections = object.optional("connections", default: Self.default.connections) {
            $0.integer(in: Limits.concurrency)
        }
        let pending = object.optional("pendingRequests", default: Self.default.pendingRequests) {
            $0.integer(in: Limits.queue)
        }
        let requests = object.optional("requests", default: Self.default.requests) {
            $0.integer(in: Limits.concurrency)
        }
        guard let connections, let pending, let requests else { return nil }
        return ClusterLimits(
            connections: connections,
            pendingRequests: pending,
            requests: requests
        )
    }

    func encode(_ writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("connections", connections)
            writer.field("pendingRequests", pendingRequests)
            writer.field("requests", requests)
        }
    }
}
