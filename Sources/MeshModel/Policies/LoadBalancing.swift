// Which of a cluster's healthy endpoints takes a request.

/// How a cluster's requests are spread.
public struct LoadBalancing: Sendable, Equatable {
    public enum Algorithm: String, Sendable, CaseIterable {
        /// The better of two random endpoints by latency (peak EWMA) times requests in flight.
        case peakEWMA
        /// The better of two random endpoints by requests in flight.
        case leastRequest
        case roundRobin
        case random
        /// By a hash of the request, on a ring; needs `hash`.
        case ringHash
        /// By a hash of the request, in Maglev's table; needs `hash`.
        case maglev
    }

    public let algorithm: Algorithm
    /// What of a request is hashed; a request without it is balanced at random.
    public let hash: HashSource?
    public let slowStart: SlowStart?
    public let locality: LocalityPreference

    /// Peak EWMA with locality preferred.
    public static let `default` = LoadBalancing()

    /// Makes a policy; traps when a hashing algorithm has no `hash`, or another one has.
    public init(
        algorithm: Algorithm = .peakEWMA,
        hash: HashSource? = nil,
        slowStart: SlowStart? = nil,
        locality: LocalityPreference = .zoneThenRegion
    ) {
        precondition((hash != nil) == algorithm.hashes)
        self.algorithm = algorithm
        self.hash = hash
        self.slowStart = slowStart
        self.locality = locality
    }
}

extension LoadBalancing.Algorithm {
    /// Whether it chooses by a hash of the request.
    public var hashes: Bool { self == .ringHash || self == .maglev }
}

/// What of a request stands for its sender.
public enum HashSource: Sendable, Equatable {
    /// A header field, lower case.
    case header(String)
    /// A cookie's value.
    case cookie(String)
    /// The path without the query.
    case path
    /// The caller's address; useful where callers are not applications of this machine.
    case address
}

/// A new or returned endpoint gets less at first: its weight times max(`weightMin`, t / window).
public struct SlowStart: Sendable, Equatable {
    public let window: Duration
    public let weightMin: Share

    /// Makes a slow start; traps when a part is out of range.
    public init(window: Duration, weightMin: Share = Share(percent: 10)) {
        precondition(window.isTimeLimit)
        precondition(weightMin.millionths > 0)
        self.window = window
        self.weightMin = weightMin
    }
}

/// Which endpoints come first by where they are.
public enum LocalityPreference: String, Sendable, CaseIterable {
    /// Those of the proxy's own zone, then of its region, then all: each level takes as much as its
    /// healthy share, times 1.4, covers.
    case zoneThenRegion
    /// All are equal.
    case none
}

/// Where something runs; both parts may be empty, which means unknown.
public struct Locality: Sendable, Hashable {
    public let region: String
    public let zone: String

    /// Nothing is known.
    public static let unknown = Locality(region: "", zone: "")

    /// Makes a locality; traps when a part is neither empty nor a name.
    public init(region: String, zone: String) {
        precondition(region.isEmpty || Syntax.name.isValid(region))
        precondition(zone.isEmpty || Syntax.name.isValid(zone))
        self.region = region
        self.zone = zone
    }
}

/// A bound on running requests that follows latency: a gradient on the least round trip seen; opt-in.
public struct AdaptiveConcurrency: Sendable, Equatable {
    /// Where it starts and the range it stays in, `Limits.concurrency`.
    public let initial: Int
    public let min: Int
    public let max: Int

    /// Makes a bound; traps when the parts are out of range or order.
    public init(initial: Int = 20, min: Int = 5, max: Int = 1_024) {
        precondition(Limits.concurrency.contains(min) && Limits.concurrency.contains(max))
        precondition((min...max).contains(initial))
        self.initial = initial
        self.min = min
        self.max = max
    }
}
