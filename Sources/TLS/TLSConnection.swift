// One TLS connection as a codec: ciphertext in, plaintext out, and the peer's SPIFFE ID once.
//
// It owns no socket and keeps no bytes of its own beyond what OpenSSL needs of a partial record.
//
// Invariants:
// - `peerIdentity` is nil until the handshake is complete and never changes afterwards;
// - no plaintext is delivered before the peer was verified;
// - after a failure nothing is read or written any more; the failure is kept and repeated;
// - bytes from the peer never trap.

public import Bytes
internal import COpenSSL
public import MeshModel

/// What one call brought.
public struct TLSProgress {
    /// Whether the handshake is complete, so that `send` may be called.
    public let isEstablished: Bool
    /// Whether this call completed it.
    public let justEstablished: Bool
    /// Whether the peer said that it will send nothing more (close_notify).
    public let peerClosed: Bool
    /// Why the connection is dead; send what is in `output` (an alert), then close.
    public let failure: TLSError?
}

/// A TLS connection over lent buffers.
///
/// Worker-confined, like its context.
public final class TLSConnection {
    private enum Phase {
        case idle, handshaking, established, shutDown, failed
    }

    private let context: TLSContext
    let applicationProtocols: ALPNSet
    private let expectedPeers: [SPIFFEID]
    private let endpoint: SocketAddress?
    private let ssl: OpaquePointer
    private let lent: UnsafeMutablePointer<LentMemory>
    private var phase: Phase
    private var peerHasClosed = false
    private var failure: TLSError?
    /// What OpenSSL wrote on its own account since the handshake.
    private var answerBytes = 0
    /// Found by the verification callback of a full handshake.
    private var verified: VerifiedPeer?
    /// Found in the ticket or session that a resumption was offered with; counts only when OpenSSL
    /// then did resume.
    private var offered: VerifiedPeer?
    private var peer: VerifiedPeer?

    /// Makes a connection that has not said anything yet.
    ///
    /// - Parameters:
    ///   - applicationProtocols: What a client offers or a server accepts. When there are any, a
    ///     peer that agrees on none is refused.
    ///   - expectedPeers: Who the peer may be. A client must name at least one; for a server none
    ///     means any workload of the trust domain.
    ///   - endpoint: A client's key for resuming sessions; nil never resumes.
    public init(
        context: TLSContext,
        applicationProtocols: ALPNSet,
        expectedPeers: [SPIFFEID] = [],
        endpoint: SocketAddress? = nil
    ) throws(TLSError) {
        precondition(
            context.role == .server || !expectedPeers.isEmpty,
            "a client must know whom it means to reach"
        )
        guard let ssl = context.makeConnectionHandle() else {
            throw OpenSSL.failure("making a connection")
        }
        self.context = context
        self.applicationProtocols = applicationProtocols
        self.expectedPeers = expectedPeers
        self.endpoint = endpoint
        self.ssl = ssl
        phase = context.role == .server ? .handshaking : .idle
        lent = UnsafeMutablePointer<LentMemory>.allocate(capacity: 1)
        lent.initialize(to: LentMemory())
        guard let bio = BufferBIO.make(over: lent) else {
            throw OpenSSL.failure("making a BIO")
        }
        // One BIO for both directions: a single reference passes to the connection.
        SSL_set_bio(ssl, bio, bio)
        SSL_set_ex_data(ssl, 0, Unmanaged.passUnretained(self).toOpaque())
        switch context.role {
        case .server: SSL_set_accept_state(ssl)
        case .client:
            SSL_set_connect_state(ssl)
            try offerApplicationProtocols()
        }
    }

    private func offerApplicationProtocols() throws(TLSError) {
        guard !applicationProtocols.isEmpty else { return }
        let list = applicationProtocols.wireList
        // This one function returns 0 for success.
        guard SSL_set_alpn_protos(ssl, list, UInt32(list.count)) == 0 else {
            throw OpenSSL.failure("setting the application protocols")
        }
    }

