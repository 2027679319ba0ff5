// A connection with or without TLS: plaintext in, plaintext out.
//
// Plaintext written during a turn is collected and sealed once when the turn ends, so that head and
// body of a small message share one record and one send.

import Bytes
import MeshModel
import Reactor
import TLS
import Telemetry

/// The common part of downstream and upstream connections.
///
/// Confined to its worker.
class TransportConnection: Connection {
    let worker: Worker
    private var tls: TLSConnection?
    private var unsealed: ByteBuffer?
    private var tlsPeerClosed = false
    private(set) var isSecured = false

    /// For a connection that will be dialed; `tls` starts its handshake once connected.
    init(worker: Worker, tls: TLSConnection?) {
        self.worker = worker
        self.tls = tls
        super.init(loop: worker.loop)
    }

    /// For an accepted connection; `tls` waits for the peer's hello.
    init(
        worker: Worker,
        accepted: consuming AcceptedSocket,
        tls: TLSConnection?
    ) throws(ReactorError) {
        self.worker = worker
        self.tls = tls
        try super.init(loop: worker.loop, accepted: accepted)
    }

    // MARK: What subclasses override

    /// The transport is ready for plaintext: connected, and secured if it is to be.
    func onReadyForData() {}
    /// Plaintext arrived; lent during the call.
    func onPlaintext(_ bytes: Span<UInt8>) {}
    /// The peer sends no more.
    ///
    /// `isTruncated`: a TLS connection ended without saying so.
    func onPlaintextEnd(isTruncated: Bool) {}
    /// For metrics.
    var side: Direction { preconditionFailure("side must be overridden") }
    /// Whether a silent peer is asked for life while nothing runs.
    var asksWhenIdle: Bool { false }
    /// TLS failed; the connection closes by itself.
    func onTLSFailure(_ error: TLSError) {}

    // MARK: State

    /// Whether it uses TLS.
    var usesTLS: Bool { tls != nil }
    /// The peer's verified identity; nil without TLS or before the handshake ends.
    var peerIdentity: SPIFFEID? { tls?.peerIdentity }
    /// What TLS agreed on; nil without TLS.
    var applicationProtocol: ApplicationProtocol? { tls?.negotiated }
    /// Whether the handshake resumed an earlier session.
    var wasResumed: Bool { tls?.wasResumed ?? false }

    // MARK: Writing

    /// Where plaintext that leaves at the end of the turn is made in place.
    func writeBuffer() -> ByteBuffer {
        guard tls != nil else { return outputBuffer() }
        queueFlush()
        if let unsealed { return unsealed }
        let buffer = loop.takeBuffer()
        unsealed = buffer
        return buffer
    }

    /// Writes plaintext; large pieces are sealed or sent from the lender's memory at once.
    func write(_ bytes: Span<UInt8>) {
        guard let tls else { return send(bytes) }
        guard bytes.count >= ReactorLimits.directSendBytesMin else {
            return writeBuffer().append(bytes)
        }
        guard isOpen else { return }
        sealCollected()
        seal(bytes, tls)
    }

    /// Closes after everything written has been sent.
    func finish() {
        if let tls, isSecured, isOpen {
            sealCollected()
            tls.shutdown(output: outputBuffer())
        }
        close()
    }

    /// Says that nothing more is written, after everything that was; receiving goes on.
    func finishOutput() {
        if let tls, isSecured, isOpen {
            sealCollected()
            tls.shutdown(output: outputBuffer())
        }
        endOutput()
    }

    // MARK: Connection callbacks

    override func onConnected() {
        guard let tls else { return onReadyForData() }
        if let failure = tls.start(output: outputBuffer()).failure {
            onTLSFailure(failure)
            close()
        }
    }

    override func onData(_ bytes: Span<UInt8>) {
        guard let tls else { return onPlaintext(bytes) }
        let plaintext = worker.plaintext
        precondition(plaintext.isEmpty, "decrypting inside a plaintext callback")
        let progress = tls.receive(bytes, plaintext: plaintext, output: outputBuffer())
        if progress.justEstablished {
            isSecured = true
            onReadyForData()
        }
        if !plaintext.isEmpty, !isClosing { plaintext.withSpan { onPlaintext($0) } }
        plaintext.clear()
        if let failure = progress.failure {
            onTLSFailure(failure)
            close()
        } else if progress.peerClosed, !tlsPeerClosed {
            tlsPeerClosed = true
            if !isClosing { onPlaintextEnd(isTruncated: false) }
        }
    }

    override func onEnd() {
        guard !tlsPeerClosed else { return }
        onPlaintextEnd(isTruncated: tls != nil)
    }

    override func willFlush() { sealCollected() }

    override func onClosed(_ reason: CloseReason) {
        if let unsealed { loop.giveBuffer(unsealed) }
        unsealed = nil
    }

    // MARK: Internals

    private func sealCollected() {
        guard let buffer = unsealed, let tls else { return }
        unsealed = nil
        if !buffer.isEmpty { buffer.withSpan { seal($0, tls) } }
        loop.giveBuffer(buffer)
    }

    private func seal(_ bytes: Span<UInt8>, _ tls: TLSConnection) {
        do {
            try tls.send(bytes, output: outputBuffer())
        } catch {
            onTLSFailure(error)
            abort()
        }
    }
}
