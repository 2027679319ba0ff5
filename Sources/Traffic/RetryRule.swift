// Which failures may be tried again without asking anyone: only those where the request provably did
// not reach the application, or where repeating it is defined to be harmless.

/// Decides whether an attempt is made again.
public enum RetryRule {
    /// Attempts per exchange, the first included.
    public static let attemptsMax = 3

    /// Whether another attempt may be made.
    ///
    /// - `isIdempotent`: the method is idempotent (RFC 9110 §9.2.2).
    /// - `canReplay`: every body byte sent so far is still at hand.
    ///
    /// A connection that was idle in the pool may be closed by its peer just as the request leaves;
    /// for an idempotent method repeating is safe (RFC 9110 §9.2.2), for others it is not, because
    /// the application may have acted on it.
    public static func allowsRetry(
        after failure: AttemptFailure,
        attempts: Int,
        isIdempotent: Bool,
        canReplay: Bool
    ) -> Bool {
        guard attempts < attemptsMax, canReplay else { return false }
        switch failure {
        case .connect, .refused: return true
        case .closedBeforeResponse(let reused): return reused && isIdempotent
        case .perTryTimeout, .response, .grpc, .other: return false
        }
    }
}
