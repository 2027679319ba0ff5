// What requests must look like, as JSON.

public import RegularExpressions

extension RouteMatch {
    /// Decodes conditions in the snapshot's form.
    public static func decode(_ cursor: ConfigCursor) -> RouteMatch? {
        guard
            let object = cursor.object(fields: [
                "path", "method", "headers", "queryParameters", "isGRPC",
            ])
        else { return nil }
        let path = object.ifPresent("path", Path.decode)
        let method = object.ifPresent("method") { $0.string(.method) }
        let headers = object.optional("headers", default: []) {
            $0.array(count: 0...Limits.headersMax, of: Header.decode)
        }
        let queryParameters = object.optional("queryParameters", default: []) {
            $0.array(count: 0...Limits.queryParametersMax, of: QueryParameter.decode)
        }
        let isGRPC = object.optional("isGRPC", default: false) { $0.bool() }
        guard let headers, let queryParameters, let isGRPC else { return nil }
        return RouteMatch(
            path: path,
            method: method,
            headers: headers,
            queryParameters: queryParameters,
            isGRPC: isGRPC
        )
    }

    func encode(_ writer: inout JSONWriter) {
        writer.object { writer in
            if let path { writer.field("path", path.encode) }
            if let method { writer.field("method", method) }
            if !headers.isEmpty {
                writer.field("headers") { $0.array(headers) { $1.encode(&$0) } }
            }
            if !queryParameters.isEmpty {
                writer.field("queryParameters") { $0.array(queryParameters) { $1.encode(&$0) } }
            }
            if isGRPC { writer.field("isGRPC", true) }
        }
    }
}

extension RouteMatch.Path {
    static func decode(_ cursor: ConfigCursor) -> RouteMatch.Path? {
        cursor.choice(fields: [
            "exact": { $0.string(.path).map { .exact($0) } },
            "prefix": { $0.string(.pathPrefix).map { .prefix($0) } },
            "pattern": { $0.pattern().map { .pattern($0) } },
        ])
    }

    func encode(_ writer: inout JSONWriter) {
        switch self {
        case .exact(let path): writer.choice("exact", path)
        case .prefix(let path): writer.choice("prefix", path)
        case .pattern(let pattern): writer.choice("pattern", pattern.text)
        }
    }
}

extension RouteMatch.Value {
    /// What `value` or `pattern` says, of which there must be one.
    fileprivate static func decode(_ object: ObjectCursor, _ syntax: Syntax) -> RouteMatch.Value? {
        guard let pattern = object.cursor("pattern") else {
            return object.required("value") { $0.string(syntax) }.map { .exact($0) }
        }
        guard object.cursor("value") == nil else {
            object.cursor.report("ambiguous", allowed: "exactly one of value, pattern")
            return nil
        }
        return pattern.pattern().map { .pattern($0) }
    }

    fileprivate func encode(_ writer: inout JSONWriter) {
        switch self {
        case .exact(let text): writer.field("value", text)
        case .pattern(let pattern): writer.field("pattern", pattern.text)
        }
    }
}

extension RouteMatch.Header {
    static func decode(_ cursor: ConfigCursor) -> RouteMatch.Header? {
        guard let object = cursor.object(fields: ["name", "value", "pattern"]) else { return nil }
        let name = object.required("name") { $0.string(.fieldName) }
        let value = RouteMatch.Value.decode(object, .fieldValue)
        guard let name, let value else { return nil }
        return RouteMatch.Header(name: name, value: value)
    }

    func encode(_ writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("name", name)
            value.encode(&writer)
        }
    }
}

extension RouteMatch.QueryParameter {
    static func decode(_ cursor: ConfigCursor) -> RouteMatch.QueryParameter? {
        guard let object = cursor.object(fields: ["name", "value", "pattern"]) else { return nil }
        let name = object.required("name") { $0.string(.queryName) }
        let value = RouteMatch.Value.decode(object, .queryValue)
        guard let name, let value else { return nil }
        return RouteMatch.QueryParameter(name: name, value: value)
    }

    func encode(_ writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("name", name)
            value.encode(&writer)
        }
    }
}

extension ConfigCursor {
    /// A regular expression in RE2's syntax.
    public func pattern() -> Pattern? {
        guard let text = string() else { return nil }
        do {
            return try Pattern(text)
        } catch {
            report("\(error.problem) at byte \(error.position)", allowed: error.allowed)
            return nil
        }
    }
}
