// Rate limits, priorities and load shedding as JSON.

extension RateLimit {
    /// Decodes a limit; `match` reads what stands in its `matches`.
    public static func decode(
        _ cursor: ConfigCursor,
        match: (ConfigCursor) -> RouteMatch? = RouteMatch.decode
    ) -> RateLimit? {
        guard
            let object = cursor.object(fields: [
                "name", "matches", "key", "requests", "period", "burst",
            ])
        else { return nil }
        let name = object.required("name") { $0.string(.name) }
        let matches = object.optional("matches", default: []) {
            $0.array(count: 0...Limits.policyMatchesMax, of: match)
        }
        let key = object.optional("key", default: .all, Key.decode)
        let requests = object.required("requests") { $0.integer(in: Limits.rate) }
        let period = object.optional("period", default: .seconds(1)) { $0.duration() }
        let burst = object.optional("burst", default: requests ?? 1) {
            $0.integer(in: Limits.rate)
        }
        guard let name, let matches, let key, let requests, let period, let burst else {
            return nil
        }
        return RateLimit(
            name: name,
            matches: matches,
            key: key,
            requests: requests,
            period: period,
            burst: burst
        )
    }

    func encode(_ writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("name", name)
            writer.field("matches") { $0.array(matches) { $1.encode(&$0) } }
            writer.field("key", key.encode)
            writer.field("requests", requests)
            writer.field("period", period)
            writer.field("burst", burst)
        }
    }
}

extension RateLimit.Key {
    /// `"all"`, `"caller"`, `"address"` or `{"header": name}`.
    static func decode(_ cursor: ConfigCursor) -> RateLimit.Key? {
        cursor.choice(
            words: ["all": .all, "caller": .caller, "address": .address],
            fields: ["header": { $0.string(.fieldName).map { .header($0) } }]
        )
    }

    func encode(_ writer: inout JSONWriter) {
        switch self {
        case .all: writer.string("all")
        case .caller: writer.string("caller")
        case .header(let name): writer.choice("header", name)
        case .address: writer.string("address")
        }
    }
}

extension PriorityRule {
    /// Decodes a rule; `match` reads what stands in its `matches`.
    public static func decode(
        _ cursor: ConfigCursor,
        match: (ConfigCursor) -> RouteMatch? = RouteMatch.decode
    ) -> PriorityRule? {
        guard let object = cursor.object(fields: ["matches", "priority"]) else { return nil }
        let matches = object.optional("matches", default: []) {
            $0.array(count: 0...Limits.policyMatchesMax, of: match)
        }
        let priority = object.required("priority") { $0.oneOf(Priority.self) }
        guard let matches, let priority else { return nil }
        return PriorityRule(matches: matches, priority: priority)
    }

    func encode(_ writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("matches") { $0.array(matches) { $1.encode(&$0) } }
            writer.field("priority", priority.rawValue)
        }
    }
}

extension LoadShedding {
    /// Decodes a policy over `base`.
    public static func decode(
        _ cursor: ConfigCursor,
        base: LoadShedding? = .default
    ) -> LoadShedding? {
        guard let object = cursor.object(fields: ["target", "interval"]) else { return nil }
        let base = base ?? .default
        let target = object.optional("target", default: base.target) { $0.duration() }
        let interval = object.optional(
            "interval",
            default: max(base.interval, target ?? base.interval)
        ) { $0.duration() }
        guard let target, let interval else { return nil }
        guard interval >= target else {
            cursor.reportOrder("interval", interval, isBelow: "target", target)
            return nil
        }
        return LoadShedding(target: target, interval: interval)
    }

    func encode(_ writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("target", target)
            writer.field("interval", interval)
        }
    }
}
