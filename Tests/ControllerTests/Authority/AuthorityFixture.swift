import Crypto
import Foundation
import Logging
import MeshModel
import SwiftASN1
import Synchronization
import Testing
import X509

@testable import Controller

/// A clock the test moves.
final class MovableClock: Sendable {
    private let state: Mutex<Date>

    init(_ start: Date = Date.now) { state = Mutex(start) }

    var now: Date { state.withLock { $0 } }
    var clock: WallClock { WallClock { self.now } }

    func advance(_ seconds: TimeInterval) { state.withLock { $0 += seconds } }
}

/// Signing requests, good and bad.
enum Requests {
    static func pem(
        key: Certificate.PrivateKey = Certificate.PrivateKey(P256.Signing.PrivateKey()),
        subject: DistinguishedName = DistinguishedName(),
        names: [GeneralName]? = nil,
        extra: Certificate.Extension? = nil,
        algorithm: Certificate.SignatureAlgorithm = .ecdsaWithSHA256
    ) throws -> String {
        var extensions = Certificate.Extensions()
        if let names {
            try extensions.append(
                Certificate.Extension(SubjectAlternativeNames(names), critical: false)
            )
        }
        if let extra { try extensions.append(extra) }
        let attributes: [CertificateSigningRequest.Attribute] =
            extensions.isEmpty ? [] : [try .init(ExtensionRequest(extensions: extensions))]
        let request = try CertificateSigningRequest(
            version: .v1,
            subject: subject,
            privateKey: key,
            attributes: CertificateSigningRequest.Attributes(attributes),
            signatureAlgorithm: algorithm
        )
        return try request.serializeAsPEM().pemString
    }
}

/// An identity in the test domain.
func spiffeID(_ name: String, domain: String = "mesh.test") throws -> SPIFFEID {
    try #require(SPIFFEID("spiffe://\(domain)/ns/default/sa/\(name)"))
}

extension Logger {
    /// Says nothing; what tests check they check by other means.
    static let silent = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
}

/// PEM certificates, parsed.
func certificates(_ pem: [String]) throws -> [Certificate] {
    try pem.map { try Certificate(pemEncoded: $0) }
}
