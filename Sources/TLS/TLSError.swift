public import MeshModel

/// Why a connection, a context or a credential was refused.
///
/// Never holds key material or plaintext: a description may be logged as it is.
public enum TLSError: Error, Sendable, Hashable {
    // The peer's fault: its certificate.

    /// The peer sent no certificate although one is required.
    case peerCertificateMissing
    /// The peer's certificate is past its notAfter.
    case peerCertificateExpired
    /// The peer's certificate is before its notBefore (or our clock is slow).
    case peerCertificateNotYetValid
    /// The peer's chain does not verify against the trust bundle.
    case peerUntrusted(reason: String)
    /// The chain verifies, but the leaf is not an X.509-SVID.
    case peerNotSVID(SVIDDefect)
    /// The peer belongs to another trust domain.
    case wrongTrustDomain(found: SPIFFEID, expected: TrustDomain)
    /// The peer is a workload of the mesh, but not the one this connection is for.
    case wrongIdentity(found: SPIFFEID, expected: [SPIFFEID])

    // The peer's fault: the protocol.

    /// The peer refused us with an alert, such as "certificate expired".
    case peerAlert(description: String)
    /// No protocol version in common.
    case versionMismatch
    /// No application protocol (ALPN) in common.
    case applicationProtocolMismatch
    /// The bytes are not TLS as RFC 8446 has it.
    case protocolError(reason: String)

    // The environment's.

    /// The stream ended without close_notify: what was received may be cut short.
    case truncated
    /// The connection is already closed or failed.
    case closed

    // Our own credentials.

    /// A certificate, key or trust bundle that cannot be used.
    case invalidCredentials(reason: String)
    /// OpenSSL failed without a fault of the peer (out of memory, no randomness).
    case libraryFailure(reason: String)

    /// A fixed word for metrics: one per case.
    public var label: StaticString {
        switch self {
        case .peerCertificateMissing: "certificate_missing"
        case .peerCertificateExpired: "certificate_expired"
        case .peerCertificateNotYetValid: "certificate_not_yet_valid"
        case .peerUntrusted: "untrusted"
        case .peerNotSVID: "not_svid"
        case .wrongTrustDomain: "wrong_trust_domain"
        case .wrongIdentity: "wrong_identity"
        case .peerAlert: "peer_alert"
        case .versionMismatch: "version_mismatch"
        case .applicationProtocolMismatch: "alpn_mismatch"
        case .protocolError: "protocol_error"
        case .truncated: "truncated"
        case .closed: "closed"
        case .invalidCredentials: "invalid_credentials"
        case .libraryFailure: "library_failure"
        }
    }
}

extension TLSError: CustomStringConvertible {
    /// One line for a log.
    public var description: String {
        switch self {
        case .peerCertificateMissing: "the peer sent no certificate"
        case .peerCertificateExpired: "the peer's certificate has expired"
        case .peerCertificateNotYetValid: "the peer's certificate is not valid yet"
        case .peerUntrusted(let reason): "the peer's certificate is not trusted: \(reason)"
        case .peerNotSVID(let defect):
            "the peer's certificate is not an X.509-SVID: \(defect.rawValue)"
        case .wrongTrustDomain(let found, let expected):
            "the peer is \(found), outside the trust domain \(expected)"
        case .wrongIdentity(let found, let expected):
            "the peer is \(found), expected "
                + expected.map(\.description).joined(separator: " or ")
        case .peerAlert(let description): "the peer refused the connection: \(description)"
        case .versionMismatch: "no TLS version in common with the peer"
        case .applicationProtocolMismatch: "no application protocol in common with the peer"
        case .protocolError(let reason): "TLS protocol error: \(reason)"
        case .truncated: "the stream ended without close_notify"
        case .closed: "the TLS connection is closed"
        case .invalidCredentials(let reason): "unusable credentials: \(reason)"
        case .libraryFailure(let reason): "OpenSSL failed: \(reason)"
        }
    }
}

/// What keeps a certificate from being an X.509-SVID of a workload.
///
/// Source: SPIFFE X509-SVID §2 to §5.
public enum SVIDDefect: String, Sendable, Hashable {
    /// There must be exactly one URI name; two would let a certificate have two identities.
    case uriCount = "it must have exactly one URI name"
    /// The URI is not the SPIFFE ID of a workload.
    case invalidID = "its URI is not a valid SPIFFE ID"
    /// A signing certificate never authenticates.
    case isAuthority = "it is a certificate authority's"
    /// Key usage must hold digitalSignature and neither keyCertSign nor cRLSign.
    case keyUsage = "its key usage is not that of a leaf"
    /// Extended key usage must hold both serverAuth and clientAuth.
    case extendedKeyUsage = "its extended key usage lacks client or server authentication"
}
