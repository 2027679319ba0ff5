import ControlProtocol
import Crypto
import Foundation
import MeshModel
import SwiftASN1
import Testing
import X509

@testable import Controller

@Suite("Enrolment and renewal over the stream", .timeLimit(.minutes(2)))
struct EnrolmentTests {
    private func enrol(
        _ controller: MeshController,
        token: String,
        request: String? = nil,
        key: P256.Signing.PrivateKey = P256.Signing.PrivateKey()
    ) async throws -> ControllerMessage {
        let request = try request ?? Requests.pem(key: Certificate.PrivateKey(key))
        return try await StreamClient.connect(
            to: controller,
            trusting: controller.operators.authority.trustBundle
        ) { client in
            try await client.send(
                .enrol(Enrolment(token: token, certificateSigningRequest: request))
            )
            let answer = try await client.next()
            #expect(await client.isEnded())
            return answer
        }
    }

    private func token(
        _ controller: MeshController,
        _ workload: String = "web",
        lifetime: Double = 60
    ) async throws -> String {
        try await controller.operators.makeToken(
            TokenRequest(
                workload: workload,
                namespace: "default",
                lifetimeSeconds: lifetime
            )
        ).token
    }

    private func refusal(_ message: ControllerMessage, of request: RefusedRequest) -> String? {
        guard case .refused(request, let reason) = message else { return nil }
        return reason
    }

    @Test("A good token buys the identity it is bound to, which then opens a subscription")
    func enrolThenSubscribe() async throws {
        try await ControllerHarness().run { controller in
            let key = P256.Signing.PrivateKey()
            let answer = try await enrol(
                controller,
                token: try await token(controller),
                key: key
            )
            guard case .issued(let issued) = answer else {
                Issue.record("\(answer)")
                return
            }
            #expect(issued.spiffeID == (try spiffeID("web")))
            #expect(issued.trustBundle == controller.operators.authority.trustBundle)
            let identity = ClientIdentity(chain: issued.certificateChain, key: key)
            try await StreamClient.connect(
                to: controller,
                as: identity,
                trusting: issued.trustBundle
            ) { client in
                let offer = try await client.subscribeAndAck()
                let snapshot = try MeshSnapshot.decode(json: offer.body)
                #expect(snapshot.workload == issued.spiffeID)
                #expect(snapshot.version == offer.reference.version)
                #expect(snapshot.trustBundle == issued.trustBundle)
                #expect(snapshot.services.map(\.name) == ["orders.default"])
                let server = try #require(try await client.serverCertificate())
                #expect(
                    Array(try #require(try server.extensions.subjectAlternativeNames))
                        == [.uniformResourceIdentifier("spiffe://mesh.test/mesh/controller")]
                )
            }
        }
    }

    @Test("A used, an expired and an unknown token are refused with the reason")
    func refusedTokens() async throws {
        let harness = try ControllerHarness()
        try await harness.run { controller in
            let used = try await token(controller)
            _ = try await enrol(controller, token: used)
            let again = try await enrol(controller, token: used)
            #expect(refusal(again, of: .enrol)?.contains("was used") == true)
            let unknown = try await enrol(controller, token: "guess")
            #expect(refusal(unknown, of: .enrol)?.contains("unknown") == true)
            let expired = try await token(controller)
            harness.time.advance(61)
            let late = try await enrol(controller, token: expired)
            #expect(refusal(late, of: .enrol)?.contains("expired") == true)
        }
    }

    @Test("A bad request is refused with the reason and leaves the token good")
    func badRequest() async throws {
        try await ControllerHarness().run { controller in
            let token = try await token(controller)
            let request = try Requests.pem(names: [.dnsName("admin")])
            let answer = try await enrol(controller, token: token, request: request)
            #expect(refusal(answer, of: .enrol)?.contains("admin") == true)
            guard case .issued = try await enrol(controller, token: token) else {
                Issue.record("the token was spent")
                return
            }
        }
    }

    @Test("Without a certificate everything but enrol is refused and ends the stream")
    func anonymous() async throws {
        try await ControllerHarness().run { controller in
            let requests: [ClientMessage] = [
                .resync(holding: nil), .ping,
                .renew(certificateSigningRequest: try Requests.pem()),
            ]
            for message in requests {
                try await StreamClient.connect(to: controller) { client in
                    try await client.send(message)
                    let answer = try await client.next()
                    #expect(refusal(answer, of: .hello)?.contains("certificate") == true)
                    #expect(await client.isEnded())
                }
            }
            #expect(await controller.operators.registry.reports().isEmpty)
        }
    }

