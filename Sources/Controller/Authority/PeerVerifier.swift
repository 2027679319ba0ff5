import Foundation
import MeshModel
import SwiftASN1
import X509

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
                description: "\(chain.count) certificates, at most \(Self.chainCountMax)")
        }
        // The leaf first: its reasons are the ones an operator can act on.
        let id = try Self.identity(in: leaf)
        guard id.trustDomain == trustDomain else {
            throw PeerRefusal(description: "\(id) is not of the trust domain \(trustDomain)")
        }
        var verifier = Verifier(rootCertificates: CertificateStore(roots)) {
            // The library's own expiry check cannot be told the time.
            RFC5280Policy.withValidityCheckDisabled()
            ChainPolicy(now: now)
        }
        let result = await verifier.validate(
            leaf: leaf, intermediates: CertificateStore(chain.dropFirst()))
        switch result {
        case .validCertificate: return PeerIdentity(id: id, notAfter: leaf.notValidAfter)
        case .couldNotValidate(let failures):
            let reasons = failures.map { $0.policyFailureReason.description }
            throw PeerRefusal(
                description: reasons.isEmpty
                    ? "\(id) does not chain to a root of the trust bundle"
                    : "\(id): \(reasons.joined(separator: "; "))")
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
}

/// Validity at a given time, and the critical extensions that `PeerVerifier` reads itself.
private struct ChainPolicy: VerifierPolicy {
    let now: Date

    let verifyingCriticalExtensions: [ASN1ObjectIdentifier] = [
        .X509ExtensionID.subjectAlternativeName, .X509ExtensionID.extendedKeyUsage,
        .X509ExtensionID.keyUsage,
    ]

    func chainMeetsPolicyRequirements(
        chain: UnverifiedCertificateChain
    ) -> PolicyEvaluationResult {
        for (index, certificate) in chain.enumerated() {
            let role = index == 0 ? "the certificate" : "an issuer's certificate"
            guard certificate.notValidBefore <= now else {
                return .failsToMeetPolicy(
                    reason: "\(role) is not valid before \(certificate.notValidBefore.rfc3339)")
            }
            guard now <= certificate.notValidAfter else {
                return .failsToMeetPolicy(
                    reason: "\(role) expired at \(certificate.notValidAfter.rfc3339)")
            }
            // The library accepts any key usage; an issuer must be allowed to issue.
            let usage = try? certificate.extensions.keyUsage
            guard index == 0 || usage?.keyCertSign == true else {
                return .failsToMeetPolicy(reason: "\(role) may not sign certificates")
            }
        }
        return .meetsPolicy
    }
}

extension Date {
    /// `2026-11-21T01:02:03Z`.
    var rfc3339: String { formatted(.iso8601) }
}
