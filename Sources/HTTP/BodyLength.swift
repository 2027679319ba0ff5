/// How the receiver of a message learns where its body ends.
public enum BodyLength: Equatable, Sendable {
    /// There is no body.
    case none
    /// The body has exactly this many bytes; 0 when the sender said so.
    case known(UInt64)
    /// The body has an end marker of its own: chunks in HTTP/1.1, END_STREAM in HTTP/2.
    case chunked
    /// The body ends when the connection does; only for responses, and for both ways of a tunnel.
    case untilClose

    /// Whether it is certain from the head that no body byte follows.
    public var isEmpty: Bool { self == .none || self == .known(0) }
}
