import Bytes
import HTTP
import Traffic

/// What a caller over a limit is told of it: draft-ietf-httpapi-ratelimit-headers.
enum RateLimitFields {
    /// Appends `RateLimit-Policy` and `RateLimit`; `scratch` is left empty.
    static func append(
        _ verdict: RateLimitVerdict,
        of limiter: SharedRateLimiter,
        to fields: FieldBlock,
        _ scratch: ByteBuffer
    ) {
        scratch.clear()
        limiter.appendPolicy(to: scratch)
        scratch.withSpan { fields.append(name: policyName.span, value: $0) }
        scratch.clear()
        limiter.append(verdict, to: scratch)
        scratch.withSpan { fields.append(name: limitName.span, value: $0) }
        scratch.clear()
    }

    private static let policyName = ContiguousArray("RateLimit-Policy".utf8)
    private static let limitName = ContiguousArray("RateLimit".utf8)
}
