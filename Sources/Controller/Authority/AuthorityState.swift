import Crypto
import Foundation
import MeshModel
import SwiftASN1
import X509

/// Why the saved authority cannot be used.
enum AuthorityStateError: Error, Equatable, CustomStringConvertible {
    case otherTrustDomain(saved: String, configured: String)
    case malformed(reason: String)
    case rootExpired(Date)

    var description: String {
        switch self {
        case .otherTrustDomain(let saved, let configured):
            "the data directory holds the authority of trust domain \(saved), the Mesh manifest "
                + "says \(configured): use another --data directory or change the manifest back"
        case .malformed(let reason):
            "\(AuthorityState.fileName) in the data directory is damaged (\(reason)): "
                + "restore it from a backup, or move it away to start a new authority and enrol "
                + "every workload again"
        case .rootExpired(let date):
            "the root certificate expired at \(date.rfc3339): move \(AuthorityState.fileName) "
                + "away to start a new authority and enrol every workload again"
        }
    }
}

/// Everything the authority must not lose, in one file, so that one atomic write is one step.
struct AuthorityState: Sendable {
    let trustDomain: TrustDomain
    let root: SigningPair
    /// The one that signs.
    var issuer: SigningPair
    /// The one that will.
    var prepared: SigningPair?

    static let fileName = "authority.json"

    private struct File: Codable {
        struct Pair: Codable {
            let certificate: String
            let key: String
        }
        let trustDomain: String
        let root: Pair
        let issuer: Pair
        let prepared: Pair?
    }

    init(trustDomain: TrustDomain, root: SigningPair, issuer: SigningPair) {
        self.trustDomain = trustDomain
        self.root = root
        self.issuer = issuer
    }

    /// Reads and checks what `encoded` wrote.
    init(decoding bytes: [UInt8], trustDomain: TrustDomain) throws {
        let file: File
        do {
            file = try JSONDecoder().decode(File.self, from: Data(bytes))
        } catch {
            throw AuthorityStateError.malformed(reason: "not the expected JSON")
        }
        guard file.trustDomain == trustDomain.name else {
            throw AuthorityStateError.otherTrustDomain(
                saved: file.trustDomain,
                configured: trustDomain.name
            )
        }
        self.trustDomain = trustDomain
        root = try Self.pair(file.root, "root")
        issuer = try Self.pair(file.issuer, "issuer")
        prepared = try file.prepared.map { try Self.pair($0, "prepared issuer") }
        for signed in [root, issuer] + (prepared.map { [$0] } ?? []) {
            guard
                root.certificate.publicKey.isValidSignature(
                    signed.certificate.signature,
                    for: signed.certificate
                )
            else {
                throw AuthorityStateError.malformed(reason: "a certificate not of the root's")
            }
        }
    }

    /// The file's content: secret.
    func encoded() throws -> Data {
        let file = File(
            trustDomain: trustDomain.name,
            root: try Self.encode(root),
            issuer: try Self.encode(issuer),
            prepared: try prepared.map(Self.encode)
        )
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return try encoder.encode(file)
    }

    private static func encode(_ pair: SigningPair) throws -> File.Pair {
        File.Pair(
            certificate: try pair.certificate.serializeAsPEM().pemString,
            key: pair.key.pemRepresentation
        )
    }

    private static func pair(_ pair: File.Pair, _ role: String) throws -> SigningPair {
        do {
            let certificate = try Certificate(pemEncoded: pair.certificate)
            let key = try P256.Signing.PrivateKey(pemRepresentation: pair.key)
            guard certificate.publicKey == Certificate.PublicKey(key.publicKey) else {
                throw AuthorityStateError.malformed(
                    reason: "the \(role)'s key does not fit its certificate"
                )
            }
            return SigningPair(certificate: certificate, key: key)
        } catch let error as AuthorityStateError {
            throw error
        } catch {
            throw AuthorityStateError.malformed(reason: "the \(role) cannot be read")
        }
    }
}
