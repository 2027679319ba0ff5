import Glibc
import MeshModel
import Testing
import Traffic

/// A port of loopback where connections are refused: bound, so that no test beside this one gets it,
/// and not listened at.
final class RefusingPort {
    let address: SocketAddress
    private let descriptor: Int32

    init() throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        try #require(descriptor >= 0)
        var bound = sockaddr_in()
        bound.sin_family = sa_family_t(AF_INET)
        bound.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var count = socklen_t(MemoryLayout<sockaddr_in>.size)
        let (socket, size) = (descriptor, count)
        let isBound = withUnsafeMutablePointer(to: &bound) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(socket, $0, size) == 0 && getsockname(socket, $0, &count) == 0
            }
        }
        address = SocketAddress(
            addressBytes: [127, 0, 0, 1],
            port: UInt16(bigEndian: bound.sin_port)
        )
        try #require(isBound)
    }

    deinit { close(descriptor) }
}
