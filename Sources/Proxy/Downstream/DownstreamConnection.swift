// One HTTP/1.1 connection from a caller: secure, then one exchange at a time in the order the
// requests came.
//
// Invariants:
// - while an exchange runs, bytes of later (pipelined) requests are held, and reading pauses; so too
//   while more answers wait for the caller to read them than a connection may hold
// - after a malformed head nothing more is read: where the next request starts is unknown
// - a response whose request was not read to its end closes the connection

import Bytes
import HTTP
import HTTP1
import MeshModel
import Reactor
import TLS
import Telemetry
import Time

/// Socket, TLS and codec of one downstream connection.
///
/// Confined to its worker.
final class DownstreamConnection: TransportConnection {
    private enum Reading {
        /// Between requests, or in a head that is not complete.
        case head
        /// In the body of the running exchange's request.
        case body
        /// The request is read; its exchange still runs.
        case done
        /// Nothing is read any more.
        case stopped
    }

    let direction: Direction
    /// Where the worker keeps it; maintained by the worker.
    var registryIndex = -1
    private let decoder: RequestDecoder
    private let deadline = LazyDeadline(kind: 1)
    private var caller: Caller?
    private var exchange: Exchange?
    private var stream: HTTP1DownstreamStream?
    private var reading = Reading.head
    private var pending: ByteBuffer?
    private var isDecoding = false
    private var headStarted = false
    private var exchangeRuns = false
    private var idleSince = MonotonicTime(nanoseconds: 0)
    private(set) var isResting = false
    private var hasServed = false

    // The response under way.
    private var responseFraming = BodyLength.none
    private var closesAfterResponse = false
    private var responseBegan = false

    init(
        worker: Worker,
        accepted: consuming AcceptedSocket,
        direction: Direction,
        tls: TLSConnection?
    ) throws(ReactorError) {
        self.direction = direction
        decoder = RequestDecoder(limits: worker.httpLimits)
        try super.init(worker: worker, accepted: accepted, tls: tls)
    }

    /// After it was registered with the worker.
    func begin() {
        if usesTLS {
            setDeadline(worker.headTimeoutNanoseconds)
        } else {
            becomeReady()
        }
    }

    /// Whether no exchange runs and no request has begun.
    var isIdle: Bool { !exchangeRuns && !headStarted }

    /// Whether no request has come yet: who has just connected is about to send one, and nothing has
    /// told it not to.
    var awaitsFirstRequest: Bool { !hasServed && !isClosing }

    /// The proxy drains and no longer waits for idle callers.
    func closeIfIdle() {
        if isIdle, hasServed, !isClosing { finish() }
    }

    /// The drain's grace period is over.
    func expireDrain() {
        if exchangeRuns { exchange?.expire(.drainExpired) }
        if !isClosing { finish() }
    }

    // MARK: Transport callbacks

    override func onData(_ bytes: Span<UInt8>) {
        worker.metrics.add(.downstreamBytesReceived, direction, UInt64(bytes.count))
        super.onData(bytes)
    }

    override func onSent(_ count: Int) {
        worker.metrics.add(.downstreamBytesSent, direction, UInt64(count))
    }

    override func onReadyForData() {
        worker.metrics.add(.tlsHandshakes, direction)
        if wasResumed { worker.metrics.add(.tlsResumptions, direction) }
        becomeReady()
    }

    override func onPlaintext(_ bytes: Span<UInt8>) {
        if reading == .stopped { return }
        if let pending {
            pending.append(bytes)
            if pending.count > ProxyLimits.pipelinedBytesMax { pauseReading() }
            return
        }
        decode(bytes)
    }

    override func onPlaintextEnd(isTruncated: Bool) { callerLeft() }

    override func onHangUp() { callerLeft() }

    override func onTLSFailure(_ error: TLSError) {
        worker.metrics.add(.tlsFailures, direction, label: error.label)
        worker.logTLSFailure(error, direction: direction, peer: peerText)
        if exchangeRuns { exchange?.downstreamGone() }
    }

    override func onRelieved() {
        if exchangeRuns { exchange?.downstreamRelieved() } else { resumeDecoding() }
    }

    override func onResume() {
        guard let held = pending, canDecode else { return }
        pending = nil
        held.withSpan { decode($0) }
        loop.giveBuffer(held)
        if pending == nil { resumeReading() }
    }

