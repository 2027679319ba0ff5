// What a controller that runs a canary wants counted, and what a proxy answers. Numbers only ever
// rise for as long as a process lives; whoever takes differences can lose some, never count twice.

/// A part of a proxy's outbound requests that the controller wants to know the numbers of.
public struct TrafficWatch: Sendable, Hashable {
    /// The controller's name for it, repeated in each answer; `Syntax.name`.
    public let name: String
    /// The called service.
    public let service: String
    /// The cluster that the requests went to.
    public let cluster: String
    /// The routes they took.
    public let routes: [String]

    /// Makes a watch; nil when a part breaks its syntax or there are too many routes.
    public init?(name: String, service: String, cluster: String, routes: [String]) {
        guard ([name, service, cluster] + routes).allSatisfy(Syntax.name.isValid),
            routes.count <= Limits.routesMax
        else { return nil }
        self.name = name
        self.service = service
        self.cluster = cluster
        self.routes = routes
    }
}

/// The numbers of a watch since the proxy started.
public struct TrafficCount: Sendable, Hashable {
    /// Latency buckets: eight up to 250 µs, eight in each of 17 octaves, and one beyond.
    public static let bucketCount = 145
    /// What proxies of earlier releases count in: up to 250 µs, doubled 17 times, and beyond.
    public static let coarseBucketCount = 19

    /// The watch's name.
    public let name: String
    /// Requests that ended; those whose client went away are left out.
    public let requests: UInt64
    /// Those of them without a response or with a status of 500 and above.
    public let failures: UInt64
    /// Sum of all durations.
    public let nanoseconds: UInt64
    /// Requests by duration, not cumulative; `bucketCount` of them, or `coarseBucketCount`.
    public let buckets: [UInt64]

    /// Makes a count; nil when a part breaks its syntax or the numbers do not fit together.
    public init?(
        name: String,
        requests: UInt64,
        failures: UInt64,
        nanoseconds: UInt64,
        buckets: [UInt64]
    ) {
        guard Syntax.name.isValid(name), failures <= requests,
            buckets.count == Self.bucketCount || buckets.count == Self.coarseBucketCount
        else { return nil }
        self.name = name
        self.requests = requests
        self.failures = failures
        self.nanoseconds = nanoseconds
        self.buckets = buckets
    }
}
