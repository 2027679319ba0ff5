// What speaks a protocol on a downstream connection. The connection is socket, TLS, deadline and
// caller; the driver is codec and exchanges. A connection gets its driver when its protocol is known:
// from ALPN, from its first bytes, or from what was declared.

import HTTP
import Reactor
import Time

/// The protocol of one downstream connection.
///
/// Overridden, not adopted: see `HTTPStream.swift`. Confined to its worker.
class DownstreamDriver {
    /// A cycle, which the connection breaks when it is closed.
    final let connection: DownstreamConnection

    init(connection: DownstreamConnection) { self.connection = connection }

    final var worker: Worker { connection.worker }

    /// Whether no exchange runs and no request has begun.
    var isIdle: Bool { true }
    /// Whether everything it holds can be made again from the next bytes, so that a connection which
    /// rests need not keep it.
    var canRest: Bool { false }

    /// The exchanges that run on it; for questions about them.
    var runningExchanges: [Exchange] { [] }

    /// The connection is ready for plaintext.
    func begin() {}
    /// Plaintext arrived; lent during the call.
    func received(_ bytes: Span<UInt8>) {}
    /// The peer sends no more.
    func ended() {}
    /// The peer sends no more, and did not say so as TLS demands.
    func truncated() { ended() }
    /// The peer has hung up while reading is paused; what it sent before may still wait.
    func hungUp() { ended() }
    /// The connection's backlog is gone.
    func relieved() {}
    /// The turn after `requestResume`.
    func resume() {}
    /// The turn ends: what is to be sent must be in the buffer now.
    func willFlush() {}
    /// Sets the connection's deadline anew if what it depends on has moved.
    func refreshDeadline() {}
    /// The connection's deadline has passed.
    func deadlinePassed() {}
    /// The connection is quiet: give back what only traffic needs.
    func rest() {}
    /// The proxy drains: tell the peer, as far as the protocol can.
    func drain() {}
    /// Peers have had time to learn: take nothing new.
    func finishDrain() {}
    /// The drain's grace period is over.
    func expire() {}
    /// The connection is gone; called once, last.
    func closed() {}
}
