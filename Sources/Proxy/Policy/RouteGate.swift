// What may stop a request before an endpoint is chosen: faults made on purpose and rate limits.

import HTTP
import MeshModel
import Time
import Traffic

/// The checks of one route, or of a service's inbound side.
final class RouteGate {
    /// What is to be done with a request.
    enum Verdict {
        case pass
        /// Goes on after a wait.
        case delay(nanoseconds: UInt64, abort: Fault.Abort?)
        case abort(Fault.Abort)
        case limited(SharedRateLimiter, RateLimitVerdict)
    }

    private struct Limit {
        let matcher: RequestMatcher
        let key: RateLimit.Key
        /// Of a key that names a field.
        let field: ContiguousArray<UInt8>
        let limiter: SharedRateLimiter
    }

    private let faults: CompiledFaults?
    private let limits: ContiguousArray<Limit>
    /// What every caller without a key of its own shares.
    private let everyone: ContiguousArray<UInt8> = []

    /// Nil when there is nothing to check.
    init?(
        faults: [Fault],
        limits: [RateLimit],
        scope: String,
        shared: SharedTraffic
    ) {
        guard !faults.isEmpty || !limits.isEmpty else { return nil }
        self.faults = faults.isEmpty ? nil : CompiledFaults(faults)
        self.limits = ContiguousArray(
            limits.map { limit in
                var field: ContiguousArray<UInt8> = []
                if case .header(let name) = limit.key { field = ContiguousArray(name.utf8) }
                return Limit(
                    matcher: RequestMatcher(limit.matches),
                    key: limit.key,
                    field: field,
                    limiter: shared.rateLimiter("\(scope)/\(limit.name)", limit)
                )
            }
        )
    }

    /// Limits are asked first: a delayed request has used its token.
    func admit(
        _ head: RequestHead,
        _ caller: Caller?,
        now: MonotonicTime,
        random: inout FastRandom
    ) -> Verdict {
        for index in limits.indices where limits[index].matcher.matches(head) {
            let verdict = take(index, head, caller, now)
            guard verdict.isAllowed else { return .limited(limits[index].limiter, verdict) }
        }
        guard let faults else { return .pass }
        let decision = faults.decide(head, random: &random)
        if decision.delayNanoseconds > 0 {
            return .delay(nanoseconds: decision.delayNanoseconds, abort: decision.abort)
        }
        if let abort = decision.abort { return .abort(abort) }
        return .pass
    }

    private func take(
        _ index: Int,
        _ head: RequestHead,
        _ caller: Caller?,
        _ now: MonotonicTime
    ) -> RateLimitVerdict {
        let limit = limits[index]
        let everyone = everyone
        switch limit.key {
        case .all: return limit.limiter.take(everyone.span, now: now)
        case .caller:
            let identity = caller?.identityBytes ?? everyone
            return limit.limiter.take(identity.span, now: now)
        case .address:
            let address = caller?.addressBytes ?? everyone
            return limit.limiter.take(address.span, now: now)
        case .header:
            let field = limit.field
            guard let at = head.fields.firstIndex(named: field.span) else {
                return limit.limiter.take(everyone.span, now: now)
            }
            return head.fields.withValue(at: at) { limit.limiter.take($0, now: now) }
        }
    }
}
