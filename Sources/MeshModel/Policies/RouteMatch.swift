public import RegularExpressions

/// What a request must look like to take a route; absent parts match everything.
public struct RouteMatch: Sendable, Equatable {
    /// How the path is compared, without the query.
    public enum Path: Sendable, Equatable {
        /// The same bytes.
        case exact(String)
        /// Whole segments at the start: `/a` matches `/a` and `/a/b`, not `/ab`.
        case prefix(String)
        /// The whole path matches.
        case pattern(Pattern)
    }
    /// How a value is compared.
    public enum Value: Sendable, Equatable {
        /// The same bytes.
        case exact(String)
        /// The whole value matches.
        case pattern(Pattern)
    }
    /// A required header field; of several lines of the name one must match.
    public struct Header: Sendable, Equatable {
        /// Field name in lower case.
        public let name: String
        /// What it must hold.
        public let value: Value

        /// Makes a condition; traps when a part breaks its syntax.
        public init(name: String, value: Value) {
            precondition(Syntax.fieldName.isValid(name))
            if case .exact(let text) = value { precondition(Syntax.fieldValue.isValid(text)) }
            self.name = name
            self.value = value
        }

        /// Makes a condition on an exact value; traps when a part breaks its syntax.
        public init(name: String, value: String) { self.init(name: name, value: .exact(value)) }
    }
    /// A required query parameter, percent-decoded; of several of the name the first must match.
    ///
    /// Source: Gateway API `HTTPQueryParamMatch`.
    public struct QueryParameter: Sendable, Equatable {
        /// Percent-decoded, `Limits.queryNameBytesMax`.
        public let name: String
        /// What it must hold.
        public let value: Value

        /// Makes a condition; traps when the name is empty or a part too long.
        public init(name: String, value: Value) {
            precondition(Syntax.queryName.isValid(name))
            if case .exact(let text) = value { precondition(Syntax.queryValue.isValid(text)) }
            self.name = name
            self.value = value
        }
    }
    /// Path condition; nil matches every path.
    public let path: Path?
    /// Method, upper case; nil matches every method.
    public let method: String?
    /// Required header fields, all of them.
    public let headers: [Header]
    /// Required query parameters, all of them.
    public let queryParameters: [QueryParameter]
    /// Whether the request must be gRPC: a POST with `Content-Type: application/grpc`.
    public let isGRPC: Bool

    /// Every request.
    public static let everything = RouteMatch()

    /// Makes a match; traps when a part breaks its syntax.
    public init(
        path: Path? = nil,
        method: String? = nil,
        headers: [Header] = [],
        queryParameters: [QueryParameter] = [],
        isGRPC: Bool = false
    ) {
        switch path {
        case .exact(let text)?: precondition(Syntax.path.isValid(text))
        case .prefix(let text)?: precondition(Syntax.pathPrefix.isValid(text))
        case .pattern?, nil: break
        }
        precondition(method.map(Syntax.method.isValid) ?? true)
        precondition(headers.count <= Limits.headersMax)
        precondition(queryParameters.count <= Limits.queryParametersMax)
        self.path = path
        self.method = method
        self.headers = headers
        self.queryParameters = queryParameters
        self.isGRPC = isGRPC
    }
}
