// A token bucket as one number per bucket: GCRA, the generic cell rate algorithm of ITU-T I.371. A
// bucket remembers when it will be full again. A request puts that off by period / requests; it is
// allowed when the bucket is then full no later than burst × period / requests from now.
//
// Times are counted in 1 / requests of a nanosecond, in which all of these are whole numbers: no
// rounding adds up, however odd the rate.

import MeshModel
import Time

/// The arithmetic of a rate, over a bucket that a caller keeps.
struct TokenRate: Sendable {
    /// Requests in a period, and so ticks of a nanosecond.
    private let ticks: UInt128
    /// Between two requests at the rate, in ticks.
    private let interval: UInt128
    /// From empty to full, in ticks.
    private let span: UInt128
    private let burst: Int

    init(_ limit: RateLimit) {
        ticks = UInt128(limit.requests)
        interval = UInt128(limit.period.nanoseconds)
        span = UInt128(limit.burst) * interval
        burst = limit.burst
    }

    /// Takes one request out of the bucket that is full at `fullAt`, in ticks; 0 for a new one.
    ///
    /// A refused request changes nothing: hammering at a limit does not move it away.
    func take(_ fullAt: inout UInt128, now: MonotonicTime) -> RateLimitVerdict {
        let now = UInt128(now.nanoseconds) * ticks
        let next = max(fullAt, now) + interval
        let isAllowed = next <= now + span
        if isAllowed { fullAt = next }
        // A clock that went back may leave more than a whole bucket to wait for.
        let missing = max(fullAt, now) - now
        return RateLimitVerdict(
            isAllowed: isAllowed,
            limit: burst,
            remaining: missing >= span ? 0 : Int(clamping: (span - missing) / interval),
            resetSeconds: seconds(missing),
            retryAfterSeconds: isAllowed ? 0 : max(1, seconds(next - now - span))
        )
    }

    private func seconds(_ ticks: UInt128) -> Int {
        let second = self.ticks * 1_000_000_000
        return Int(clamping: (ticks + second - 1) / second)
    }
}
