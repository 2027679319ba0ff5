// Gateway API `HTTPRoute`, attached to services (GAMMA). What the standard has and this mesh does
// not yet is refused by name: a route half obeyed is worse than one refused.

public import MeshModel

/// Matches and weighted backends of one or more services.
public struct HTTPRouteResource: Sendable {
    /// A rule: one of its matches must hold.
    public struct Rule: Sendable {
        /// At least one.
        public let matches: [RouteMatch]
        /// At least one.
        public let backends: [Backend]
        /// The exchange's limit: nil: the default; zero: none.
        public let requestTimeout: Duration?
    }

    /// A service and its share.
    public struct Backend: Sendable {
        /// The service, in the route's namespace.
        public let service: ServiceReference
        /// 0...1_000_000.
        public let weight: UInt32
    }

    /// A service by name, and by port when it was given.
    public struct ServiceReference: Sendable, Hashable {
        /// The service's name; its namespace is the route's.
        public let name: String
        /// One of the service's ports; nil: of a parent all that speak HTTP, of a backend its only
        /// one.
        public let port: UInt16?
    }

    /// Namespace and name.
    public let key: ObjectKey
    /// The services it routes for.
    public let parents: [ServiceReference]
    /// In the order written.
    public let rules: [Rule]
    let origin: Origin

    /// Whether requests to `port` of `service` take this route.
    func isAttached(to service: ServiceResource, _ port: ServicePort) -> Bool {
        key.namespace == service.key.namespace && port.protocol != .tcp
            && parents.contains {
                $0.name == service.key.name && ($0.port ?? port.port) == port.port
            }
    }

    static func decode(
        _ cursor: ConfigCursor,
        _ key: ObjectKey,
        _ origin: Origin
    ) -> HTTPRouteResource? {
        guard
            let object = cursor.object(
                fields: ["parentRefs", "rules"],
                unsupported: ["hostnames", "useDefaultGateways"]
            )
        else { return nil }
        let parents = object.required("parentRefs") { field in
            field.array(count: 1...CatalogLimits.parentsMax) { reference in
                decodeService(
                    reference,
                    key.namespace,
                    more: [],
                    unsupported: ["sectionName"],
                    isGroupRequired: true
                )?.service
            }
        }
        let rules = object.required("rules") {
            $0.array(count: 1...CatalogLimits.rulesMax) { decodeRule($0, key.namespace) }
        }
        guard let parents, let rules else { return nil }
        return HTTPRouteResource(key: key, parents: parents, rules: rules, origin: origin)
    }

    private static func decodeRule(_ cursor: ConfigCursor, _ namespace: String) -> Rule? {
        guard
            let object = cursor.object(
                fields: ["matches", "backendRefs", "timeouts"],
                unsupported: ["name", "filters", "retry", "sessionPersistence"]
            )
        else { return nil }
        let matches = object.optional("matches", default: [.everything]) {
            $0.array(count: 1...CatalogLimits.matchesMax, of: decodeMatch)
        }
        let backends = object.required("backendRefs") {
            $0.array(count: 1...CatalogLimits.backendsMax) { decodeBackend($0, namespace) }
        }
        let timeout = object.ifPresent("timeouts") { field in
            field.object(fields: ["request"], unsupported: ["backendRequest"])?
                .ifPresent("request") { $0.duration(in: CatalogLimits.optionalTimeout) }
        }
        if let backends, backends.allSatisfy({ $0.weight == 0 }) {
            object.cursor("backendRefs")?.report(
                "all weights are 0",
                allowed: "at least one weight above 0"
            )
        }
        guard let matches, let backends else { return nil }
        return Rule(matches: matches, backends: backends, requestTimeout: timeout)
    }

    private static func decodeBackend(_ cursor: ConfigCursor, _ namespace: String) -> Backend? {
        guard
            let (service, object) = decodeService(
                cursor,
                namespace,
                more: ["weight"],
                unsupported: ["filters"],
                isGroupRequired: false
            )
        else { return nil }
        guard
            let weight = object.optional("weight", default: 1, { $0.integer(in: Limits.weight) })
        else { return nil }
        return Backend(service: service, weight: UInt32(weight))
    }

