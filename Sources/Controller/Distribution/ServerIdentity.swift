import Foundation
import Logging
import NIOSSL
import Synchronization

/// The controller's own certificate on the stream, made fresh in memory and renewed in time.
///
/// A renewal changes what the next handshake presents; open streams live on.
final class ServerIdentity: Sendable {
    private struct Current {
        let context: NIOSSLContext
        let renewAt: Date
    }

    private let authority: CertificateAuthority
    private let clock: WallClock
    private let lifetime: TimeInterval
    private let logger: Logger
    private let current: Mutex<Current>

    /// Makes the first certificate.
    init(
        authority: CertificateAuthority,
        clock: WallClock = .system,
        lifetime: TimeInterval = ServerIdentity.lifetimeDefault,
        logger: Logger
    ) async throws {
        self.authority = authority
        self.clock = clock
        self.lifetime = lifetime
        self.logger = logger
        let first = try await Self.make(authority, clock: clock, lifetime: lifetime)
        current = Mutex(first)
    }

    /// What new handshakes present.
    var context: NIOSSLContext { current.withLock { $0.context } }

    /// Renews at two thirds of the certificate's life.
    func renewIfDue() async throws {
        guard clock.now >= current.withLock({ $0.renewAt }) else { return }
        let next = try await Self.make(authority, clock: clock, lifetime: lifetime)
        current.withLock { $0 = next }
        logger.info("renewed the controller's own certificate")
    }

    private static func make(
        _ authority: CertificateAuthority,
        clock: WallClock,
        lifetime: TimeInterval
    ) async throws -> Current {
        let (certificate, key) = try await authority.issueControllerIdentity(lifetime: lifetime)
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: try certificate.chain.map {
                .certificate(try NIOSSLCertificate(bytes: Array($0.utf8), format: .pem))
            },
            privateKey: .privateKey(try NIOSSLPrivateKey(bytes: Array(key.utf8), format: .pem))
        )
        configuration.minimumTLSVersion = .tlsv13
        configuration.applicationProtocols = [StreamServer.applicationProtocol]
        // Asked for, not demanded; what is presented is checked by `PeerVerifier`.
        configuration.certificateVerification = .optionalVerification
        configuration.trustRoots = .certificates(
            try authority.trustBundle.map {
                try NIOSSLCertificate(bytes: Array($0.utf8), format: .pem)
            }
        )
        let life = certificate.notAfter.timeIntervalSince(clock.now)
        return Current(
            context: try NIOSSLContext(configuration: configuration),
            renewAt: clock.now + life * 2 / 3
        )
    }

    /// A day, as leaves have by default; it is not bound to the manifests' leaf lifetime, since
    /// proxies check it only while they connect.
    static let lifetimeDefault: TimeInterval = 24 * 60 * 60
}
