/// The endpoint of one attempt; the attempt gives it back when it starts and when it ends.
public struct EndpointSelection: Sendable, Hashable {
    /// The endpoint's place in the list that was current when it was picked.
    public let index: Int
    /// The attempt is the only one sent to an endpoint that was ejected, to see whether it is back.
    public let isProbe: Bool
    /// Too few endpoints are healthy, so health was not asked for.
    public let isPanic: Bool
    /// Names the endpoint for ever: the list may have changed before the attempt ends.
    let id: UInt32
}
