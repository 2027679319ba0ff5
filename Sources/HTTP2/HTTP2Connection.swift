// The codec of one connection over nghttp2: what it is, what it adds, and what it must never do.
//
// nghttp2 keeps the protocol's state, HPACK and flow control. This adds what a proxy owes: streams as
// objects whose end is told exactly once, heads that hold HTTP's invariants, body bytes that are
// copied once on their way out and not at all on their way in, bounds on all that is held, and
// allowances for what a peer may make us do.
//
// Invariants:
// - nghttp2 is entered by `receive` and `appendOutput` only, never from within one another; inside its
//   callbacks nothing is called but its `submit` functions
// - what a stream's owner must hear of its end is told after nghttp2 has returned (`settle`)
// - once `error` is set, nghttp2 is not entered again and nothing is called back
// - frames are taken from nghttp2 whole, so that between two calls its frame buffer holds nothing

public import Bytes
import CNGHTTP2
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
    let role: HTTP2Role
    private let shared: SharedSettings
    let limits: Limits
    let trustsOrigin: Bool
    let memory: HTTP2Memory
    let session: OpaquePointer
    private let arena: SessionArena
    /// The session's memory while the connection is idle.
    @exclusivity(unchecked) private var frozen: UnsafeMutablePointer<UInt64>?
    @exclusivity(unchecked) var floods: FloodGuard
    @exclusivity(unchecked) private var scanner: FrameScanner
    /// The header block that is being received.
    @exclusivity(unchecked) var block = HeaderBlock()
    /// Encodes header blocks; made for the first of them, and again after rest.
    @exclusivity(unchecked) private var encoder: HeaderEncoder?
    /// Size of the peer's table as we told it, and whether we used it.
    @exclusivity(unchecked) private var toldTableSize = defaultTableBytes
    @exclusivity(unchecked) private var hasUsedTable = false
    @exclusivity(unchecked) private var streams: ContiguousArray<HTTP2Stream> = []
    /// Streams whose owner is owed a callback.
    @exclusivity(unchecked) private var attention: ContiguousArray<HTTP2Stream> = []
    /// Output that was made outside `appendOutput`: the preface, the last GOAWAY.
    @exclusivity(unchecked) private var early: ByteBuffer?
    /// Where frames go while `appendOutput` runs, and how much it may hold.
    @exclusivity(unchecked) var output: ByteBuffer?
    @exclusivity(unchecked) var outputMax = 0
    /// Bytes held for paused streams, and those of them that the connection's window still misses.
    @exclusivity(unchecked) private var heldBytes = 0
    @exclusivity(unchecked) private var owedCredit = 0
    @exclusivity(unchecked) private var error: HTTP2Error?
    /// An error that a callback found, for when nghttp2 has returned.
    @exclusivity(unchecked) var pendingError: HTTP2Error?
    @exclusivity(unchecked) private var isBusy = false
    /// Whether nghttp2 complained about a frame, so that a GOAWAY may be waiting.
    @exclusivity(unchecked) var isSuspicious = false
    @exclusivity(unchecked) var hasSentGoAway = false
    @exclusivity(unchecked) private var isShutDown = false
    @exclusivity(unchecked) private var awaitsPong = false
    @exclusivity(unchecked) private var isPeerLeaving = false
    @exclusivity(unchecked) private var hasSettings = false
    /// Client: streams the peer takes at once.
    ///
    /// What RFC 9113 §6.5.2 recommends at least, which nghttp2 assumes too, until the peer says more.
    @exclusivity(unchecked) public private(set) var peerStreamsMax = 100
    @exclusivity(unchecked) private var takesExtendedConnect = false
    @exclusivity(unchecked) var hasUsedLastNumber = false

    var settings: HTTP2Settings { shared.value }

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
        self.role = role
        shared = memory.share(settings)
        self.limits = limits
        self.trustsOrigin = trustsOrigin
        self.memory = memory
        let blockBytesMax = settings.oversizeFactor * limits.fieldSectionBytesMax
        floods = FloodGuard(shared, blockBytesMax: blockBytesMax, now: now)
        scanner = FrameScanner(prefaceBytes: role == .server ? prefaceBytes : 0)
        arena = memory.takeArena()
        session = memory.makeSession(role, settings, arena)
        memory.adopt(session, Unmanaged.passUnretained(self).toOpaque())
        memory.submitSettings(session, role, settings, limits)
        let buffer = memory.takeBuffer()
        early = buffer
        // The preface lies in a buffer that connections share: it must not stay there.
        pump(into: buffer, atMost: .max)
    }

    deinit {
        error = error ?? .closed
        for stream in streams { forget(stream) }
        thaw()
        nghttp2_session_del(session)
        memory.give(arena)
    }

    /// Takes received bytes; callbacks run inside.
    ///
    /// With an error the connection is over: all streams have failed (`onFailed`, `onStreamClosed`),
    /// GOAWAY is the last output, and nothing is called back any more. Must not be called from a
    /// callback.
    public func receive(_ bytes: Span<UInt8>, now: MonotonicTime) -> HTTP2Error? {
        precondition(!isBusy, "called from a callback")
        if let pendingError { return fail(pendingError) }
        guard error == nil, !bytes.isEmpty else { return error }
        thaw()
        floods.roll(now)
        if let flood = scan(bytes) { return fail(.flood(flood)) }
        isBusy = true
        let taken = bytes.withUnsafeBytes {
            nghttp2_session_mem_recv(
                session,
                $0.baseAddress?.assumingMemoryBound(to: UInt8.self),
                $0.count
            )
        }
        isBusy = false
        if taken < 0 { return fail(pendingError ?? HTTP2Connection.error(of: taken)) }
        if isSuspicious { findGoAway() }
        if let flood = floods.foundLater { pendingError = pendingError ?? .flood(flood) }
        if let pendingError { return fail(pendingError) }
        settle()
        if let pendingError { return fail(pendingError) }
        return error
    }

    /// Why the connection is over, or nil; `appendOutput` may find that out as well.
    public var failure: HTTP2Error? { error }

    /// Whether `appendOutput` has something to do: frames to write, or callbacks owed.
    public var hasOutput: Bool {
        if early != nil { return true }
        guard error == nil, frozen == nil else { return false }
        if pendingError != nil { return true }
        return !attention.isEmpty || nghttp2_session_want_write(session) != 0
    }

    /// Whether nothing is left to do, so that the socket can be closed: shut down, all streams
    /// ended, all output taken.
    public var isFinished: Bool {
        if early != nil || !streams.isEmpty || frozen != nil { return false }
        return error != nil
            || (nghttp2_session_want_read(session) == 0 && nghttp2_session_want_write(session) == 0)
    }

    /// Serialises pending frames at the end of `buffer`, until it holds `bytes` or nothing is left.
    ///
    /// Frames are not split: up to one frame more is written. Callbacks of streams run inside
    /// (`onRelieved`, `onBody` after `resume`, `onStreamClosed`, …). Call it once at the end of a turn.
    /// Must not be called from a callback.
    public func appendOutput(to buffer: ByteBuffer, atMost bytes: Int) {
        precondition(!isBusy, "called from a callback")
        takeEarly(buffer)
        guard error == nil, frozen == nil else { return }
        if pendingError == nil { settle() }
        // What is settled may make more output, such as the next stream on a connection that was
        // full. It ends, but nobody promises how soon.
        for _ in 0..<HTTP2Connection.roundsMax {
            guard error == nil, pendingError == nil, buffer.count < bytes else { break }
            pump(into: buffer, atMost: bytes)
            if attention.isEmpty { break }
            settle()
        }
        if let pendingError {
            _ = fail(pendingError)
            takeEarly(buffer)
        }
    }

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
    public var activeStreams: Int { streams.count }

    /// Client: whether a stream can be opened now: no GOAWAY, identifiers left, and below the
    /// peer's limit.
    public var canOpenStream: Bool { openableStreams > 0 }

    /// Client: how many more streams can be opened now.
    public var openableStreams: Int {
        guard !isClosing else { return 0 }
        return max(0, peerStreamsMax - streams.count)
    }

    /// Client: whether no stream can ever be opened again (GOAWAY, identifiers used up, over).
    public var isClosing: Bool {
        role == .server || error != nil || pendingError != nil || isShutDown || isPeerLeaving
            || hasUsedLastNumber
    }

    /// Whether a header block has begun to arrive and is not complete: the owner bounds its time.
    public var isReadingHead: Bool { error == nil && scanner.isReadingHead }

    /// Whether the peer's SETTINGS came.
    public var hasPeerSettings: Bool { hasSettings }

    /// Whether the peer takes WebSockets over HTTP/2 (RFC 8441 §3).
    public var peerAcceptsExtendedConnect: Bool { takesExtendedConnect }

    /// Client: opens a stream; `canOpenStream` must be true.
    public func open(
        _ stream: HTTP2Stream,
        head: RequestHead,
        endsStream: Bool,
        carriesOrigin: Bool
    ) {
        precondition(role == .client && error == nil, "only a client opens streams")
        thaw()
        attach(stream)
        submit(head, on: stream, endsStream: endsStream, carriesOrigin: carriesOrigin)
    }

    /// Tells the peer that no new streams will be taken, without refusing those under way
    /// (RFC 9113 §6.8); call `finishShutdown` a round trip later.
    public func startShutdown() {
        guard role == .server, error == nil else { return }
        thaw()
        nghttp2_submit_shutdown_notice(session)
    }

    /// Refuses streams from here on; those that are open end as they would.
    public func finishShutdown() {
        guard error == nil, !isShutDown else { return }
        isShutDown = true
        thaw()
        let last = nghttp2_session_get_last_proc_stream_id(session)
        nghttp2_submit_goaway(session, 0, last, HTTP2ErrorCode.noError, nil, 0)
    }

    /// Ends the connection: GOAWAY with `code`, all streams fail with the next `appendOutput`.
    public func terminate(_ code: UInt32) {
        guard error == nil, pendingError == nil else { return }
        thaw()
        pendingError = .terminated(code: code)
    }

    /// The socket is gone: all streams end now, and nothing is called back any more.
    ///
    /// Those whose message had come whole get what was held of it and `onEnd`, even when paused; the
    /// others `onFailed`; then all of them `onStreamClosed`. Must not be called from a callback.
    public func close() {
        precondition(!isBusy, "called from a callback")
        guard error == nil else { return }
        error = .closed
        endStreams()
        early = nil
    }

    /// Sends PING, which `onPong` answers; nothing happens while one is under way.
    public func ping() {
        guard error == nil, !awaitsPong else { return }
        awaitsPong = true
        thaw()
        nghttp2_submit_ping(session, 0, nil)
    }

    /// Idle: gives back what only traffic needs; nothing happens while there are streams or output.
    ///
    /// Costs a few microseconds, and as many when traffic comes again.
    public func releaseMemory() {
        guard error == nil, frozen == nil, streams.isEmpty, !hasOutput else { return }
        block = HeaderBlock()
        dropEncoder()
        streams = []
        attention = []
        frozen = arena.freeze()
    }

    private func thaw() {
        guard let frozen else { return }
        self.frozen = nil
        arena.thaw(frozen)
    }
}

