// HTTP/2 on an upstream connection: a stream for each exchange.
//
// Invariants:
// - a stream is leased from `lease` until the codec closed it, or was given up before it was opened
// - over plain text nothing is sent before the peer's SETTINGS: an endpoint that does not know
//   HTTP/2 has then seen no request

import Bytes
import HTTP
import HTTP2
import Reactor
import Telemetry

/// Codec and leases of an HTTP/2 upstream connection.
final class HTTP2Upstream: UpstreamDriver {
    private let session: HTTP2ClientSession
    private let keepAlive: HTTP2KeepAlive
    private var leased = 0
    private var isOver = false
    private var isInCodec = false
    private var finishesAtFlush = false
    /// Leased, but to be opened only when the peer's SETTINGS say how.
    private var deferred: ContiguousArray<HTTP2ClientStream> = []
    private(set) var exchangesServed = 0

    override init(connection: UpstreamConnection) {
        let worker = connection.worker
        session = HTTP2ClientSession(
            role: .client,
            settings: connection.usesTLS ? worker.http2.secureSettings : worker.http2.settings,
            limits: worker.httpLimits,
            trustsOrigin: connection.usesTLS,
            memory: worker.http2.memory,
            now: connection.loop.now
        )
        keepAlive = HTTP2KeepAlive(session: session, connection: connection, worker: worker)
        super.init(connection: connection)
        session.driver = self
    }

    override var isShared: Bool { true }

    override var hasRoom: Bool {
        !isOver && leased < streamsMax && session.openableStreams > unopened
    }

    override var isIdle: Bool { leased == 0 }

    /// Over TLS requests leave before the peer's SETTINGS came, and a small peer would refuse most of
    /// them.
    private var streamsMax: Int {
        session.hasPeerSettings ? ProxyLimits.streamsPerConnection : pool.streamsExpected
    }

    /// Leased streams that the codec does not know yet.
    private var unopened: Int { max(leased - session.activeStreams, 0) }

    override func begin() {
        connection.queueFlush()
        keepAlive.arm()
        if connection.usesTLS { connection.becomeReady() }
    }

    override func lease(to receiver: AttemptReceiver) -> UpstreamStream {
        let stream = worker.http2.clientStream()
        stream.driver = self
        stream.receiver = receiver
        leased += 1
        keepAlive.arm()
        return stream.facade
    }

    // MARK: From the connection

    override func received(_ bytes: Span<UInt8>) {
        guard !isOver else { return }
        keepAlive.noteReceived()
        isInCodec = true
        let error = session.receive(bytes, now: connection.loop.now)
        isInCodec = false
        if let error { return fail(error) }
        if session.hasOutput { connection.queueFlush() }
        closeIfFinished()
    }

    override func ended(isTruncated: Bool) {
        noteSilence()
        close()
        connection.abort()
    }

    override func transportFailed(_ failure: Failure) { close() }

    override func relieved() { connection.queueFlush() }

    override func resume() { connection.queueFlush() }

    override func willFlush() {
        guard !isOver, connection.isOpen else { return }
        if finishesAtFlush { return connection.finish() }
        guard session.hasOutput, !connection.isCongested else { return }
        isInCodec = true
        session.appendOutput(
            to: connection.writeBuffer(),
            atMost: ProxyLimits.http2FlushBytes
        )
        isInCodec = false
        if let error = session.failure { return fail(error) }
        if finishesAtFlush { return connection.finish() }
        if session.hasOutput { connection.requestResume() }
        closeIfFinished()
    }

    /// The codec takes no orders while it calls back: the end of the turn does.
    override func deferFinish() -> Bool {
        guard isInCodec, !isOver else { return false }
        finishesAtFlush = true
        connection.queueFlush()
        return true
    }

    override func farewell() {
        guard !isOver else { return }
        session.terminate(HTTP2ErrorCode.noError)
        flushLast()
        close()
    }

    override func closed() {
        // With a reset, or in silence until the time to connect was over.
        noteSilence()
        close()
        pool.sharedEnded(connection)
    }

    // MARK: From the codec

    func peerSettingsCame() {
        pool.noteStreamsMax(session.peerStreamsMax)
        connection.becomeReady()
        let waiting = deferred
        deferred.removeAll()
        for stream in waiting { stream.openDeferred() }
        pool.roomChanged(connection, isNowIdle: false)
    }