    deinit {
        // OpenSSL forbids resuming a session whose connection ended without close_notify, a rule of
        // TLS 1.0. In a mesh, where peers are restarted and connections reset, it would void most
        // tickets; truncation is detected per connection. A failed connection keeps the rule.
        if phase != .failed { SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN) }
        SSL_free(ssl)
        lent.deallocate()
    }

    /// The peer's SPIFFE ID; nil before the handshake is complete.
    public var peerIdentity: SPIFFEID? { peer?.identity }

    /// End of validity of the peer's certificate, UNIX seconds.
    public var peerCertificateNotAfter: Int64? { peer?.notAfter }

    /// Whether the handshake was a resumption.
    public var wasResumed: Bool { peer != nil && SSL_session_reused(ssl) == 1 }

    /// Whether OpenSSL no longer keeps a session, and so no certificates of the peer, for it alone.
    var hasDroppedSession: Bool { RestingContext.isSession(SSL_get_session(ssl)) }

    /// Whether `send` may be called.
    public var isEstablished: Bool { phase == .established }

    /// The application protocol agreed on; nil before the handshake is complete, or when none was
    /// to be.
    public private(set) var negotiated: ApplicationProtocol?

    /// Starts a client's handshake: appends the first flight to `output`.
    public func start(output: ByteBuffer) -> TLSProgress {
        precondition(context.role == .client && phase == .idle)
        phase = .handshaking
        offerSession()
        return withLent(UnsafeRawBufferPointer(start: nil, count: 0), output) {
            progress(justEstablished: shakeHands())
        }
    }

    /// Takes in all of `ciphertext`.
    ///
    /// - Parameters:
    ///   - plaintext: Decrypted bytes are appended here; scratch of at least
    ///     `TLSLimits.recordPlaintextBytes` free does not grow.
    ///   - output: The connection's outgoing bytes: handshake messages, tickets, alerts are appended
    ///     here. Send them also when the result is a failure.
    public func receive(
        _ ciphertext: Span<UInt8>,
        plaintext: ByteBuffer,
        output: ByteBuffer
    ) -> TLSProgress {
        precondition(phase != .idle, "start() comes first")
        guard phase != .failed, !peerHasClosed else { return progress() }
        let isAfterHandshake = phase != .handshaking
        let outputBefore = output.count
        return ciphertext.withUnsafeBytes { raw in
            withLent(raw, output) {
                let justEstablished = phase == .handshaking && shakeHands()
                if phase == .established || phase == .shutDown { decrypt(into: plaintext) }
                if isAfterHandshake { boundAnswers(output.count - outputBefore) }
                return progress(justEstablished: justEstablished)
            }
        }
    }

    /// After the handshake OpenSSL answers one thing by itself: KeyUpdate with KeyUpdate (RFC 8446
    /// §4.6.3), as often as the peer asks.
    ///
    /// One that asks without end and reads no answer would fill our memory, where no back-pressure
    /// of the layers above sees it.
    private func boundAnswers(_ bytes: Int) {
        answerBytes += bytes
        guard answerBytes > TLSLimits.answerBytesMax, phase != .failed else { return }
        fail(.protocolError(reason: "too many key updates"))
    }

    /// The transport ended: fine after close_notify, `truncated` otherwise.
    public func receiveEnd() -> TLSProgress {
        if phase != .failed && !peerHasClosed { fail(.truncated) }
        return progress()
    }

    /// Encrypts all of `plaintext`, as records of at most 16 KiB, onto the end of `output`.
    public func send(_ plaintext: Span<UInt8>, output: ByteBuffer) throws(TLSError) {
        guard phase == .established else { throw failure ?? .closed }
        guard !plaintext.isEmpty else { return }
        let sent = plaintext.withUnsafeBytes { raw in
            withLent(UnsafeRawBufferPointer(start: nil, count: 0), output) {
                var written = 0
                return SSL_write_ex(ssl, raw.baseAddress, raw.count, &written) == 1
                    && written == raw.count
            }
        }
        guard !sent else { return }
        // The BIO takes everything, so only OpenSSL itself can have failed.
        let error = OpenSSL.failure("encrypting")
        fail(error)
        throw error
    }

    /// Appends close_notify to `output`; nothing may be sent afterwards, receiving goes on.
    public func shutdown(output: ByteBuffer) {
        guard phase == .established else { return }
        phase = .shutDown
        withLent(UnsafeRawBufferPointer(start: nil, count: 0), output) {
            if SSL_shutdown(ssl) < 0 { ERR_clear_error() }
        }
    }

    // MARK: Driving OpenSSL

    /// Lends memory to the BIO while `body` runs.
    @inline(__always)
    private func withLent<R>(
        _ input: UnsafeRawBufferPointer,
        _ output: ByteBuffer,
        _ body: () -> R
    ) -> R {
        lent.pointee = LentMemory(
            input: input.baseAddress,
            inputCount: input.count,
            output: Unmanaged.passUnretained(output)
        )
        defer { lent.pointee = LentMemory() }
        return withExtendedLifetime(output, body)
    }

    private func progress(justEstablished: Bool = false) -> TLSProgress {
        TLSProgress(
            isEstablished: phase == .established,
            justEstablished: justEstablished,
            peerClosed: peerHasClosed,
            failure: failure
        )
    }

    /// Goes on with the handshake; true when this completed it.
    private func shakeHands() -> Bool {
        let result = SSL_do_handshake(ssl)
        guard result == 1 else {
            switch SSL_get_error(ssl, result) {
            case SSL_ERROR_WANT_READ: break
            case SSL_ERROR_ZERO_RETURN:
                fail(.peerAlert(description: "close_notify during the handshake"))
            default: fail(handshakeError())
            }
            return false
        }
        guard let found = SSL_session_reused(ssl) == 1 ? offered : verified else {
            // No path through OpenSSL gets here without one of the callbacks; if one ever does,
            // the peer is unverified and must not be served.
            fail(.peerCertificateMissing)
            return false
        }
        // OpenSSL neither refuses a peer that knows no ALPN nor looks whether a server's choice was
        // offered to it. Doing so keeps another protocol's bytes from being taken for ours (the
        // ALPACA attack).
        if !applicationProtocols.isEmpty {
            guard let agreed = selectedProtocol(), applicationProtocols.contains(agreed) else {
                fail(.applicationProtocolMismatch)
                return false
            }
            negotiated = agreed
        }
        peer = found
        if context.role == .server { RestingContext.dropSession(of: ssl) }
        verified = nil
        offered = nil
        phase = .established
        return true
    }

    private func selectedProtocol() -> ApplicationProtocol? {
        var name: UnsafePointer<UInt8>?
        var count: UInt32 = 0
        SSL_get0_alpn_selected(ssl, &name, &count)
        return ApplicationProtocol(name: UnsafeBufferPointer(start: name, count: Int(count)))
    }

    private func decrypt(into plaintext: ByteBuffer) {
        // Asking for more when neither the lent span nor OpenSSL holds a byte would only cost an
        // empty read per call.
        while lent.pointee.inputCount > 0 || SSL_has_pending(ssl) == 1 {
            let read = plaintext.appendUnsafe(minimum: TLSLimits.recordPlaintextBytes) { free in
                var count = 0
                return SSL_read_ex(ssl, free.baseAddress, free.count, &count) == 1 ? count : 0
            }
            if read > 0 { continue }
            switch SSL_get_error(ssl, 0) {
            case SSL_ERROR_WANT_READ: assert(lent.pointee.inputCount == 0)
            case SSL_ERROR_ZERO_RETURN: peerHasClosed = true
            default: fail(protocolError())
            }
            return
        }
    }

    private func fail(_ error: TLSError) {
        assert(phase != .failed)
        phase = .failed
        failure = error
    }

    /// The verification's own finding first: OpenSSL only says "certificate verify failed".
    private func handshakeError() -> TLSError {
        let error = protocolError()
        return verificationFailure ?? error
    }

    private var verificationFailure: TLSError?

    private func protocolError() -> TLSError {
        let (code, reason) = OpenSSL.drainErrors()
        guard code != 0, ERR_GET_LIB(code) == ERR_LIB_SSL else {
            return .protocolError(reason: reason)
        }
        switch ERR_GET_REASON(code) {
        case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE: return .peerCertificateMissing
        case SSL_R_UNSUPPORTED_PROTOCOL, SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
            return .versionMismatch
        case SSL_R_NO_APPLICATION_PROTOCOL, SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL:
            return .applicationProtocolMismatch
        case SSL_AD_REASON_OFFSET...(SSL_AD_REASON_OFFSET + 255):
            return .peerAlert(description: reason)
        default: return .protocolError(reason: reason)
        }
    }
}

