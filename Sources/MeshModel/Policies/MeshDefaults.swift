/// What services and routes get that say nothing themselves.
///
/// The values of `init` are the product: each is safe for traffic nobody described, and a mesh that
/// wants others says so in one place.
public struct MeshDefaults: Sendable, Equatable {
    /// Longest time to establish a connection, TLS handshake included.
    public let connectTimeout: Duration
    /// Longest time an unused pooled connection is kept.
    public let idleTimeout: Duration
    /// From the request's head to the response's last byte; nil: unlimited.
    public let requestTimeout: Duration?
    /// Longest silence on a running exchange.
    public let streamIdleTimeout: Duration
    /// Longest silence on an opaque connection.
    public let tcpIdleTimeout: Duration
    /// Bounds of each cluster and worker.
    public let limits: ClusterLimits
    /// How failed attempts are repeated.
    public let retry: RetryPolicy
    /// The most retries; nil: bounded by attempts alone.
    public let retryBudget: RetryBudget?
    /// How requests are spread.
    public let loadBalancing: LoadBalancing
    /// When endpoints are ejected; nil: never.
    public let outlierDetection: OutlierDetection?
    /// How endpoints are asked whether they are well; nil: not at all.
    public let healthCheck: HealthCheck?
    /// A bound on running requests that follows latency; nil: `limits` alone.
    public let adaptiveConcurrency: AdaptiveConcurrency?
    /// When a worker refuses what it is too late for; nil: never.
    public let loadShedding: LoadShedding?

    /// What a mesh has that says nothing.
    public static let standard = MeshDefaults()

    /// Makes defaults; traps when a part is out of range.
    public init(
        connectTimeout: Duration = Cluster.connectTimeoutDefault,
        idleTimeout: Duration = Cluster.idleTimeoutDefault,
        requestTimeout: Duration? = RouteTimeouts.default.request,
        streamIdleTimeout: Duration = RouteTimeouts.default.streamIdle,
        tcpIdleTimeout: Duration = RouteTimeouts.default.tcpIdle,
        limits: ClusterLimits = .default,
        retry: RetryPolicy = .default,
        retryBudget: RetryBudget? = .default,
        loadBalancing: LoadBalancing = .default,
        outlierDetection: OutlierDetection? = .default,
        healthCheck: HealthCheck? = nil,
        adaptiveConcurrency: AdaptiveConcurrency? = nil,
        loadShedding: LoadShedding? = .default
    ) {
        for limit in [connectTimeout, idleTimeout, streamIdleTimeout, tcpIdleTimeout] {
            precondition(limit.isTimeLimit)
        }
        precondition(requestTimeout.map(\.isTimeLimit) ?? true)
        self.connectTimeout = connectTimeout
        self.idleTimeout = idleTimeout
        self.requestTimeout = requestTimeout
        self.streamIdleTimeout = streamIdleTimeout
        self.tcpIdleTimeout = tcpIdleTimeout
        self.limits = limits
        self.retry = retry
        self.retryBudget = retryBudget
        self.loadBalancing = loadBalancing
        self.outlierDetection = outlierDetection
        self.healthCheck = healthCheck
        self.adaptiveConcurrency = adaptiveConcurrency
        self.loadShedding = loadShedding
    }
}
