// A second attempt beside a slow first one, at another endpoint: the first final response wins.
//
// Only for safe requests without a body, so both attempts are the same bytes and neither changes
// anything. It costs the budget what a retry costs.

import HTTP
import Reactor
import Telemetry
import Time
import Traffic

/// The hedges of one exchange, one after the other.
///
/// Confined to its worker.
final class HedgeAttempt: AttemptReceiver {
    private enum State { case armed, waiting, sent, adopted, over }

    private let worker: Worker
    private let cluster: UpstreamCluster
    private let delayNanoseconds: UInt64
    private var left: Int
    private let timer = Timer()
    private var state = State.armed
    /// A cycle, which the exchange breaks when it is over.
    private var exchange: Exchange?
    private(set) var pool: EndpointPool?
    private(set) var selection: EndpointSelection?
    private(set) var stream: UpstreamStream?
    private(set) var startedAt = MonotonicTime(nanoseconds: 0)

    init(
        _ hedge: (delayNanoseconds: UInt64, attempts: Int),
        of exchange: Exchange,
        in cluster: UpstreamCluster,
        worker: Worker
    ) {
        self.worker = worker
        self.exchange = exchange
        self.cluster = cluster
        delayNanoseconds = hedge.delayNanoseconds
        left = hedge.attempts
        super.init()
        worker.loop.arm(timer, afterNanoseconds: delayNanoseconds, target: self)
    }

    /// Whether an attempt of it may still be answered.
    var isRunning: Bool { state == .waiting || state == .sent }

    /// Whether the exchange has made its attempt its own.
    var isAdopted: Bool { state == .adopted }

    /// The exchange has its answer, or is over.
    func cancel() {
        if timer.isArmed { worker.loop.timers.cancel(timer) }
        if state != .adopted { endAttempt(.neutral) }
        state = .over
        exchange = nil
    }

    /// Gives the running attempt to the exchange, which tells its endpoint what became of it.
    func handOver() {
        state = .adopted
        if timer.isArmed { worker.loop.timers.cancel(timer) }
        stream = nil
        selection = nil
    }

    override func onTimer(_ timer: Timer) {
        guard state == .armed, left > 0, let exchange, exchange.mayHedge else { return }
        left -= 1
        var avoided = exchange.tried
        if let endpoint = exchange.endpoint { avoided.append(endpoint) }
        let picked = cluster.pick(
            hash: exchange.requestHash,
            avoiding: avoided,
            for: exchange.request.originVersion
        )
        guard let picked, !picked.pool.isSameEndpoint(as: exchange.endpoint) else {
            if let picked {
                cluster.finished(picked.selection, .neutral, latencyNanoseconds: 0)
            }
            return
        }
        if let refusal = exchange.refusesHedge() {
            cluster.finished(picked.selection, .neutral, latencyNanoseconds: 0)
            let label: StaticString = refusal == .budget ? "hedge_budget" : refusal.label
            return worker.metrics.add(.retriesRefused, .outbound, label: label)
        }
        worker.metrics.add(.hedges, .outbound)
        pool = picked.pool
        selection = picked.selection
        startedAt = worker.loop.now
        state = .waiting
        switch picked.pool.lease(for: self) {
        case .ready(let stream): upstreamReady(stream)
        case .waiting: break
        case .failed(let failure): connectionFailed(failure)
        }
    }

    override func upstreamReady(_ stream: UpstreamStream) {
        guard let exchange else { return stream.cancel() }
        self.stream = stream
        state = .sent
        exchange.noteHedged()
        stream.sendHead(exchange.request)
        if self.stream === stream { stream.sendEnd(trailers: nil) }
    }

    override func connectionFailed(_ failure: Failure) { failed(failure) }

    override func upstreamFailed(_ failure: Failure) {
        if state == .adopted { return exchange?.upstreamFailed(failure) ?? () }
        stream = nil
        failed(failure)
    }

    override func responseHead(_ response: ResponseHead) {
        guard let exchange else { return }
        if state == .adopted || response.isInterim {
            if state == .adopted { exchange.responseHead(response) }
            return
        }
        // A failure is no answer while the first attempt may still give one.
        if response.status >= 500, exchange.firstAttemptRuns {
            endAttempt(.failure)
            return rearm()
        }
        exchange.adopt(self, response)
    }

    override func responseBody(_ bytes: Span<UInt8>) { exchange?.responseBody(bytes) }
    override func responseEnd(trailers: FieldBlock?) { exchange?.responseEnd(trailers: trailers) }
    override func upstreamRelieved() { exchange?.upstreamRelieved() }

    private func failed(_ failure: Failure) {
        endAttempt(failure.outcome)
        guard let exchange else { return }
        if exchange.firstAttemptRuns { rearm() } else { exchange.hedgeFailed(failure) }
    }

    private func rearm() {
        guard left > 0 else { return state = .over }
        state = .armed
        worker.loop.arm(timer, afterNanoseconds: delayNanoseconds, target: self)
    }

    private func endAttempt(_ outcome: AttemptOutcome) {
        if let stream {
            self.stream = nil
            stream.cancel()
        } else if state == .waiting {
            pool?.withdraw(self)
        }
        state = .over
        guard let selection else { return }
        self.selection = nil
        if let pool { exchange?.noteTried(pool) }
        cluster.finished(
            selection,
            outcome,
            latencyNanoseconds: worker.loop.now.nanoseconds(since: startedAt)
        )
    }
}
