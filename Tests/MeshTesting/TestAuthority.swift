internal import COpenSSL
public import MeshModel
public import TLS

/// A certificate authority for tests: a root, an issuing certificate below it, and leaves, good or
/// deliberately bad.
///
/// Traps on any failure: a test that cannot make its material has nothing to say.
public final class TestAuthority {
    /// The trust domain all IDs made from paths belong to.
    public let trustDomain: TrustDomain
    private let root: Signer
    private let issuing: Signer

    /// What of a leaf to get wrong, or when it is valid; the defaults make a good one.
    public struct LeafOptions {
        /// Seconds from now to notBefore.
        public var startsIn: Int
        /// Seconds from now to notAfter.
        public var endsIn: Int
        /// Names besides the SPIFFE ID, in OpenSSL's form such as `URI:spiffe://td/x`.
        public var extraNames: [String]
        /// Whether the SPIFFE ID is among the names.
        public var hasSPIFFEID: Bool
        /// Whether basic constraints say CA.
        public var isAuthority: Bool
        /// Key usage in OpenSSL's form; nil leaves the extension out.
        public var keyUsage: String?
        /// Extended key usage in OpenSSL's form; nil leaves the extension out.
        public var extendedKeyUsage: String?

        /// A good leaf, valid from a minute ago for an hour.
        public init(
            startsIn: Int = -60,
            endsIn: Int = 3_600,
            extraNames: [String] = [],
            hasSPIFFEID: Bool = true,
            isAuthority: Bool = false,
            keyUsage: String? = "critical,digitalSignature",
            extendedKeyUsage: String? = "serverAuth,clientAuth"
        ) {
            self.startsIn = startsIn
            self.endsIn = endsIn
            self.extraNames = extraNames
            self.hasSPIFFEID = hasSPIFFEID
            self.isAuthority = isAuthority
            self.keyUsage = keyUsage
            self.extendedKeyUsage = extendedKeyUsage
        }
    }

    /// Makes fresh keys; two authorities of the same trust domain do not trust each other.
    ///
    /// - Parameter issuingEndsIn: Seconds from now to the issuing certificate's notAfter.
    public init(trustDomain: String = "mesh.test", issuingEndsIn: Int = 86_400) {
        guard let domain = TrustDomain(trustDomain) else { fatalError("bad trust domain") }
        self.trustDomain = domain
        let authority = "critical,CA:TRUE"
        root = Signer(
            name: "\(trustDomain) root",
            issuer: nil,
            startsIn: -3_600,
            endsIn: 864_000,
            extensions: [
                (NID_basic_constraints, authority),
                (NID_key_usage, "critical,keyCertSign,cRLSign"),
            ]
        )
        issuing = Signer(
            name: "\(trustDomain) issuing",
            issuer: root,
            startsIn: -3_600,
            endsIn: issuingEndsIn,
            extensions: [
                (NID_basic_constraints, authority),
                (NID_key_usage, "critical,keyCertSign,cRLSign"),
            ]
        )
    }

    /// The bundle that trusts this authority.
    public var trustBundle: [String] { [root.certificatePEM] }

    /// The ID with `path` in this trust domain.
    public func id(_ path: String) -> SPIFFEID {
        guard let id = SPIFFEID(trustDomain: trustDomain, path: path) else {
            fatalError("bad path \(path)")
        }
        return id
    }

    /// Issues a good identity, valid until `lifetime` seconds from now.
    public func issue(_ path: String, lifetime: Int = 3_600) -> TLSIdentity {
        issue(spiffeID: id(path), lifetime: lifetime)
    }

    /// Issues a good identity, valid until `lifetime` seconds from now.
    public func issue(spiffeID: SPIFFEID, lifetime: Int = 3_600) -> TLSIdentity {
        let pair = issuePEM(uri: spiffeID.description, LeafOptions(endsIn: lifetime))
        do {
            return try TLSIdentity(
                certificateChainPEM: pair.certificateChain,
                privateKeyPEM: pair.privateKey
            )
        } catch {
            fatalError("issued an unusable identity: \(error)")
        }
    }

