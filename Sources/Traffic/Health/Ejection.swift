// What is said about an endpoint that answers badly.

public import Time

/// Why an endpoint was set aside.
public enum EjectionCause: Sendable, Hashable {
    /// So many failures, none but failures between them.
    case consecutiveFailures(Int)
    /// Too few successes of the requests in the window.
    case successRate(successes: Int, requests: Int)
    /// A success rate too far below that of the other endpoints; both in millionths.
    case deviation(success: Int, threshold: Int)
    /// The request that probed it failed, or was not answered in time.
    case probe
    /// The proxy's own health checks failed.
    case healthCheck

    /// For logs, metrics and explanations.
    public var label: StaticString {
        switch self {
        case .consecutiveFailures: "consecutive-failures"
        case .successRate: "success-rate"
        case .deviation: "deviation"
        case .probe: "probe"
        case .healthCheck: "health-check"
        }
    }
}

/// An endpoint was set aside.
public struct Ejection: Sendable, Hashable {
    /// Why.
    public let cause: EjectionCause
    /// When a request may probe it.
    public let until: MonotonicTime
    /// Ejections in a row, this one included.
    public let count: Int

    /// Makes one.
    public init(cause: EjectionCause, until: MonotonicTime, count: Int) {
        self.cause = cause
        self.until = until
        self.count = count
    }
}

/// What an endpoint may be used for.
public enum Standing: Sendable, Hashable {
    /// Every request.
    case healthy
    /// None before this time.
    case ejected(until: MonotonicTime)
    /// One request that shows whether it has recovered; none while one is under way.
    case probation(isProbing: Bool)
}
