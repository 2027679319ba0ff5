internal import COpenSSL
internal import MeshModel

/// What a full handshake proved about the peer, and how long a resumption may rely on it.
struct VerifiedPeer: Equatable {
    let identity: SPIFFEID
    /// Leaf certificate's notAfter, UNIX seconds.
    let notAfter: Int64
    /// Until when a session may be resumed, UNIX seconds: the earliest notAfter of the verified
    /// chain, and at most `resumptionSecondsMax` after the handshake that proved the key.
    let resumableUntil: Int64

    /// Verifies the chain in `store`, then the leaf as an X.509-SVID of `trustDomain`, then that it
    /// is one of `expected`, if any are given.
    ///
    /// Leaves the code for the alert in `store`, and takes the verified chain out of it, so that
    /// OpenSSL does not keep some KiB per connection that nobody reads again.
    static func verify(
        _ store: OpaquePointer,
        trustDomain: TrustDomain,
        expected: [SPIFFEID]
    ) -> Result<VerifiedPeer, TLSError> {
        defer { X509_STORE_CTX_set0_verified_chain(store, nil) }
        guard X509_verify_cert(store) == 1 else { return .failure(chainError(store)) }
        let checked = checkLeaf(store, trustDomain: trustDomain, expected: expected)
        if case .failure = checked {
            X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED)
        }
        return checked
    }

    private static func chainError(_ store: OpaquePointer) -> TLSError {
        let code = X509_STORE_CTX_get_error(store)
        let isLeaf = X509_STORE_CTX_get_error_depth(store) == 0
        if code == X509_V_ERR_CERT_HAS_EXPIRED && isLeaf { return .peerCertificateExpired }
        if code == X509_V_ERR_CERT_NOT_YET_VALID && isLeaf { return .peerCertificateNotYetValid }
        guard let text = X509_verify_cert_error_string(Int(code)) else {
            return .peerUntrusted(reason: "code \(code)")
        }
        return .peerUntrusted(reason: String(cString: text))
    }

    private static func checkLeaf(
        _ store: OpaquePointer,
        trustDomain: TrustDomain,
        expected: [SPIFFEID]
    ) -> Result<VerifiedPeer, TLSError> {
        guard let leaf = X509_STORE_CTX_get0_cert(store),
            let notAfter = OpenSSL.unixSeconds(X509_get0_notAfter(leaf)),
            let now = OpenSSL.unixSeconds(nil)
        else { return .failure(.libraryFailure(reason: "reading the peer's certificate")) }
        let identity: SPIFFEID
        switch SVID.identity(ofLeaf: leaf) {
        case .success(let id): identity = id
        case .failure(let error): return .failure(error)
        }
        guard identity.trustDomain == trustDomain else {
            return .failure(.wrongTrustDomain(found: identity, expected: trustDomain))
        }
        guard expected.isEmpty || expected.contains(identity) else {
            return .failure(.wrongIdentity(found: identity, expected: expected))
        }
        var until = min(notAfter, now + TLSLimits.resumptionSecondsMax)
        if let chain = X509_STORE_CTX_get0_chain(store) {
            for index in 0..<mesh_sk_X509_num(chain) {
                let end = X509_get0_notAfter(mesh_sk_X509_value(chain, index))
                until = min(until, OpenSSL.unixSeconds(end) ?? 0)
            }
        }
        return .success(
            VerifiedPeer(identity: identity, notAfter: notAfter, resumableUntil: until)
        )
    }

    // As application data inside a session ticket, which the ticket key encrypts and authenticates.

    var ticketBytes: [UInt8] {
        var bytes: [UInt8] = []
        for value in [resumableUntil, notAfter] {
            withUnsafeBytes(of: value.bigEndian) { bytes.append(contentsOf: $0) }
        }
        bytes.append(contentsOf: identity.description.utf8)
        return bytes
    }

    init?(ticketBytes: UnsafeRawBufferPointer) {
        guard ticketBytes.count > 16 else { return nil }
        resumableUntil = Int64(bigEndian: ticketBytes.loadUnaligned(as: Int64.self))
        notAfter = Int64(
            bigEndian: ticketBytes.loadUnaligned(fromByteOffset: 8, as: Int64.self)
        )
        guard let id = SPIFFEID(String(decoding: ticketBytes[16...], as: UTF8.self)) else {
            return nil
        }
        identity = id
    }

    init(identity: SPIFFEID, notAfter: Int64, resumableUntil: Int64) {
        self.identity = identity
        self.notAfter = notAfter
        self.resumableUntil = resumableUntil
    }
}
