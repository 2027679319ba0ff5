// One stream, seen by its owner: a request head, a response head, and bytes both ways.
//
// Invariants:
// - while attached, the connection keeps the stream alive, and nghttp2's stream points at it until
//   nghttp2 closes it or `reset` cuts the two apart; what is cut hears of nothing but its end
// - no callback runs inside a method that the owner calls
// - bytes held back are at most the stream's window, bytes that wait to be sent at most what the
//   owner adds in spite of `isCongested`

import Bytes
public import HTTP

/// One exchange on an HTTP/2 connection; reused for the next after `onStreamClosed`.
///
/// Worker-confined. Subclasses say what happens; all callbacks come from within
/// `HTTP2Connection.receive`, `appendOutput` or `close`, never from within a method that the owner
/// calls on a stream.
open class HTTP2Stream {
    /// What has happened on a stream.
    struct State: OptionSet {
        let rawValue: UInt32

        /// A final response head was received or sent.
        static let hasFinalHead = State(rawValue: 1 << 0)
        /// The request is one for a WebSocket.
        static let isTunnel = State(rawValue: 1 << 1)
        /// The request's method is HEAD.
        static let isHead = State(rawValue: 1 << 2)
        /// The head went over a limit, and the owner was told.
        static let isRefused = State(rawValue: 1 << 3)
        /// The owner wants no more of the peer's body.
        static let discards = State(rawValue: 1 << 4)
        static let isPaused = State(rawValue: 1 << 5)
        /// The peer's message is complete, but the owner was not told yet.
        static let owesEnd = State(rawValue: 1 << 6)
        static let hasTrailers = State(rawValue: 1 << 7)
        /// The owner was told.
        static let hasEnded = State(rawValue: 1 << 8)
        /// The owner called `sendEnd`, or sent a head that ends the stream.
        static let isSent = State(rawValue: 1 << 9)
        /// Trailers go after the last body byte.
        static let owesTrailers = State(rawValue: 1 << 10)
        /// nghttp2 waits to be told that there is more to send.
        static let isDeferred = State(rawValue: 1 << 11)
        static let isCongested = State(rawValue: 1 << 12)
        /// The peer sent RST_STREAM.
        static let isReset = State(rawValue: 1 << 13)
        /// nghttp2 knows the stream no more, or it was cut off.
        static let isClosed = State(rawValue: 1 << 14)
        /// The connection has it on its list of streams to look at.
        static let needsAttention = State(rawValue: 1 << 15)
        /// The body ran into `pause` since the window last grew.
        static let wasHeld = State(rawValue: 1 << 16)
        /// Our message is complete on the wire.
        static let hasSentEnd = State(rawValue: 1 << 17)
    }

    /// The request: received by a server, empty in a client.
    public let requestHead = RequestHead()
    /// The response: received by a client, empty in a server.
    public let responseHead = ResponseHead()
    /// The trailers received: valid in `onEnd(hasTrailers: true)`.
    public let trailers = FieldBlock()
    var state: State = []
    var number: Int32 = 0
    /// Set while attached; the connection clears it before it goes.
    unowned(unsafe) var connection: HTTP2Connection?
    /// Where it stands in the connection's list of streams.
    var slot = 0
    var failure: HTTP2StreamFailure?
    /// Body that waits to be sent.
    var outgoing: ByteBuffer?
    var outgoingTrailers: FieldBlock?
    /// Heads and trailers that wait for their frames.
    let heads = PendingHeads()
    /// Body that came while paused.
    var held: ByteBuffer?
    /// The window we gave the peer, and what it used since the window last grew.
    var window = 0
    var deliveredSinceGrowth = 0
    var interimCount = 0

    /// Makes a stream without connection.
    public init() {}

    /// The stream's number, 0 before the stream was opened.
    public var id: Int32 { number }

    /// Whether the stream belongs to a connection: from being opened to `onStreamClosed`.
    public var isAttached: Bool { connection != nil }