    func goAwayCame() {
        pool.sharedEnded(connection)
        if leased == 0 { connection.finish() }
    }

    func open(_ stream: HTTP2ClientStream, _ head: RequestHead) {
        if head.isWebSocket {
            guard session.hasPeerSettings else { return deferred.append(stream) }
            guard session.peerAcceptsExtendedConnect else {
                return stream.refuseLocally(.upgradeUnsupported)
            }
        }
        guard !isOver, session.canOpenStream else { return stream.refuseLocally(.upstreamRefused) }
        session.open(
            stream,
            head: head,
            endsStream: head.bodyLength.isEmpty,
            carriesOrigin: connection.usesTLS
        )
        touched()
    }

    func streamFailed(_ stream: HTTP2ClientStream, _ failure: HTTP2StreamFailure) {
        guard let receiver = stream.receiver else { return }
        stream.receiver = nil
        if case .malformed(let reason) = failure {
            worker.metrics.add(.malformedResponses, pool.direction, label: reason)
        }
        receiver.upstreamFailed(failure.asFailure(connectionWasReused: stream.connectionServed))
    }

    /// The stream is over, whether it was ever opened or not.
    func streamClosed(_ stream: HTTP2ClientStream) {
        if !deferred.isEmpty { deferred.removeAll { $0 === stream } }
        exchangesServed += 1
        leased -= 1
        stream.driver = nil
        stream.head = nil
        // A tunnel whose answer has ended and whose caller has not: the codec takes the stream for
        // complete. The exchange must not keep what the next one is about to use.
        let orphan = stream.receiver
        stream.receiver = nil
        worker.http2.giveBack(stream)
        orphan?.upstreamFailed(.upstreamReset(code: HTTP2ErrorCode.cancel))
        guard !isOver else { return }
        pool.roomChanged(connection, isNowIdle: leased == 0)
        if leased == 0, session.isClosing { connection.finish() }
    }

    func touched() { connection.queueFlush() }

    // MARK: Internals

    private func closeIfFinished() {
        if session.isFinished, !connection.isClosing { connection.finish() }
    }

    private func noteSilence() {
        guard !isOver, !session.hasPeerSettings else { return }
        pool.noteLacksHTTP2(hasAnswered: false)
    }

    private func fail(_ error: HTTP2Error) {
        if !session.hasPeerSettings { pool.noteLacksHTTP2(hasAnswered: true) }
        worker.metrics.add(.http2ConnectionErrors, pool.direction, label: error.reason)
        worker.logHTTP2Error(error, direction: pool.direction, peer: pool.addressText)
        flushLast()
        close()
        connection.finish()
        connection.dialFailed(.upstreamProtocol)
    }

    private func flushLast() {
        guard session.hasOutput, connection.isOpen else { return }
        session.appendOutput(to: connection.writeBuffer(), atMost: ProxyLimits.http2FlushBytes)
    }

    /// No new streams first, so that what fails is not sent again on this connection.
    private func close() {
        guard !isOver else { return }
        isOver = true
        keepAlive.stop()
        pool.sharedEnded(connection)
        if leased > 0 { connection.leavePlace() }
        let waiting = deferred
        deferred.removeAll()
        for stream in waiting { stream.refuseLocally(.upstreamRefused) }
        session.close()
        session.driver = nil
    }
}

/// The codec of one upstream connection.
final class HTTP2ClientSession: HTTP2Connection {
    /// A cycle, which the driver breaks when the connection is over.
    var driver: HTTP2Upstream?

    override func onStreamClosed(_ stream: HTTP2Stream) {
        guard let stream = stream as? HTTP2ClientStream, let driver = stream.driver else { return }
        driver.streamClosed(stream)
    }

    override func onPeerSettings() { driver?.peerSettingsCame() }

    override func onGoAway(code: UInt32) { driver?.goAwayCame() }
}

/// One stream of an upstream connection; reused by the worker.
final class HTTP2ClientStream: HTTP2Stream {
    /// Set while the stream is leased.
    var driver: HTTP2Upstream?
    /// Nil once the receiver is done with it.
    var receiver: AttemptReceiver?
    private var stored: HTTP2UpstreamStream?
    fileprivate var head: RequestHead?
    /// Whether the connection had served an exchange when this one's request was sent.
    ///
    /// Judged then: when a connection dies, its streams end one after the other.
    fileprivate var connectionServed = false

