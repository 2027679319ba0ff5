// What the connections of one worker share: our identity, whom we trust, and sessions to resume.
//
// A context is immutable. When a certificate or the trust bundle changes, a new one is built (some
// hundred µs) and new connections use it; open connections keep theirs alive.
//
// Resumption and identity. A ticket must not outlive what it stands for. Therefore:
// - the session id context is a hash of the trust bundle, the trust domain and our own ID; OpenSSL
//   compares it inside the authenticated ticket. A ticket made under another bundle is not accepted,
//   so an accepted one stands for a chain verified against exactly the present bundle;
// - the one thing that can change under the same bundle is the time: a ticket carries the earliest
//   notAfter of the verified chain, capped at an hour after the handshake that proved the key, and
//   is ignored (full handshake) afterwards. Repeated resumption inherits the bound, never extends it;
// - a ticket carries the SPIFFE ID found then, and the expected peers are checked again;
// - no early data: a replayed request is worse than a saved round trip.

internal import Bytes
internal import COpenSSL
public import MeshModel

/// Credentials, trust and sessions shared by the connections of one worker in one role.
///
/// Worker-confined.
public final class TLSContext {
    let role: TLSRole
    let trustDomain: TrustDomain
    let sessions = SessionCache()
    private let handle: OpaquePointer

    /// Builds a context.
    ///
    /// - Parameters:
    ///   - identity: Who we are. A client may have none yet, to enrol for one.
    ///   - trustBundle: PEM certificates of the trust domain's authorities; nothing else is trusted.
    public init(
        role: TLSRole,
        identity: TLSIdentity?,
        trustBundle: [String],
        trustDomain: TrustDomain,
        settings: TLSSettings = TLSSettings()
    ) throws(TLSError) {
        precondition(OpenSSL.isReady)
        let method = role == .server ? TLS_server_method() : TLS_client_method()
        guard let handle = SSL_CTX_new(method) else { throw OpenSSL.failure("making a context") }
        self.handle = handle
        self.role = role
        self.trustDomain = trustDomain

        try setProtocol(settings)
        if let identity {
            try use(identity)
        } else if role == .server {
            throw .invalidCredentials(reason: "a server needs a certificate")
        }
        let anchors = try trust(trustBundle)
        try setSessions(settings, anchors: anchors, identity: identity)
        if role == .server { chooseApplicationProtocols() }
    }

    deinit { SSL_CTX_free(handle) }

    func makeConnectionHandle() -> OpaquePointer? { SSL_new(handle) }

    private func setProtocol(_ settings: TLSSettings) throws(TLSError) {
        let version = settings.minimumVersion == .tls12 ? TLS1_2_VERSION : TLS1_3_VERSION
        // AES-128-GCM first: 3 µs per request cheaper than AES-256 and as safe here.
        let suites = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
        let oldSuites =
            "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
            + "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384"
        guard mesh_SSL_CTX_set_min_proto_version(handle, version) == 1,
            SSL_CTX_set_ciphersuites(handle, suites) == 1,
            SSL_CTX_set_cipher_list(handle, oldSuites) == 1,
            mesh_SSL_CTX_set1_groups_list(handle, "X25519:P-256") == 1
        else { throw OpenSSL.failure("setting the protocol") }
        SSL_CTX_set_security_level(handle, 2)
        let options =
            mesh_SSL_OP_NO_RENEGOTIATION | mesh_SSL_OP_NO_COMPRESSION
            | mesh_SSL_OP_CIPHER_SERVER_PREFERENCE
        SSL_CTX_set_options(handle, options)
        // A missing close_notify must show, or an attacker could cut a response short.
        SSL_CTX_clear_options(handle, mesh_SSL_OP_IGNORE_UNEXPECTED_EOF)
        // RELEASE_BUFFERS: an idle connection holds no 16 KiB buffers. NO_AUTO_CHAIN: send what the
        // identity holds, never certificates picked from the trust bundle. The modes for partial
        // and moving writes are of no use here: a BIO that takes everything never interrupts one.
        let modes = Int(SSL_MODE_RELEASE_BUFFERS) | Int(SSL_MODE_NO_AUTO_CHAIN)
        _ = mesh_SSL_CTX_set_mode(handle, modes)
        mesh_SSL_CTX_set_read_ahead(handle, 1)
        mesh_SSL_CTX_set_max_cert_list(handle, TLSLimits.peerChainBytesMax)
    }

    private func use(_ identity: TLSIdentity) throws(TLSError) {
        guard identity.spiffeID.trustDomain == trustDomain else {
            throw .invalidCredentials(
                reason: "\(identity.spiffeID) is outside the trust domain \(trustDomain)"
            )
        }
        let chain = try X509Certificate.chain(pem: identity.certificateChainPEM)
        let key = try PrivateKey(pem: identity.privateKeyPEM)
        var accepted = chain[0].withHandle { SSL_CTX_use_certificate(handle, $0) == 1 }
        for intermediate in chain.dropFirst() {
            accepted =
                intermediate.withHandle { mesh_SSL_CTX_add1_chain_cert(handle, $0) == 1 }
                && accepted
        }
        accepted = key.withHandle { SSL_CTX_use_PrivateKey(handle, $0) == 1 } && accepted
        guard accepted, SSL_CTX_check_private_key(handle) == 1 else {
            throw .invalidCredentials(reason: OpenSSL.drainErrors().reason)
        }
    }