    /// The fields that `parentRefs` and `backendRefs` share.
    ///
    /// A parent must name group and kind, since the standard's default is a Gateway; a backend's
    /// default is a Service, for which ours stands.
    private static func decodeService(
        _ cursor: ConfigCursor,
        _ namespace: String,
        more: [String],
        unsupported: [String],
        isGroupRequired: Bool
    ) -> (service: ServiceReference, object: ObjectCursor)? {
        guard
            let object = cursor.object(
                fields: ["group", "kind", "name", "namespace", "port"] + more,
                unsupported: unsupported
            )
        else { return nil }
        for (field, value) in [
            ("group", ResourceKind.meshGroup), ("kind", ResourceKind.service.rawValue),
        ] {
            let only = Syntax(allowed: value) { $0 == value }
            if isGroupRequired {
                _ = object.required(field) { $0.string(only) }
            } else {
                _ = object.ifPresent(field) { $0.string(only) }
            }
        }
        if let field = object.cursor("namespace"), let other = field.string(.label),
            other != namespace
        {
            field.report("another namespace is not supported yet", allowed: namespace)
        }
        let port = object.ifPresent("port") { $0.integer(in: Limits.port) }
        guard let name = object.required("name", { $0.string(.label) }) else { return nil }
        return (ServiceReference(name: name, port: port.map { UInt16($0) }), object)
    }

    private static func decodeMatch(_ cursor: ConfigCursor) -> RouteMatch? {
        guard
            let object = cursor.object(
                fields: ["path", "method", "headers"],
                unsupported: ["queryParams"]
            )
        else { return nil }
        let path = object.optional("path", default: .prefix("/"), decodePath)
        let method = object.ifPresent("method") { $0.oneOf(Method.self) }
        let headers = object.optional("headers", default: []) {
            $0.array(count: 0...Limits.headersMax, of: decodeHeader)
        }
        if let headers, Set(headers.map(\.name)).count != headers.count {
            object.cursor("headers")?.report(
                "a header stands twice",
                allowed: "each name once, in any case"
            )
        }
        guard let path, let headers else { return nil }
        // "/" holds for every path; without the condition the proxy need not look.
        return RouteMatch(
            path: path == .prefix("/") ? nil : path,
            method: method?.rawValue,
            headers: headers
        )
    }

    /// The methods of Gateway API `HTTPMethod`.
    private enum Method: String, CaseIterable {
        case get = "GET"
        case head = "HEAD"
        case post = "POST"
        case put = "PUT"
        case delete = "DELETE"
        case connect = "CONNECT"
        case options = "OPTIONS"
        case trace = "TRACE"
        case patch = "PATCH"
    }

    private enum PathType: String, CaseIterable {
        case exact = "Exact"
        case pathPrefix = "PathPrefix"
        case regularExpression = "RegularExpression"
    }

    private enum HeaderType: String, CaseIterable {
        case exact = "Exact"
        case regularExpression = "RegularExpression"
    }

    private static func decodePath(_ cursor: ConfigCursor) -> RouteMatch.Path? {
        guard let object = cursor.object(fields: ["type", "value"]) else { return nil }
        let type = object.optional("type", default: PathType.pathPrefix) {
            $0.oneOf(PathType.self)
        }
        if type == .regularExpression {
            object.cursor("type")?.report("not supported yet", allowed: "Exact, PathPrefix")
            return nil
        }
        let value = object.optional("value", default: "/") { $0.string(.path) }
        guard let type, let value else { return nil }
        if type == .exact { return .exact(value) }
        // Gateway API: a slash at the end of a prefix means nothing.
        return .prefix(value != "/" && value.hasSuffix("/") ? String(value.dropLast()) : value)
    }

    private static func decodeHeader(_ cursor: ConfigCursor) -> RouteMatch.Header? {
        guard let object = cursor.object(fields: ["type", "name", "value"]) else { return nil }
        let type = object.optional("type", default: HeaderType.exact) {
            $0.oneOf(HeaderType.self)
        }
        if type == .regularExpression {
            object.cursor("type")?.report("not supported yet", allowed: "Exact")
        }
        let anyCase = Syntax(allowed: "a field name, RFC 9110 §5.1") {
            Syntax.fieldName.isValid($0.lowercased())
        }
        let name = object.required("name") { $0.string(anyCase) }
        let value = object.required("value") { $0.string(.fieldValue) }
        guard type == .exact, let name, let value else { return nil }
        return RouteMatch.Header(name: name.lowercased(), value: value)
    }
}