    /// The exchange's view; a cycle that `discard` breaks.
    fileprivate var facade: HTTP2UpstreamStream {
        if let stored { return stored }
        let made = HTTP2UpstreamStream(stream: self)
        stored = made
        return made
    }

    /// Breaks the cycle with its facade.
    func discard() { stored = nil }

    /// The peer's SETTINGS are there now.
    func openDeferred() {
        guard let head, receiver != nil else { return }
        driver?.open(self, head)
        receiver?.upstreamRelieved()
    }

    /// Ends a lease that the codec never saw.
    func refuseLocally(_ failure: Failure) {
        let receiver = receiver
        self.receiver = nil
        driver?.streamClosed(self)
        receiver?.upstreamFailed(failure)
    }

    override func onResponseHead() {
        guard let receiver else { return }
        let response = responseHead
        if let head, head.isWebSocket, (200..<300).contains(response.status) {
            // RFC 8441 §5: the tunnel is accepted, which HTTP/1.1 says with 101.
            response.set(status: 101)
            response.set(bodyLength: .untilClose, wantsKeepAlive: true)
        } else if response.bodyLength == .none, !response.isInterim, response.hasBodyByStatus,
            head?.method != .head
        {
            // HTTP/1.1 has to be told that nothing comes; without a length all until the end would
            // be the body.
            response.set(bodyLength: .known(0), wantsKeepAlive: true)
        }
        receiver.responseHead(response)
    }

    override func onBody(_ bytes: Span<UInt8>) { receiver?.responseBody(bytes) }

    override func onEnd(hasTrailers: Bool) {
        receiver?.responseEnd(trailers: hasTrailers ? trailers : nil)
    }

    override func onFailed(_ failure: HTTP2StreamFailure) { driver?.streamFailed(self, failure) }

    override func onRelieved() { receiver?.upstreamRelieved() }
}

extension ResponseHead {
    /// Whether a response with this status has a body at all (RFC 9110 §6.4.1).
    fileprivate var hasBodyByStatus: Bool { status != 204 && status != 304 }
}

/// The exchange's view of a stream.
final class HTTP2UpstreamStream: UpstreamStream {
    private let stream: HTTP2ClientStream
    private var hasEnded = false

    fileprivate init(stream: HTTP2ClientStream) { self.stream = stream }

    override func sendHead(_ head: RequestHead) {
        hasEnded = head.bodyLength.isEmpty
        stream.connectionServed = (stream.driver?.exchangesServed ?? 0) > 0
        stream.head = head
        stream.driver?.open(stream, head)
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

    override func cancel() { leave(HTTP2ErrorCode.cancel) }

    override func release() { leave(nil) }

    /// The codec closes the stream when both sides have ended, or at once by a reset.
    private func leave(_ code: UInt32?) {
        stream.receiver = nil
        stream.head = nil
        guard stream.isAttached else {
            stream.driver?.streamClosed(stream)
            return
        }
        // The answer is complete: request body that the endpoint does not take waits for nothing.
        let unsent = stream.outstandingBytes > 0 ? HTTP2ErrorCode.noError : nil
        guard let code = code ?? unsent else { return }
        stream.reset(code)
        stream.driver?.touched()
    }

    override var isCongested: Bool { !stream.isAttached || stream.isCongested }

    override func pauseResponse() { stream.pause() }

    override func resumeResponse() {
        stream.resume()
        stream.driver?.touched()
    }

    override var connectionWasReused: Bool { stream.connectionServed }

    override var mayRefuse: Bool { true }
}

extension HTTP2StreamFailure {
    fileprivate func asFailure(connectionWasReused: Bool) -> Failure {
        switch self {
        case .reset(let code): .upstreamReset(code: code)
        case .refused: .upstreamRefused
        case .malformed(let reason):
            .malformedResponse(
                Malformation(
                    status: 502,
                    reason: reason,
                    detail: "The response is not valid HTTP/2."
                )
            )
        case .connectionEnded: .upstreamClosed(connectionWasReused: connectionWasReused)
        }
    }
}
