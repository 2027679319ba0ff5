/// What a decoder found next.
public enum Event: Equatable, Sendable {
    /// All input is consumed; call again with more.
    case needMore
    /// The head is complete and stands in the decoder's `head`.
    case head
    /// These bytes of the input are body.
    case body(Range<Int>)
    /// The message is complete; `trailers` says whether the decoder's `trailers` hold any.
    case end(trailers: Bool)
}
