// One connection from a caller: socket, TLS, deadline, caller. What is said on it is its driver's.
//
// Invariants:
// - without a driver nothing has been said yet, or it rests: the next bytes make one
// - the deadline is always set: handshake, then idle, head or stream, as the driver says

import Bytes
import HTTP
import MeshModel
import Reactor
import TLS
import Telemetry
import Time

/// One downstream connection.
///
/// Confined to its worker.
final class DownstreamConnection: TransportConnection {
    let direction: Direction
    private let entry: Entry
    /// Where it was meant to go, when it was intercepted.
    private let destination: OriginalDestination?
    /// Where the worker keeps it; maintained by the worker.
    var registryIndex = -1
    /// Whom it belongs to; nil until it is secured.
    private(set) var caller: Caller?
    private var driver: DownstreamDriver?
    private var wireProtocol: WireProtocol?
    private let deadline = LazyDeadline(kind: 1)
    private var idleSince = MonotonicTime(nanoseconds: 0)
    private(set) var isResting = false
    private var hasServed = false

    init(
        worker: Worker,
        accepted: consuming AcceptedSocket,
        entry: Entry,
        destination: OriginalDestination?,
        tls: TLSConnection?
    ) throws(ReactorError) {
        self.entry = entry
        self.destination = destination
        direction = entry.direction
        try super.init(worker: worker, accepted: accepted, tls: tls)
    }

    /// After it was registered with the worker.
    func begin() {
        if usesTLS {
            setDeadline(after: worker.headTimeoutNanoseconds)
        } else {
            becomeReady()
        }
    }

    /// Whether no exchange runs and no request has begun.
    var isIdle: Bool { driver?.isIdle ?? true }

    /// The exchanges that run on it; for questions about them.
    var runningExchanges: [Exchange] { driver?.runningExchanges ?? [] }

    /// Whether no request has come yet: who has just connected is about to send one, and nothing has
    /// told it not to.
    var awaitsFirstRequest: Bool { !hasServed && !isClosing }

    /// The proxy starts to drain.
    func drain() {
        if !isClosing { driver?.drain() }
    }

    /// The proxy drains and no longer waits for idle callers.
    func finishDrain() {
        guard !isClosing else { return }
        driver?.finishDrain()
        if isIdle, hasServed, !isClosing { finish() }
    }

    /// The drain's grace period is over.
    func expireDrain() {
        driver?.expire()
        if !isClosing { finish() }
    }

    // MARK: For the driver

    /// A request has come.
    func noteServed() { hasServed = true }

    /// Nothing runs any more: the idle limits count from now.
    func becomeIdle() {
        idleSince = loop.now
        isResting = false
        setDeadline(after: min(worker.connectionIdleNanoseconds, worker.restAfterNanoseconds))
    }

    func setDeadline(after nanoseconds: UInt64) {
        setDeadline(at: loop.now.advanced(byNanoseconds: nanoseconds))
    }

    func setDeadline(at time: MonotonicTime) { deadline.set(time, loop: loop, target: self) }

    /// Another protocol takes over, with what was received so far.
    func become(_ spoken: WireProtocol, with bytes: Span<UInt8>) {
        wireProtocol = spoken
        let made = makeDriver(spoken)
        driver = made
        made.begin()
        if !isClosing, !bytes.isEmpty { made.received(bytes) }
    }

    /// `driver` takes over; it has begun, or is told to by whoever calls.
    func install(_ driver: DownstreamDriver) { self.driver = driver }

    /// What ended the driver before ends the one that took over.
    func driverEnded() {
        if !isClosing { driver?.ended() }
    }

    // MARK: Transport callbacks

    override func onData(_ bytes: Span<UInt8>) {
        worker.metrics.add(.downstreamBytesReceived, direction, UInt64(bytes.count))
        super.onData(bytes)
    }

    override func onSent(_ count: Int) {
        worker.metrics.add(.downstreamBytesSent, direction, UInt64(count))
    }

    override func onReadyForData() {
        worker.metrics.add(.tlsHandshakes, direction)
        if wasResumed { worker.metrics.add(.tlsResumptions, direction) }
        becomeReady()
    }

    override func onPlaintext(_ bytes: Span<UInt8>) {
        if let driver { return driver.received(bytes) }
        if let wireProtocol { return become(wireProtocol, with: bytes) }
        let sniffer = ProtocolSniffer(connection: self)
        driver = sniffer
        sniffer.received(bytes)
    }

