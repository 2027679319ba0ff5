// What a route changes or answers, as JSON.

extension RouteFilters {
    static func decode(_ cursor: ConfigCursor) -> RouteFilters? {
        guard
            let object = cursor.object(fields: [
                "requestHeaders", "responseHeaders", "rewrite", "redirect", "mirrors", "cors",
                "lifecycle",
            ])
        else { return nil }
        let mirrors = object.optional("mirrors", default: []) {
            $0.array(count: 0...Limits.mirrorsMax, of: RequestMirror.decode)
        }
        guard let mirrors else { return nil }
        return RouteFilters(
            requestHeaders: object.ifPresent("requestHeaders", HeaderModifier.decode),
            responseHeaders: object.ifPresent("responseHeaders", HeaderModifier.decode),
            rewrite: object.ifPresent("rewrite", URLRewrite.decode),
            redirect: object.ifPresent("redirect", RequestRedirect.decode),
            mirrors: mirrors,
            cors: object.ifPresent("cors") { CORSPolicy.decode($0) },
            lifecycle: object.ifPresent("lifecycle") { APILifecycle.decode($0) }
        )
    }

    func encode(_ writer: inout JSONWriter) {
        writer.object { writer in
            if let requestHeaders { writer.field("requestHeaders", requestHeaders.encode) }
            if let responseHeaders { writer.field("responseHeaders", responseHeaders.encode) }
            if let rewrite { writer.field("rewrite", rewrite.encode) }
            if let redirect { writer.field("redirect", redirect.encode) }
            if !mirrors.isEmpty {
                writer.field("mirrors") { $0.array(mirrors) { $1.encode(&$0) } }
            }
            if let cors { writer.field("cors", cors.encode) }
            if let lifecycle { writer.field("lifecycle", lifecycle.encode) }
        }
    }
}

extension HeaderModifier {
    static func decode(_ cursor: ConfigCursor) -> HeaderModifier? {
        guard let object = cursor.object(fields: ["set", "add", "remove"]) else { return nil }
        let count = 0...Limits.modifiedHeadersMax
        let set = object.optional("set", default: []) { $0.array(count: count, of: Field.decode) }
        let add = object.optional("add", default: []) { $0.array(count: count, of: Field.decode) }
        let remove = object.optional("remove", default: []) {
            $0.array(count: count) { $0.string(.modifiableField) }
        }
        guard let set, let add, let remove else { return nil }
        guard count.contains(set.count + add.count + remove.count) else {
            cursor.report(
                "too many fields",
                value: "\(set.count + add.count + remove.count)",
                allowed: "up to \(count.upperBound) in set, add and remove together"
            )
            return nil
        }
        return HeaderModifier(set: set, add: add, remove: remove)
    }

    func encode(_ writer: inout JSONWriter) {
        writer.object { writer in
            if !set.isEmpty { writer.field("set") { $0.array(set) { $1.encode(&$0) } } }
            if !add.isEmpty { writer.field("add") { $0.array(add) { $1.encode(&$0) } } }
            if !remove.isEmpty { writer.field("remove", strings: remove) }
        }
    }
}

extension HeaderModifier.Field {
    /// Decodes a field; also read from manifests, which use the same fields.
    public static func decode(_ cursor: ConfigCursor) -> HeaderModifier.Field? {
        guard let object = cursor.object(fields: ["name", "value"]) else { return nil }
        let name = object.required("name") { $0.string(.writtenFieldName) }
        let value = object.required("value") { $0.string(.fieldValueOrEmpty) }
        guard let name, let value else { return nil }
        return HeaderModifier.Field(name: name, value: value)
    }

    func encode(_ writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("name", name)
            writer.field("value", value)
        }
    }
}

extension PathModifier {
    static func decode(_ cursor: ConfigCursor) -> PathModifier? {
        cursor.choice(fields: [
            "full": { $0.string(.path).map { .full($0) } },
            "prefix": { $0.string(.pathPrefix).map { .prefix($0) } },
        ])
    }

    func encode(_ writer: inout JSONWriter) {
        switch self {
        case .full(let path): writer.choice("full", path)
        case .prefix(let path): writer.choice("prefix", path)
        }
    }
}

extension URLRewrite {
    static func decode(_ cursor: ConfigCursor) -> URLRewrite? {
        guard let object = cursor.object(fields: ["hostname", "path"]) else { return nil }
        return URLRewrite(
            hostname: object.ifPresent("hostname") { $0.string(.host) },
            path: object.ifPresent("path", PathModifier.decode)
        )
    }

    func encode(_ writer: inout JSONWriter) {
        writer.object { writer in
            if let hostname { writer.field("hostname", hostname) }
            if let path { writer.field("path", path.encode) }
        }
    }
}

extension RequestRedirect {
    static func decode(_ cursor: ConfigCursor) -> RequestRedirect? {
        guard
            let object = cursor.object(fields: ["scheme", "hostname", "path", "port", "status"])
        else { return nil }
        let status = object.optional("status", default: RequestRedirect().status) {
            $0.redirectStatus()
        }
        guard let status else { return nil }
        return RequestRedirect(
            scheme: object.ifPresent("scheme") {
                $0.choice(words: ["http": "http", "https": "https"])
            },
            hostname: object.ifPresent("hostname") { $0.string(.host) },
            path: object.ifPresent("path", PathModifier.decode),
            port: object.ifPresent("port") { $0.integer(in: Limits.port) }.map { UInt16($0) },
            status: status
        )
    }

    func encode(_ writer: inout JSONWriter) {
        writer.object { writer in
            if let scheme { writer.field("scheme", scheme) }
            if let hostname { writer.field("hostname", hostname) }
            if let path { writer.field("path", path.encode) }
            if let port { writer.field("port", port) }
            writer.field("status", status)
        }
    }
}

extension ConfigCursor {
    /// A status of a redirect.
    public func redirectStatus() -> Int? {
        guard let status = integer(in: 300...399) else { return nil }
        guard Limits.redirectStatuses.contains(status) else {
            report(
                "unknown value",
                allowed: "one of "
                    + Limits.redirectStatuses.map(String.init).joined(separator: ", ")
            )
            return nil
        }
        return status
    }
}

extension RequestMirror {
    static func decode(_ cursor: ConfigCursor) -> RequestMirror? {
        guard let object = cursor.object(fields: ["cluster", "share"]) else { return nil }
        let cluster = object.required("cluster") { $0.string(.name) }
        let share = object.optional("share", default: .all) { $0.share() }
        guard let cluster, let share else { return nil }
        return RequestMirror(cluster: cluster, share: share)
    }

    func encode(_ writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("cluster", cluster)
            writer.field("share", share.description)
        }
    }
}
