import Bytes
import MeshModel
import Reactor
import TLS

/// A raw end of a connection, plain or TLS: the test writes bytes and reads what came.
final class Peer: Connection {
    private let tls: TLSConnection?
    private(set) var received: [UInt8] = []
    private(set) var receivedCount = 0
    private(set) var isReady = false
    private(set) var hasEnded = false
    private(set) var closed: CloseReason?
    private(set) var tlsFailure: TLSError?
    /// Closes as soon as its first flight of the handshake is out.
    var closesAfterFirstFlight = false
    /// Takes received bytes instead of `received`.
    var onBytes: ((Span<UInt8>) -> Void)?
    /// Runs after every delivery, with everything received so far.
    var onReceived: ((Peer) -> Void)?
    var onDrained: ((Peer) -> Void)?
    var onEnded: ((Peer) -> Void)?

    init(loop: EventLoop, tls: TLSConnection? = nil) {
        self.tls = tls
        super.init(loop: loop)
    }

    init(
        loop: EventLoop,
        accepted: consuming AcceptedSocket,
        tls: TLSConnection?
    ) throws(ReactorError) {
        self.tls = tls
        try super.init(loop: loop, accepted: accepted)
        isReady = tls == nil
    }

    var text: String { String(decoding: received, as: UTF8.self) }
    /// Nothing more will come.
    var isOver: Bool { hasEnded || closed != nil }
    var identity: SPIFFEID? { tls?.peerIdentity }
    var resumed: Bool { tls?.wasResumed ?? false }

    func write(_ text: String) { write(Array(text.utf8)) }

    func write(_ bytes: [UInt8]) {
        guard let tls else { return send(bytes.span) }
        do {
            try tls.send(bytes.span, output: outputBuffer())
        } catch {
            tlsFailure = tlsFailure ?? error
        }
    }

    /// Says close_notify in the same flight as what was written, then closes.
    func finish() {
        if let tls, tls.isEstablished { tls.shutdown(output: outputBuffer()) }
        close()
    }

    func forget() {
        received.removeAll(keepingCapacity: true)
        receivedCount = 0
    }

    override func onConnected() {
        guard let tls else {
            isReady = true
            return
        }
        _ = tls.start(output: outputBuffer())
    }

    override func onData(_ bytes: Span<UInt8>) {
        guard let tls else { return take(bytes) }
        let plaintext = ByteBuffer()
        let progress = tls.receive(bytes, plaintext: plaintext, output: outputBuffer())
        if progress.justEstablished { isReady = true }
        if closesAfterFirstFlight { close() }
        if !plaintext.isEmpty { plaintext.withSpan { take($0) } }
        if let failure = progress.failure {
            tlsFailure = failure
            close()
        } else if progress.peerClosed {
            end()
        }
    }

    override func onRelieved() { onDrained?(self) }
    override func onEnd() { end() }
    override func onClosed(_ reason: CloseReason) { closed = reason }

    private func take(_ bytes: Span<UInt8>) {
        receivedCount += bytes.count
        if let onBytes { onBytes(bytes) } else { received += bytes.array }
        onReceived?(self)
    }

    private func end() {
        guard !hasEnded else { return }
        hasEnded = true
        onEnded?(self)
    }
}

/// A scripted server: keeps what it accepts and does nothing by itself.
final class Application: Listener {
    private(set) var connections: [Peer] = []
    var serverTLS: TLSContext?
    var protocols: ALPNSet = .http1
    var onConnection: ((Peer) -> Void)?

    override func onAccept(_ socket: consuming AcceptedSocket) {
        do {
            let protocols = protocols
            let tls = try serverTLS.map { context throws(TLSError) in
                try TLSConnection(context: context, applicationProtocols: protocols)
            }
            let peer = try Peer(loop: loop, accepted: socket, tls: tls)
            connections.append(peer)
            onConnection?(peer)
        } catch {
            fatalError("cannot accept: \(error)")
        }
    }

    var socketAddress: SocketAddress { .loopback(port: address.port) }

    /// Answers each head at once; for requests without body.
    func answerEach(with response: String) {
        onConnection = { peer in
            peer.onReceived = { peer in
                guard peer.text.hasSuffix("\r\n\r\n") else { return }
                peer.forget()
                peer.write(response)
            }
        }
    }
}
