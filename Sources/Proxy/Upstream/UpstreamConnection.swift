// One connection to an endpoint: dial, secure, then what its driver does with it.
//
// Invariants:
// - it has a driver from the moment it is ready until it is closed
// - `isCounted` while it takes a place in its cluster's bound on connections

import Bytes
import HTTP
import MeshModel
import Reactor
import TLS
import Telemetry
import Time

/// One upstream connection.
///
/// Confined to its worker.
final class UpstreamConnection: TransportConnection {
    private enum Phase { case dialing, ready, over }

    let pool: EndpointPool
    private var driver: UpstreamDriver?
    private var phase = Phase.dialing
    private let connectTimer = Timer()
    private var isCounted = true
    /// Whether the pool counts it as unused; maintained by the pool, as the next.
    var isNotedIdle = false
    var idleSince = MonotonicTime(nanoseconds: 0)

    /// - Throws: `Failure.noIdentity` when the cluster wants mTLS and there is no certificate yet.
    init(pool: EndpointPool) throws(Failure) {
        self.pool = pool
        super.init(worker: pool.worker, tls: try pool.makeTLS(offering: pool.spoken.offered))
    }

    /// Whether it can take an exchange now.
    var isUsable: Bool { isOpen && !peerClosed && phase == .ready && (driver?.hasRoom ?? false) }

    /// Whether several exchanges run on it at once.
    var isShared: Bool { driver?.isShared ?? false }

    /// Whether it is ready and no exchange runs on it.
    var isIdle: Bool { phase == .ready && (driver?.isIdle ?? false) }

    func dial(_ address: InternetAddress, timeoutNanoseconds: UInt64) {
        loop.arm(connectTimer, afterNanoseconds: timeoutNanoseconds, target: self)
        connect(to: address)
    }

    /// Gives the connection, or a stream of it, to `receiver`.
    func lease(to receiver: AttemptReceiver) -> UpstreamStream {
        guard let driver else { preconditionFailure("a lease of a connection that is not ready") }
        return driver.lease(to: receiver)
    }

    /// Leaves its place to a connection to another endpoint: it is idle and closes at once.
    func giveWay() {
        precondition(isIdle)
        isCounted = false
        abort()
    }

    /// An aborted connection takes no place in the bound on connections any more: the exchange it
    /// failed may be sent again, and must find room where there is only this one.
    func leavePlace() {
        guard isCounted else { return }
        isCounted = false
        pool.leftCluster()
    }

    override var side: Direction { pool.direction }
    /// A dead connection in the pool costs the exchange that meets it.
    override var asksWhenIdle: Bool { true }

    /// Closes after everything written has been sent.
    override func finish() {
        if let driver, isOpen {
            if driver.deferFinish() { return }
            driver.farewell()
        }
        super.finish()
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
        guard isOpen, !peerClosed else {
            // The peer hung up with its last handshake message: a failed attempt, not a reason to
            // dial anew for as long as it does so.
            abort()
            return dialFailed(.connectFailed(errno: 0))
        }
        if wasResumed { worker.metrics.add(.tlsResumptions, pool.direction) }
        if usesTLS { worker.metrics.add(.tlsHandshakes, pool.direction) }
        let made = makeDriver()
        driver = made
        made.begin()
    }

    /// The driver is ready to be leased.
    func becomeReady() {
        guard phase == .dialing else { return }
        loop.timers.cancel(connectTimer)
        phase = .ready
        pool.connected(self)
    }

    override func onPlaintext(_ bytes: Span<UInt8>) { driver?.received(bytes) }

    override func onPlaintextEnd(isTruncated: Bool) {
        guard let driver else { return abort() }
        driver.ended(isTruncated: isTruncated)
    }

    override func onTLSFailure(_ error: TLSError) {
        worker.metrics.add(.tlsFailures, pool.direction, label: error.label)
        worker.logTLSFailure(error, direction: pool.direction, peer: pool.addressText)
        // Closing takes a while, for the alert's sake; whoever waits is told now.
        if phase == .dialing {
            dialFailed(.upstreamTLS(error))
        } else {
            driver?.transportFailed(.upstreamTLS(error))
        }
    }

    override func onRelieved() { driver?.relieved() }

    override func onResume() { driver?.resume() }

    override func willFlush() {
        driver?.willFlush()
        super.willFlush()
    }

    override func onTimer(_ timer: Timer) {
        guard timer === connectTimer else { return super.onTimer(timer) }
        guard phase == .dialing else { return }
        worker.metrics.add(.timeouts, pool.direction, label: "connect")
        abort()
        dialFailed(.connectTimeout)
    }

    /// Its place is free before whoever waits is told, so that another attempt can take it.
    func dialFailed(_ failure: Failure) {
        guard phase == .dialing else { return }
        loop.timers.cancel(connectTimer)
        phase = .over
        isCounted = false
        pool.dialFailed(failure)
    }

    override func onClosed(_ reason: CloseReason) {
        super.onClosed(reason)
        if phase == .dialing { dialFailed(reason.dialFailure) }
        phase = .over
        driver?.closed()
        driver = nil
        if isCounted {
            isCounted = false
            pool.connectionClosed()
        } else {
            pool.forgetIfEmpty()
        }
    }

    private func makeDriver() -> UpstreamDriver {
        let isHTTP2 = usesTLS ? applicationProtocol == .http2 : pool.spoken == .http2
        return isHTTP2 ? HTTP2Upstream(connection: self) : HTTP1Upstream(connection: self)
    }
}

extension CloseReason {
    /// A connection that ended before it was ready.
    var dialFailure: Failure {
        switch self {
        case .connectFailed(let errno), .failed(let errno): .connectFailed(errno: errno)
        // The peer hung up during the handshake.
        case .local: .connectFailed(errno: 0)
        }
    }
}
