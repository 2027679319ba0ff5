/// What an attempt says about the endpoint it was sent to.
public enum AttemptOutcome: Sendable, Hashable, CaseIterable {
    /// It answered; any 4xx but 429 is an answer.
    case success
    /// 5xx, no connection, a reset, a timeout.
    case failure
    /// It said that it has too much to do: 429, `RESOURCE_EXHAUSTED`, 503 with `Retry-After`.
    ///
    /// It gets less, for a fast refusal would otherwise look like a fast endpoint; it is not ejected.
    case overload
    /// It had not answered when a hedge of the same request was: it is slow at least.
    ///
    /// No success, for behind it may be nothing at all, and no failure, for it may only be slower
    /// than others; so it gets less, and is not ejected.
    case outpaced
    /// Nothing, as when the caller went away or the proxy itself refused.
    case neutral
}
