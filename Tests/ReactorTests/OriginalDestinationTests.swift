import Testing
import Time

@testable import Reactor

/// Keeps what the accepted socket and then its connection say of themselves.
private final class Witness: Listener {
    struct Account {
        let peer: InternetAddress
        let socketSays: InternetAddress?
        let connection: Connection
    }

    var accounts: [Account] = []

    override func onAccept(_ socket: consuming AcceptedSocket) {
        let (peer, socketSays) = (socket.peer, socket.originalDestination)
        guard let connection = try? Connection(loop: loop, accepted: socket) else { return }
        accounts.append(Account(peer: peer, socketSays: socketSays, connection: connection))
    }
}

private let anyIPv6 = [UInt8](repeating: 0, count: 16)
private let loopbackIPv6: [UInt8] = anyIPv6.dropLast() + [1]
private let loopbackIPv4: [UInt8] = [127, 0, 0, 1]

private func listens(at bytes: [UInt8]) -> Bool {
    guard
        let socket = try? ListeningSocket(
            address: InternetAddress(bytes: bytes, port: 0),
            reusePort: false
        ),
        let loop = try? EventLoop(),
        let listener = try? Listener(loop: loop, socket: socket)
    else { return false }
    listener.close()
    return true
}

/// What a real redirection looks like is tested in Tests/EndToEnd, where there are namespaces.
struct OriginalDestinationTests {
    /// The account of one connection to `destination` through a listener at `bound`.
    private func accept(
        at bound: [UInt8],
        to destination: [UInt8]
    ) throws -> (account: Witness.Account, client: Connection) {
        let loop = try EventLoop()
        let listener = try Witness(
            loop: loop,
            socket: ListeningSocket(
                address: InternetAddress(bytes: bound, port: 0),
                reusePort: false
            )
        )
        defer { listener.close() }
        let client = Connection(loop: loop)
        client.connect(to: InternetAddress(bytes: destination, port: listener.address.port))
        let deadline = Clock.monotonic() + .seconds(10)
        while listener.accounts.isEmpty, Clock.monotonic() < deadline {
            loop.turn(waitMillisecondsMax: 100)
        }
        return (try #require(listener.accounts.first), client)
    }

    @Test("a connection that meant this socket has no other destination")
    func direct() throws {
        let account = try accept(at: loopbackIPv4, to: loopbackIPv4).account
        #expect(account.socketSays == nil)
        #expect(account.connection.originalDestination == nil)
    }

    @Test("neither has one over IPv6", .enabled(if: listens(at: loopbackIPv6)))
    func directIPv6() throws {
        let account = try accept(at: loopbackIPv6, to: loopbackIPv6).account
        #expect(account.socketSays == nil)
        #expect(account.connection.originalDestination == nil)
        #expect(account.peer.bytes == loopbackIPv6)
    }

    @Test(
        "an IPv4 connection to a dual-stack socket looks like one to an IPv4 socket",
        .enabled(if: listens(at: anyIPv6))
    )
    func dualStack() throws {
        let (account, client) = try accept(at: anyIPv6, to: loopbackIPv4)
        #expect(account.peer.bytes == loopbackIPv4)
        #expect(account.peer.port == client.localAddress?.port)
        #expect(account.connection.localAddress?.bytes == loopbackIPv4)
        #expect(account.socketSays == nil)
        #expect(account.connection.originalDestination == nil)
    }

    @Test("a connection that was never accepted, or is closed, has none")
    func closed() throws {
        let (account, client) = try accept(at: loopbackIPv4, to: loopbackIPv4)
        account.connection.abort()
        #expect(account.connection.originalDestination == nil)
        #expect(client.originalDestination == nil)
        #expect(Connection(loop: try EventLoop()).originalDestination == nil)
    }
}
