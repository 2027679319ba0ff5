import Bytes
public import HTTP

/// One exchange on an HTTP/2 connection; reused for the next after `onStreamClosed`.
///
/// Worker-confined. Subclasses say what happens; all callbacks come from within
/// `HTTP2Connection.receive`, `appendOutput` or `close`, never from within a method that the owner
/// calls on a stream.
open class HTTP2Stream {
    /// The request: received by a server, empty in a client.
    public let requestHead = RequestHead()
    /// The response: received by a client, empty in a server.
    public let responseHead = ResponseHead()
    /// The trailers received: valid in `onEnd(hasTrailers: true)`.
    public let trailers = FieldBlock()

    /// Makes a stream without connection.
    public init() {}

    /// The stream's number, 0 before the stream was opened.
    public var id: Int32 { 0 }

    /// Whether the stream belongs to a connection: from being opened to `onStreamClosed`.
    public var isAttached: Bool { false }

    /// Server: the head of the request is complete.
    ///
    /// Its `bodyLength` is `.none` (END_STREAM), `.known` (content-length), `.chunked`, or
    /// `.untilClose` of a WebSocket.
    open func onRequestHead() {}
    /// Server: the head broke a limit, but can be answered with `status`; it is incomplete, so look
    /// at nothing in it.
    ///
    /// Answer with `sendHead` or `reset`; the body is dropped, and `onEnd` does not come.
    open func onRequestRefused(status: Int, reason: StaticString) {}
    /// Client: a head of the response is complete; interim ones (1xx) too.
    open func onResponseHead() {}
    /// Bytes of the body, lent for the call.
    open func onBody(_ bytes: Span<UInt8>) {}
    /// The peer's message is complete.
    open func onEnd(hasTrailers: Bool) {}
    /// The stream ended before that; nothing but `onStreamClosed` comes after it.
    open func onFailed(_ failure: HTTP2StreamFailure) {}
    /// After `isCongested`: little enough waits now.
    open func onRelieved() {}

    /// Server: sends a head; interim ones (1xx) and then the final one.
    public func sendHead(_ head: ResponseHead, endsStream: Bool, carriesOrigin: Bool) {}
    /// Sends body bytes, which are copied and leave as the peer's windows permit.
    public func sendBody(_ bytes: Span<UInt8>) {}
    /// Ends our message.
    public func sendEnd(trailers: FieldBlock?) {}
    /// Ends the stream both ways at once; nothing but `onStreamClosed` comes after it.
    public func reset(_ code: UInt32) {}

    /// Whether enough body waits that more should not be added before `onRelieved`.
    public var isCongested: Bool { false }
    /// Body bytes that wait for the peer's window or for `appendOutput`.
    public var outstandingBytes: Int { 0 }

    /// Holds body bytes back, as many as the stream's window lets through.
    public func pause() {}
    /// Lets them come again: what was held comes with the next `appendOutput`.
    public func resume() {}

    /// Makes the stream ready for another exchange; only when it is not attached.
    public func prepareForReuse() {
        requestHead.clear()
        responseHead.clear()
        trailers.clear()
    }

    /// Like `prepareForReuse`, and gives all memory back.
    public func releaseMemory() {
        requestHead.release()
        responseHead.release()
        trailers.release()
    }
}
