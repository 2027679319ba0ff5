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
import Traffic

/// One opaque connection through the proxy.
///
/// Confined to its worker.
final class Tunnel: DownstreamDriver {
    private let destination: TunnelDestination
    /// How it was known not to be HTTP.
    private var detection: StaticString
    /// Who decides whether there is to be a tunnel at all; until then it touches nothing but its
    /// upstream connection.
    private var owner: Detection?
    private var state: TunnelState
    private let startedAt: MonotonicTime
    private var target: TunnelTarget?
    private var series: ConnectionSeries?
    private var pool: EndpointPool?
    /// Those that did not accept a connection, in their order.
    private var tried: ContiguousArray<EndpointPool> = []
    /// The endpoint of the connection, until it is told what became of it.
    private var selection: EndpointSelection?
    private var dialedAt = MonotonicTime(nanoseconds: 0)
    /// How long its connection took to make; nil before that.
    private var connectNanoseconds: UInt64?
    private var upstream: TunnelUpstream?
    /// The cluster is full; `mayDial` follows, or the deadline.
    private var isWaiting = false
    /// Bytes that neither side had taken when it was last looked.
    private var outstandingSeen = 0
    /// What the caller sent before the upstream was ready: no more than one receive.
    private var early: ByteBuffer?
    private var receivedBytes: UInt64 = 0
    private var sentBytes: UInt64 = 0
    private var endpointPeer = ""

    init(
        connection: DownstreamConnection,
        destination: TunnelDestination,
        detection: StaticString,
        tentativeFor owner: Detection? = nil
    ) {
        self.destination = destination
        self.detection = detection
        self.owner = owner
        startedAt = connection.loop.now
        state = TunnelState(now: connection.loop.now)
        super.init(connection: connection)
    }

    override var isIdle: Bool { false }

    // MARK: From the downstream connection

    override func begin() {
        let failure: Failure?
        do {
            let target = try worker.resolve(destination, connection.caller)
            self.target = target
            series = target.series
            failure = nil
        } catch {
            series = worker.unmatchedConnections(connection.direction)
            failure = error
        }
        if owner == nil { takeOver() }
        if let failure { fail(failure) } else { attempt() }
    }

    /// There is to be a tunnel: the connection is its own from now on.
    func commit(_ detection: StaticString) {
        owner = nil
        self.detection = detection
        takeOver()
    }

    /// There is to be no tunnel: the connection speaks something else.
    func drop() {
        guard owner != nil else { return }
        owner = nil
        guard state.end() else { return }
        release()?.abort()
    }

