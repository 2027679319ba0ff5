// One non-blocking UDP socket on a loop.
//
// Received datagrams are lent one by one with their sender. Sending never waits and never queues: a
// datagram the kernel has no room for is dropped, as the network might have dropped it.
//
// Invariants:
// - level-triggered: what a turn leaves in the kernel's queue shows up again in the next
// - after `close` nothing is called but one `onClosed`

import CLinux
import Glibc

/// A UDP socket on one loop.
///
/// Subclasses override the `on…` methods; all run on the loop's thread.
open class DatagramSocket: EventSource {
    private let descriptor: Int32
    private var isOpen = true
    /// The address it is bound to, with the real port.
    public let localAddress: InternetAddress

    /// A socket that receives what anybody sends to `address`.
    ///
    /// - Throws: `ReactorError` naming the call, for example `bind: Address already in use`.
    public init(loop: EventLoop, address: InternetAddress) throws(ReactorError) {
        var raw = address.raw
        (descriptor, localAddress) = try Self.opened(mesh_datagram_bind(&raw), "bind")
        super.init(loop: loop)
        try watch()
    }

    /// A socket that sends to `peer` and receives from nobody else, on a random port of its own.
    ///
    /// - Throws: `ReactorError` naming the call, for example when there is no route.
    public init(loop: EventLoop, peer: InternetAddress) throws(ReactorError) {
        var raw = peer.raw
        (descriptor, localAddress) = try Self.opened(mesh_datagram_connect(&raw), "connect")
        super.init(loop: loop)
        try watch()
    }

    // MARK: What subclasses override

    /// A datagram arrived; lent during the call.
    open func onDatagram(_ bytes: Span<UInt8>, from source: InternetAddress) {}
    /// The network refused something sent before: nobody listens there, or no way leads there.
    ///
    /// The socket stays usable.
    open func onRefused(errno: Int32) {}
    /// Everything is over; called once, last.
    open func onClosed() {}

    // MARK: Sending and closing

    /// Sends one datagram to `destination`; false when the kernel did not take it.
    @discardableResult
    public func send(_ bytes: Span<UInt8>, to destination: InternetAddress) -> Bool {
        guard isOpen else { return false }
        var raw = destination.raw
        return bytes.withUnsafeBytes {
            mesh_send_to(descriptor, $0.baseAddress, $0.count, &raw) == $0.count
        }
    }

    /// Sends one datagram to the peer of a connected socket; false when the kernel did not take it.
    @discardableResult
    public func send(_ bytes: Span<UInt8>) -> Bool {
        guard isOpen else { return false }
        return bytes.withUnsafeBytes {
            mesh_send_to(descriptor, $0.baseAddress, $0.count, nil) == $0.count
        }
    }

    /// Closes at once.
    public func close() {
        guard isOpen else { return }
        isOpen = false
        loop.release(self)
        _ = mesh_close(descriptor)
    }

    // MARK: Loop callbacks

    override func onReady(_ events: UInt32) {
        for _ in 0..<ReactorLimits.datagramsPerTurnMax {
            guard isOpen else { return }
            var source = mesh_address()
            let count = mesh_receive_from(
                descriptor,
                loop.receiveBlock,
                ReactorLimits.receiveBytesMax,
                &source
            )
            if count >= 0 {
                let block = UnsafePointer(
                    loop.receiveBlock.bindMemory(to: UInt8.self, capacity: max(count, 1))
                )
                onDatagram(
                    Span(_unsafeStart: block, count: count),
                    from: InternetAddress(raw: source)
                )
                continue
            }
            switch Int32(-count) {
            case EAGAIN: return
            case EINTR: continue
            default: onRefused(errno: Int32(-count))
            }
        }
    }

    override func onReleased() { onClosed() }

    // MARK: Internals

    private static func opened(
        _ fd: Int32,
        _ call: StaticString
    ) throws(ReactorError) -> (Int32, InternetAddress) {
        guard fd >= 0 else { throw .systemCall(call, errno: -fd) }
        var raw = mesh_address()
        let code = mesh_local_address(fd, &raw)
        guard code >= 0 else {
            _ = mesh_close(fd)
            throw .systemCall("getsockname", errno: -code)
        }
        return (fd, InternetAddress(raw: raw))
    }

    private func watch() throws(ReactorError) {
        do {
            try loop.watch(self, descriptor: descriptor, events: UInt32(MESH_IN))
        } catch {
            isOpen = false
            _ = mesh_close(descriptor)
            throw error
        }
    }
}