    /// Makes the bundle all we trust; returns the digests of its certificates.
    private func trust(_ bundle: [String]) throws(TLSError) -> [[UInt8]] {
        guard let store = X509_STORE_new() else { throw OpenSSL.failure("making a trust store") }
        SSL_CTX_set_cert_store(handle, store)
        var digests: [[UInt8]] = []
        for pem in bundle {
            for anchor in try X509Certificate.chain(pem: pem) {
                guard anchor.withHandle({ X509_check_ca($0) }) == 1 else {
                    throw .invalidCredentials(
                        reason: "the trust bundle holds a certificate that is not an authority's"
                    )
                }
                guard anchor.withHandle({ X509_STORE_add_cert(store, $0) }) == 1 else {
                    throw OpenSSL.failure("filling the trust store")
                }
                digests.append(anchor.withHandle { Self.digest(of: $0) })
            }
        }
        guard !digests.isEmpty else {
            throw .invalidCredentials(reason: "the trust bundle is empty")
        }
        let required = role == .server ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0
        SSL_CTX_set_verify(handle, SSL_VERIFY_PEER | required, nil)
        SSL_CTX_set_verify_depth(handle, Int32(TLSLimits.chainDepthMax))
        SSL_CTX_set_cert_verify_callback(
            handle,
            { store, _ in
                guard let store, let connection = TLSConnection.verifying(store) else { return 0 }
                return connection.verify(store) ? 1 : 0
            },
            nil
        )
        return digests
    }

    private func setSessions(
        _ settings: TLSSettings,
        anchors: [[UInt8]],
        identity: TLSIdentity?
    ) throws(TLSError) {
        var bound = Array(trustDomain.name.utf8) + [0]
        bound += Array((identity?.spiffeID.description ?? "").utf8) + [0]
        for digest in anchors.sorted(by: { $0.lexicographicallyPrecedes($1) }) { bound += digest }
        var sessionContext = [UInt8](repeating: 0, count: Int(SSL_MAX_SID_CTX_LENGTH))
        var keys = settings.ticketKeys.bytes
        guard EVP_Digest(bound, bound.count, &sessionContext, nil, EVP_sha256(), nil) == 1,
            SSL_CTX_set_session_id_context(
                handle,
                sessionContext,
                UInt32(sessionContext.count)
            ) == 1,
            mesh_SSL_CTX_set_tlsext_ticket_keys(handle, &keys, keys.count) == 1,
            SSL_CTX_set_num_tickets(handle, TLSLimits.ticketsPerHandshake) == 1
        else { throw OpenSSL.failure("setting up sessions") }
        SSL_CTX_set_timeout(handle, Int(TLSLimits.resumptionSecondsMax))
        switch role {
        case .server:
            // Tickets only: a server-side cache would be memory per client.
            mesh_SSL_CTX_set_session_cache_mode(handle, Int(SSL_SESS_CACHE_OFF))
            SSL_CTX_set_session_ticket_cb(
                handle,
                { ssl, _ in
                    guard let ssl, let connection = TLSConnection.owning(ssl) else { return 0 }
                    return connection.sealTicket() ? 1 : 0
                },
                { ssl, session, _, _, status, _ in
                    guard let ssl, let session, let connection = TLSConnection.owning(ssl),
                        status == SSL_TICKET_SUCCESS || status == SSL_TICKET_SUCCESS_RENEW,
                        connection.acceptTicket(of: session)
                    else { return SSL_TICKET_RETURN_IGNORE_RENEW }
                    return SSL_TICKET_RETURN_USE_RENEW
                },
                nil
            )
        case .client:
            mesh_SSL_CTX_set_session_cache_mode(
                handle,
                Int(SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL)
            )
            SSL_CTX_sess_set_new_cb(handle) { ssl, session in
                guard let ssl, let session, let connection = TLSConnection.owning(ssl) else {
                    return 0
                }
                return connection.keepSession(session) ? 1 : 0
            }
        }
    }

    /// Leaves the choice to the connection, which knows what it accepts.
    private func chooseApplicationProtocols() {
        SSL_CTX_set_alpn_select_cb(
            handle,
            { ssl, chosen, chosenCount, offered, offeredCount, _ in
                guard let ssl, let chosen, let chosenCount, let offered,
                    let connection = TLSConnection.owning(ssl)
                else { return SSL_TLSEXT_ERR_ALERT_FATAL }
                guard !connection.applicationProtocols.isEmpty else { return SSL_TLSEXT_ERR_NOACK }
                let list = UnsafeBufferPointer(start: offered, count: Int(offeredCount))
                guard let range = connection.applicationProtocols.choose(among: list) else {
                    return SSL_TLSEXT_ERR_ALERT_FATAL
                }
                // The answer may point into the client's list, which outlives the callback.
                chosen.pointee = offered + range.lowerBound
                chosenCount.pointee = UInt8(range.count)
                return SSL_TLSEXT_ERR_OK
            },
            nil
        )
    }

    private static func digest(of certificate: OpaquePointer) -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
        var count: UInt32 = 0
        let made = X509_digest(certificate, EVP_sha256(), &digest, &count)
        precondition(made == 1)
        return Array(digest.prefix(Int(count)))
    }
}
