// One HTTP/1.1 connection to an endpoint: dial, secure, then one exchange at a time.

import Bytes
import HTTP
import HTTP1
import MeshModel
import Reactor
import TLS
import Telemetry
import Time

/// Socket, TLS and codec of one upstream connection.
///
/// Confined to its worker.
final class UpstreamConnection: TransportConnection {
    private enum Phase { case dialing, idle, leased, over }

    private let pool: EndpointPool
    private let decoder: ResponseDecoder
    private var stream: HTTP1UpstreamStream?
    private var exchange: Exchange?
    private var phase = Phase.dialing
    private var pending: ByteBuffer?
    private let connectTimer = Timer()
    private(set) var exchangesServed = 0
    /// Whether it still takes a place in its cluster's bound on connections.
    private var isCounted = true
    var idleSince = MonotonicTime(nanoseconds: 0)

    // The exchange under way.
    private var requestEnded = false
    private var responseBegan = false
    private var responseEnded = false
    private var keepAlive = true
    private var requestFraming = BodyLength.none
    private var isPausedByExchange = false
    private var leasedInTurn: UInt64 = 0
    /// Whether the end that came behind `pending` was a truncation; nil when none came.
    private var heldEndIsTruncated: Bool?

    /// - Throws: `Failure.noIdentity` when the cluster wants mTLS and there is no certificate yet.
    init(pool: EndpointPool) throws(Failure) {
        self.pool = pool
        decoder = ResponseDecoder(limits: pool.worker.httpLimits)
        let tls: TLSConnection?
        switch pool.owner.cluster.security {
        case .plaintext: tls = nil
        case .mutual(let identities):
            guard let context = pool.worker.clientTLS else { throw .noIdentity }
            do {
                tls = try TLSConnection(
                    context: context,
                    applicationProtocols: .http1,
                    expectedPeers: identities,
                    endpoint: pool.socketAddress
                )
            } catch {
                throw .upstreamTLS(error)
            }
        }
        super.init(worker: pool.worker, tls: tls)
    }

    /// Whether it can take an exchange now.
    var isUsable: Bool { isOpen && !peerClosed && phase != .over }

    func dial(_ address: InternetAddress, timeoutNanoseconds: UInt64) {
        loop.arm(connectTimer, afterNanoseconds: timeoutNanoseconds, target: self)
        connect(to: address)
    }

    /// Leaves its place to a connection to another endpoint: it is idle and closes at once.
    func giveWay() {
        precondition(phase == .idle)
        isCounted = false
        abort()
    }

    /// Gives the connection to `exchange`.
    func lease(to exchange: Exchange) -> UpstreamStream {
        precondition(phase != .leased && phase != .over)
        phase = .leased
        leasedInTurn = loop.turns
        self.exchange = exchange
        requestEnded = false
        responseBegan = false
        responseEnded = false
        keepAlive = true
        if let stream { return stream }
        let stream = HTTP1UpstreamStream(connection: self)
        self.stream = stream
        return stream
    }

    // MARK: From the stream

    func encodeHead(_ head: RequestHead) {
        requestFraming = head.bodyLength
        decoder.expect(method: head.method)
        RequestEncoder.appendHead(head, bodyLength: head.bodyLength, to: writeBuffer())
    }

    func encodeBody(_ bytes: Span<UInt8>) {
        if requestFraming == .chunked {
            ChunkEncoder.appendChunkHeader(bytes.count, to: writeBuffer())
            write(bytes)
            ChunkEncoder.appendChunkEnd(to: writeBuffer())
        } else {
            write(bytes)
        }
    }

    func encodeEnd(trailers: FieldBlock?) {
        requestEnded = true
        if requestFraming == .chunked {
            ChunkEncoder.appendLastChunk(trailers: trailers, to: writeBuffer())
        }
    }

    func cancelExchange() {
        exchange = nil
        endLease(reusable: false)
    }

    func releaseExchange() {
        exchange = nil
        exchangesServed += 1
        endLease(reusable: keepAlive && requestEnded && responseEnded)
    }

