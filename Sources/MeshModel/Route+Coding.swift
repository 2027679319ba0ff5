// Routes and the local application's service as JSON.

extension Route {
    static func decode(_ cursor: ConfigCursor) -> Route? {
        guard
            let object = cursor.object(fields: [
                "name", "match", "backends", "timeouts", "retry", "filters", "fallback",
                "stickiness", "faults", "rateLimits", "priority",
            ])
        else { return nil }
        let errorsBefore = cursor.diagnostics.errorCount
        let name = object.required("name") { $0.string(.name) }
        let match = object.optional("match", default: .everything, RouteMatch.decode)
        let filters = object.optional("filters", default: .none, RouteFilters.decode)
        let timeouts = object.optional("timeouts", default: .default) { RouteTimeouts.decode($0) }
        let retry = object.optional("retry", default: .default) { RetryPolicy.decode($0) }
        let fallback = object.ifPresent("fallback", Fallback.decode)
        let stickiness = object.ifPresent("stickiness", Stickiness.decode)
        let faults = object.optional("faults", default: []) {
            $0.array(count: 0...Limits.faultsMax) { Fault.decode($0) }
        }
        let rateLimits = object.optional("rateLimits", default: []) {
            $0.array(count: 0...Limits.rateLimitsMax) { RateLimit.decode($0) }
        }
        let priority = object.optional("priority", default: .normal) { $0.oneOf(Priority.self) }
        let backends = decodeBackends(object, isRedirect: filters?.redirect != nil)
        guard let name, let match, let filters, let timeouts, let retry, let faults,
            let rateLimits, let priority, let backends,
            cursor.diagnostics.errorCount == errorsBefore
        else { return nil }
        return Route(
            name: name,
            match: match,
            backends: backends,
            timeouts: timeouts,
            retry: retry,
            filters: filters,
            fallback: fallback,
            stickiness: stickiness,
            faults: faults,
            rateLimits: rateLimits,
            priority: priority
        )
    }

    /// A redirect answers itself, every other route needs somebody who does.
    private static func decodeBackends(
        _ object: ObjectCursor,
        isRedirect: Bool
    ) -> [WeightedCluster]? {
        if isRedirect {
            return object.optional("backends", default: []) { field in
                guard case .array(let elements) = field.node.value, !elements.isEmpty else {
                    return field.array(count: 0...0, of: WeightedCluster.decode)
                }
                field.report("a redirect has no backends", allowed: "without them")
                return nil
            }
        }
        return object.required("backends") {
            $0.array(count: 1...Limits.backendsMax, of: WeightedCluster.decode)
        }
    }

    func encode(_ writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("name", name)
            writer.field("match", match.encode)
            writer.field("backends") { $0.array(backends) { $1.encode(&$0) } }
            writer.field("timeouts", timeouts.encode)
            writer.field("retry", retry.encode)
            if filters != .none { writer.field("filters", filters.encode) }
            if let fallback { writer.field("fallback", fallback.encode) }
            if let stickiness { writer.field("stickiness", stickiness.encode) }
            if !faults.isEmpty { writer.field("faults") { $0.array(faults) { $1.encode(&$0) } } }
            if !rateLimits.isEmpty {
                writer.field("rateLimits") { $0.array(rateLimits) { $1.encode(&$0) } }
            }
            writer.field("priority", priority.rawValue)
        }
    }
}

extension WeightedCluster {
    static func decode(_ cursor: ConfigCursor) -> WeightedCluster? {
        guard let object = cursor.object(fields: ["cluster", "weight"]) else { return nil }
        let cluster = object.required("cluster") { $0.string(.name) }
        let weight = object.optional("weight", default: 1) { $0.integer(in: Limits.weight) }
        guard let cluster, let weight else { return nil }
        return WeightedCluster(cluster: cluster, weight: UInt32(weight))
    }

    func encode(_ writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("cluster", cluster)
            writer.field("weight", weight)
        }
    }
}

extension RouteTimeouts {
    /// Decodes time limits over `base`.
    public static func decode(
        _ cursor: ConfigCursor,
        base: RouteTimeouts = .default
    ) -> RouteTimeouts? {
        guard let object = cursor.object(fields: ["request", "streamIdle", "tcpIdle"]) else {
            return nil
        }
        let request = object.switchable("request", default: base.request) { $0.duration() }
        let streamIdle = object.optional("streamIdle", default: base.streamIdle) {
            $0.duration()
        }
        let tcpIdle = object.optional("tcpIdle", default: base.tcpIdle) { $0.duration() }
        guard let request, let streamIdle, let tcpIdle else { return nil }
        return RouteTimeouts(request: request, streamIdle: streamIdle, tcpIdle: tcpIdle)
    }

    func encode(_ writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("request", orNone: request)
            writer.field("streamIdle", streamIdle)
            writer.field("tcpIdle", tcpIdle)
        }
    }
}

extension InboundService {
    static func decode(_ cursor: ConfigCursor) -> InboundService? {
        guard
            let object = cursor.object(fields: [
                "name", "timeouts", "limits", "protocol", "ports", "rateLimits", "priorities",
                "adaptiveConcurrency",
            ])
        else { return nil }
        let name = object.required("name") { $0.string(.name) }
        let timeouts = object.optional("timeouts", default: .default) { RouteTimeouts.decode($0) }
        let limits = object.optional("limits", default: .default) { ClusterLimits.decode($0) }
        let proto = object.optional("protocol", default: .auto) { $0.oneOf(ServiceProtocol.self) }
        let ports = object.optional("ports", default: []) {
            $0.array(count: 0...Limits.inboundPortsMax, of: InboundPort.decode)
        }
        let rateLimits = object.optional("rateLimits", default: []) {
            $0.array(count: 0...Limits.rateLimitsMax) { RateLimit.decode($0) }
        }
        let priorities = object.optional("priorities", default: []) {
            $0.array(count: 0...Limits.prioritiesMax) { PriorityRule.decode($0) }
        }
        let adaptive = object.switchable("adaptiveConcurrency", default: nil) {
            AdaptiveConcurrency.decode($0)
        }
        guard let name, let timeouts, let limits, let proto, let ports, let rateLimits,
            let priorities, let adaptive
        else { return nil }
        return InboundService(
            name: name,
            timeouts: timeouts,
            limits: limits,
            protocol: proto,
            ports: ports,
            rateLimits: rateLimits,
            priorities: priorities,
            adaptiveConcurrency: adaptive
        )
    }

    func encode(_ writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("name", name)
            writer.field("timeouts", timeouts.encode)
            writer.field("limits", limits.encode)
            writer.field("protocol", `protocol`.rawValue)
            writer.field("ports") { $0.array(ports) { $1.encode(&$0) } }
            writer.field("rateLimits") { $0.array(rateLimits) { $1.encode(&$0) } }
            writer.field("priorities") { $0.array(priorities) { $1.encode(&$0) } }
            writer.field("adaptiveConcurrency", orNone: adaptiveConcurrency) { $1.encode(&$0) }
        }
    }
}

extension InboundPort {
    static func decode(_ cursor: ConfigCursor) -> InboundPort? {
        guard let object = cursor.object(fields: ["port", "protocol"]) else { return nil }
        let port = object.required("port") { $0.integer(in: Limits.port) }
        let proto = object.optional("protocol", default: .auto) { $0.oneOf(ServiceProtocol.self) }
        guard let port, let proto else { return nil }
        return InboundPort(port: UInt16(port), protocol: proto)
    }

    func encode(_ writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("port", port)
            writer.field("protocol", `protocol`.rawValue)
        }
    }
}
