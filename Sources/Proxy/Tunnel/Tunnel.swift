// Opaque bytes: joins a downstream connection with an upstream connection of its own.
//
// What it keeps: each direction's order and end (half-close), back-pressure (a side that does not
// read stops the other), and the difference between an end and a reset. What it does not know: what
// is said.
//
// Invariants:
// - `state` decides; this file carries out
// - nothing is read from the caller before the upstream is ready, but what came with its first bytes
// - `end` runs exactly once; it alone counts, logs and lets go of the upstream

import Bytes
import HTTP
import MeshModel
import Reactor
import Telemetry
import Time

/// One opaque connection through the proxy.
///
/// Confined to its worker.
final class Tunnel: DownstreamDriver {
    private let destination: TunnelDestination
    private var state: TunnelState
    private let startedAt: MonotonicTime
    private var target: TunnelTarget?
    private var series: ConnectionSeries?
    private var pool: EndpointPool?
    private var upstream: TunnelUpstream?
    /// The cluster is full; `mayDial` follows, or the deadline.
    private var isWaiting = false
    private var callerIsPaused = true
    private var endpointIsPaused = false
    /// Bytes that neither side had taken when it was last looked.
    private var outstandingSeen = 0
    /// What the caller sent before the upstream was ready: no more than one receive.
    private var early: ByteBuffer?
    private var receivedBytes: UInt64 = 0
    private var sentBytes: UInt64 = 0
    private var endpointPeer = ""

    init(connection: DownstreamConnection, destination: TunnelDestination) {
        self.destination = destination
        startedAt = connection.loop.now
        state = TunnelState(now: connection.loop.now)
        super.init(connection: connection)
    }

    override var isIdle: Bool { false }

    // MARK: From the downstream connection

    override func begin() {
        connection.noteServed()
        connection.pauseReading()
        worker.tunnelStarted()
        do {
            let target = try worker.resolve(destination, connection.caller)
            self.target = target
            series = target.series
            target.series.opened()
            renewDeadline()
            attempt()
        } catch {
            let series = worker.unmatchedConnections(connection.direction)
            self.series = series
            series.opened()
            fail(error)
        }
    }

    override func received(_ bytes: Span<UInt8>) {
        switch state.phase {
        case .connecting:
            let held = early ?? connection.loop.takeBuffer()
            early = held
            held.append(bytes)
        case .joined: pass(bytes)
        case .over: break
        }
    }

    override func ended() { sideEnded(.downstream) }

    /// The caller ended one direction, or both; the end comes with its last bytes.
    override func hungUp() {}

    /// TLS ended without saying so: whether something is missing cannot be known.
    override func truncated() { end(.downstreamClosed) }

    override func relieved() {
        endpointIsPaused = false
        upstream?.resumeReading()
    }

    override func refreshDeadline() {
        guard !isWaiting else { return }
        if outstandingBytes != outstandingSeen { state.moved(now: worker.loop.now) }
        renewDeadline()
    }

    override func deadlinePassed() {
        guard !isWaiting else { return fail(.overflow(.connections)) }
        worker.metrics.add(.timeouts, connection.direction, label: "stream_idle")
        fail(.streamIdleTimeout)
    }

    override func expire() { fail(.drainExpired) }

    /// Not by this side: the caller reset, or its TLS failed.
    override func closed() { end(.downstreamClosed) }

    // MARK: From the pool

    /// There is room for a connection now.
    func mayDial() {
        isWaiting = false
        renewDeadline()
        dial()
    }

    // MARK: From the upstream connection

    func upstreamReady() {
        guard let upstream, state.phase == .connecting else { return }
        state.connected(now: worker.loop.now)
        endpointPeer = upstream.peerIdentity?.description ?? ""
        connection.enableKeepAlive()
        if let early {
            self.early = nil
            early.withSpan { pass($0) }
            connection.loop.giveBuffer(early)
        }
        renewDeadline()
        if state.hasEnded(.downstream) { upstream.finishOutput() }
        if !upstream.isCongested { resumeCaller() }
    }

    func upstreamReceived(_ bytes: Span<UInt8>) {
        guard state.phase == .joined else { return }
        state.moved(now: worker.loop.now)
        sentBytes &+= UInt64(bytes.count)
        series?.sent(bytes.count)
        connection.write(bytes)
        guard connection.isCongested, !endpointIsPaused else { return }
        endpointIsPaused = true
        upstream?.pauseReading()
        renewDeadline()
    }

