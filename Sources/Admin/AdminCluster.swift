// What the admin port knows of clusters: what each worker said, put together.

public import MeshModel

/// One cluster, its bounds and its load.
public struct AdminCluster: Sendable, Equatable {
    /// One endpoint, its load and where it stands.
    public struct Endpoint: Sendable, Equatable {
        /// IP and port.
        public var address: String
        /// Where it runs; empty: unknown.
        public var locality = ""
        /// Its configured weight.
        public var weight: UInt32 = 1
        /// Connections that serve an exchange.
        public var activeConnections: Int
        /// Pooled connections that nobody uses.
        public var idleConnections: Int
        /// Connections being made.
        public var dialingConnections: Int
        /// Exchanges waiting for a connection.
        public var pendingRequests: Int
        /// Failed attempts to connect since the endpoint was configured.
        public var connectFailures: UInt64
        /// What each worker knows of it; a worker judges by its own requests.
        public var views: [EndpointView]

        /// An endpoint; see the properties.
        public init(
            address: String,
            activeConnections: Int,
            idleConnections: Int,
            dialingConnections: Int,
            pendingRequests: Int,
            connectFailures: UInt64,
            views: [EndpointView] = []
        ) {
            self.address = address
            self.activeConnections = activeConnections
            self.idleConnections = idleConnections
            self.dialingConnections = dialingConnections
            self.pendingRequests = pendingRequests
            self.connectFailures = connectFailures
            self.views = views
        }
    }

    /// An endpoint as one worker knows it.
    public struct EndpointView: Sendable, Equatable {
        /// The worker's number.
        public var worker: Int
        /// Whether it gets its part of the requests.
        public var isHealthy = true
        /// `healthy`, `unwell`, `ejected`, `probation` or `probing`.
        public var standing = "healthy"
        /// The same in words: since when it is out, why, and what brings it back.
        public var explanation = "healthy"
        /// Since it is out; nil: it is not.
        public var outMilliseconds: UInt64?
        /// Until a request may probe it; nil: it is not ejected.
        public var ejectedMilliseconds: UInt64?
        /// Why it is out; nil: it is not.
        public var cause: String?
        /// Ejections in a row.
        public var ejections = 0
        /// Attempts under way.
        public var active = 0
        /// The estimate that the choice of an endpoint uses.
        public var latencyNanoseconds: UInt64 = 0
        /// What the choice compares, less is better; 0 where it compares nothing.
        public var score = 0.0
        /// Its weight, lessened while it starts slowly.
        public var weight = 1.0
        /// Successes in the window of outlier detection.
        public var successes = 0
        /// Failures in the same window.
        public var failures = 0
        /// Failures since its last success.
        public var consecutiveFailures = 0

        /// A healthy one without load; see the properties.
        public init(worker: Int) { self.worker = worker }
    }

    /// A cluster as one worker knows it.
    public struct View: Sendable, Equatable {
        /// The worker's number.
        public var worker: Int
        /// Exchanges under way.
        public var activeRequests: Int
        /// Whether too few endpoints are healthy, so that all are used.
        public var isPanic: Bool
        /// Requests that may run at once, as latency has it now; nil: `limits` alone count.
        public var adaptiveLimit: Int?

        /// A view; see the properties.
        public init(worker: Int, activeRequests: Int, isPanic: Bool, adaptiveLimit: Int?) {
            self.worker = worker
            self.activeRequests = activeRequests
            self.isPanic = isPanic
            self.adaptiveLimit = adaptiveLimit
        }
    }

    /// Name of the cluster.
    public var name: String
    /// Exchanges under way.
    public var activeRequests: Int
    /// Exchanges waiting for a connection.
    public var pendingRequests: Int
    /// Connections, those being made included.
    public var connections: Int
    /// What each worker may have of it.
    public var limits: ClusterLimits
    /// Retries that all workers together could make now; nil: there is no budget.
    public var retryBudgetLeft: Int?
    /// What each worker knows of it.
    public var views: [View]
    /// Its endpoints.
    public var endpoints: [Endpoint]

    /// A cluster; see the properties.
    public init(
        name: String,
        activeRequests: Int,
        pendingRequests: Int,
        connections: Int,
        limits: ClusterLimits = .default,
        retryBudgetLeft: Int? = nil,
        views: [View] = [],
        endpoints: [Endpoint]
    ) {
        self.name = name
        self.activeRequests = activeRequests
        self.pendingRequests = pendingRequests
        self.connections = connections
        self.limits = limits
        self.retryBudgetLeft = retryBudgetLeft
        self.views = views
        self.endpoints = endpoints
    }

    /// The clusters of several workers as one list: equal names and addresses are added up.
    ///
    /// Sorted by name, endpoints by address, so that two pages can be compared.
    public static func merged(_ clusters: [AdminCluster]) -> [AdminCluster] {
        var byName: [String: AdminCluster] = [:]
        for cluster in clusters {
            guard var known = byName[cluster.name] else {
                byName[cluster.name] = cluster
                continue
            }
            known.activeRequests += cluster.activeRequests
            known.pendingRequests += cluster.pendingRequests
            known.connections += cluster.connections
            // One budget, read a moment later.
            known.retryBudgetLeft = cluster.retryBudgetLeft
            known.views += cluster.views
            known.endpoints += cluster.endpoints
            byName[cluster.name] = known
        }
        return byName.values.sorted { $0.name < $1.name }.map { cluster in
            var cluster = cluster
            cluster.views.sort { $0.worker < $1.worker }
            cluster.endpoints = Endpoint.merged(cluster.endpoints)
            return cluster
        }
    }

    /// Endpoints that some worker does not use for requests.
    var endpointsOut: Int { endpoints.count { $0.isOut } }
}

extension AdminCluster.Endpoint {
    /// Whether some worker does not use it for requests.
    var isOut: Bool { views.contains { !$0.isHealthy } }

    /// That of the workers that do not use it, else `healthy`.
    var standing: String { views.first { !$0.isHealthy }?.standing ?? "healthy" }

    fileprivate static func merged(_ endpoints: [Self]) -> [Self] {
        var byAddress: [String: Self] = [:]
        for endpoint in endpoints {
            guard var known = byAddress[endpoint.address] else {
                byAddress[endpoint.address] = endpoint
                continue
            }
            known.activeConnections += endpoint.activeConnections
            known.idleConnections += endpoint.idleConnections
            known.dialingConnections += endpoint.dialingConnections
            known.pendingRequests += endpoint.pendingRequests
            known.connectFailures &+= endpoint.connectFailures
            known.views += endpoint.views
            byAddress[endpoint.address] = known
        }
        return byAddress.values.sorted { $0.address < $1.address }.map { endpoint in
            var endpoint = endpoint
            endpoint.views.sort { $0.worker < $1.worker }
            return endpoint
        }
    }
}
