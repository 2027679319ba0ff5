// How much may be asked, and what goes first when not all can be served.

/// A token bucket of a route or a service, held by each proxy for itself.
public struct RateLimit: Sendable, Equatable {
    /// What has a bucket of its own.
    public enum Key: Sendable, Equatable {
        /// All requests share one.
        case all
        /// Each caller's SPIFFE ID; callers without share one.
        case caller
        /// Each value of a header field (lower case); requests without share one.
        case header(String)
        /// Each caller's IP address.
        case address
    }

    /// Names it in answers, metrics and explanations; unique in its list.
    public let name: String
    /// Requests it counts; empty: all.
    public let matches: [RouteMatch]
    /// What has a bucket of its own.
    public let key: Key
    /// Requests in `period`, `Limits.rate`.
    public let requests: Int
    /// The time in which `requests` flow back.
    public let period: Duration
    /// Requests at once after a rest, at least 1; `requests` unless said otherwise.
    public let burst: Int

    /// Makes a limit; traps when a part is out of range.
    public init(
        name: String,
        matches: [RouteMatch] = [],
        key: Key = .all,
        requests: Int,
        period: Duration = .seconds(1),
        burst: Int? = nil
    ) {
        precondition(Syntax.name.isValid(name))
        precondition(matches.count <= Limits.policyMatchesMax)
        if case .header(let field) = key { precondition(Syntax.fieldName.isValid(field)) }
        precondition(Limits.rate.contains(requests) && Limits.rate.contains(burst ?? requests))
        precondition(period.isTimeLimit)
        self.name = name
        self.matches = matches
        self.key = key
        self.requests = requests
        self.period = period
        self.burst = burst ?? requests
    }
}

/// What goes first when a worker is overloaded.
public enum Priority: String, Sendable, CaseIterable, Comparable {
    /// Refused first.
    case sheddable
    /// What is not said to be another.
    case normal
    /// Refused last.
    case critical

    /// Whether `left` is refused before `right`.
    public static func < (left: Priority, right: Priority) -> Bool { left.rank < right.rank }

    /// 0 for `sheddable` to 2 for `critical`.
    public var rank: Int {
        switch self {
        case .sheddable: 0
        case .normal: 1
        case .critical: 2
        }
    }
}

/// The priority of a service's requests, by what they look like.
public struct PriorityRule: Sendable, Equatable {
    /// Requests it is for; empty: all.
    public let matches: [RouteMatch]
    /// The priority they get.
    public let priority: Priority

    /// Makes a rule, for every request without `matches`; traps when there are too many.
    public init(matches: [RouteMatch] = [], priority: Priority) {
        precondition(matches.count <= Limits.policyMatchesMax)
        self.matches = matches
        self.priority = priority
    }
}

/// Refusing early what a worker is too late to serve.
///
/// A worker is overloaded while what it reads has waited longer than `target` during all of `interval`
/// (CoDel's test, RFC 8289 §3).
public struct LoadShedding: Sendable, Equatable {
    /// Waiting that is no overload.
    public let target: Duration
    /// How long more waiting must last to be one, at least `target`.
    public let interval: Duration

    /// 100 ms during a second: a worker that late serves callers that have left.
    public static let `default` = LoadShedding()

    /// Makes a policy; traps when a part is out of range.
    public init(target: Duration = .milliseconds(100), interval: Duration = .seconds(1)) {
        precondition(target.isTimeLimit && interval.isTimeLimit && interval >= target)
        self.target = target
        self.interval = interval
    }
}
