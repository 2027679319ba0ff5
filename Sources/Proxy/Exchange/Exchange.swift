// The story of one request and its response:
//
//   begin → resolve (route, cluster) → attempt (endpoint, connection) → send → receive → finish
//
// It does not know HTTP/1.1 from HTTP/2, nor TLS. Decisions come from `Traffic`; this file carries
// them out. A retry is a loop over attempt → receive.
//
// Invariants:
// - `state` is assigned in this file only
// - request body is taken only while an upstream stream is there, so a retry loses nothing that is
//   not in `replay`
// - `finish` runs exactly once for each `begin`; it alone counts, logs and gives the stream back
// - after `finish` no call from an upstream stream arrives: it was released or cancelled first

import Bytes
import HTTP
import MeshModel
import Reactor
import Telemetry
import Time
import Traffic

/// One request and its response.
///
/// Reused from request to request; confined to its worker.
final class Exchange: AttemptReceiver {
    enum State {
        /// No request.
        case idle
        /// An attempt waits for a connection.
        case waiting
        /// The request is being sent; no byte of the final response has come.
        case requesting
        /// The final response's head has been passed on.
        case responding
    }

    /// How far a WebSocket is.
    private enum Tunnel {
        case none, open, refused
        /// The endpoint has ended its direction, the caller has not.
        case answered
    }

    private let worker: Worker
    /// A cycle through the connection, which breaks it when it is closed.
    private let downstream: DownstreamStream
    private let requestTimer = Timer()
    /// Request body bytes sent in this attempt, kept while a retry would need them.
    private let replay = ByteBuffer()

    private(set) var state = State.idle
    private var head: RequestHead
    private var direction = Direction.outbound
    private var caller: Caller?
    private var target: ExchangeTarget?
    private var upstream: UpstreamStream?
    private var pool: EndpointPool?
    /// The cluster whose endpoints' names this waits for.
    private var resolving: UpstreamCluster?
    private var trace: TraceContext
    private var attempts = 0
    private(set) var requestEnded = false
    private var isReplayComplete = true
    private var tunnel = Tunnel.none
    private var responsePaused = false
    private var startedAt = MonotonicTime(nanoseconds: 0)
    private(set) var lastActivity = MonotonicTime(nanoseconds: 0)
    /// The target's limit; still valid when the exchange is over, for what is left to be sent of it.
    private(set) var idleNanoseconds = Exchange.idleNanosecondsWithoutTarget
    private var status = 0
    /// Whether the response says in its `grpc-status` that the call failed.
    private var hasFailedCall = false
    private var requestBytes: UInt64 = 0
    private var responseBytes: UInt64 = 0
    private var failureFlag: ResponseFlag?
    private var deadline = MonotonicTime.distantFuture

    init(worker: Worker, downstream: DownstreamStream, head: RequestHead) {
        self.worker = worker
        self.downstream = downstream
        self.head = head
        trace = TraceContext.adopt(from: head.fields, generator: &worker.random)
        super.init()
    }

    // MARK: From the downstream stream

    /// Whether it takes request body now; if not, `resumeRequestBody` follows on the stream.
    var wantsRequestBody: Bool {
        switch state {
        case .idle, .waiting: false
        case .requesting, .responding:
            if let upstream, mayHaveBody { !upstream.isCongested } else { false }
        }
    }

    /// A tunnel begins with the answer that accepts it: bytes that go on before, or after a refusal,
    /// would be the next request to an endpoint in HTTP/1.1.
    private var mayHaveBody: Bool { !head.isWebSocket || tunnel == .open || tunnel == .answered }

    /// When nothing has moved for the target's idle limit.
    var idleDeadline: MonotonicTime {
        lastActivity.advanced(byNanoseconds: idleNanoseconds)
    }

