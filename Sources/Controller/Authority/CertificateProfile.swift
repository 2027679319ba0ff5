// What the mesh's certificates look like; certs/profile.md says the same in prose.
//
//   root     self-signed, CA, 10 years
//   issuer   signed by the root, CA with path length 0, URIs of the trust domain only
//   leaf     X.509-SVID: exactly one URI name, no CA, both extended key usages

import Crypto
import Foundation
import MeshModel
import SwiftASN1
import X509

/// A certificate and the key that belongs to it.
struct SigningPair: Sendable {
    let certificate: Certificate
    let key: P256.Signing.PrivateKey

    var notBefore: Date { certificate.notValidBefore }
    var notAfter: Date { certificate.notValidAfter }
}

/// Makes the three kinds of certificates.
enum CertificateProfile {
    /// A self-signed root.
    static func makeRoot(
        trustDomain: TrustDomain,
        now: Date,
        lifetime: TimeInterval
    ) throws -> SigningPair {
        let key = P256.Signing.PrivateKey()
        let publicKey = Certificate.PublicKey(key.publicKey)
        let name = try subject(trustDomain, "root")
        let certificate = try Certificate(
            version: .v3,
            serialNumber: serialNumber(),
            publicKey: publicKey,
            notValidBefore: now - caBackdate,
            notValidAfter: now + lifetime,
            issuer: name,
            subject: name,
            signatureAlgorithm: .ecdsaWithSHA256,
            extensions: try Certificate.Extensions {
                Critical(BasicConstraints.isCertificateAuthority(maxPathLength: 1))
                Critical(KeyUsage(keyCertSign: true, cRLSign: true))
                SubjectKeyIdentifier(hash: publicKey)
                // SPIFFE X509-SVID §3.1: a signing certificate carries the trust domain's ID.
                SubjectAlternativeNames([
                    .uniformResourceIdentifier("spiffe://\(trustDomain)")
                ])
            },
            issuerPrivateKey: Certificate.PrivateKey(key)
        )
        return SigningPair(certificate: certificate, key: key)
    }

    /// An issuing certificate; never outlives the root.
    static func makeIssuer(
        trustDomain: TrustDomain,
        root: SigningPair,
        now: Date,
        lifetime: TimeInterval
    ) throws -> SigningPair {
        let key = P256.Signing.PrivateKey()
        let publicKey = Certificate.PublicKey(key.publicKey)
        var extensions = try Certificate.Extensions {
            Critical(BasicConstraints.isCertificateAuthority(maxPathLength: 0))
            Critical(KeyUsage(keyCertSign: true, cRLSign: true))
            SubjectKeyIdentifier(hash: publicKey)
            authorityKeyIdentifier(of: root)
            SubjectAlternativeNames([.uniformResourceIdentifier("spiffe://\(trustDomain)")])
        }
        if isConstrainable(trustDomain) {
            let constraints = NameConstraints(permittedURIDomains: [trustDomain.name])
            try extensions.append(Certificate.Extension(constraints, critical: true))
        }
        let certificate = try Certificate(
            version: .v3,
            serialNumber: serialNumber(),
            publicKey: publicKey,
            notValidBefore: max(now - caBackdate, root.notBefore),
            notValidAfter: min(now + lifetime, root.notAfter),
            issuer: root.certificate.subject,
            subject: try subject(trustDomain, "issuer"),
            signatureAlgorithm: .ecdsaWithSHA256,
            extensions: extensions,
            issuerPrivateKey: Certificate.PrivateKey(root.key)
        )
        return SigningPair(certificate: certificate, key: key)
    }

    /// An X.509-SVID (SPIFFE X509-SVID §2 to §4); never outlives its issuer.
    static func makeLeaf(
        id: SPIFFEID,
        publicKey: Certificate.PublicKey,
        issuer: SigningPair,
        now: Date,
        lifetime: TimeInterval
    ) throws -> Certificate {
        // Peers whose clocks are behind must accept it at once. A tenth keeps the life of the
        // seconds-long certificates of tests from being mostly in the past.
        let backdate = min(leafBackdateMax, lifetime / 10)
        // X.509 counts whole seconds: round outwards, so that a lifetime is never cut short.
        let start = (now - backdate).timeIntervalSince1970.rounded(.down)
        let end = (now + lifetime).timeIntervalSince1970.rounded(.up)
        return try Certificate(
            version: .v3,
            serialNumber: serialNumber(),
            publicKey: publicKey,
            notValidBefore: max(Date(timeIntervalSince1970: start), issuer.notBefore),
            notValidAfter: min(Date(timeIntervalSince1970: end), issuer.notAfter),
            issuer: issuer.certificate.subject,
            subject: DistinguishedName(),
            signatureAlgorithm: .ecdsaWithSHA256,
            extensions: try Certificate.Extensions {
                Critical(BasicConstraints.notCertificateAuthority)
                Critical(KeyUsage(digitalSignature: true))
                try ExtendedKeyUsage([.serverAuth, .clientAuth])
                SubjectKeyIdentifier(hash: publicKey)
                authorityKeyIdentifier(of: issuer)
                // RFC 5280 §4.2.1.6: critical, since the subject is empty.
                Critical(
                    SubjectAlternativeNames([.uniformResourceIdentifier(id.description)])
                )
            },
            issuerPrivateKey: Certificate.PrivateKey(issuer.key)
        )
    }

    /// Whether verifiers can apply a URI name constraint to the trust domain: they read it as a
    /// DNS name, which knows no underscore and must not look like an IPv4 address.
    static func isConstrainable(_ trustDomain: TrustDomain) -> Bool {
        let name = trustDomain.name
        let labels = name.split(separator: ".", omittingEmptySubsequences: false)
        let areLabels = labels.allSatisfy { label in
            !label.isEmpty && !label.hasPrefix("-") && !label.hasSuffix("-")
        }
        let isNumeric = name.utf8.allSatisfy {
            (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) || $0 == UInt8(ascii: ".")
        }
        return areLabels && !isNumeric && !name.contains("_")
    }

    private static func authorityKeyIdentifier(
        of issuer: SigningPair
    ) -> AuthorityKeyIdentifier {
        let publicKey = Certificate.PublicKey(issuer.key.publicKey)
        return AuthorityKeyIdentifier(
            keyIdentifier: SubjectKeyIdentifier(hash: publicKey).keyIdentifier
        )
    }

    /// Distinct names per key keep path building unambiguous while issuers rotate.
    private static func subject(
        _ trustDomain: TrustDomain,
        _ role: String
    ) throws -> DistinguishedName {
        let suffix = String(UInt32.random(in: .min ... .max), radix: 16)
        return try DistinguishedName {
            OrganizationName(String(trustDomain.name.prefix(64)))
            CommonName("mesh \(role) \(suffix)")
        }
    }

    /// 127 random bits: positive in 16 bytes, and never 0 in practice (RFC 5280 §4.1.2.2).
    private static func serialNumber() -> Certificate.SerialNumber {
        var generator = SystemRandomNumberGenerator()
        var bytes = (0..<16).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
        bytes[0] &= 0x7f
        return Certificate.SerialNumber(bytes: bytes)
    }

    /// Longest back-dating of a leaf.
    private static let leafBackdateMax: TimeInterval = 5 * 60
    /// Signing certificates start earlier than any leaf may.
    private static let caBackdate: TimeInterval = 60 * 60
}
