import MeshModel
import MeshTesting
import TLS
import Testing

@Suite struct CredentialsTests {
    let authority = TestAuthority()

    @Test("a fresh key's request, signed by an authority, makes an identity")
    func enrolment() throws {
        let key = try PrivateKey.generate()
        let request = try key.certificateRequest()
        #expect(request.hasPrefix("-----BEGIN CERTIFICATE REQUEST-----"))
        let uri = "spiffe://mesh.test/ns/default/sa/web"
        let chain = authority.sign(requestPEM: request, uri: uri)
        let identity = try TLSIdentity(certificateChainPEM: chain, privateKeyPEM: key.pem())
        #expect(identity.spiffeID.description == uri)
    }

    @Test("a key survives its PEM form, which is PKCS#8")
    func keyRoundTrip() throws {
        let key = try PrivateKey.generate()
        let pem = try key.pem()
        #expect(pem.hasPrefix("-----BEGIN PRIVATE KEY-----"))
        #expect(try PrivateKey(pem: pem).pem() == pem)
        #expect(try PrivateKey.generate().pem() != pem)
    }

    @Test("facts of a chain: times, ID, serial, issuer, leaf first")
    func facts() throws {
        let identity = authority.issue("/ns/default/sa/web", lifetime: 1_000)
        let chain = try CertificateFacts.chain(pem: identity.certificateChainPEM)
        #expect(chain.count == 2)
        #expect(chain[0].spiffeID == identity.spiffeID)
        #expect(chain[0].notAfter - chain[0].notBefore == 1_060)
        #expect(chain[0].issuer == "CN=mesh.test issuing")
        #expect(!chain[0].serial.isEmpty && chain[0].serial != chain[1].serial)
        #expect(chain[1].spiffeID == nil)
        #expect(chain[0].pem + chain[1].pem == identity.certificateChainPEM)
    }

    @Test("times before 2050 and from then on are read alike (RFC 5280 §4.1.2.5)")
    func farFuture() throws {
        let far = authority.issuePEM(
            uri: "spiffe://mesh.test/a",
            .init(startsIn: 0, endsIn: 1_000_000_000)
        )
        let facts = try CertificateFacts.chain(pem: far.certificateChain)[0]
        #expect(facts.notAfter - facts.notBefore == 1_000_000_000)
        #expect(facts.notAfter > 2_524_608_000, "beyond 2050, so GeneralizedTime")
    }

    @Test("a key of another certificate is refused")
    func mismatch() throws {
        let one = authority.issuePEM(uri: "spiffe://mesh.test/a")
        let other = authority.issuePEM(uri: "spiffe://mesh.test/a")
        #expect(throws: TLSError.self) {
            try TLSIdentity(
                certificateChainPEM: one.certificateChain,
                privateKeyPEM: other.privateKey
            )
        }
    }

    @Test("an identity that is no X.509-SVID is refused when it is loaded")
    func notSVID() throws {
        let bad = authority.issuePEM(uri: "spiffe://mesh.test/a", .init(isAuthority: true))
        #expect(throws: TLSError.self) {
            try TLSIdentity(
                certificateChainPEM: bad.certificateChain,
                privateKeyPEM: bad.privateKey
            )
        }
    }

    @Test("a leaf does not serve as trust anchor, and an empty bundle is refused")
    func badBundles() throws {
        let identity = authority.issue("/a")
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n"
        for bundle in [[], [""], [identity.leaf.pem], [broken]] {
            #expect(throws: TLSError.self) {
                try TLSContext(
                    role: .client,
                    identity: identity,
                    trustBundle: bundle,
                    trustDomain: authority.trustDomain
                )
            }
        }
    }

    @Test("an identity of another trust domain is refused")
    func foreignIdentity() throws {
        let other = TestAuthority(trustDomain: "other.test")
        #expect(throws: TLSError.self) {
            try TLSContext(
                role: .server,
                identity: other.issue("/a"),
                trustBundle: authority.trustBundle,
                trustDomain: authority.trustDomain
            )
        }
    }

    @Test("damaged PEM is an error that says so, never a trap", arguments: 1...60)
    func damagedPEM(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let identity = authority.issue("/a")
        var bytes = Array(identity.certificateChainPEM.utf8)
        let index = Int.random(in: 0..<bytes.count, using: &generator)
        if seed.isMultiple(of: 2) {
            bytes.removeSubrange(index...)
        } else {
            bytes[index] = UInt8.random(in: 0...255, using: &generator)
        }
        let text = String(decoding: bytes, as: UTF8.self)
        do {
            let facts = try CertificateFacts.chain(pem: text)
            #expect(facts.count <= 2)
        } catch {
            let label = error.label.description
            #expect(label == "invalid_credentials" || label == "library_failure")
        }
    }

    @Test("an encrypted or damaged key is refused without asking anybody")
    func badKeys() {
        for pem in ["", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
            #expect(throws: TLSError.self) { try PrivateKey(pem: pem) }
        }
    }

    @Test("printing an identity shows no key")
    func noSecrets() throws {
        let identity = authority.issue("/a")
        var dumped = ""
        dump(identity, to: &dumped)
        for text in ["\(identity)", String(reflecting: identity), dumped] {
            #expect(!text.contains("PRIVATE KEY"))
        }
    }
}
