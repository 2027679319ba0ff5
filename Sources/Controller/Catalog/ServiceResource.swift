public import MeshModel

/// A named service: what callers say, and the endpoints that answer.
public struct ServiceResource: Sendable {
    /// Namespace and name.
    public let key: ObjectKey
    /// The port callers name.
    public let port: UInt16
    /// Name of the workload, in the same namespace, whose identity the endpoints present; nil with
    /// plaintext endpoints, or without traffic of its own.
    public let workload: String?
    /// Whether the endpoints lie outside the mesh.
    public let isPlaintext: Bool
    /// Where it is served.
    public let endpoints: [Endpoint]
    /// Bounds on connections and requests.
    public let limits: ClusterLimits
    let timeouts: TimeoutSettings
    let origin: Origin

    enum ApplicationProtocol: String, CaseIterable { case http }
    enum Security: String, CaseIterable { case mutual, plaintext }

    static func decode(
        _ cursor: ConfigCursor,
        _ key: ObjectKey,
        _ origin: Origin
    ) -> ServiceResource? {
        guard
            let object = cursor.object(fields: [
                "port", "protocol", "workload", "security", "endpoints", "limits", "timeouts",
            ])
        else { return nil }
        let port = object.optional("port", default: 80) { $0.integer(in: Limits.port) }
        let proto = object.optional("protocol", default: ApplicationProtocol.http) {
            $0.oneOf(ApplicationProtocol.self)
        }
        let workload = object.ifPresent("workload") { $0.string(.label) }
        let security = object.optional("security", default: Security.mutual) {
            $0.oneOf(Security.self)
        }
        let endpoints = object.optional("endpoints", default: []) { field in
            field.array(count: 0...Limits.endpointsMax) { $0.socketAddress(ports: Limits.port) }
        }
        let limits = object.optional("limits", default: .default, ClusterLimits.decode)
        let timeouts = object.optional("timeouts", default: TimeoutSettings.none) {
            TimeoutSettings.decode($0, suffix: "")
        }
        if security == .plaintext, object.cursor("workload") != nil {
            object.cursor("workload")?.report(
                "plaintext endpoints present no identity",
                allowed: "without it"
            )
        }
        if security == .mutual, object.cursor("workload") == nil, endpoints?.isEmpty == false {
            object.reportMissing("workload", because: "with endpoints that are not plaintext")
        }
        if let endpoints { reportDuplicates(endpoints, object) }
        guard let port, proto != nil, let security, let endpoints, let limits, let timeouts else {
            return nil
        }
        return ServiceResource(
            key: key,
            port: UInt16(port),
            workload: workload,
            isPlaintext: security == .plaintext,
            endpoints: endpoints.map { Endpoint(address: $0) },
            limits: limits,
            timeouts: timeouts,
            origin: origin
        )
    }

    private static func reportDuplicates(_ endpoints: [SocketAddress], _ object: ObjectCursor) {
        var seen: Set<SocketAddress> = []
        for (index, endpoint) in endpoints.enumerated() where !seen.insert(endpoint).inserted {
            guard let field = object.cursor("endpoints"),
                case .array(let elements) = field.node.value
            else { return }
            ConfigCursor(
                elements[index],
                path: field.path.index(index),
                diagnostics: field.diagnostics
            ).report(
                "the endpoint stands twice in this service",
                value: endpoint.description,
                allowed: nil
            )
        }
    }

    /// Whether requests can be sent to its own endpoints.
    var canServe: Bool { isPlaintext || workload != nil }

    /// Name of its cluster, and its own in metrics.
    var clusterName: String { key.description }

    /// The names callers may use; the short one only in the same namespace.
    func hosts(from namespace: String) -> [String] {
        let long = ["", ".svc", ".svc.cluster.local"].map { "\(key)\($0)" }
        return namespace == key.namespace ? [key.name] + long : long
    }
}
