// What one proxy must know of the mesh: immutable, complete, replaced whole.
//
// The controller compiles one per workload and holds in it only what that workload uses; a static
// configuration file holds the same object. A value that exists is valid: ranges are checked when
// it is decoded, cross-references in `MeshSnapshot.init`.

/// The complete configuration of one proxy's traffic at one version.
public struct MeshSnapshot: Sendable, Equatable {
    /// Ordered number given by the controller; 0 for a static file.
    public let version: UInt64
    /// The trust domain every peer of this proxy belongs to.
    public let trustDomain: TrustDomain
    /// The identity of the workload this snapshot was compiled for.
    public let workload: SPIFFEID
    /// PEM certificates of the roots that peers may chain to; empty in a static file, where
    /// `identity.trustBundleFile` names them.
    public let trustBundle: [String]
    /// What arrives for the local application.
    public let inbound: InboundService
    /// The services the workload may call, each under its names.
    public let services: [VirtualService]
    /// Every cluster a route of `services` refers to.
    public let clusters: [Cluster]
}

/// The local application as the inbound listener sees it.
public struct InboundService: Sendable, Equatable {
    /// The service's name for metrics and logs.
    public let name: String
    /// Time limits of exchanges to the application.
    public let timeouts: RouteTimeouts
    /// Bounds on the connections and requests towards the application.
    public let limits: ClusterLimits
}

/// A callable service: its host names and its routes in the order they are tried.
public struct VirtualService: Sendable, Equatable {
    /// The name for metrics and logs, `orders.default`.
    public let name: String
    /// Lower-case host names without port that address it; unique in a snapshot for each port.
    public let hosts: [String]
    /// The port callers name; a `Host` without a port matches too.
    public let port: UInt16
    /// First match wins. The last one may match everything.
    public let routes: [Route]
}

/// Match, time limits and weighted clusters.
public struct Route: Sendable, Equatable {
    /// Stable name for metrics, `orders/0`: manifest name and rule index.
    public let name: String
    /// All of these must hold.
    public let match: RouteMatch
    /// At least one; weights 0...1_000_000, not all of them 0.
    public let backends: [WeightedCluster]
    /// Time limits of an exchange on this route.
    public let timeouts: RouteTimeouts
}

/// What a request must look like to take a route; absent parts match everything.
public struct RouteMatch: Sendable, Equatable {
    /// How the path is compared.
    public enum Path: Sendable, Equatable {
        /// The whole path, without the query.
        case exact(String)
        /// Whole segments at the start: `/a` matches `/a` and `/a/b`, not `/ab`.
        case prefix(String)
    }
    /// Name (lower case) and exact value of a required header field.
    public struct Header: Sendable, Equatable {
        /// Field name in lower case.
        public let name: String
        /// The exact value.
        public let value: String
    }
    /// Path condition; nil matches every path.
    public let path: Path?
    /// Method, upper case; nil matches every method.
    public let method: String?
    /// Required header fields, all of them.
    public let headers: [Header]
}

/// A share of a route's traffic.
public struct WeightedCluster: Sendable, Equatable {
    /// Name of a cluster in the same snapshot.
    public let cluster: String
    /// 0...1_000_000; its share is weight over the sum of the route's weights.
    public let weight: UInt32
}

/// Time limits of one exchange.
public struct RouteTimeouts: Sendable, Equatable {
    /// From the request's head to the response's last byte, retries included; nil: unlimited.
    public let request: Duration?
    /// Longest time without a byte in either direction on a running exchange.
    public let streamIdle: Duration
}

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
}

/// One address of a cluster.
public struct Endpoint: Sendable, Equatable, Hashable {
    /// IP literal and port.
    public let address: SocketAddress
}
