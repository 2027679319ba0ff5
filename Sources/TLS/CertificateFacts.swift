internal import COpenSSL
public import MeshModel

/// What a certificate says, read once: for renewal, the admin port and logs.
///
/// Reading is not verifying: nothing here was checked against a trust bundle.
public struct CertificateFacts: Sendable, Hashable {
    /// First instant of validity, UNIX seconds.
    public let notBefore: Int64
    /// Last instant of validity, UNIX seconds.
    public let notAfter: Int64
    /// The only URI name, when it is a workload's SPIFFE ID.
    public let spiffeID: SPIFFEID?
    /// The serial number, upper-case hexadecimal.
    public let serial: String
    /// The issuer's distinguished name as RFC 2253 writes it.
    public let issuer: String
    /// The certificate alone.
    public let pem: String

    /// Reads every certificate of a PEM text, in order.
    public static func chain(pem: String) throws(TLSError) -> [CertificateFacts] {
        var facts: [CertificateFacts] = []
        for certificate in try X509Certificate.chain(pem: pem) {
            guard let read = certificate.withHandle({ CertificateFacts(reading: $0) }) else {
                throw OpenSSL.failure("reading a certificate")
            }
            facts.append(read)
        }
        return facts
    }

    private init?(reading handle: OpaquePointer) {
        guard let notBefore = OpenSSL.unixSeconds(X509_get0_notBefore(handle)),
            let notAfter = OpenSSL.unixSeconds(X509_get0_notAfter(handle)),
            let number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(handle), nil)
        else { return nil }
        defer { BN_free(number) }
        guard let digits = BN_bn2hex(number) else { return nil }
        defer { mesh_OPENSSL_free(digits) }
        let name = OpenSSL.text { bio in
            mesh_X509_NAME_print_rfc2253(bio, X509_get_issuer_name(handle)) >= 0 ? 1 : 0
        }
        guard let name, let pem = OpenSSL.text({ PEM_write_bio_X509($0, handle) }) else {
            return nil
        }
        let uris = SVID.uriNames(of: handle)
        self.notBefore = notBefore
        self.notAfter = notAfter
        spiffeID = uris.count == 1 ? SPIFFEID(uris[0]) : nil
        serial = String(cString: digits)
        issuer = name
        self.pem = pem
    }
}
