internal import COpenSSL
internal import MeshModel

/// Sessions a client may resume, per endpoint; confined to its context's worker.
///
/// It lives and dies with one `TLSContext`: after a change of certificate or trust bundle nothing
/// older is offered, so the server meets the new certificate and we verify its chain anew.
final class SessionCache {
    /// One resumable session; the owner of its handle.
    final class Session {
        private let handle: OpaquePointer
        let peer: VerifiedPeer

        /// Takes over the caller's reference.
        init(owning handle: OpaquePointer, peer: VerifiedPeer) {
            self.handle = handle
            self.peer = peer
        }

        deinit { SSL_SESSION_free(handle) }

        var isResumable: Bool { SSL_SESSION_is_resumable(handle) == 1 }

        /// Makes a connection offer this session.
        func offer(on ssl: OpaquePointer) -> Bool { SSL_set_session(ssl, handle) == 1 }
    }

    private var sessions: [SocketAddress: [Session]] = [:]

    func store(_ session: Session, for endpoint: SocketAddress, now: Int64) {
        if sessions[endpoint] == nil && sessions.count >= TLSLimits.sessionEndpointsMax {
            dropExpired(now: now)
            // Still full: this endpoint will pay full handshakes, which is all a session saves.
            guard sessions.count < TLSLimits.sessionEndpointsMax else { return }
        }
        var kept = sessions[endpoint, default: []]
        if kept.count >= TLSLimits.sessionsPerEndpointMax { kept.removeFirst() }
        kept.append(session)
        sessions[endpoint] = kept
    }

    /// Takes the newest session whose peer is still valid and is one of `expected`.
    ///
    /// A session leaves the cache when it is taken: a ticket used twice would let an observer link
    /// the two connections (RFC 8446 appendix C.4).
    func take(for endpoint: SocketAddress, expected: [SPIFFEID], now: Int64) -> Session? {
        guard var kept = sessions.removeValue(forKey: endpoint) else { return nil }
        kept.removeAll { !$0.isResumable || $0.peer.resumableUntil <= now }
        let index = kept.lastIndex { expected.isEmpty || expected.contains($0.peer.identity) }
        let taken = index.map { kept.remove(at: $0) }
        if !kept.isEmpty { sessions[endpoint] = kept }
        return taken
    }

    private func dropExpired(now: Int64) {
        sessions = sessions.compactMapValues { kept in
            let valid = kept.filter { $0.peer.resumableUntil > now }
            return valid.isEmpty ? nil : valid
        }
    }
}
