import ControlProtocol
import Crypto
import Foundation
import Logging
import MeshModel
import SwiftASN1
import Testing
import X509

@testable import Controller

@Suite("Certificate authority")
struct CertificateAuthorityTests {
    private let temporary: TemporaryDirectory
    private let time = MovableClock(Date(timeIntervalSince1970: 1_800_000_000))
    private let domain: TrustDomain
    private let day: TimeInterval = 24 * 60 * 60

    init() throws {
        temporary = try TemporaryDirectory()
        domain = try #require(TrustDomain("mesh.test"))
    }

    private func open(
        _ lifetimes: AuthorityLifetimes = AuthorityLifetimes(),
        failing step: StateDirectory.Step? = nil
    ) throws -> CertificateAuthority {
        struct Crash: Error {}
        let directory = try StateDirectory(path: temporary.path) { reached in
            if reached == step { throw Crash() }
        }
        return try CertificateAuthority(
            directory: directory,
            trustDomain: domain,
            clock: time.clock,
            lifetimes: lifetimes,
            logger: .silent
        )
    }

    private func enrol(
        _ authority: CertificateAuthority,
        _ token: String,
        request: String? = nil,
        lifetime: TimeInterval = 3600,
        isWorkload: Bool = true
    ) async throws -> IssuedCertificate {
        try await authority.enrol(
            Enrolment(
                token: token,
                certificateSigningRequest: try request ?? Requests.pem()
            ),
            lifetime: lifetime
        ) { _ in isWorkload }
    }

    @Test("The first run makes an authority, later runs load the same one")
    func reload() async throws {
        let bundle = try open().trustBundle
        #expect(try open().trustBundle == bundle)
        #expect(try temporary.mode("authority.json") == 0o600)
    }

