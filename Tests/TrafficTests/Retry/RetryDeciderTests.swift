import MeshModel
import Testing
import Time

@testable import Traffic

struct RetryDeciderTests {
    private static let now = MonotonicTime(nanoseconds: 1_000_000_000_000)

    private static func facts(
        attempts: Int = 1,
        isIdempotent: Bool = true,
        isSafe: Bool = true,
        hasIdempotencyKey: Bool = false,
        canReplay: Bool = true,
        isOwnedAbove: Bool = false,
        advice: RetryAdvice = .none,
        deadline: MonotonicTime = .distantFuture
    ) -> RetryFacts {
        RetryFacts(
            attempts: attempts,
            isIdempotent: isIdempotent,
            isSafe: isSafe,
            hasIdempotencyKey: hasIdempotencyKey,
            canReplay: canReplay,
            isOwnedAbove: isOwnedAbove,
            advice: advice,
            deadline: deadline
        )
    }

    private func decide(
        _ failure: AttemptFailure,
        _ facts: RetryFacts,
        policy: RetryPolicy = .default,
        budget: SharedRetryBudget? = nil,
        seed: UInt64 = 1
    ) -> RetryDecision {
        var random = FastRandom(seed: seed)
        return RetryDecider(policy).decide(
            failure,
            facts,
            budget: budget,
            worker: 0,
            now: RetryDeciderTests.now,
            random: &random
        )
    }

    private static let all = RetryPolicy(
        attempts: 3,
        conditions: [.reset, .perTryTimeout],
        statuses: [429, 500, 503],
        grpcCodes: [14]
    )
    private static let byPolicy: [AttemptFailure] = [
        .closedBeforeResponse(connectionWasReused: false), .perTryTimeout, .response(status: 503),
        .response(status: 429), .grpc(code: 14),
    ]

    @Test(
        "what did no work is repeated at once, whatever the method and whoever repeats above",
        arguments: [AttemptFailure.connect, .refused]
    )
    func alwaysSafe(_ failure: AttemptFailure) {
        let facts = Self.facts(isIdempotent: false, isSafe: false, isOwnedAbove: true)
        #expect(decide(failure, facts) == .retry(afterNanoseconds: 0))
    }

    @Test("a stale connection is no loss for an idempotent request or one with a key")
    func stale() {
        let stale = AttemptFailure.closedBeforeResponse(connectionWasReused: true)
        #expect(decide(stale, Self.facts(isOwnedAbove: true)) == .retry(afterNanoseconds: 0))
        let keyed = Self.facts(isIdempotent: false, hasIdempotencyKey: true)
        #expect(decide(stale, keyed) == .retry(afterNanoseconds: 0))
        #expect(decide(stale, Self.facts(isIdempotent: false)) == .refused(.nonIdempotent))
        let fresh = AttemptFailure.closedBeforeResponse(connectionWasReused: false)
        #expect(decide(fresh, Self.facts()) == .refused(.notRetryable))
    }

    @Test("the default repeats nothing else", arguments: byPolicy + [.other])
    func defaults(_ failure: AttemptFailure) {
        #expect(decide(failure, Self.facts()) == .refused(.notRetryable))
    }

    @Test("a policy's failures are repeated after a backoff", arguments: byPolicy)
    func policy(_ failure: AttemptFailure) throws {
        guard case .retry(let wait) = decide(failure, Self.facts(), policy: Self.all) else {
            Issue.record("refused")
            return
        }
        #expect(wait <= 25_000_000)
        let owned = Self.facts(isOwnedAbove: true)
        #expect(decide(failure, owned, policy: Self.all) == .refused(.ownedAbove))
        let post = Self.facts(isIdempotent: false)
        #expect(decide(failure, post, policy: Self.all) == .refused(.nonIdempotent))
    }

    @Test("requests that are not idempotent are repeated with a key, or when the policy says so")
    func nonIdempotent() {
        let keyed = Self.facts(isIdempotent: false, hasIdempotencyKey: true)
        var isRetried = false
        if case .retry = decide(.response(status: 503), keyed, policy: Self.all) {
            isRetried = true
        }
        #expect(isRetried)
        let daring = RetryPolicy(statuses: [503], retriesNonIdempotent: true)
        let post = Self.facts(isIdempotent: false)
        isRetried = false
        if case .retry = decide(.response(status: 503), post, policy: daring) { isRetried = true }
        #expect(isRetried)
        // It says nothing about connections that end.
        let stale = AttemptFailure.closedBeforeResponse(connectionWasReused: true)
        #expect(decide(stale, post, policy: daring) == .refused(.notRetryable))
    }

