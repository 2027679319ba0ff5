import ControlProtocol
import Foundation
import Logging
import MeshModel
import NIOCore

/// One stream from the end of its handshake to its close.
struct StreamConnection: Sendable {
    let peer: HandshakePeer.Outcome
    let channel: any Channel
    let remote: String
    let context: StreamServer.Context

    /// Reads and writes until either side is done.
    func run(
        _ inbound: NIOAsyncChannelInboundStream<ByteBuffer>,
        _ outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>
    ) async throws {
        let channel = channel
        let outbox = Outbox { channel.close(promise: nil) }
        var stream: ProxyRegistry.StreamID?
        if case .verified(let identity) = peer {
            stream = await context.registry.connect(identity, outbox: outbox)
        }
        let id = stream
        do {
            try await withThrowingTaskGroup(of: Void.self) { group in
                // The writer is the last to leave: it ends when the outbox is closed and written.
                defer { group.cancelAll() }
                group.addTask {
                    await read(inbound, outbox, id)
                    outbox.close()
                }
                if id == nil {
                    group.addTask {
                        try await Task.sleep(for: context.limits.enrolTimeout)
                        outbox.abort()
                    }
                }
                try await write(outbox, outbound)
            }
        } catch {
            if let id { await context.registry.disconnect(id) }
            throw error
        }
        if let id { await context.registry.disconnect(id) }
    }

    private func write(
        _ outbox: Outbox,
        _ outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>
    ) async throws {
        for await _ in outbox.wakeups { try await write(outbox.drain(), outbound) }
        try await write(outbox.drain(), outbound)
    }

    private func write(
        _ messages: [ControllerMessage],
        _ outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>
    ) async throws {
        for message in messages {
            guard let frame = message.frame() else {
                context.logger.error(
                    "a snapshot is too large to send",
                    metadata: ["remote": "\(remote)"]
                )
                continue
            }
            try await outbound.write(ByteBuffer(bytes: frame))
        }
    }

    private func read(
        _ inbound: NIOAsyncChannelInboundStream<ByteBuffer>,
        _ outbox: Outbox,
        _ id: ProxyRegistry.StreamID?
    ) async {
        var decoder = FrameDecoder(bytesMax: StreamLimits.clientFrameBytesMax)
        do {
            for try await buffer in inbound {
                decoder.append(Array(buffer.readableBytesView).span)
                while let payload = try decoder.next() {
                    try await handle(try ClientMessage.decode(payload), outbox, id)
                    // Without a certificate one message is all there is: a stranger must not guess
                    // tokens, or fill the log, as fast as one connection carries requests.
                    guard id != nil else { return }
                }
            }
        } catch let error where error is FrameError || error is ConfigErrors {
            context.metrics.update { $0.malformedMessages += 1 }
            context.logger.warning(
                "closed a stream with a malformed message",
                metadata: ["remote": "\(remote)", "reason": "\(error)"]
            )
        } catch {
            guard !Task.isCancelled, !(error is ChannelError), !(error is IOError) else { return }
            context.logger.error(
                "closed a stream that could not be served",
                metadata: ["remote": "\(remote)", "reason": "\(error)"]
            )
        }
    }

    private func handle(
        _ message: ClientMessage,
        _ outbox: Outbox,
        _ id: ProxyRegistry.StreamID?
    ) async throws {
        switch (message, id) {
        case (.enrol(let enrolment), nil):
            await answer(.enrol, outbox) { try await enrol(enrolment) }
            outbox.close()
        case (_, nil):
            outbox.send(
                .refused(
                    request: .hello,
                    reason: "without a client certificate only enrol is accepted"
                )
            )
            outbox.close()
        case (.enrol, .some):
            outbox.send(
                .refused(request: .enrol, reason: "this peer has a certificate: it may renew")
            )
        case (.renew(let request), .some(let id)):
            await answer(.renew, outbox) { try await renew(request, id) }
        case (_, .some(let id)): try await context.registry.receive(message, on: id)
        }
    }

    /// Sends what `issue` grants, or why it does not.
    private func answer(
        _ request: RefusedRequest,
        _ outbox: Outbox,
        _ issue: () async throws -> IssuedCertificate
    ) async {
        do {
            let issued = try await issue()
            let identity = IssuedIdentity(
                certificateChain: issued.chain,
                trustBundle: context.authority.trustBundle,
                spiffeID: issued.id
            )
            guard let identity else { preconditionFailure("a chain and a bundle are never empty") }
            context.metrics.update { counts in
                if request == .enrol { counts.enrolments += 1 } else { counts.renewals += 1 }
            }
            context.logger.info(
                request == .enrol ? "enrolled a workload" : "renewed a certificate",
                metadata: [
                    "workload": "\(issued.id)", "remote": "\(remote)",
                    "notAfter": "\(issued.notAfter.rfc3339)",
                ]
            )
            outbox.send(.issued(identity))
        } catch {
            context.metrics.update { counts in
                if request == .enrol {
                    counts.refusedEnrolments += 1
                } else {
                    counts.refusedRenewals += 1
                }
            }
            let isForPeer = error is IssueRefusal
            context.logger.log(
                level: isForPeer ? .warning : .error,
                "refused a certificate",
                metadata: [
                    "request": "\(request)", "remote": "\(remote)", "reason": "\(error)",
                ]
            )
            let reason = isForPeer ? "\(error)" : "the controller failed; its log says why"
            outbox.send(.refused(request: request, reason: reason))
        }
    }

    private func enrol(_ enrolment: Enrolment) async throws -> IssuedCertificate {
        let catalog = await context.registry.catalog
        return try await context.authority.enrol(
            enrolment,
            lifetime: await context.registry.leafLifetime
        ) { catalog.workload(id: $0) != nil }
    }

    private func renew(
        _ request: String,
        _ id: ProxyRegistry.StreamID
    ) async throws -> IssuedCertificate {
        guard case .verified(let identity) = peer else {
            preconditionFailure("a registered stream has an identity")
        }
        guard await context.registry.isWorkload(identity.id) else {
            throw IssueRefusal(
                description: "\(identity.id) is not a workload of the catalog (any more)"
            )
        }
        let issued = try await context.authority.renew(
            identity.id,
            certificateSigningRequest: request,
            lifetime: await context.registry.leafLifetime
        )
        await context.registry.extend(id, until: issued.notAfter)
        return issued
    }
}
