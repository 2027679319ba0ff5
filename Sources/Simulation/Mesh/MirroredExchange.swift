// What the proxy's exchange does around the decisions, without sockets: the mirror of
// `Proxy/Exchange/Exchange.swift`. A change of the order of decisions there belongs here, too.
//
//   begin: route → deadline → rate limits → faults → backend → budget → bounds
//   attempt: endpoint → inbound side → application → answer
//   ended: endpoint's health → retry, or answer to the caller
//
// Every decision is one of `Traffic`. What is modelled here is only who waits for whom:
// - an attempt ends once: answered, timed out, cut off or given up
// - an exchange that ends gives its attempts up; what they asked of others ends with them
// - who leaves counts nowhere: its attempts end neutrally

import HTTP
import MeshModel
import Time
import Traffic

/// One request at one proxy.
final class SimulatedExchange {
    let id: Int
    /// Changes when the exchange ends, so that events for it find nobody.
    fileprivate(set) var stamp: UInt32 = 0
    fileprivate(set) var isRunning = false
    fileprivate var route: SimulatedRoute
    private var chosen: SimulatedCluster?
    fileprivate var worker: SimulatedWorker
    fileprivate var number = 0
    /// The caller's load; -1 for what an application asked.
    fileprivate var load = -1
    /// The attempt whose application asked; nil for a caller's request.
    fileprivate(set) var parent: SimulatedAttempt?
    fileprivate var depth = 0
    fileprivate var startedAt = Simulation.start
    fileprivate var deadline = MonotonicTime.distantFuture
    /// When the one who asked first stops waiting: what `deadline` stands for, told by nobody.
    fileprivate var lastInstant = MonotonicTime.distantFuture
    fileprivate var deadlineIsArmed = false
    fileprivate var isOwnedAbove = false
    fileprivate var attempts = 0
    fileprivate var running: [SimulatedAttempt] = []
    /// The endpoints that were tried, in that order.
    fileprivate var tried: ContiguousArray<Int> = []
    fileprivate var backend = -1
    fileprivate var isCounted = false
    fileprivate var abort: Fault.Abort?

    /// Where it went; there is none before a backend was chosen.
    fileprivate(set) var cluster: SimulatedCluster {
        get {
            guard let chosen else { preconditionFailure("an attempt needs a target") }
            return chosen
        }
        set { chosen = newValue }
    }

    fileprivate init(id: Int, _ worker: SimulatedWorker, _ route: SimulatedRoute) {
        self.id = id
        self.worker = worker
        self.route = route
    }
}

/// One attempt of an exchange.
final class SimulatedAttempt {
    let id: Int
    fileprivate(set) var stamp: UInt32 = 0
    fileprivate(set) var isRunning = false
    fileprivate(set) var exchange: SimulatedExchange
    fileprivate(set) var selection: EndpointSelection
    fileprivate(set) var target: EndpointTarget
    fileprivate(set) var proxy: SimulatedProxy
    fileprivate var startedAt = Simulation.start
    /// The worker that took it at the other side; nil when it came to none.
    fileprivate var inbound: SimulatedWorker?
    fileprivate var isInside = false
    fileprivate var number = 1
    var result = AttemptResult.connectFailed
    /// What the application asks just now, and how much it has asked.
    fileprivate var child: SimulatedExchange?
    fileprivate var callsMade = 0

    var application: SimulatedApplication? { proxy.application }

    fileprivate init(
        id: Int,
        _ exchange: SimulatedExchange,
        _ selection: EndpointSelection,
        _ target: EndpointTarget,
        _ proxy: SimulatedProxy
    ) {
        self.id = id
        self.exchange = exchange
        self.selection = selection
        self.target = target
        self.proxy = proxy
    }
}

/// How an attempt ended, as far as the proxy can see.
enum AttemptResult {
    case answer(Answer)
    case connectFailed
    case reset(connectionWasReused: Bool)
}

/// What came with a request.
struct Received {
    /// `mesh-timeout` or `grpc-timeout`.
    var timeoutNanoseconds: UInt64?
    /// `mesh-attempt`.
    var attempt: Int?
    var lastInstant = MonotonicTime.distantFuture
}

// MARK: Begin

