// Which of a cluster's healthy endpoints takes a request.

/// How a cluster's requests are spread.
public struct LoadBalancing: Sendable, Equatable {
    /// How an endpoint is chosen.
    public enum Algorithm: String, Sendable, CaseIterable {
        /// The better of two random endpoints by latency (peak EWMA) times requests in flight.
        case peakEWMA
        /// The better of two random endpoints by requests in flight.
        case leastRequest
        /// One after another, smoothly by weight.
        case roundRobin
        /// Any, by weight.
        case random
        /// By a hash of the request, on a ring; needs `hash`.
        case ringHash
        /// By a hash of the request, in Maglev's table; needs `hash`.
        case maglev
    }

    /// How an endpoint is chosen.
    public let algorithm: Algorithm
    /// What of a request is hashed; a request without it is balanced at random.
    public let hash: HashSource?
    /// Less for new endpoints; nil: their weight at once.
    public let slowStart: SlowStart?
    /// Whether near endpoints come first.
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
        switch hash {
        case .header(let name)?: precondition(Syntax.fieldName.isValid(name))
        case .cookie(let name)?: precondition(Syntax.cookieName.isValid(name))
        case .path?, .address?, nil: break
        }
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

/// What of a request is hashed.
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
    /// How long it gets less.
    public let window: Duration
    /// Its least part of its weight, above 0.
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
    /// `eu-west-1`.
    public let region: String
    /// `eu-west-1a`.
    public let zone: String

    /// Nothing is known.
    public static let unknown = Locality(region: "", zone: "")

    /// Makes a locality; traps when a part is neither empty nor a name.
    public init(region: String, zone: String) {
        precondition(Syntax.localityPart.isValid(region))
        precondition(Syntax.localityPart.isValid(zone))
        self.region = region
        self.zone = zone
    }
}

/// A bound on running requests that follows latency: a gradient on the least round trip seen.
///
/// Opt-in: a service whose latency depends on what is asked does not fit it.
public struct AdaptiveConcurrency: Sendable, Equatable {
    /// Where it starts, between `min` and `max`.
    public let initial: Int
    /// Never below, `Limits.concurrency`.
    public let min: Int
    /// Never above, `Limits.concurrency`.
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
