// HTTP/1.1 on an upstream connection: one exchange at a time.

import Bytes
import HTTP
import HTTP1
import Reactor
import Telemetry

/// Codec and lease of an HTTP/1.1 upstream connection.
final class HTTP1Upstream: UpstreamDriver {
    private enum Phase { case idle, leased, over }

    private let decoder: ResponseDecoder
    private var stream: HTTP1UpstreamStream?
    private var receiver: AttemptReceiver?
    private var phase = Phase.idle
    private var pending: ByteBuffer?
    private(set) var exchangesServed = 0

    // The exchange under way.
    private var requestEnded = false
    private var responseBegan = false
    private var responseEnded = false
    private var keepAlive = true
    private var requestFraming = BodyLength.none
    /// The WebSocket was accepted.
    private var isTunnel = false
    /// What must answer the key of a WebSocket's request, where the key is ours.
    private var expectedAccept: ByteBuffer?
    private var isPausedByExchange = false
    private var leasedInTurn: UInt64 = 0
    /// Whether the end that came behind `pending` was a truncation; nil when none came.
    private var heldEndIsTruncated: Bool?

    override init(connection: UpstreamConnection) {
        decoder = ResponseDecoder(limits: connection.worker.httpLimits)
        super.init(connection: connection)
    }

    override var hasRoom: Bool { phase == .idle }
    override var isIdle: Bool { phase == .idle }

    override func begin() { connection.becomeReady() }

    override func lease(to receiver: AttemptReceiver) -> UpstreamStream {
        precondition(phase == .idle)
        phase = .leased
        leasedInTurn = connection.loop.turns
        self.receiver = receiver
        requestEnded = false
        responseBegan = false
        responseEnded = false
        keepAlive = true
        if let stream { return stream }
        let stream = HTTP1UpstreamStream(driver: self)
        self.stream = stream
        return stream
    }

    // MARK: From the stream

    var isCongested: Bool { connection.isCongested }

    func encodeHead(_ head: RequestHead) {
        requestFraming = head.bodyLength
        isTunnel = false
        decoder.expect(method: head.method, webSocket: head.isWebSocket)
        expectedAccept = nil
        if head.isWebSocket, head.version == .http2 {
            var random = worker.random
            expectedAccept = WebSocketHandshake.complete(head, generator: &random)
            worker.random = random
        }
        RequestEncoder.appendHead(head, bodyLength: head.bodyLength, to: connection.writeBuffer())
    }

    func encodeBody(_ bytes: Span<UInt8>) {
        if requestFraming == .chunked {
            ChunkEncoder.appendChunkHeader(bytes.count, to: connection.writeBuffer())
            connection.write(bytes)
            ChunkEncoder.appendChunkEnd(to: connection.writeBuffer())
        } else {
            connection.write(bytes)
        }
    }

    func encodeEnd(trailers: FieldBlock?) {
        requestEnded = true
        if requestFraming == .chunked {
            ChunkEncoder.appendLastChunk(trailers: trailers, to: connection.writeBuffer())
        } else if isTunnel {
            connection.finishOutput()
        }
    }

    func cancelExchange() {
        receiver = nil
        endLease(reusable: false)
    }

    func releaseExchange() {
        receiver = nil
        exchangesServed += 1
        endLease(reusable: keepAlive && requestEnded && responseEnded)
    }

    func resumeResponse() {
        isPausedByExchange = false
        guard pending != nil else { return connection.resumeReading() }
        // Held plaintext first, in a turn of its own: the caller is inside its own callbacks.
        connection.requestResume()
    }

    func pauseResponse() {
        isPausedByExchange = true
        connection.pauseReading()
    }

    // MARK: From the connection

    override func resume() {
        guard phase == .leased, !isPausedByExchange, let held = pending else { return }
        pending = nil
        held.withSpan { decode($0) }
        connection.loop.giveBuffer(held)
        guard pending == nil, !isPausedByExchange else { return }
        if let isTruncated = heldEndIsTruncated, phase == .leased {
            ended(isTruncated: isTruncated)
        } else {
            connection.resumeReading()
        }
    }

    override func received(_ bytes: Span<UInt8>) {
        guard phase == .leased else {
            // Bytes nobody asked for: what follows could be taken for the answer to the next request.
            return connection.abort()
        }
        guard responseBegan || !isRequestUnsent else {
            worker.metrics.add(.malformedResponses, pool.direction, label: "unexpected_response")
            return fail(.upstreamClosed(connectionWasReused: maybeStale))
        }
        responseBegan = true
        if let pending { return pending.append(bytes) }
        decode(bytes)
    }

