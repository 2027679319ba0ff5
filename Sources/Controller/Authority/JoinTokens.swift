import Crypto
import Foundation
import MeshModel

/// Why a join token does not admit.
enum JoinTokenError: Error, Equatable, CustomStringConvertible {
    /// Never made, already used, or swept after its end: which of them is nobody's business who
    /// does not hold a token.
    case unknown
    case expired
    case tooMany(countMax: Int)
    case badLifetime(TimeInterval)

    var description: String {
        switch self {
        case .unknown:
            "the join token is unknown or was used; make a new one with 'meshctl token create'"
        case .expired: "the join token has expired; make a new one with 'meshctl token create'"
        case .tooMany(let countMax):
            "there are \(countMax) unused join tokens already; use them or let them expire"
        case .badLifetime(let seconds):
            "a join token's life of \(seconds) s is outside 1 s to 30 days"
        }
    }
}

/// The unused join tokens, without the secrets: what is on disk admits nobody.
struct JoinTokens: Codable, Equatable, Sendable {
    private struct Entry: Codable, Equatable, Sendable {
        /// SHA-256 of the token's text.
        let digest: [UInt8]
        let spiffeID: String
        let expires: Date
    }

    private var entries: [Entry] = []

    /// Number of unused tokens, those included that expired and were not yet swept.
    var count: Int { entries.count }

    /// Makes a token for `id` and keeps its digest.
    mutating func make(
        for id: SPIFFEID,
        lifetime: TimeInterval,
        now: Date
    ) throws(JoinTokenError) -> (token: String, expires: Date) {
        guard (1...Self.lifetimeMax).contains(lifetime) else { throw .badLifetime(lifetime) }
        if entries.count >= Self.countMax { sweep(now: now) }
        guard entries.count < Self.countMax else { throw .tooMany(countMax: Self.countMax) }
        // 256 bits from the system's generator, which is cryptographically secure.
        var generator = SystemRandomNumberGenerator()
        let secret = (0..<32).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
        let token = Data(secret).base64EncodedString()
            .replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
        let expires = now + lifetime
        entries.append(
            Entry(
                digest: Self.digest(of: token),
                spiffeID: id.description,
                expires: expires
            )
        )
        return (token, expires)
    }

    /// Whom `token` admits.
    func holder(of token: String, now: Date) throws(JoinTokenError) -> SPIFFEID {
        guard let index = index(of: token), let id = SPIFFEID(entries[index].spiffeID) else {
            throw .unknown
        }
        guard now < entries[index].expires else { throw .expired }
        return id
    }

    /// Uses `token` up; it must have a holder.
    mutating func consume(_ token: String) {
        guard let index = index(of: token) else { preconditionFailure("no such token") }
        entries.remove(at: index)
    }

    /// Forgets tokens some time after they expired; until then their holders get a better reason.
    mutating func sweep(now: Date) {
        entries.removeAll { $0.expires + Self.expiredKept <= now }
    }

    /// Compares with every entry, in a time that says nothing about any of them.
    private func index(of token: String) -> Int? {
        let digest = Self.digest(of: token)
        var found: Int?
        for (index, entry) in entries.enumerated()
        where Self.isEqualInConstantTime(entry.digest, digest) { found = index }
        return found
    }

    private static func isEqualInConstantTime(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        guard left.count == right.count else { return false }
        var difference: UInt8 = 0
        for index in left.indices { difference |= left[index] ^ right[index] }
        return difference == 0
    }

    private static func digest(of token: String) -> [UInt8] {
        Array(SHA256.hash(data: Array(token.utf8)))
    }

    /// Unused tokens at a time: 10,000 entries make a file of about 2 MB.
    static let countMax = 10_000
    /// Longest life of a token.
    static let lifetimeMax: TimeInterval = 30 * 24 * 60 * 60
    private static let expiredKept: TimeInterval = 60 * 60
}
