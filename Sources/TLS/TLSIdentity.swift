internal import COpenSSL
public import MeshModel

/// A certificate chain and its key: who we are to our peers.
///
/// A value that exists is usable: the PEM parses, the key belongs to the leaf, the leaf is an
/// X.509-SVID. It may still be expired, which only the clock can say.
public struct TLSIdentity: Sendable, Hashable {
    /// Leaf first, then intermediates, without the root.
    public let certificateChainPEM: String
    /// A secret: unencrypted PKCS#8.
    public let privateKeyPEM: String
    /// Our SPIFFE ID.
    public let spiffeID: SPIFFEID
    /// What the leaf says.
    public let leaf: CertificateFacts

    /// Checks the pair.
    public init(certificateChainPEM: String, privateKeyPEM: String) throws(TLSError) {
        let chain = try X509Certificate.chain(pem: certificateChainPEM)
        let key = try PrivateKey(pem: privateKeyPEM)
        let matches = chain[0].withHandle { leaf in
            key.withHandle { X509_check_private_key(leaf, $0) == 1 }
        }
        guard matches else {
            ERR_clear_error()
            throw .invalidCredentials(reason: "the private key is not the certificate's")
        }
        switch chain[0].withHandle({ SVID.identity(ofLeaf: $0) }) {
        case .success(let id): spiffeID = id
        case .failure(let error):
            throw .invalidCredentials(reason: "for our own certificate, \(error)")
        }
        leaf = try CertificateFacts.chain(pem: certificateChainPEM)[0]
        self.certificateChainPEM = certificateChainPEM
        self.privateKeyPEM = privateKeyPEM
    }
}

extension TLSIdentity: CustomStringConvertible, CustomDebugStringConvertible {
    /// The SPIFFE ID; never the key, so that a stray interpolation leaks nothing.
    public var description: String { "TLSIdentity(\(spiffeID), serial \(leaf.serial))" }

    /// The same as `description`.
    public var debugDescription: String { description }
}

extension TLSIdentity: CustomReflectable {
    /// Hides the key from `dump`.
    public var customMirror: Mirror { Mirror(self, children: ["spiffeID": spiffeID]) }
}