    override func ended(isTruncated: Bool) {
        guard phase == .leased else { return connection.abort() }
        guard pending == nil else {
            // TLS brings the last bytes and the end in one receive: what is held goes first.
            heldEndIsTruncated = isTruncated
            keepAlive = false
            return
        }
        guard !isTruncated else { return fail(.upstreamClosed(connectionWasReused: maybeStale)) }
        do {
            let event = try decoder.endOfInput()
            guard case .end = event else {
                return fail(.upstreamClosed(connectionWasReused: maybeStale))
            }
            keepAlive = false
            endResponse(hasTrailers: false)
        } catch {
            fail(.upstreamClosed(connectionWasReused: maybeStale))
        }
    }

    override func transportFailed(_ failure: Failure) { fail(failure) }

    override func relieved() { receiver?.upstreamRelieved() }

    override func closed() {
        if let pending { connection.loop.giveBuffer(pending) }
        pending = nil
        let before = phase
        phase = .over
        switch before {
        case .idle: pool.idleEnded(connection)
        case .leased:
            let receiver = receiver
            self.receiver = nil
            connection.leavePlace()
            pool.leaseEnded()
            receiver?.upstreamFailed(.upstreamClosed(connectionWasReused: maybeStale))
        case .over: break
        }
        stream = nil
    }

    /// Whether the request cannot have left yet: output leaves at the end of the turn, only large
    /// bodies without TLS earlier.
    ///
    /// What comes before it does is no answer to it; a service that was made to send two responses
    /// for one request would else answer the next caller in the queue.
    private var isRequestUnsent: Bool {
        leasedInTurn == connection.loop.turns
            && (connection.usesTLS || connection.outstandingBytes > 0)
    }

    // MARK: Decoding

    /// Whether its end may be that of an idle connection which met our request on its way: after a
    /// byte of a response, interim ones too, the request has been seen.
    private var maybeStale: Bool { exchangesServed > 0 && !responseBegan }

    private func decode(_ input: Span<UInt8>) {
        var offset = 0
        while phase == .leased, receiver != nil {
            if isPausedByExchange, offset < input.count {
                let held = connection.loop.takeBuffer()
                held.append(input.extracting(offset..<input.count))
                pending = held
                return
            }
            do {
                switch try decoder.next(input, at: &offset) {
                case .needMore: return
                case .head: headArrived()
                case .body(let range): receiver?.responseBody(input.extracting(range))
                case .end(let hasTrailers):
                    // Bytes after the end belong to no request of ours.
                    if offset < input.count { keepAlive = false }
                    return endResponse(hasTrailers: hasTrailers)
                }
            } catch {
                return refuse(Malformation(error))
            }
        }
    }

    private func headArrived() {
        let head = decoder.head
        if !head.isInterim { keepAlive = head.wantsKeepAlive }
        if head.status == 101 { isTunnel = true }
        if head.status == 101, let accept = expectedAccept, !WebSocketHandshake.check(head, accept)
        {
            return refuse(.notTheWebSocketAskedFor)
        }
        receiver?.responseHead(head)
    }

    private func refuse(_ error: Malformation) {
        worker.metrics.add(.malformedResponses, pool.direction, label: error.reason)
        fail(.malformedResponse(error))
    }

    private func endResponse(hasTrailers: Bool) {
        responseEnded = true
        receiver?.responseEnd(trailers: hasTrailers ? decoder.trailers : nil)
    }

    /// Ends the lease from this side and tells the exchange.
    private func fail(_ failure: Failure) {
        let receiver = receiver
        self.receiver = nil
        endLease(reusable: false)
        receiver?.upstreamFailed(failure)
    }

    private func endLease(reusable: Bool) {
        guard phase == .leased else { return }
        if let pending {
            connection.loop.giveBuffer(pending)
            self.pending = nil
        }
        isPausedByExchange = false
        phase = .idle
        guard reusable, connection.isUsable else {
            phase = .over
            if reusable || responseEnded {
                connection.finish()
            } else if isTunnel {
                // An end in good order would say that all bytes have come.
                connection.reset()
                connection.leavePlace()
            } else {
                connection.abort()
                connection.leavePlace()
            }
            return pool.leaseEnded()
        }
        connection.resumeReading()
        pool.giveBack(connection)
    }
}

/// The exchange's view of an HTTP/1.1 upstream connection.
private final class HTTP1UpstreamStream: UpstreamStream {
    /// A cycle, which the driver breaks when the connection is closed.
    private let driver: HTTP1Upstream

    init(driver: HTTP1Upstream) { self.driver = driver }

    override func sendHead(_ head: RequestHead) { driver.encodeHead(head) }
    override func sendBody(_ bytes: Span<UInt8>) { driver.encodeBody(bytes) }
    override func sendEnd(trailers: FieldBlock?) { driver.encodeEnd(trailers: trailers) }
    override func cancel() { driver.cancelExchange() }
    override func release() { driver.releaseExchange() }
    override var isCongested: Bool { driver.isCongested }
    override func pauseResponse() { driver.pauseResponse() }
    override func resumeResponse() { driver.resumeResponse() }
    override var connectionWasReused: Bool { driver.exchangesServed > 0 }
}
