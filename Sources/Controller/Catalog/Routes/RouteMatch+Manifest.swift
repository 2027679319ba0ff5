// Gateway API's `HTTPRouteMatch` and `GRPCRouteMatch`.

import MeshModel
import RegularExpressions

extension RouteResource.Match {
    /// Every request.
    static func everything(isGRPC: Bool) -> RouteResource.Match {
        isGRPC
            ? RouteResource.Match(
                condition: RouteMatch(isGRPC: true),
                precedence: RoutePrecedence(service: nil, method: nil, headerCount: 0)
            )
            : RouteResource.Match(
                condition: .everything,
                precedence: RoutePrecedence(http: .everything)
            )
    }

    /// Decodes `HTTPRouteMatch`.
    static func decodeHTTP(_ cursor: ConfigCursor) -> RouteResource.Match? {
        RouteMatch.decodeHTTP(cursor).map {
            RouteResource.Match(condition: $0, precedence: RoutePrecedence(http: $0))
        }
    }

    /// Decodes `GRPCRouteMatch` into the path that gRPC writes as `/service/method`.
    static func decodeGRPC(_ cursor: ConfigCursor) -> RouteResource.Match? {
        guard let object = cursor.object(fields: ["method", "headers"]) else { return nil }
        let call = object.optional("method", default: GRPCCall()) { GRPCCall.decode($0) }
        let headers = RouteMatch.decodeHeaders(object)
        guard let call, let headers, let path = call.path(object.cursor) else { return nil }
        return RouteResource.Match(
            condition: RouteMatch(path: path, headers: headers, isGRPC: true),
            precedence: RoutePrecedence(
                service: call.service,
                method: call.method,
                headerCount: headers.count
            )
        )
    }
}

/// `GRPCMethodMatch`.
private struct GRPCCall {
    var service: String?
    var method: String?
    var isPattern = false

    enum MatchType: String, CaseIterable {
        case exact = "Exact"
        case regularExpression = "RegularExpression"
    }

    static func decode(_ cursor: ConfigCursor) -> GRPCCall? {
        guard let object = cursor.object(fields: ["type", "service", "method"]) else {
            return nil
        }
        let type = object.optional("type", default: MatchType.exact) { $0.oneOf(MatchType.self) }
        guard let type else { return nil }
        var names: [String?] = []
        for field in ["service", "method"] {
            guard let value = object.cursor(field) else {
                names.append(nil)
                continue
            }
            // A pattern is compiled alone first, so that none can reach out of its group.
            let name = type == .exact ? value.string(.grpcName) : value.pattern()?.text
            guard let name else { return nil }
            names.append(name)
        }
        if names.allSatisfy({ $0 == nil }) {
            cursor.report("empty", allowed: "service, method or both")
            return nil
        }
        return GRPCCall(
            service: names[0],
            method: names[1],
            isPattern: type == .regularExpression
        )
    }

    /// The condition on the path; the inner nil matches every one, the outer one was reported.
    func path(_ cursor: ConfigCursor) -> RouteMatch.Path?? {
        switch (service, method) {
        case (nil, nil): return .some(nil)
        case (let service?, let method?) where !isPattern:
            return .some(.exact("/\(service)/\(method)"))
        case (let service?, nil) where !isPattern: return .some(.prefix("/\(service)"))
        default: break
        }
        let parts = [service, method].map { part in part.map { "(?:\($0))" } ?? "[^/]+" }
        do {
            return .some(.pattern(try Pattern("/" + parts.joined(separator: "/"))))
        } catch {
            cursor.report("service and method are \(error.problem)", allowed: error.allowed)
            return nil
        }
    }
}

