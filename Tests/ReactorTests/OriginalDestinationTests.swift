import Glibc
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

/// A redirection of everything but loopback to port 15001, in the calling thread's own network.
private let redirection = """
    ip link set lo up && ip route add default dev lo && ip -6 route add default dev lo &&
    ip address add 10.0.0.1/32 dev lo && ip address add fd00::1/128 dev lo nodad &&
    nft 'add table inet test
        add chain inet test output { type nat hook output priority -100; }
        add rule inet test output fib daddr type != local meta l4proto tcp redirect to :15001'
    """

/// Glibc declares it for `_GNU_SOURCE` alone.
@_silgen_name("unshare")
private func unshare(_ what: Int32) -> Int32
private let newNetwork: Int32 = 0x4000_0000

/// Whether this thread, and what it starts, may have a network of its own with a redirection.
private func hasRedirection() -> Bool {
    unshare(newNetwork) == 0 && system("{ \(redirection); } >/dev/null 2>&1") == 0
}

struct OriginalDestinationTests {
    /// The account of one connection to `destination` through a listener at `bound`.
    private func accept(
        at bound: [UInt8],
        port: UInt16 = 0,
        to destination: [UInt8],
        port destinationPort: UInt16? = nil
    ) throws -> (account: Witness.Account, client: Connection) {
        let loop = try EventLoop()
        let listener = try Witness(
            loop: loop,
            socket: ListeningSocket(
                address: InternetAddress(bytes: bound, port: port),
                reusePort: false
            )
        )
        defer { listener.close() }
        let client = Connection(loop: loop)
        client.connect(
            to: InternetAddress(
                bytes: destination,
                port: destinationPort ?? listener.address.port
            )
        )
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

    /// `ADDRESS PORT` that a listener on every address tells of connections to these destinations;
    /// nil where the machine has no redirection for us.
    private func redirected(_ destinations: [[UInt8]]) async throws -> [String]? {
        try await withCheckedThrowingContinuation { continuation in
            do {
                try WorkerThread.start(name: "redirected") {
                    guard hasRedirection() else { return continuation.resume(returning: nil) }
                    continuation.resume(
                        with: Result {
                            try destinations.map { destination in
                                let account = try accept(
                                    at: anyIPv6,
                                    port: 15_001,
                                    to: destination,
                                    port: 443
                                ).account
                                let here = account.connection.originalDestination
                                let before = account.socketSays
                                #expect(before?.bytes == here?.bytes && before?.port == here?.port)
                                return here.map { "\($0.bytes) \($0.port)" } ?? "nowhere else"
                            }
                        }
                    )
                }
            } catch {
                continuation.resume(throwing: error)
            }
        }
    }

    @Test("a redirected connection tells where it was meant to go, in either family")
    func redirected() async throws {
        let elsewhere = [UInt8](1...16)
        guard let told = try await redirected([[10, 7, 7, 7], elsewhere]) else { return }
        #expect(told == ["[10, 7, 7, 7] 443", "\(elsewhere) 443"])
    }
}
