// The filters of a rule: Gateway API's `HTTPRouteFilter` and `GRPCRouteFilter`.

import MeshModel

/// A rule's filters; mirrors name services, not clusters yet.
struct RuleFilters: Sendable {
    var filters = RouteFilters.none
    var mirrors: [RouteResource.Mirror] = []

    private enum Kind: String, CaseIterable {
        case requestHeaderModifier = "RequestHeaderModifier"
        case responseHeaderModifier = "ResponseHeaderModifier"
        case requestRedirect = "RequestRedirect"
        case urlRewrite = "URLRewrite"
        case requestMirror = "RequestMirror"
        case cors = "CORS"

        /// The field that holds its values.
        var field: String {
            switch self {
            case .requestHeaderModifier: "requestHeaderModifier"
            case .responseHeaderModifier: "responseHeaderModifier"
            case .requestRedirect: "requestRedirect"
            case .urlRewrite: "urlRewrite"
            case .requestMirror: "requestMirror"
            case .cors: "cors"
            }
        }

        /// Whether `GRPCRouteFilter` has it.
        var isForGRPC: Bool {
            switch self {
            case .requestHeaderModifier, .responseHeaderModifier, .requestMirror: true
            case .requestRedirect, .urlRewrite, .cors: false
            }
        }
    }

    static func decode(
        _ cursor: ConfigCursor,
        _ namespace: String,
        isGRPC: Bool
    ) -> RuleFilters? {
        var result = RuleFilters()
        var seen: Set<Kind> = []
        let kinds = cursor.array(count: 0...CatalogLimits.filtersMax) { element -> Kind? in
            guard let (kind, value) = decodeKind(element, isGRPC: isGRPC) else { return nil }
            if !seen.insert(kind).inserted, kind != .requestMirror {
                element.report(
                    "the filter stands twice in its rule",
                    value: kind.rawValue,
                    allowed: "once"
                )
                return nil
            }
            return result.add(kind, value, namespace) ? kind : nil
        }
        guard kinds != nil else { return nil }
        if seen.contains(.requestRedirect),
            !seen.isDisjoint(with: [.urlRewrite, .requestMirror])
        {
            cursor.report(
                "a redirect sends nothing to an endpoint",
                value: nil,
                allowed: "without URLRewrite and RequestMirror"
            )
            return nil
        }
        return result
    }

    private static func decodeKind(
        _ cursor: ConfigCursor,
        isGRPC: Bool
    ) -> (Kind, ConfigCursor)? {
        let kinds = Kind.allCases.filter { !isGRPC || $0.isForGRPC }
        guard
            let object = cursor.object(
                fields: ["type"] + kinds.map(\.field),
                unsupported: ["extensionRef", "externalAuth"]
            )
        else { return nil }
        let names = kinds.map(\.rawValue)
        let kind = object.required("type") { field -> Kind? in
            guard let text = field.string() else { return nil }
            if let kind = kinds.first(where: { $0.rawValue == text }) { return kind }
            field.report("unknown value", allowed: suggestion(for: text, among: names))
            return nil
        }
        guard let kind else { return nil }
        for other in kinds where other != kind {
            object.cursor(other.field)?.report(
                "not the field of type \(kind.rawValue)",
                allowed: kind.field
            )
        }
        guard let value = object.cursor(kind.field) else {
            object.reportMissing(kind.field, because: "for type \(kind.rawValue)")
            return nil
        }
        return (kind, value)
    }

    private mutating func add(_ kind: Kind, _ value: ConfigCursor, _ namespace: String) -> Bool {
        let errorsBefore = value.diagnostics.errorCount
        switch kind {
        case .requestHeaderModifier: filters.requestHeaders = Self.decodeModifier(value)
        case .responseHeaderModifier: filters.responseHeaders = Self.decodeModifier(value)
        case .requestRedirect: filters.redirect = Self.decodeRedirect(value)
        case .urlRewrite: filters.rewrite = Self.decodeRewrite(value)
        case .requestMirror:
            if mirrors.count == Limits.mirrorsMax {
                value.report(
                    "too many mirrors",
                    value: nil,
                    allowed: "up to \(Limits.mirrorsMax) in a rule"
                )
            }
            if let mirror = Self.decodeMirror(value, namespace) { mirrors.append(mirror) }
        case .cors: filters.cors = CORSPolicy.decode(value, maxAge: Self.decodeMaxAge)
        }
        return value.diagnostics.errorCount == errorsBefore
    }

    /// `HTTPHeaderFilter`; `remove` may be in any case.
    private static func decodeModifier(_ cursor: ConfigCursor) -> HeaderModifier? {
        guard let object = cursor.object(fields: ["set", "add", "remove"]) else { return nil }
        let count = 0...CatalogLimits.modifiedHeadersMax
        let fields = { (name: String) in
            object.optional(name, default: []) {
                $0.array(count: count, of: HeaderModifier.Field.decode)
            }
        }
        let set = fields("set")
        let add = fields("add")
        let remove = object.optional("remove", default: []) { field in
            field.array(count: count) { $0.string(.writtenFieldName)?.lowercased() }
        }
        guard let set, let add, let remove else { return nil }
        return HeaderModifier(set: set, add: add, remove: remove)
    }

