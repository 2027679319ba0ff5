// HTTP/2 on a downstream connection: an exchange for each stream.
//
// The codec calls back from `receive`, `appendOutput` and `close` only, never from what is called on a
// stream; so an exchange may do with its stream what it likes at any time.
//
// Invariants:
// - a stream is in `streams` from its head to the codec's `onStreamClosed`; its exchange is over by
//   then
// - whatever may have made output is followed by `queueFlush`: `willFlush` alone takes it

import Bytes
import HTTP
import HTTP2
import Reactor
import Telemetry
import Time

/// Codec and exchanges of an HTTP/2 downstream connection.
final class HTTP2Downstream: DownstreamDriver {
    private let session: HTTP2ServerSession
    private var streams: ContiguousArray<HTTP2ServerStream> = []
    /// There from the first stream until the connection rests.
    private var keepAlive: HTTP2KeepAlive?
    private var isOver = false
    private var hasStartedShutdown = false
    /// Since when a head is being received; not moved by its later bytes, so that a caller which
    /// sends one at a time does not hold the connection for ever.
    private var headStartedAt: MonotonicTime?
    private var hasBegunStream = false

    override init(connection: DownstreamConnection) {
        let worker = connection.worker
        session = HTTP2ServerSession(
            role: .server,
            settings: worker.http2.settings,
            limits: worker.httpLimits,
            // The application may say what it likes; a peer's certificate says that it is a sidecar.
            trustsOrigin: connection.usesTLS,
            memory: worker.http2.memory,
            now: connection.loop.now
        )
        super.init(connection: connection)
        session.driver = self
    }

    override var isIdle: Bool { streams.isEmpty && !session.isReadingHead }

    // MARK: From the connection

    override func begin() { connection.queueFlush() }

    override func received(_ bytes: Span<UInt8>) {
        guard !isOver else { return }
        keepAlive?.noteReceived()
        hasBegunStream = false
        if let error = session.receive(bytes, now: connection.loop.now) { return fail(error) }
        if session.hasOutput { connection.queueFlush() }
        noteHead()
        closeIfFinished()
    }

    override func ended() {
        close()
        connection.finish()
    }

    override func relieved() { connection.queueFlush() }

    override func resume() { connection.queueFlush() }

    override func willFlush() {
        guard !isOver, session.hasOutput, !connection.isCongested, connection.isOpen else { return }
        session.appendOutput(
            to: connection.writeBuffer(),
            atMost: ProxyLimits.http2FlushBytes
        )
        if let error = session.failure { return fail(error) }
        // More than one turn's worth: the other connections get theirs first.
        if session.hasOutput { connection.requestResume() }
        closeIfFinished()
    }

    override func refreshDeadline() {
        guard !isIdle else { return }
        var earliest = headDeadline ?? .distantFuture
        for stream in streams { earliest = min(earliest, stream.idleDeadline) }
        connection.setDeadline(at: earliest)
    }

    override func deadlinePassed() {
        let now = connection.loop.now
        if let headDeadline, headDeadline <= now {
            worker.metrics.add(.timeouts, connection.direction, label: "request_head")
            return terminate(HTTP2ErrorCode.enhanceYourCalm)
        }
        var hasStuck = false
        for stream in streams where stream.idleDeadline <= now {
            if stream.exchange.state == .idle, stream.hasProgressed(now) { continue }
            worker.metrics.add(.timeouts, connection.direction, label: "stream_idle")
            if stream.exchange.state == .idle {
                // RFC 9113 §7: nobody is asked any more whether the caller wants it.
                hasStuck = true
                stream.drop()
                connection.queueFlush()
            } else {
                stream.exchange.expire(.streamIdleTimeout)
            }
        }
        // Nor does a caller get a reset that reads nothing, however much it sends.
        if hasStuck, connection.isCongested {
            close()
            return connection.abort()
        }
        // Not at once again: what was due stays until its reset is out.
        connection.setDeadline(after: 1_000_000_000)
    }

    override func rest() {
        session.releaseMemory()
        streams = []
        keepAlive?.stop()
        keepAlive = nil
    }

    /// GOAWAY in two steps (RFC 9113 §6.8): peers learn before anything is refused.
    ///
    /// The application is not told: it would only connect to this proxy again.
    override func drain() {
        guard connection.direction == .inbound, !hasStartedShutdown, !isOver else { return }
        hasStartedShutdown = true
        session.startShutdown()
        connection.queueFlush()
    }

    override func finishDrain() {
        guard !isOver else { return }
        session.finishShutdown()
        connection.queueFlush()
        // An idle connection is closed next: its last GOAWAY must be in the buffer before.
        willFlush()
    }