extension Simulation {
    /// A request comes to `worker` from its application; nil when it has ended already.
    @discardableResult
    func begin(
        _ worker: SimulatedWorker,
        call: Int,
        _ received: Received,
        load: Int,
        parent: SimulatedAttempt?
    ) -> SimulatedExchange? {
        guard let route = worker.routes[call] else {
            preconditionFailure("the stage was set for every call")
        }
        let exchange = makeExchange(worker, route)
        exchange.load = load
        exchange.parent = parent
        parent?.child = exchange
        exchange.depth = (parent?.exchange.depth ?? 0) + 1
        if parent == nil {
            exchange.number = requestsBegun
            requestsBegun += 1
            exchangesRunning += 1
        }
        exchange.isOwnedAbove = received.attempt != nil
        let limit = min(route.requestNanoseconds ?? .max, received.timeoutNanoseconds ?? .max)
        exchange.deadline = limit == .max ? .distantFuture : now.advanced(byNanoseconds: limit)
        let own = route.requestNanoseconds ?? .max
        exchange.lastInstant = min(received.lastInstant, now.advanced(byNanoseconds: own))
        if parent == nil { exchange.lastInstant = exchange.deadline }
        guard exchange.depth <= SimulationLimits.depthMax else {
            finish(exchange, Answer(status: 508), cause: "loop")
            return nil
        }
        if limit == 0 {
            finish(exchange, Answer(status: 504, grpcCode: 4), cause: "deadline-expired")
            return nil
        }
        pass(exchange)
        return exchange.isRunning ? exchange : nil
    }

    /// Limits and faults, as `Proxy/Policy/RouteGate.swift` has them.
    private func pass(_ exchange: SimulatedExchange) {
        let route = exchange.route
        for limit in route.rateLimits where !isBare {
            if let wait = limit.refusal(route.head, caller: exchange.worker.proxy, now: now) {
                let answer = Answer(status: 429, grpcCode: 8, retryAfterNanoseconds: wait)
                return finish(exchange, answer, cause: "rate_limited")
            }
        }
        guard let faults = route.faults, !isBare else { return take(exchange) }
        let decision = faults.decide(route.head, random: &exchange.worker.random)
        exchange.abort = decision.abort
        guard decision.delayNanoseconds > 0 else { return endPause(exchange) }
        armDeadline(exchange)
        let time = now.advanced(byNanoseconds: decision.delayNanoseconds)
        queue.add(Event(.retry, at: time, subject: exchange.id, stamp: exchange.stamp))
    }

    /// A delay on purpose is over.
    private func endPause(_ exchange: SimulatedExchange) {
        switch exchange.abort {
        case .status(let status)?:
            finish(exchange, Answer(status: status), cause: "fault_injected")
        case .grpc(let code)?:
            finish(exchange, Answer(status: 200, grpcCode: code), cause: "fault_injected")
        case .reset?: finish(exchange, Answer(status: 503), cause: "fault_injected")
        case nil: take(exchange)
        }
    }

    /// A delay on purpose, or a backoff, is over.
    func resume(_ exchange: SimulatedExchange) {
        if exchange.attempts == 0 { endPause(exchange) } else { attempt(exchange) }
    }

    /// Goes where the route says.
    private func take(_ exchange: SimulatedExchange) {
        let route = exchange.route
        guard let first = route.clusters.first else {
            let status = route.route.filters.redirect?.status ?? 500
            return finish(exchange, Answer(status: status), cause: "policy")
        }
        exchange.backend = 0
        if let split = route.split {
            exchange.backend =
                route.stickyHash.map { split.choice(hash: $0) }
                ?? split.choice(ticket: route.ticket.take())
            exchange.cluster = route.clusters[exchange.backend]
        } else {
            exchange.cluster = first
        }
        begin(exchange)
    }

    /// The first attempt, or that of a fallback.
    private func begin(_ exchange: SimulatedExchange) {
        let cluster = exchange.cluster
        cluster.running += 1
        exchange.isCounted = true
        cluster.record.received += 1
        cluster.budget?.deposit(worker: exchange.worker.index, now: now)
        guard cluster.running <= cluster.cluster.limits.requests,
            cluster.running <= cluster.limit?.limit ?? .max
        else { return finish(exchange, .tooMany, cause: "overflow") }
        attempt(exchange)
    }

    /// No endpoint of the route's backend may be used; false when there is nothing else.
    private func fallBack(_ exchange: SimulatedExchange) -> Bool {
        guard !isBare, let policy = exchange.route.route.fallback else { return false }
        if let fallback = exchange.route.fallback, fallback !== exchange.cluster {
            exchange.cluster.running -= 1
            exchange.isCounted = false
            exchange.cluster = fallback
            exchange.attempts = 0
            exchange.tried = []
            begin(exchange)
            return true
        }
        guard let response = policy.response else { return false }
        finish(exchange, Answer(status: response.status), cause: "fallback")
        return true
    }
}

