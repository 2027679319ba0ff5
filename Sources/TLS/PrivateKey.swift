internal import COpenSSL

/// An ECDSA key on P-256 that never leaves the process except as PEM for an own file.
public final class PrivateKey {
    private let handle: OpaquePointer

    /// Makes a fresh key.
    public static func generate() throws(TLSError) -> PrivateKey {
        precondition(OpenSSL.isReady)
        guard let handle = mesh_EVP_P256_gen() else { throw OpenSSL.failure("making a key") }
        return PrivateKey(owning: handle)
    }

    /// Reads an unencrypted PEM key.
    public convenience init(pem: String) throws(TLSError) {
        precondition(OpenSSL.isReady)
        // The callback answers for a passphrase; without one OpenSSL would ask the terminal.
        let handle = OpenSSL.withMemory(pem) {
            PEM_read_bio_PrivateKey($0, nil, { _, _, _, _ in -1 }, nil)
        }
        guard case .some(.some(let handle)) = handle else {
            throw .invalidCredentials(
                reason: "the private key cannot be read: \(OpenSSL.drainErrors().reason)"
            )
        }
        self.init(owning: handle)
    }

    private init(owning handle: OpaquePointer) {
        self.handle = handle
    }

    deinit { EVP_PKEY_free(handle) }

    func withHandle<R>(_ body: (OpaquePointer) -> R) -> R { body(handle) }

    /// The key as unencrypted PKCS#8 PEM: a secret.
    public func pem() throws(TLSError) -> String {
        let text = OpenSSL.text {
            PEM_write_bio_PKCS8PrivateKey($0, handle, nil, nil, 0, nil, nil)
        }
        guard let text else { throw OpenSSL.failure("writing a key") }
        return text
    }

    /// A PKCS#10 request for this key, as PEM: empty subject, no extensions.
    ///
    /// Who the certificate is for is the authority's to say (from the join token or the current
    /// certificate), so the request proves possession of the key and claims nothing else.
    public func certificateRequest() throws(TLSError) -> String {
        guard let request = X509_REQ_new() else { throw OpenSSL.failure("making a request") }
        defer { X509_REQ_free(request) }
        guard X509_REQ_set_version(request, 0) == 1,
            X509_REQ_set_pubkey(request, handle) == 1,
            X509_REQ_sign(request, handle, EVP_sha256()) > 0,
            let text = OpenSSL.text({ PEM_write_bio_X509_REQ($0, request) })
        else { throw OpenSSL.failure("signing a request") }
        return text
    }
}