    override func expire() {
        for stream in streams where stream.exchange.state != .idle {
            stream.exchange.expire(.drainExpired)
        }
        terminate(HTTP2ErrorCode.noError)
    }

    override func closed() { close() }

    override var runningExchanges: [Exchange] {
        streams.map(\.exchange).filter { $0.state != .idle }
    }

    // MARK: From the codec

    func begin(_ stream: HTTP2ServerStream) {
        guard let caller = connection.caller else {
            preconditionFailure("data before the connection was ready")
        }
        add(stream)
        stream.exchange.begin(stream.requestHead, caller: caller)
        if stream.exchange.state != .idle {
            connection.setDeadline(at: stream.exchange.idleDeadline)
        }
    }

    func refuse(_ stream: HTTP2ServerStream, _ malformation: Malformation) {
        guard let caller = connection.caller else { return }
        add(stream)
        stream.exchange.refuse(.malformedRequest(malformation), caller: caller)
    }

    func streamFailed(_ stream: HTTP2ServerStream, _ failure: HTTP2StreamFailure) {
        if case .malformed(let reason) = failure {
            worker.metrics.add(.malformedRequests, connection.direction, label: reason)
        }
        stream.exchange.downstreamGone()
    }

    func streamClosed(_ stream: HTTP2ServerStream) {
        stream.exchange.downstreamGone()
        if let index = stream.index {
            let last = streams.removeLast()
            if last !== stream {
                streams[index] = last
                last.index = index
            }
            stream.index = nil
        }
        stream.driver = nil
        worker.http2.giveBack(stream)
        guard streams.isEmpty, !isOver, !connection.isClosing else { return }
        connection.becomeIdle()
    }

    func touched() { connection.queueFlush() }

    // MARK: Internals

    private var headDeadline: MonotonicTime? {
        headStartedAt?.advanced(byNanoseconds: worker.headTimeoutNanoseconds)
    }

    private func noteHead() {
        guard session.isReadingHead else {
            if headStartedAt != nil {
                headStartedAt = nil
                if streams.isEmpty { connection.becomeIdle() }
            }
            return
        }
        guard headStartedAt == nil || hasBegunStream else { return }
        headStartedAt = connection.loop.now
        refreshDeadline()
    }

    private func add(_ stream: HTTP2ServerStream) {
        hasBegunStream = true
        stream.index = streams.count
        stream.forgetLingering()
        streams.append(stream)
        connection.noteServed()
        armKeepAlive()
    }

    private func armKeepAlive() {
        if let keepAlive { return keepAlive.arm() }
        let made = HTTP2KeepAlive(session: session, connection: connection, worker: worker)
        keepAlive = made
        made.arm()
    }

    private func closeIfFinished() {
        if session.isFinished, !connection.isClosing { connection.finish() }
    }

    private func terminate(_ code: UInt32) {
        guard !isOver else { return }
        // What was answered in the last moment goes before GOAWAY, after which nothing does.
        flushLast()
        session.terminate(code)
        flushLast()
        close()
        connection.finish()
    }

    private func fail(_ error: HTTP2Error) {
        worker.metrics.add(.http2ConnectionErrors, connection.direction, label: error.reason)
        worker.logHTTP2Error(error, direction: connection.direction, peer: connection.peerText)
        flushLast()
        close()
        connection.finish()
    }

    private func flushLast() {
        guard session.hasOutput, connection.isOpen else { return }
        session.appendOutput(to: connection.writeBuffer(), atMost: ProxyLimits.http2FlushBytes)
    }

    private func close() {
        guard !isOver else { return }
        isOver = true
        keepAlive?.stop()
        keepAlive = nil
        session.close()
        session.driver = nil
    }
}

/// The codec of one downstream connection.
final class HTTP2ServerSession: HTTP2Connection {
    /// A cycle, which the driver breaks when the connection is over.
    var driver: HTTP2Downstream?

    override func makeStream() -> HTTP2Stream {
        guard let driver else { preconditionFailure("a stream on a connection that is over") }
        let stream = driver.worker.http2.serverStream()
        stream.driver = driver
        return stream
    }

    override func onStreamClosed(_ stream: HTTP2Stream) {
        guard let stream = stream as? HTTP2ServerStream, let driver = stream.driver else { return }
        driver.streamClosed(stream)
    }
}

/// One stream of a downstream connection with its exchange; reused by the worker.
final class HTTP2ServerStream: HTTP2Stream {
    /// Set while the codec has the stream.
    var driver: HTTP2Downstream?
    /// Where the driver keeps it; maintained by the driver.
    var index: Int?
    private var lingersUntil: MonotonicTime?
    private var lingeringBytes: Int?
    private var stored: Exchange?
    private let worker: Worker

