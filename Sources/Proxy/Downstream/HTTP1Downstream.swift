// HTTP/1.1 on a downstream connection: one exchange at a time, in the order the requests came.
//
// Invariants:
// - while an exchange runs, bytes of later (pipelined) requests are held, and reading pauses; so too
//   while more answers wait for the caller to read them than a connection may hold
// - after a malformed head nothing more is read: where the next request starts is unknown
// - a response whose request was not read to its end closes the connection

import Bytes
import HTTP
import HTTP1
import Reactor
import Telemetry

/// Codec and exchange of an HTTP/1.1 downstream connection.
final class HTTP1Downstream: DownstreamDriver {
    private enum Reading {
        /// Between requests, or in a head that is not complete.
        case head
        /// In the body of the running exchange's request.
        case body
        /// The request is read; its exchange still runs.
        case done
        /// Bytes of an accepted WebSocket.
        case tunnel
        /// Nothing is read any more.
        case stopped
    }

    private let decoder: RequestDecoder
    private var exchange: Exchange?
    private var reading = Reading.head
    private var pending: ByteBuffer?
    private var isDecoding = false
    private var headStarted = false
    private var exchangeRuns = false
    /// Bytes came with a head that asks for a WebSocket.
    private var hasEarlyBytes = false
    /// The caller ended its direction of a tunnel behind what `pending` holds.
    private var endIsHeld = false

    // The response under way.
    private var responseFraming = BodyLength.none
    private var closesAfterResponse = false

    override init(connection: DownstreamConnection) {
        decoder = RequestDecoder(limits: connection.worker.httpLimits)
        super.init(connection: connection)
    }

    override var isIdle: Bool { !exchangeRuns && !headStarted }

    override var runningExchanges: [Exchange] {
        exchangeRuns ? [exchange].compactMap(\.self) : []
    }

    override var canRest: Bool { isIdle && decoder.isIdle && reading == .head && pending == nil }

    // MARK: From the connection

    override func received(_ bytes: Span<UInt8>) {
        if reading == .stopped { return }
        if let pending {
            pending.append(bytes)
            if pending.count > ProxyLimits.pipelinedBytesMax { connection.pauseReading() }
            return
        }
        decode(bytes)
    }

    /// A caller that stops sending has gone, as for most servers: closing is the only way HTTP/1.1
    /// has to cancel a request, and upstream work for nobody is waste.
    override func ended() {
        if reading == .tunnel, exchangeRuns {
            if pending == nil { exchange?.requestEnd(trailers: nil) } else { endIsHeld = true }
            return
        }
        if exchangeRuns { exchange?.downstreamGone() }
        connection.finish()
    }

    /// Where nothing else tells that bytes are missing, an end in good order must not be passed on.
    override func truncated() {
        guard reading == .tunnel, exchangeRuns else { return ended() }
        exchange?.downstreamGone()
        connection.abort()
    }

    /// In a tunnel one direction may end before the other; the end comes with the last bytes.
    override func hungUp() {
        if reading != .tunnel { ended() }
    }

    override func relieved() {
        if exchangeRuns { exchange?.downstreamRelieved() } else { resumeDecoding() }
    }

    override func resume() {
        guard let held = pending, canDecode else { return }
        pending = nil
        held.withSpan { decode($0) }
        connection.loop.giveBuffer(held)
        guard pending == nil else { return }
        if endIsHeld {
            endIsHeld = false
            ended()
        } else {
            connection.resumeReading()
        }
    }

    override func refreshDeadline() {
        if exchangeRuns, let exchange { connection.setDeadline(at: exchange.idleDeadline) }
    }

    override func deadlinePassed() {
        closesAfterResponse = true
        if exchangeRuns {
            worker.metrics.add(.timeouts, connection.direction, label: "stream_idle")
            exchange?.expire(.streamIdleTimeout)
        } else if let caller = connection.caller {
            worker.metrics.add(.timeouts, connection.direction, label: "request_head")
            reading = .stopped
            exchangeRuns = true
            exchangeObject().refuse(.requestHeadTimeout, caller: caller)
        }
    }

    override func expire() {
        if exchangeRuns { exchange?.expire(.drainExpired) }
    }

    override func closed() {
        if exchangeRuns { exchange?.downstreamGone() }
        if let pending { connection.loop.giveBuffer(pending) }
        pending = nil
        exchange = nil
    }

    // MARK: Requests

    private var canDecode: Bool {
        switch reading {
        // Nor while the caller leaves so many answers unread: pipelined requests would turn into
        // answers without end, in our memory.
        case .head: !exchangeRuns && !connection.isCongested
        // The end takes no room: held back behind a congested upstream it would be forgotten, as
        // no byte is left to come for it.
        case .body: decoder.isAtBodyEnd || exchange?.wantsRequestBody ?? false
        case .tunnel: exchange?.wantsRequestBody ?? false
        case .done, .stopped: false
        }
    }

