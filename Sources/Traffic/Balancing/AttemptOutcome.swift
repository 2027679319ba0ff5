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
    /// Nothing, as when the caller went away or the proxy itself refused.
    case neutral
}