// MARK: Attempts

extension Simulation {
    private func attempt(_ exchange: SimulatedExchange) {
        let cluster = exchange.cluster
        // What is over is not sent.
        guard now < exchange.deadline else { return deadlinePassed(exchange) }
        guard
            let selection = cluster.selector.pick(
                hash: cluster.hash(exchange.route.head, exchange.worker.proxy),
                avoiding: exchange.tried,
                now: now
            )
        else {
            if fallBack(exchange) { return }
            return finish(exchange, Answer(status: 503, grpcCode: 14), cause: "no_endpoint")
        }
        // Where another cluster can take it, endpoints in panic are not asked.
        if selection.isPanic, exchange.attempts == 0, fallBack(exchange) { return }
        cluster.selector.started(selection, now: now)
        exchange.attempts += 1
        let attempt = makeAttempt(exchange, selection)
        attempt.number = exchange.attempts
        cluster.record.attempts += 1
        let late = now.nanoseconds(since: exchange.lastInstant)
        record.attempts.append(
            AttemptRecord(
                start: now,
                cluster: cluster.id,
                endpoint: selection.index,
                number: exchange.attempts,
                isProbe: selection.isProbe,
                isPanic: selection.isPanic,
                lateNanoseconds: late
            )
        )
        armTimer(cluster)
        send(attempt)
    }

    private func send(_ attempt: SimulatedAttempt) {
        let arrival = now.advanced(byNanoseconds: delayNanoseconds)
        switch plan(attempt, at: arrival) {
        case .answer(let time, var answer):
            if attempt.exchange.route.isGRPC {
                if answer.grpcCode != 0 { answer.status = 200 }
            } else {
                answer.grpcCode = 0
            }
            attempt.exchange.cluster.record.sent += 1
            attempt.result = .answer(answer)
            let end = time.advanced(byNanoseconds: delayNanoseconds)
            queue.add(Event(.attemptEnd, at: end, subject: attempt.id, stamp: attempt.stamp))
            armTimers(attempt, unlessBefore: end)
        case .calls(let time):
            attempt.exchange.cluster.record.sent += 1
            queue.add(
                Event(.applicationCalls, at: time, subject: attempt.id, stamp: attempt.stamp)
            )
            armTimers(attempt, unlessBefore: .distantFuture)
        case .never:
            attempt.exchange.cluster.record.sent += 1
            armTimers(attempt, unlessBefore: .distantFuture)
        case .refused:
            attempt.result = .connectFailed
            let end = arrival.advanced(byNanoseconds: delayNanoseconds)
            queue.add(Event(.attemptEnd, at: end, subject: attempt.id, stamp: attempt.stamp))
        }
    }

    /// What the other side makes of it: its sidecar's limits, then its application.
    private func plan(_ attempt: SimulatedAttempt, at time: MonotonicTime) -> ApplicationPlan {
        guard let application = attempt.application else {
            preconditionFailure("an endpoint has an application")
        }
        let refusal = time.advanced(byNanoseconds: 200_000)
        let proxy = attempt.proxy
        if let snapshot = proxy.snapshot, !application.isGone(at: time) {
            let head = attempt.exchange.route.head
            let caller = attempt.exchange.worker.proxy
            for limit in proxy.inboundLimits where !isBare {
                if let wait = limit.refusal(head, caller: caller, now: time) {
                    let answer = Answer(
                        status: 429,
                        grpcCode: 8,
                        retryAfterNanoseconds: wait
                    )
                    return .answer(at: refusal, answer)
                }
            }
            let count = UInt64(proxy.workers.count)
            let worker = proxy.workers[Int(attempt.exchange.worker.random.next() % count)]
            let bound = min(
                isBare ? .max : worker.inboundLimit?.limit ?? .max,
                snapshot.inbound.limits.requests
            )
            guard worker.inboundRunning < bound else { return .answer(at: refusal, .tooMany) }
            worker.inboundRunning += 1
            attempt.inbound = worker
        }
        let before = application.inSystem
        let plan = application.take(at: time)
        attempt.isInside = application.inSystem > before
        return plan
    }