    /// The head is complete; it stays valid and unchanged by the stream until the exchange finishes.
    func begin(_ head: RequestHead, caller: Caller) {
        precondition(state == .idle, "one request at a time")
        self.head = head
        self.caller = caller
        direction = caller.direction
        startedAt = worker.loop.now
        lastActivity = startedAt
        requestEnded = head.bodyLength.isEmpty
        state = .waiting
        worker.exchangeStarted(direction)
        // A copy, as a random generator lent from another object costs a dynamic check.
        var random = worker.random
        trace = TraceContext.adopt(from: head.fields, generator: &random)
        worker.random = random
        resolve(head)
    }

    /// The head was refused by the decoder: answer and finish.
    func refuse(_ failure: Failure, caller: Caller) {
        precondition(state == .idle, "one request at a time")
        self.caller = caller
        direction = caller.direction
        startedAt = worker.loop.now
        lastActivity = startedAt
        state = .waiting
        worker.exchangeStarted(direction)
        // A refused head may be half read: nothing of it is trusted, its trace neither.
        head.clear()
        trace = TraceContext.adopt(from: head.fields, generator: &worker.random)
        fail(failure)
    }

    /// A piece of the request's body.
    func requestBody(_ bytes: Span<UInt8>) {
        guard let upstream, mayHaveBody else { return }
        lastActivity = worker.loop.now
        requestBytes &+= UInt64(bytes.count)
        keepForReplay(bytes)
        upstream.sendBody(bytes)
    }

    /// The request is complete.
    func requestEnd(trailers: FieldBlock?) {
        guard state != .idle, !requestEnded else { return }
        requestEnded = true
        if trailers != nil { isReplayComplete = false }
        upstream?.sendEnd(trailers: trailers)
        if tunnel == .answered { finishTunnel() }
    }

    /// The request's body turned out malformed: the upstream must not take it for complete.
    func requestBodyFailed(_ error: Malformation) {
        guard state != .idle else { return }
        fail(.malformedRequest(error))
    }

    /// The caller left; work upstream stops at once.
    func downstreamGone() {
        guard state != .idle else { return }
        failureFlag = .downstreamClosed
        abandonAttempt()
        finish()
    }

    /// The caller's backlog is gone.
    func downstreamRelieved() {
        guard responsePaused else { return }
        responsePaused = false
        upstream?.resumeResponse()
    }

    /// Nothing moved for the idle limit, or the proxy stops waiting.
    func expire(_ failure: Failure) {
        guard state != .idle else { return }
        fail(failure)
    }

    // MARK: From the pool and the upstream stream

    /// A connection is ready for this attempt.
    override func upstreamReady(_ stream: UpstreamStream) {
        precondition(state == .waiting && upstream == nil)
        upstream = stream
        state = .requesting
        renewDeadline()
        stream.sendHead(head)
        // Refused at once, it may already be on another stream, or over.
        guard upstream === stream else { return }
        if !replay.isEmpty { replay.withSpan { stream.sendBody($0) } }
        if requestEnded {
            stream.sendEnd(trailers: nil)
        } else if mayHaveBody {
            downstream.resumeRequestBody()
        }
    }

    /// No connection could be had for this attempt.
    override func connectionFailed(_ failure: Failure) {
        precondition(state == .waiting)
        retryOrFail(failure, .connect)
    }

    /// The endpoints of `cluster` are known now, or it stands in for one that was replaced.
    override func resolved(in cluster: UpstreamCluster) {
        precondition(state == .waiting && pool == nil)
        resolving = nil
        lease(from: cluster, avoiding: nil)
    }

    /// The cluster's endpoints have no address.
    override func unresolved(_ failure: Failure) {
        precondition(state == .waiting && pool == nil)
        resolving = nil
        fail(failure)
    }

