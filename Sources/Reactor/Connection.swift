// One non-blocking stream socket with a completion-shaped interface.
//
// Received bytes are pushed and lent; `send` takes ownership of a copy and never returns a count;
// back-pressure is `isCongested`; `close` is asynchronous. What it does not know: TLS, HTTP.
//
// Invariants:
// - edge-triggered and registered once; `mayRead` remembers that the kernel may still have bytes, so
//   no receive call is made only to find out
// - output leaves at the end of the turn in one send; order of `send` calls is kept
// - after `close`, `abort` or a failure nothing is called but one `onClosed`

public import Bytes
import CLinux
import Glibc

/// Why a connection ended.
public enum CloseReason: Equatable, Sendable {
    /// This side closed it.
    case local
    /// Connecting failed or timed out.
    case connectFailed(errno: Int32)
    /// The peer reset it, or the network failed.
    case failed(errno: Int32)
}

/// A stream socket on one loop.
///
/// Subclasses override the `on…` methods; all run on the loop's thread.
open class Connection: EventSource {
    private enum State { case idle, connecting, open, closing, closed }

    private var descriptor: Int32 = -1
    private var state = State.idle
    private var mayRead = false
    private var isPaused = false
    private var hasEnded = false
    private var peerHasClosed = false
    private var isFlushQueued = false
    private var isResumeQueued = false
    private var canWrite = true
    private var wasCongested = false
    private var closesAfterFlush = false
    private var endsAfterFlush = false
    private var lingerBytes = 0
    private var output: ByteBuffer?
    private var closeReason = CloseReason.local
    private var closeTimer: Timer?

    /// An unconnected connection; follow with `connect` or use `init(loop:accepted:)`.
    public override init(loop: EventLoop) { super.init(loop: loop) }

    /// Takes an accepted socket.
    ///
    /// Nothing is delivered before the next turn.
    ///
    /// - Throws: `ReactorError` when the descriptor cannot be watched; it is closed then.
    public init(loop: EventLoop, accepted: consuming AcceptedSocket) throws(ReactorError) {
        super.init(loop: loop)
        descriptor = accepted.takeDescriptor()
        state = .open
        do {
            try watch()
        } catch {
            _ = mesh_close(descriptor)
            descriptor = -1
            state = .closed
            throw error
        }
    }

    /// Starts connecting.
    ///
    /// `onConnected`, or `onClosed` with the reason, follows in a later turn.
    public func connect(to address: InternetAddress) {
        precondition(state == .idle)
        var raw = address.raw
        var done: Int32 = 0
        state = .connecting
        let fd = mesh_connect(&raw, &done)
        guard fd >= 0 else { return finishClosing(.connectFailed(errno: -fd)) }
        descriptor = fd
        do {
            try watch()
        } catch {
            finishClosing(.connectFailed(errno: ENOMEM))
        }
        // Also when it is done already: the edge for writability reports it in the next turn, so
        // that callbacks never run inside this call.
    }

    // MARK: What subclasses override

    /// The connection is established.
    open func onConnected() {}
    /// Bytes arrived; lent during the call.
    ///
    /// May be called after `pauseReading`.
    open func onData(_ bytes: Span<UInt8>) {}
    /// The peer will send no more; this side may still send.
    open func onEnd() {}
    /// The peer closed its side, or everything, while reading is paused; what it sent before may
    /// still wait to be read.
    ///
    /// May be called more than once.
    open func onHangUp() {}
    /// Outstanding output fell to the low mark after the connection had been congested.
    open func onRelieved() {}
    /// The kernel took this many bytes.
    open func onSent(_ count: Int) {}
    /// Everything is over; called once, last.
    open func onClosed(_ reason: CloseReason) {}
    /// The next turn after `requestResume` or `resumeReading`, before anything is received.
    open func onResume() {}
    /// The turn is about to send what is outstanding: the last chance to add to it.
    open func willFlush() {}

    // MARK: State