    /// Timers that cannot come before the end of an attempt whose end is known are not set.
    private func armTimers(_ attempt: SimulatedAttempt, unlessBefore end: MonotonicTime) {
        let exchange = attempt.exchange
        if let limit = exchange.route.perTryNanoseconds {
            let time = now.advanced(byNanoseconds: limit)
            if time < end {
                let stamp = attempt.stamp
                queue.add(Event(.perTryTimeout, at: time, subject: attempt.id, stamp: stamp))
            }
        }
        if let hedge = exchange.route.decider.policy.hedge {
            let time = now + hedge.delay
            if time < end {
                queue.add(Event(.hedge, at: time, subject: exchange.id, stamp: exchange.stamp))
            }
        }
        if exchange.deadline < end { armDeadline(exchange) }
    }

    private func armDeadline(_ exchange: SimulatedExchange) {
        guard !exchange.deadlineIsArmed, exchange.deadline != .distantFuture else { return }
        exchange.deadlineIsArmed = true
        let time = exchange.deadline
        queue.add(Event(.deadline, at: time, subject: exchange.id, stamp: exchange.stamp))
    }

    /// The first attempt is slow: another one beside it, as `Proxy/Exchange/HedgeAttempt.swift`.
    func hedge(_ exchange: SimulatedExchange) {
        guard let slow = exchange.running.last, exchange.cluster.endpoints.count > 1 else { return }
        let refusal = exchange.route.decider.refuseHedge(
            facts(of: exchange, advice: .none),
            budget: exchange.cluster.budget,
            worker: exchange.worker.index,
            now: now
        )
        if let refusal {
            exchange.cluster.record.refusals[refusal, default: 0] += 1
            return
        }
        exchange.cluster.record.hedges += 1
        if !exchange.tried.contains(slow.selection.index) {
            exchange.tried.append(slow.selection.index)
        }
        attempt(exchange)
    }
}

// MARK: The application asks others

extension Simulation {
    /// The application at the other side has done its own part and asks what it needs.
    func callNext(_ attempt: SimulatedAttempt) {
        guard let behaviour = attempt.application?.behaviour else { return }
        guard attempt.callsMade < behaviour.calls.count else { return respond(attempt, .ok) }
        let call = attempt.callsMade
        attempt.callsMade += 1
        let worker =
            attempt.inbound ?? attempt.proxy.workers[attempt.id % attempt.proxy.workers.count]
        let received = behaviour.propagates ? handedOn(attempt) : Received()
        begin(worker, call: call, received, load: -1, parent: attempt)
    }

    /// An application's call has ended: the next one, or the answer to its own caller.
    private func childEnded(_ attempt: SimulatedAttempt, _ answer: Answer) {
        attempt.child = nil
        if answer.isFailure { respond(attempt, answer) } else { callNext(attempt) }
    }

    private func respond(_ attempt: SimulatedAttempt, _ answer: Answer) {
        attempt.result = .answer(answer)
        let end = now.advanced(byNanoseconds: delayNanoseconds)
        queue.add(Event(.attemptEnd, at: end, subject: attempt.id, stamp: attempt.stamp))
    }

    /// The time of day, the same for a proxy and its application.
    private func wall(at time: MonotonicTime) -> WallTime {
        WallTime(unixNanoseconds: 1_700_000_000_000_000_000 + Int64(clamping: time.nanoseconds))
    }

    /// Deadline and attempt as the fields of the request say it, written and read as on the wire.
    private func handedOn(_ attempt: SimulatedAttempt) -> Received {
        let exchange = attempt.exchange
        fields.clear()
        if exchange.deadline != .distantFuture {
            // From proxy to proxy goes what is left, to the application an instant: it may copy
            // that, however long it works before it asks.
            let sent = attempt.startedAt
            let arrived = sent.advanced(byNanoseconds: delayNanoseconds)
            let left = exchange.deadline.nanoseconds(since: sent)
            Deadline.writeRest(left, to: fields, scratch: scratch)
            let read = Deadline.read(fields, wall: { wall(at: arrived) }) ?? 0
            Deadline.writeInstant(read, wall: wall(at: arrived), to: fields, scratch: scratch)
        }
        if exchange.isOwnedAbove || exchange.route.decider.policy.ownsRetries {
            AttemptHeader.write(attempt.number, to: fields)
        }
        var received = Received()
        received.timeoutNanoseconds = Deadline.read(fields, wall: { wall(at: now) })
        received.attempt = AttemptHeader.read(fields)
        received.lastInstant = exchange.lastInstant
        return received
    }
}

// MARK: Ends