    /// Issues any leaf, also one that `TLSIdentity` refuses.
    public func issuePEM(
        uri: String,
        _ options: LeafOptions = LeafOptions()
    ) -> (certificateChain: String, privateKey: String) {
        var extensions: [(Int32, String)] = []
        if options.isAuthority { extensions.append((NID_basic_constraints, "critical,CA:TRUE")) }
        if let usage = options.keyUsage { extensions.append((NID_key_usage, usage)) }
        if let usage = options.extendedKeyUsage { extensions.append((NID_ext_key_usage, usage)) }
        let names = (options.hasSPIFFEID ? ["URI:\(uri)"] : []) + options.extraNames
        if !names.isEmpty {
            extensions.append((NID_subject_alt_name, names.joined(separator: ",")))
        }
        let leaf = Signer(
            name: "leaf",
            issuer: issuing,
            startsIn: options.startsIn,
            endsIn: options.endsIn,
            extensions: extensions
        )
        return (leaf.certificatePEM + issuing.certificatePEM, leaf.keyPEM)
    }

    /// Signs a PKCS#10 request, as a controller would; returns leaf and issuing certificate.
    public func sign(requestPEM: String, uri: String, endsIn: Int = 3_600) -> String {
        var text = requestPEM
        let request = text.withUTF8 { bytes -> OpaquePointer in
            let bio = BIO_new_mem_buf(bytes.baseAddress, Int32(bytes.count))
            defer { BIO_free(bio) }
            guard let request = PEM_read_bio_X509_REQ(bio, nil, nil, nil) else {
                fatalError("not a certificate request")
            }
            return request
        }
        defer { X509_REQ_free(request) }
        guard let key = X509_REQ_get_pubkey(request), X509_REQ_verify(request, key) == 1 else {
            fatalError("the request's signature is wrong")
        }
        let leaf = Signer(
            name: "leaf",
            issuer: issuing,
            startsIn: -60,
            endsIn: endsIn,
            extensions: [
                (NID_key_usage, "critical,digitalSignature"),
                (NID_ext_key_usage, "serverAuth,clientAuth"),
                (NID_subject_alt_name, "URI:\(uri)"),
            ],
            key: key
        )
        return leaf.certificatePEM + issuing.certificatePEM
    }
}

/// A certificate with its key.
private final class Signer {
    private let certificate: OpaquePointer
    private let key: OpaquePointer

    init(
        name: String,
        issuer: Signer?,
        startsIn: Int,
        endsIn: Int,
        extensions: [(Int32, String)],
        key given: OpaquePointer? = nil
    ) {
        guard let certificate = X509_new(), let key = given ?? mesh_EVP_P256_gen() else {
            fatalError("OpenSSL has no memory")
        }
        self.certificate = certificate
        self.key = key
        X509_set_version(certificate, 2)
        var serial: UInt64 = 0
        withUnsafeMutableBytes(of: &serial) {
            _ = RAND_bytes($0.bindMemory(to: UInt8.self).baseAddress, 7)
        }
        ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), serial | 1)
        X509_gmtime_adj(X509_getm_notBefore(certificate), startsIn)
        X509_gmtime_adj(X509_getm_notAfter(certificate), endsIn)
        X509_NAME_add_entry_by_NID(
            X509_get_subject_name(certificate),
            NID_commonName,
            MBSTRING_ASC,
            name,
            -1,
            -1,
            0
        )
        X509_set_issuer_name(
            certificate,
            X509_get_subject_name(issuer?.certificate ?? certificate)
        )
        X509_set_pubkey(certificate, key)
        for (nid, value) in extensions {
            guard let made = X509V3_EXT_conf_nid(nil, nil, nid, value) else {
                fatalError("bad extension \(value)")
            }
            X509_add_ext(certificate, made, -1)
            X509_EXTENSION_free(made)
        }
        precondition(X509_sign(certificate, issuer?.key ?? key, EVP_sha256()) > 0)
    }

    deinit {
        X509_free(certificate)
        EVP_PKEY_free(key)
    }

    var certificatePEM: String { Self.text { PEM_write_bio_X509($0, certificate) } }

    var keyPEM: String {
        Self.text { PEM_write_bio_PKCS8PrivateKey($0, key, nil, nil, 0, nil, nil) }
    }

    private static func text(_ write: (OpaquePointer) -> Int32) -> String {
        guard let bio = BIO_new(BIO_s_mem()) else { fatalError("OpenSSL has no memory") }
        defer { BIO_free(bio) }
        precondition(write(bio) == 1)
        var start: UnsafeMutablePointer<CChar>?
        let count = mesh_BIO_get_mem_data(bio, &start)
        return String(decoding: UnsafeRawBufferPointer(start: start, count: count), as: UTF8.self)
    }
}