    /// A head of the response: interim ones may come before the final one.
    override func responseHead(_ response: ResponseHead) {
        lastActivity = worker.loop.now
        response.fields.removeHopByHop()
        if response.isInterim { return downstream.sendInterim(response) }
        if head.isWebSocket, head.version == .http2, (200..<300).contains(response.status) {
            // In HTTP/2 it would accept the tunnel (RFC 8441 §5).
            let error = Malformation.ordinaryAnswerToWebSocket
            worker.metrics.add(.malformedResponses, direction, label: error.reason)
            return fail(.malformedResponse(error))
        }
        state = .responding
        status = response.status
        // Trailers only: the head is the whole response.
        hasFailedCall = GRPCStatus.isFailure(response.fields)
        replay.clear()
        isReplayComplete = false
        if head.isWebSocket { answerWebSocket(response.status) }
        downstream.sendHead(response)
        if tunnel == .open { downstream.resumeRequestBody() }
    }

    /// Accepted, both directions are bytes that end each for itself, and no limit on the whole counts
    /// any more; refused, the request had no body.
    private func answerWebSocket(_ status: Int) {
        if status == 101 {
            tunnel = .open
            if requestTimer.isArmed { worker.loop.timers.cancel(requestTimer) }
        } else {
            tunnel = .refused
            upstream?.sendEnd(trailers: nil)
        }
    }

    private func finishTunnel() {
        let stream = upstream
        upstream = nil
        stream?.release()
        finish()
    }

    /// A piece of the response's body.
    override func responseBody(_ bytes: Span<UInt8>) {
        lastActivity = worker.loop.now
        responseBytes &+= UInt64(bytes.count)
        downstream.sendBody(bytes)
        if downstream.isCongested, !responsePaused {
            responsePaused = true
            upstream?.pauseResponse()
        }
    }

    /// The response is complete.
    override func responseEnd(trailers: FieldBlock?) {
        precondition(state == .responding)
        if let trailers, GRPCStatus.isFailure(trailers) { hasFailedCall = true }
        downstream.sendEnd(trailers: trailers)
        if tunnel == .open, !requestEnded {
            tunnel = .answered
            return
        }
        let stream = upstream
        upstream = nil
        // An answer before the request's end: what is left of the request has no reader.
        if requestEnded || tunnel == .refused { stream?.release() } else { stream?.cancel() }
        finish()
    }

    /// The upstream's backlog is gone.
    override func upstreamRelieved() {
        guard state != .idle, !requestEnded, mayHaveBody else { return }
        downstream.resumeRequestBody()
    }

    /// The attempt failed after it had a connection; the stream is gone.
    override func upstreamFailed(_ failure: Failure) {
        upstream = nil
        guard state == .requesting else { return fail(failure) }
        switch failure {
        case .upstreamClosed(let reused):
            retryOrFail(failure, .closedBeforeResponse(connectionWasReused: reused))
        case .upstreamRefused: retryOrFail(failure, .refused)
        case .upgradeUnsupported: tryOtherVersion(failure)
        default: fail(failure)
        }
    }

    // MARK: Steps

    /// `head` is the exchange's: read through `self` it would be retained each time.
    private func resolve(_ head: RequestHead) {
        let target: ExchangeTarget
        do {
            target = try worker.resolve(head, direction, caller?.destination)
        } catch {
            return fail(error)
        }
        self.target = target
        idleNanoseconds = target.streamIdleNanoseconds
        let fields = head.fields
        fields.removeHopByHop()
        fields.removeAll(.xForwardedClientCert)
        trace.write(into: fields)
        if let limit = timeLimit(target, fields) {
            deadline = startedAt.advanced(byNanoseconds: limit)
            worker.loop.timers.arm(requestTimer, at: deadline, target: self)
        }
        attempt(target)
    }

    /// The route's, or what the caller still has, if that is less.
    private func timeLimit(_ target: ExchangeTarget, _ fields: FieldBlock) -> UInt64? {
        let own = target.requestTimeoutNanoseconds
        guard let index = fields.firstIndex(of: .grpcTimeout),
            let left = fields.withValue(at: index, { GRPCTimeout.nanoseconds($0) })
        else { return own }
        return min(own ?? .max, left)
    }