    /// Established and not closed by this side.
    public var isOpen: Bool { state == .open && !closesAfterFlush }
    /// `close`, `abort` or a failure has happened.
    public var isClosing: Bool { closesAfterFlush || state == .closing || state == .closed }
    /// Bytes accepted by `send` and not yet taken by the kernel.
    public var outstandingBytes: Int { output?.count ?? 0 }
    /// So much is outstanding that the producer should stop until `onRelieved`.
    public var isCongested: Bool {
        guard outstandingBytes > ReactorLimits.congestedAboveBytes else { return false }
        wasCongested = true
        return true
    }
    /// The peer has closed its side, or the whole connection; known as soon as the kernel says so,
    /// possibly before the bytes that came earlier are delivered.
    public var peerClosed: Bool { peerHasClosed }

    /// The local address, for logs.
    public var localAddress: InternetAddress? {
        var raw = mesh_address()
        guard descriptor >= 0, mesh_local_address(descriptor, &raw) >= 0 else { return nil }
        return InternetAddress(raw: raw)
    }

    /// Where the peer is; nil when the socket does not know any more.
    public final var peerAddress: InternetAddress? {
        var raw = mesh_address()
        guard descriptor >= 0, mesh_peer_address(descriptor, &raw) >= 0 else { return nil }
        return InternetAddress(raw: raw)
    }

    /// Where the peer of an accepted connection meant to connect, when a NAT rule sent it here; nil
    /// when it meant this socket.
    ///
    /// Two system calls: ask once, and only where traffic is intercepted.
    public var originalDestination: InternetAddress? {
        descriptor >= 0 ? InternetAddress(originalDestinationOf: descriptor) : nil
    }

    /// Has the kernel ask a silent peer for life, for a protocol that cannot: a peer that vanished
    /// without a word is then noticed after `ReactorLimits.keepAliveIdleSeconds` and a few questions.
    public func enableKeepAlive() {
        guard descriptor >= 0 else { return }
        // Advice only: without it a vanished peer is noticed when the connection's idle limit passes.
        _ = mesh_keep_alive(
            descriptor,
            ReactorLimits.keepAliveIdleSeconds,
            ReactorLimits.keepAliveIntervalSeconds,
            ReactorLimits.keepAliveProbes
        )
    }

    // MARK: Sending

    /// Queues a copy of `bytes`; large ones go straight to the kernel when nothing is queued.
    public func send(_ bytes: Span<UInt8>) {
        guard state == .open || state == .connecting, !closesAfterFlush, !endsAfterFlush else {
            return
        }
        if bytes.count >= ReactorLimits.directSendBytesMin, state == .open, canWrite {
            return sendDirectly(bytes)
        }
        outputBuffer().append(bytes)
    }

    /// The buffer that leaves at the end of the turn: append to it instead of calling `send` when
    /// the bytes are made in place.
    ///
    /// Valid during the caller's own turn only.
    public func outputBuffer() -> ByteBuffer {
        queueFlush()
        if let output { return output }
        let buffer = loop.takeBuffer()
        output = buffer
        return buffer
    }

    /// Asks for one flush at the end of this turn; `willFlush` runs before it.
    public func queueFlush() {
        guard !isFlushQueued else { return }
        isFlushQueued = true
        loop.flushAtEndOfTurn(self)
    }

    /// Sends what is outstanding, then FIN; receiving goes on.
    public func endOutput() {
        guard state == .open, !endsAfterFlush else { return }
        endsAfterFlush = true
        queueFlush()
    }

    // MARK: Receiving

    /// Asks for no more `onData`; what the turn has received already may still come.
    public func pauseReading() { isPaused = true }

    /// Takes `pauseReading` back; bytes waiting in the kernel come in the next turn.
    public func resumeReading() {
        guard isPaused else { return }
        isPaused = false
        if mayRead { requestResume() }
    }

    /// Asks for `onResume` in the next turn, for a subclass that holds back bytes itself.
    public func requestResume() {
        guard !isResumeQueued else { return }
        isResumeQueued = true
        loop.resumeNextTurn(self)
    }

