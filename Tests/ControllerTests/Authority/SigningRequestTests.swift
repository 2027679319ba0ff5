import Crypto
import Foundation
import MeshModel
import SwiftASN1
import Testing
import X509

@testable import Controller

@Suite("Signing request")
struct SigningRequestTests {
    @Test("Keys on P-256 and P-384 with no name or exactly the granted one are accepted")
    func accepted() throws {
        let id = try spiffeID("web")
        let name = GeneralName.uniformResourceIdentifier(id.description)
        _ = try SigningRequest(pem: try Requests.pem(), for: id)
        _ = try SigningRequest(pem: try Requests.pem(names: [name]), for: id)
        let p384 = Certificate.PrivateKey(P384.Signing.PrivateKey())
        _ = try SigningRequest(
            pem: try Requests.pem(key: p384, algorithm: .ecdsaWithSHA384),
            for: id
        )
    }

    @Test("Other keys are refused")
    func keys() throws {
        let id = try spiffeID("web")
        let ed25519 = try Requests.pem(
            key: Certificate.PrivateKey(Curve25519.Signing.PrivateKey()),
            algorithm: .ed25519
        )
        let p521 = try Requests.pem(
            key: Certificate.PrivateKey(P521.Signing.PrivateKey()),
            algorithm: .ecdsaWithSHA512
        )
        for pem in [ed25519, p521] {
            #expect(throws: SigningRequestError.unsupportedKey) {
                try SigningRequest(pem: pem, for: id)
            }
        }
    }

    @Test("Any other name is refused, alone or beside the granted one")
    func names() throws {
        let id = try spiffeID("web")
        let granted = GeneralName.uniformResourceIdentifier(id.description)
        let others: [[GeneralName]] = [
            [.uniformResourceIdentifier("spiffe://mesh.test/ns/default/sa/admin")],
            [granted, .uniformResourceIdentifier("spiffe://mesh.test/ns/default/sa/admin")],
            [.dnsName("web")], [granted, .dnsName("web")], [.rfc822Name("a@b.c")],
        ]
        for names in others {
            #expect(throws: SigningRequestError.self) {
                try SigningRequest(pem: try Requests.pem(names: names), for: id)
            }
        }
        for names in [[], [granted, granted]] {
            #expect(throws: SigningRequestError.self) {
                try SigningRequest(pem: try Requests.pem(names: names), for: id)
            }
        }
    }

    @Test("A subject, other extensions and other attributes are refused")
    func extras() throws {
        let id = try spiffeID("web")
        let subject = try DistinguishedName { CommonName("admin") }
        #expect(throws: SigningRequestError.subjectNotEmpty) {
            try SigningRequest(pem: try Requests.pem(subject: subject), for: id)
        }
        let authority = try Certificate.Extension(
            BasicConstraints.isCertificateAuthority(maxPathLength: nil),
            critical: true
        )
        #expect(throws: SigningRequestError.unsupportedExtension("2.5.29.19")) {
            try SigningRequest(pem: try Requests.pem(extra: authority), for: id)
        }
    }

    @Test("A request signed by another key is refused")
    func foreignSignature() throws {
        let key = P256.Signing.PrivateKey()
        let other = P256.Signing.PrivateKey()
        let honest = try CertificateSigningRequest(
            version: .v1,
            subject: DistinguishedName(),
            privateKey: Certificate.PrivateKey(key),
            attributes: CertificateSigningRequest.Attributes(),
            signatureAlgorithm: .ecdsaWithSHA256
        )
        let forged = try CertificateSigningRequest(
            version: .v1,
            subject: DistinguishedName(),
            publicKey: Certificate.PublicKey(other.publicKey),
            attributes: CertificateSigningRequest.Attributes(),
            signatureAlgorithm: .ecdsaWithSHA256,
            signature: honest.signature
        )
        let pem = try forged.serializeAsPEM().pemString
        #expect(throws: SigningRequestError.badSignature) {
            try SigningRequest(pem: pem, for: try spiffeID("web"))
        }
    }

    @Test("What is no request, or too long, is refused unread")
    func malformed() throws {
        let id = try spiffeID("web")
        let pem = try Requests.pem()
        for text in ["", "x", String(pem.dropLast(60)), pem.replacing("REQUEST", with: "KEY")] {
            #expect(throws: SigningRequestError.self) { try SigningRequest(pem: text, for: id) }
        }
        let long = pem + String(repeating: "\n", count: 20_000)
        #expect(throws: SigningRequestError.tooLong(bytes: long.utf8.count)) {
            try SigningRequest(pem: long, for: id)
        }
    }
}
