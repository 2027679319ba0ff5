// The upstream half of a tunnel: a connection of its own, dialed for it and closed with it. It takes
// its place in the cluster's bound on connections, and is never pooled, since what was said on it is
// known to its ends only.

import Bytes
import MeshModel
import Reactor
import TLS
import Telemetry

/// The upstream connection of one tunnel.
///
/// Confined to its worker.
final class TunnelUpstream: TransportConnection {
    let pool: EndpointPool
    /// A cycle, broken by `detach` or when the connection ends.
    private var tunnel: Tunnel?
    private let connectTimer = Timer()
    private var isDialing = true
    private var isCounted = false

    /// - Throws: `Failure.noIdentity` when the cluster wants mTLS and there is no certificate yet.
    init(tunnel: Tunnel, pool: EndpointPool) throws(Failure) {
        self.tunnel = tunnel
        self.pool = pool
        super.init(worker: pool.worker, tls: try pool.makeTLS(offering: .tcp))
    }

    func dial() {
        isCounted = true
        pool.tunnelOpened()
        loop.arm(
            connectTimer,
            afterNanoseconds: pool.owner.connectTimeoutNanoseconds,
            target: self
        )
        connect(to: pool.address)
    }

    /// The tunnel wants to hear no more of it.
    func detach() { tunnel = nil }

    override var side: Direction { pool.direction }

    // MARK: Transport callbacks

    override func onData(_ bytes: Span<UInt8>) {
        worker.metrics.add(.upstreamBytesReceived, pool.direction, UInt64(bytes.count))
        super.onData(bytes)
    }

    override func onSent(_ count: Int) {
        worker.metrics.add(.upstreamBytesSent, pool.direction, UInt64(count))
    }

    override func onReadyForData() {
        guard isDialing else { return }
        isDialing = false
        loop.timers.cancel(connectTimer)
        worker.metrics.add(.upstreamConnects, pool.direction)
        if usesTLS { worker.metrics.add(.tlsHandshakes, pool.direction) }
        if wasResumed { worker.metrics.add(.tlsResumptions, pool.direction) }
        enableKeepAlive()
        tunnel?.upstreamReady()
    }

    override func onPlaintext(_ bytes: Span<UInt8>) { tunnel?.upstreamReceived(bytes) }

    override func onPlaintextEnd(isTruncated: Bool) {
        if isDialing {
            abort()
            return dialFailed(.connectFailed(errno: 0))
        }
        tunnel?.upstreamEnded(isTruncated: isTruncated)
    }

    override func onTLSFailure(_ error: TLSError) {
        worker.metrics.add(.tlsFailures, pool.direction, label: error.label)
        worker.logTLSFailure(error, direction: pool.direction, peer: pool.addressText)
        // Closing takes a while, for the alert's sake; whoever waits is told now.
        if isDialing { dialFailed(.upstreamTLS(error)) } else { tunnel?.upstreamLost() }
    }

    override func onRelieved() { tunnel?.upstreamRelieved() }

    override func onTimer(_ timer: Timer) {
        guard timer === connectTimer else { return super.onTimer(timer) }
        guard isDialing else { return }
        worker.metrics.add(.timeouts, pool.direction, label: "connect")
        abort()
        dialFailed(.connectTimeout)
    }

    override func onClosed(_ reason: CloseReason) {
        super.onClosed(reason)
        if isDialing { dialFailed(reason.dialFailure) }
        tunnel?.upstreamLost()
        tunnel = nil
        leavePlace()
    }

    // MARK: Internals

    /// Its place is free before the tunnel is told, so that another attempt can take it.
    private func dialFailed(_ failure: Failure) {
        isDialing = false
        loop.timers.cancel(connectTimer)
        leavePlace()
        guard let tunnel else { return }
        self.tunnel = nil
        pool.tunnelDialFailed(failure)
        tunnel.connectFailed(failure)
    }

    private func leavePlace() {
        guard isCounted else { return }
        isCounted = false
        pool.tunnelClosed()
    }
}