    /// Server: the head of the request is complete.
    ///
    /// Its `bodyLength` is `.none` (END_STREAM), `.known` (content-length), `.chunked`, or
    /// `.untilClose` of a WebSocket, whose method is given as GET, as in HTTP/1.1.
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
    ///
    /// The answer that accepts a WebSocket is 200 in HTTP/2; 101 is sent as that.
    public func sendHead(_ head: ResponseHead, endsStream: Bool, carriesOrigin: Bool) {
        guard let connection, !state.contains(.isClosed) else { return }
        precondition(!state.contains(.hasFinalHead), "the final head was sent")
        connection.sendHead(
            head,
            on: self,
            endsStream: endsStream,
            carriesOrigin: carriesOrigin
        )
    }

    /// Sends body bytes, which are copied and leave as the peer's windows permit.
    public func sendBody(_ bytes: Span<UInt8>) {
        guard let connection, !state.contains(.isClosed) else { return }
        precondition(!state.contains(.isSent), "the message has ended")
        guard !bytes.isEmpty else { return }
        let buffer = outgoing ?? connection.memory.takeBuffer()
        outgoing = buffer
        buffer.append(bytes)
        if buffer.count >= connection.settings.congestedBytes { state.insert(.isCongested) }
        connection.wake(self)
    }

    /// Ends our message, with trailers if there are any.
    public func sendEnd(trailers: FieldBlock?) {
        guard let connection, !state.contains(.isClosed) else { return }
        precondition(!state.contains(.isSent), "the message has ended")
        state.insert(.isSent)
        if let trailers, trailers.count > 0 {
            let copy = outgoingTrailers ?? FieldBlock()
            outgoingTrailers = copy
            for index in 0..<trailers.count where !trailers.isRemoved(at: index) {
                trailers.withName(at: index) { name in
                    trailers.withValue(at: index) { value in
                        copy.append(trailers.known(at: index), name: name, value: value)
                    }
                }
            }
            state.insert(.owesTrailers)
        }
        connection.wake(self)
    }

    /// Ends the stream both ways at once; nothing but `onStreamClosed` comes after it.
    ///
    /// What was sent but not yet taken by `appendOutput` is lost, a head included; see
    /// `discardBody` for an answer that comes before the end of the request.
    public func reset(_ code: UInt32) {
        guard let connection, !state.contains(.isClosed) else { return }
        connection.cut(self, code)
    }

    /// Drops what is left of the peer's body: no `onBody` and no `onEnd` any more.
    ///
    /// When our message has ended before the peer's, the stream is then reset with NO_ERROR, as
    /// RFC 9113 §8.1 wants it from a server that answers early.
    public func discardBody() {
        guard let connection, !state.contains(.discards) else { return }
        state.insert(.discards)
        state.remove(.isPaused)
        connection.dropHeld(self)
        if state.contains(.owesEnd) {
            // It came while paused: nobody waits for it, and the stream may go.
            state.remove(.owesEnd)
            state.insert(.hasEnded)
            connection.attend(self)
        }
        if state.contains(.hasSentEnd), !state.contains(.isClosed), !state.contains(.hasEnded) {
            connection.cut(self, HTTP2ErrorCode.noError)
        }
    }

    /// Whether enough body waits that more should not be added before `onRelieved`.
    public var isCongested: Bool { state.contains(.isCongested) }
    /// Body bytes that wait for the peer's window or for `appendOutput`.
    public var outstandingBytes: Int { outgoing?.count ?? 0 }

    /// Holds body bytes back, as many as the stream's window lets through.
    public func pause() { state.insert(.isPaused) }

    /// Lets them come again: what was held comes with the next `appendOutput`.
    public func resume() {
        guard state.contains(.isPaused) else { return }
        state.remove(.isPaused)
        if held != nil || state.contains(.owesEnd) { connection?.attend(self) }
    }

    /// Makes the stream ready for another exchange; only when it is not attached.
    public func prepareForReuse() {
        precondition(connection == nil, "the stream is in use")
        requestHead.clear()
        responseHead.clear()
        trailers.clear()
        outgoingTrailers?.clear()
        heads.clear()
        state = []
        number = 0
        failure = nil
        window = 0
        deliveredSinceGrowth = 0
        interimCount = 0
    }

    /// Like `prepareForReuse`, and gives all memory back.
    public func releaseMemory() {
        prepareForReuse()
        requestHead.release()
        responseHead.release()
        trailers.release()
        outgoingTrailers = nil
        heads.release()
    }
}