    @Test("Another trust domain is refused, with both names")
    func otherTrustDomain() throws {
        _ = try open()
        let other = try #require(TrustDomain("other.test"))
        let directory = try StateDirectory(path: temporary.path)
        let error = #expect(throws: AuthorityStateError.self) {
            try CertificateAuthority(
                directory: directory,
                trustDomain: other,
                logger: .silent
            )
        }
        #expect(error?.description.contains("mesh.test") == true)
        #expect(error?.description.contains("other.test") == true)
    }

    @Test("A damaged state file is an error, never a silent new authority")
    func damaged() throws {
        _ = try open()
        let file = "\(temporary.path)/authority.json"
        let content = try String(contentsOfFile: file, encoding: .utf8)
        for damaged in [
            "", "{}", String(content.dropLast(100)), content.replacing("MI", with: "MJ"),
        ] {
            try Data(damaged.utf8).write(to: URL(filePath: file))
            #expect(throws: AuthorityStateError.self) { try open() }
        }
    }

    @Test("A key that does not fit its certificate is found at the start")
    func swappedKeys() throws {
        _ = try open()
        let file = URL(filePath: "\(temporary.path)/authority.json")
        var json = try #require(
            JSONSerialization.jsonObject(with: Data(contentsOf: file)) as? [String: Any]
        )
        var root = try #require(json["root"] as? [String: String])
        root["key"] = (json["issuer"] as? [String: String])?["key"]
        json["root"] = root
        try JSONSerialization.data(withJSONObject: json).write(to: file)
        #expect(throws: AuthorityStateError.self) { try open() }
    }

    @Test(
        "A crash at any step of the first run leaves a directory the next run can start from",
        arguments: StateDirectory.Step.allCases
    )
    func crashAtFirstRun(step: StateDirectory.Step) throws {
        #expect(throws: (any Error).self) { try open(failing: step) }
        _ = try open()
    }

    @Test("A leaf is an X.509-SVID by the letter")
    func leafProfile() async throws {
        let authority = try open()
        let id = try spiffeID("web")
        let token = try await authority.makeToken(for: id, lifetime: 60).token
        let issued = try await enrol(authority, token, lifetime: 24 * 3600)
        let chain = try certificates(issued.chain)
        let leaf = try #require(chain.first)
        #expect(issued.id == id)
        #expect(leaf.subject.isEmpty)
        let names = try #require(try leaf.extensions.subjectAlternativeNames)
        #expect(Array(names) == [.uniformResourceIdentifier(id.description)])
        #expect(leaf.extensions[oid: .X509ExtensionID.subjectAlternativeName]?.critical == true)
        #expect(try leaf.extensions.basicConstraints == .notCertificateAuthority)
        #expect(try leaf.extensions.keyUsage == KeyUsage(digitalSignature: true))
        #expect(leaf.extensions[oid: .X509ExtensionID.keyUsage]?.critical == true)
        let usages = try #require(try leaf.extensions.extendedKeyUsage)
        #expect(Array(usages) == [.serverAuth, .clientAuth])
        #expect(leaf.notValidBefore == time.now - 300)
        #expect(leaf.notValidAfter == time.now + 24 * 3600)
        #expect((15...16).contains(leaf.serialNumber.bytes.count))
        let issuer = chain[1]
        #expect(
            try leaf.extensions.authorityKeyIdentifier?.keyIdentifier
                == issuer.extensions.subjectKeyIdentifier?.keyIdentifier
        )
        #expect(try issuer.extensions.basicConstraints == .isCertificateAuthority(maxPathLength: 0))
        let constraints = try #require(try issuer.extensions.nameConstraints)
        #expect(Array(constraints.permittedURIDomains) == ["mesh.test"])
        #expect(issuer.extensions[oid: .X509ExtensionID.nameConstraints]?.critical == true)
        let root = try #require(try certificates(authority.trustBundle).first)
        #expect(root.publicKey.isValidSignature(issuer.signature, for: issuer))
        #expect(issuer.publicKey.isValidSignature(leaf.signature, for: leaf))
    }

    @Test("Lives of seconds are kept, and hardly back-dated")
    func shortLeaf() async throws {
        let authority = try open()
        time.advance(0.7)
        let issued = try await authority.renew(
            try spiffeID("web"),
            certificateSigningRequest: try Requests.pem(),
            lifetime: 5
        )
        #expect(issued.notAfter.timeIntervalSince(time.now) >= 5)
        #expect(issued.notAfter.timeIntervalSince(time.now) < 6)
        #expect(time.now.timeIntervalSince(issued.notBefore) < 2)
    }

    @Test("A token admits once, whoever it was made for")
    func singleUse() async throws {
        let authority = try open()
        let token = try await authority.makeToken(for: try spiffeID("web"), lifetime: 60).token
        #expect(token.utf8.count == 43)
        _ = try await enrol(authority, token)
        await #expect(throws: IssueRefusal.self) { try await enrol(authority, token) }
    }

    @Test("Of many who use one token at once, exactly one is admitted")
    func concurrentUse() async throws {
        let authority = try open()
        let token = try await authority.makeToken(for: try spiffeID("web"), lifetime: 60).token
        let request = try Requests.pem()
        let admitted = await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<32 {
                group.addTask {
                    (try? await enrol(authority, token, request: request)) != nil
                }
            }
            return await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
        }
        #expect(admitted == 1)
    }

    @Test("Neither a restart nor the file brings a used token back")
    func durableUse() async throws {
        let token: String
        do {
            let authority = try open()
            token = try await authority.makeToken(for: try spiffeID("web"), lifetime: 60).token
            let file = try String(contentsOfFile: "\(temporary.path)/tokens.json", encoding: .utf8)
            #expect(!file.contains(token))
        }
        do { _ = try await enrol(try open(), token) }
        let again = try open()
        await #expect(throws: IssueRefusal.self) { try await enrol(again, token) }
    }

    @Test(
        "When using a token up cannot be saved, nothing is issued",
        arguments: StateDirectory.Step.allCases
    )
    func unsavedUse(step: StateDirectory.Step) async throws {
        let token: String
        do {
            token = try await open().makeToken(for: try spiffeID("web"), lifetime: 60).token
        }
        do {
            let failing = try open(failing: step)
            await #expect(throws: (any Error).self) { try await enrol(failing, token) }
        }
        // Whether it is used up now depends on the step; what is on disk decides, once.
        let authority = try open()
        let first = try? await enrol(authority, token)
        #expect((first != nil) == (step != .synchronizeDirectory))
        await #expect(throws: IssueRefusal.self) { try await enrol(authority, token) }
    }

    @Test("An expired, an unknown and an oversized token are refused with the reason")
    func refusedTokens() async throws {
        let authority = try open()
        let token = try await authority.makeToken(for: try spiffeID("web"), lifetime: 60).token
        time.advance(60)
        let expired = await #expect(throws: IssueRefusal.self) {
            try await enrol(authority, token)
        }
        #expect(expired?.description.contains("expired") == true)
        for unknown in ["", "x", String(token.dropLast()), String(repeating: "x", count: 9999)] {
            let refusal = await #expect(throws: IssueRefusal.self) {
                try await enrol(authority, unknown)
            }
            #expect(refusal?.description.contains("unknown") == true)
        }
    }

    @Test("A bad request or a workload that is gone leaves the token unused")
    func tokenSurvivesBadRequest() async throws {
        let authority = try open()
        let token = try await authority.makeToken(for: try spiffeID("web"), lifetime: 60).token
        await #expect(throws: IssueRefusal.self) {
            try await enrol(authority, token, request: "no request")
        }
        await #expect(throws: IssueRefusal.self) {
            try await enrol(authority, token, isWorkload: false)
        }
        _ = try await enrol(authority, token)
    }

    @Test("Tokens are bounded in number and life; expired ones are swept")
    func tokenBounds() throws {
        var tokens = JoinTokens()
        let id = try spiffeID("web")
        for lifetime in [0, -1, 0.5, JoinTokens.lifetimeMax + 1, .infinity, .nan] {
            #expect(throws: JoinTokenError.self) {
                try tokens.make(for: id, lifetime: lifetime, now: time.now)
            }
        }
        for _ in 0..<JoinTokens.countMax {
            _ = try tokens.make(for: id, lifetime: 60, now: time.now)
        }
        #expect(throws: JoinTokenError.tooMany(countMax: JoinTokens.countMax)) {
            try tokens.make(for: id, lifetime: 60, now: time.now)
        }
        time.advance(60 + 3600)
        _ = try tokens.make(for: id, lifetime: 60, now: time.now)
        #expect(tokens.count == 1)
    }

    @Test("The issuer is prepared, then replaced, before its end; leaves chain all the while")
    func rotation() async throws {
        let authority = try open()
        let firstEnd = await authority.facts.issuerNotAfter
        time.advance(300 * day)
        try await authority.maintain()
        #expect(await authority.facts.isNextIssuerPrepared == false)
        time.advance(10 * day)
        try await authority.maintain()
        #expect(await authority.facts.isNextIssuerPrepared)
        #expect(await authority.facts.issuerNotAfter == firstEnd)
        time.advance(26 * day)
        try await authority.maintain()
        #expect(await authority.facts.isNextIssuerPrepared == false)
        #expect(await authority.facts.issuerNotAfter > firstEnd)
        let issued = try await authority.renew(
            try spiffeID("web"),
            certificateSigningRequest: try Requests.pem(),
            lifetime: 30 * day
        )
        #expect(issued.notAfter == time.now + 30 * day)
    }

    @Test("A prepared issuer survives a restart")
    func rotationReload() async throws {
        do {
            let authority = try open()
            time.advance(310 * day)
            try await authority.maintain()
        }
        #expect(await (try open()).facts.isNextIssuerPrepared)
    }

    @Test("A controller that slept past its issuer's end issues under a new one at once")
    func overslept() async throws {
        _ = try open()
        time.advance(400 * day)
        let issued = try await (try open()).renew(
            try spiffeID("web"),
            certificateSigningRequest: try Requests.pem(),
            lifetime: 3600
        )
        #expect(issued.notAfter == time.now + 3600)
    }

    @Test("No leaf and no issuer outlives the root; past its end the start says what to do")
    func rootEnd() async throws {
        var lifetimes = AuthorityLifetimes()
        lifetimes.root = 10 * day
        do {
            let authority = try open(lifetimes)
            let end = await authority.facts.rootNotAfter
            #expect(await authority.facts.issuerNotAfter == end)
            let issued = try await authority.renew(
                try spiffeID("web"),
                certificateSigningRequest: try Requests.pem(),
                lifetime: 30 * day
            )
            #expect(issued.notAfter == end)
        }
        time.advance(11 * day)
        let error = #expect(throws: AuthorityStateError.self) { try open(lifetimes) }
        #expect(error?.description.contains("enrol every workload again") == true)
    }

    @Test(
        "The root's end is announced at a half, a quarter and a tenth of its life",
        arguments: [(4.0, nil), (6.0, 50), (8.0, 25), (9.5, 10)] as [(Double, Int?)]
    )
    func rootWarnings(years: Double, share: Int?) throws {
        let root = try CertificateProfile.makeRoot(
            trustDomain: domain,
            now: time.now,
            lifetime: 10 * 365 * day
        )
        #expect(RootWarning.share(of: root, now: time.now + years * 365 * day) == share)
    }

    @Test(
        "Trust domains that verifiers cannot read as host names get no name constraint",
        arguments: [
            ("mesh.internal", true), ("mesh", true), ("a-b.c", true), ("my_mesh", false),
            ("10.0.0.1", false), ("a..b", false), (".a", false), ("-a.b", false),
        ]
    )
    func constrainable(name: String, expected: Bool) throws {
        let domain = try #require(TrustDomain(name))
        #expect(CertificateProfile.isConstrainable(domain) == expected)
    }
}
