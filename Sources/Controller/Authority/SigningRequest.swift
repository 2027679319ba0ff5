import ControlProtocol
import Crypto
import MeshModel
import SwiftASN1
import X509

/// Why a signing request was not granted.
enum SigningRequestError: Error, Equatable, CustomStringConvertible {
    case tooLong(bytes: Int)
    case malformed(reason: String)
    case unsupportedKey
    case unsupportedSignature
    case badSignature
    case subjectNotEmpty
    case unsupportedAttribute(String)
    case unsupportedExtension(String)
    case otherName(String)

    var description: String {
        switch self {
        case .tooLong(let bytes):
            "the signing request has \(bytes) bytes, at most \(StreamLimits.requestBytesMax) are read"
        case .malformed(let reason): "the signing request cannot be read: \(reason)"
        case .unsupportedKey: "the key must be ECDSA on P-256 or P-384"
        case .unsupportedSignature: "the request must be signed with ECDSA and SHA-256 or SHA-384"
        case .badSignature: "the request's signature does not fit its key"
        case .subjectNotEmpty:
            "the request names a subject; identities come from the join token or the certificate"
        case .unsupportedAttribute(let oid): "the request has the unsupported attribute \(oid)"
        case .unsupportedExtension(let oid):
            "the request asks for the extension \(oid); only the granted SPIFFE ID may be asked for"
        case .otherName(let name): "the request asks for \(name), which is not the granted identity"
        }
    }
}

/// A PKCS#10 request that proves possession of an acceptable key and claims nothing else.
struct SigningRequest {
    let publicKey: Certificate.PublicKey

    /// Reads and checks a request for `id`; the key's owner may name that identity or none.
    init(pem: String, for id: SPIFFEID) throws(SigningRequestError) {
        guard pem.utf8.count <= StreamLimits.requestBytesMax else {
            throw .tooLong(bytes: pem.utf8.count)
        }
        let request: CertificateSigningRequest
        do {
            request = try CertificateSigningRequest(pemEncoded: pem)
        } catch {
            throw .malformed(reason: "\(error)")
        }
        guard
            P256.Signing.PublicKey(request.publicKey) != nil
                || P384.Signing.PublicKey(request.publicKey) != nil
        else { throw .unsupportedKey }
        guard
            request.signatureAlgorithm == .ecdsaWithSHA256
                || request.signatureAlgorithm == .ecdsaWithSHA384
        else { throw .unsupportedSignature }
        guard request.publicKey.isValidSignature(request.signature, for: request) else {
            throw .badSignature
        }
        guard request.subject.isEmpty else { throw .subjectNotEmpty }
        for attribute in request.attributes { try Self.check(attribute, id) }
        publicKey = request.publicKey
    }

    private static func check(
        _ attribute: CertificateSigningRequest.Attribute,
        _ id: SPIFFEID
    ) throws(SigningRequestError) {
        guard attribute.oid == .CSRAttributes.extensionRequest else {
            throw .unsupportedAttribute("\(attribute.oid)")
        }
        let extensions: Certificate.Extensions
        do {
            extensions = try ExtensionRequest(attribute).extensions
        } catch {
            throw .malformed(reason: "\(error)")
        }
        for requested in extensions {
            guard requested.oid == .X509ExtensionID.subjectAlternativeName else {
                throw .unsupportedExtension("\(requested.oid)")
            }
            let names: SubjectAlternativeNames
            do {
                names = try SubjectAlternativeNames(requested)
            } catch {
                throw .malformed(reason: "\(error)")
            }
            guard !names.isEmpty else { throw .malformed(reason: "an empty list of names") }
            for name in names where name != .uniformResourceIdentifier(id.description) {
                throw .otherName("\(name)")
            }
            guard names.count == 1 else { throw .malformed(reason: "a name that is repeated") }
        }
    }
}
