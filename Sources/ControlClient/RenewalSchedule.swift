internal import Time

/// When the present certificate is renewed.
///
/// At two thirds of its life ± 5 % of it, so that proxies started together do not renew together,
/// then with growing waits, so that many attempts fit before the end.
struct RenewalSchedule {
    /// When to ask next.
    private(set) var due: WallTime
    private let notAfter: WallTime
    private var backoff = ControlLimits.renewalBackoff

    /// - Parameters:
    ///   - obtained: When we got the certificate. Its life counts from then, not from a notBefore
    ///     that the authority dates back against clock skew: a certificate of 20 s dated back by a
    ///     minute would otherwise be due before it came.
    init(
        obtained: WallTime,
        notBefore: WallTime,
        notAfter: WallTime,
        using generator: inout some RandomNumberGenerator
    ) {
        self.notAfter = notAfter
        let start = max(obtained, notBefore)
        let life = max(0, notAfter.unixNanoseconds - start.unixNanoseconds)
        let share = 2.0 / 3 + Double.random(in: -0.05...0.05, using: &generator)
        due = WallTime(unixNanoseconds: start.unixNanoseconds + Int64(Double(life) * share))
    }

    /// An attempt failed: try again after a wait that leaves time for at least three more.
    mutating func failed(now: WallTime, using generator: inout some RandomNumberGenerator) {
        let wait = Int64(clamping: backoff.wait(using: &generator).nanoseconds)
        let left = notAfter.unixNanoseconds - now.unixNanoseconds
        let bounded = left > 0 ? min(wait, max(left / 4, 1_000_000_000)) : wait
        due = WallTime(unixNanoseconds: now.unixNanoseconds + bounded)
    }
}
