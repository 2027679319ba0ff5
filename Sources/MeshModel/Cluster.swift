// Where requests and connections go: clusters, their endpoints, their bounds.

/// A named set of equal endpoints.
public struct Cluster: Sendable, Equatable {
    /// Unique in a snapshot, `inventory-v1.default`.
    public let name: String
    /// How connections to the endpoints are secured.
    public let security: ClusterSecurity
    /// May be empty: requests then get a local reply that says so.
    public let endpoints: [Endpoint]
    /// Longest time to establish a connection, TLS handshake included.
    public let connectTimeout: Duration
    /// Longest time an unused pooled connection is kept.
    public let idleTimeout: Duration
    /// Bounds on connections and requests.
    public let limits: ClusterLimits
    /// What is spoken to the endpoints.
    ///
    /// With mTLS `auto` offers HTTP/2 and accepts HTTP/1.1, the other kinds accept only themselves.
    /// In plain text `auto` speaks as the caller did.
    public let `protocol`: ServiceProtocol
    /// How requests are spread.
    public let balancing: LoadBalancing
    /// Nil: no endpoint is ejected.
    public let outlierDetection: OutlierDetection?
    /// Nil: endpoints are not asked, only judged by what they answer.
    public let healthCheck: HealthCheck?
    /// Nil: retries are bounded by attempts alone.
    public let retryBudget: RetryBudget?
    /// A bound on running requests that follows latency; nil: `limits` alone.
    public let adaptiveConcurrency: AdaptiveConcurrency?

    /// Covers a TCP handshake with one lost packet in most networks.
    public static let connectTimeoutDefault: Duration = .seconds(1)
    /// Less than the hour a peer's inbound side keeps an idle connection, so that this side, which
    /// knows whether it is about to send, is the one that closes.
    public static let idleTimeoutDefault: Duration = .seconds(600)

    /// Makes a cluster; traps when a part is out of range.
    public init(
        name: String,
        security: ClusterSecurity,
        endpoints: [Endpoint],
        connectTimeout: Duration = Cluster.connectTimeoutDefault,
        idleTimeout: Duration = Cluster.idleTimeoutDefault,
        limits: ClusterLimits = .default,
        protocol: ServiceProtocol = .auto,
        balancing: LoadBalancing = .default,
        outlierDetection: OutlierDetection? = .default,
        healthCheck: HealthCheck? = nil,
        retryBudget: RetryBudget? = .default,
        adaptiveConcurrency: AdaptiveConcurrency? = nil
    ) {
        precondition(Syntax.name.isValid(name))
        precondition(endpoints.count <= Limits.endpointsMax)
        precondition(connectTimeout.isTimeLimit)
        precondition(idleTimeout.isTimeLimit)
        if case .mutual(let identities) = security {
            precondition((1...Limits.identitiesMax).contains(identities.count))
        }
        self.name = name
        self.security = security
        self.endpoints = endpoints
        self.connectTimeout = connectTimeout
        self.idleTimeout = idleTimeout
        self.limits = limits
        self.protocol = `protocol`
        self.balancing = balancing
        self.outlierDetection = outlierDetection
        self.healthCheck = healthCheck
        self.retryBudget = retryBudget
        self.adaptiveConcurrency = adaptiveConcurrency
    }
}

/// How connections to a cluster are secured.
public enum ClusterSecurity: Sendable, Equatable {
    /// No TLS. Only for what lies outside the mesh.
    case plaintext
    /// mTLS; the server must present one of these identities. Never empty.
    case mutual([SPIFFEID])
}

/// Bounds per cluster and worker; a request over a bound gets an immediate local reply.
public struct ClusterLimits: Sendable, Equatable {
    /// Open connections, 1...1_000_000.
    public let connections: Int
    /// Requests waiting for a connection, 0...1_000_000.
    public let pendingRequests: Int
    /// Running exchanges, 1...1_000_000.
    public let requests: Int

    /// 1024 each, Envoy's long-proven bounds.
    public static let `default` = ClusterLimits()

    /// Makes bounds; traps when one is out of range.
    public init(connections: Int = 1_024, pendingRequests: Int = 1_024, requests: Int = 1_024) {
        precondition(Limits.concurrency.contains(connections))
        precondition(Limits.queue.contains(pendingRequests))
        precondition(Limits.concurrency.contains(requests))
        self.connections = connections
        self.pendingRequests = pendingRequests
        self.requests = requests
    }
}

/// One member of a cluster.
public struct Endpoint: Sendable, Equatable, Hashable {
    /// Where it is.
    public let target: EndpointTarget
    /// Its part of the cluster's requests among the others, `Limits.endpointWeight`.
    public let weight: UInt32
    /// Where it runs.
    public let locality: Locality

    /// Makes an endpoint; traps when the port is 0, a name is none or the weight out of range.
    public init(target: EndpointTarget, weight: UInt32 = 1, locality: Locality = .unknown) {
        precondition(target.port != 0)
        if case .name(let name, _) = target { precondition(Syntax.hostName.isValid(name)) }
        precondition(Limits.endpointWeight.contains(Int(weight)))
        self.target = target
        self.weight = weight
        self.locality = locality
    }

    /// Makes an endpoint of an IP literal; traps when the port is 0 or the weight out of range.
    public init(
        address: SocketAddress,
        weight: UInt32 = 1,
        locality: Locality = .unknown
    ) {
        self.init(target: .address(address), weight: weight, locality: locality)
    }

    /// IP literal and port; nil when a name must be resolved first.
    public var address: SocketAddress? {
        guard case .address(let address) = target else { return nil }
        return address
    }
}

/// Where an endpoint is.
public enum EndpointTarget: Sendable, Hashable {
    /// At an IP literal.
    case address(SocketAddress)
    /// At every address that DNS gives for a name; resolved by the proxy that connects.
    case name(String, port: UInt16)

    /// The port to connect to.
    public var port: UInt16 {
        switch self {
        case .address(let address): address.port
        case .name(_, let port): port
        }
    }
}

extension EndpointTarget: CustomStringConvertible {
    /// `127.0.0.1:80`, `[::1]:80` or `db.example.org:5432`.
    public var description: String {
        switch self {
        case .address(let address): address.description
        case .name(let name, let port): "\(name):\(port)"
        }
    }
}
