import Bytes
import Testing
import Time

@testable import Reactor

private final class Probe: DatagramSocket {
    var received: [[UInt8]] = []
    var sources: [InternetAddress] = []
    var refusals: [Int32] = []
    var closedCount = 0
    var onEach: ((Probe) -> Void)?

    override func onDatagram(_ bytes: Span<UInt8>, from source: InternetAddress) {
        received.append(bytes.array)
        sources.append(source)
        onEach?(self)
    }
    func post(_ bytes: [UInt8], to destination: InternetAddress? = nil) -> Bool {
        guard let destination else { return send(bytes.span) }
        return send(bytes.span, to: destination)
    }
    override func onRefused(errno: Int32) { refusals.append(errno) }
    override func onClosed() { closedCount += 1 }
}

private struct TimedOut: Error {}

extension EventLoop {
    /// Turns until `condition`; at most 10 s, which only a failing test takes.
    fileprivate func turnUntil(_ condition: () -> Bool) throws {
        let deadline = Clock.monotonic() + .seconds(10)
        while !condition() {
            guard Clock.monotonic() < deadline else { throw TimedOut() }
            turn(waitMillisecondsMax: 100)
        }
    }
}

private let loopback = InternetAddress(bytes: [127, 0, 0, 1], port: 0)
private let loopback6 = InternetAddress(
    bytes: [UInt8](repeating: 0, count: 15) + [1],
    port: 0
)

struct DatagramSocketTests {
    @Test("datagrams arrive whole, with their sender, in IPv4 and IPv6", arguments: [false, true])
    func delivery(isIPv6: Bool) throws {
        let loop = try EventLoop()
        let server = try Probe(loop: loop, address: isIPv6 ? loopback6 : loopback)
        #expect(server.localAddress.port != 0)
        let client = try Probe(loop: loop, peer: server.localAddress)
        let sizes = [0, 1, 512, 1_232, 65_507]
        for size in sizes {
            let payload = [UInt8](repeating: UInt8(size % 251), count: size)
            #expect(client.post(payload))
            try loop.turnUntil { server.received.last == payload }
        }
        #expect(server.sources.allSatisfy { $0 == client.localAddress })
        #expect(server.post([7, 8], to: client.localAddress))
        try loop.turnUntil { client.received == [[7, 8]] }
        #expect(client.sources == [server.localAddress])
    }

    @Test("a socket with a peer hears nobody else")
    func strangers() throws {
        let loop = try EventLoop()
        let server = try Probe(loop: loop, address: loopback)
        let stranger = try Probe(loop: loop, address: loopback)
        let client = try Probe(loop: loop, peer: server.localAddress)
        #expect(stranger.post([1], to: client.localAddress))
        #expect(server.post([2], to: client.localAddress))
        try loop.turnUntil { !client.received.isEmpty }
        #expect(client.received == [[2]])
    }

    @Test("a port where nobody listens refuses, and the socket stays usable")
    func refusal() throws {
        let loop = try EventLoop()
        let gone = try Probe(loop: loop, address: loopback)
        let client = try Probe(loop: loop, peer: gone.localAddress)
        gone.close()
        loop.turn(waitMillisecondsMax: 0)
        #expect(client.post([1]))
        try loop.turnUntil { !client.refusals.isEmpty }
        #expect(client.refusals == [111])
        let again = try Probe(loop: loop, address: gone.localAddress)
        #expect(client.post([2]))
        try loop.turnUntil { again.received == [[2]] }
    }

    @Test("a turn takes a bounded number of datagrams, the next ones the rest")
    func bounded() throws {
        let loop = try EventLoop()
        let server = try Probe(loop: loop, address: loopback)
        let client = try Probe(loop: loop, peer: server.localAddress)
        let sent = ReactorLimits.datagramsPerTurnMax + 3
        for index in 0..<sent { #expect(client.post([UInt8(index)])) }
        loop.turn(waitMillisecondsMax: 1_000)
        #expect(server.received.count == ReactorLimits.datagramsPerTurnMax)
        try loop.turnUntil { server.received.count == sent }
        #expect(server.received.map { $0[0] } == (0..<sent).map { UInt8($0) })
    }

    @Test("nothing is delivered after close, also not from the same turn")
    func closing() throws {
        let loop = try EventLoop()
        let server = try Probe(loop: loop, address: loopback)
        let client = try Probe(loop: loop, peer: server.localAddress)
        server.onEach = { $0.close() }
        client.send([1].span)
        client.send([2].span)
        try loop.turnUntil { server.closedCount == 1 }
        #expect(server.received == [[1]])
        #expect(!server.post([3], to: client.localAddress))
        server.close()
        loop.turn(waitMillisecondsMax: 0)
        #expect(server.closedCount == 1)
    }

    @Test("an address in use and one that is not here are errors that name the call")
    func errors() throws {
        let loop = try EventLoop()
        let first = try Probe(loop: loop, address: loopback)
        #expect(throws: ReactorError.systemCall("bind", errno: 98)) {
            _ = try Probe(loop: loop, address: first.localAddress)
        }
        #expect(throws: ReactorError.systemCall("bind", errno: 99)) {
            _ = try Probe(loop: loop, address: InternetAddress(bytes: [192, 0, 2, 1], port: 0))
        }
    }
}
