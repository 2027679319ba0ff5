// What Gateway API has no field for, attached by reference: how a service is balanced, judged and
// bounded, and how the requests to it, or of one route, are retried, limited and saved.

public import MeshModel

/// A policy of services or routes.
public struct TrafficPolicyResource: Sendable {
    /// A part of a service's endpoints.
    public struct Subset: Sendable, Equatable {
        /// What backends call it.
        public let name: String
        /// What an endpoint of it must have, at least one.
        public let labels: [String: String]
    }

    /// What is done when a backend has nobody.
    public struct Fallback: Sendable {
        /// A service to use instead, in the policy's namespace.
        public let service: ServiceReference?
        /// One of that service's subsets.
        public let subset: String?
        /// Answered when that has nobody either.
        public let response: FallbackResponse?
    }

    /// Namespace and name.
    public let key: ObjectKey
    /// What it is for.
    public let targets: [PolicyTarget]
    /// Parts of the targets' endpoints; only of services.
    public let subsets: [Subset]
    /// What is done when a backend has nobody; nil: what stands above.
    public let fallback: Fallback?
    /// Beside those that stand above.
    public let rateLimits: [RateLimit]
    /// The first that matches counts; only of services.
    public let priorities: [PriorityRule]
    /// Of all requests of a route; nil: what stands above.
    public let priority: Priority?
    /// The end of the version that a route serves; nil: none is known.
    public let lifecycle: APILifecycle?
    let retry: PolicySetting?
    let timeouts: PolicySetting?
    let loadBalancing: PolicySetting?
    let outlierDetection: PolicySetting?
    let healthCheck: PolicySetting?
    let limits: PolicySetting?
    let retryBudget: PolicySetting?
    let adaptiveConcurrency: PolicySetting?
    let origin: Origin

    /// Fields that are a service's: its endpoints are the same whichever route leads there.
    private static let serviceFields = [
        "loadBalancing", "outlierDetection", "healthCheck", "limits", "retryBudget",
        "adaptiveConcurrency", "priorities", "subsets",
    ]
    /// Fields that are a route's; a service says its time limits itself.
    private static let routeFields = ["timeouts", "priority", "lifecycle"]

    static func decode(
        _ cursor: ConfigCursor,
        _ key: ObjectKey,
        _ origin: Origin
    ) -> TrafficPolicyResource? {
        guard
            let object = cursor.object(
                fields: ["targetRefs", "retry", "fallback", "rateLimits"] + serviceFields
                    + routeFields
            )
        else { return nil }
        let targets = PolicyTarget.decodeAll(object, key.namespace)
        if let targets { reportMisplaced(object, targets) }
        let subsets = object.optional("subsets", default: []) {
            $0.array(count: 1...CatalogLimits.subsetsMax, of: decodeSubset)
        }
        let rateLimits = object.optional("rateLimits", default: []) { field in
            field.array(count: 0...Limits.rateLimitsMax) {
                RateLimit.decode($0, match: RouteMatch.decodeHTTP)
            }
        }
        let priorities = object.optional("priorities", default: []) { field in
            field.array(count: 0...Limits.prioritiesMax) {
                PriorityRule.decode($0, match: RouteMatch.decodeHTTP)
            }
        }
        let fallback = object.ifPresent("fallback") { decodeFallback($0, key.namespace) }
        checkSettings(object)
        if let rateLimits { reportNames(rateLimits.map(\.name), object, "rateLimits") }
        if let subsets { reportNames(subsets.map(\.name), object, "subsets") }
        guard let targets, let subsets, let rateLimits, let priorities else { return nil }
        let setting = { (name: String) in object.cursor(name).map { PolicySetting($0) } }
        return TrafficPolicyResource(
            key: key,
            targets: targets,
            subsets: subsets,
            fallback: fallback,
            rateLimits: rateLimits,
            priorities: priorities,
            priority: object.ifPresent("priority") { $0.oneOf(Priority.self) },
            lifecycle: object.ifPresent("lifecycle") {
                APILifecycle.decode($0, moment: { $0.moment() })
            },
            retry: setting("retry"),
            timeouts: setting("timeouts"),
            loadBalancing: setting("loadBalancing"),
            outlierDetection: setting("outlierDetection"),
            healthCheck: setting("healthCheck"),
            limits: setting("limits"),
            retryBudget: setting("retryBudget"),
            adaptiveConcurrency: setting("adaptiveConcurrency"),
            origin: origin
        )
    }

