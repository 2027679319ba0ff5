// What may be tried again, how often and when. The defaults retry only what provably did no work.

/// How failed attempts of a route's exchanges are repeated.
public struct RetryPolicy: Sendable, Equatable {
    /// What makes an attempt worth repeating, beside what is always safe.
    ///
    /// Always safe are a connection that could not be made, a request the endpoint refused unseen,
    /// and an idempotent request on a pooled connection that turned out closed.
    public struct Conditions: OptionSet, Sendable, Hashable {
        /// The bits of the conditions.
        public let rawValue: UInt8

        /// The connection ended or was reset before the response's head.
        public static let reset = Conditions(rawValue: 1 << 0)
        /// The attempt took longer than `perTryTimeout`.
        public static let perTryTimeout = Conditions(rawValue: 1 << 1)

        /// Makes a set of its bits.
        public init(rawValue: UInt8) { self.rawValue = rawValue }
    }

    /// Attempts after the first; 0 switches even the safe ones off, `Limits.retries`.
    public let attempts: Int
    /// Failures without a response that are repeated.
    public let conditions: Conditions
    /// Statuses of responses that are repeated, 400...599, each once, ascending.
    public let statuses: [Int]
    /// gRPC codes of responses without messages (trailers only) that are repeated, 1...16, each
    /// once, ascending.
    public let grpcCodes: [Int]
    /// Whether `conditions`, `statuses` and `grpcCodes` hold for methods that are not idempotent
    /// too; a request with `Idempotency-Key` counts as idempotent anyway.
    public let retriesNonIdempotent: Bool
    /// The wait before a retry.
    public let backoff: Backoff
    /// Longest time for one attempt, to the response's head; nil: no limit.
    public let perTryTimeout: Duration?
    /// A second attempt beside a slow first one; nil: none.
    public let hedge: Hedge?
    /// Longest `Retry-After` or gRPC push-back that is waited for; an endpoint that asks for more is
    /// not asked again.
    public let retryAfterMax: Duration
    /// Bytes of request body kept for another attempt, `Limits.replayBytes`.
    public let replayBytesMax: Int

    /// Two more attempts, of what is safe only.
    public static let `default` = RetryPolicy()

    /// Makes a policy; traps when a part is out of range.
    public init(
        attempts: Int = 2,
        conditions: Conditions = [],
        statuses: [Int] = [],
        grpcCodes: [Int] = [],
        retriesNonIdempotent: Bool = false,
        backoff: Backoff = .default,
        perTryTimeout: Duration? = nil,
        hedge: Hedge? = nil,
        retryAfterMax: Duration = .seconds(1),
        replayBytesMax: Int = 65_536
    ) {
        precondition(Limits.retries.contains(attempts))
        precondition(statuses.allSatisfy(Limits.retryStatus.contains))
        precondition(grpcCodes.allSatisfy(Limits.grpcFailure.contains))
        precondition(perTryTimeout.map(\.isTimeLimit) ?? true)
        precondition(retryAfterMax == .zero || retryAfterMax.isTimeLimit)
        precondition(Limits.replayBytes.contains(replayBytesMax))
        self.attempts = attempts
        self.conditions = conditions
        self.statuses = Set(statuses).sorted()
        self.grpcCodes = Set(grpcCodes).sorted()
        self.retriesNonIdempotent = retriesNonIdempotent
        self.backoff = backoff
        self.perTryTimeout = perTryTimeout
        self.hedge = hedge
        self.retryAfterMax = retryAfterMax
        self.replayBytesMax = replayBytesMax
    }

    /// Whether it repeats more than what is always safe.
    ///
    /// The layer that does so owns the request's retries, and layers below it leave them alone.
    public var ownsRetries: Bool {
        attempts > 0
            && (!conditions.isEmpty || !statuses.isEmpty || !grpcCodes.isEmpty || hedge != nil)
    }
}

/// Waiting before the n-th retry: uniform in [0, min((2^n − 1) · base, max)].
public struct Backoff: Sendable, Equatable {
    /// `Limits.backoff`.
    public let base: Duration
    /// At least `base`.
    public let max: Duration

    /// 25 ms to 250 ms, as Envoy.
    public static let `default` = Backoff()

    /// Makes a backoff; traps when a part is out of range.
    public init(base: Duration = .milliseconds(25), max: Duration = .milliseconds(250)) {
        precondition(Limits.backoff.contains(base) && base.isTimeLimit)
        precondition(Limits.backoff.contains(max) && max.isTimeLimit && max >= base)
        self.base = base
        self.max = max
    }
}

/// Sends a safe request (RFC 9110 §9.2.1) once more, to another endpoint, when an attempt is slow.
///
/// The first final response wins, the other attempts are cancelled. Costs budget as a retry does.
public struct Hedge: Sendable, Equatable {
    /// After this without a response's head.
    public let delay: Duration
    /// Additional attempts at most, 1...3.
    public let attempts: Int

    /// Makes a hedge; traps when a part is out of range.
    public init(delay: Duration, attempts: Int = 1) {
        precondition(delay.isTimeLimit)
        precondition(Limits.hedges.contains(attempts))
        self.delay = delay
        self.attempts = attempts
    }
}

/// The most retries a cluster's callers make, over all workers of a proxy.
public struct RetryBudget: Sendable, Equatable {
    /// Retries in `window` against requests in it.
    public let share: Share
    /// Counting window, `Limits.budgetWindow`.
    public let window: Duration
    /// Retries per second that are always allowed, `Limits.budgetFloor`.
    public let perSecond: Int

    /// 20 % over 10 s and 10 per second.
    public static let `default` = RetryBudget()

    /// Makes a budget; traps when a part is out of range.
    public init(
        share: Share = Share(percent: 20),
        window: Duration = .seconds(10),
        perSecond: Int = 10
    ) {
        precondition(Limits.budgetWindow.contains(window) && window.isTimeLimit)
        precondition(Limits.budgetFloor.contains(perSecond))
        self.share = share
        self.window = window
        self.perSecond = perSecond
    }
}