    func upstreamEnded(isTruncated: Bool) {
        if isTruncated { end(.upstreamReset(code: 0)) } else { sideEnded(.upstream) }
    }

    func upstreamRelieved() {
        if state.phase == .joined { resumeCaller() }
    }

    /// It was reset, or failed.
    func upstreamLost() { end(.upstreamReset(code: 0)) }

    func connectFailed(_ failure: Failure) {
        upstream = nil
        guard let target, state.phase == .connecting else { return }
        guard state.triesAgain(endpoints: target.cluster.pools.count) else { return fail(failure) }
        worker.metrics.add(.retries, connection.direction, label: LocalReply(failure).cause)
        attempt()
    }

    // MARK: Steps

    private func attempt() {
        guard let target else { preconditionFailure("an attempt needs a target") }
        state.attempt()
        guard let next = target.cluster.pick(avoiding: pool, for: .http11) else {
            return fail(.noEndpoint)
        }
        pool = next
        switch next.admit(self) {
        case .dial: dial()
        case .wait:
            isWaiting = true
            connection.setDeadline(after: target.cluster.connectTimeoutNanoseconds)
        case .refuse(let failure): fail(failure)
        }
    }

    private func dial() {
        guard let pool else { preconditionFailure("a dial needs an endpoint") }
        do {
            let made = try TunnelUpstream(tunnel: self, pool: pool)
            upstream = made
            made.dial()
        } catch {
            fail(error)
        }
    }

    private func pass(_ bytes: Span<UInt8>) {
        guard let upstream else { return }
        state.moved(now: worker.loop.now)
        receivedBytes &+= UInt64(bytes.count)
        series?.received(bytes.count)
        upstream.write(bytes)
        guard upstream.isCongested, !callerIsPaused else { return }
        callerIsPaused = true
        connection.pauseReading()
        renewDeadline()
    }

    private func resumeCaller() {
        callerIsPaused = false
        connection.resumeReading()
    }

    private func sideEnded(_ side: TunnelSide) {
        switch state.ended(side, now: worker.loop.now) {
        case .nothing: break
        case .endOutput(.upstream): upstream?.finishOutput()
        case .endOutput(.downstream): connection.finishOutput()
        case .finish: return end(nil)
        }
        renewDeadline()
    }

    /// Moved later only when it passes: a byte that moves costs no timer.
    private func renewDeadline() {
        guard let target, state.phase != .over else { return }
        outstandingSeen = outstandingBytes
        let isStalled = callerIsPaused || endpointIsPaused
        connection.setDeadline(at: state.deadline(target.idle, isStalled: isStalled))
    }

    private var outstandingBytes: Int {
        connection.outstandingBytes + (upstream?.outstandingBytes ?? 0)
    }

    private func fail(_ failure: Failure) { end(failure) }

    /// nil: both sides have said everything.
    ///
    /// Otherwise both learn by a reset that it is not the whole.
    private func end(_ failure: Failure?) {
        guard state.end() else { return }
        if isWaiting { pool?.withdraw(self) }
        isWaiting = false
        let upstream = upstream
        self.upstream = nil
        upstream?.detach()
        if let early { connection.loop.giveBuffer(early) }
        early = nil
        if failure == nil {
            upstream?.finish()
            connection.finish()
        } else {
            upstream?.reset()
            connection.reset()
        }
        record(failure)
        worker.tunnelEnded()
        target = nil
        series = nil
        pool = nil
    }

    private func record(_ failure: Failure?) {
        guard let series else { return }
        let reason = failure.map { LocalReply($0).cause } ?? "finished"
        let duration = worker.loop.now.nanoseconds(since: startedAt)
        series.closed(reason: reason, duration: duration)
        guard worker.logsConnection(hasFailed: failure != nil) else { return }
        worker.logConnection(
            ConnectionLogLine(
                series: series.key,
                destination: "",
                endpoint: pool?.addressText ?? "",
                endpointPeer: endpointPeer,
                detection: "declared",
                durationNanoseconds: duration,
                receivedBytes: receivedBytes,
                sentBytes: sentBytes,
                retries: max(state.attempts - 1, 0),
                reason: reason,
                hasFailed: failure != nil
            )
        )
    }
}
