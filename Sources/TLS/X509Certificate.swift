internal import COpenSSL
internal import MeshModel

/// One parsed certificate; the owner of its handle.
final class X509Certificate {
    private let handle: OpaquePointer

    /// Takes over the caller's reference.
    init(owning handle: OpaquePointer) {
        self.handle = handle
    }

    deinit { X509_free(handle) }

    func withHandle<R>(_ body: (OpaquePointer) -> R) -> R { body(handle) }

    /// Parses every certificate of a PEM text; other blocks are an error, text between is not.
    static func chain(pem: String) throws(TLSError) -> [X509Certificate] {
        precondition(OpenSSL.isReady)
        var isMalformed = false
        let chain = OpenSSL.withMemory(pem) { bio -> [X509Certificate] in
            var found: [X509Certificate] = []
            while let handle = PEM_read_bio_X509(bio, nil, { _, _, _, _ in -1 }, nil) {
                found.append(X509Certificate(owning: handle))
            }
            // The end of the text shows as "no start line"; anything else is a damaged block.
            let code = ERR_peek_last_error()
            isMalformed =
                code != 0
                && !(ERR_GET_LIB(code) == ERR_LIB_PEM
                    && ERR_GET_REASON(code) == PEM_R_NO_START_LINE)
            return found
        }
        let reason = OpenSSL.drainErrors().reason
        guard let chain else {
            throw .invalidCredentials(
                reason: "the PEM text is longer than \(TLSLimits.pemBytesMax) bytes"
            )
        }
        guard !isMalformed else {
            throw .invalidCredentials(reason: "a certificate cannot be read: \(reason)")
        }
        guard !chain.isEmpty else {
            throw .invalidCredentials(reason: "no certificate in the PEM text")
        }
        return chain
    }
}

/// What identifies a certificate's holder, checked as SPIFFE X509-SVID has it.
enum SVID {
    /// The SPIFFE ID of a workload's leaf certificate, or what is wrong with it.
    static func identity(ofLeaf leaf: OpaquePointer) -> Result<SPIFFEID, TLSError> {
        let flags = X509_get_extension_flags(leaf)
        // §4.1 and §5.2: a certificate that can sign never authenticates.
        guard flags & UInt32(EXFLAG_INVALID) == 0, flags & UInt32(EXFLAG_CA) == 0,
            X509_check_ca(leaf) == 0
        else { return .failure(.peerNotSVID(.isAuthority)) }
        // §4.3: digitalSignature; keyCertSign and cRLSign must not be set.
        let usage = X509_get_key_usage(leaf)
        guard flags & UInt32(EXFLAG_KUSAGE) != 0,
            usage & UInt32(KU_DIGITAL_SIGNATURE) != 0,
            usage & UInt32(KU_KEY_CERT_SIGN | KU_CRL_SIGN) == 0
        else { return .failure(.peerNotSVID(.keyUsage)) }
        // §4.4: both, since a workload is a client and a server with the same certificate.
        let both = UInt32(XKU_SSL_CLIENT | XKU_SSL_SERVER)
        guard flags & UInt32(EXFLAG_XKUSAGE) != 0,
            X509_get_extended_key_usage(leaf) & both == both
        else { return .failure(.peerNotSVID(.extendedKeyUsage)) }
        let uris = uriNames(of: leaf)
        guard uris.count == 1 else { return .failure(.peerNotSVID(.uriCount)) }
        guard let id = SPIFFEID(uris[0]) else { return .failure(.peerNotSVID(.invalidID)) }
        return .success(id)
    }

    /// All URI names.
    ///
    /// A repeated extension, which OpenSSL refuses to pick from, gives none.
    ///
    /// A NUL inside a name stays inside the string and then fails the syntax of `SPIFFEID`.
    static func uriNames(of certificate: OpaquePointer) -> [String] {
        guard
            let names = X509_get_ext_d2i(certificate, NID_subject_alt_name, nil, nil).map({
                OpaquePointer($0)
            })
        else { return [] }
        defer { GENERAL_NAMES_free(names) }
        var uris: [String] = []
        for index in 0..<mesh_sk_GENERAL_NAME_num(names) {
            guard let name = mesh_sk_GENERAL_NAME_value(names, index),
                let uri = mesh_GENERAL_NAME_uri(name)
            else { continue }
            let bytes = UnsafeRawBufferPointer(
                start: ASN1_STRING_get0_data(uri),
                count: Int(ASN1_STRING_length(uri))
            )
            uris.append(String(decoding: bytes, as: UTF8.self))
        }
        return uris
    }
}