    @Test("No foreign, ended or signing certificate and none of another domain is let in")
    func foreignCertificates() async throws {
        let harness = try ControllerHarness()
        try await harness.run { controller in
            let now = harness.time.now
            let issuer = try harness.issuer()
            let domain = try #require(TrustDomain("mesh.test"))
            let foreignRoot = try CertificateProfile.makeRoot(
                trustDomain: domain,
                now: now,
                lifetime: 3600
            )
            let foreign = try CertificateProfile.makeIssuer(
                trustDomain: domain,
                root: foreignRoot,
                now: now,
                lifetime: 3600
            )
            let web = try spiffeID("web")
            let identities = [
                try ClientIdentity.issued(web, by: foreign, now: now),
                try ClientIdentity.issued(
                    try spiffeID("web", domain: "other.test"),
                    by: issuer,
                    now: now
                ),
                try ClientIdentity.issued(web, by: issuer, now: now - 7200, lifetime: 60),
                ClientIdentity(
                    chain: [try issuer.certificate.serializeAsPEM().pemString],
                    key: issuer.key
                ),
            ]
            for identity in identities {
                // TLS 1.3 tells the client only after its own handshake is done.
                let isRefused = try? await StreamClient.connect(to: controller, as: identity) {
                    client in
                    try await client.subscribe()
                    return await client.isEnded()
                }
                #expect(isRefused != false)
            }
            #expect(await controller.operators.registry.reports().isEmpty)
            let good = try ClientIdentity.issued(web, by: issuer, now: now)
            try await StreamClient.connect(to: controller, as: good) { client in
                _ = try await client.subscribeAndAck()
            }
        }
    }

    @Test("A valid certificate renews with a new key, on the stream it authenticated")
    func renew() async throws {
        let harness = try ControllerHarness()
        try await harness.run { controller in
            let web = try spiffeID("web")
            let identity = try ClientIdentity.issued(
                web,
                by: try harness.issuer(),
                now: harness.time.now
            )
            try await StreamClient.connect(to: controller, as: identity) { client in
                let key = P256.Signing.PrivateKey()
                try await client.send(
                    .renew(
                        certificateSigningRequest: try Requests.pem(
                            key: Certificate.PrivateKey(key)
                        )
                    )
                )
                guard case .issued(let issued) = try await client.next() else {
                    Issue.record("not issued")
                    return
                }
                #expect(issued.spiffeID == web)
                let leaf = try #require(try certificates(issued.certificateChain).first)
                #expect(leaf.publicKey == Certificate.PublicKey(key.publicKey))
                try await client.send(.renew(certificateSigningRequest: "rubbish"))
                let refused = try await client.next()
                #expect(refusal(refused, of: .renew)?.contains("cannot be read") == true)
            }
        }
    }

    @Test("A workload that was removed can neither renew, nor subscribe, nor enrol")
    func removedWorkload() async throws {
        let harness = try ControllerHarness()
        try await harness.run { controller in
            let identity = try ClientIdentity.issued(
                try spiffeID("web"),
                by: try harness.issuer(),
                now: harness.time.now
            )
            let token = try await token(controller)
            try await StreamClient.connect(to: controller, as: identity) { client in
                _ = try await client.subscribeAndAck()
                try harness.write(ControllerHarness.manifest(workloads: ["shop"]))
                let told = try await client.next()
                #expect(refusal(told, of: .hello)?.contains("not a workload") == true)
                #expect(await client.isEnded())
            }
            try await StreamClient.connect(to: controller, as: identity) { client in
                try await client.send(
                    .renew(certificateSigningRequest: try Requests.pem())
                )
                let answer = try await client.next()
                #expect(refusal(answer, of: .renew)?.contains("not a workload") == true)
                try await client.subscribe()
                let refused = try await client.next()
                #expect(refusal(refused, of: .hello) != nil)
            }
            let answer = try await enrol(controller, token: token)
            #expect(refusal(answer, of: .enrol)?.contains("not a workload") == true)
        }
    }

    @Test("A stream ends with the certificate that opened it, unless that was renewed on it")
    func expiry() async throws {
        let harness = try ControllerHarness()
        try await harness.run { controller in
            let issuer = try harness.issuer()
            let identity = try ClientIdentity.issued(
                try spiffeID("web"),
                by: issuer,
                now: harness.time.now,
                lifetime: 60
            )
            try await StreamClient.connect(to: controller, as: identity) { client in
                _ = try await client.subscribeAndAck()
                try await client.send(.renew(certificateSigningRequest: try Requests.pem()))
                guard case .issued = try await client.next() else {
                    Issue.record("not issued")
                    return
                }
                harness.time.advance(120)
                try await client.send(.ping)
                #expect(try await client.next() == .pong)
                harness.time.advance(3600)
                #expect(await client.isEnded())
            }
        }
    }

    @Test("The controller's own certificate is renewed without dropping a stream")
    func serverRenewal() async throws {
        let harness = try ControllerHarness()
        try await harness.run { controller in
            let identity = try ClientIdentity.issued(
                try spiffeID("web"),
                by: try harness.issuer(),
                now: harness.time.now,
                lifetime: 30 * 24 * 3600
            )
            try await StreamClient.connect(to: controller, as: identity) { old in
                _ = try await old.subscribeAndAck("old")
                let before = try #require(try await old.serverCertificate())
                harness.time.advance(17 * 3600)
                try await controller.identity.renewIfDue()
                try await StreamClient.connect(to: controller, as: identity) { new in
                    _ = try await new.subscribeAndAck("new")
                    let after = try #require(try await new.serverCertificate())
                    #expect(after.serialNumber != before.serialNumber)
                    #expect(after.notValidAfter > before.notValidAfter)
                }
                try await old.send(.ping)
                #expect(try await old.next() == .pong)
            }
        }
    }
}