    func resumeResponse() {
        isPausedByExchange = false
        guard pending != nil else { return resumeReading() }
        // Held plaintext first, in a turn of its own: the caller is inside its own callbacks.
        requestResume()
    }

    override func onResume() {
        guard phase == .leased, !isPausedByExchange, let held = pending else { return }
        pending = nil
        held.withSpan { decode($0) }
        loop.giveBuffer(held)
        guard pending == nil, !isPausedByExchange else { return }
        if let isTruncated = heldEndIsTruncated, phase == .leased {
            onPlaintextEnd(isTruncated: isTruncated)
        } else {
            resumeReading()
        }
    }

    func pauseResponse() {
        isPausedByExchange = true
        pauseReading()
    }

    // MARK: Transport callbacks

    override func onData(_ bytes: Span<UInt8>) {
        worker.metrics.add(.upstreamBytesReceived, pool.direction, UInt64(bytes.count))
        super.onData(bytes)
    }

    override func onSent(_ count: Int) {
        worker.metrics.add(.upstreamBytesSent, pool.direction, UInt64(count))
    }

    override func onReadyForData() {
        loop.timers.cancel(connectTimer)
        guard isUsable else {
            // The peer hung up with its last handshake message: a failed attempt, not a reason to
            // dial anew for as long as it does so.
            abort()
            return dialFailed(.connectFailed(errno: 0))
        }
        phase = .idle
        if wasResumed { worker.metrics.add(.tlsResumptions, pool.direction) }
        if usesTLS { worker.metrics.add(.tlsHandshakes, pool.direction) }
        pool.connected(self)
    }

    override func onPlaintext(_ bytes: Span<UInt8>) {
        guard phase == .leased else {
            // Bytes nobody asked for: what follows could be taken for the answer to the next request.
            return abort()
        }
        guard responseBegan || !isRequestUnsent else {
            worker.metrics.add(.malformedResponses, pool.direction, label: "unexpected_response")
            return fail(.upstreamClosed(connectionWasReused: maybeStale))
        }
        responseBegan = true
        if let pending { return pending.append(bytes) }
        decode(bytes)
    }

