import ControlProtocol
import Crypto
import Foundation
import Logging
import MeshModel
import NIOCore
import NIOPosix
import NIOSSL
import ServiceLifecycle
import SwiftASN1
import Testing
import X509

@testable import Controller

/// A real controller on free ports, over directories of its own.
final class ControllerHarness: Sendable {
    let directory: TemporaryDirectory
    let time = MovableClock()

    var manifests: String { "\(directory.path)/m" }
    var data: String { "\(directory.path)/d" }

    init(_ manifest: String = ControllerHarness.manifest()) throws {
        directory = try TemporaryDirectory()
        try FileManager.default.createDirectory(
            atPath: manifests,
            withIntermediateDirectories: true
        )
        try write(manifest)
    }

    /// Replaces the manifest, as an operator's editor would.
    func write(_ manifest: String) throws {
        try Data(manifest.utf8).write(to: URL(filePath: "\(manifests)/mesh.yaml"), options: .atomic)
    }

    /// web uses orders, shop uses nothing.
    static func manifest(port: Int = 9001, workloads: [String] = ["web", "shop"]) -> String {
        var documents = [
            """
            apiVersion: mesh.internal/v1
            kind: Mesh
            metadata: {name: mesh}
            spec: {trustDomain: mesh.test, certificates: {leafLifetime: 1h}}
            """,
            """
            apiVersion: mesh.internal/v1
            kind: Service
            metadata: {name: orders}
            spec: {workload: orders, endpoints: [{address: 127.0.0.1, port: \(port)}]}
            """,
            """
            apiVersion: mesh.internal/v1
            kind: Workload
            metadata: {name: orders}
            spec: {service: orders}
            """,
        ]
        for name in workloads {
            let uses = name == "web" ? "[{service: orders}]" : "[]"
            documents.append(
                """
                apiVersion: mesh.internal/v1
                kind: Workload
                metadata: {name: \(name)}
                spec: {uses: \(uses)}
                """
            )
        }
        return documents.joined(separator: "\n---\n")
    }

    /// Runs a controller during `body`, then stops it and waits for its end.
    func run(
        digestInterval: Duration = .seconds(30),
        limits: StreamServer.Limits = StreamServer.Limits(),
        _ body: (MeshController) async throws -> Void
    ) async throws {
        let settings = ControllerSettings(
            manifests: manifests,
            data: data,
            listenPort: 0,
            webPort: 0,
            digestInterval: digestInterval
        )
        let controller = try await MeshController.start(
            settings,
            clock: time.clock,
            logger: .silent,
            tickInterval: .milliseconds(10),
            limits: limits
        )
        let group = ServiceGroup(
            configuration: ServiceGroupConfiguration(
                services: controller.services,
                logger: .silent
            )
        )
        let running = Task { try await group.run() }
        do {
            try await body(controller)
        } catch {
            await group.triggerGracefulShutdown()
            try await running.value
            throw error
        }
        await group.triggerGracefulShutdown()
        try await running.value
    }

    /// The issuer's key, as only whoever reads the data directory has it.
    func issuer() throws -> SigningPair {
        let domain = try #require(TrustDomain("mesh.test"))
        let file = try Data(contentsOf: URL(filePath: "\(data)/\(AuthorityState.fileName)"))
        return try AuthorityState(decoding: Array(file), trustDomain: domain).issuer
    }
}

/// A certificate chain and its key, as a client presents them.
struct ClientIdentity: Sendable {
    let chain: [String]
    let key: P256.Signing.PrivateKey

    /// What the authority would issue.
    static func issued(
        _ id: SPIFFEID,
        by issuer: SigningPair,
        now: Date,
        lifetime: TimeInterval = 3600
    ) throws -> ClientIdentity {
        let key = P256.Signing.PrivateKey()
        let leaf = try CertificateProfile.makeLeaf(
            id: id,
            publicKey: Certificate.PublicKey(key.publicKey),
            issuer: issuer,
            now: now,
            lifetime: lifetime
        )
        return ClientIdentity(
            chain: [
                try leaf.serializeAsPEM().pemString,
                try issuer.certificate.serializeAsPEM().pemString,
            ],
            key: key
        )
    }
}

/// The controller's end of the wire, seen from a proxy.
struct StreamClient {
    /// The stream ended where a message was expected.
    struct Ended: Error {}

