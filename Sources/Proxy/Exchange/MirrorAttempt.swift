// A copy of a request whose response nobody reads.
//
// It has its own head and its own buffer, and the exchange never waits for it: a mirror that is slower
// than the request it copies by more than the buffer holds is given up, and so is one that takes longer
// than `ProxyLimits.mirrorNanoseconds`. It counts for no caller, and spends no retry budget.

import Bytes
import HTTP
import Reactor
import Telemetry
import Time
import Traffic

/// One mirrored request.
///
/// Kept alive by the pool or the stream it waits for; confined to its worker.
final class MirrorAttempt: AttemptReceiver {
    private enum State { case waiting, sending, over }

    private let worker: Worker
    private let head = RequestHead()
    private let cluster: UpstreamCluster
    /// Body that came before the connection was there.
    private let early = ByteBuffer()
    private let timer = Timer()
    private var state = State.waiting
    private var pool: EndpointPool?
    private var selection: EndpointSelection?
    private var stream: UpstreamStream?
    private var requestEnded: Bool
    private var status = 0
    private let startedAt: MonotonicTime

    init(of original: RequestHead, to cluster: UpstreamCluster, worker: Worker) {
        self.worker = worker
        self.cluster = cluster
        head.assign(from: original)
        requestEnded = original.bodyLength.isEmpty
        startedAt = worker.loop.now
        super.init()
    }

    func start() {
        let picked = cluster.pick(hash: nil, avoiding: [], for: head.originVersion)
        // Names that are not resolved yet are not worth waiting for.
        guard let picked else { return drop("no_endpoint") }
        guard cluster.beginRequest() == nil else {
            cluster.endRequest()
            cluster.finished(picked.selection, .neutral, latencyNanoseconds: 0)
            return drop("overflow")
        }
        worker.metrics.add(.mirrors, .outbound)
        selection = picked.selection
        pool = picked.pool
        worker.loop.arm(timer, afterNanoseconds: ProxyLimits.mirrorNanoseconds, target: self)
        switch picked.pool.lease(for: self) {
        case .ready(let stream): upstreamReady(stream)
        case .waiting: break
        case .failed(let failure): connectionFailed(failure)
        }
    }

    // MARK: From the exchange

    func sendBody(_ bytes: Span<UInt8>) {
        switch state {
        case .over: break
        case .waiting:
            guard early.count + bytes.count <= ProxyLimits.mirrorBytesMax else {
                return drop("too_slow")
            }
            early.append(bytes)
        case .sending:
            guard let stream, !stream.isCongested else { return drop("too_slow") }
            stream.sendBody(bytes)
        }
    }

    func sendEnd(trailers: FieldBlock?) {
        guard state != .over, !requestEnded else { return }
        requestEnded = true
        if state == .sending { stream?.sendEnd(trailers: trailers) }
    }

    /// The exchange is over: without its whole request a copy is none.
    func exchangeEnded() {
        if state != .over, !requestEnded { drop("incomplete") }
    }

    // MARK: From the pool and the stream

    override func upstreamReady(_ stream: UpstreamStream) {
        self.stream = stream
        state = .sending
        stream.sendHead(head)
        guard self.stream === stream else { return }
        if !early.isEmpty { early.withSpan { stream.sendBody($0) } }
        early.release()
        if requestEnded { stream.sendEnd(trailers: nil) }
    }

    override func connectionFailed(_ failure: Failure) { end(failure.outcome, "connect_failed") }
    override func upstreamFailed(_ failure: Failure) {
        stream = nil
        end(failure.outcome, "upstream_failed")
    }
    override func responseHead(_ response: ResponseHead) {
        if !response.isInterim { status = response.status }
    }
    override func responseBody(_ bytes: Span<UInt8>) {}
    override func upstreamRelieved() {}

    override func responseEnd(trailers: FieldBlock?) {
        let stream = stream
        self.stream = nil
        if requestEnded { stream?.release() } else { stream?.cancel() }
        end(AttemptOutcome(status: status, grpcCode: nil, isOverload: false), nil)
    }

    override func onTimer(_ timer: Timer) { drop("timeout") }

    private func drop(_ reason: StaticString) { end(.neutral, reason) }

    private func end(_ outcome: AttemptOutcome, _ reason: StaticString?) {
        guard state != .over else { return }
        let hadBegun = selection != nil
        let wasWaiting = state == .waiting
        state = .over
        if let reason { worker.metrics.add(.mirrorsDropped, .outbound, label: reason) }
        if timer.isArmed { worker.loop.timers.cancel(timer) }
        if let stream {
            self.stream = nil
            stream.cancel()
        } else if wasWaiting {
            pool?.withdraw(self)
        }
        pool = nil
        early.release()
        guard hadBegun, let selection else { return }
        self.selection = nil
        cluster.finished(
            selection,
            outcome,
            latencyNanoseconds: worker.loop.now.nanoseconds(since: startedAt)
        )
        cluster.endRequest()
    }
}
