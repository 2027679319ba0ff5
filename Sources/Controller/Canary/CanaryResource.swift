// A Canary: which service, which two versions of it, and what the new one must do to be promoted.
//
// `Traffic/Canary` decides; here is what an operator writes.

import ControlProtocol
public import MeshModel
public import Traffic

/// A rollout of one service that runs itself.
public struct CanaryResource: Sendable {
    /// One of the two versions.
    public struct Backend: Sendable, Hashable {
        /// A service in the canary's namespace.
        public let name: String
        /// One of its ports; nil: the one that was called, or its only one.
        public let port: UInt16?
        /// One of its subsets; nil: all its endpoints.
        public let subset: String?
    }

    /// Namespace and name.
    public let key: ObjectKey
    /// The service that callers name; in the canary's namespace.
    public let target: String
    /// What serves now; the target itself unless given.
    public let baseline: Backend
    /// What is to serve.
    public let canary: Backend
    /// What it must do.
    public let plan: CanaryPlan
    /// Who is to stay with the version it met first; nil: every request by itself.
    public let stickiness: Stickiness?
    /// Requests with this field always go to the canary, and count nowhere; nil: none.
    public let forceHeader: RouteMatch.Header?
    /// Tells one text of the spec from another: a run belongs to one.
    let fingerprint: String
    let origin: Origin

    /// Key of the called service.
    var targetKey: ObjectKey { ObjectKey(namespace: key.namespace, name: target) }

    static func decode(
        _ cursor: ConfigCursor,
        _ key: ObjectKey,
        _ origin: Origin
    ) -> CanaryResource? {
        guard
            let object = cursor.object(fields: [
                "targetRef", "baseline", "canary", "steps", "interval", "minimumSample",
                "successRate", "successRateDrop", "latency", "badJudgements", "holdLimit", "sticky",
                "forceHeader", "revision",
            ])
        else { return nil }
        let target = object.required("targetRef") { decodeTarget($0, key.namespace) }
        let baseline = object.ifPresent("baseline") { decodeBackend($0, key.namespace) }
        let canary = object.required("canary") { decodeBackend($0, key.namespace) }
        let plan = decodePlan(object)
        let stickiness = object.ifPresent("sticky", decodeStickiness)
        let forceHeader = object.ifPresent("forceHeader", decodeHeader)
        // Means nothing but that the spec is another one: it starts the same rollout again.
        _ = object.ifPresent("revision") { $0.string(.name) }
        guard let target, let canary, let plan else { return nil }
        return CanaryResource(
            key: key,
            target: target,
            baseline: baseline ?? Backend(name: target, port: nil, subset: nil),
            canary: canary,
            plan: plan,
            stickiness: stickiness,
            forceHeader: forceHeader,
            fingerprint: Checksum(of: JSONWriter.text(cursor.node)).description,
            origin: origin
        )
    }

    private static func decodeTarget(_ cursor: ConfigCursor, _ namespace: String) -> String? {
        guard
            let (service, object) = ServiceReference.decode(cursor, namespace, more: [])
        else { return nil }
        object.cursor("port")?.report(
            "a canary divides all ports that carry requests",
            allowed: "without it"
        )
        return service.name
    }

    private static func decodeBackend(_ cursor: ConfigCursor, _ namespace: String) -> Backend? {
        guard
            let (service, object) = ServiceReference.decode(cursor, namespace, more: ["subset"])
        else { return nil }
        let subset = object.ifPresent("subset") { $0.string(.label) }
        return Backend(name: service.name, port: service.port, subset: subset)
    }

    private static func decodeStickiness(_ cursor: ConfigCursor) -> Stickiness? {
        guard let object = cursor.object(fields: ["cookie", "header"]) else { return nil }
        let cookie = object.ifPresent("cookie") { $0.string(.cookieName) }
        let header = object.ifPresent("header", decodeFieldName)
        switch (cookie, header) {
        case (let name?, nil): return .cookie(name: name, lifetime: nil)
        case (nil, let name?): return .header(name)
        default:
            if object.cursor("cookie") == nil, object.cursor("header") == nil {
                cursor.report("by what?", allowed: "cookie or header")
            } else if cookie != nil, header != nil {
                cursor.report("cookie and header exclude each other", allowed: "one of them")
            }
            return nil
        }
    }

