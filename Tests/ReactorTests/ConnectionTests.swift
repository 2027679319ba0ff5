import Bytes
import Testing
import Time

@testable import Reactor

/// Records what happens to it; echoes when asked.
private final class Probe: Connection {
    var received: [UInt8] = []
    var receivedCount = 0
    var keepsBytes = true
    var echoes = false
    var endedCount = 0
    var closed: [CloseReason] = []
    var relievedCount = 0
    var connectedCount = 0
    var onBytes: ((Probe) -> Void)?

    override func onConnected() { connectedCount += 1 }
    override func onData(_ bytes: Span<UInt8>) {
        receivedCount += bytes.count
        if keepsBytes { received += bytes.array }
        if echoes { send(bytes) }
        onBytes?(self)
    }
    override func onEnd() {
        endedCount += 1
        if echoes { close() }
    }
    override func onRelieved() { relievedCount += 1 }
    override func onClosed(_ reason: CloseReason) { closed.append(reason) }
}

private final class ProbeListener: Listener {
    var accepted: [Probe] = []
    var echoes = false
    override func onAccept(_ socket: consuming AcceptedSocket) {
        guard let probe = try? Probe(loop: loop, accepted: socket) else { return }
        probe.echoes = echoes
        accepted.append(probe)
    }
}

private struct Pair {
    let loop: EventLoop
    let listener: ProbeListener
    let client: Probe
    let server: Probe

    init(echoes: Bool = false) throws {
        loop = try EventLoop()
        let socket = try ListeningSocket(
            address: InternetAddress(bytes: [127, 0, 0, 1], port: 0),
            reusePort: false
        )
        listener = try ProbeListener(loop: loop, socket: socket)
        listener.echoes = echoes
        client = Probe(loop: loop)
        client.connect(to: listener.address)
        let listener = listener
        let client = client
        try loop.turnUntil { listener.accepted.count == 1 && client.connectedCount == 1 }
        server = listener.accepted[0]
    }
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

private func bytes(_ count: Int) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
}

struct ConnectionTests {
    @Test("bytes sent in pieces of every size arrive complete and in order, then the end")
    func ordered() throws {
        let pair = try Pair()
        let all = bytes(3_000_000)
        var offset = 0
        for size in [1, 10, 16_383, 16_384, 16_385, 65_536, 5, 300_000, 1, 700_000] {
            pair.client.send(all[offset..<offset + size].span)
            offset += size
        }
        pair.client.endOutput()
        try pair.loop.turnUntil { pair.server.endedCount == 1 }
        #expect(pair.server.received == Array(all[..<offset]))
        #expect(pair.server.closed.isEmpty)
    }

    @Test("half-close: the side that got the end can still send")
    func halfClose() throws {
        let pair = try Pair()
        pair.client.endOutput()
        try pair.loop.turnUntil { pair.server.endedCount == 1 }
        pair.server.send(bytes(50_000).span)
        pair.server.close()
        try pair.loop.turnUntil { pair.client.endedCount == 1 }
        #expect(pair.client.received == bytes(50_000))
    }

    @Test("a reader that pauses congests the sender, which is told once when it is relieved")
    func backPressure() throws {
        let pair = try Pair()
        pair.server.pauseReading()
        let chunk = bytes(65_536)
        var sent = 0
        // The kernel's buffers take some megabytes first.
        while !pair.client.isCongested {
            pair.client.send(chunk.span)
            sent += chunk.count
            pair.loop.turn(waitMillisecondsMax: 0)
            #expect(sent < 256 << 20)
        }
        #expect(pair.client.relievedCount == 0)
        pair.server.keepsBytes = false
        pair.server.resumeReading()
        let total = sent
        try pair.loop.turnUntil { pair.server.receivedCount == total }
        #expect(pair.client.relievedCount == 1)
        #expect(pair.client.outstandingBytes == 0)
    }

    @Test("closing with output outstanding delivers all of it before the end")
    func closeFlushes() throws {
        let pair = try Pair()
        let all = bytes(5_000_000)
        pair.client.send(all.span)
        pair.client.close()
        try pair.loop.turnUntil { pair.server.endedCount == 1 }
        #expect(pair.server.received == all)
        pair.server.close()
        try pair.loop.turnUntil { pair.client.closed == [.local] && pair.server.closed == [.local] }
    }