// What streams and callbacks ask of the connection.
extension HTTP2Connection {
    /// Makes nghttp2 look at the stream's body again.
    func wake(_ stream: HTTP2Stream) {
        guard stream.state.contains(.isDeferred) else { return }
        stream.state.remove(.isDeferred)
        nghttp2_session_resume_data(session, stream.number)
    }

    /// Puts the stream on the list of those to be looked at when nghttp2 has returned.
    func attend(_ stream: HTTP2Stream) {
        guard !stream.state.contains(.needsAttention) else { return }
        stream.state.insert(.needsAttention)
        attention.append(stream)
    }

    func attach(_ stream: HTTP2Stream) {
        precondition(stream.connection == nil && stream.number == 0, "the stream is in use")
        stream.connection = self
        stream.window = settings.initialStreamWindow
        stream.slot = streams.count
        streams.append(stream)
    }

    /// Cuts the stream off nghttp2 and resets it there.
    func cut(_ stream: HTTP2Stream, _ code: UInt32) {
        nghttp2_session_set_stream_user_data(session, stream.number, nil)
        nghttp2_submit_rst_stream(session, 0, stream.number, code)
        stream.state.insert(.isClosed)
        stream.heads.clear()
        dropHeld(stream)
        stream.state.remove(.owesEnd)
        attend(stream)
    }

