// What the mesh does with a request, and why: a value, made by `Explainer`, told as text or JSON.

public import MeshModel

/// The decisions on one request.
public struct Explanation: Sendable, Equatable {
    /// One route of the service and what it says of the request.
    public struct Route: Sendable, Equatable {
        /// Its place in the order the routes are tried.
        public var index: Int
        /// Its name: manifest and rule.
        public var name: String
        /// What it asks of requests.
        public var conditions: String
        /// Why it is not taken; nil: it is.
        public var refusal: String?
    }

    /// One of the taken route's backends.
    public struct Backend: Sendable, Equatable {
        /// The cluster.
        public var cluster: String
        /// Its weight.
        public var weight: UInt32
        /// Its part of the route's requests, in hundredths of a per cent.
        public var shareBasisPoints: Int
        /// Whether this request goes there for certain.
        public var isChosen: Bool
    }

    /// A cluster the request may go to.
    public struct Cluster: Sendable, Equatable {
        /// Its name.
        public var name: String
        /// How an endpoint is chosen.
        public var balancing: String
        /// Its bounds on connections and requests.
        public var limits: String
        /// When endpoints are set aside; nil: never.
        public var outlierDetection: String?
        /// The retry budget; nil: there is none.
        public var retryBudget: String?
        /// Retries that could be made now.
        public var budgetLeft: Int?
        /// Whether too few endpoints are healthy, so that all are used.
        public var isPanic = false
        /// Requests that may run at once, as latency has it now; nil: `limits` alone count.
        public var adaptiveLimit: Int?
        /// The candidates.
        public var endpoints: [Endpoint]
    }

    /// A candidate.
    public struct Endpoint: Sendable, Equatable {
        /// IP and port, or name and port.
        public var address: String
        /// Where it runs; empty: unknown.
        public var locality: String
        /// Its weight.
        public var weight: UInt32
        /// What is known of it; nil where nothing is: a name that was not resolved.
        public var state: EndpointState?
        /// Whole milliseconds until it may be probed; nil: it is not ejected.
        public var ejectedMilliseconds: UInt64?
        /// Whole milliseconds since it is not used for requests; nil: it is.
        public var outMilliseconds: UInt64?
        /// Its standing in words; empty where there is no state.
        public var standing = ""
        /// Whether this request goes there for certain.
        public var isChosen: Bool
    }

    /// Version of the configuration.
    public var version: UInt64
    /// `outbound`: the application calls; `inbound`: it is called.
    public var listener: String
    /// `GET orders:8080/x`.
    public var request: String
    /// The service; nil when the request is for none.
    public var service: String?
    /// Which policy or lack answers instead of an endpoint; nil: none.
    public var denial: String?
    /// The service's routes that were looked at, the taken one last.
    public var routes: [Route] = []
    /// Further routes before the taken one that do not match either.
    public var omittedRoutes = 0
    /// Routes behind the taken one, which were not looked at.
    public var laterRoutes = 0
    /// What the taken route changes or answers.
    public var filters: [String] = []
    /// The rate limits that apply.
    public var rateLimits: [String] = []
    /// The faults that may be made.
    public var faults: [String] = []
    /// What goes first under overload.
    public var priority = Priority.normal
    /// Time limits.
    public var timeouts: [String] = []
    /// What is tried again.
    public var retries: [String] = []
    /// How a backend is chosen; empty: there is only one.
    public var split = ""
    /// The taken route's backends.
    public var backends: [Backend] = []
    /// Where the request may go.
    public var clusters: [Cluster] = []

    /// The route that is taken.
    public var takenRoute: Route? { routes.last { $0.refusal == nil } }

    init(version: UInt64, listener: String, request: String) {
        self.version = version
        self.listener = listener
        self.request = request
    }
}

/// What a worker knew of a cluster when it was asked.
public struct ObservedCluster: Sendable {
    /// The endpoints it may choose from.
    public var endpoints: [(member: EndpointMember, state: EndpointState)]
    /// Retries that its callers could make; nil: there is no budget.
    public var budgetLeft: Int?
    /// Whether too few endpoints are healthy, so that all are used.
    public var isPanic: Bool
    /// Requests that may run at once, as latency has it now; nil: the configured bound alone counts.
    public var adaptiveLimit: Int?

    /// An observation.
    public init(
        endpoints: [(member: EndpointMember, state: EndpointState)],
        budgetLeft: Int?,
        isPanic: Bool = false,
        adaptiveLimit: Int? = nil
    ) {
        self.endpoints = endpoints
        self.budgetLeft = budgetLeft
        self.isPanic = isPanic
        self.adaptiveLimit = adaptiveLimit
    }
}

/// What is known of a request that was seen.
public struct ObservedExchange: Sendable {
    /// The service that it was counted for.
    public var service: String
    /// The route that it took, by its place; nil: none.
    public var route: Int?
    /// The cluster it went to; empty: none.
    public var cluster: String
    /// Clusters by name.
    public var clusters: [String: ObservedCluster]

    /// An observation.
    public init(
        service: String,
        route: Int?,
        cluster: String,
        clusters: [String: ObservedCluster]
    ) {
        self.service = service
        self.route = route
        self.cluster = cluster
        self.clusters = clusters
    }
}
