public import Bytes
public import HTTP
public import Time

/// Which end of the connection we are.
public enum HTTP2Role: Sendable {
    case server, client
}

/// The codec of one connection: bytes in, streams out, and back; it knows no socket.
///
/// Worker-confined. After every call on the connection or on one of its streams, and before the turn
/// ends, the owner looks at `hasOutput` and calls `appendOutput` if so.
open class HTTP2Connection {
    private var error: HTTP2Error?
    private let limits: Limits

    /// Starts a connection; the preface and our SETTINGS are pending output.
    ///
    /// `trustsOrigin` is set where the peer is a sidecar of the mesh: its `mesh-origin` counts.
    public init(
        role: HTTP2Role,
        settings: HTTP2Settings,
        limits: Limits,
        trustsOrigin: Bool,
        memory: HTTP2Memory,
        now: MonotonicTime
    ) {
        self.limits = limits
    }

    /// Takes received bytes; callbacks run inside.
    ///
    /// With an error the connection is over: all streams have failed (`onFailed`, `onStreamClosed`),
    /// GOAWAY is the last output, and nothing is called back any more. Must not be called from a
    /// callback.
    public func receive(_ bytes: Span<UInt8>, now: MonotonicTime) -> HTTP2Error? { error }

    /// Why the connection is over, or nil; `appendOutput` may find that out as well.
    public var failure: HTTP2Error? { error }

    /// Whether `appendOutput` has something to do: frames to write, or callbacks owed.
    public var hasOutput: Bool { false }

    /// Whether nothing is left to do, so that the socket can be closed: shut down, all streams
    /// ended, all output taken.
    public var isFinished: Bool { false }

    /// Serialises pending frames at the end of `buffer`, until it holds `bytes` or nothing is left.
    ///
    /// Frames are not split: up to one frame more is written. Callbacks of streams run inside
    /// (`onRelieved`, `onBody` after `resume`, `onStreamClosed`, …). Call it once at the end of a turn.
    /// Must not be called from a callback.
    public func appendOutput(to buffer: ByteBuffer, atMost bytes: Int) {}

    /// Server: the peer opens a stream; returns an object that is not attached.
    open func makeStream() -> HTTP2Stream { HTTP2Stream() }
    /// The last callback of a stream, which may be reused from here on.
    open func onStreamClosed(_ stream: HTTP2Stream) {}
    /// The peer will open or take no more streams.
    open func onGoAway(code: UInt32) {}
    /// The peer's SETTINGS came, for the first time or again.
    open func onPeerSettings() {}
    /// The answer to `ping`.
    open func onPong() {}

    /// Streams that are attached, those included that only `onStreamClosed` is owed to.
    public var activeStreams: Int { 0 }
    /// Client: whether a stream can be opened now: no GOAWAY, identifiers left, and below the
    /// peer's limit.
    public var canOpenStream: Bool { false }
    /// Client: how many more streams can be opened now.
    public var openableStreams: Int { 0 }
    /// Client: whether no stream can ever be opened again (GOAWAY, identifiers used up, over).
    public var isClosing: Bool { false }
    /// Whether the peer's SETTINGS came.
    public var hasPeerSettings: Bool { false }
    /// Whether the peer takes WebSockets over HTTP/2 (RFC 8441 §3).
    public var peerAcceptsExtendedConnect: Bool { false }

    /// Client: opens a stream; `canOpenStream` must be true.
    public func open(
        _ stream: HTTP2Stream,
        head: RequestHead,
        endsStream: Bool,
        carriesOrigin: Bool
    ) {}

    /// Tells the peer that no new streams will be taken, without refusing those under way
    /// (RFC 9113 §6.8); call `finishShutdown` a round trip later.
    public func startShutdown() {}
    /// Refuses streams from here on; those that are open end as they would.
    public func finishShutdown() {}
    /// Ends the connection: GOAWAY with `code`, all streams fail with the next `appendOutput`.
    public func terminate(_ code: UInt32) {}
    /// The socket is gone: all streams fail now (`onFailed`, `onStreamClosed`), and nothing is called
    /// back any more.
    public func close() {}
    /// Sends PING, which `onPong` answers; nothing happens while one is under way.
    public func ping() {}
    /// Idle: gives back what only traffic needs.
    public func releaseMemory() {}
}