    @Test("statuses and codes outside of what a policy can name are never wanted")
    func outOfRange() {
        let decider = RetryDecider(Self.all)
        for status in [Int.min, -1, 0, 200, 399, 404, 499, 501, 599, 600, 1_000, .max] {
            #expect(!decider.wantsRetry(status: status), "\(status)")
        }
        for status in [429, 500, 503] { #expect(decider.wantsRetry(status: status)) }
        for code in [Int.min, -1, 0, 1, 13, 15, 16, 17, 32, 46, 64, .max] {
            #expect(!decider.wantsRetry(grpcCode: code), "\(code)")
        }
        #expect(decider.wantsRetry(grpcCode: 14))
        let every = RetryDecider(RetryPolicy(statuses: Array(400...599), grpcCodes: Array(1...16)))
        #expect((400...599).allSatisfy { every.wantsRetry(status: $0) })
        #expect((1...16).allSatisfy { every.wantsRetry(grpcCode: $0) })
    }

    @Test("attempts end, and a policy without any repeats nothing at all")
    func attempts() {
        #expect(decide(.connect, Self.facts(attempts: 3)) == .refused(.attempts))
        #expect(decide(.connect, Self.facts(attempts: .max)) == .refused(.attempts))
        let none = RetryPolicy(attempts: 0)
        #expect(decide(.connect, Self.facts(), policy: none) == .refused(.attempts))
    }

    @Test("a body that is gone ends it")
    func replay() {
        #expect(decide(.connect, Self.facts(canReplay: false)) == .refused(.replay))
    }

    @Test("no attempt begins at or after the deadline")
    func deadline() {
        let over = Self.facts(deadline: Self.now)
        #expect(decide(.connect, over) == .refused(.deadline))
        let nearly = Self.facts(deadline: Self.now.advanced(byNanoseconds: 1))
        #expect(decide(.connect, nearly) == .retry(afterNanoseconds: 0))
        let asked = Self.facts(
            advice: .after(nanoseconds: 500_000_000),
            deadline: Self.now.advanced(byNanoseconds: 500_000_000)
        )
        #expect(decide(.grpc(code: 14), asked, policy: Self.all) == .refused(.deadline))
    }

    @Test("advice is obeyed up to the policy's patience")
    func advice() {
        let asked = Self.facts(advice: .after(nanoseconds: 1_000_000_000))
        #expect(
            decide(.grpc(code: 14), asked, policy: Self.all)
                == .retry(afterNanoseconds: 1_000_000_000)
        )
        guard case .retry(let wait) = decide(.response(status: 503), asked, policy: Self.all) else {
            Issue.record("refused")
            return
        }
        #expect((1_000_000_000...1_025_000_000).contains(wait))
        for advice in [
            RetryAdvice.never, .after(nanoseconds: 1_000_000_001), .after(nanoseconds: .max),
        ] {
            let facts = Self.facts(advice: advice)
            #expect(
                decide(.response(status: 503), facts, policy: Self.all) == .refused(.pushback)
            )
        }
    }

    @Test("the budget is charged once for a retry, and never for a refusal")
    func budget() {
        let budget = SharedRetryBudget(RetryBudget(window: .seconds(1), perSecond: 2), workers: 1)
        let refused: [RetryFacts] = [
            Self.facts(attempts: 3), Self.facts(canReplay: false), Self.facts(advice: .never),
            Self.facts(deadline: Self.now),
        ]
        for facts in refused { _ = decide(.connect, facts, budget: budget) }
        _ = decide(.other, Self.facts(), budget: budget)
        #expect(budget.left(now: Self.now) == 2)
        for _ in 0..<2 {
            #expect(decide(.connect, Self.facts(), budget: budget) == .retry(afterNanoseconds: 0))
        }
        #expect(decide(.connect, Self.facts(), budget: budget) == .refused(.budget))
    }

    @Test("backoff is spread over all of its range, which doubles up to the cap")
    func backoff() {
        let decider = RetryDecider(.default)
        var random = FastRandom(seed: 7)
        let bounds: [(Int, UInt64)] = [
            (1, 25), (2, 75), (3, 175), (4, 250), (10, 250), (64, 250), (.max, 250), (0, 25),
            (.min, 25),
        ]
        for (retry, milliseconds) in bounds {
            let bound = milliseconds * 1_000_000
            let waits = (0..<2_000).map { _ in decider.backoff(retry: retry, random: &random) }
            #expect(waits.allSatisfy { $0 <= bound })
            let mean = waits.reduce(0, +) / UInt64(waits.count)
            #expect(mean > bound * 45 / 100 && mean < bound * 55 / 100, "retry \(retry)")
        }
    }

    @Test("the second safe retry waits, so that a cluster that is down is not hammered")
    func safeBackoff() {
        let waits = (0..<100 as Range<UInt64>).map { seed in
            switch decide(.connect, Self.facts(attempts: 2), seed: seed) {
            case .retry(let wait): wait
            case .refused: UInt64.max
            }
        }
        #expect(waits.allSatisfy { $0 <= 75_000_000 })
        #expect(Set(waits).count > 90)
    }

    @Test("hedges are for safe requests, within attempts, deadline and budget")
    func hedges() {
        let decider = RetryDecider(RetryPolicy(hedge: Hedge(delay: .milliseconds(50))))
        let budget = SharedRetryBudget(RetryBudget(window: .seconds(1), perSecond: 1), workers: 1)
        func refusal(_ facts: RetryFacts, _ decider: RetryDecider) -> RetryRefusal? {
            decider.refuseHedge(facts, budget: budget, worker: 0, now: Self.now)
        }
        #expect(refusal(Self.facts(), RetryDecider(.default)) == .notRetryable)
        #expect(refusal(Self.facts(isSafe: false), decider) == .nonIdempotent)
        #expect(refusal(Self.facts(isOwnedAbove: true), decider) == .ownedAbove)
        #expect(refusal(Self.facts(attempts: 2), decider) == .attempts)
        #expect(refusal(Self.facts(canReplay: false), decider) == .replay)
        #expect(refusal(Self.facts(deadline: Self.now), decider) == .deadline)
        #expect(budget.left(now: Self.now) == 1)
        #expect(refusal(Self.facts(), decider) == nil)
        #expect(refusal(Self.facts(), decider) == .budget)
    }

    @Test("each refusal has a label of its own")
    func labels() {
        let labels = Set(RetryRefusal.allCases.map(\.label.description))
        #expect(labels.count == RetryRefusal.allCases.count)
    }
}
