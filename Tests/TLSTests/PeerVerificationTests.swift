import Bytes
import MeshModel
import MeshTesting
import TLS
import Testing

@Suite struct PeerVerificationTests {
    let mesh = Mesh()

    /// Runs a handshake in which the client presents `pair`, whatever `TLSIdentity` would say.
    private func failureOfServer(
        presenting options: TestAuthority.LeafOptions,
        uri: String? = nil,
        authority: TestAuthority? = nil
    ) throws -> TLSError? {
        let leaf = (authority ?? mesh.authority).issuePEM(
            uri: uri ?? mesh.web.spiffeID.description,
            options
        )
        let stranger = try Stranger(
            certificateChain: leaf.certificateChain,
            privateKey: leaf.privateKey
        )
        return stranger.failure(of: try mesh.serverConnection())
    }

    @Test("a good leaf presented by the plain client is accepted, so the refusals below count")
    func control() throws {
        #expect(try failureOfServer(presenting: .init()) == nil)
    }

    @Test("an expired certificate is refused as such")
    func expired() throws {
        let failure = try failureOfServer(presenting: .init(startsIn: -7_200, endsIn: -60))
        #expect(failure == .peerCertificateExpired)
    }

    @Test("a certificate that is not valid yet is refused as such")
    func notYetValid() throws {
        let failure = try failureOfServer(presenting: .init(startsIn: 600))
        #expect(failure == .peerCertificateNotYetValid)
    }

    @Test("an authority's certificate never authenticates")
    func authorityAsLeaf() throws {
        let failure = try failureOfServer(presenting: .init(isAuthority: true))
        #expect(failure == .peerNotSVID(.isAuthority))
    }

    @Test("two URI names are refused, also when both are good")
    func twoNames() throws {
        let failure = try failureOfServer(
            presenting: .init(extraNames: ["URI:spiffe://mesh.test/ns/default/sa/admin"])
        )
        #expect(failure == .peerNotSVID(.uriCount))
    }

    @Test("a DNS name beside the SPIFFE ID is allowed and ignored")
    func dnsName() throws {
        #expect(try failureOfServer(presenting: .init(extraNames: ["DNS:web"])) == nil)
    }

    @Test("a certificate without a URI name is refused")
    func noName() throws {
        let failure = try failureOfServer(presenting: .init(hasSPIFFEID: false))
        #expect(failure == .peerNotSVID(.uriCount))
    }

    @Test(
        "a URI that is no workload's SPIFFE ID is refused",
        arguments: [
            "https://mesh.test/ns/default/sa/web", "spiffe://mesh.test", "spiffe://MESH.test/a",
            "spiffe://mesh.test/a/../b", "spiffe://mesh.test/a/", "spiffe://mesh.test:80/a",
            "spiffe://mesh.test/a?b", "spiffe://mesh.test//a",
        ]
    )
    func badName(uri: String) throws {
        #expect(try failureOfServer(presenting: .init(), uri: uri) == .peerNotSVID(.invalidID))
    }

    @Test(
        "key usage must be a leaf's",
        arguments: [
            (nil, TLSError.peerNotSVID(.keyUsage)),
            ("critical,digitalSignature,cRLSign", .peerNotSVID(.keyUsage)),
            // Without basic constraints keyCertSign alone makes a certificate an authority's.
            ("critical,digitalSignature,keyCertSign", .peerNotSVID(.isAuthority)),
            // OpenSSL's own check of the purpose comes first.
            (
                "critical,keyEncipherment",
                .peerUntrusted(reason: "unsuitable certificate purpose")
            ),
        ]
    )
    func keyUsage(usage: String?, expected: TLSError) throws {
        #expect(try failureOfServer(presenting: .init(keyUsage: usage)) == expected)
    }

    @Test("extended key usage must hold both purposes", arguments: [nil, "clientAuth"])
    func extendedKeyUsage(usage: String?) throws {
        let failure = try failureOfServer(presenting: .init(extendedKeyUsage: usage))
        #expect(failure == .peerNotSVID(.extendedKeyUsage))
    }

    @Test("another authority of the same trust domain is not trusted")
    func foreignRoot() throws {
        let failure = try failureOfServer(presenting: .init(), authority: TestAuthority())
        guard case .peerUntrusted = failure else {
            Issue.record("\(String(describing: failure))")
            return
        }
    }

    @Test("an expired issuing certificate is refused although the leaf is valid")
    func expiredIssuer() throws {
        let failing = Mesh(TestAuthority(issuingEndsIn: -60))
        let pair = try failing.pair().connect()
        #expect(pair.clientFailure == .peerUntrusted(reason: "certificate has expired"))
    }

    @Test("an ID of another trust domain is refused even from the trusted authority")
    func wrongTrustDomain() throws {
        let id = try #require(SPIFFEID("spiffe://other.test/ns/default/sa/web"))
        let failure = try failureOfServer(presenting: .init(), uri: id.description)
        #expect(
            failure == .wrongTrustDomain(found: id, expected: mesh.authority.trustDomain)
        )
    }

    @Test("a client without a certificate is refused and told so")
    func noCertificate() throws {
        let anonymous = try TLSContext(
            role: .client,
            identity: nil,
            trustBundle: mesh.authority.trustBundle,
            trustDomain: mesh.authority.trustDomain
        )
        let pair = try mesh.pair(client: anonymous).connect()
        #expect(pair.serverFailure == .peerCertificateMissing)
        #expect(
            pair.clientFailure == .peerAlert(description: "tlsv13 alert certificate required")
        )
        #expect(pair.server.peerIdentity == nil)
    }

    @Test("a client refuses a workload other than the one it means")
    func wrongServer() throws {
        let expected = mesh.authority.id("/ns/default/sa/inventory")
        let pair = try mesh.pair(expects: [expected]).connect()
        #expect(
            pair.clientFailure
                == .wrongIdentity(found: mesh.orders.spiffeID, expected: [expected])
        )
        guard case .peerAlert = pair.serverFailure else {
            Issue.record("\(String(describing: pair.serverFailure))")
            return
        }
    }

    @Test("a client takes any one of several expected peers")
    func severalExpected() throws {
        let other = mesh.authority.id("/ns/default/sa/inventory")
        let pair = try mesh.pair(expects: [other, mesh.orders.spiffeID]).connect()
        #expect(pair.client.isEstablished)
    }

    @Test("a server may be told which clients it is for")
    func serverExpects() throws {
        let pair = try ConnectionPair(
            client: mesh.client(),
            server: mesh.server(),
            clientExpects: [mesh.orders.spiffeID],
            serverExpects: [mesh.authority.id("/ns/default/sa/admin")]
        ).connect()
        #expect(pair.serverFailure?.label.description == "wrong_identity")
    }

    @Test("every kind of failure has its own label")
    func labels() {
        let id = mesh.web.spiffeID
        let all: [TLSError] = [
            .peerCertificateMissing, .peerCertificateExpired, .peerCertificateNotYetValid,
            .peerUntrusted(reason: ""), .peerNotSVID(.keyUsage),
            .wrongTrustDomain(found: id, expected: id.trustDomain),
            .wrongIdentity(found: id, expected: []), .peerAlert(description: ""),
            .versionMismatch, .applicationProtocolMismatch, .protocolError(reason: ""),
            .truncated, .closed, .invalidCredentials(reason: ""), .libraryFailure(reason: ""),
        ]
        #expect(Set(all.map(\.label.description)).count == all.count)
        #expect(all.allSatisfy { !$0.description.isEmpty && !$0.description.contains("\n") })
    }
}
