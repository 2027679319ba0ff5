public import Telemetry

/// One worker's numbers at one moment.
public struct WorkerReport: Sendable {
    /// One cluster as this worker sees it.
    public struct Cluster: Sendable {
        /// The cluster's name; `application` is the local one.
        public let name: String
        /// Exchanges under way.
        public let runningRequests: Int
        /// Open or dialing connections.
        public let connections: Int
        /// Exchanges waiting for a connection.
        public let pendingRequests: Int
        /// Its endpoints.
        public let endpoints: [Endpoint]
    }

    /// One endpoint as this worker sees it.
    public struct Endpoint: Sendable {
        /// IP and port.
        public let address: String
        /// Pooled connections nobody uses.
        public let idle: Int
        /// Connections serving an exchange.
        public let leased: Int
        /// Connections being made.
        public let dialing: Int
        /// Exchanges waiting.
        public let waiting: Int
        /// Failed attempts to connect since the endpoint was configured.
        public let connectFailures: UInt64
    }

    /// The worker's number.
    public let worker: Int
    /// Its counters.
    public let metrics: MetricsSnapshot
    /// Exchanges under way.
    public let runningExchanges: Int
    /// Downstream connections.
    public let connections: Int
    /// Those whose first request has not come yet.
    public let awaitedConnections: Int
    /// The configuration it routes by; nil before the first.
    public let snapshotVersion: UInt64?
    /// Whether it can secure connections.
    public let hasIdentity: Bool
    /// Whether it drains.
    public let isDraining: Bool
    /// Its clusters.
    public let clusters: [Cluster]
}
