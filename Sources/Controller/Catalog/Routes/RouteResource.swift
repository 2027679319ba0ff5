// Gateway API's routes, attached to services (GAMMA): `HTTPRoute` and `GRPCRoute` differ in their
// matches and in what the standard gives them, not in what they compile to. What the standard has
// and this mesh does not is refused by name: a route half obeyed is worse than one refused.

public import MeshModel

/// Matches, filters and weighted backends of one or more services.
public struct RouteResource: Sendable {
    /// A rule: one of its matches must hold.
    public struct Rule: Sendable {
        /// Names it in metrics, and where a policy is for it alone; nil: its number does.
        public let name: String?
        /// At least one.
        public let matches: [Match]
        /// Empty only where a redirect answers.
        public let backends: [Backend]
        /// The exchange's limit: nil: the default; zero: none.
        public let requestTimeout: Duration?
        /// What it changes or answers; its mirrors stand in `mirrors`.
        public let filters: RouteFilters
        /// Who gets copies of its requests.
        public let mirrors: [Mirror]
        /// What keeps callers on a backend.
        public let stickiness: Stickiness?
        /// `retry` and `timeouts.backendRequest`, as written.
        let retry: RuleRetry
    }

    /// What a request must look like, and how well that tells it from others.
    public struct Match: Sendable {
        /// The condition.
        public let condition: RouteMatch
        let precedence: RoutePrecedence
    }

    /// A service and its share.
    public struct Backend: Sendable {
        /// The service, in the route's namespace.
        public let service: ServiceReference
        /// One of the service's subsets; nil: all its endpoints.
        public let subset: String?
        /// 0...1_000_000.
        public let weight: UInt32
    }

    /// A service that gets copies of requests.
    public struct Mirror: Sendable {
        /// The service, in the route's namespace.
        public let service: ServiceReference
        /// How many of them.
        public let share: Share
    }

    /// Namespace and name.
    public let key: ObjectKey
    /// Whether it is a `GRPCRoute`.
    public let isGRPC: Bool
    /// The services it routes for.
    public let parents: [ServiceReference]
    /// In the order written.
    public let rules: [Rule]
    let origin: Origin

    /// Whether requests to `port` of `service` take this route.
    func isAttached(to service: ServiceResource, _ port: ServicePort) -> Bool {
        key.namespace == service.key.namespace && canBeSpoken(on: port)
            && parents.contains {
                $0.name == service.key.name && ($0.port ?? port.port) == port.port
            }
    }

    /// Whether its requests are spoken there: gRPC needs HTTP/2.
    func canBeSpoken(on port: ServicePort) -> Bool {
        switch port.protocol {
        case .tcp: false
        case .http: !isGRPC
        case .auto, .http2, .grpc: true
        }
    }

    /// The name of a rule in metrics and explanations.
    func name(ofRule index: Int) -> String {
        "\(key.name)/\(rules[index].name ?? "\(index)")"
    }

    static func decode(
        _ cursor: ConfigCursor,
        _ key: ObjectKey,
        _ origin: Origin,
        isGRPC: Bool
    ) -> RouteResource? {
        guard
            let object = cursor.object(
                fields: ["parentRefs", "rules"],
                unsupported: ["hostnames", "useDefaultGateways"]
            )
        else { return nil }
        let parents = object.required("parentRefs") { field in
            field.array(count: 1...CatalogLimits.parentsMax) { reference in
                ServiceReference.decode(
                    reference,
                    key.namespace,
                    more: [],
                    unsupported: ["sectionName"],
                    isGroupRequired: true
                )?.service
            }
        }
        let rules = object.required("rules") {
            $0.array(count: 1...CatalogLimits.rulesMax) {
                Rule.decode($0, key.namespace, isGRPC: isGRPC)
            }
        }
        guard let parents, let rules else { return nil }
        let route = RouteResource(
            key: key,
            isGRPC: isGRPC,
            parents: parents,
            rules: rules,
            origin: origin
        )
        route.reportNames(object)
        return route
    }

    /// Rules that share a name share schedule and limits, which nobody means.
    private func reportNames(_ object: ObjectCursor) {
        guard let list = object.cursor("rules"), case .array(let elements) = list.node.value
        else { return }
        var seen: Set<String> = []
        for index in rules.indices where !seen.insert(name(ofRule: index)).inserted {
            ConfigCursor(
                elements[index]["name"] ?? elements[index],
                path: list.path.index(index).field("name"),
                diagnostics: list.diagnostics
            ).report(
                "another rule has this name or number already",
                value: rules[index].name,
                allowed: "each name once"
            )
        }
    }
}