    @Test("a reset is reported as a failure, once, and nothing follows")
    func reset() throws {
        let pair = try Pair()
        pair.client.reset()
        try pair.loop.turnUntil { pair.server.closed.count == 1 && pair.client.closed.count == 1 }
        #expect(pair.server.closed == [.failed(errno: 104)])
        #expect(pair.server.endedCount == 0)
        pair.server.send(bytes(10).span)
        pair.server.close()
        pair.loop.turn(waitMillisecondsMax: 0)
        #expect(pair.server.closed.count == 1)
    }

    @Test("closing inside onData delivers nothing more")
    func closeInsideCallback() throws {
        let pair = try Pair()
        pair.server.onBytes = { $0.abort() }
        pair.client.send(bytes(400_000).span)
        try pair.loop.turnUntil { !pair.server.closed.isEmpty }
        #expect(pair.server.receivedCount <= ReactorLimits.receiveBytesMax)
        #expect(pair.server.closed == [.local])
    }

    @Test("connecting to a closed port reports the reason, not inside connect()")
    func refused() throws {
        let loop = try EventLoop()
        let socket = try ListeningSocket(
            address: InternetAddress(bytes: [127, 0, 0, 1], port: 0),
            reusePort: false
        )
        let listener = try ProbeListener(loop: loop, socket: socket)
        let address = listener.address
        listener.close()
        let probe = Probe(loop: loop)
        probe.connect(to: address)
        #expect(probe.closed.isEmpty)
        try loop.turnUntil { !probe.closed.isEmpty }
        #expect(probe.closed == [.connectFailed(errno: 111)])
    }

    @Test("an echo of random sizes over small turns returns every byte")
    func echo() throws {
        let pair = try Pair(echoes: true)
        var generator = SplitMix(state: 7)
        var expected: [UInt8] = []
        for _ in 0..<200 {
            let piece = bytes(Int(generator.next() % 40_000))
            expected += piece
            pair.client.send(piece.span)
            if generator.next() % 3 == 0 { pair.loop.turn(waitMillisecondsMax: 0) }
        }
        pair.client.endOutput()
        try pair.loop.turnUntil { pair.client.endedCount == 1 }
        #expect(pair.client.received == expected)
    }

    @Test("a stale event of a closed connection never reaches the one that took its slot")
    func generations() throws {
        let pair = try Pair()
        // Both become ready in one turn; the first closes the second, whose slot a third takes.
        let second = Probe(loop: pair.loop)
        second.connect(to: pair.listener.address)
        try pair.loop.turnUntil { pair.listener.accepted.count == 2 && second.connectedCount == 1 }
        let third = Probe(loop: pair.loop)
        let address = pair.listener.address
        let victim = pair.listener.accepted[1]
        pair.server.onBytes = { _ in
            if !victim.isClosing {
                victim.abort()
                third.connect(to: address)
            }
        }
        pair.client.send(bytes(3).span)
        second.send(bytes(5).span)
        try pair.loop.turnUntil { third.connectedCount == 1 }
        #expect(third.received.isEmpty)
        #expect(third.closed.isEmpty)
    }
}

struct MailboxTests {
    @Test("messages from other threads arrive in order on the loop; a full mailbox refuses")
    func delivery() throws {
        let loop = try EventLoop()
        let mailbox = Mailbox<Int>(capacity: 1000)
        var got: [Int] = []
        let reader = try MailboxReader(loop: loop, mailbox: mailbox) { got.append($0) }
        try WorkerThread.start(name: "test") {
            for number in 0..<1000 { mailbox.post(number) }
        }
        try loop.turnUntil { got.count == 1000 }
        #expect(got == Array(0..<1000))
        let full = Mailbox<Int>(capacity: 2)
        #expect(full.post(1) && full.post(2) && !full.post(3))
        full.close()
        #expect(!full.post(4))
        withExtendedLifetime(reader) {}
    }
}

struct ReactorLimitsTests {
    @Test("the marks leave room between them, and one receive fits under the congestion mark")
    func relations() {
        #expect(ReactorLimits.relievedBelowBytes < ReactorLimits.congestedAboveBytes)
        #expect(ReactorLimits.receiveBytesMax <= ReactorLimits.congestedAboveBytes)
        #expect(ReactorLimits.directSendBytesMin <= ReactorLimits.receiveBytesMax)
        #expect(ReactorLimits.eventsPerTurnMax <= 256)
    }
}