    init(worker: Worker) {
        self.worker = worker
        super.init()
    }

    var exchange: Exchange {
        if let stored { return stored }
        let made = Exchange(
            worker: worker,
            downstream: HTTP2DownstreamStream(stream: self),
            head: requestHead
        )
        stored = made
        return made
    }

    /// When nothing has moved for too long, be it that the exchange is over and its response waits
    /// for a caller who takes none of it.
    var idleDeadline: MonotonicTime {
        exchange.state == .idle ? lingersUntil ?? exchange.idleDeadline : exchange.idleDeadline
    }

    /// The exchange is over: whether the caller took any of what is left since it was last asked.
    func hasProgressed(_ now: MonotonicTime) -> Bool {
        let before = lingeringBytes ?? .max
        guard outstandingBytes < before else { return false }
        lingeringBytes = outstandingBytes
        lingersUntil = now.advanced(byNanoseconds: exchange.idleNanoseconds)
        return true
    }

    /// Gives up what the caller does not take; once, though the codec lets go a little later.
    func drop() {
        lingersUntil = .distantFuture
        reset(HTTP2ErrorCode.cancel)
    }

    /// Before the next request.
    func forgetLingering() {
        lingeringBytes = nil
        lingersUntil = nil
    }

    /// Breaks the cycle with its exchange.
    func discard() { stored = nil }

    override func onRequestHead() {
        driver?.begin(self)
        pauseIfUnwanted()
    }

    override func onRequestRefused(status: Int, reason: StaticString) {
        driver?.refuse(
            self,
            Malformation(status: status, reason: reason, detail: "The request's head is too large.")
        )
    }

    override func onBody(_ bytes: Span<UInt8>) {
        exchange.requestBody(bytes)
        pauseIfUnwanted()
    }

    override func onEnd(hasTrailers: Bool) {
        exchange.requestEnd(trailers: hasTrailers ? trailers : nil)
    }

    override func onFailed(_ failure: HTTP2StreamFailure) { driver?.streamFailed(self, failure) }

    override func onRelieved() { exchange.downstreamRelieved() }

    private func pauseIfUnwanted() {
        // The end of a request without body has nothing to wait for, and nobody would resume it.
        guard exchange.state != .idle, !exchange.requestEnded else { return }
        if !exchange.wantsRequestBody { pause() }
    }
}

/// The exchange's view of a stream.
private final class HTTP2DownstreamStream: DownstreamStream {
    /// A cycle, which `HTTP2ServerStream.discard` breaks.
    private let stream: HTTP2ServerStream
    private var hasEnded = false

    init(stream: HTTP2ServerStream) { self.stream = stream }

    override var carriesTrailers: Bool { true }

    override func sendInterim(_ head: ResponseHead) {
        stream.sendHead(head, endsStream: false, carriesOrigin: carriesOrigin)
        stream.driver?.touched()
    }

    override func sendHead(_ head: ResponseHead) {
        hasEnded = head.bodyLength.isEmpty
        stream.sendHead(head, endsStream: hasEnded, carriesOrigin: carriesOrigin)
        stream.driver?.touched()
    }

    override func sendBody(_ bytes: Span<UInt8>) {
        stream.sendBody(bytes)
        stream.driver?.touched()
    }

    override func sendEnd(trailers: FieldBlock?) {
        guard !hasEnded else { return }
        hasEnded = true
        stream.sendEnd(trailers: trailers)
        stream.driver?.touched()
    }

    override func abort(_ failure: Failure) {
        hasEnded = true
        // RFC 8441 §5: so says HTTP/2 what TCP says by a reset.
        stream.reset(
            stream.requestHead.isWebSocket ? HTTP2ErrorCode.cancel : failure.http2Code
        )
        stream.driver?.touched()
    }

    override var isCongested: Bool { stream.isCongested }

    override func pauseRequestBody() { stream.pause() }

    override func resumeRequestBody() {
        stream.resume()
        stream.driver?.touched()
    }

    override func exchangeFinished(requestEnded: Bool) {
        hasEnded = false
        // RFC 9113 §8.1: the answer is complete; the rest of the request is not wanted.
        if !requestEnded { stream.discardBody() }
        stream.driver?.touched()
    }

    private var carriesOrigin: Bool { stream.driver?.connection.usesTLS ?? false }
}

extension Failure {
    /// What a broken-off response says of it (RFC 9113 §7).
    var http2Code: UInt32 {
        switch self {
        case .upstreamReset(let code): code
        case .drainExpired, .requestTimeout, .streamIdleTimeout: HTTP2ErrorCode.cancel
        default: HTTP2ErrorCode.internalError
        }
    }
}