    /// The peer's message broke a rule.
    func refuse(_ stream: HTTP2Stream, _ reason: StaticString) {
        stream.failure = .malformed(reason: reason)
        countProvokedReset()
        cut(stream, HTTP2ErrorCode.protocolError)
    }

    func countProvokedReset() {
        guard let flood = floods.countProvokedReset() else { return }
        pendingError = pendingError ?? .flood(flood)
    }

    /// Hands body bytes to the owner, or holds them while the stream is paused.
    func deliver(_ bytes: UnsafeRawBufferPointer, to stream: HTTP2Stream) {
        if stream.state.contains(.discards) { return credit(bytes.count) }
        if stream.state.contains(.isPaused) || stream.held != nil {
            let held = stream.held ?? memory.takeBuffer()
            stream.held = held
            held.append(rawBytes: bytes)
            stream.state.insert(.wasHeld)
            heldBytes += bytes.count
            if heldBytes > settings.heldBytesMax {
                owedCredit += bytes.count
            } else {
                credit(bytes.count)
            }
            return
        }
        credit(bytes.count)
        stream.onBody(Span(_unsafeBytes: bytes))
        consumed(bytes.count, stream)
    }

    /// The peer's message is complete.
    func finishMessage(_ stream: HTTP2Stream, hasTrailers: Bool) {
        if hasTrailers { stream.state.insert(.hasTrailers) }
        if stream.state.contains(.discards) {
            stream.state.insert(.hasEnded)
        } else if stream.held != nil || stream.state.contains(.isPaused) {
            stream.state.insert(.owesEnd)
        } else {
            stream.state.insert(.hasEnded)
            stream.onEnd(hasTrailers: hasTrailers)
        }
    }

