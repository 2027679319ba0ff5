// Fallbacks and stickiness as JSON.

extension Fallback {
    static func decode(_ cursor: ConfigCursor) -> Fallback? {
        guard let object = cursor.object(fields: ["cluster", "response"]) else { return nil }
        let cluster = object.ifPresent("cluster") { $0.string(.name) }
        let response = object.ifPresent("response", FallbackResponse.decode)
        if object.cursor("cluster") == nil, object.cursor("response") == nil {
            cursor.report("empty", allowed: "cluster, response or both")
        }
        return cluster == nil && response == nil
            ? nil : Fallback(cluster: cluster, response: response)
    }

    func encode(_ writer: inout JSONWriter) {
        writer.object { writer in
            if let cluster { writer.field("cluster", cluster) }
            if let response { writer.field("response", response.encode) }
        }
    }
}

extension FallbackResponse {
    /// Decodes a response; also read from manifests, which use the same fields.
    public static func decode(_ cursor: ConfigCursor) -> FallbackResponse? {
        guard let object = cursor.object(fields: ["status", "contentType", "body"]) else {
            return nil
        }
        let status = object.required("status") { $0.integer(in: Limits.fallbackStatus) }
        let contentType = object.optional("contentType", default: "application/json") {
            $0.string(.fieldValue)
        }
        let body = object.optional("body", default: "") { field in
            field.string(
                Syntax(allowed: "up to \(Limits.fallbackBodyBytesMax) bytes") {
                    $0.utf8.count <= Limits.fallbackBodyBytesMax
                }
            )
        }
        guard let status, let contentType, let body else { return nil }
        return FallbackResponse(status: status, contentType: contentType, body: body)
    }

    func encode(_ writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("status", status)
            writer.field("contentType", contentType)
            writer.field("body", body)
        }
    }
}

extension Stickiness {
    /// `{"header": name}` or `{"cookie": {"name": …, "lifetime": …}}`.
    static func decode(_ cursor: ConfigCursor) -> Stickiness? {
        cursor.choice(fields: [
            "header": { $0.string(.fieldName).map { .header($0) } },
            "cookie": { field in
                guard let object = field.object(fields: ["name", "lifetime"]) else { return nil }
                let lifetime = object.switchable("lifetime", default: nil) {
                    $0.duration(in: Limits.cookieLifetime)
                }
                guard let name = object.required("name", { $0.string(.cookieName) }), let lifetime
                else { return nil }
                return .cookie(name: name, lifetime: lifetime)
            },
        ])
    }

    func encode(_ writer: inout JSONWriter) {
        switch self {
        case .header(let name): writer.choice("header", name)
        case .cookie(let name, let lifetime):
            writer.object { writer in
                writer.field("cookie") { writer in
                    writer.object { writer in
                        writer.field("name", name)
                        if let lifetime { writer.field("lifetime", lifetime) }
                    }
                }
            }
        }
    }
}
