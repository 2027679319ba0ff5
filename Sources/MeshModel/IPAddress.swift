/// An IPv4 or IPv6 address, without port.
public struct IPAddress: Sendable, Hashable {
    /// 4 bytes for IPv4, 16 for IPv6, in network order.
    public let bytes: [UInt8]

    /// Traps unless `bytes` has 4 or 16 bytes.
    public init(bytes: [UInt8]) {
        precondition(bytes.count == 4 || bytes.count == 16)
        self.bytes = bytes
    }

    /// Nil when `text` is no IPv4 or IPv6 literal.
    public init?(_ text: String) {
        guard let bytes = IPLiteral.parse(text) else { return nil }
        self.init(bytes: bytes)
    }

    /// Whether only this machine can reach it: 127.0.0.0/8 or ::1.
    public var isLoopback: Bool {
        bytes.count == 4
            ? bytes[0] == 127
            : bytes.dropLast().allSatisfy { $0 == 0 } && bytes[15] == 1
    }

    /// Whether it names a group: 224.0.0.0/4 or ff00::/8.
    public var isMulticast: Bool {
        bytes.count == 4 ? (224...239).contains(bytes[0]) : bytes[0] == 0xff
    }

    /// Whether it stands for every address of the machine when listening: 0.0.0.0 or ::.
    public var isUnspecified: Bool { bytes.allSatisfy { $0 == 0 } }
}

extension IPAddress: CustomStringConvertible {
    /// `127.0.0.1` or, by RFC 5952, `::1`.
    public var description: String { IPLiteral.format(bytes) }
}