    func dropHeld(_ stream: HTTP2Stream) {
        guard let held = stream.held else { return }
        stream.held = nil
        release(held.count)
        memory.give(held)
    }

    func dropOutgoing(_ stream: HTTP2Stream) {
        guard let outgoing = stream.outgoing else { return }
        stream.outgoing = nil
        memory.give(outgoing)
    }

    /// The encoder of header blocks.
    func headerEncoder() -> HeaderEncoder {
        if let encoder { return encoder }
        let made = HeaderEncoder(
            memory.headerNames,
            sizeLimit: settings.headerTableBytes,
            peerLimit: Int(peerSetting(NGHTTP2_SETTINGS_HEADER_TABLE_SIZE)),
            told: toldTableSize,
            resets: hasUsedTable
        )
        encoder = made
        return made
    }

    /// Gives the encoder back: the next one tells the peer to empty its table.
    private func dropEncoder() {
        guard let encoder else { return }
        toldTableSize = encoder.tableSize
        hasUsedTable = encoder.isInUse
        self.encoder = nil
    }

    func noteSettings() {
        encoder?.setPeerLimit(Int(peerSetting(NGHTTP2_SETTINGS_HEADER_TABLE_SIZE)))
        hasSettings = true
        let most = peerSetting(NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS)
        peerStreamsMax = Int(min(most, UInt32(Int32.max)))
        takesExtendedConnect = peerSetting(NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) == 1
        onPeerSettings()
    }

