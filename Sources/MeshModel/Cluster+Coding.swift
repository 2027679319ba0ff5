// Clusters as parts of a snapshot's JSON.

extension Cluster {
    static func decode(_ cursor: ConfigCursor) -> Cluster? {
        guard
            let object = cursor.object(fields: [
                "name", "security", "protocol", "endpoints", "connectTimeout", "idleTimeout",
                "limits", "balancing", "outlierDetection", "healthCheck", "retryBudget",
                "adaptiveConcurrency",
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
        let limits = object.optional("limits", default: .default) { ClusterLimits.decode($0) }
        let balancing = object.optional("balancing", default: .default) {
            LoadBalancing.decode($0)
        }
        let outlierDetection = object.switchable("outlierDetection", default: .default) {
            OutlierDetection.decode($0)
        }
        let healthCheck = object.switchable("healthCheck", default: nil) {
            HealthCheck.decode($0)
        }
        let retryBudget = object.switchable("retryBudget", default: .default) {
            RetryBudget.decode($0)
        }
        let adaptive = object.switchable("adaptiveConcurrency", default: nil) {
            AdaptiveConcurrency.decode($0)
        }
        guard let name, let security, let endpoints, let connectTimeout, let idleTimeout,
            let limits, let proto, let balancing, let outlierDetection, let healthCheck,
            let retryBudget, let adaptive
        else { return nil }
        return Cluster(
            name: name,
            security: security,
            endpoints: endpoints,
            connectTimeout: connectTimeout,
            idleTimeout: idleTimeout,
            limits: limits,
            protocol: proto,
            balancing: balancing,
            outlierDetection: outlierDetection,
            healthCheck: healthCheck,
            retryBudget: retryBudget,
            adaptiveConcurrency: adaptive
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
            writer.field("balancing", balancing.encode)
            writer.field("outlierDetection", orNone: outlierDetection) { $1.encode(&$0) }
            writer.field("healthCheck", orNone: healthCheck) { $1.encode(&$0) }
            writer.field("retryBudget", orNone: retryBudget) { $1.encode(&$0) }
            writer.field("adaptiveConcurrency", orNone: adaptiveConcurrency) { $1.encode(&$0) }
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
    /// `{"address": {"address": …, "port": …}}`, or `{"name": …, "port": …}` of a name; each with
    /// `weight` and `locality` beside it if wanted.
    static func decode(_ cursor: ConfigCursor) -> Endpoint? {
        guard
            let object = cursor.object(fields: ["address", "name", "port", "weight", "locality"])
        else { return nil }
        let target = decodeTarget(object)
        let weight = object.optional("weight", default: 1) {
            $0.integer(in: Limits.endpointWeight)
        }
        let locality = object.optional("locality", default: .unknown, Locality.decode)
        guard let target, let weight, let locality else { return nil }
        return Endpoint(target: target, weight: UInt32(weight), locality: locality)
    }

    private static func decodeTarget(_ object: ObjectCursor) -> EndpointTarget? {
        guard object.cursor("name") != nil else {
            object.cursor("port")?.report("only beside name", allowed: "the port inside address")
            return object.required("address") { $0.socketAddress(ports: Limits.port) }
                .map { .address($0) }
        }
        if object.cursor("address") != nil {
            object.cursor.report("ambiguous", allowed: "exactly one of address, name")
        }
        let name = object.required("name") { $0.string(.hostName) }
        let port = object.required("port") { $0.integer(in: Limits.port) }
        guard let name, let port else { return nil }
        return .name(name, port: UInt16(port))
    }

    /// Weight and locality are written where they say something: a mesh has many endpoints.
    func encode(_ writer: inout JSONWriter) {
        writer.object { writer in
            switch target {
            case .address(let address): writer.field("address", address.encode)
            case .name(let name, let port):
                writer.field("name", name)
                writer.field("port", port)
            }
            if weight != 1 { writer.field("weight", weight) }
            if locality != .unknown { writer.field("locality", locality.encode) }
        }
    }
}

extension ClusterLimits {
    /// Decodes bounds; also read from manifests, which use the same fields.
    public static func decode(
        _ cursor: ConfigCursor,
        base: ClusterLimits = .default
    ) -> ClusterLimits? {
        guard let object = cursor.object(fields: ["connections", "pendingRequests", "requests"])
        else { return nil }
        let connections = object.optional("connections", default: base.connections) {
            $0.integer(in: Limits.concurrency)
        }
        let pending = object.optional("pendingRequests", default: base.pendingRequests) {
            $0.integer(in: Limits.queue)
        }
        let requests = object.optional("requests", default: base.requests) {
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
