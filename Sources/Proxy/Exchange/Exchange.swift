// The story of one request and its response:
//
//   begin → route → admit (shed, answer, limit, fault) → target → attempt (endpoint, connection)
//         → send → receive → finish
//
// It does not know HTTP/1.1 from HTTP/2, nor TLS. Decisions come from `Traffic`; this file carries
// them out. A retry is a loop over attempt → receive.
//
// Invariants:
// - `state` is assigned in this file only
// - request body is taken only while an upstream stream is there, so a retry loses nothing that is
//   not in `replay`
// - each endpoint that was picked is told once what became of its attempt: `endAttempt`
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
        /// An attempt waits for a connection, or for its time.
        case waiting
        /// The request is being sent; no byte of the final response has come.
        case requesting
        /// The final response's head has been passed on.
        case responding
    }

    /// What is waited for without a connection.
    enum Pause {
        case none, backoff
        /// A delay made on purpose.
        case fault(ExchangeRoute, Fault.Abort?)
    }

    /// How far a WebSocket is.
    enum Tunnel {
        case none, open, refused
        /// The endpoint has ended its direction, the caller has not.
        case answered
    }

    let worker: Worker
    /// A cycle through the connection, which breaks it when it is closed.
    private let downstream: DownstreamStream
    private let requestTimer = Timer()
    /// Ends what `pause` says, or an attempt that takes too long.
    private let attemptTimer = Timer()
    private(set) var pause = Pause.none
    /// Request body bytes sent in this attempt, kept while a retry would need them.
    private let replay = ByteBuffer()

    private(set) var state = State.idle
    private(set) var head: RequestHead
    private var direction = Direction.outbound
    private(set) var caller: Caller?
    private(set) var policies: RoutePolicies
    private(set) var target: ExchangeTarget?
    private var upstream: UpstreamStream?
    private(set) var pool: EndpointPool?
    /// The endpoints of attempts that are over, in their order; a retry goes elsewhere.
    ///
    /// Replaced, not appended to: then reading it costs no check for exclusive access.
    private(set) var tried: ContiguousArray<EndpointPool> = []
    /// The endpoint of the running attempt, until it is told what became of it.
    private var selection: EndpointSelection?
    private var attemptStartedAt = MonotonicTime(nanoseconds: 0)
    /// From the attempt's start to its response's head; nil before that.
    private var attemptLatency: UInt64?
    /// A layer above repeats this request: only what is always safe is repeated here.
    private(set) var isOwnedAbove = false
    /// What an explanation tells beyond what every exchange has.
    let notes: ExchangeNotes
    private var usesFallback = false
    /// What keeps the caller at its backend from now on.
    private var cookie: CompiledStickiness.Cookie?
    /// What endpoints are chosen by, where requests of a kind stay together.
    private var hash: UInt64?
    /// Copies of the request that are on their way elsewhere; nil in most exchanges.
    private var copies: RequestCopies?
    /// The cluster whose endpoints' names this waits for.
    private(set) var resolving: UpstreamCluster?
    private(set) var trace: TraceContext
    private(set) var attempts = 0
    /// Whether it counts among its cluster's running requests.
    private var isCounted = false
    /// Of a gRPC response, once it is known.
    private(set) var grpcCode: Int?
    /// The response says that the endpoint has too much to do, which is no failure of it.
    private var isOverload = false
    private(set) var requestEnded = false
    private var isReplayComplete = true
    private(set) var tunnel = Tunnel.none
    private var responsePaused = false
    private(set) var startedAt = MonotonicTime(nanoseconds: 0)
    private(set) var lastActivity = MonotonicTime(nanoseconds: 0)
    /// The target's limit; still valid when the exchange is over, for what is left to be sent of it.
    private(set) var idleNanoseconds = Exchange.idleNanosecondsWithoutTarget
    private(set) var status = 0
    private(set) var requestBytes: UInt64 = 0
    private(set) var responseBytes: UInt64 = 0
    private(set) var failureFlag: ResponseFlag?
    private(set) var deadline = MonotonicTime.distantFuture

    init(worker: Worker, downstream: DownstreamStream, head: RequestHead) {
        self.worker = worker
        self.downstream = downstream
        self.head = head
        policies = worker.passThroughPolicies
        notes = ExchangeNotes(trail: worker.trail)
        var random = worker.random
        trace = TraceContext.adopt(from: head.fields, generator: &random)
        worker.random = random
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
        beginTrace(head.fields)
        route(head)
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
        beginTrace(head.fields)
        fail(failure)
    }

    private func beginTrace(_ fields: FieldBlock) {
        // A copy, as a generator lent from another object costs a dynamic check.
        var random = worker.random
        trace = TraceContext.adopt(from: fields, generator: &random)
        worker.random = random
    }

    /// A piece of the request's body.
    func requestBody(_ bytes: Span<UInt8>) {
        guard let upstream, mayHaveBody else { return }
        lastActivity = worker.loop.now
        requestBytes &+= UInt64(bytes.count)
        keepForReplay(bytes)
        upstream.sendBody(bytes)
        copies?.sendBody(bytes)
    }

    /// The request is complete.
    func requestEnd(trailers: FieldBlock?) {
        guard state != .idle, !requestEnded else { return }
        requestEnded = true
        if trailers != nil { isReplayComplete = false }
        upstream?.sendEnd(trailers: trailers)
        copies?.sendEnd(trailers: trailers)
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
        abandonAttempt(.neutral)
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
        if policies.ownsRetries, !isOwnedAbove { AttemptHeader.write(attempts, to: head.fields) }
        stream.sendHead(head)
        // Refused at once, it may already be on another stream, or over.
        guard upstream === stream else { return }
        if !replay.isEmpty { replay.withSpan { stream.sendBody($0) } }
        if requestEnded {
            stream.sendEnd(trailers: nil)
        } else if mayHaveBody {
            downstream.resumeRequestBody()
        }
        if policies.startsCopies, attempts == 1, copies == nil { startCopies() }
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
        lease(from: cluster)
    }

    /// The cluster's endpoints have no address.
    override func unresolved(_ failure: Failure) {
        precondition(state == .waiting && pool == nil)
        resolving = nil
        if policies.fallback != nil { fallBack(failure) } else { fail(failure) }
    }

    /// A head of the response: interim ones may come before the final one.
    override func responseHead(_ response: ResponseHead) {
        lastActivity = worker.loop.now
        response.fields.removeHopByHop()
        if response.isInterim { return downstream.sendInterim(response) }
        noteAnswered()
        if let hedge = copies?.hedge, !hedge.isAdopted { hedge.cancel() }
        if response.status >= 400 || response.bodyLength.isEmpty,
            retries(insteadOf: response)
        {
            return
        }
        if head.isWebSocket, head.version == .http2, (200..<300).contains(response.status) {
            // In HTTP/2 it would accept the tunnel (RFC 8441 §5).
            let error = Malformation.ordinaryAnswerToWebSocket
            worker.metrics.add(.malformedResponses, direction, label: error.reason)
            return fail(.malformedResponse(error))
        }
        state = .responding
        status = response.status
        replay.clear()
        isReplayComplete = false
        if head.isWebSocket { answerWebSocket(response.status) }
        policies.filters?.change(response, for: head, cookie: cookie, worker)
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
        endAttempt(.success)
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
        if let code = trailers.flatMap({ GRPCStatus.code(in: $0) }) { grpcCode = code }
        downstream.sendEnd(trailers: trailers)
        if tunnel == .open, !requestEnded {
            tunnel = .answered
            return
        }
        endAttempt(AttemptOutcome(status: status, grpcCode: grpcCode, isOverload: isOverload))
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
        case .upstreamReset:
            retryOrFail(failure, .closedBeforeResponse(connectionWasReused: false))
        case .upstreamRefused: retryOrFail(failure, .refused)
        case .upgradeUnsupported: tryOtherVersion(failure)
        default: fail(failure)
        }
    }

    // MARK: Steps

    /// `head` is the exchange's: read through `self` it would be retained each time.
    private func route(_ head: RequestHead) {
        let route: ExchangeRoute
        do {
            route = try worker.resolve(head, direction, caller?.destination)
        } catch {
            return fail(error)
        }
        policies = route.policies
        idleNanoseconds = policies.streamIdleNanoseconds
        isOwnedAbove = head.fields.contains(.meshAttempt)
        if worker.isLate, worker.sheds(policies.priority(of: head), direction) {
            notes.denied(by: "load_shedding")
            return fail(.shed)
        }
        if let limit = timeLimit(head.fields) {
            deadline = startedAt.advanced(byNanoseconds: limit)
            // Nobody waits for the answer any more.
            guard limit > 0 else { return fail(.deadlineExpired) }
            worker.loop.timers.arm(requestTimer, at: deadline, target: self)
        }
        if let filters = policies.filters {
            if filters.hasEnded(worker) {
                notes.denied(by: "lifecycle")
                return fail(.sunset)
            }
            // A browser asks for permission by itself: that is not the request which limits count.
            if filters.answersPreflight(head, worker) { return sendAnswer() }
        }
        if let gate = policies.gate { return pass(gate, route) }
        take(route)
    }

    /// Limits and faults.
    private func pass(_ gate: RouteGate, _ route: ExchangeRoute) {
        var random = worker.random
        let verdict = gate.admit(head, caller, now: worker.loop.now, random: &random)
        worker.random = random
        switch verdict {
        case .pass: take(route)
        case .limited(let limiter, let verdict):
            worker.metrics.add(.rateLimited, direction)
            notes.denied(by: "rate_limit", limiter.policy.name)
            fail(.rateLimited(verdict, by: limiter))
        case .abort(let abort): inject(abort)
        case .delay(let nanoseconds, let abort):
            notes.denied(by: "fault_delay")
            worker.metrics.add(.faultsInjected, direction, label: "delay")
            pause = .fault(route, abort)
            worker.loop.arm(attemptTimer, afterNanoseconds: nanoseconds, target: self)
        }
    }

    private func inject(_ abort: Fault.Abort) {
        worker.metrics.add(.faultsInjected, direction, label: abort.label)
        notes.denied(by: "fault_abort")
        guard case .reset = abort else { return fail(.injected(abort)) }
        failureFlag = .injected
        downstream.abort(.injected(abort))
        finish()
    }

    /// Goes where the route says.
    private func take(_ route: ExchangeRoute) {
        if let filters = policies.filters, filters.redirects(head, worker) { return sendAnswer() }
        var cookie: CompiledStickiness.Cookie?
        guard let target = route.nextTarget(head, cookie: &cookie) else { return fail(.noRoute) }
        self.cookie = cookie
        self.target = target
        let fields = head.fields
        fields.removeHopByHop()
        fields.removeAll(.xForwardedClientCert)
        trace.write(into: fields)
        // By what the caller has sent, not by what a filter makes of it.
        if target.cluster.hashes { hash = target.cluster.hash(head, caller) }
        if let filters = policies.filters {
            if filters.rewritesPath { notes.keepPath(head) }
            filters.change(head, worker)
        }
        begin(target)
    }

    /// The first attempt, or that of a fallback.
    private func begin(_ target: ExchangeTarget) {
        // The running exchange counts for its cluster from here to `finish`.
        isCounted = true
        if let bound = target.cluster.beginRequest() { return fail(.overflow(bound)) }
        attempt(target)
    }

    /// The route's, or what the caller still has, if that is less.
    private func timeLimit(_ fields: FieldBlock) -> UInt64? {
        let own = policies.requestNanoseconds
        guard Deadline.isIn(fields) else { return own }
        guard let left = Deadline.read(fields, wall: { worker.wallTime }) else {
            Deadline.removeOwn(from: fields)
            return own
        }
        return min(own ?? .max, left)
    }

    /// What the next hop may still use is less by what was waited here.
    private func renewDeadline() {
        guard deadline != .distantFuture else { return }
        let now = worker.loop.now
        let left = deadline > now ? deadline.nanoseconds(since: now) : 0
        let (fields, scratch) = (head.fields, worker.replyBody)
        switch direction {
        case .outbound: Deadline.writeRest(left, to: fields, scratch: scratch)
        case .inbound:
            Deadline.writeInstant(left, wall: worker.wallTime, to: fields, scratch: scratch)
        }
    }

    private func attempt(_ target: ExchangeTarget) {
        attempts += 1
        noteTried()
        lease(from: target.cluster)
    }

    /// The attempt at `pool` is over.
    private func noteTried() {
        guard let pool else { return }
        tried = tried + [pool]
        self.pool = nil
    }

    private func lease(from cluster: UpstreamCluster) {
        attemptStartedAt = worker.loop.now
        guard
            let next = cluster.pick(hash: hash, avoiding: tried, for: head.originVersion)
        else {
            if policies.fallback != nil, !cluster.isResolving { return fallBack(.noEndpoint) }
            if let failure = cluster.wait(self) { return fail(failure) }
            resolving = cluster
            return
        }
        if next.selection.isPanic { worker.metrics.add(.panicPicks, direction) }
        if next.selection.isPanic, policies.fallback != nil, attempts == 1 {
            cluster.finished(next.selection, .neutral, latencyNanoseconds: 0)
            return fallBack(.noEndpoint)
        }
        selection = next.selection
        if notes.wants(next.selection) {
            notes.attemptStarted(
                next.pool,
                next.selection,
                isFallback: usesFallback,
                at: attemptStartedAt
            )
        }
        if let limit = policies.perTryNanoseconds {
            worker.loop.arm(attemptTimer, afterNanoseconds: limit, target: self)
        }
        lease(from: next.pool)
    }

    private func lease(from next: EndpointPool) {
        pool = next
        switch next.lease(for: self) {
        case .ready(let stream): upstreamReady(stream)
        case .waiting: break
        case .failed(let failure): connectionFailed(failure)
        }
    }

    /// No endpoint of the route's backend may be used, or none that was asked has taken the request.
    private func fallBack(_ failure: Failure) {
        guard let fallback = policies.fallback, let target else {
            preconditionFailure("a fallback is taken once, from a target")
        }
        state = .waiting
        if !requestEnded { downstream.pauseRequestBody() }
        if let next = fallback.target, next !== target {
            worker.metrics.add(.fallbacks, direction, label: "cluster")
            target.cluster.endRequest()
            isCounted = false
            usesFallback = true
            self.target = next
            policies = next.policies
            attempts = 0
            tried = []
            return begin(next)
        }
        guard let response = fallback.response else { return fail(failure) }
        worker.metrics.add(.fallbacks, direction, label: "response")
        failureFlag = .noEndpoint
        worker.prepare(response)
        sendAnswer()
    }

    // MARK: Attempts

    /// The response's head is there.
    private func noteAnswered() {
        attemptLatency = worker.loop.now.nanoseconds(since: attemptStartedAt)
        if attemptTimer.isArmed { worker.loop.timers.cancel(attemptTimer) }
    }

    /// Tells the endpoint's record what became of the attempt.
    private func endAttempt(_ outcome: AttemptOutcome) {
        if attemptTimer.isArmed { worker.loop.timers.cancel(attemptTimer) }
        guard let selection, let target else { return }
        self.selection = nil
        target.cluster.finished(
            selection,
            outcome,
            latencyNanoseconds: attemptLatency
                ?? worker.loop.now.nanoseconds(since: attemptStartedAt)
        )
        attemptLatency = nil
    }

    /// Whether the route's policy rather asks again than passes this response on; it has then begun.
    private func retries(insteadOf response: ResponseHead) -> Bool {
        let fields = response.fields
        if response.bodyLength.isEmpty { grpcCode = GRPCStatus.code(in: fields) }
        let advises = RetryAdvice.isIn(fields)
        isOverload = response.status == 503 && advises
        guard state == .requesting, policies.ownsRetries else { return false }
        let kind: AttemptFailure
        if policies.retry.wantsRetry(status: response.status) {
            kind = .response(status: response.status)
        } else if let grpcCode, policies.retry.wantsRetry(grpcCode: grpcCode) {
            kind = .grpc(code: grpcCode)
        } else {
            return false
        }
        let advice = advises ? RetryAdvice.read(fields, wall: worker.wallTime) : .none
        guard let wait = decide(kind, advice, label: "response") else { return false }
        abandonAttempt(
            AttemptOutcome(status: response.status, grpcCode: grpcCode, isOverload: isOverload)
        )
        tryAgain(after: wait)
        return true
    }

    private func retryOrFail(_ failure: Failure, _ kind: AttemptFailure) {
        endAttempt(failure.outcome)
        if copies != nil, awaitsHedge() { return }
        let label = LocalReply(failure).cause
        guard isRetryUseful(failure), let wait = decide(kind, .none, label: label) else {
            // Half of the endpoints are never set aside, and a single one is not: that nobody is left
            // shows in what becomes of the attempts.
            if policies.fallback != nil, kind.provesNoWork, isWhole, !failure.isOwn {
                pool = nil
                return fallBack(failure)
            }
            return fail(failure)
        }
        tryAgain(after: wait)
    }

    /// Whether all of the request that was taken so far can be sent once more.
    private var isWhole: Bool { isReplayComplete && UInt64(replay.count) == requestBytes }

    /// How long to wait before the next attempt; nil: there is none.
    private func decide(
        _ kind: AttemptFailure,
        _ advice: RetryAdvice,
        label: StaticString
    ) -> UInt64? {
        var random = worker.random
        let decision = policies.retry.decide(
            kind,
            facts(advice),
            budget: target?.cluster.budget,
            worker: worker.index,
            now: worker.loop.now,
            random: &random
        )
        worker.random = random
        switch decision {
        case .retry(let wait):
            worker.metrics.add(.retries, direction, label: label)
            notes.attemptEnded(kind, label, pool, since: attemptStartedAt, at: worker.loop.now)
            notes.retries(afterNanoseconds: wait)
            return wait
        case .refused(let refusal):
            worker.metrics.add(.retriesRefused, direction, label: refusal.label)
            notes.attemptEnded(kind, label, pool, since: attemptStartedAt, at: worker.loop.now)
            notes.retryRefused(
                refusal.label,
                budgetLeft: target?.cluster.budget?.left(now: worker.loop.now)
            )
            return nil
        }
    }

    private func facts(_ advice: RetryAdvice) -> RetryFacts {
        RetryFacts(
            attempts: attempts,
            isIdempotent: head.method.isIdempotent,
            isSafe: head.method.isSafe,
            hasIdempotencyKey: head.fields.contains(.idempotencyKey),
            canReplay: isWhole && !head.isWebSocket,
            isOwnedAbove: isOwnedAbove,
            advice: advice,
            deadline: deadline
        )
    }

    private func tryAgain(after wait: UInt64) {
        state = .waiting
        grpcCode = nil
        if !requestEnded { downstream.pauseRequestBody() }
        guard let target else { preconditionFailure("an attempt needs a target") }
        guard wait > 0 else { return attempt(target) }
        pause = .backoff
        worker.loop.arm(attemptTimer, afterNanoseconds: wait, target: self)
    }

    /// HTTP/1.1 can carry what the endpoint does not take over HTTP/2; nothing was sent yet.
    private func tryOtherVersion(_ failure: Failure) {
        guard let next = pool?.forWebSockets() else { return fail(failure) }
        state = .waiting
        lease(from: next)
    }

    /// What the proxy lacks itself is lacking a moment later, too.
    private func isRetryUseful(_ failure: Failure) -> Bool {
        // The same endpoint will not have become another one.
        if case .upstreamTLS = failure { return (target?.cluster.pools.count ?? 0) > 1 }
        return !failure.isOwn
    }

    // MARK: Copies

    /// The request, for copies of it; valid while the exchange runs.
    var request: RequestHead { head }
    /// The endpoint of the running attempt, or of the last one.
    var endpoint: EndpointPool? { pool }
    /// What keeps the request at its endpoint.
    var requestHash: UInt64? { hash }
    /// Whether an attempt other than the hedge may still be answered.
    var firstAttemptRuns: Bool { selection != nil }
    /// Whether a second attempt still makes sense.
    var mayHedge: Bool { state == .requesting || state == .waiting }

    private func startCopies() {
        guard let target, let made = RequestCopies(policies, of: self, in: target, worker) else {
            return
        }
        copies = made
        made.start()
    }

    /// A hedge's attempt at `pool` is over.
    func noteTried(_ pool: EndpointPool) { tried = tried + [pool] }

    /// Why no attempt is made beside the slow one; nil: it may be, and the budget has been charged.
    func refusesHedge() -> RetryRefusal? {
        policies.retry.refuseHedge(
            facts(.none),
            budget: target?.cluster.budget,
            worker: worker.index,
            now: worker.loop.now
        )
    }

    /// A hedge is about to be sent.
    func noteHedged() {
        attempts += 1
        if policies.ownsRetries { AttemptHeader.write(attempts, to: head.fields) }
    }

    /// The hedge was answered first: its attempt becomes the exchange's.
    func adopt(_ hedge: HedgeAttempt, _ response: ResponseHead) {
        abandonAttempt(.outpaced)
        noteTried()
        worker.metrics.add(.hedgesWon, direction)
        upstream = hedge.stream
        pool = hedge.pool
        selection = hedge.selection
        attemptStartedAt = hedge.startedAt
        hedge.handOver()
        state = .requesting
        responseHead(response)
    }

    /// The hedge failed, and the first attempt had failed before it.
    func hedgeFailed(_ failure: Failure) {
        precondition(state == .waiting && selection == nil)
        fail(failure)
    }

    /// The first attempt failed; whether a hedge may still be answered.
    private func awaitsHedge() -> Bool {
        guard let hedge = copies?.hedge, hedge.isRunning else { return false }
        state = .waiting
        noteTried()
        return true
    }

    private func keepForReplay(_ bytes: Span<UInt8>) {
        guard isReplayComplete, state == .requesting else { return }
        // By default only an idempotent request on a connection that may be stale is sent twice, and
        // one that the endpoint refused unseen.
        guard let upstream,
            upstream.mayRefuse || policies.ownsRetries && !isOwnedAbove
                || head.method.isIdempotent && upstream.connectionWasReused,
            replay.count + bytes.count <= policies.retryPolicy.replayBytesMax
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
        abandonAttempt(failure.outcome)
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

    /// What was prepared in the worker's scratch: the whole response, made by policy.
    private func sendAnswer() {
        let (response, body) = (worker.replyHead, worker.replyBody)
        status = response.status
        responseBytes = UInt64(body.count)
        worker.metrics.add(.localReplies, direction, label: "policy")
        policies.filters?.change(response, for: head, cookie: cookie, worker)
        downstream.sendHead(response)
        if head.method != .head, !body.isEmpty { body.withSpan { downstream.sendBody($0) } }
        downstream.sendEnd(trailers: nil)
        finish()
    }

    private func send(_ reply: LocalReply, _ failure: Failure) {
        let isCall = isGRPC && downstream.carriesTrailers
        if isCall {
            reply.writeTrailersOnly(failure, worker)
        } else {
            reply.writeProblem(failure, trace, worker)
            policies.filters?.change(worker.replyHead, for: head, cookie: cookie, worker)
            responseBytes = UInt64(worker.replyBody.count)
        }
        downstream.sendHead(worker.replyHead)
        // RFC 9110 §9.3.2: the length of what GET would have got, and none of it.
        if !isCall, head.method != .head {
            worker.replyBody.withSpan { downstream.sendBody($0) }
        }
        downstream.sendEnd(trailers: nil)
    }

    /// Leaves the connection, or the queue for one.
    private func abandonAttempt(_ outcome: AttemptOutcome) {
        endAttempt(outcome)
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
        endAttempt(.neutral)
        pause = .none
        copies?.exchangeEnded()
        copies = nil
        if requestTimer.isArmed { worker.loop.timers.cancel(requestTimer) }
        record()
        usesFallback = false
        if isCounted, let target { target.cluster.endRequest() }
        isCounted = false
        worker.exchangeEnded(direction)
        let requestHasEnded = requestEnded
        policies = worker.passThroughPolicies
        target = nil
        pool = nil
        if !tried.isEmpty { tried = [] }
        caller = nil
        isOwnedAbove = false
        hash = nil
        cookie = nil
        grpcCode = nil
        isOverload = false
        attempts = 0
        requestEnded = false
        isReplayComplete = true
        tunnel = .none
        responsePaused = false
        status = 0
        requestBytes = 0
        responseBytes = 0
        failureFlag = nil
        deadline = .distantFuture
        if replay.capacity > 0 { replay.release() }
        downstream.exchangeFinished(requestEnded: requestHasEnded)
    }

    private static let idleNanosecondsWithoutTarget: UInt64 = 300_000_000_000

    override func onTimer(_ timer: Timer) {
        guard state != .idle else { return }
        if timer === attemptTimer { return endPause() }
        worker.metrics.add(.timeouts, direction, label: "request")
        fail(.requestTimeout)
    }

    private func endPause() {
        let ended = pause
        pause = .none
        switch ended {
        case .fault(let route, let abort):
            if let abort { inject(abort) } else { take(route) }
        case .backoff:
            guard let target else { preconditionFailure("an attempt needs a target") }
            attempt(target)
        case .none:
            worker.metrics.add(.timeouts, direction, label: "per_try")
            abandonAttempt(.failure)
            retryOrFail(.perTryTimeout, .perTryTimeout)
        }
    }
}