extension Simulation {
    /// An attempt has come to its end by itself.
    func ended(_ attempt: SimulatedAttempt) {
        let exchange = attempt.exchange
        let cluster = exchange.cluster
        let index = attempt.selection.index
        switch attempt.result {
        case .answer(let answer):
            cluster.hasConnection[index] = true
            close(attempt, AttemptOutcome(answer))
            guard let failure = exchange.route.failure(answer) else {
                return finish(exchange, answer, cause: nil)
            }
            var advice = RetryAdvice.none
            if let wait = answer.retryAfterNanoseconds { advice = .after(nanoseconds: wait) }
            retry(exchange, failure, advice, avoiding: index, else: answer, cause: nil)
        case .connectFailed:
            close(attempt, .failure)
            retry(
                exchange,
                .connect,
                .none,
                avoiding: index,
                else: Answer(status: 503, grpcCode: 14),
                cause: "connect_failed"
            )
        case .reset(let reused):
            // A pooled connection that its peer was about to close says nothing of its health.
            close(attempt, reused ? .neutral : .failure)
            retry(
                exchange,
                .closedBeforeResponse(connectionWasReused: reused),
                .none,
                avoiding: index,
                else: Answer(status: 502, grpcCode: 14),
                cause: "upstream_closed"
            )
        }
    }

    func perTryTimedOut(_ attempt: SimulatedAttempt) {
        let exchange = attempt.exchange
        close(attempt, .failure)
        retry(
            exchange,
            .perTryTimeout,
            .none,
            avoiding: attempt.selection.index,
            else: Answer(status: 504, grpcCode: 4),
            cause: "per_try_timeout"
        )
    }

    func deadlinePassed(_ exchange: SimulatedExchange) {
        // The hedge is given up as one that lost.
        if let attempt = exchange.running.first { close(attempt, .failure) }
        finish(exchange, Answer(status: 504, grpcCode: 4), cause: "request_timeout")
    }

    private func retry(
        _ exchange: SimulatedExchange,
        _ failure: AttemptFailure,
        _ advice: RetryAdvice,
        avoiding index: Int,
        else answer: Answer,
        cause: String?
    ) {
        // A hedge runs beside it: its answer may be a good one.
        guard exchange.running.isEmpty else { return }
        let decision = exchange.route.decider.decide(
            failure,
            facts(of: exchange, advice: advice),
            budget: exchange.cluster.budget,
            worker: exchange.worker.index,
            now: now,
            random: &exchange.worker.random
        )
        switch decision {
        case .refused(let refusal):
            exchange.cluster.record.refusals[refusal, default: 0] += 1
            if failure.provesNoWork, fallBack(exchange) { return }
            finish(exchange, answer, cause: cause)
        case .retry(let wait):
            exchange.cluster.record.retries += 1
            exchange.tried.append(index)
            guard wait > 0 else { return attempt(exchange) }
            let time = now.advanced(byNanoseconds: wait)
            queue.add(Event(.retry, at: time, subject: exchange.id, stamp: exchange.stamp))
        }
    }

    private func facts(of exchange: SimulatedExchange, advice: RetryAdvice) -> RetryFacts {
        let method = exchange.route.head.method
        return RetryFacts(
            attempts: exchange.attempts,
            isIdempotent: method.isIdempotent,
            isSafe: method.isSafe,
            hasIdempotencyKey: exchange.route.hasIdempotencyKey,
            canReplay: true,
            isOwnedAbove: exchange.isOwnedAbove,
            advice: advice,
            deadline: exchange.deadline
        )
    }

    /// The exchange has its answer; `cause`: of a local reply.
    private func finish(_ exchange: SimulatedExchange, _ answer: Answer, cause: String?) {
        precondition(exchange.isRunning)
        if let cause { record.localReplies[cause, default: 0] += 1 }
        let parent = exchange.parent
        end(exchange, answer.isFailure ? .failed : .succeeded, answer)
        if let parent { childEnded(parent, answer) }
    }

    /// Nobody waits for the exchange any more.
    func abandon(_ exchange: SimulatedExchange, counting end: RequestEnd) {
        self.end(exchange, end, Answer(status: 0))
    }

