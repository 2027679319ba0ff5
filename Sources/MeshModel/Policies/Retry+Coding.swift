// Retries, hedges and their budget as JSON.
//
// What a document leaves out is taken from `base`: the default in a snapshot, what stands above in
// a manifest. So one decoder also lays a route's policy over its service's.

extension RetryPolicy {
    /// Decodes a policy over `base`.
    public static func decode(
        _ cursor: ConfigCursor,
        base: RetryPolicy = .default
    ) -> RetryPolicy? {
        guard
            let object = cursor.object(fields: [
                "attempts", "conditions", "statuses", "grpcCodes", "retriesNonIdempotent",
                "backoff", "perTryTimeout", "hedge", "retryAfterMax", "replayBytesMax",
            ])
        else { return nil }
        let attempts = object.optional("attempts", default: base.attempts) {
            $0.integer(in: Limits.retries)
        }
        let conditions = object.optional(
            "conditions",
            default: base.conditions,
            Conditions.decode
        )
        let statuses = object.optional("statuses", default: base.statuses) { field in
            field.array(count: 0...Limits.retryStatus.count) {
                $0.integer(in: Limits.retryStatus)
            }
        }
        let grpcCodes = object.optional("grpcCodes", default: base.grpcCodes) { field in
            field.array(count: 0...Limits.grpcFailure.count) {
                $0.grpcCode()
            }
        }
        let retriesNonIdempotent = object.optional(
            "retriesNonIdempotent",
            default: base.retriesNonIdempotent
        ) { $0.bool() }
        let backoff = object.optional("backoff", default: base.backoff) {
            Backoff.decode($0, base: base.backoff)
        }
        let perTryTimeout = object.switchable("perTryTimeout", default: base.perTryTimeout) {
            $0.duration()
        }
        let hedge = object.switchable("hedge", default: base.hedge) {
            Hedge.decode($0, base: base.hedge)
        }
        let retryAfterMax = object.optional("retryAfterMax", default: base.retryAfterMax) {
            $0.duration(in: .zero...Limits.timeout.upperBound)
        }
        let replayBytesMax = object.optional("replayBytesMax", default: base.replayBytesMax) {
            $0.integer(in: Limits.replayBytes)
        }
        guard let attempts, let conditions, let statuses, let grpcCodes, let retriesNonIdempotent,
            let backoff, let perTryTimeout, let hedge, let retryAfterMax, let replayBytesMax
        else { return nil }
        return RetryPolicy(
            attempts: attempts,
            conditions: conditions,
            statuses: statuses,
            grpcCodes: grpcCodes,
            retriesNonIdempotent: retriesNonIdempotent,
            backoff: backoff,
            perTryTimeout: perTryTimeout,
            hedge: hedge,
            retryAfterMax: retryAfterMax,
            replayBytesMax: replayBytesMax
        )
    }

    func encode(_ writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("attempts", attempts)
            writer.field("conditions", strings: conditions.names)
            writer.field("statuses") { $0.array(statuses) { $0.number($1) } }
            writer.field("grpcCodes") { $0.array(grpcCodes) { $0.number($1) } }
            writer.field("retriesNonIdempotent", retriesNonIdempotent)
            writer.field("backoff", backoff.encode)
            writer.field("perTryTimeout", orNone: perTryTimeout)
            writer.field("hedge", orNone: hedge) { $1.encode(&$0) }
            writer.field("retryAfterMax", retryAfterMax)
            writer.field("replayBytesMax", replayBytesMax)
        }
    }
}

extension RetryPolicy.Conditions {
    static func decode(_ cursor: ConfigCursor) -> RetryPolicy.Conditions? {
        let known = all.map(\.name)
        let conditions = cursor.array(count: 0...all.count) { element in
            element.string().flatMap { text -> RetryPolicy.Conditions? in
                if let found = all.first(where: { $0.name == text }) { return found.condition }
                element.report("unknown value", allowed: suggestion(for: text, among: known))
                return nil
            }
        }
        return conditions.map { RetryPolicy.Conditions($0) }
    }

