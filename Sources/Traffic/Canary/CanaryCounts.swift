import MeshModel

/// What one side of a canary did over some time: requests, failures and how long they took.
///
/// A failure is what the caller saw as one: no response, or a status of 500 and above. A client that
/// went away counts nowhere.
public struct CanaryCounts: Sendable, Hashable, Codable {
    /// Latency buckets: eight up to 250 µs, eight in each of 17 octaves up to 32.768 s, so that bounds
    /// are at most an eighth apart, and one beyond.
    public static let bucketCount = 145
    /// Width of the first buckets.
    static let unitNanoseconds: UInt64 = 31_250

    /// Requests that ended.
    public private(set) var requests: UInt64
    /// Those of them that failed.
    public private(set) var failures: UInt64
    /// Requests per latency bucket, not cumulative; `bucketCount` of them.
    public private(set) var buckets: [UInt64]
    /// Sum of all latencies.
    public private(set) var nanoseconds: UInt64

    /// Nothing happened.
    public static let none = CanaryCounts()

    /// Makes counts; nil unless there are `bucketCount` buckets and no more failures than requests.
    public init?(requests: UInt64, failures: UInt64, buckets: [UInt64], nanoseconds: UInt64) {
        guard buckets.count == Self.bucketCount, failures <= requests else { return nil }
        self.requests = requests
        self.failures = failures
        self.buckets = buckets
        self.nanoseconds = nanoseconds
    }

    /// Reads what was saved; what an earlier release saved has its latencies in buckets too wide to
    /// compare, and goes on without them.
    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        requests = try values.decode(UInt64.self, forKey: .requests)
        failures = try values.decode(UInt64.self, forKey: .failures)
        buckets = try values.decode([UInt64].self, forKey: .buckets)
        nanoseconds = try values.decode(UInt64.self, forKey: .nanoseconds)
        guard buckets.count == TrafficCount.coarseBucketCount else { return }
        buckets = Self.none.buckets
        nanoseconds = 0
    }

    private init() {
        requests = 0
        failures = 0
        buckets = Array(repeating: 0, count: Self.bucketCount)
        nanoseconds = 0
    }

    /// Whether the parts fit together, which decoding does not know.
    var isConsistent: Bool { buckets.count == Self.bucketCount && failures <= requests }

    /// Adds what happened since; numbers out of range stay at their largest.
    public mutating func add(_ other: CanaryCounts) {
        requests = saturating(requests, other.requests)
        failures = saturating(failures, other.failures)
        nanoseconds = saturating(nanoseconds, other.nanoseconds)
        for index in buckets.indices {
            buckets[index] = saturating(buckets[index], other.buckets[index])
        }
    }

    /// What was counted since `earlier`, when nothing in these counters ever goes down.
    ///
    /// A number that did go down counts as unchanged: rather lose requests than count them twice.
    public func since(_ earlier: CanaryCounts) -> CanaryCounts {
        var delta = CanaryCounts()
        delta.requests = requests > earlier.requests ? requests - earlier.requests : 0
        let failed = failures > earlier.failures ? failures - earlier.failures : 0
        delta.failures = min(failed, delta.requests)
        delta.nanoseconds =
            nanoseconds > earlier.nanoseconds ? nanoseconds - earlier.nanoseconds : 0
        for index in buckets.indices where buckets[index] > earlier.buckets[index] {
            delta.buckets[index] = buckets[index] - earlier.buckets[index]
        }
        return delta
    }

    /// The larger of each number: how far monotonic counters have come.
    public func highest(_ other: CanaryCounts) -> CanaryCounts {
        var highest = self
        highest.requests = max(requests, other.requests)
        highest.failures = max(failures, other.failures)
        highest.nanoseconds = max(nanoseconds, other.nanoseconds)
        for index in buckets.indices {
            highest.buckets[index] = max(buckets[index], other.buckets[index])
        }
        return highest
    }

    /// Share of requests that did not fail; nil without requests.
    public var successRate: Double? {
        requests == 0 ? nil : Double(requests - failures) / Double(requests)
    }

    /// Mean latency; nil without requests.
    public var meanNanoseconds: Double? {
        let timed = timedRequests
        return timed == 0 ? nil : Double(nanoseconds) / timed
    }

    /// The latency that `share` of the requests stay within, from the buckets; nil without any.
    ///
    /// Within its bucket it is a guess, a straight line; beyond the last bound, that bound.
    public func quantile(_ share: Double) -> Double? {
        let timed = timedRequests
        guard timed > 0 else { return nil }
        let rank = min(max(share, 0), 1) * timed
        var below = 0.0
        for (index, count) in buckets.enumerated() where count > 0 {
            let bucket = Double(count)
            if below + bucket >= rank {
                guard index < Self.bucketCount - 1 else { return Self.bound(index - 1) }
                let lower = index == 0 ? 0 : Self.bound(index - 1)
                return lower + (Self.bound(index) - lower) * (rank - below) / bucket
            }
            below += bucket
        }
        return Self.bound(Self.bucketCount - 2)
    }

    /// Requests beyond `latency` by the same straight line; without a guess only whole buckets.
    func slower(than latency: Double, wholeBucketsOnly: Bool) -> Double {
        var slower = 0.0
        for (index, count) in buckets.enumerated() where count > 0 {
            let lower = index == 0 ? 0 : Self.bound(index - 1)
            if lower >= latency {
                slower += Double(count)
            } else if !wholeBucketsOnly, index < Self.bucketCount - 1,
                Self.bound(index) > latency
            {
                let upper = Self.bound(index)
                slower += Double(count) * (upper - latency) / (upper - lower)
            }
        }
        return slower
    }

    /// Requests with a latency; the same as `requests` but for what was lost on the way.
    var timedRequests: Double { buckets.reduce(0) { $0 + Double($1) } }

    /// Upper bound of bucket `index` in nanoseconds; the last has none.
    static func bound(_ index: Int) -> Double {
        guard index >= 8 else { return Double(unitNanoseconds) * Double(index + 1) }
        return Double(unitNanoseconds * UInt64(index % 8 + 9) << UInt64(index / 8 - 1))
    }
}

private func saturating(_ left: UInt64, _ right: UInt64) -> UInt64 {
    let (sum, overflow) = left.addingReportingOverflow(right)
    return overflow ? .max : sum
}
