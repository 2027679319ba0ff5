import CLinux

/// An IPv4 or IPv6 address with port in the form the kernel takes, ready for repeated connects.
public struct InternetAddress: Sendable, Hashable {
    var raw: mesh_address

    /// Traps unless `bytes` has 4 or 16 bytes (network order).
    public init(bytes: [UInt8], port: UInt16) {
        precondition(bytes.count == 4 || bytes.count == 16)
        var raw = mesh_address()
        mesh_address_make(&raw, bytes, Int32(bytes.count), port)
        self.raw = raw
    }

    init(raw: mesh_address) { self.raw = raw }

    /// Nil when no NAT rule sent the accepted socket's peer here.
    init?(originalDestinationOf descriptor: Int32) {
        var raw = mesh_address()
        guard mesh_original_destination(descriptor, &raw) >= 0 else { return nil }
        self.raw = raw
    }

    /// 4 or 16 bytes in network order; empty when the address is of another family.
    public var bytes: [UInt8] { parts.bytes }

    /// The port.
    public var port: UInt16 { parts.port }

    /// Whether family, address and port are the same.
    public static func == (left: InternetAddress, right: InternetAddress) -> Bool {
        left.parts == right.parts
    }

    /// Hashes family, address and port.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(bytes)
        hasher.combine(port)
    }

    private var parts: (bytes: [UInt8], port: UInt16) {
        var bytes = [UInt8](repeating: 0, count: 16)
        var port: UInt16 = 0
        var copy = raw
        let count = mesh_address_parts(&copy, &bytes, &port)
        return (Array(bytes.prefix(Int(count))), port)
    }
}