    /// What the next hop may still use is less by what was waited here.
    private func renewDeadline() {
        let now = worker.loop.now
        guard deadline != .distantFuture, now.nanoseconds(since: startedAt) >= 1_000_000,
            let index = head.fields.firstIndex(of: .grpcTimeout)
        else { return }
        head.fields.remove(at: index)
        let left = deadline > now ? deadline.nanoseconds(since: now) : 0
        let text = worker.replyBody
        text.clear()
        GRPCTimeout.append(nanoseconds: left, to: text)
        head.fields.append(.grpcTimeout, text)
    }

    private func attempt(_ target: ExchangeTarget) {
        attempts += 1
        let previous = pool
        pool = nil
        // The running exchange counts for its cluster from its first attempt to `finish`.
        if attempts == 1, !target.cluster.beginRequest() { return fail(.overflow(.requests)) }
        lease(from: target.cluster, avoiding: previous)
    }

    private func lease(from cluster: UpstreamCluster, avoiding previous: EndpointPool?) {
        guard let next = cluster.pick(avoiding: previous, for: head.originVersion) else {
            if let failure = cluster.wait(self) { return fail(failure) }
            resolving = cluster
            return
        }
        lease(from: next)
    }

    private func lease(from next: EndpointPool) {
        pool = next
        switch next.lease(for: self) {
        case .ready(let stream): upstreamReady(stream)
        case .waiting: break
        case .failed(let failure): connectionFailed(failure)
        }
    }

    private func retryOrFail(_ failure: Failure, _ kind: AttemptFailure) {
        let allowed = RetryRule.allowsRetry(
            after: kind,
            attempts: attempts,
            isIdempotent: head.method.isIdempotent,
            canReplay: isReplayComplete && UInt64(replay.count) == requestBytes
        )
        let label = LocalReply(failure).cause
        guard allowed, isRetryUseful(failure) else {
            worker.metrics.add(.retriesRefused, direction, label: label)
            return fail(failure)
        }
        worker.metrics.add(.retries, direction, label: label)
        state = .waiting
        if !requestEnded { downstream.pauseRequestBody() }
        guard let target else { preconditionFailure("an attempt needs a target") }
        attempt(target)
    }

    /// HTTP/1.1 can carry what the endpoint does not take over HTTP/2; nothing was sent yet.
    private func tryOtherVersion(_ failure: Failure) {
        guard let next = pool?.forWebSockets() else { return fail(failure) }
        state = .waiting
        lease(from: next)
    }

    /// A full cluster or a missing certificate is the same a moment later.
    private func isRetryUseful(_ failure: Failure) -> Bool {
        switch failure {
        case .overflow, .noIdentity: false
        // The same endpoint will not have become another one.
        case .upstreamTLS: (target?.cluster.pools.count ?? 0) > 1
        default: true
        }
    }

    private func keepForReplay(_ bytes: Span<UInt8>) {
        guard isReplayComplete, state == .requesting else { return }
        // Only an idempotent request on a connection that may be stale is ever sent twice, and one
        // that the endpoint refused unseen.
        guard let upstream,
            upstream.mayRefuse || head.method.isIdempotent && upstream.connectionWasReused,
            replay.count + bytes.count <= ProxyLimits.replayBytesMax
        else {
            isReplayComplete = false
            replay.clear()
            return
        }
        replay.append(bytes)
    }

    private func fail(_ failure: Failure) {
        let reply = LocalReply(failure)
        failureFlag = reply.flag
        let hasStarted = state == .responding
        abandonAttempt()
        if case .malformedRequest(let error) = failure {
            worker.metrics.add(.malformedRequests, direction, label: error.reason)
        }
        if hasStarted {
            breakOff(failure)
        } else {
            status = reply.status
            worker.metrics.add(.localReplies, direction, label: reply.cause)
            send(reply, failure)
        }
        finish()
    }

    /// The response has begun: in gRPC its trailers can still say what happened, else nothing can.
    private func breakOff(_ failure: Failure) {
        guard isGRPC, downstream.carriesTrailers else { return downstream.abort(failure) }
        let trailers = worker.replyTrailers
        trailers.clear()
        GRPCStatus(failure).append(to: trailers, detail: LocalReply(failure).detail)
        downstream.sendEnd(trailers: trailers)
    }

