// The mesh's own certificate authority: a root that signs issuers, an issuer that signs leaves.
//
// Invariants:
// * a token is off the disk before the certificate it pays for exists;
// * what a certificate says is decided here, from token, catalog or current certificate; a request
//   contributes its public key and nothing else;
// * no leaf outlives its issuer, no issuer the root;
// * state changes in memory only after it changed on disk.

import ControlProtocol
import Crypto
import Foundation
import Logging
import MeshModel
import SwiftASN1
import X509

/// Why a certificate was not issued, in words for the peer.
struct IssueRefusal: Error, CustomStringConvertible {
    let description: String
}

/// A leaf with its chain.
struct IssuedCertificate: Sendable {
    let id: SPIFFEID
    /// PEM, leaf first.
    let chain: [String]
    let notBefore: Date
    let notAfter: Date
}

/// How long the authority's own certificates live.
struct AuthorityLifetimes: Sendable {
    var root: TimeInterval = 10 * 365 * 24 * 60 * 60
    var issuer: TimeInterval = 365 * 24 * 60 * 60
}

/// Issues certificates and keeps the keys for it.
actor CertificateAuthority {
    nonisolated let trustDomain: TrustDomain
    /// PEM of the roots that every peer trusts.
    nonisolated let trustBundle: [String]
    nonisolated let verifier: PeerVerifier
    nonisolated let controllerID: SPIFFEID

    private let directory: StateDirectory
    private let clock: WallClock
    private let lifetimes: AuthorityLifetimes
    private let logger: Logger
    private var state: AuthorityState
    private var tokens: JoinTokens
    private var warnedShare: Int?

    /// Loads the authority from `directory`, or makes it on the first run.
    init(
        directory: StateDirectory,
        trustDomain: TrustDomain,
        clock: WallClock = .system,
        lifetimes: AuthorityLifetimes = AuthorityLifetimes(),
        logger: Logger
    ) throws {
        let now = clock.now
        if let saved = try directory.read(AuthorityState.fileName) {
            state = try AuthorityState(decoding: saved, trustDomain: trustDomain)
            guard now < state.root.notAfter else {
                throw AuthorityStateError.rootExpired(state.root.notAfter)
            }
        } else {
            let root = try CertificateProfile.makeRoot(
                trustDomain: trustDomain,
                now: now,
                lifetime: lifetimes.root
            )
            let issuer = try CertificateProfile.makeIssuer(
                trustDomain: trustDomain,
                root: root,
                now: now,
                lifetime: lifetimes.issuer
            )
            state = AuthorityState(trustDomain: trustDomain, root: root, issuer: issuer)
            try directory.write(AuthorityState.fileName, state.encoded())
            logger.info(
                "made a new certificate authority",
                metadata: ["trustDomain": "\(trustDomain)", "rootNotAfter": "\(root.notAfter)"]
            )
        }
        tokens = try Self.readTokens(directory)
        guard let controllerID = SPIFFEID(trustDomain: trustDomain, path: Self.controllerPath)
        else { preconditionFailure("a valid trust domain and a constant path") }
        self.controllerID = controllerID
        self.trustDomain = trustDomain
        trustBundle = [try state.root.certificate.serializeAsPEM().pemString]
        verifier = PeerVerifier(trustDomain: trustDomain, roots: [state.root.certificate])
        self.directory = directory
        self.clock = clock
        self.lifetimes = lifetimes
        self.logger = logger
    }

    /// Rotates the issuer when it is time, sweeps tokens, and warns of the root's end.
    func maintain() throws {
        let now = clock.now
        try rotateIssuer(now: now)
        warnOfRoot(now: now)
        var swept = tokens
        swept.sweep(now: now)
        if swept != tokens { try save(swept) }
    }

    /// Makes a join token for `id`.
    func makeToken(
        for id: SPIFFEID,
        lifetime: TimeInterval
    ) throws -> (token: String, expires: Date) {
        var next = tokens
        let made = try next.make(for: id, lifetime: lifetime, now: clock.now)
        try save(next)
        return made
    }

    /// Trades a join token and a request for a certificate; `isWorkload` asks the catalog.
    ///
    /// A request that cannot be granted leaves the token unused.
    func enrol(
        _ enrolment: Enrolment,
        lifetime: TimeInterval,
        isWorkload: (SPIFFEID) -> Bool
    ) throws -> IssuedCertificate {
        let now = clock.now
        do {
            guard enrolment.token.utf8.count <= StreamLimits.tokenBytesMax else {
                throw JoinTokenError.unknown
            }
            let id = try tokens.holder(of: enrolment.token, now: now)
            guard isWorkload(id) else {
                throw IssueRefusal(description: "\(id) is not a workload of the catalog")
            }
            let request = try SigningRequest(
                pem: enrolment.certificateSigningRequest,
                for: id
            )
            var next = tokens
            next.consume(enrolment.token)
            try save(next)
            return try issue(id, request.publicKey, lifetime: lifetime)
        } catch {
            throw Self.refusal(error)
        }
    }

    /// Gives the holder of a valid certificate the next one.
    func renew(
        _ id: SPIFFEID,
        certificateSigningRequest: String,
        lifetime: TimeInterval
    ) throws -> IssuedCertificate {
        do {
            let request = try SigningRequest(pem: certificateSigningRequest, for: id)
            return try issue(id, request.publicKey, lifetime: lifetime)
        } catch {
            throw Self.refusal(error)
        }
    }

    /// A fresh key and certificate for the controller's own end of the stream.
    func issueControllerIdentity(
        lifetime: TimeInterval
    ) throws -> (certificate: IssuedCertificate, key: String) {
        let key = P256.Signing.PrivateKey()
        let certificate = try issue(
            controllerID,
            Certificate.PublicKey(key.publicKey),
            lifetime: lifetime
        )
        return (certificate, key.pemRepresentation)
    }

    /// Facts for status and metrics.
    var facts: AuthorityFacts {
        AuthorityFacts(
            rootNotAfter: state.root.notAfter,
            issuerNotAfter: state.issuer.notAfter,
            isNextIssuerPrepared: state.prepared != nil,
            unusedTokens: tokens.count
        )
    }

    private func issue(
        _ id: SPIFFEID,
        _ publicKey: Certificate.PublicKey,
        lifetime: TimeInterval
    ) throws -> IssuedCertificate {
        let now = clock.now
        // A controller that slept past the activation date must not sign with a dying issuer.
        try rotateIssuer(now: now)
        let leaf = try CertificateProfile.makeLeaf(
            id: id,
            publicKey: publicKey,
            issuer: state.issuer,
            now: now,
            lifetime: lifetime
        )
        return IssuedCertificate(
            id: id,
            chain: [
                try leaf.serializeAsPEM().pemString,
                try state.issuer.certificate.serializeAsPEM().pemString,
            ],
            notBefore: leaf.notValidBefore,
            notAfter: leaf.notValidAfter
        )
    }

    private func rotateIssuer(now: Date) throws {
        var next = state
        let schedule = IssuerSchedule(
            notBefore: state.issuer.notBefore,
            notAfter: state.issuer.notAfter
        )
        if now >= schedule.prepare, next.prepared == nil {
            let prepared = try CertificateProfile.makeIssuer(
                trustDomain: trustDomain,
                root: state.root,
                now: now,
                lifetime: lifetimes.issuer
            )
            // Near the root's end a new issuer would live no longer than the present one.
            guard prepared.notAfter > state.issuer.notAfter else { return }
            next.prepared = prepared
        }
        var activated = false
        if now >= schedule.activate, let prepared = next.prepared {
            next.issuer = prepared
            next.prepared = nil
            activated = true
        }
        guard activated || (next.prepared != nil) != (state.prepared != nil) else { return }
        try directory.write(AuthorityState.fileName, next.encoded())
        state = next
        logger.info(
            activated ? "a new issuing certificate signs" : "prepared the next issuing certificate",
            metadata: ["issuerNotAfter": "\((next.prepared ?? next.issuer).notAfter.rfc3339)"]
        )
    }

    /// Says it once per threshold: half, a quarter, a tenth of the root's life left.
    private func warnOfRoot(now: Date) {
        guard let share = RootWarning.share(of: state.root, now: now), share != warnedShare else {
            return
        }
        warnedShare = share
        logger.warning(
            "less than \(share) % of the root certificate's life is left",
            metadata: ["rootNotAfter": "\(state.root.notAfter.rfc3339)"]
        )
    }

    private func save(_ next: JoinTokens) throws {
        try directory.write(Self.tokensFile, JSONEncoder().encode(next))
        tokens = next
    }

    private static func readTokens(_ directory: StateDirectory) throws -> JoinTokens {
        guard let saved = try directory.read(tokensFile) else { return JoinTokens() }
        do {
            return try JSONDecoder().decode(JoinTokens.self, from: Data(saved))
        } catch {
            throw StateFileDamage(path: "\(directory.path)/\(tokensFile)")
        }
    }

    /// Peers learn what they can mend; what broke inside stays in our log.
    private static func refusal(_ error: any Error) -> any Error {
        switch error {
        case let error as JoinTokenError: IssueRefusal(description: error.description)
        case let error as SigningRequestError: IssueRefusal(description: error.description)
        default: error
        }
    }

    private static let tokensFile = "tokens.json"
    private static let controllerPath = "/mesh/controller"
}

/// What the authority tells operators about itself.
struct AuthorityFacts: Sendable {
    let rootNotAfter: Date
    let issuerNotAfter: Date
    let isNextIssuerPrepared: Bool
    let unusedTokens: Int
}

/// A state file that is not what was written.
struct StateFileDamage: Error, CustomStringConvertible {
    let path: String

    var description: String {
        "\(path) is damaged: restore it from a backup, or move it away to start without it"
    }
}

/// When the end of the root is worth a warning.
enum RootWarning {
    /// The smallest of 50, 25, 10 whose percentage of life is not left any more; nil above half.
    static func share(of root: SigningPair, now: Date) -> Int? {
        let life = root.notAfter.timeIntervalSince(root.notBefore)
        let left = root.notAfter.timeIntervalSince(now)
        return [10, 25, 50].first { left < life * Double($0) / 100 }
    }
}