    /// Reports what is wrong with the parts that are laid over others, wherever they will be.
    private static func checkSettings(_ object: ObjectCursor) {
        let base = MeshDefaults.permissive
        _ = object.ifPresent("retry") { RetryPolicy.decode($0, base: base.retry) }
        _ = object.ifPresent("timeouts") { decodeTimeouts($0, base: .default) }
        _ = object.ifPresent("loadBalancing") {
            LoadBalancing.decode($0, base: base.loadBalancing)
        }
        _ = object.switchable("outlierDetection", default: nil) {
            OutlierDetection.decode($0, base: base.outlierDetection)
        }
        _ = object.switchable("healthCheck", default: nil) {
            HealthCheck.decode($0, base: base.healthCheck)
        }
        _ = object.ifPresent("limits") { ClusterLimits.decode($0, base: base.limits) }
        _ = object.switchable("retryBudget", default: nil) {
            RetryBudget.decode($0, base: base.retryBudget)
        }
        _ = object.switchable("adaptiveConcurrency", default: nil) {
            AdaptiveConcurrency.decode($0, base: base.adaptiveConcurrency)
        }
    }

    /// A route's time limits over `base`; opaque connections have no routes.
    static func decodeTimeouts(_ cursor: ConfigCursor, base: RouteTimeouts) -> RouteTimeouts? {
        guard let object = cursor.object(fields: ["request", "streamIdle"]) else { return nil }
        let request = object.optional("request", default: base.request ?? .zero) {
            $0.duration(in: CatalogLimits.optionalTimeout)
        }
        let streamIdle = object.optional("streamIdle", default: base.streamIdle) {
            $0.duration()
        }
        guard let request, let streamIdle else { return nil }
        return RouteTimeouts(
            request: request == .zero ? nil : request,
            streamIdle: streamIdle,
            tcpIdle: base.tcpIdle
        )
    }

    private static func reportMisplaced(_ object: ObjectCursor, _ targets: [PolicyTarget]) {
        let isForService = targets.contains { $0.kind == .service }
        let isForRoute = targets.contains { $0.kind != .service }
        if isForRoute {
            for field in serviceFields {
                object.cursor(field)?.report(
                    "a route has none of its own",
                    value: field,
                    allowed: "in a policy for services alone"
                )
            }
            reportMatches(object)
        }
        if isForService {
            for field in routeFields {
                object.cursor(field)?.report(
                    "a service has none as a whole",
                    value: field,
                    allowed: field == "timeouts"
                        ? "timeouts in the Service, or a policy for routes alone"
                        : field == "priority" ? "priorities" : "in a policy for routes alone"
                )
            }
        }
    }

    /// A limit of a route counts what the route matches.
    private static func reportMatches(_ object: ObjectCursor) {
        guard let list = object.cursor("rateLimits"), case .array(let limits) = list.node.value
        else { return }
        for (index, limit) in limits.enumerated() {
            guard let matches = limit["matches"] else { continue }
            ConfigCursor(
                matches,
                path: list.path.index(index).field("matches"),
                diagnostics: list.diagnostics
            ).report(
                "a route has its own matches",
                value: nil,
                allowed: "a rule of its own as target, or a service"
            )
        }
    }

    private static func reportNames(_ names: [String], _ object: ObjectCursor, _ field: String) {
        guard let list = object.cursor(field), case .array(let elements) = list.node.value
        else { return }
        var seen: Set<String> = []
        for (index, name) in names.enumerated() where !seen.insert(name).inserted {
            ConfigCursor(
                elements[index]["name"] ?? elements[index],
                path: list.path.index(index).field("name"),
                diagnostics: list.diagnostics
            ).report("the name stands twice in \(field)", value: name, allowed: "each name once")
        }
    }

    private static func decodeSubset(_ cursor: ConfigCursor) -> Subset? {
        guard let object = cursor.object(fields: ["name", "labels"]) else { return nil }
        let name = object.required("name") { $0.string(.label) }
        let labels = object.required("labels") { $0.labels(count: 1...CatalogLimits.labelsMax) }
        guard let name, let labels else { return nil }
        return Subset(name: name, labels: labels)
    }

    private static func decodeFallback(
        _ cursor: ConfigCursor,
        _ namespace: String
    ) -> Fallback? {
        guard let object = cursor.object(fields: ["backendRef", "response"]) else { return nil }
        if object.cursor("backendRef") == nil, object.cursor("response") == nil {
            cursor.report("empty", allowed: "backendRef, response or both")
            return nil
        }
        let backend = object.ifPresent("backendRef") { field -> Fallback? in
            guard
                let (service, object) = ServiceReference.decode(field, namespace, more: ["subset"])
            else { return nil }
            let subset = object.ifPresent("subset") { $0.string(.label) }
            return Fallback(service: service, subset: subset, response: nil)
        }
        return Fallback(
            service: backend?.service,
            subset: backend?.subset,
            response: object.ifPresent("response", FallbackResponse.decode)
        )
    }
}
