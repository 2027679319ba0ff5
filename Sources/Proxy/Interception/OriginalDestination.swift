import MeshModel
import Reactor

/// Where an intercepted connection was meant to go; made once for each connection.
final class OriginalDestination {
    let address: SocketAddress
    /// For logs.
    let text: String

    init(_ address: SocketAddress) {
        self.address = address
        text = address.description
    }

    /// Nil when the kernel names an address of another family.
    convenience init?(_ address: InternetAddress) {
        let bytes = address.bytes
        guard bytes.count == 4 || bytes.count == 16 else { return nil }
        self.init(SocketAddress(addressBytes: bytes, port: address.port))
    }
}

extension SocketAddress {
    /// Whether a connection to `destination` would arrive at a listener bound to this address.
    func takes(_ destination: SocketAddress) -> Bool {
        guard port == destination.port else { return false }
        if addressBytes == destination.addressBytes { return true }
        return ipAddress.isUnspecified && destination.isLoopback
    }
}