    override func onPlaintextEnd(isTruncated: Bool) {
        guard let driver else { return finish() }
        if isTruncated { driver.truncated() } else { driver.ended() }
    }

    override func onHangUp() {
        if let driver { driver.hungUp() } else { finish() }
    }

    override func onTLSFailure(_ error: TLSError) {
        worker.metrics.add(.tlsFailures, direction, label: error.label)
        worker.logTLSFailure(error, direction: direction, peer: peerText)
        driver?.closed()
    }

    override func onRelieved() { driver?.relieved() }

    override func onResume() { driver?.resume() }

    override func willFlush() {
        driver?.willFlush()
        super.willFlush()
    }

    override func onTimer(_ timer: Timer) {
        guard deadline.isTimer(timer) else { return super.onTimer(timer) }
        driver?.refreshDeadline()
        guard deadline.hasPassed(loop: loop, target: self), !isClosing else { return }
        deadlinePassed()
    }

    override func onClosed(_ reason: CloseReason) {
        super.onClosed(reason)
        deadline.cancel(loop: loop)
        driver?.closed()
        driver = nil
        worker.remove(self)
        worker.metrics.add(.connectionsClosed, direction)
    }

    // MARK: Internals

    private func becomeReady() {
        caller = worker.caller(
            direction,
            identity: peerIdentity,
            destination: destination,
            address: peerAddress
        )
        becomeIdle()
        guard usesTLS else { return beginPlaintext() }
        switch applicationProtocol {
        // A server of HTTP/2 speaks first, and so may an application behind a tunnel.
        case .http2: become(.http2, with: Span())
        case .tcp: beginPeerTunnel()
        default: wireProtocol = .http1
        }
    }

    /// Our own sidecars tunnel only to what is declared `tcp` or nothing; to an application of HTTP a
    /// tunnel would be a way around all that is done with requests.
    private func beginPeerTunnel() {
        switch worker.inboundProtocol(at: destination) {
        case .tcp, .auto: become(.tcp, with: Span())
        case .http1, .http2:
            worker.metrics.add(.tlsFailures, direction, label: "tunnel_to_http")
            reset()
        }
    }

    private func beginPlaintext() {
        switch entry {
        case .service: become(.tcp, with: Span())
        case .outbound:
            guard let destination else { return }
            switch worker.declaredProtocol(of: destination) {
            case .tcp: beginTunnel("declared", to: destination)
            case .http1, .http2: return
            case .auto:
                guard !worker.learned.contains(destination.address, now: loop.now) else {
                    return beginTunnel("learned", to: destination)
                }
                let made = Detection(connection: self, destination: destination)
                driver = made
                made.begin()
            }
        // In plain text nothing tells an opaque connection from HTTP: it is what was declared.
        case .inbound:
            if worker.inboundProtocol(at: destination) == .tcp { become(.tcp, with: Span()) }
        }
    }

    private func beginTunnel(_ detection: StaticString, to destination: OriginalDestination) {
        worker.metrics.add(.detections, direction, label: detection)
        let made = Tunnel(
            connection: self,
            destination: .original(destination),
            detection: detection
        )
        driver = made
        made.begin()
    }

    private func makeDriver(_ spoken: WireProtocol) -> DownstreamDriver {
        switch spoken {
        case .http1: HTTP1Downstream(connection: self)
        case .http2: HTTP2Downstream(connection: self)
        case .tcp:
            Tunnel(
                connection: self,
                destination: tunnelDestination,
                detection: usesTLS ? "alpn" : "declared"
            )
        }
    }

    private var tunnelDestination: TunnelDestination {
        switch entry {
        case .service(let name): .service(name)
        case .inbound, .outbound: .application(destination)
        }
    }

    private func deadlinePassed() {
        if caller != nil, isIdle, !isResting,
            loop.now.nanoseconds(since: idleSince) < worker.connectionIdleNanoseconds
        {
            return rest()
        }
        if let driver, !driver.isIdle { return driver.deadlinePassed() }
        worker.metrics.add(
            .timeouts,
            direction,
            label: caller == nil ? "handshake" : "connection_idle"
        )
        finish()
    }

    /// Gives back what only a request needs; most connections of a sidecar are idle most of the time.
    private func rest() {
        isResting = true
        driver?.rest()
        if let driver, driver.canRest {
            driver.closed()
            self.driver = nil
        }
        setDeadline(at: idleSince.advanced(byNanoseconds: worker.connectionIdleNanoseconds))
    }

    override var side: Direction { direction }

    /// For logs.
    var peerText: String { peerIdentity?.description ?? "" }
}