    let channel: any Channel
    private var inbound: NIOAsyncChannelInboundStream<ByteBuffer>.AsyncIterator
    private let outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>
    private var decoder = FrameDecoder(bytesMax: StreamLimits.frameBytesMax)

    /// Connects, runs `body`, closes.
    static func connect<R>(
        to controller: MeshController,
        as identity: ClientIdentity? = nil,
        alpn: [String] = [StreamServer.applicationProtocol],
        trusting bundle: [String]? = nil,
        _ body: (inout StreamClient) async throws -> R
    ) async throws -> R {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.applicationProtocols = alpn
        // The SPIFFE ID stands where a host name would; tests read it from the certificate.
        configuration.certificateVerification = bundle == nil ? .none : .noHostnameVerification
        if let bundle {
            configuration.trustRoots = .certificates(try bundle.map(certificate))
        }
        if let identity {
            configuration.certificateChain = try identity.chain.map {
                .certificate(try certificate($0))
            }
            configuration.privateKey = .privateKey(
                try NIOSSLPrivateKey(
                    bytes: Array(identity.key.pemRepresentation.utf8),
                    format: .pem
                )
            )
        }
        let context = try NIOSSLContext(configuration: configuration)
        let stream = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connect(host: "127.0.0.1", port: controller.streamPort) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        NIOSSLClientHandler(context: context, serverHostname: nil)
                    )
                    return try NIOAsyncChannel<ByteBuffer, ByteBuffer>(
                        wrappingChannelSynchronously: channel
                    )
                }
            }
        return try await stream.executeThenClose { inbound, outbound in
            var client = StreamClient(
                channel: stream.channel,
                inbound: inbound.makeAsyncIterator(),
                outbound: outbound
            )
            return try await body(&client)
        }
    }

    func send(_ message: ClientMessage) async throws {
        try await send(raw: message.frame())
    }

    func send(raw bytes: [UInt8]) async throws {
        try await outbound.write(ByteBuffer(bytes: bytes))
    }

    /// The next message; pings are answered on the way.
    mutating func next() async throws -> ControllerMessage {
        while true {
            if let payload = try decoder.next() { return try ControllerMessage.decode(payload) }
            guard let buffer = try await inbound.next(isolation: nil) else { throw Ended() }
            decoder.append(Array(buffer.readableBytesView).span)
        }
    }

    mutating func nextSnapshot() async throws -> SnapshotOffer {
        while true {
            if case .snapshot(let offer) = try await next() { return offer }
        }
    }

    /// Whether the controller ends the stream, however it does it, after at most a few messages.
    mutating func isEnded() async -> Bool {
        do {
            for _ in 0..<8 { _ = try await next() }
            return false
        } catch {
            return true
        }
    }

    mutating func subscribe(
        _ instance: String = "one",
        holding: SnapshotReference? = nil
    ) async throws {
        let hello = try #require(
            Hello(
                proxyVersion: "test",
                instance: instance,
                holding: holding,
                certificateNotAfter: 1_900_000_000
            )
        )
        try await send(.hello(hello))
    }

    /// Subscribes, applies and confirms the first snapshot.
    mutating func subscribeAndAck(_ instance: String = "one") async throws -> SnapshotOffer {
        try await subscribe(instance)
        let offer = try await nextSnapshot()
        try await send(.ack(offer.reference))
        return offer
    }

    /// The certificate that the controller presented.
    func serverCertificate() async throws -> Certificate? {
        let channel = channel
        let der = try await channel.eventLoop.submit {
            try channel.pipeline.syncOperations.handler(type: NIOSSLClientHandler.self)
                .peerCertificate.map { try $0.toDERBytes() }
        }.get()
        return try der.map { try Certificate(derEncoded: $0) }
    }

    private static func certificate(_ pem: String) throws -> NIOSSLCertificate {
        try NIOSSLCertificate(bytes: Array(pem.utf8), format: .pem)
    }
}

extension MeshController {
    /// Waits until the proxies look as `condition` wants.
    func waitForReports(_ condition: ([ProxyReport]) -> Bool) async -> [ProxyReport] {
        for await _ in await operators.registry.changes() {
            let reports = await operators.registry.reports()
            if condition(reports) { return reports }
        }
        return []
    }
}