// MARK: Callbacks

extension TLSConnection {
    /// The connection a handle belongs to; it owns the handle, so it is alive.
    static func owning(_ ssl: OpaquePointer) -> TLSConnection? {
        guard let pointer = SSL_get_ex_data(ssl, 0) else { return nil }
        return Unmanaged<TLSConnection>.fromOpaque(pointer).takeUnretainedValue()
    }

    /// The connection whose peer is being verified.
    static func verifying(_ store: OpaquePointer) -> TLSConnection? {
        let index = SSL_get_ex_data_X509_STORE_CTX_idx()
        guard let ssl = X509_STORE_CTX_get_ex_data(store, index) else { return nil }
        return owning(OpaquePointer(ssl))
    }

    /// Verifies the peer of a full handshake.
    func verify(_ store: OpaquePointer) -> Bool {
        switch VerifiedPeer.verify(
            store,
            trustDomain: context.trustDomain,
            expected: expectedPeers
        )
        {
        case .success(let found):
            verified = found
            return true
        case .failure(let error):
            verificationFailure = error
            return false
        }
    }

    /// Puts what was proved about the client into the ticket about to be made.
    func sealTicket() -> Bool {
        let resumed = SSL_session_reused(ssl) == 1
        guard let proved = resumed ? offered ?? peer : verified ?? peer,
            let now = OpenSSL.unixSeconds(nil)
        else { return false }
        RestingContext.stripSession(of: ssl)
        guard let session = SSL_get_session(ssl) else { return false }
        let bytes = proved.ticketBytes
        // The lifetime also goes to the client as a hint, so that it does not offer in vain.
        SSL_SESSION_set_timeout(session, Int(max(1, proved.resumableUntil - now)))
        return SSL_SESSION_set1_ticket_appdata(session, bytes, bytes.count) == 1
    }