    override func onPlaintextEnd(isTruncated: Bool) {
        guard phase == .leased else { return abort() }
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

    override func onTLSFailure(_ error: TLSError) {
        worker.metrics.add(.tlsFailures, pool.direction, label: error.label)
        worker.logTLSFailure(error, direction: pool.direction, peer: pool.addressText)
        guard phase == .dialing else { return fail(.upstreamTLS(error)) }
        // Closing takes a while, for the alert's sake; whoever waits is told now.
        dialFailed(.upstreamTLS(error))
    }

    override func onRelieved() { exchange?.upstreamRelieved() }

    override func onTimer(_ timer: Timer) {
        guard timer === connectTimer else { return super.onTimer(timer) }
        guard phase == .dialing else { return }
        worker.metrics.add(.timeouts, pool.direction, label: "connect")
        abort()
        dialFailed(.connectTimeout)
    }

    /// Its place is free before whoever waits is told, so that another attempt can take it.
    private func dialFailed(_ failure: Failure) {
        loop.timers.cancel(connectTimer)
        phase = .over
        isCounted = false
        pool.dialFailed(failure)
    }

    override func onClosed(_ reason: CloseReason) {
        super.onClosed(reason)
        loop.timers.cancel(connectTimer)
        if let pending { loop.giveBuffer(pending) }
        pending = nil
        let before = phase
        phase = .over
        switch before {
        case .dialing: dialFailed(reason.dialFailure)
        case .idle: pool.idleEnded(self)
        case .leased:
            let exchange = exchange
            self.exchange = nil
            leavePlace()
            pool.leaseEnded()
            exchange?.upstreamFailed(.upstreamClosed(connectionWasReused: maybeStale))
        case .over: break
        }
        stream = nil
        if isCounted { pool.connectionClosed() } else { pool.forgetIfEmpty() }
    }

    /// Whether the request cannot have left yet: output leaves at the end of the turn, only large
    /// bodies without TLS earlier.
    ///
    /// What comes before it does is no answer to it; a service that was made to send two responses
    /// for one request would else answer the next caller in the queue.
    private var isRequestUnsent: Bool {
        leasedInTurn == loop.turns && (usesTLS || outstandingBytes > 0)
    }

    // MARK: Decoding

    /// Whether its end may be that of an idle connection which met our request on its way: after a
    /// byte of a response, interim ones too, the request has been seen.
    private var maybeStale: Bool { exchangesServed > 0 && !responseBegan }

    private func decode(_ input: Span<UInt8>) {
        var offset = 0
        while phase == .leased, exchange != nil {
            if isPausedByExchange, offset < input.count {
                let held = loop.takeBuffer()
                held.append(input.extracting(offset..<input.count))
                pending = held
                return
            }
            do {
                switch try decoder.next(input, at: &offset) {
                case .needMore: return
                case .head: headArrived()
                case .body(let range): exchange?.responseBody(input.extracting(range))
                case .end(let hasTrailers):
                    // Bytes after the end belong to no request of ours.
                    if offset < input.count { keepAlive = false }
                    return endResponse(hasTrailers: hasTrailers)
                }
            } catch {
                worker.metrics.add(.malformedResponses, pool.direction, label: error.reason)
                return fail(.malformedResponse(error))
            }
        }
    }

    private func headArrived() {
        let head = decoder.head
        if !head.isInterim { keepAlive = head.wantsKeepAlive }
        exchange?.responseHead(head)
    }

    private func endResponse(hasTrailers: Bool) {
        responseEnded = true
        exchange?.responseEnd(trailers: hasTrailers ? decoder.trailers : nil)
    }

    /// An aborted connection takes no place in the bound on connections any more: the exchange it
    /// failed may be sent again, and must find room where there is only this one.
    private func leavePlace() {
        guard isCounted else { return }
        isCounted = false
        pool.leftCluster()
    }

    /// Ends the lease from this side and tells the exchange.
    private func fail(_ failure: Failure) {
        let exchange = exchange
        self.exchange = nil
        endLease(reusable: false)
        exchange?.upstreamFailed(failure)
    }

    private func endLease(reusable: Bool) {
        guard phase == .leased else { return }
        if let pending {
            loop.giveBuffer(pending)
            self.pending = nil
        }
        isPausedByExchange = false
        guard reusable, isUsable else {
            phase = .over
            if reusable || responseEnded {
                finish()
            } else {
                abort()
                leavePlace()
            }
            return pool.leaseEnded()
        }
        phase = .idle
        resumeReading()
        pool.giveBack(self)
    }
}

extension CloseReason {
    /// A connection that ended before it was ready.
    fileprivate var dialFailure: Failure {
        switch self {
        case .connectFailed(let errno), .failed(let errno): .connectFailed(errno: errno)
        // The peer hung up during the handshake.
        case .local: .connectFailed(errno: 0)
        }
    }
}

/// The exchange's view of an HTTP/1.1 upstream connection.
final class HTTP1UpstreamStream: UpstreamStream {
    /// A cycle, which the connection breaks when it is closed.
    private let connection: UpstreamConnection

    init(connection: UpstreamConnection) { self.connection = connection }

    override func sendHead(_ head: RequestHead) { connection.encodeHead(head) }
    override func sendBody(_ bytes: Span<UInt8>) { connection.encodeBody(bytes) }
    override func sendEnd(trailers: FieldBlock?) { connection.encodeEnd(trailers: trailers) }
    override func cancel() { connection.cancelExchange() }
    override func release() { connection.releaseExchange() }
    override var isCongested: Bool { connection.isCongested }
    override func pauseResponse() { connection.pauseResponse() }
    override func resumeResponse() { connection.resumeResponse() }
    override var connectionWasReused: Bool { connection.exchangesServed > 0 }
}