    private static func decodeHeader(_ cursor: ConfigCursor) -> RouteMatch.Header? {
        guard let object = cursor.object(fields: ["name", "value"]) else { return nil }
        let name = object.required("name", decodeFieldName)
        let value = object.required("value") { $0.string(.fieldValue) }
        guard let name, let value else { return nil }
        return RouteMatch.Header(name: name, value: value)
    }

    private static func decodeFieldName(_ cursor: ConfigCursor) -> String? {
        let anyCase = Syntax(allowed: "a field name, RFC 9110 §5.1") {
            Syntax.fieldName.isValid($0.lowercased())
        }
        return cursor.string(anyCase)?.lowercased()
    }
}

// MARK: The plan

extension CanaryResource {
    private static func decodePlan(_ object: ObjectCursor) -> CanaryPlan? {
        let standard = CanaryPlan()
        let steps = object.optional("steps", default: standard.steps, decodeSteps)
        let interval = object.optional("interval", default: standard.interval) {
            $0.duration(in: CanaryLimits.interval)
        }
        let sample = object.optional("minimumSample", default: standard.minimumSample) {
            $0.integer(in: CanaryLimits.minimumSample)
        }
        let rate = object.ifPresent("successRate") { $0.share() }
        let drop = object.optional("successRateDrop", default: Share(percent: 1)) { $0.share() }
        let latency = object.optional("latency", default: standard.latency, decodeLatency)
        let bad = object.optional("badJudgements", default: standard.badJudgementsMax) {
            $0.integer(in: CanaryLimits.badJudgements)
        }
        let hold = object.ifPresent("holdLimit") { $0.duration(in: CanaryLimits.hold) }
        guard let steps, let interval, let sample, let drop, let latency, let bad else {
            return nil
        }
        return CanaryPlan(
            steps: steps,
            interval: interval,
            minimumSample: sample,
            successRateMin: rate?.fraction,
            successRateDropMax: drop.fraction,
            latency: latency,
            badJudgementsMax: bad,
            holdMax: hold
        )
    }

    private static func decodeSteps(_ cursor: ConfigCursor) -> [Share]? {
        guard let steps = cursor.array(count: CanaryLimits.steps, of: { $0.share() }) else {
            return nil
        }
        guard CanaryPlan.areSteps(steps) else {
            cursor.report(
                "not steps",
                allowed: "shares in 0.1%...99%, each above the one before"
            )
            return nil
        }
        return steps
    }

    /// `none`, or quantile and ratio.
    ///
    /// The outer optional tells an error, the inner one that latency is not compared.
    private static func decodeLatency(_ cursor: ConfigCursor) -> CanaryPlan.Latency?? {
        if case .string("none") = cursor.node.value { return .some(nil) }
        guard let object = cursor.object(fields: ["quantile", "ratio"]) else { return nil }
        let standard = CanaryPlan.Latency()
        let quantile = object.optional("quantile", default: standard.quantile) {
            $0.oneOf(CanaryPlan.Latency.Quantile.self)
        }
        let ratio = object.optional("ratio", default: standard.ratioMax, decodeRatio)
        guard let quantile, let ratio else { return nil }
        return .some(CanaryPlan.Latency(quantile: quantile, ratioMax: ratio))
    }

    private static func decodeRatio(_ cursor: ConfigCursor) -> Double? {
        let range = CanaryLimits.latencyRatio
        guard case .number(let text) = cursor.node.value, let ratio = Double(text),
            range.contains(ratio)
        else {
            cursor.report("not a ratio", allowed: "a number in 1...100, such as 1.5")
            return nil
        }
        return ratio
    }
}
