// A listening socket on one loop. With SO_REUSEPORT each worker has its own, and the kernel spreads
// the connections.

import CLinux
import Glibc

/// An owned listening descriptor that is not yet watched by a loop; handed to a worker's thread.
public struct ListeningSocket: Sendable {
    let descriptor: Int32
    /// The address it is bound to, with the real port.
    public let address: InternetAddress

    /// Binds and listens.
    ///
    /// - Throws: `ReactorError` naming the call, for example `bind: Address already in use`.
    public init(address: InternetAddress, reusePort: Bool) throws(ReactorError) {
        var raw = address.raw
        let fd = mesh_listen(&raw, 4096, reusePort ? 1 : 0)
        guard fd >= 0 else { throw .systemCall("bind", errno: -fd) }
        let code = mesh_local_address(fd, &raw)
        guard code >= 0 else {
            _ = mesh_close(fd)
            throw .systemCall("getsockname", errno: -code)
        }
        descriptor = fd
        self.address = InternetAddress(raw: raw)
    }
}

/// A connection the kernel has accepted, not yet owned by a `Connection`.
public struct AcceptedSocket: ~Copyable {
    let descriptor: Int32
    /// The peer's address.
    public let peer: InternetAddress

    /// Where the peer meant to connect, when a NAT rule sent it here; nil when it meant this socket.
    ///
    /// Two system calls: ask once, and only where traffic is intercepted.
    public var originalDestination: InternetAddress? {
        InternetAddress(originalDestinationOf: descriptor)
    }

    deinit { _ = mesh_close(descriptor) }

    /// Gives up ownership: the caller closes the descriptor.
    consuming func takeDescriptor() -> Int32 {
        let taken = descriptor
        discard self
        return taken
    }
}

/// Accepts connections on its loop.
///
/// Subclasses override the `on…` methods; all run on the loop.
open class Listener: EventSource {
    private let socket: ListeningSocket
    private let pauseTimer = Timer()
    private var isOpen = true
    private var isPaused = false

    /// Starts accepting on `loop`.
    ///
    /// - Throws: `ReactorError` when the descriptor cannot be watched.
    public init(loop: EventLoop, socket: ListeningSocket) throws(ReactorError) {
        self.socket = socket
        super.init(loop: loop)
        // Level-triggered: what a turn leaves in the backlog shows up again in the next.
        try loop.watch(self, descriptor: socket.descriptor, events: UInt32(MESH_IN))
    }

    /// The address it is bound to.
    public var address: InternetAddress { socket.address }

    /// A connection was accepted.
    ///
    /// A socket that is not made a `Connection` is closed.
    open func onAccept(_ socket: consuming AcceptedSocket) {}

    /// Accepting failed for want of descriptors or memory; it starts again by itself.
    open func onAcceptPaused(errno: Int32) {}

    /// Stops accepting and closes the socket; connections in the backlog are reset by the kernel.
    public func close() {
        guard isOpen else { return }
        isOpen = false
        loop.timers.cancel(pauseTimer)
        loop.release(self)
        _ = mesh_close(socket.descriptor)
    }

    /// Stops accepting without closing: new connections wait in the backlog.
    public func pause(nanoseconds: UInt64) {
        guard isOpen else { return }
        if !isPaused {
            isPaused = true
            loop.modify(self, descriptor: socket.descriptor, events: 0)
        }
        loop.arm(pauseTimer, afterNanoseconds: nanoseconds, target: self)
    }

    override func onReady(_ events: UInt32) {
        for _ in 0..<ReactorLimits.acceptsPerTurnMax {
            guard isOpen, !isPaused else { return }
            var peer = mesh_address()
            let fd = mesh_accept(socket.descriptor, &peer)
            if fd >= 0 {
                onAccept(AcceptedSocket(descriptor: fd, peer: InternetAddress(raw: peer)))
                continue
            }
            switch -fd {
            case EAGAIN: return
            case ECONNABORTED, EINTR, EPROTO: continue
            default:
                // EMFILE, ENFILE, ENOBUFS, ENOMEM: trying on would spin, since the socket stays
                // readable. Descriptors come back when connections end.
                pause(nanoseconds: ReactorLimits.acceptPauseNanoseconds)
                onAcceptPaused(errno: -fd)
                return
            }
        }
    }

    override open func onTimer(_ timer: Timer) {
        guard isOpen, isPaused else { return }
        isPaused = false
        loop.modify(self, descriptor: socket.descriptor, events: UInt32(MESH_IN))
    }
}