    private enum PathType: String, CaseIterable {
        case full = "ReplaceFullPath"
        case prefix = "ReplacePrefixMatch"

        var field: String { self == .full ? "replaceFullPath" : "replacePrefixMatch" }
    }

    /// `HTTPPathModifier`.
    private static func decodePath(_ cursor: ConfigCursor) -> PathModifier? {
        guard
            let object = cursor.object(fields: ["type"] + PathType.allCases.map(\.field)),
            let type = object.required("type", { $0.oneOf(PathType.self) })
        else { return nil }
        for other in PathType.allCases where other != type {
            object.cursor(other.field)?.report(
                "not the field of type \(type.rawValue)",
                allowed: type.field
            )
        }
        return object.required(type.field) { field in
            switch type {
            case .full: return field.string(.path).map { .full($0) }
            case .prefix:
                // An empty prefix takes the matched one away.
                if field.node.value == .string("") { return .prefix("/") }
                return field.pathPrefix().map { .prefix($0) }
            }
        }
    }

    private static func decodeRewrite(_ cursor: ConfigCursor) -> URLRewrite? {
        guard let object = cursor.object(fields: ["hostname", "path"]) else { return nil }
        return URLRewrite(
            hostname: object.ifPresent("hostname") { $0.string(.host) },
            path: object.ifPresent("path", decodePath)
        )
    }

    private static func decodeRedirect(_ cursor: ConfigCursor) -> RequestRedirect? {
        guard
            let object = cursor.object(fields: ["scheme", "hostname", "path", "port", "statusCode"])
        else { return nil }
        let status = object.optional("statusCode", default: RequestRedirect().status) {
            $0.redirectStatus()
        }
        guard let status else { return nil }
        return RequestRedirect(
            scheme: object.ifPresent("scheme") {
                $0.choice(words: ["http": "http", "https": "https"])
            },
            hostname: object.ifPresent("hostname") { $0.string(.host) },
            path: object.ifPresent("path", decodePath),
            port: object.ifPresent("port") { $0.integer(in: Limits.port) }.map { UInt16($0) },
            status: status
        )
    }

    /// `HTTPRequestMirrorFilter`: at most one of `percent` and `fraction`.
    private static func decodeMirror(
        _ cursor: ConfigCursor,
        _ namespace: String
    ) -> RouteResource.Mirror? {
        guard let object = cursor.object(fields: ["backendRef", "percent", "fraction"]) else {
            return nil
        }
        let service = object.required("backendRef") {
            ServiceReference.decode($0, namespace, more: [])?.service
        }
        if object.cursor("percent") != nil, object.cursor("fraction") != nil {
            cursor.report("ambiguous", allowed: "at most one of percent, fraction")
            return nil
        }
        let percent = object.optional("percent", default: 100) { $0.integer(in: 0...100) }
        let share = object.optional("fraction", default: percent.map { Share(percent: $0) }) {
            decodeFraction($0)
        }
        guard let service, case let share?? = share else { return nil }
        return RouteResource.Mirror(service: service, share: share)
    }

    private static func decodeFraction(_ cursor: ConfigCursor) -> Share? {
        guard let object = cursor.object(fields: ["numerator", "denominator"]) else { return nil }
        let whole = 1...1_000_000
        let denominator = object.optional("denominator", default: 100) { $0.integer(in: whole) }
        let numerator = object.required("numerator") { $0.integer(in: 0...(denominator ?? 100)) }
        guard let numerator, let denominator else { return nil }
        // At most 10^12; rounded down, so that a share of less than all is never all.
        return Share(millionths: UInt32(numerator * 1_000_000 / denominator))
    }

    /// Gateway API counts seconds.
    private static func decodeMaxAge(_ cursor: ConfigCursor) -> Duration? {
        cursor.integer(in: 0...86_400).map { .seconds($0) }
    }

    /// The rule's matches, where its filters can work; nil when that was reported.
    ///
    /// A matched prefix is replaced only where one matched, Gateway API `HTTPPathModifier`. There
    /// `/` stands as a prefix instead of as no condition.
    func applicable(
        to matches: [RouteResource.Match],
        _ object: ObjectCursor
    ) -> [RouteResource.Match]? {
        let paths = [filters.rewrite?.path, filters.redirect?.path]
        let replacesPrefix = paths.contains { path in
            if case .prefix? = path { true } else { false }
        }
        guard replacesPrefix else { return matches }
        let changed = matches.compactMap { match -> RouteResource.Match? in
            switch match.condition.path {
            case .prefix?: return match
            case nil:
                let condition = RouteMatch(
                    path: .prefix("/"),
                    method: match.condition.method,
                    headers: match.condition.headers,
                    queryParameters: match.condition.queryParameters
                )
                return RouteResource.Match(condition: condition, precedence: match.precedence)
            case .exact?, .pattern?: return nil
            }
        }
        guard changed.count == matches.count else {
            object.cursor("filters")?.report(
                "there is no matched prefix to replace",
                value: "ReplacePrefixMatch",
                allowed: "ReplaceFullPath, or only matches of type PathPrefix"
            )
            return nil
        }
        return changed
    }
}
