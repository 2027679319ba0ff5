// The stream's listener: TLS 1.3, ALPN, who the peer is, and bounds on all of it.
//
//   accept -> handshake (timeout) -> peer verified or anonymous -> StreamConnection
//
// A peer that presents a certificate that does not hold is cut off in the handshake; one that
// presents none may only enrol, and only within the time for it.

import ControlProtocol
import Logging
import NIOCore
import NIOPosix
import NIOSSL
import NIOTLS
import ServiceLifecycle
import SwiftASN1
import Synchronization
import X509

/// Accepts streams until it is shut down.
struct StreamServer: Service {
    typealias Stream = NIOAsyncChannel<ByteBuffer, ByteBuffer>

    /// What a connection is while TLS is being set up.
    struct Handshake: Sendable {
        let channel: any Channel
        let peer: HandshakePeer
        let stream: EventLoopFuture<Stream?>
    }

    /// What serves the connections.
    struct Context: Sendable {
        let authority: CertificateAuthority
        let registry: ProxyRegistry
        let identity: ServerIdentity
        let clock: WallClock
        let metrics: ControllerMetrics
        let logger: Logger
        var limits = Limits()
    }

    /// Bounds on peers that have not proved anything yet, and on all of them together.
    struct Limits: Sendable {
        /// Open connections: about 100 KiB each with their buffers.
        var connectionsMax = 10_000
        /// From accept to the end of the handshake.
        var handshakeTimeout = Duration.seconds(10)
        /// Life of a connection without a certificate.
        var enrolTimeout = Duration.seconds(30)
    }

    static let applicationProtocol = "mesh-control/1"

    /// The address it listens on, with the real port.
    let address: SocketAddress
    private let channel: NIOAsyncChannel<Handshake, Never>
    private let context: Context

    /// Starts to listen.
    static func bind(
        host: String,
        port: Int,
        context: Context
    ) async throws -> StreamServer {
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.backlog, value: 256)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .bind(host: host, port: port) { channel in
                channel.eventLoop.makeCompletedFuture { try prepare(channel, context) }
            }
        guard let address = channel.channel.localAddress else {
            preconditionFailure("a bound channel has an address")
        }
        return StreamServer(address: address, channel: channel, context: context)
    }

    func run() async throws {
        try await cancelWhenGracefulShutdown {
            do {
                try await accept()
            } catch  where Task.isCancelled {
                // Closing what a shutdown closes as well fails, and does not matter.
            }
        }
    }

    private func accept() async throws {
        try await channel.executeThenClose { handshakes in
            await withDiscardingTaskGroup { group in
                do {
                    for try await handshake in handshakes {
                        group.addTask { await serve(handshake) }
                    }
                } catch is CancellationError {
                    // A shutdown.
                } catch {
                    context.logger.error(
                        "the stream listener failed",
                        metadata: ["reason": "\(error)"]
                    )
                }
                group.cancelAll()
            }
        }
    }

    private func serve(_ handshake: Handshake) async {
        defer { context.metrics.update { $0.openConnections -= 1 } }
        let address = handshake.channel.remoteAddress
        let remote = "\(address?.ipAddress ?? "unknown"):\(address?.port ?? 0)"
        do {
            guard let stream = try await handshake.stream.get() else {
                try await handshake.channel.close()
                return refused(handshake, remote, "no ALPN \(Self.applicationProtocol)")
            }
            guard let peer = try await handshake.peer.outcome(of: stream.channel) else {
                try await stream.executeThenClose { _, _ in }
                return refused(handshake, remote, "a resumed session does not prove an identity")
            }
            try await stream.executeThenClose { inbound, outbound in
                try await StreamConnection(
                    peer: peer,
                    channel: handshake.channel,
                    remote: remote,
                    context: context
                ).run(inbound, outbound)
            }
        } catch {
            guard !Task.isCancelled else { return }
            if let failure = handshake.peer.failure {
                return refused(handshake, remote, failure)
            }
            context.logger.debug(
                "a stream ended",
                metadata: ["remote": "\(remote)", "reason": "\(error)"]
            )
        }
    }

    private func refused(_ handshake: Handshake, _ remote: String, _ reason: String) {
        context.metrics.update { $0.failedHandshakes += 1 }
        context.logger.warning(
            "refused a handshake",
            metadata: ["remote": "\(remote)", "reason": "\(reason)"]
        )
    }

    /// Builds the pipeline of an accepted connection, on its event loop.
    private static func prepare(
        _ channel: any Channel,
        _ context: Context
    ) throws -> Handshake {
        let isOverLimit = context.metrics.update { counts in
            counts.acceptedConnections += 1
            counts.openConnections += 1
            guard counts.openConnections > context.limits.connectionsMax else { return false }
            counts.refusedConnections += 1
            return true
        }
        let peer = HandshakePeer()
        let negotiation = NIOTypedApplicationProtocolNegotiationHandler<Stream?> {
            result,
            channel in
            channel.eventLoop.makeCompletedFuture {
                guard result == .negotiated(applicationProtocol) else { return nil }
                return try Stream(wrappingChannelSynchronously: channel)
            }
        }
        let operations = channel.pipeline.syncOperations
        try operations.addHandler(
            NIOSSLServerHandler(
                context: context.identity.context,
                customVerificationCallback: { chain, promise in
                    peer.verify(chain, by: context, promise)
                }
            )
        )
        try operations.addHandler(HandshakeFailureRecorder(peer: peer))
        try operations.addHandler(negotiation)
        let stream = negotiation.protocolNegotiationResult
        let deadline = channel.eventLoop.scheduleTask(
            in: TimeAmount(context.limits.handshakeTimeout)
        ) {
            peer.fail("not finished within \(context.limits.handshakeTimeout)")
            channel.close(promise: nil)
        }
        stream.whenComplete { _ in deadline.cancel() }
        if isOverLimit {
            peer.fail("more than \(context.limits.connectionsMax) connections")
            channel.close(promise: nil)
        }
        return Handshake(channel: channel, peer: peer, stream: stream)
    }
}