    private func peerSetting(_ id: nghttp2_settings_id) -> UInt32 {
        nghttp2_session_get_remote_settings(session, id)
    }

    func noteGoAway(code: UInt32) {
        isPeerLeaving = true
        onGoAway(code: code)
    }

    func notePong() {
        guard awaitsPong else { return }
        awaitsPong = false
        onPong()
    }

    /// The window of the connection is refilled at once, so that a stalled stream stalls no other.
    private func credit(_ bytes: Int) {
        guard error == nil else { return }
        nghttp2_session_consume_connection(session, bytes)
    }

    private func release(_ bytes: Int) {
        heldBytes -= bytes
        guard owedCredit > 0, heldBytes <= settings.heldBytesMax else { return }
        credit(owedCredit)
        owedCredit = 0
    }

    /// Refills the stream's window, and widens it when a whole one went by without a pause.
    private func consumed(_ bytes: Int, _ stream: HTTP2Stream) {
        guard !stream.state.contains(.isClosed) else { return }
        nghttp2_session_consume_stream(session, stream.number, bytes)
        stream.deliveredSinceGrowth += bytes
        guard stream.deliveredSinceGrowth >= stream.window else { return }
        stream.deliveredSinceGrowth = 0
        let isSlow = stream.state.contains(.wasHeld)
        stream.state.remove(.wasHeld)
        guard !isSlow, stream.window < settings.streamWindowMax else { return }
        stream.window = min(stream.window * 2, settings.streamWindowMax)
        nghttp2_session_set_local_window_size(session, 0, stream.number, Int32(stream.window))
    }

    private func scan(_ bytes: Span<UInt8>) -> HTTP2Flood? {
        var offset = 0
        while let header = scanner.next(bytes, &offset) {
            if header.length > settings.frameBytesMax { isSuspicious = true }
            if let flood = floods.count(header) { return flood }
        }
        return nil
    }

    /// Serialises what nghttp2 has, as far as the limit permits.
    private func pump(into buffer: ByteBuffer, atMost bytes: Int) {
        isBusy = true
        output = buffer
        outputMax = bytes
        while buffer.count < bytes {
            var start: UnsafePointer<UInt8>?
            let count = nghttp2_session_mem_send(session, &start)
            guard count > 0, let start else {
                if count < 0 { pendingError = pendingError ?? HTTP2Connection.error(of: count) }
                break
            }
            // `sent` has written a head already; the client's preface has a space there.
            if start[3] != FrameType.headers {
                buffer.append(rawBytes: UnsafeRawBufferPointer(start: start, count: count))
            }
        }
        output = nil
        isBusy = false
    }

    /// nghttp2 tells of most errors of the connection only by the GOAWAY that it wants to send.
    private func findGoAway() {
        isSuspicious = false
        let buffer = early ?? memory.takeBuffer()
        pump(into: buffer, atMost: HTTP2Connection.earlyBytesMax)
        if buffer.isEmpty { memory.give(buffer) } else { early = buffer }
    }

    private func takeEarly(_ buffer: ByteBuffer) {
        guard let early else { return }
        self.early = nil
        buffer.append(early)
        memory.give(early)
    }

    /// Calls back what is owed to the owners of streams.
    private func settle() {
        guard !attention.isEmpty else { return }
        isBusy = true
        var index = 0
        while index < attention.count {
            let stream = attention[index]
            index += 1
            stream.state.remove(.needsAttention)
            look(at: stream)
        }
        attention.removeAll(keepingCapacity: true)
        isBusy = false
    }

