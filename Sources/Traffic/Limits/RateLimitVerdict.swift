/// What a rate limit says to one request.
public struct RateLimitVerdict: Sendable, Hashable {
    /// Whether it may go on.
    public var isAllowed: Bool
    /// Requests of a rested bucket.
    public var limit: Int
    /// Requests that would be allowed now, after this one.
    public var remaining: Int
    /// Whole seconds, rounded up, until the bucket is full again.
    public var resetSeconds: Int
    /// Whole seconds, rounded up, until a request is allowed; 0 when this one is.
    public var retryAfterSeconds: Int

    /// A verdict.
    public init(
        isAllowed: Bool,
        limit: Int,
        remaining: Int,
        resetSeconds: Int,
        retryAfterSeconds: Int
    ) {
        self.isAllowed = isAllowed
        self.limit = limit
        self.remaining = remaining
        self.resetSeconds = resetSeconds
        self.retryAfterSeconds = retryAfterSeconds
    }
}