    private func end(_ exchange: SimulatedExchange, _ end: RequestEnd, _ answer: Answer) {
        let isHedged = end == .succeeded && exchange.running.contains { $0.number == 1 }
        for attempt in exchange.running {
            close(attempt, isHedged && attempt.number == 1 ? .outpaced : .neutral)
        }
        let nanoseconds = now.nanoseconds(since: exchange.startedAt)
        if exchange.isCounted { exchange.cluster.running -= 1 }
        exchange.isRunning = false
        exchange.stamp &+= 1
        freeExchanges.append(exchange)
        guard exchange.parent == nil else { return }
        exchangesRunning -= 1
        record.requests.append(
            RequestRecord(
                number: exchange.number,
                load: exchange.load,
                worker: exchange.worker.index,
                start: exchange.startedAt,
                nanoseconds: nanoseconds,
                end: end,
                backend: exchange.backend,
                status: answer.status
            )
        )
        callerIsFree(exchange.load)
    }

    /// An attempt is over: the endpoint's health learns it, and what was asked for it ends.
    private func close(_ attempt: SimulatedAttempt, _ outcome: AttemptOutcome) {
        precondition(attempt.isRunning)
        let exchange = attempt.exchange
        let cluster = exchange.cluster
        let nanoseconds = now.nanoseconds(since: attempt.startedAt)
        let event = cluster.selector.finished(
            attempt.selection,
            outcome,
            latencyNanoseconds: nanoseconds,
            now: now
        )
        cluster.limit?.sample(
            latencyNanoseconds: nanoseconds,
            active: cluster.running,
            isDropped: outcome == .overload,
            now: now
        )
        if let event { note(event, cluster) }
        armTimer(cluster)
        if let child = attempt.child { abandon(child, counting: .abandoned) }
        attempt.child = nil
        if attempt.isInside { attempt.application?.leave() }
        if let inbound = attempt.inbound {
            inbound.inboundLimit?.sample(
                latencyNanoseconds: nanoseconds,
                active: inbound.inboundRunning,
                isDropped: outcome == .overload,
                now: now
            )
            inbound.inboundRunning -= 1
        }
        attempt.inbound = nil
        attempt.isInside = false
        attempt.isRunning = false
        attempt.stamp &+= 1
        exchange.running.removeAll { $0 === attempt }
        freeAttempts.append(attempt)
    }
}

// MARK: Slots

extension Simulation {
    private func makeExchange(
        _ worker: SimulatedWorker,
        _ route: SimulatedRoute
    ) -> SimulatedExchange {
        let exchange: SimulatedExchange
        if let free = freeExchanges.popLast() {
            exchange = free
        } else {
            exchange = SimulatedExchange(id: exchanges.count, worker, route)
            exchanges.append(exchange)
        }
        exchange.isRunning = true
        exchange.worker = worker
        exchange.route = route
        exchange.startedAt = now
        exchange.deadlineIsArmed = false
        exchange.attempts = 0
        exchange.tried = []
        exchange.backend = -1
        exchange.isCounted = false
        return exchange
    }

    private func makeAttempt(
        _ exchange: SimulatedExchange,
        _ selection: EndpointSelection
    ) -> SimulatedAttempt {
        let target = exchange.cluster.cluster.endpoints[selection.index].target
        let proxy = exchange.cluster.endpoints[selection.index]
        let attempt: SimulatedAttempt
        if let free = freeAttempts.popLast() {
            attempt = free
            attempt.exchange = exchange
            attempt.selection = selection
            attempt.target = target
            attempt.proxy = proxy
        } else {
            attempt = SimulatedAttempt(id: attempts.count, exchange, selection, target, proxy)
            attempts.append(attempt)
        }
        attempt.isRunning = true
        attempt.startedAt = now
        attempt.callsMade = 0
        exchange.running.append(attempt)
        return attempt
    }
}

extension SimulatedRoute {
    /// What the retry decision is asked about an answer; nil when the answer goes to the caller.
    fileprivate func failure(_ answer: Answer) -> AttemptFailure? {
        if answer.grpcCode != 0 {
            return decider.wantsRetry(grpcCode: answer.grpcCode)
                ? .grpc(code: answer.grpcCode) : nil
        }
        return decider.wantsRetry(status: answer.status) ? .response(status: answer.status) : nil
    }
}

extension AttemptOutcome {
    /// What an answer says about the endpoint that gave it.
    fileprivate init(_ answer: Answer) {
        switch (answer.status, answer.grpcCode) {
        case (429, _), (_, 8): self = .overload
        case (503, _) where answer.retryAfterNanoseconds != nil: self = .overload
        case (500..., _), (_, 4), (_, 13), (_, 14), (_, 15): self = .failure
        default: self = .success
        }
    }
}
