// Whether a failed attempt is made again, and when.
//
// Two kinds of retries:
// - Always safe, at every hop, as long as the policy has attempts at all: the connection was not made,
//   the endpoint refused the request unseen, or a pooled connection turned out closed under a request
//   that may be repeated. The first of them goes out at once.
// - By policy (statuses, gRPC codes, resets, per-try timeouts, hedges): only for requests that may be
//   repeated, unless the policy says otherwise, and only in the outermost layer that has a policy.
//
// The budget is asked last, so that a refusal for any other reason costs it nothing.

public import MeshModel
public import Time

/// Decides on further attempts for one route.
public struct RetryDecider: Sendable {
    /// What it obeys.
    public let policy: RetryPolicy
    /// A bit for each status of 400...599.
    private let statuses: InlineArray<4, UInt64>
    /// A bit for each code.
    private let grpcCodes: UInt32
    private let backoffBase: UInt64
    private let backoffMax: UInt64
    private let pushbackMax: UInt64

    /// Compiles `policy`.
    public init(_ policy: RetryPolicy) {
        self.policy = policy
        var statuses = InlineArray<4, UInt64>(repeating: 0)
        for status in policy.statuses {
            statuses[(status - 400) >> 6] |= 1 << UInt64((status - 400) & 63)
        }
        self.statuses = statuses
        grpcCodes = policy.grpcCodes.reduce(0) { $0 | 1 << UInt32($1) }
        backoffBase = policy.backoff.base.nanoseconds
        backoffMax = policy.backoff.max.nanoseconds
        pushbackMax = policy.retryAfterMax.nanoseconds
    }

    /// Whether the policy repeats responses of `status`.
    public func wantsRetry(status: Int) -> Bool {
        guard Limits.retryStatus.contains(status) else { return false }
        return statuses[(status - 400) >> 6] >> UInt64((status - 400) & 63) & 1 != 0
    }

    /// Whether the policy repeats responses with `grpcCode`.
    public func wantsRetry(grpcCode: Int) -> Bool {
        guard Limits.grpcFailure.contains(grpcCode) else { return false }
        return grpcCodes >> UInt32(grpcCode) & 1 != 0
    }

    /// Decides on the attempt after `failure`, and charges `budget` when there is one.
    ///
    /// - `budget`: nil when the cluster has none.
    /// - `worker`: the caller's index, as for `SharedRetryBudget.withdraw`.
    public func decide(
        _ failure: AttemptFailure,
        _ facts: RetryFacts,
        budget: SharedRetryBudget?,
        worker: Int,
        now: MonotonicTime,
        random: inout FastRandom
    ) -> RetryDecision {
        let isSafe = isAlwaysSafe(failure, facts)
        if !isSafe, let refusal = refusalByPolicy(failure, facts) { return .refused(refusal) }
        guard facts.attempts <= policy.attempts else { return .refused(.attempts) }
        guard facts.canReplay else { return .refused(.replay) }

        let wait: UInt64
        switch facts.advice {
        case .never: return .refused(.pushback)
        case .after(let asked):
            guard asked <= pushbackMax else { return .refused(.pushback) }
            // gRPC's push-back is the delay itself (gRFC A6); `Retry-After` is its least, and what
            // was turned away together shall not come back together.
            if case .grpc = failure {
                wait = asked
            } else {
                wait = asked &+ backoff(retry: facts.attempts, random: &random)
            }
        case .none:
            // Nothing was asked of the application, and the next endpoint is another one.
            let isAtOnce = isSafe && facts.attempts <= 1
            wait = isAtOnce ? 0 : backoff(retry: facts.attempts, random: &random)
        }
        guard now.advanced(byNanoseconds: wait) < facts.deadline else { return .refused(.deadline) }
        if let budget, !budget.withdraw(worker: worker, now: now) { return .refused(.budget) }
        return .retry(afterNanoseconds: wait)
    }

    /// Why no further attempt is made beside a slow one; nil: it is, and `budget` has been charged.
    public func refuseHedge(
        _ facts: RetryFacts,
        budget: SharedRetryBudget?,
        worker: Int,
        now: MonotonicTime
    ) -> RetryRefusal? {
        guard let hedge = policy.hedge else { return .notRetryable }
        guard facts.isSafe else { return .nonIdempotent }
        guard !facts.isOwnedAbove else { return .ownedAbove }
        guard facts.attempts <= min(hedge.attempts, policy.attempts) else { return .attempts }
        guard facts.canReplay else { return .replay }
        guard now < facts.deadline else { return .deadline }
        if let budget, !budget.withdraw(worker: worker, now: now) { return .budget }
        return nil
    }

    /// Whether the request provably did no work, or may be repeated by definition.
    private func isAlwaysSafe(_ failure: AttemptFailure, _ facts: RetryFacts) -> Bool {
        switch failure {
        case .connect, .refused: true
        // Idle connections are closed by their peers just as a request leaves; for other methods
        // the application may have acted on it.
        case .closedBeforeResponse(let reused): reused && facts.isRepeatable
        case .perTryTimeout, .response, .grpc, .other: false
        }
    }

    private func refusalByPolicy(_ failure: AttemptFailure, _ facts: RetryFacts) -> RetryRefusal? {
        let mayRepeat = facts.isRepeatable || policy.retriesNonIdempotent
        switch failure {
        case .connect, .refused: return nil
        case .closedBeforeResponse(let reused):
            // That of a reused connection would be repeated if only it might be.
            if reused, !mayRepeat { return .nonIdempotent }
            guard policy.conditions.contains(.reset) else { return .notRetryable }
        case .perTryTimeout:
            guard policy.conditions.contains(.perTryTimeout) else { return .notRetryable }
        case .response(let status):
            guard wantsRetry(status: status) else { return .notRetryable }
        case .grpc(let code):
            guard wantsRetry(grpcCode: code) else { return .notRetryable }
        case .other: return .notRetryable
        }
        guard mayRepeat else { return .nonIdempotent }
        return facts.isOwnedAbove ? .ownedAbove : nil
    }

    /// Uniform in [0, min((2^n − 1) · base, max)] for the n-th retry, as Envoy: callers that failed
    /// together do not come back together.
    func backoff(retry: Int, random: inout FastRandom) -> UInt64 {
        // Past 2^16 every cap is reached: the longest is 60,000 times the shortest base.
        let factor = UInt64(1) << UInt64(min(max(retry, 1), 16)) - 1
        let (product, overflow) = backoffBase.multipliedReportingOverflow(by: factor)
        let bound = overflow ? backoffMax : min(product, backoffMax)
        return UInt64.random(in: 0...bound, using: &random)
    }
}
