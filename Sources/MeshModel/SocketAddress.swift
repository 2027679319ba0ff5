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

    /// Nil when `address` is no IPv4 or IPv6 literal.
    public init?(address: String, port: UInt16) {
        guard let bytes = IPLiteral.parse(address) else { return nil }
        self.init(addressBytes: bytes, port: port)
    }

    /// Reads `127.0.0.1:80` or `[::1]:80`; nil when it is neither.
    public init?(_ text: String) {
        guard let colon = text.lastIndex(of: ":") else { return nil }
        let digits = text[text.index(after: colon)...]
        guard digits.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }),
            digits == "0" || !digits.hasPrefix("0"), let port = UInt16(digits)
        else { return nil }
        let host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") {
            let literal = String(host.dropFirst().dropLast())
            guard literal.contains(":") else { return nil }
            self.init(address: literal, port: port)
        } else {
            guard !host.contains(":") else { return nil }
            self.init(address: String(host), port: port)
        }
    }

    /// 127.0.0.1 with `port`.
    public static func loopback(port: UInt16) -> SocketAddress {
        SocketAddress(addressBytes: [127, 0, 0, 1], port: port)
    }

    /// The address without the port.
    public var ipAddress: IPAddress { IPAddress(bytes: addressBytes) }

    /// The address alone: `127.0.0.1`, `::1`.
    public var address: String { ipAddress.description }

    /// Whether only this machine can reach it: 127.0.0.0/8 or ::1.
    public var isLoopback: Bool { ipAddress.isLoopback }
}

extension SocketAddress: CustomStringConvertible {
    /// `127.0.0.1:80` or `[::1]:80`.
    public var description: String {
        addressBytes.count == 4 ? "\(address):\(port)" : "[\(address)]:\(port)"
    }
}