    private func look(at stream: HTTP2Stream) {
        guard stream.connection === self else { return }
        if stream.failure == nil {
            if !stream.state.contains(.isPaused) { deliverHeld(stream) }
            if stream.state.contains(.isCongested), !stream.state.contains(.isClosed),
                stream.outstandingBytes < settings.relievedBytes
            {
                stream.state.remove(.isCongested)
                stream.onRelieved()
            }
        }
        guard stream.state.contains(.isClosed) else { return }
        if let failure = stream.failure {
            stream.failure = nil
            stream.state.insert(.hasEnded)
            stream.onFailed(failure)
        }
        guard !stream.state.contains(.owesEnd) else { return }
        detach(stream)
        onStreamClosed(stream)
    }

    private func deliverHeld(_ stream: HTTP2Stream) {
        if let held = stream.held {
            stream.held = nil
            let count = held.count
            held.withSpan { stream.onBody($0) }
            memory.give(held)
            release(count)
            consumed(count, stream)
        }
        guard stream.state.contains(.owesEnd), !stream.state.contains(.isPaused) else { return }
        stream.state.remove(.owesEnd)
        stream.state.insert(.hasEnded)
        stream.onEnd(hasTrailers: stream.state.contains(.hasTrailers))
    }

    /// Ends the connection with a GOAWAY of our own: nghttp2 is not asked any more.
    private func fail(_ failure: HTTP2Error) -> HTTP2Error {
        let buffer = early ?? memory.takeBuffer()
        if !hasSentGoAway, let code = failure.code {
            appendGoAway(code, to: buffer)
        }
        if buffer.isEmpty { memory.give(buffer) } else { early = buffer }
        error = failure
        endStreams()
        return failure
    }

    /// RFC 9113 §6.8: last stream, code, nothing else.
    private func appendGoAway(_ code: UInt32, to buffer: ByteBuffer) {
        let last = UInt32(nghttp2_session_get_last_proc_stream_id(session))
        for byte in [0, 0, 8, FrameType.goAway, 0, 0, 0, 0, 0] { buffer.append(byte) }
        for word in [last, code] {
            for shift in [24, 16, 8, 0] {
                buffer.append(UInt8(truncatingIfNeeded: word >> UInt32(shift)))
            }
        }
    }

    private func endStreams() {
        isBusy = true
        while let stream = streams.last {
            if stream.failure == nil, stream.state.contains(.owesEnd) {
                stream.state.remove(.isPaused)
                deliverHeld(stream)
            }
            let failure = stream.failure
            let isOwed = !stream.state.contains(.isClosed) || failure != nil
            stream.state.insert(.isClosed)
            if isOwed, let failure = failure ?? unfinished(stream) { stream.onFailed(failure) }
            detach(stream)
            onStreamClosed(stream)
        }
        attention.removeAll()
        isBusy = false
    }

    /// Why a stream fails that was open when the connection ended.
    private func unfinished(_ stream: HTTP2Stream) -> HTTP2StreamFailure? {
        let isComplete =
            stream.state.contains(.hasEnded)
            && (role == .client || stream.state.contains(.hasSentEnd))
        return isComplete ? nil : .connectionEnded
    }

    private func detach(_ stream: HTTP2Stream) {
        let last = streams.removeLast()
        if last !== stream {
            streams[stream.slot] = last
            last.slot = stream.slot
        }
        forget(stream)
    }

    private func forget(_ stream: HTTP2Stream) {
        if block.stream === stream { block.wanting = nil }
        stream.connection = nil
        dropHeld(stream)
        dropOutgoing(stream)
    }

    private static func error(of code: Int) -> HTTP2Error {
        switch Int32(truncatingIfNeeded: code) {
        case NGHTTP2_ERR_BAD_CLIENT_MAGIC.rawValue: .notHTTP2
        case NGHTTP2_ERR_FLOODED.rawValue: .flood(.unreadAnswers)
        default: .internalError
        }
    }

    private static let roundsMax = 8
    private static let earlyBytesMax = 16 << 10
}

/// RFC 9113 §6.5.2: the table of a peer that has not said otherwise.
private let defaultTableBytes = 4 << 10
/// Bytes of the client's preface (RFC 9113 §3.4).
private let prefaceBytes = 24