    /// Whether the caller wants its errors as gRPC has them.
    private var isGRPC: Bool { GRPCStatus.isExpected(by: head) }

    private func send(_ reply: LocalReply, _ failure: Failure) {
        if isGRPC, downstream.carriesTrailers { return sendGRPC(reply, failure) }
        let response = worker.replyHead
        let body = worker.replyBody
        response.clear()
        body.clear()
        reply.appendProblem(to: body, traceID: (trace.traceIDHigh, trace.traceIDLow))
        response.set(status: reply.status)
        response.set(bodyLength: .known(UInt64(body.count)), wantsKeepAlive: true)
        response.fields.append(.contentType, "application/problem+json")
        if let seconds = reply.retryAfterSeconds {
            response.fields.append(.retryAfter, decimal: seconds)
        }
        responseBytes = UInt64(body.count)
        downstream.sendHead(response)
        // RFC 9110 §9.3.2: the length of what GET would have got, and none of it.
        if head.method != .head { body.withSpan { downstream.sendBody($0) } }
        downstream.sendEnd(trailers: nil)
    }

    /// Trailers only: one head that is the whole response.
    private func sendGRPC(_ reply: LocalReply, _ failure: Failure) {
        let response = worker.replyHead
        response.clear()
        response.set(status: 200)
        response.set(bodyLength: .none, wantsKeepAlive: true)
        response.fields.append(.contentType, "application/grpc")
        GRPCStatus(failure).append(to: response.fields, detail: reply.detail)
        downstream.sendHead(response)
        downstream.sendEnd(trailers: nil)
    }

    /// Leaves the connection, or the queue for one.
    private func abandonAttempt() {
        if let upstream {
            self.upstream = nil
            upstream.cancel()
        } else if state == .waiting, let pool {
            pool.withdraw(self)
        } else if let resolving {
            self.resolving = nil
            resolving.withdraw(self)
        }
    }

    private func finish() {
        precondition(state != .idle && upstream == nil)
        state = .idle
        if requestTimer.isArmed { worker.loop.timers.cancel(requestTimer) }
        record()
        if attempts > 0, let target { target.cluster.endRequest() }
        worker.exchangeEnded(direction)
        let requestHasEnded = requestEnded
        target = nil
        pool = nil
        caller = nil
        attempts = 0
        requestEnded = false
        isReplayComplete = true
        tunnel = .none
        responsePaused = false
        status = 0
        hasFailedCall = false
        requestBytes = 0
        responseBytes = 0
        failureFlag = nil
        deadline = .distantFuture
        if replay.capacity > 0 { replay.release() }
        downstream.exchangeFinished(requestEnded: requestHasEnded)
    }

    private func record() {
        let duration = worker.loop.now.nanoseconds(since: startedAt)
        let series = target?.series ?? caller?.series ?? worker.unmatchedSeries
        series.record(
            method: head.method,
            status: status,
            duration: duration,
            requestBytes: requestBytes,
            responseBytes: responseBytes,
            flag: failureFlag,
            hasFailedCall: hasFailedCall
        )
        guard worker.logsExchange(status: status, hasFailed: failureFlag != nil) else { return }
        worker.logExchange(
            AccessLogLine(
                method: head.method,
                status: status,
                durationNanoseconds: duration,
                requestBytes: requestBytes,
                responseBytes: responseBytes,
                series: series.key,
                endpoint: pool?.addressText ?? "",
                retries: max(attempts - 1, 0),
                flag: failureFlag,
                trace: trace
            ),
            head: head
        )
    }

    private static let idleNanosecondsWithoutTarget: UInt64 = 300_000_000_000

    override func onTimer(_ timer: Timer) {
        guard state != .idle else { return }
        worker.metrics.add(.timeouts, direction, label: "request")
        fail(.requestTimeout)
    }
}