    private func takeOver() {
        connection.noteServed()
        worker.tunnelStarted()
        series?.opened()
        if state.phase == .connecting {
            connection.pauseReading()
        } else {
            connection.enableKeepAlive()
        }
        renewDeadline()
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

    override func relieved() { upstream?.resumeReading() }

    override func refreshDeadline() {
        guard !isWaiting else { return }
        if outstandingBytes != outstandingSeen { state.moved(now: worker.loop.now) }
        renewDeadline()
    }

    override func deadlinePassed() {
        guard !isWaiting else { return fail(.overflow(.connections)) }
        worker.metrics.add(.timeouts, connection.direction, label: "tcp_idle")
        fail(.tcpIdleTimeout)
    }

    override func expire() { fail(.drainExpired) }

    /// Not by this side: the caller reset, or its TLS failed.
    override func closed() { end(.downstreamClosed) }

    // MARK: From the cluster

    /// Its endpoints have addresses now.
    func resolved() {
        guard state.phase == .connecting else { return }
        lease()
    }

    /// Its endpoints have no address.
    func unresolved(_ failure: Failure) { fail(failure) }

    /// There is room for a connection now.
    func mayDial() {
        isWaiting = false
        renewDeadline()
        dial()
    }

    // MARK: From the upstream connection

    func upstreamReady() {
        guard let upstream, state.phase == .connecting else { return }
        connectNanoseconds = worker.loop.now.nanoseconds(since: dialedAt)
        state.connected(now: worker.loop.now)
        endpointPeer = upstream.peerIdentity?.description ?? ""
        guard owner == nil else { return }
        connection.enableKeepAlive()
        if let early {
            self.early = nil
            early.withSpan { pass($0) }
            connection.loop.giveBuffer(early)
        }
        renewDeadline()
        if state.hasEnded(.downstream) { upstream.finishOutput() }
        if !upstream.isCongested { connection.resumeReading() }
    }

    func upstreamReceived(_ bytes: Span<UInt8>) {
        guard state.phase == .joined else { return }
        owner?.serverSpoke(bytes)
        guard state.phase == .joined else { return }
        state.moved(now: worker.loop.now)
        sentBytes &+= UInt64(bytes.count)
        series?.sent(bytes.count)
        connection.write(bytes)
        if connection.isCongested { upstream?.pauseReading() }
    }

    func upstreamEnded(isTruncated: Bool) {
        if isTruncated || owner != nil {
            end(.upstreamReset(code: 0))
        } else {
            sideEnded(.upstream)
        }
    }

    func upstreamRelieved() {
        if state.phase == .joined { connection.resumeReading() }
    }

    /// It was reset, or failed.
    func upstreamLost() { end(.upstreamReset(code: 0)) }

    func connectFailed(_ failure: Failure) {
        upstream = nil
        endAttempt(failure.outcome)
        guard let target, state.phase == .connecting else { return }
        guard state.triesAgain(endpoints: target.cluster.pools.count) else { return fail(failure) }
        worker.metrics.add(.retries, connection.direction, label: LocalReply(failure).cause)
        if let pool { tried.append(pool) }
        attempt()
    }

    // MARK: Steps

    private func attempt() {
        state.attempt()
        lease()
    }

    private func lease() {
        guard let target else { preconditionFailure("an attempt needs a target") }
        let picked = target.cluster.pick(hash: nil, avoiding: tried, for: .http11)
        guard let picked else {
            pool = nil
            if let failure = target.cluster.wait(self) { fail(failure) }
            return
        }
        let next = picked.pool
        pool = next
        selection = picked.selection
        dialedAt = worker.loop.now
        switch next.admit(self) {
        case .dial: dial()
        case .wait:
            isWaiting = true
            // A guess is not worth a place in the queue.
            guard owner == nil else { return fail(.overflow(.connections)) }
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
        if upstream.isCongested { connection.pauseReading() }
    }

    private func sideEnded(_ side: TunnelSide) {
        switch state.ended(side, now: worker.loop.now) {
        case .nothing: break
        case .endOutput(.upstream): upstream?.finishOutput()
        case .endOutput(.downstream): connection.finishOutput()
        case .finish: end(nil)
        }
    }

    /// Moved later only when it passes: a byte that moves costs no timer.
    private func renewDeadline() {
        guard let target, state.phase != .over, owner == nil else { return }
        outstandingSeen = outstandingBytes
        connection.setDeadline(at: state.deadline(idleNanoseconds: target.idleNanoseconds))
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
        if let owner {
            self.owner = nil
            release()?.reset()
            return owner.tunnelLost()
        }
        record(failure)
        let upstream = release()
        if failure == nil {
            upstream?.finish()
            connection.finish()
        } else {
            upstream?.reset()
            connection.reset()
        }
        worker.tunnelEnded()
    }

    /// Lets go of everything; the upstream connection is left to be closed.
    private func release() -> TunnelUpstream? {
        endAttempt(connectNanoseconds == nil ? .neutral : .success)
        if isWaiting { pool?.withdraw(self) }
        if pool == nil { target?.cluster.withdraw(self) }
        isWaiting = false
        if let early { connection.loop.giveBuffer(early) }
        early = nil
        target = nil
        series = nil
        pool = nil
        let left = upstream.take()
        left?.detach()
        return left
    }

    /// A connection counts as one request: how long it took to make, and whether it was made.
    private func endAttempt(_ outcome: AttemptOutcome) {
        guard let selection, let target else { return }
        self.selection = nil
        target.cluster.finished(
            selection,
            outcome,
            latencyNanoseconds: connectNanoseconds ?? worker.loop.now.nanoseconds(since: dialedAt)
        )
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
                destination: destination.text,
                endpoint: pool?.addressText ?? "",
                endpointPeer: endpointPeer,
                detection: detection,
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
