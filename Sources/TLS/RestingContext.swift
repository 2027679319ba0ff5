// What lets an established connection give back its session.
//
// OpenSSL keeps for the life of a connection the session that its handshake made, and with it the
// peer's certificates: 12 of 27 KiB. `SSL_set_session` replaces it, but on a connection whose method is
// not its context's it also starts the connection anew. A version-flexible context is such a case: its
// connections change to the method of the version they agree on, and OpenSSL exports none for TLS 1.3.
// So a connection first moves to a context that has this method and holds nothing else.
//
// Invariants:
// - the session is replaced only where the method of connection and context are the same;
// - nobody handshakes with the resting context: it has no certificate.

internal import COpenSSL

/// The context and the session shared by all server connections that need none of their own.
enum RestingContext {
    private struct Shared {
        let context: OpaquePointer
        let session: OpaquePointer
    }

    /// Made once, never changed afterwards and never freed; nil where OpenSSL is not as expected,
    /// and then connections keep what they have.
    nonisolated(unsafe) private static let shared: Shared? = {
        guard let method = methodOfTLS13Server(), let context = SSL_CTX_new(method),
            let session = SSL_SESSION_new()
        else {
            ERR_clear_error()
            return nil
        }
        mesh_SSL_CTX_set_session_cache_mode(context, Int(SSL_SESS_CACHE_OFF))
        return Shared(context: context, session: session)
    }()

    /// Whether it is the shared session.
    static func isSession(_ session: OpaquePointer?) -> Bool {
        session != nil && session == shared?.session
    }

    /// Moves a TLS 1.3 server connection here, after which its session may be replaced.
    private static func adopt(_ ssl: OpaquePointer) -> Bool {
        guard let shared, let method = SSL_get_ssl_method(ssl),
            SSL_CTX_get_ssl_method(shared.context) == method,
            // A length of records that the peer asked for (RFC 6066 §4) is kept in the session only.
            let session = SSL_get_session(ssl), SSL_SESSION_get_max_fragment_length(session) == 0
        else { return false }
        return SSL_set_SSL_CTX(ssl, shared.context) == shared.context
    }

    /// Frees the session of a server connection whose handshake is complete and tickets are sent.
    static func dropSession(of ssl: OpaquePointer) {
        guard let shared, adopt(ssl) else { return }
        _ = SSL_set_session(ssl, shared.session)
    }

    /// Replaces the session that is about to become a ticket by one without the peer's certificates.
    ///
    /// They would make the ticket three times as large, and OpenSSL parses them again with each
    /// ticket that it makes or takes, which costs more than the rest of a resumption. What they
    /// proved is in the ticket's application data.
    static func stripSession(of ssl: OpaquePointer) {
        guard let full = SSL_get_session(ssl), SSL_SESSION_get0_peer(full) != nil, adopt(ssl),
            let stripped = copyWithoutPeer(full)
        else { return }
        _ = SSL_set_session(ssl, stripped)
        SSL_SESSION_free(stripped)
    }

    /// All that a resumption of TLS 1.3 without early data needs.
    private static func copyWithoutPeer(_ full: OpaquePointer) -> OpaquePointer? {
        guard let copy = SSL_SESSION_new() else { return nil }
        var key = [UInt8](repeating: 0, count: Int(SSL_MAX_MASTER_KEY_LENGTH))
        let keyCount = SSL_SESSION_get_master_key(full, &key, key.count)
        defer { OPENSSL_cleanse(&key, key.count) }
        var idCount: UInt32 = 0
        let id = SSL_SESSION_get_id(full, &idCount)
        var contextCount: UInt32 = 0
        let context = SSL_SESSION_get0_id_context(full, &contextCount)
        guard SSL_SESSION_set1_master_key(copy, key, keyCount) == 1,
            SSL_SESSION_set1_id(copy, id, idCount) == 1,
            SSL_SESSION_set1_id_context(copy, context, contextCount) == 1,
            SSL_SESSION_set_protocol_version(copy, SSL_SESSION_get_protocol_version(full)) == 1,
            SSL_SESSION_set_cipher(copy, SSL_SESSION_get0_cipher(full)) == 1,
            SSL_SESSION_set_time(copy, SSL_SESSION_get_time(full)) != 0,
            SSL_SESSION_set_timeout(copy, SSL_SESSION_get_timeout(full)) == 1
        else {
            SSL_SESSION_free(copy)
            ERR_clear_error()
            return nil
        }
        return copy
    }

    /// The method that a server's connection changes to when it agrees on TLS 1.3, learnt from one.
    private static func methodOfTLS13Server() -> OpaquePointer? {
        guard OpenSSL.isReady, let context = SSL_CTX_new(TLS_method()) else { return nil }
        defer { SSL_CTX_free(context) }
        guard let client = SSL_new(context) else { return nil }
        defer { SSL_free(client) }
        guard let server = SSL_new(context) else { return nil }
        defer { SSL_free(server) }
        guard let hello = BIO_new(BIO_s_mem()), let answer = BIO_new(BIO_s_mem()) else {
            return nil
        }
        // Each handle owns one reference to what it reads and one to what it writes.
        BIO_up_ref(hello)
        BIO_up_ref(answer)
        SSL_set_bio(client, answer, hello)
        SSL_set_bio(server, hello, answer)
        SSL_set_connect_state(client)
        SSL_set_accept_state(server)
        // A server that can have no certificate would not agree on TLS 1.3.
        SSL_set_cert_cb(server, { _, _ in 0 }, nil)
        _ = SSL_do_handshake(client)
        // Fails for want of one, after the version was agreed on.
        _ = SSL_do_handshake(server)
        ERR_clear_error()
        return SSL_version(server) == TLS1_3_VERSION ? SSL_get_ssl_method(server) : nil
    }
}
