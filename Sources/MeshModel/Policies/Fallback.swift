// What becomes of a request when its backend has nobody, and who stays with which backend.

/// What is done when no endpoint of a route's backend can take a request.
public struct Fallback: Sendable, Equatable {
    /// A cluster to use instead; nil: none.
    public let cluster: String?
    /// Answered when that has none either.
    public let response: FallbackResponse?

    /// Makes a fallback; traps when it has nothing.
    public init(cluster: String? = nil, response: FallbackResponse? = nil) {
        precondition(cluster != nil || response != nil)
        precondition(cluster.map(Syntax.name.isValid) ?? true)
        self.cluster = cluster
        self.response = response
    }
}

/// A canned response.
public struct FallbackResponse: Sendable, Equatable {
    /// `Limits.fallbackStatus`.
    public let status: Int
    /// The value of `Content-Type`.
    public let contentType: String
    /// Up to `Limits.fallbackBodyBytesMax` bytes.
    public let body: String

    /// Makes a response; traps when a part is out of range.
    public init(status: Int, contentType: String = "application/json", body: String) {
        precondition(Limits.fallbackStatus.contains(status))
        precondition(Syntax.fieldValue.isValid(contentType))
        precondition(body.utf8.count <= Limits.fallbackBodyBytesMax)
        self.status = status
        self.contentType = contentType
        self.body = body
    }
}

/// Keeps a caller on the backend it got: a hash of this decides instead of the schedule.
public enum Stickiness: Sendable, Equatable {
    /// A header field of the request, lower case; requests without it follow the schedule.
    case header(String)
    /// A cookie that the proxy sets when it is missing; `lifetime` nil: until the browser closes.
    case cookie(name: String, lifetime: Duration?)

    /// Whether its parts follow their syntax.
    var isValid: Bool {
        switch self {
        case .header(let name): Syntax.fieldName.isValid(name)
        case .cookie(let name, let lifetime):
            Syntax.cookieName.isValid(name)
                && (lifetime.map { Limits.cookieLifetime.contains($0) && $0.gatewayText != nil }
                    ?? true)
        }
    }
}
