import ControlProtocol
import Foundation
import NIOCore
import NIOPosix
import Testing

@testable import Controller

@Suite("Stream server's bounds", .timeLimit(.minutes(2)))
struct StreamServerTests {
    /// Connects without TLS and waits for the end that the controller makes.
    private func connectInSilence(to controller: MeshController) async throws {
        let stream = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connect(host: "127.0.0.1", port: controller.streamPort) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try NIOAsyncChannel<ByteBuffer, ByteBuffer>(
                        wrappingChannelSynchronously: channel
                    )
                }
            }
        try await stream.executeThenClose { inbound, _ in
            for try await _ in inbound {}
        }
    }

    @Test("A peer that does not finish its handshake is cut off")
    func handshakeTimeout() async throws {
        var limits = StreamServer.Limits()
        limits.handshakeTimeout = .milliseconds(50)
        try await ControllerHarness().run(limits: limits) { controller in
            try await connectInSilence(to: controller)
        }
    }

    @Test("A peer without a certificate that does not enrol is cut off")
    func enrolTimeout() async throws {
        var limits = StreamServer.Limits()
        limits.enrolTimeout = .milliseconds(50)
        try await ControllerHarness().run(limits: limits) { controller in
            try await StreamClient.connect(to: controller) { client in
                #expect(await client.isEnded())
            }
        }
    }

    @Test("A connection over the limit is closed and counted; those within it go on")
    func connectionLimit() async throws {
        var limits = StreamServer.Limits()
        limits.connectionsMax = 1
        let harness = try ControllerHarness()
        try await harness.run(limits: limits) { controller in
            let identity = try ClientIdentity.issued(
                try spiffeID("web"),
                by: try harness.issuer(),
                now: harness.time.now
            )
            try await StreamClient.connect(to: controller, as: identity) { first in
                _ = try await first.subscribeAndAck()
                // How the end shows depends on how far the handshake came.
                try? await connectInSilence(to: controller)
                #expect(controller.metrics.current.refusedConnections == 1)
                try await first.send(.ping)
                #expect(try await first.next() == .pong)
            }
        }
    }
}