/// Who a peer turns out to be during its handshake.
final class HandshakePeer: Sendable {
    /// A peer after its handshake.
    enum Outcome: Sendable {
        /// It presented no certificate.
        case anonymous
        case verified(PeerIdentity)
    }

    private struct State {
        var identity: PeerIdentity?
        var failure: String?
    }

    private let state = Mutex(State())

    /// Why the handshake failed; nil when it did not or nobody knows.
    var failure: String? { state.withLock { $0.failure } }

    /// Keeps the first reason: later ones are its consequences.
    func fail(_ reason: String) {
        state.withLock { $0.failure = $0.failure ?? reason }
    }

    /// Who the peer of a finished handshake is; nil when it has a certificate that we did not see
    /// verified, as after a session resumption.
    func outcome(of channel: any Channel) async throws -> Outcome? {
        if let identity = state.withLock({ $0.identity }) { return .verified(identity) }
        let isAnonymous = try await channel.eventLoop.submit {
            try channel.pipeline.syncOperations.handler(type: NIOSSLServerHandler.self)
                .peerCertificate == nil
        }.get()
        return isAnonymous ? .anonymous : nil
    }

    /// Checks the presented chain; the handshake waits for the promise.
    func verify(
        _ chain: [NIOSSLCertificate],
        by context: StreamServer.Context,
        _ promise: EventLoopPromise<NIOSSLVerificationResult>
    ) {
        Task {
            do {
                let certificates = try chain.map {
                    try Certificate(derEncoded: try $0.toDERBytes())
                }
                let identity = try await context.authority.verifier.verify(
                    certificates,
                    now: context.clock.now
                )
                state.withLock { $0.identity = identity }
                promise.succeed(.certificateVerified)
            } catch {
                fail("certificate: \(error)")
                promise.succeed(.failed)
            }
        }
    }
}

/// Remembers why a handshake failed, for the log.
private final class HandshakeFailureRecorder: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let peer: HandshakePeer
    private var isDone = false

    init(peer: HandshakePeer) {
        self.peer = peer
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .handshakeCompleted? = event as? TLSUserEvent { isDone = true }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // BoringSSL's errors end with the place in its sources, which tells an operator nothing.
        if !isDone { peer.fail("\("\(error)".split(separator: " at /", maxSplits: 1)[0])") }
        context.fireErrorCaught(error)
    }

    func channelInactive(context: ChannelHandlerContext) {
        if !isDone { peer.fail("the peer left during the handshake") }
        context.fireChannelInactive()
    }
}
