public import Time

/// What is known of an endpoint, for explanations and the admin port.
public struct EndpointState: Sendable, Hashable {
    /// What passive health says.
    public let standing: Standing
    /// What the proxy's own health checks say; true where there are none.
    public let isWell: Bool
    /// Attempts under way.
    public let active: Int
    /// Peak EWMA of its latency.
    public let latencyNanoseconds: UInt64
    /// What the choice compares, less is better; 0 where the algorithm compares nothing.
    public let score: Double
    /// Its configured weight, lessened while it starts slowly.
    public let weight: Double
    /// Ejections in a row.
    public let ejections: Int
    /// When it may be probed; nil: it is not ejected.
    public let ejectedUntil: MonotonicTime?
    /// Since when it is not used for requests; nil: it is.
    public let outSince: MonotonicTime?
    /// Failures since its last success.
    public let consecutiveFailures: Int
    /// Successes in the window of outlier detection.
    public let successes: Int
    /// Failures in the same window.
    public let failures: Int
    /// Why it was last set aside.
    public let cause: EjectionCause?

    /// Whether it gets its part of the requests.
    public var isHealthy: Bool { isWell && standing == .healthy }
}
