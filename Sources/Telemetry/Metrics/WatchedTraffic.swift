/// What the outbound requests of some routes to one cluster came to, over all workers merged so far.
public struct WatchedTraffic: Sendable, Equatable {
    /// Requests that ended; those whose downstream left are nobody's success or failure.
    public private(set) var requests: UInt64 = 0
    /// Those without a response, with a status of 500 and above, or with a failed call in it.
    public private(set) var failures: UInt64 = 0
    /// Sum of all durations, those of downstreams that left included.
    public private(set) var nanoseconds: UInt64 = 0
    /// Requests per bucket of `PreciseDurations`, not cumulative, the last without a bound; only those
    /// made since their series is watched.
    public private(set) var buckets: [UInt64]

    fileprivate init() {
        buckets = Array(repeating: 0, count: PreciseDurations.bucketCount)
    }

    fileprivate mutating func add(_ series: RequestSeriesSnapshot) {
        for (outcome, count) in series.outcomes where !outcome.isAbandoned {
            requests &+= count
            if outcome.isFailure { failures &+= count }
        }
        failures = min(failures &+ series.failedCalls, requests)
        nanoseconds &+= series.duration.sum
        for (index, count) in series.precise.enumerated() { buckets[index] &+= count }
    }
}

extension RequestSeriesKey {
    /// The keys of outbound requests to `cluster` of `service` by one of `routes`.
    public static func outbound(
        service: String,
        cluster: String,
        routes: [String]
    ) -> Set<RequestSeriesKey> {
        Set(
            routes.map {
                RequestSeriesKey(
                    direction: .outbound,
                    service: service,
                    route: $0,
                    cluster: cluster
                )
            }
        )
    }
}

extension MetricsSnapshot {
    /// The numbers of outbound requests to `cluster` of `service` by one of `routes`.
    public func watchedTraffic(
        service: String,
        cluster: String,
        routes: [String]
    ) -> WatchedTraffic {
        var traffic = WatchedTraffic()
        let keys = RequestSeriesKey.outbound(service: service, cluster: cluster, routes: routes)
        for key in keys {
            if let series = requests[key] { traffic.add(series) }
        }
        return traffic
    }
}

extension RequestOutcome {
    /// Whether the downstream left, which says nothing of the upstream.
    fileprivate var isAbandoned: Bool {
        packed >> 16 & 0xFF == UInt32(ResponseFlag.downstreamClosed.rawValue)
    }

    /// Whether the caller saw a failure: no response, or one that says so.
    fileprivate var isFailure: Bool {
        let status = packed & 0xFFFF
        return status == 0 || status >= 500
    }
}
