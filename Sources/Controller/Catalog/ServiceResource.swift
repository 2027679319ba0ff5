import MeshModel

/// A named service: what callers say, and the endpoints that answer.
public struct ServiceResource: Sendable {
    /// Namespace and name.
    public let key: ObjectKey
    /// What callers name, and what is spoken there; at least one.
    public let ports: [ServicePort]
    /// Name of the workload, in the same namespace, whose identity the endpoints present; nil with
    /// plaintext endpoints, or without traffic of its own.
    public let workload: String?
    /// Whether the endpoints lie outside the mesh.
    public let isPlaintext: Bool
    /// Where it is served, on all ports.
    public let endpoints: [ServiceEndpoint]
    /// Bounds on connections and requests, over those of the mesh.
    let limits: PolicySetting?
    let timeouts: TimeoutSettings
    let origin: Origin

    enum Security: String, CaseIterable { case mutual, plaintext }

    static func decode(
        _ cursor: ConfigCursor,
        _ key: ObjectKey,
        _ origin: Origin
    ) -> ServiceResource? {
        guard
            let object = cursor.object(fields: [
                "port", "protocol", "targetPort", "ports", "workload", "security", "endpoints",
                "limits", "timeouts",
            ])
        else { return nil }
        let ports = ServicePort.decodeAll(object)
        let workload = object.ifPresent("workload") { $0.string(.label) }
        let security = object.optional("security", default: Security.mutual) {
            $0.oneOf(Security.self)
        }
        let endpoints = ServiceEndpoint.decodeAll(object, ports: ports)
        _ = object.ifPresent("limits") { ClusterLimits.decode($0) }
        let timeouts = object.optional("timeouts", default: TimeoutSettings.none) {
            TimeoutSettings.decode($0)
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
        if let ports, ports.allSatisfy({ $0.protocol == .tcp }) { reportRequestTimes(object) }
        guard let ports, let security, let endpoints, let timeouts else { return nil }
        return ServiceResource(
            key: key,
            ports: ports,
            workload: workload,
            isPlaintext: security == .plaintext,
            endpoints: endpoints,
            limits: object.cursor("limits").map { PolicySetting($0) },
            timeouts: timeouts,
            origin: origin
        )
    }

    /// Time limits of requests, written for a service that has none, were meant to do something.
    private static func reportRequestTimes(_ object: ObjectCursor) {
        guard let timeouts = object.cursor("timeouts") else { return }
        for field in ["request", "streamIdle"] {
            guard let node = timeouts.node[field] else { continue }
            ConfigCursor(
                node,
                path: timeouts.path.field(field),
                diagnostics: timeouts.diagnostics
            ).report("tcp has no requests to limit", allowed: "tcpIdle")
        }
    }

    /// Whether requests can be sent to its own endpoints.
    var canServe: Bool { isPlaintext || workload != nil }

    /// The port callers name; nil when the service has no such port.
    func port(_ number: UInt16) -> ServicePort? {
        ports.first { $0.port == number }
    }

    /// Name of a port's cluster, and of the port in metrics.
    ///
    /// The first port has the service's own name, so that adding a second one renames nothing.
    func name(of port: ServicePort) -> String {
        port.port == ports[0].port ? key.description : "\(key)/\(port.port)"
    }

    /// Name of the cluster of a subset, or of the whole port; no label holds a `_`.
    func name(of port: ServicePort, subset: String?) -> String {
        subset.map { "\(name(of: port))_\($0)" } ?? name(of: port)
    }

    /// Those of a subset, or all.
    func endpoints(of subset: TrafficPolicyResource.Subset?) -> [ServiceEndpoint] {
        guard let subset else { return endpoints }
        return endpoints.filter { endpoint in
            subset.labels.allSatisfy { endpoint.labels[$0.key] == $0.value }
        }
    }

    /// The names callers may use; the short one only in the same namespace.
    func hosts(from namespace: String) -> [String] {
        let long = ["", ".svc", ".svc.cluster.local"].map { "\(key)\($0)" }
        return namespace == key.namespace ? [key.name] + long : long
    }
}
