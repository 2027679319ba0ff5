// A rule of `HTTPRoute` or `GRPCRoute` but for its matches and filters.

import MeshModel

/// `HTTPRouteRetry` and `timeouts.backendRequest`.
struct RuleRetry: Sendable {
    var attempts: Int?
    var statuses: [Int]?
    var backoff: Duration?
    /// Zero: no limit.
    var perTryTimeout: Duration?
    /// Whether there is a `retry` at all.
    var isAsked = false

    /// Lays what it says over `base`.
    ///
    /// Who asks for retries asks for those of failed connections, too (GEP-1731), of which the
    /// default repeats only what is always safe.
    func over(_ base: RetryPolicy) -> RetryPolicy {
        var conditions = base.conditions
        if isAsked { conditions.formUnion([.reset, .perTryTimeout]) }
        let first = backoff ?? base.backoff.base
        return RetryPolicy(
            attempts: attempts ?? base.attempts,
            conditions: conditions,
            statuses: statuses ?? base.statuses,
            grpcCodes: base.grpcCodes,
            retriesNonIdempotent: base.retriesNonIdempotent,
            backoff: Backoff(base: first, max: max(first, base.backoff.max)),
            perTryTimeout: perTryTimeout.map { $0 == .zero ? nil : $0 } ?? base.perTryTimeout,
            hedge: base.hedge,
            retryAfterMax: base.retryAfterMax,
            replayBytesMax: base.replayBytesMax
        )
    }
}

extension RouteResource.Rule {
    static func decode(
        _ cursor: ConfigCursor,
        _ namespace: String,
        isGRPC: Bool
    ) -> RouteResource.Rule? {
        let fields = ["name", "matches", "filters", "backendRefs", "sessionPersistence"]
        guard
            let object = cursor.object(
                fields: isGRPC ? fields : fields + ["timeouts", "retry"]
            )
        else { return nil }
        let errorsBefore = cursor.diagnostics.errorCount
        let name = object.ifPresent("name") { $0.string(.label) }
        let matches = object.optional("matches", default: [.everything(isGRPC: isGRPC)]) {
            $0.array(
                count: 1...CatalogLimits.matchesMax,
                of: isGRPC ? RouteResource.Match.decodeGRPC : RouteResource.Match.decodeHTTP
            )
        }
        let filters = object.optional("filters", default: RuleFilters()) {
            RuleFilters.decode($0, namespace, isGRPC: isGRPC)
        }
        let backends = decodeBackends(object, namespace, filters)
        let stickiness = object.ifPresent("sessionPersistence", decodePersistence)
        var retry = RuleRetry()
        if !isGRPC, let field = object.cursor("retry") { decodeRetry(field, &retry) }
        let timeout = isGRPC ? nil : decodeTimeouts(object, &retry)
        guard let matches, let filters, let backends,
            cursor.diagnostics.errorCount == errorsBefore
        else { return nil }
        guard let matches = filters.applicable(to: matches, object) else { return nil }
        return RouteResource.Rule(
            name: name,
            matches: matches,
            backends: backends,
            requestTimeout: timeout,
            filters: filters.filters,
            mirrors: filters.mirrors,
            stickiness: stickiness,
            retry: retry
        )
    }

    /// A redirect answers itself, every other rule needs somebody who does.
    private static func decodeBackends(
        _ object: ObjectCursor,
        _ namespace: String,
        _ filters: RuleFilters?
    ) -> [RouteResource.Backend]? {
        if filters?.filters.redirect != nil {
            object.cursor("backendRefs")?.report(
                "a redirect has no backends",
                allowed: "without them"
            )
            return []
        }
        let backends = object.required("backendRefs") {
            $0.array(count: 1...CatalogLimits.backendsMax) { decodeBackend($0, namespace) }
        }
        if let backends, backends.allSatisfy({ $0.weight == 0 }) {
            object.cursor("backendRefs")?.report(
                "all weights are 0",
                allowed: "at least one weight above 0"
            )
        }
        return backends
    }

