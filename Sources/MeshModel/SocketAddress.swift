/// An IPv4 or IPv6 literal with a port.
public struct SocketAddress: Sendable, Hashable {
    /// 4 bytes for IPv4, 16 for IPv6, in network order.
    public let addressBytes: [UInt8]
    /// 0...65535; 0 asks the kernel for a free port when listening.
    public let port: UInt16

    /// Traps unless `addressBytes` has 4 or 16 bytes.
    public init(addressBytes: [UInt8], port: UInt16) {
        precondition(addressBytes.count == 4 || addressBytes.count == 16)
        self.addressBytes = addressBytes
        self.port = port
    }

    /// 127.0.0.1 with `port`.
    public static func loopback(port: UInt16) -> SocketAddress {
        SocketAddress(addressBytes: [127, 0, 0, 1], port: port)
    }
}