    // MARK: Closing

    /// Sends what is outstanding, then FIN, then waits for the peer to stop sending (at most 2 s),
    /// so that the last response is not destroyed by a reset (RFC 9112 §9.6).
    ///
    /// Nothing is delivered from now on but `onClosed`. A peer that takes nothing for
    /// `closeFlushNanoseconds` is given up.
    public func close() {
        switch state {
        case .idle, .connecting: finishClosing(.local)
        case .open:
            guard !closesAfterFlush else { return }
            closesAfterFlush = true
            isPaused = false
            armCloseTimer(ReactorLimits.closeFlushNanoseconds)
            queueFlush()
        case .closing, .closed: break
        }
    }

    /// Closes at once; what is outstanding is dropped.
    public func abort() {
        guard state != .closed else { return }
        finishClosing(.local)
    }

    /// Closes at once with RST: the peer learns that what it got is not the whole.
    public func reset() {
        guard state != .closed else { return }
        if descriptor >= 0 {
            _ = mesh_reset(descriptor)
            descriptor = -1
        }
        finishClosing(.local)
    }

    // MARK: Loop callbacks

    override func onReady(_ events: UInt32) {
        if state == .connecting {
            guard events & UInt32(MESH_OUT | MESH_ERR | MESH_HUP) != 0 else { return }
            let error = mesh_socket_error(descriptor)
            guard error == 0 else { return finishClosing(.connectFailed(errno: error)) }
            state = .open
            onConnected()
            guard state == .open else { return }
        }
        if events & UInt32(MESH_RDHUP | MESH_HUP | MESH_ERR) != 0 { peerHasClosed = true }
        if events & UInt32(MESH_OUT) != 0, !canWrite {
            canWrite = true
            queueFlush()
        }
        if events & UInt32(MESH_IN | MESH_RDHUP | MESH_HUP | MESH_ERR) != 0 {
            mayRead = true
            if !isPaused { receive() }
            noteHangUp()
        }
        if events & UInt32(MESH_ERR) != 0, hasEnded { noteReset() }
    }

    override func resume() {
        isResumeQueued = false
        if state == .open, !closesAfterFlush { onResume() }
        if mayRead, !isPaused, state == .open || state == .closing { receive() }
        noteHangUp()
    }

    override func flush() {
        isFlushQueued = false
        guard state == .open || state == .connecting else { return }
        willFlush()
        guard state == .open, canWrite else { return }
        if let output, !output.isEmpty {
            let sent = output.withUnsafeBytes { mesh_send(descriptor, $0.baseAddress, $0.count) }
            guard took(sent, of: output.count) else { return }
            if sent > 0 {
                output.consume(sent)
                if closesAfterFlush { armCloseTimer(ReactorLimits.closeFlushNanoseconds) }
            }
        }
        afterFlush()
    }

    override func onReleased() { onClosed(closeReason) }

    override open func onTimer(_ timer: Timer) {
        if let closeTimer, timer === closeTimer { finishClosing(.local) }
    }

    // MARK: Internals

    private func watch() throws(ReactorError) {
        let interest =
            UInt32(MESH_IN | MESH_OUT | MESH_RDHUP) | MESH_EDGE_TRIGGERED
        try loop.watch(self, descriptor: descriptor, events: interest)
    }

    /// A paused reader would learn of the end only when it resumes, which may be never.
    private func noteHangUp() {
        guard peerHasClosed, isPaused, state == .open, !closesAfterFlush else { return }
        onHangUp()
    }

    /// Behind the peer's end a reset is no error of reading any more, only one of the socket; who
    /// waits for nothing but the peer's closing would never learn of it.
    private func noteReset() {
        guard state == .open || state == .closing else { return }
        let error = mesh_socket_error(descriptor)
        if error != 0 { finishClosing(.failed(errno: error)) }
    }

