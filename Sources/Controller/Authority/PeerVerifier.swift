import Foundation
import MeshModel
import SwiftASN1
// Only this way in can be told the time; the library's documentation names it for that.
@_spi(FixedExpiryValidationTime) import X509

/// A peer that proved who it is.
struct PeerIdentity: Sendable, Equatable {
    let id: SPIFFEID
    /// End of the certificate it proved it with.
    let notAfter: Date
}

/// Why a presented certificate chain is not accepted.
struct PeerRefusal: Error, Equatable, CustomStringConvertible {
    let description: String
}

/// Checks client certificates as X.509-SVIDs of one trust domain (SPIFFE X509-SVID §5).
struct PeerVerifier: Sendable {
    let trustDomain: TrustDomain
    let roots: [Certificate]

    /// The identity in `chain` (leaf first), or why it proves none at time `now`.
    func verify(_ chain: [Certificate], now: Date) async throws(PeerRefusal) -> PeerIdentity {
        guard let leaf = chain.first else { throw PeerRefusal(description: "no certificate") }
        guard chain.count <= Self.chainCountMax else {
            throw PeerRefusal(
                description: "\(chain.count) certificates, at most \(Self.chainCountMax)"
            )
        }
        // The leaf first: its reasons are the ones an operator can act on.
        let id = try Self.identity(in: leaf)
        guard id.trustDomain == trustDomain else {
            throw PeerRefusal(description: "\(id) is not of the trust domain \(trustDomain)")
        }
        guard leaf.notValidBefore <= now else {
            throw PeerRefusal(
                description: "\(id) is not valid before \(leaf.notValidBefore.rfc3339)"
            )
        }
        guard now <= leaf.notValidAfter else {
            throw PeerRefusal(description: "\(id) expired at \(leaf.notValidAfter.rfc3339)")
        }
        var verifier = Verifier(rootCertificates: CertificateStore(roots)) {
            RFC5280Policy(fixedExpiryValidationTime: now)
            IssuerPolicy()
        }
        let result = await verifier.validate(
            leaf: leaf,
            intermediates: CertificateStore(chain.dropFirst())
        )
        switch result {
        case .validCertificate: return PeerIdentity(id: id, notAfter: leaf.notValidAfter)
        case .couldNotValidate(let failures):
            guard let reason = failures.first?.policyFailureReason.description else {
                throw PeerRefusal(
                    description: "\(id) does not chain to a root of the trust bundle"
                )
            }
            // The library prints whole certificates, the peer's names included.
            throw PeerRefusal(description: "\(id): \(reason.prefix(Self.reasonCharactersMax))")
        }
    }

    /// The one SPIFFE ID of a leaf that may authenticate a client.
    static func identity(in leaf: Certificate) throws(PeerRefusal) -> SPIFFEID {
        do {
            let extensions = leaf.extensions
            if case .isCertificateAuthority? = try extensions.basicConstraints {
                throw PeerRefusal(description: "a signing certificate never authenticates")
            }
            guard let usage = try extensions.keyUsage, usage.digitalSignature,
                !usage.keyCertSign, !usage.cRLSign
            else {
                throw PeerRefusal(description: "key usage is not digitalSignature alone")
            }
            // Absent means every usage (RFC 5280 §4.2.1.12).
            if let extended = try extensions.extendedKeyUsage {
                guard extended.contains(.clientAuth) else {
                    throw PeerRefusal(description: "not for client authentication")
                }
            }
            return try spiffeID(in: try extensions.subjectAlternativeNames)
        } catch let refusal as PeerRefusal {
            throw refusal
        } catch {
            throw PeerRefusal(description: "unreadable extension: \(error)")
        }
    }

    private static func spiffeID(
        in names: SubjectAlternativeNames?
    ) throws(PeerRefusal) -> SPIFFEID {
        var uris: [String] = []
        for case .uniformResourceIdentifier(let uri) in names ?? SubjectAlternativeNames() {
            uris.append(uri)
        }
        guard uris.count == 1 else {
            throw PeerRefusal(description: "\(uris.count) URI names, an X.509-SVID has one")
        }
        guard let id = SPIFFEID(uris[0]) else {
            throw PeerRefusal(description: "the URI name is not the SPIFFE ID of a workload")
        }
        return id
    }

    /// Leaf, issuer, and one more for a cross-signed root.
    private static let chainCountMax = 4
    private static let reasonCharactersMax = 256
}

/// Issuers may issue; and the critical extensions that `PeerVerifier` reads itself are known.
private struct IssuerPolicy: VerifierPolicy {
    let verifyingCriticalExtensions: [ASN1ObjectIdentifier] = [
        .X509ExtensionID.subjectAlternativeName, .X509ExtensionID.extendedKeyUsage,
        .X509ExtensionID.keyUsage,
    ]

    func chainMeetsPolicyRequirements(
        chain: UnverifiedCertificateChain
    ) -> PolicyEvaluationResult {
        // The library accepts any key usage, see its RFC5280Policy.
        for issuer in chain.dropFirst() {
            let usage = try? issuer.extensions.keyUsage
            guard usage?.keyCertSign == true else {
                return .failsToMeetPolicy(reason: "an issuer may not sign certificates")
            }
        }
        return .meetsPolicy
    }
}

extension Date {
    /// `2026-11-21T01:02:03Z`.
    var rfc3339: String { formatted(.iso8601) }
}