extension RouteMatch {
    /// Decodes `HTTPRouteMatch`; also the `matches` of this mesh's own policies.
    static func decodeHTTP(_ cursor: ConfigCursor) -> RouteMatch? {
        guard let object = cursor.object(fields: ["path", "method", "headers", "queryParams"])
        else { return nil }
        let path = object.optional("path", default: .prefix("/"), decodePath)
        let method = object.ifPresent("method") { $0.oneOf(Method.self) }
        let headers = decodeHeaders(object)
        let parameters = object.optional("queryParams", default: []) {
            $0.array(count: 0...Limits.queryParametersMax, of: decodeParameter)
        }
        if let parameters, Set(parameters.map(\.name)).count != parameters.count {
            object.cursor("queryParams")?.report(
                "a parameter stands twice",
                allowed: "each name once"
            )
        }
        guard let path, let headers, let parameters else { return nil }
        // "/" holds for every path; without the condition the proxy need not look.
        return RouteMatch(
            path: path == .prefix("/") ? nil : path,
            method: method?.rawValue,
            headers: headers,
            queryParameters: parameters
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

    private enum ValueType: String, CaseIterable {
        case exact = "Exact"
        case regularExpression = "RegularExpression"
    }

    private static func decodePath(_ cursor: ConfigCursor) -> RouteMatch.Path? {
        guard let object = cursor.object(fields: ["type", "value"]) else { return nil }
        let type = object.optional("type", default: PathType.pathPrefix) {
            $0.oneOf(PathType.self)
        }
        switch type {
        case .exact?:
            return object.optional("value", default: "/") { $0.string(.path) }
                .map { .exact($0) }
        case .pathPrefix?:
            return object.optional("value", default: "/") { $0.pathPrefix() }
                .map { .prefix($0) }
        case .regularExpression?:
            return object.required("value") { $0.pattern() }.map { .pattern($0) }
        case nil: return nil
        }
    }

    /// The `headers` of a match.
    fileprivate static func decodeHeaders(_ object: ObjectCursor) -> [Header]? {
        let headers = object.optional("headers", default: []) {
            $0.array(count: 0...Limits.headersMax, of: decodeHeader)
        }
        if let headers, Set(headers.map(\.name)).count != headers.count {
            object.cursor("headers")?.report(
                "a header stands twice",
                allowed: "each name once, in any case"
            )
        }
        return headers
    }

    private static func decodeHeader(_ cursor: ConfigCursor) -> RouteMatch.Header? {
        guard let object = cursor.object(fields: ["type", "name", "value"]) else { return nil }
        let name = object.required("name") { $0.headerName() }
        guard let value = decodeValue(object, .fieldValue), let name else { return nil }
        return RouteMatch.Header(name: name, value: value)
    }

    private static func decodeParameter(_ cursor: ConfigCursor) -> RouteMatch.QueryParameter? {
        guard let object = cursor.object(fields: ["type", "name", "value"]) else { return nil }
        let name = object.required("name") { $0.string(.queryName) }
        guard let value = decodeValue(object, .queryValue), let name else { return nil }
        return RouteMatch.QueryParameter(name: name, value: value)
    }

    private static func decodeValue(_ object: ObjectCursor, _ syntax: Syntax) -> RouteMatch.Value? {
        let type = object.optional("type", default: ValueType.exact) { $0.oneOf(ValueType.self) }
        switch type {
        case .exact?: return object.required("value") { $0.string(syntax) }.map { .exact($0) }
        case .regularExpression?:
            return object.required("value") { $0.pattern() }.map { .pattern($0) }
        case nil: return nil
        }
    }
}

extension ConfigCursor {
    /// A field name in any case, made lower case.
    func headerName() -> String? {
        let anyCase = Syntax(allowed: "a field name, RFC 9110 §5.1") {
            Syntax.fieldName.isValid($0.lowercased())
        }
        return string(anyCase)?.lowercased()
    }

    /// A path prefix; Gateway API: a slash at its end means nothing.
    func pathPrefix() -> String? {
        string(.path).map { $0 != "/" && $0.hasSuffix("/") ? String($0.dropLast()) : $0 }
    }
}