    override func onTimer(_ timer: Timer) {
        guard deadline.isTimer(timer) else { return super.onTimer(timer) }
        if exchangeRuns, let exchange { setIdleDeadline(of: exchange) }
        guard deadline.hasPassed(loop: loop, target: self), !isClosing else { return }
        deadlinePassed()
    }

    override func onClosed(_ reason: CloseReason) {
        super.onClosed(reason)
        deadline.cancel(loop: loop)
        if exchangeRuns { exchange?.downstreamGone() }
        if let pending { loop.giveBuffer(pending) }
        pending = nil
        exchange = nil
        stream = nil
        worker.remove(self)
        worker.metrics.add(.connectionsClosed, direction)
    }

    /// A caller that stops sending has gone, as for most servers: closing is the only way HTTP/1.1
    /// has to cancel a request, and upstream work for nobody is waste.
    private func callerLeft() {
        if exchangeRuns { exchange?.downstreamGone() }
        finish()
    }

    // MARK: Requests

    private func becomeReady() {
        caller = worker.caller(direction, identity: peerIdentity)
        becomeIdle()
    }

    private func becomeIdle() {
        idleSince = loop.now
        isResting = false
        setDeadline(min(worker.connectionIdleNanoseconds, worker.restAfterNanoseconds))
    }

    /// Gives back what only a request needs; most connections of a sidecar are idle most of the time.
    private func rest() {
        isResting = true
        decoder.releaseMemory()
        exchange = nil
        stream = nil
        deadline.set(
            idleSince.advanced(byNanoseconds: worker.connectionIdleNanoseconds),
            loop: loop,
            target: self
        )
    }

    private var canDecode: Bool {
        switch reading {
        // Nor while the caller leaves so many answers unread: pipelined requests would turn into
        // answers without end, in our memory.
        case .head: !exchangeRuns && !isCongested
        case .body: exchange?.wantsRequestBody ?? false
        case .done, .stopped: false
        }
    }

    private func decode(_ input: Span<UInt8>) {
        var offset = 0
        isDecoding = true
        while canDecode, !isClosing {
            do {
                guard try step(input, at: &offset) else { break }
            } catch {
                isDecoding = false
                return refuse(error)
            }
        }
        isDecoding = false
        guard offset < input.count, reading != .stopped, !isClosing else { return }
        let held = pending ?? loop.takeBuffer()
        held.append(input.extracting(offset..<input.count))
        pending = held
        // Body for a congested upstream, or a pipelined request: no more until it is taken.
        pauseReading()
    }

    /// Takes one event out of the input; false when it holds no complete one.
    private func step(_ input: Span<UInt8>, at offset: inout Int) throws(HTTP1Error) -> Bool {
        switch try decoder.next(input, at: &offset) {
        case .needMore:
            if reading == .head { noteHeadStarted(!decoder.isIdle) }
            return false
        case .head:
            headStarted = false
            reading = .body
            // A request without body ends with its head. The exchange learns that from the head, so
            // the decoder's event is taken before it begins.
            if decoder.head.bodyLength.isEmpty {
                _ = try decoder.next(input, at: &offset)
                reading = .done
            }
            beginExchange()
        case .body(let range):
            exchange?.requestBody(input.extracting(range))
        case .end(let hasTrailers):
            reading = .done
            exchange?.requestEnd(trailers: hasTrailers ? decoder.trailers : nil)
        }
        return true
    }

    private func beginExchange() {
        guard let caller else { preconditionFailure("data before the connection was ready") }
        exchangeRuns = true
        hasServed = true
        responseBegan = false
        closesAfterResponse = !decoder.head.wantsKeepAlive
        exchangeObject().begin(decoder.head, caller: caller)
        if exchangeRuns, let exchange { setIdleDeadline(of: exchange) }
    }

    private func refuse(_ error: HTTP1Error) {
        let wasBody = reading == .body
        reading = .stopped
        closesAfterResponse = true
        guard let caller else { return abort() }
        if wasBody, exchangeRuns {
            exchange?.requestBodyFailed(error)
        } else if !exchangeRuns {
            exchangeRuns = true
            responseBegan = false
            exchangeObject().refuse(.malformedRequest(error), caller: caller)
        }
    }

    private func exchangeObject() -> Exchange {
        if let exchange { return exchange }
        let stream = HTTP1DownstreamStream(connection: self)
        let made = Exchange(worker: worker, downstream: stream, head: decoder.head)
        self.stream = stream
        exchange = made
        return made
    }

