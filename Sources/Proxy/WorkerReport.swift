public import MeshModel
public import Telemetry
public import Time
public import Traffic

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
        /// Its bounds.
        public let limits: ClusterLimits
        /// Requests that may run at once, as latency has it now; nil: `limits` alone count.
        public let adaptiveLimit: Int?
        /// Retries that all workers together could make now; nil: there is no budget.
        public let retryBudgetLeft: Int?
        /// Whether too few endpoints are healthy, so that all are used.
        public let isPanic: Bool
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
        /// Where it runs.
        public let locality: Locality
        /// Its configured weight.
        public let weight: UInt32
        /// Its health and load; nil for one that has just left the list.
        public let state: EndpointState?
    }

    /// The worker's number.
    public let worker: Int
    /// When it was made.
    public let now: MonotonicTime
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

extension WorkerReport.Cluster {
    /// The clusters of `mesh`, sorted by name, then the application.
    static func all(of mesh: CompiledMesh, now: MonotonicTime) -> [WorkerReport.Cluster] {
        let clusters = mesh.clusters.values.sorted { $0.cluster.name < $1.cluster.name }
        return (clusters + [mesh.application].compactMap(\.self)).map {
            WorkerReport.Cluster($0, now: now)
        }
    }

    private init(_ cluster: UpstreamCluster, now: MonotonicTime) {
        let observed = cluster.observation(now: now)
        self.init(
            name: cluster.cluster.name,
            runningRequests: cluster.runningRequests,
            connections: cluster.connectionCount,
            pendingRequests: cluster.pendingCount,
            limits: cluster.cluster.limits,
            adaptiveLimit: observed.adaptiveLimit,
            retryBudgetLeft: observed.budgetLeft,
            isPanic: observed.isPanic,
            // The pools are the selector's members, in the same order.
            endpoints: cluster.pools.enumerated().map { index, pool in
                let known = observed.endpoints.indices.contains(index)
                return WorkerReport.Endpoint(pool, known ? observed.endpoints[index] : nil)
            }
        )
    }
}

extension WorkerReport.Endpoint {
    fileprivate init(_ pool: EndpointPool, _ known: (member: EndpointMember, state: EndpointState)?)
    {
        self.init(
            address: pool.addressText,
            idle: pool.all.reduce(0) { $0 + $1.idleCount },
            leased: pool.all.reduce(0) { $0 + $1.leasedCount },
            dialing: pool.all.reduce(0) { $0 + $1.dialing },
            waiting: pool.all.reduce(0) { $0 + $1.waitingCount },
            connectFailures: pool.all.reduce(0) { $0 + $1.connectFailures },
            locality: known?.member.locality ?? .unknown,
            weight: known?.member.weight ?? 1,
            state: known?.state
        )
    }
}
