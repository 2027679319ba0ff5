// Faults as JSON.

extension Fault {
    /// Decodes a fault; `match` reads what stands in its `matches`.
    public static func decode(
        _ cursor: ConfigCursor,
        match: (ConfigCursor) -> RouteMatch? = RouteMatch.decode
    ) -> Fault? {
        guard let object = cursor.object(fields: ["matches", "delay", "abort"]) else { return nil }
        let matches = object.optional("matches", default: []) {
            $0.array(count: 0...Limits.policyMatchesMax, of: match)
        }
        let delay = object.switchable("delay", default: nil) { field in
            part(field, "duration") { $0.duration() }
        }
        let abort = object.switchable("abort", default: nil) { field in
            part(field, "kind", Abort.decode)
        }
        guard let matches, let delay, let abort else { return nil }
        return Fault(
            matches: matches,
            delay: delay.map { ($0.share, $0.value) },
            abort: abort.map { ($0.share, $0.value) }
        )
    }

    /// A share of the requests, all of them unless said otherwise, and what happens to them.
    private static func part<T>(
        _ cursor: ConfigCursor,
        _ field: String,
        _ decode: (ConfigCursor) -> T?
    ) -> (share: Share, value: T)? {
        guard let object = cursor.object(fields: ["share", field]) else { return nil }
        let share = object.optional("share", default: .all) { $0.share() }
        let value = object.required(field, decode)
        guard let share, let value else { return nil }
        return (share, value)
    }

    func encode(_ writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("matches") { $0.array(matches) { $1.encode(&$0) } }
            if let delay {
                writer.field("delay") { writer in
                    writer.object { writer in
                        writer.field("share", delay.share.description)
                        writer.field("duration", delay.duration)
                    }
                }
            }
            if let abort {
                writer.field("abort") { writer in
                    writer.object { writer in
                        writer.field("share", abort.share.description)
                        writer.field("kind", abort.kind.encode)
                    }
                }
            }
        }
    }
}

extension Fault.Abort {
    /// `{"status": 503}`, `{"grpc": 14}` or `"reset"`.
    static func decode(_ cursor: ConfigCursor) -> Fault.Abort? {
        cursor.choice(
            words: ["reset": .reset],
            fields: [
                "status": { $0.integer(in: Limits.retryStatus).map { .status($0) } },
                "grpc": { $0.grpcCode().map { .grpc($0) } },
            ]
        )
    }

    func encode(_ writer: inout JSONWriter) {
        switch self {
        case .status(let status): writer.object { $0.field("status", status) }
        case .grpc(let code): writer.object { $0.field("grpc", code) }
        case .reset: writer.string("reset")
        }
    }
}