    /// The names of those set.
    public var names: [String] {
        Self.all.filter { contains($0.condition) }.map(\.name)
    }

    private static let all: [(name: String, condition: RetryPolicy.Conditions)] = [
        ("reset", .reset), ("perTryTimeout", .perTryTimeout),
    ]
}

extension Backoff {
    /// Decodes a backoff over `base`.
    public static func decode(_ cursor: ConfigCursor, base: Backoff = .default) -> Backoff? {
        guard let object = cursor.object(fields: ["base", "max"]) else { return nil }
        let first = object.optional("base", default: base.base) {
            $0.duration(in: Limits.backoff)
        }
        // A longer base alone lifts the cap to itself.
        let last = object.optional("max", default: Swift.max(base.max, first ?? base.max)) {
            $0.duration(in: Limits.backoff)
        }
        guard let first, let last else { return nil }
        guard last >= first else {
            cursor.reportOrder("max", last, isBelow: "base", first)
            return nil
        }
        return Backoff(base: first, max: last)
    }

    func encode(_ writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("base", base)
            writer.field("max", max)
        }
    }
}

extension Hedge {
    /// Decodes a hedge over `base`; without one its delay must be said.
    public static func decode(_ cursor: ConfigCursor, base: Hedge? = nil) -> Hedge? {
        guard let object = cursor.object(fields: ["delay", "attempts"]) else { return nil }
        let delay =
            base.map { base in object.optional("delay", default: base.delay) { $0.duration() } }
            ?? object.required("delay") { $0.duration() }
        let attempts = object.optional("attempts", default: base?.attempts ?? 1) {
            $0.integer(in: Limits.hedges)
        }
        guard let delay, let attempts else { return nil }
        return Hedge(delay: delay, attempts: attempts)
    }

    func encode(_ writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("delay", delay)
            writer.field("attempts", attempts)
        }
    }
}

extension RetryBudget {
    /// Decodes a budget over `base`.
    public static func decode(
        _ cursor: ConfigCursor,
        base: RetryBudget? = .default
    ) -> RetryBudget? {
        guard let object = cursor.object(fields: ["share", "window", "perSecond"]) else {
            return nil
        }
        let base = base ?? .default
        let share = object.optional("share", default: base.share) { $0.share() }
        let window = object.optional("window", default: base.window) {
            $0.duration(in: Limits.budgetWindow)
        }
        let perSecond = object.optional("perSecond", default: base.perSecond) {
            $0.integer(in: Limits.budgetFloor)
        }
        guard let share, let window, let perSecond else { return nil }
        return RetryBudget(share: share, window: window, perSecond: perSecond)
    }

    func encode(_ writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("share", share.description)
            writer.field("window", window)
            writer.field("perSecond", perSecond)
        }
    }
}

extension ConfigCursor {
    /// Reports that one of two durations should not be below the other.
    func reportOrder(_ name: String, _ value: Duration, isBelow other: String, _ least: Duration) {
        report(
            "\(name) is below \(other)",
            value: value.gatewayText,
            allowed: "at least \(least.gatewayText ?? "\(least)")",
            at: node[name]?.position
        )
    }

    /// A gRPC code that stands for a failure, by number or name: 14 or `UNAVAILABLE`.
    public func grpcCode() -> Int? {
        guard case .string(let text) = node.value else { return integer(in: Limits.grpcFailure) }
        guard let index = Self.grpcCodeNames.firstIndex(of: text) else {
            report("unknown value", allowed: suggestion(for: text, among: Self.grpcCodeNames))
            return nil
        }
        return index + 1
    }

    /// From code 1 on; grpc/grpc:doc/statuscodes.md.
    private static let grpcCodeNames = [
        "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND",
        "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
        "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS",
        "UNAUTHENTICATED",
    ]
}
