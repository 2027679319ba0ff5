// An intercepted connection whose protocol nobody declared (FIELD: declared > learned > sniffed):
//
//   the caller's first bytes tell          → HTTP, or a tunnel at once
//   the caller is silent for a moment      → the destination is dialed as well, still listening
//   the server's bytes come first          → a tunnel, and the destination is remembered
//   nothing is clear within the time limit → a tunnel
//
// Invariants:
// - what the caller has sent is in `held`, whole and in order, until a driver gets it
// - `tunnel` is uncommitted: it touches neither the connection nor any number

import Bytes
import HTTP
import MeshModel
import Reactor
import Telemetry
import Time

/// Finds out what an intercepted connection speaks.
final class Detection: DownstreamDriver {
    /// A caller of HTTP sends its request with its connection, within microseconds on one machine; a
    /// client of a server that speaks first waits for it, and every moment here delays it.
    static let silenceNanoseconds: UInt64 = 50_000_000

    private let destination: OriginalDestination
    private var detector = ProtocolDetector()
    private var held: ByteBuffer?
    private var tunnel: Tunnel?
    private var hasDialed = false
    private let limit: MonotonicTime

    init(connection: DownstreamConnection, destination: OriginalDestination) {
        self.destination = destination
        limit = connection.loop.now.advanced(
            byNanoseconds: connection.worker.settings.detection.timeout.nanoseconds
        )
        super.init(connection: connection)
    }

    override var isIdle: Bool { false }

    override func begin() {
        let silence = connection.loop.now.advanced(byNanoseconds: Self.silenceNanoseconds)
        connection.setDeadline(at: min(silence, limit))
    }

    override func received(_ bytes: Span<UInt8>) {
        let buffer = held ?? connection.loop.takeBuffer()
        held = buffer
        buffer.append(bytes)
        switch detector.take(bytes) {
        case .undecided: connection.setDeadline(at: limit)
        case .http1: becomeHTTP(.http1, "http1")
        case .http2: becomeHTTP(.http2, "http2")
        case .opaque: becomeTunnel("opaque")
        }
    }

    /// Silent to the end, or a word too short to tell.
    override func ended() {
        becomeTunnel("opaque")
        connection.driverEnded()
    }

    override func deadlinePassed() {
        guard held == nil, !hasDialed, connection.loop.now < limit else {
            return becomeTunnel("timeout")
        }
        hasDialed = true
        connection.setDeadline(at: limit)
        let made = Tunnel(
            connection: connection,
            destination: .original(destination),
            detection: "server_first",
            tentativeFor: self
        )
        tunnel = made
        made.begin()
    }

    override func closed() {
        tunnel?.drop()
        tunnel = nil
        releaseHeld()
    }

    // MARK: From the tunnel

    /// The server's bytes came before the caller's.
    func serverSpoke(_ bytes: Span<UInt8>) {
        if !ProtocolDetector.isHTTPServer(bytes) {
            worker.learned.learn(destination.address, now: connection.loop.now)
        }
        becomeTunnel("server_first")
    }

    /// It could not be made; whoever still speaks opaquely will be told then.
    func tunnelLost() { tunnel = nil }

    // MARK: Internals

    private func becomeHTTP(_ spoken: WireProtocol, _ label: StaticString) {
        worker.metrics.add(.detections, connection.direction, label: label)
        tunnel?.drop()
        tunnel = nil
        let held = held
        self.held = nil
        connection.becomeIdle()
        guard let held else { return connection.become(spoken, with: Span()) }
        held.withSpan { connection.become(spoken, with: $0) }
        connection.loop.giveBuffer(held)
    }

    private func becomeTunnel(_ label: StaticString) {
        worker.metrics.add(.detections, connection.direction, label: label)
        let made =
            tunnel
            ?? Tunnel(
                connection: connection,
                destination: .original(destination),
                detection: label
            )
        let isNew = tunnel == nil
        tunnel = nil
        let held = held
        self.held = nil
        connection.install(made)
        if isNew { made.begin() } else { made.commit(label) }
        guard let held else { return }
        if !connection.isClosing { held.withSpan { made.received($0) } }
        connection.loop.giveBuffer(held)
    }

    private func releaseHeld() {
        if let held { connection.loop.giveBuffer(held) }
        held = nil
    }
}
