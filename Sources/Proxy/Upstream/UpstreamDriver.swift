// What speaks a protocol on an upstream connection: it makes the streams that exchanges lease.

import HTTP
import Reactor

/// The protocol of one upstream connection.
///
/// Overridden, not adopted: see `HTTPStream.swift`. Confined to its worker.
class UpstreamDriver {
    /// A cycle, which the connection breaks when it is closed.
    final let connection: UpstreamConnection

    init(connection: UpstreamConnection) { self.connection = connection }

    final var worker: Worker { connection.worker }
    final var pool: EndpointPool { connection.pool }

    /// Whether several exchanges run at once.
    var isShared: Bool { false }
    /// Whether it can take an exchange now, as far as the protocol says.
    var hasRoom: Bool { abstract() }
    /// Whether no exchange runs.
    var isIdle: Bool { abstract() }

    /// The connection is ready for plaintext.
    func begin() {}
    /// Gives the connection, or a stream of it, to `receiver`.
    func lease(to receiver: AttemptReceiver) -> UpstreamStream { abstract() }
    /// Plaintext arrived; lent during the call.
    func received(_ bytes: Span<UInt8>) {}
    /// The peer sends no more.
    func ended(isTruncated: Bool) {}
    /// TLS failed.
    func transportFailed(_ failure: Failure) {}
    /// The connection's backlog is gone.
    func relieved() {}
    /// The turn after `requestResume`.
    func resume() {}
    /// The turn ends: what is to be sent must be in the buffer now.
    func willFlush() {}
    /// Whether the connection must not be closed right now; the driver then does it soon.
    func deferFinish() -> Bool { false }
    /// Says goodbye, as far as the protocol can; the connection closes.
    func farewell() {}
    /// The connection is gone; called once, last.
    func closed() {}
}

private func abstract(_ name: StaticString = #function) -> Never {
    preconditionFailure("\(name) must be overridden")
}