    private func decode(_ input: Span<UInt8>) {
        var offset = 0
        isDecoding = true
        while canDecode, !connection.isClosing {
            do {
                guard try step(input, at: &offset) else { break }
            } catch {
                isDecoding = false
                return refuse(error)
            }
        }
        isDecoding = false
        guard offset < input.count, reading != .stopped, !connection.isClosing else { return }
        let held = pending ?? connection.loop.takeBuffer()
        held.append(input.extracting(offset..<input.count))
        pending = held
        // Body for a congested upstream, or a pipelined request: no more until it is taken.
        connection.pauseReading()
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
            hasEarlyBytes = decoder.head.isWebSocket && offset < input.count
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
        guard let caller = connection.caller else {
            preconditionFailure("data before the connection was ready")
        }
        exchangeRuns = true
        connection.noteServed()
        closesAfterResponse = !decoder.head.wantsKeepAlive
        exchangeObject().begin(decoder.head, caller: caller)
        if exchangeRuns, let exchange { connection.setDeadline(at: exchange.idleDeadline) }
    }

    private func refuse(_ error: HTTP1Error) {
        let wasBody = reading == .body
        reading = .stopped
        closesAfterResponse = true
        guard let caller = connection.caller else { return connection.abort() }
        if wasBody, exchangeRuns {
            exchange?.requestBodyFailed(Malformation(error))
        } else if !exchangeRuns {
            exchangeRuns = true
            exchangeObject().refuse(.malformedRequest(Malformation(error)), caller: caller)
        }
    }

    private func exchangeObject() -> Exchange {
        if let exchange { return exchange }
        let stream = HTTP1DownstreamStream(driver: self)
        let made = Exchange(worker: worker, downstream: stream, head: decoder.head)
        exchange = made
        return made
    }

    private func noteHeadStarted(_ hasStarted: Bool) {
        guard hasStarted, !headStarted else { return }
        // Counted from the head's first byte and not moved by later ones: a caller that sends a
        // byte at a time must not hold the connection for ever.
        headStarted = true
        connection.setDeadline(after: worker.headTimeoutNanoseconds)
    }

    // MARK: From the stream

    var isCongested: Bool { connection.isCongested }

    func encodeInterim(_ head: ResponseHead) {
        guard decoder.head.version == .http11 else { return }
        ResponseEncoder.appendHead(
            head,
            bodyLength: .none,
            to: .http11,
            to: connection.writeBuffer()
        )
    }

    func encodeHead(_ head: ResponseHead) {
        if decoder.head.isWebSocket, reading == .body { answerWebSocket(head) }
        // Not read to its end: the rest of the request would be taken for the next one.
        if reading == .body || worker.isDraining { closesAfterResponse = true }
        responseFraming = ResponseEncoder.appendHead(
            head,
            bodyLength: head.bodyLength,
            to: decoder.head.version,
            closes: closesAfterResponse,
            to: connection.writeBuffer()
        )
        if responseFraming == .untilClose { closesAfterResponse = true }
    }

    /// Bytes that came before a refusal may be meant for the tunnel or be the next request: what they
    /// are is not ours to guess.
    private func answerWebSocket(_ head: ResponseHead) {
        if head.status == 101 {
            reading = .tunnel
            if head.version == .http2 {
                WebSocketHandshake.complete(head, answering: decoder.head)
            }
        } else if pending == nil, !hasEarlyBytes {
            decoder.refuseWebSocket()
            reading = .done
        }
    }

    func encodeBody(_ bytes: Span<UInt8>) {
        guard responseFraming != .none else { return }
        if responseFraming == .chunked {
            ChunkEncoder.appendChunkHeader(bytes.count, to: connection.writeBuffer())
            connection.write(bytes)
            ChunkEncoder.appendChunkEnd(to: connection.writeBuffer())
        } else {
            connection.write(bytes)
        }
    }

    func encodeEnd(trailers: FieldBlock?) {
        if responseFraming == .chunked {
            ChunkEncoder.appendLastChunk(trailers: trailers, to: connection.writeBuffer())
        } else if reading == .tunnel {
            connection.finishOutput()
        }
    }

    /// The response breaks off: with a length or chunks the caller sees that by the early end, else
    /// only a reset tells.
    func breakOff() {
        closesAfterResponse = true
        reading = .stopped
        if responseFraming == .untilClose { connection.reset() } else { connection.abort() }
    }

    func exchangeFinished() {
        exchangeRuns = false
        if connection.isClosing { return }
        if closesAfterResponse || reading == .body || reading == .stopped {
            reading = .stopped
            return connection.finish()
        }
        reading = .head
        connection.becomeIdle()
        if worker.closesIdleConnections { return connection.finish() }
        resumeDecoding()
    }

    func resumeDecoding() {
        if isDecoding { return }
        if pending != nil { connection.requestResume() } else { connection.resumeReading() }
    }
}

/// The exchange's view of an HTTP/1.1 downstream connection.
private final class HTTP1DownstreamStream: DownstreamStream {
    /// A cycle through the exchange, which the driver breaks when the connection is closed.
    private let driver: HTTP1Downstream

    init(driver: HTTP1Downstream) { self.driver = driver }

    override func sendInterim(_ head: ResponseHead) { driver.encodeInterim(head) }
    override func sendHead(_ head: ResponseHead) { driver.encodeHead(head) }
    override func sendBody(_ bytes: Span<UInt8>) { driver.encodeBody(bytes) }
    override func sendEnd(trailers: FieldBlock?) { driver.encodeEnd(trailers: trailers) }
    override func abort(_ failure: Failure) { driver.breakOff() }
    override var isCongested: Bool { driver.isCongested }
    override func resumeRequestBody() { driver.resumeDecoding() }
    override func exchangeFinished(requestEnded: Bool) { driver.exchangeFinished() }
}
