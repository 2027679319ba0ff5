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

    private static func joined(
        _ fields: FieldBlock,
        _ name: ContiguousArray<UInt8>,
        _ first: Int,
        _ second: Int
    ) -> ContiguousArray<UInt8> {
        var joined: ContiguousArray<UInt8> = []
        func add(_ index: Int) {
            fields.withValue(at: index) { value in
                for place in 0..<value.count { joined.append(value[place]) }
            }
        }
        add(first)
        var next: Int? = second
        while let index = next {
            joined.append(UInt8(ascii: ","))
            add(index)
            next = fields.firstIndex(named: name.span, from: index + 1)
        }
        return joined
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
            guard let more = head.fields.firstIndex(named: field.span, from: at + 1) else {
                return head.fields.withValue(at: at) { limit.limiter.take($0, now: now) }
            }
            // All lines are one value (RFC 9110 §5.3): a line more shall not make another caller of the
            // one that the application sees.
            let joined = Self.joined(head.fields, field, at, more)
            return limit.limiter.take(joined.span, now: now)
        }
    }
}