    private func noteHeadStarted(_ hasStarted: Bool) {
        guard hasStarted, !headStarted else { return }
        // Counted from the head's first byte and not moved by later ones: a caller that sends a
        // byte at a time must not hold the connection for ever.
        headStarted = true
        setDeadline(worker.headTimeoutNanoseconds)
    }

    private func deadlinePassed() {
        if caller != nil, isIdle, decoder.isIdle, !isResting,
            loop.now.nanoseconds(since: idleSince) < worker.connectionIdleNanoseconds
        {
            return rest()
        }
        if exchangeRuns {
            worker.metrics.add(.timeouts, direction, label: "stream_idle")
            closesAfterResponse = true
            exchange?.expire(.streamIdleTimeout)
        } else if headStarted, let caller {
            worker.metrics.add(.timeouts, direction, label: "request_head")
            reading = .stopped
            closesAfterResponse = true
            exchangeRuns = true
            responseBegan = false
            exchangeObject().refuse(.requestHeadTimeout, caller: caller)
        } else {
            worker.metrics.add(
                .timeouts,
                direction,
                label: caller == nil ? "handshake" : "connection_idle"
            )
            finish()
        }
    }

    private func setDeadline(_ nanoseconds: UInt64) {
        deadline.set(
            loop.now.advanced(byNanoseconds: nanoseconds),
            loop: loop,
            target: self
        )
    }

    private func setIdleDeadline(of exchange: Exchange) {
        deadline.set(exchange.idleDeadline, loop: loop, target: self)
    }

    private var peerText: String { peerIdentity?.description ?? "" }

    // MARK: From the stream

    func encodeInterim(_ head: ResponseHead) {
        guard decoder.head.version == .http11 else { return }
        ResponseEncoder.appendHead(
            head,
            bodyLength: .none,
            to: .http11,
            to: writeBuffer()
        )
    }

    func encodeHead(_ head: ResponseHead) {
        responseBegan = true
        // Not read to its end: the rest of the request would be taken for the next one.
        if reading == .body || worker.isDraining { closesAfterResponse = true }
        responseFraming = ResponseEncoder.appendHead(
            head,
            bodyLength: head.bodyLength,
            to: decoder.head.version,
            closes: closesAfterResponse,
            to: writeBuffer()
        )
        if responseFraming == .untilClose { closesAfterResponse = true }
    }

    func encodeBody(_ bytes: Span<UInt8>) {
        guard responseFraming != .none else { return }
        if responseFraming == .chunked {
            ChunkEncoder.appendChunkHeader(bytes.count, to: writeBuffer())
            write(bytes)
            ChunkEncoder.appendChunkEnd(to: writeBuffer())
        } else {
            write(bytes)
        }
    }

    func encodeEnd(trailers: FieldBlock?) {
        if responseFraming == .chunked {
            ChunkEncoder.appendLastChunk(trailers: trailers, to: writeBuffer())
        }
    }

    /// The response breaks off: with a length or chunks the caller sees that by the early end, else
    /// only a reset tells.
    func breakOff() {
        closesAfterResponse = true
        reading = .stopped
        if responseFraming == .untilClose { reset() } else { abort() }
    }

    func exchangeFinished() {
        exchangeRuns = false
        if isClosing { return }
        if closesAfterResponse || reading == .body || reading == .stopped {
            reading = .stopped
            return finish()
        }
        reading = .head
        becomeIdle()
        if worker.closesIdleConnections { return finish() }
        resumeDecoding()
    }

    func resumeDecoding() {
        if isDecoding { return }
        if pending != nil { requestResume() } else { resumeReading() }
    }
}

/// The exchange's view of an HTTP/1.1 downstream connection.
final class HTTP1DownstreamStream: DownstreamStream {
    /// A cycle, which the connection breaks when it is closed.
    private let connection: DownstreamConnection

    init(connection: DownstreamConnection) { self.connection = connection }

    override func sendInterim(_ head: ResponseHead) { connection.encodeInterim(head) }
    override func sendHead(_ head: ResponseHead) { connection.encodeHead(head) }
    override func sendBody(_ bytes: Span<UInt8>) { connection.encodeBody(bytes) }
    override func sendEnd(trailers: FieldBlock?) { connection.encodeEnd(trailers: trailers) }
    override func abort() { connection.breakOff() }
    override var isCongested: Bool { connection.isCongested }
    override func resumeRequestBody() { connection.resumeDecoding() }
    override func exchangeFinished() { connection.exchangeFinished() }
}