    private func receive() {
        for _ in 0..<ReactorLimits.receivesPerTurnMax {
            let count = mesh_receive(
                descriptor,
                loop.receiveBlock,
                ReactorLimits.receiveBytesMax
            )
            if count > 0 {
                if count < ReactorLimits.receiveBytesMax && !peerHasClosed { mayRead = false }
                deliver(count)
            } else if count == 0 {
                mayRead = false
                peerHasClosed = true
                return ended()
            } else if -count == Int(EAGAIN) {
                mayRead = false
                return
            } else if -count != Int(EINTR) {
                return finishClosing(.failed(errno: Int32(-count)))
            }
            guard mayRead, !isPaused, state == .open || state == .closing else { return }
        }
        // The other connections get their turn first.
        requestResume()
    }

    private func deliver(_ count: Int) {
        guard state == .open, !closesAfterFlush else {
            lingerBytes += count
            if lingerBytes > ReactorLimits.lingerBytesMax { finishClosing(.local) }
            return
        }
        let block = UnsafePointer(
            loop.receiveBlock.bindMemory(to: UInt8.self, capacity: count)
        )
        onData(Span(_unsafeStart: block, count: count))
    }

    private func ended() {
        guard !hasEnded else { return }
        hasEnded = true
        if state == .closing { return finishClosing(.local) }
        if state == .open, !closesAfterFlush { onEnd() }
    }

    private func sendDirectly(_ bytes: Span<UInt8>) {
        let held = output?.count ?? 0
        let sent = bytes.withUnsafeBytes { raw -> Int in
            guard held > 0, let output else {
                return mesh_send(descriptor, raw.baseAddress, raw.count)
            }
            return output.withUnsafeBytes {
                mesh_send2(descriptor, $0.baseAddress, $0.count, raw.baseAddress, raw.count)
            }
        }
        guard took(sent, of: held + bytes.count) else { return }
        let taken = max(sent, 0)
        output?.consume(min(taken, held))
        let ofBytes = max(taken - held, 0)
        if ofBytes < bytes.count {
            outputBuffer().append(bytes.extracting(ofBytes..<bytes.count))
        }
    }

    /// Notes a short send; false when the connection has failed.
    private func took(_ sent: Int, of count: Int) -> Bool {
        if sent > 0 { onSent(sent) }
        if sent == count { return true }
        if sent >= 0 || -sent == Int(EAGAIN) {
            canWrite = false
            return true
        }
        if -sent == Int(EINTR) {
            queueFlush()
            return true
        }
        finishClosing(.failed(errno: Int32(-sent)))
        return false
    }

    private func afterFlush() {
        if outstandingBytes == 0, let output = output.take() { loop.giveBuffer(output) }
        if wasCongested, outstandingBytes <= ReactorLimits.relievedBelowBytes {
            wasCongested = false
            if !closesAfterFlush { onRelieved() }
        }
        guard state == .open, outstandingBytes == 0 else { return }
        if closesAfterFlush {
            startLingering()
        } else if endsAfterFlush {
            _ = mesh_shutdown_write(descriptor)
        }
    }

    private func startLingering() {
        guard !hasEnded, mesh_shutdown_write(descriptor) >= 0 else {
            return finishClosing(.local)
        }
        state = .closing
        armCloseTimer(ReactorLimits.lingerNanoseconds)
        if mayRead { requestResume() }
    }

    private func armCloseTimer(_ nanoseconds: UInt64) {
        let timer = closeTimer ?? Timer()
        closeTimer = timer
        loop.arm(timer, afterNanoseconds: nanoseconds, target: self)
    }

    private func finishClosing(_ reason: CloseReason) {
        guard state != .closed else { return }
        state = .closed
        closeReason = reason
        if let closeTimer { loop.timers.cancel(closeTimer) }
        closeTimer = nil
        loop.release(self)
        if descriptor >= 0 { _ = mesh_close(descriptor) }
        descriptor = -1
        if let output = output.take() { loop.giveBuffer(output) }
    }
}
