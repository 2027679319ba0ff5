import Crypto
import Foundation
import MeshModel
import Testing
import X509

@testable import Controller

@Suite("Peer verifier")
struct PeerVerifierTests {
    private let now = Date(timeIntervalSince1970: 1_800_000_000)
    private let domain: TrustDomain
    private let root: SigningPair
    private let issuer: SigningPair

    init() throws {
        domain = try #require(TrustDomain("mesh.test"))
        root = try CertificateProfile.makeRoot(
            trustDomain: domain,
            now: now,
            lifetime: 1_000_000
        )
        issuer = try CertificateProfile.makeIssuer(
            trustDomain: domain,
            root: root,
            now: now,
            lifetime: 1_000_000
        )
    }

    private var verifier: PeerVerifier {
        PeerVerifier(trustDomain: domain, roots: [root.certificate])
    }

    private func leaf(
        _ id: SPIFFEID,
        issuer: SigningPair? = nil
    ) throws -> Certificate {
        try CertificateProfile.makeLeaf(
            id: id,
            publicKey: Certificate.PublicKey(P256.Signing.PrivateKey().publicKey),
            issuer: issuer ?? self.issuer,
            now: now,
            lifetime: 3600
        )
    }

    /// A leaf with extensions of the test's choice.
    private func leaf(
        @ExtensionsBuilder _ extensions: () throws -> Result<Certificate.Extensions, any Error>
    ) throws -> Certificate {
        try Certificate(
            version: .v3,
            serialNumber: Certificate.SerialNumber(),
            publicKey: Certificate.PublicKey(P256.Signing.PrivateKey().publicKey),
            notValidBefore: now,
            notValidAfter: now + 3600,
            issuer: issuer.certificate.subject,
            subject: DistinguishedName(),
            signatureAlgorithm: .ecdsaWithSHA256,
            extensions: try Certificate.Extensions(builder: extensions),
            issuerPrivateKey: Certificate.PrivateKey(issuer.key)
        )
    }

    private func expectRefusal(
        _ chain: [Certificate],
        at time: Date? = nil,
        naming reason: String,
        sourceLocation: SourceLocation = #_sourceLocation
    ) async {
        do {
            let peer = try await verifier.verify(chain, now: time ?? now)
            Issue.record("accepted \(peer.id)", sourceLocation: sourceLocation)
        } catch {
            #expect(
                error.description.contains(reason),
                "\(error)",
                sourceLocation: sourceLocation
            )
        }
    }

    @Test("A leaf of ours proves its identity")
    func accepted() async throws {
        let id = try spiffeID("web")
        let leaf = try leaf(id)
        let peer = try await verifier.verify([leaf, issuer.certificate], now: now)
        #expect(peer == PeerIdentity(id: id, notAfter: leaf.notValidAfter))
    }

    @Test(
        "A leaf is accepted under every trust domain, constrained or not",
        arguments: ["mesh", "my_mesh", "10.0.0.1", "a.b-c.d"]
    )
    func everyDomain(name: String) async throws {
        let domain = try #require(TrustDomain(name))
        let root = try CertificateProfile.makeRoot(
            trustDomain: domain,
            now: now,
            lifetime: 1_000_000
        )
        let issuer = try CertificateProfile.makeIssuer(
            trustDomain: domain,
            root: root,
            now: now,
            lifetime: 1_000_000
        )
        let leaf = try leaf(try spiffeID("web", domain: name), issuer: issuer)
        let verifier = PeerVerifier(trustDomain: domain, roots: [root.certificate])
        _ = try await verifier.verify([leaf, issuer.certificate], now: now)
    }

    @Test("Before its start and after its end a leaf proves nothing")
    func validity() async throws {
        let chain = [try leaf(try spiffeID("web")), issuer.certificate]
        await expectRefusal(chain, at: now - 600, naming: "not valid before")
        await expectRefusal(chain, at: now + 3601, naming: "expired")
    }

    @Test("Neither a foreign root nor a missing issuer is bridged")
    func foreign() async throws {
        let foreignRoot = try CertificateProfile.makeRoot(
            trustDomain: domain,
            now: now,
            lifetime: 1_000_000
        )
        let foreignIssuer = try CertificateProfile.makeIssuer(
            trustDomain: domain,
            root: foreignRoot,
            now: now,
            lifetime: 1_000_000
        )
        let id = try spiffeID("web")
        let foreignLeaf = try leaf(id, issuer: foreignIssuer)
        await expectRefusal(
            [foreignLeaf, foreignIssuer.certificate, foreignRoot.certificate],
            naming: "does not chain"
        )
        await expectRefusal([try leaf(id)], naming: "does not chain")
        await expectRefusal([], naming: "no certificate")
        await expectRefusal(
            Array(repeating: try leaf(id), count: 5),
            naming: "5 certificates"
        )
    }

    @Test("Another trust domain is refused, even if our issuer signed it")
    func otherDomain() async throws {
        let leaf = try leaf(try spiffeID("web", domain: "other.test"))
        await expectRefusal([leaf, issuer.certificate], naming: "other.test")
        let other = try #require(TrustDomain("other.test"))
        let lenient = PeerVerifier(trustDomain: other, roots: [root.certificate])
        await #expect(throws: PeerRefusal.self) {
            try await lenient.verify([leaf, issuer.certificate], now: now)
        }
    }

    @Test("A leaf that signs is no issuer")
    func leafAsIssuer() async throws {
        let key = P256.Signing.PrivateKey()
        let middle = try CertificateProfile.makeLeaf(
            id: try spiffeID("web"),
            publicKey: Certificate.PublicKey(key.publicKey),
            issuer: issuer,
            now: now,
            lifetime: 3600
        )
        let forged = try leaf(
            try spiffeID("admin"),
            issuer: SigningPair(certificate: middle, key: key)
        )
        await expectRefusal([forged, middle, issuer.certificate], naming: "admin")
    }

    @Test("Signing certificates, other usages and other names do not authenticate")
    func leafRules() async throws {
        let id = try spiffeID("web").description
        let name = SubjectAlternativeNames([.uniformResourceIdentifier(id)])
        let signature = KeyUsage(digitalSignature: true)
        let certificates: [(Certificate, String)] = [
            (issuer.certificate, "signing certificate"),
            (try leaf { signature }, "0 URI names"),
            (
                try leaf {
                    signature
                    SubjectAlternativeNames([
                        .uniformResourceIdentifier(id), .uniformResourceIdentifier(id + "2"),
                    ])
                }, "2 URI names"
            ),
            (
                try leaf {
                    signature
                    SubjectAlternativeNames([.uniformResourceIdentifier("spiffe://mesh.test")])
                }, "not the SPIFFE ID"
            ),
            (
                try leaf {
                    signature
                    SubjectAlternativeNames([.uniformResourceIdentifier("https://mesh.test/a")])
                }, "not the SPIFFE ID"
            ),
            (try leaf { name }, "key usage"),
            (
                try leaf {
                    KeyUsage(digitalSignature: true, keyCertSign: true)
                    name
                }, "key usage"
            ),
            (
                try leaf {
                    signature
                    try ExtendedKeyUsage([.serverAuth])
                    name
                }, "client authentication"
            ),
            (
                try leaf {
                    Critical(BasicConstraints.isCertificateAuthority(maxPathLength: nil))
                    signature
                    name
                }, "signing certificate"
            ),
        ]
        for (certificate, reason) in certificates {
            await expectRefusal([certificate, issuer.certificate], naming: reason)
        }
    }
}