    private static func decodeBackend(
        _ cursor: ConfigCursor,
        _ namespace: String
    ) -> RouteResource.Backend? {
        guard
            let (service, object) = ServiceReference.decode(
                cursor,
                namespace,
                more: ["weight", "subset"],
                unsupported: ["filters"]
            )
        else { return nil }
        let subset = object.ifPresent("subset") { $0.string(.label) }
        guard
            let weight = object.optional("weight", default: 1, { $0.integer(in: Limits.weight) })
        else { return nil }
        return RouteResource.Backend(service: service, subset: subset, weight: UInt32(weight))
    }

    /// `HTTPRouteTimeouts`: one attempt cannot take longer than the exchange.
    private static func decodeTimeouts(
        _ object: ObjectCursor,
        _ retry: inout RuleRetry
    ) -> Duration? {
        guard let field = object.cursor("timeouts"),
            let timeouts = field.object(fields: ["request", "backendRequest"])
        else { return nil }
        let decode = { (field: ConfigCursor) in field.duration(in: CatalogLimits.optionalTimeout) }
        let request = timeouts.ifPresent("request", decode)
        let perTry = timeouts.ifPresent("backendRequest", decode)
        if let request, let perTry, request != .zero, perTry > request {
            timeouts.cursor("backendRequest")?.report(
                "longer than the request with all its attempts",
                allowed: "up to \(request.gatewayText ?? "request")"
            )
        }
        retry.perTryTimeout = perTry
        return request
    }

    /// `HTTPRouteRetry`.
    private static func decodeRetry(_ cursor: ConfigCursor, _ retry: inout RuleRetry) {
        guard let object = cursor.object(fields: ["codes", "attempts", "backoff"]) else { return }
        retry.isAsked = true
        retry.statuses = object.ifPresent("codes") { field in
            field.array(count: 0...Limits.retryStatus.count) { $0.integer(in: Limits.retryStatus) }
        }
        retry.attempts = object.ifPresent("attempts") { $0.integer(in: Limits.retries) }
        retry.backoff = object.ifPresent("backoff") { $0.duration(in: Limits.backoff) }
    }

    private enum PersistenceType: String, CaseIterable {
        case cookie = "Cookie"
        case header = "Header"
    }

    private enum LifetimeType: String, CaseIterable {
        case session = "Session"
        case permanent = "Permanent"
    }

    /// `SessionPersistence`.
    ///
    /// The backend is a hash of the value, so that no proxy need remember it: a header is the
    /// caller's own, which no proxy sets.
    private static func decodePersistence(_ cursor: ConfigCursor) -> Stickiness? {
        guard
            let object = cursor.object(
                fields: ["sessionName", "type", "absoluteTimeout", "cookieConfig"],
                unsupported: ["idleTimeout"]
            )
        else { return nil }
        let type = object.optional("type", default: PersistenceType.cookie) {
            $0.oneOf(PersistenceType.self)
        }
        let timeout = object.ifPresent("absoluteTimeout") { $0.duration(in: Limits.cookieLifetime) }
        let lifetime = object.optional("cookieConfig", default: LifetimeType.session) { field in
            field.object(fields: ["lifetimeType"])?
                .optional("lifetimeType", default: LifetimeType.session) {
                    $0.oneOf(LifetimeType.self)
                }
        }
        switch type {
        case .header?:
            for field in ["absoluteTimeout", "cookieConfig"] {
                object.cursor(field)?.report("a header does not end", allowed: "with type Cookie")
            }
            return object.required("sessionName") { $0.headerName() }.map { .header($0) }
        case .cookie?:
            let name = object.optional("sessionName", default: CatalogLimits.sessionCookie) {
                $0.string(.cookieName)
            }
            if lifetime == .permanent, object.cursor("absoluteTimeout") == nil {
                object.reportMissing("absoluteTimeout", because: "for lifetimeType Permanent")
            }
            guard let name, let lifetime else { return nil }
            return .cookie(name: name, lifetime: lifetime == .permanent ? timeout : nil)
        case nil: return nil
        }
    }
}
