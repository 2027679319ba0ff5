public import Time

/// What went wrong with one attempt, as far as retrying is concerned.
public enum AttemptFailure: Sendable, Hashable {
    /// No connection could be established: the request was not sent.
    case connect
    /// The endpoint said that it did nothing with the request: REFUSED_STREAM, or a GOAWAY that
    /// leaves the stream out (RFC 9113 §8.7).
    case refused
    /// The connection or the stream ended before any byte of the response.
    case closedBeforeResponse(connectionWasReused: Bool)
    /// The policy's time for one attempt passed before the response's head.
    case perTryTimeout
    /// A response with this status, of which nothing was passed on.
    case response(status: Int)
    /// A gRPC response without messages and with this code, of which nothing was passed on.
    case grpc(code: Int)
    /// Anything after the first byte of the response was passed on, or another time limit.
    case other

    /// Whether the endpoint certainly did nothing with the request.
    public var provesNoWork: Bool {
        switch self {
        case .connect, .refused: true
        case .closedBeforeResponse, .perTryTimeout, .response, .grpc, .other: false
        }
    }
}

/// Why there is no further attempt.
public enum RetryRefusal: Sendable, Hashable, CaseIterable {
    /// The policy does not name this failure.
    case notRetryable
    /// As many attempts were made as the policy has.
    case attempts
    /// The application may have acted on it, and acting twice may do harm.
    case nonIdempotent
    /// The body, or a part of it, is no longer at hand.
    case replay
    /// A layer above repeats this request, and storms begin with two of them.
    case ownedAbove
    /// The cluster's callers repeat too much already.
    case budget
    /// The time is over before the next attempt would begin.
    case deadline
    /// The endpoint asked not to be asked again, or to be left alone for longer than we wait.
    case pushback

    /// As metrics, logs and explanations call it.
    public var label: StaticString {
        switch self {
        case .notRetryable: "not_retryable"
        case .attempts: "attempts"
        case .nonIdempotent: "non_idempotent"
        case .replay: "replay"
        case .ownedAbove: "owned_above"
        case .budget: "budget"
        case .deadline: "deadline"
        case .pushback: "pushback"
        }
    }
}

/// Whether there is another attempt, and when.
public enum RetryDecision: Sendable, Hashable {
    /// After so long; the budget has been charged.
    case retry(afterNanoseconds: UInt64)
    case refused(RetryRefusal)
}

/// What must be known of an exchange to decide on another attempt.
public struct RetryFacts: Sendable {
    /// Attempts made so far, hedges included; at least 1.
    public var attempts: Int
    /// The method is idempotent (RFC 9110 §9.2.2).
    public var isIdempotent: Bool
    /// The method is safe (RFC 9110 §9.2.1).
    public var isSafe: Bool
    /// The request has an `Idempotency-Key`, and so may be repeated whatever its method.
    public var hasIdempotencyKey: Bool
    /// Every body byte sent so far is still at hand.
    public var canReplay: Bool
    /// The request arrived with `mesh-attempt`.
    public var isOwnedAbove: Bool
    /// What the failed response asked for.
    public var advice: RetryAdvice
    /// When the whole exchange is over; `distantFuture` when there is no limit.
    public var deadline: MonotonicTime

    /// The facts of an exchange.
    public init(
        attempts: Int,
        isIdempotent: Bool,
        isSafe: Bool,
        hasIdempotencyKey: Bool,
        canReplay: Bool,
        isOwnedAbove: Bool,
        advice: RetryAdvice,
        deadline: MonotonicTime
    ) {
        self.attempts = attempts
        self.isIdempotent = isIdempotent
        self.isSafe = isSafe
        self.hasIdempotencyKey = hasIdempotencyKey
        self.canReplay = canReplay
        self.isOwnedAbove = isOwnedAbove
        self.advice = advice
        self.deadline = deadline
    }

    /// Whether acting on the request twice does no harm.
    var isRepeatable: Bool { isIdempotent || hasIdempotencyKey }
}
