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
    /// What becomes of intercepted connections to none of `services`.
    public let unknownDestinations: UnknownDestinations
    /// Where the workload runs.
    public let locality: Locality
    /// Nil: nothing is shed.
    public let loadShedding: LoadShedding?

    /// Makes a snapshot; throws everything that does not fit together.
    public init(
        version: UInt64,
        trustDomain: TrustDomain,
        workload: SPIFFEID,
        trustBundle: [String],
        inbound: InboundService,
        services: [VirtualService],
        clusters: [Cluster],
        unknownDestinations: UnknownDestinations = .pass,
        locality: Locality = .unknown,
        loadShedding: LoadShedding? = .default
    ) throws(ConfigErrors) {
        self.version = version
        self.trustDomain = trustDomain
        self.workload = workload
        self.trustBundle = trustBundle
        self.inbound = inbound
        self.services = services
        self.clusters = clusters
        self.unknownDestinations = unknownDestinations
        self.locality = locality
        self.loadShedding = loadShedding
        let problems = crossReferenceErrors()
        guard problems.isEmpty else { throw ConfigErrors(problems) }
    }

    /// The same mesh as version `version`.
    public func numbered(_ version: UInt64) -> MeshSnapshot {
        MeshSnapshot(self, version: version)
    }

    /// The service that applications call as `host` at `port`; nil when there is none.
    public func service(host: String, port: UInt16) -> VirtualService? {
        services.first { $0.port == port && $0.hosts.contains(host) }
    }

    /// A copy needs no check: no relation between the parts involves the version.
    private init(_ other: MeshSnapshot, version: UInt64) {
        self.version = version
        trustDomain = other.trustDomain
        workload = other.workload
        trustBundle = other.trustBundle
        inbound = other.inbound
        services = other.services
        clusters = other.clusters
        unknownDestinations = other.unknownDestinations
        locality = other.locality
        loadShedding = other.loadShedding
    }
}

/// The local application as the inbound listener sees it.
public struct InboundService: Sendable, Equatable {
    /// The service's name for metrics and logs.
    public let name: String
    /// Time limits of exchanges to the application.
    public let timeouts: RouteTimeouts
    /// Bounds on the connections and requests towards the application.
    public let limits: ClusterLimits
    /// What the application speaks, on every port that is not among `ports`; `auto`: as the caller
    /// spoke to its own proxy.
    public let `protocol`: ServiceProtocol
    /// What it speaks on ports that are known one by one.
    public let ports: [InboundPort]
    /// Checked in order; each must have room.
    public let rateLimits: [RateLimit]
    /// The first that matches counts; none: `normal`.
    public let priorities: [PriorityRule]
    /// A bound on running requests that follows latency; nil: `limits` alone.
    public let adaptiveConcurrency: AdaptiveConcurrency?

    /// Makes an inbound service; traps when `name` breaks `Syntax.name` or a count its bound.
    public init(
        name: String,
        timeouts: RouteTimeouts = .default,
        limits: ClusterLimits = .default,
        protocol: ServiceProtocol = .auto,
        ports: [InboundPort] = [],
        rateLimits: [RateLimit] = [],
        priorities: [PriorityRule] = [],
        adaptiveConcurrency: AdaptiveConcurrency? = nil
    ) {
        precondition(Syntax.name.isValid(name))
        precondition(ports.count <= Limits.inboundPortsMax)
        precondition(rateLimits.count <= Limits.rateLimitsMax)
        precondition(priorities.count <= Limits.prioritiesMax)
        self.name = name
        self.timeouts = timeouts
        self.limits = limits
        self.protocol = `protocol`
        self.ports = ports
        self.rateLimits = rateLimits
        self.priorities = priorities
        self.adaptiveConcurrency = adaptiveConcurrency
    }

    /// What the application speaks on `port`: with interception the original one, else the one of
    /// its configured address.
    public func `protocol`(ofPort port: UInt16) -> ServiceProtocol {
        ports.first { $0.port == port }?.protocol ?? `protocol`
    }
}

/// A port of the local application.
public struct InboundPort: Sendable, Equatable {
    /// The application's own port, which peers name too.
    public let port: UInt16
    /// What the application speaks there.
    public let `protocol`: ServiceProtocol

    /// Makes a port; traps when `port` is 0.
    public init(port: UInt16, protocol: ServiceProtocol = .auto) {
        precondition(port != 0)
        self.port = port
        self.protocol = `protocol`
    }
}

/// A callable service: its host names and its routes in the order they are tried.
public struct VirtualService: Sendable, Equatable {
    /// The name for metrics and logs, `orders.default`.
    public let name: String
    /// Lower-case host names without port that address it; unique in a snapshot for each port.
    public let hosts: [String]
    /// The port callers name; a `Host` without a port matches too.
    public let port: UInt16
    /// In the order tried: first match wins; the last one may match everything.
    ///
    /// Opaque connections take the first that matches everything; with `tcp` there is no other.
    public let routes: [Route]
    /// What callers speak; `http1` and `http2` both mean HTTP, of which a connection's first bytes
    /// tell the version.
    public let `protocol`: ServiceProtocol
    /// Addresses that stand for the service alone: names resolve to them, and an intercepted
    /// connection to one of them is for this service.
    ///
    /// No packet with such a destination leaves the machine.
    public let addresses: [IPAddress]