    /// Whether a decrypted ticket still stands for a client that would be accepted now.
    func acceptTicket(of session: OpaquePointer) -> Bool {
        var start: UnsafeMutableRawPointer?
        var count = 0
        guard SSL_SESSION_get0_ticket_appdata(session, &start, &count) == 1, let start,
            let found = VerifiedPeer(
                ticketBytes: UnsafeRawBufferPointer(start: start, count: count)
            ),
            let now = OpenSSL.unixSeconds(nil), now < found.resumableUntil,
            found.identity.trustDomain == context.trustDomain,
            expectedPeers.isEmpty || expectedPeers.contains(found.identity)
        else { return false }
        offered = found
        return true
    }

    /// Keeps a session that the server offers; true when the reference was taken over.
    func keepSession(_ session: OpaquePointer) -> Bool {
        guard let endpoint, let found = peer ?? verified ?? offered,
            let now = OpenSSL.unixSeconds(nil), now < found.resumableUntil
        else { return false }
        context.sessions.store(
            SessionCache.Session(owning: session, peer: found),
            for: endpoint,
            now: now
        )
        return true
    }

    private func offerSession() {
        guard let endpoint, let now = OpenSSL.unixSeconds(nil),
            let session = context.sessions.take(
                for: endpoint,
                expected: expectedPeers,
                now: now
            ),
            session.offer(on: ssl)
        else { return }
        offered = session.peer
    }
}
