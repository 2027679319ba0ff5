/// The protocol version of a message.
public enum HTTPVersion: UInt8, Sendable {
    case http10, http11, http2
}