    /// Makes a service; traps when a name breaks its syntax or a count its bound.
    public init(
        name: String,
        hosts: [String],
        port: UInt16,
        routes: [Route],
        protocol: ServiceProtocol = .auto,
        addresses: [IPAddress] = []
    ) {
        precondition(Syntax.name.isValid(name))
        precondition(hosts.allSatisfy(Syntax.host.isValid))
        precondition((1...Limits.hostsMax).contains(hosts.count))
        precondition(Limits.port.contains(Int(port)))
        precondition((1...Limits.routesMax).contains(routes.count))
        precondition(addresses.count <= Limits.addressesMax)
        self.name = name
        self.hosts = hosts
        self.port = port
        self.routes = routes
        self.protocol = `protocol`
        self.addresses = addresses
    }
}

/// Match, policies and weighted clusters.
public struct Route: Sendable, Equatable {
    /// Stable name for metrics, `orders/0`: manifest name and rule index.
    ///
    /// The matches of one rule are routes of the same name, which share schedule and limits.
    public let name: String
    /// All of these must hold.
    public let match: RouteMatch
    /// Weights 0...1_000_000, not all of them 0; empty only where `filters.redirect` answers.
    public let backends: [WeightedCluster]
    /// Time limits of an exchange on this route.
    public let timeouts: RouteTimeouts
    /// How failed attempts are repeated.
    public let retry: RetryPolicy
    /// What it changes or answers itself.
    public let filters: RouteFilters
    /// What is done when no endpoint can take a request; nil: a local reply says so.
    public let fallback: Fallback?
    /// What keeps a caller on its backend; nil: the weights alone decide.
    public let stickiness: Stickiness?
    /// Failures made on purpose; the first that matches a request is made.
    public let faults: [Fault]
    /// Checked in order; each must have room.
    ///
    /// Limits of one name are one limit for all routes of a service.
    public let rateLimits: [RateLimit]
    /// What goes first when the worker is overloaded.
    public let priority: Priority

    /// Makes a route; traps when `name` breaks its syntax or a count its bound.
    public init(
        name: String,
        match: RouteMatch = .everything,
        backends: [WeightedCluster],
        timeouts: RouteTimeouts = .default,
        retry: RetryPolicy = .default,
        filters: RouteFilters = .none,
        fallback: Fallback? = nil,
        stickiness: Stickiness? = nil,
        faults: [Fault] = [],
        rateLimits: [RateLimit] = [],
        priority: Priority = .normal
    ) {
        precondition(Syntax.name.isValid(name))
        precondition(backends.count <= Limits.backendsMax)
        precondition(backends.isEmpty == (filters.redirect != nil))
        precondition(stickiness?.isValid ?? true)
        precondition(faults.count <= Limits.faultsMax)
        precondition(rateLimits.count <= Limits.rateLimitsMax)
        self.name = name
        self.match = match
        self.backends = backends
        self.timeouts = timeouts
        self.retry = retry
        self.filters = filters
        self.fallback = fallback
        self.stickiness = stickiness
        self.faults = faults
        self.rateLimits = rateLimits
        self.priority = priority
    }
}

/// A share of a route's traffic.
public struct WeightedCluster: Sendable, Equatable {
    /// Name of a cluster in the same snapshot.
    public let cluster: String
    /// 0...1_000_000; its share is weight over the sum of the route's weights.
    public let weight: UInt32

    /// Makes a share; traps when a part is out of range.
    public init(cluster: String, weight: UInt32 = 1) {
        precondition(Syntax.name.isValid(cluster))
        precondition(Limits.weight.contains(Int(weight)))
        self.cluster = cluster
        self.weight = weight
    }
}

/// Time limits of one exchange, or of one opaque connection.
public struct RouteTimeouts: Sendable, Equatable {
    /// From the request's head to the response's last byte, retries included; nil: unlimited.
    public let request: Duration?
    /// Longest time without a byte in either direction on a running exchange.
    public let streamIdle: Duration
    /// Longest time without a byte in either direction on an opaque connection.
    ///
    /// Applications pool connections to databases and expect to find them alive.
    public let tcpIdle: Duration

    /// No limit on the whole exchange, since one nobody asked for cuts long streams; five minutes
    /// of silence on an exchange, an hour on an opaque connection.
    public static let `default` = RouteTimeouts()

    /// Makes time limits; traps outside `Limits.timeout` or on a part of a millisecond.
    public init(
        request: Duration? = nil,
        streamIdle: Duration = .seconds(300),
        tcpIdle: Duration = .seconds(3_600)
    ) {
        precondition(request.map(\.isTimeLimit) ?? true)
        precondition(streamIdle.isTimeLimit)
        precondition(tcpIdle.isTimeLimit)
        self.request = request
        self.streamIdle = streamIdle
        self.tcpIdle = tcpIdle
    }
}
