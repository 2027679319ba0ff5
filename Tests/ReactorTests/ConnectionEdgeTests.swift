import Bytes
import Testing
import Time

@testable import Reactor

/// A connection whose callbacks a test gives.
private final class Edge: Connection {
    var received = 0
    var chunks: [Int] = []
    var ended = 0
    var hangUps = 0
    var resumes = 0
    var closed: [CloseReason] = []
    var isReady = false
    var onBytes: ((Edge) -> Void)?
    var onFlush: ((Edge) -> Void)?

    override func onConnected() { isReady = true }
    override func onData(_ bytes: Span<UInt8>) {
        received += bytes.count
        chunks.append(bytes.count)
        onBytes?(self)
    }
    override func onEnd() { ended += 1 }
    override func onHangUp() { hangUps += 1 }
    override func onResume() { resumes += 1 }
    override func willFlush() { onFlush?(self) }
    override func onClosed(_ reason: CloseReason) { closed.append(reason) }
}

private final class EdgeListener: Listener {
    var accepted: [Edge] = []
    override func onAccept(_ socket: consuming AcceptedSocket) {
        if let edge = try? Edge(loop: loop, accepted: socket) { accepted.append(edge) }
    }
}

private struct Stuck: Error {}

/// Two ends of one connection.
private struct Ends {
    let loop: EventLoop
    let client: Edge
    let server: Edge
    private let listener: EdgeListener

    init() throws {
        let loop = try EventLoop()
        let socket = try ListeningSocket(
            address: InternetAddress(bytes: [127, 0, 0, 1], port: 0),
            reusePort: false
        )
        let listener = try EdgeListener(loop: loop, socket: socket)
        let client = Edge(loop: loop)
        client.connect(to: listener.address)
        self.loop = loop
        self.client = client
        self.listener = listener
        try Self.until(loop) { listener.accepted.count == 1 && client.isReady }
        server = listener.accepted[0]
    }

    func until(_ condition: () -> Bool) throws { try Self.until(loop, condition) }

    /// At most 20 s, which only a failing test takes.
    private static func until(_ loop: EventLoop, _ condition: () -> Bool) throws {
        let deadline = Clock.monotonic() + .seconds(20)
        var wait: Int32 = 0
        while !condition() {
            guard Clock.monotonic() < deadline else { throw Stuck() }
            loop.turn(waitMillisecondsMax: wait)
            wait = 20
        }
    }

    /// Fills the way from the client to a server that does not read.
    func congest() {
        server.pauseReading()
        let block = [UInt8](repeating: 1, count: 65_536)
        while !client.isCongested {
            client.send(block.span)
            loop.turn(waitMillisecondsMax: 0)
        }
    }
}

struct ConnectionEdgeTests {
    private let block = [UInt8](repeating: 9, count: 65_536)

    @Test("after a pause inside onData nothing more comes until it is taken back, then everything")
    func pauseInside() throws {
        let ends = try Ends()
        ends.server.onBytes = { $0.pauseReading() }
        for _ in 0..<16 { ends.client.send(block.span) }
        try ends.until { ends.server.received > 0 }
        for _ in 0..<20 { ends.loop.turn(waitMillisecondsMax: 0) }
        #expect(ends.server.chunks.count == 1)
        ends.server.onBytes = nil
        ends.server.resumeReading()
        try ends.until { ends.server.received == 16 * block.count }
        ends.client.send(block.span)
        try ends.until { ends.server.received == 17 * block.count }
    }

    @Test("a paused reader does not learn of data, but of a hang-up, whether end or reset")
    func hangUp() throws {
        for resets in [true, false] {
            let ends = try Ends()
            ends.server.pauseReading()
            ends.client.send(block.span)
            for _ in 0..<20 { ends.loop.turn(waitMillisecondsMax: 0) }
            #expect(ends.server.received == 0 && ends.server.hangUps == 0)
            if resets { ends.client.reset() } else { ends.client.endOutput() }
            try ends.until { ends.server.hangUps > 0 }
            #expect(ends.server.ended == 0 && ends.server.closed.isEmpty)
            guard !resets else { continue }
            ends.server.resumeReading()
            try ends.until { ends.server.ended == 1 }
            #expect(ends.server.received == block.count)
        }
    }

    @Test("closing inside the flush sends what that flush was given, then the end")
    func closeInsideFlush() throws {
        let ends = try Ends()
        let block = block
        ends.client.onFlush = { edge in
            edge.onFlush = nil
            edge.send(block.span)
            edge.close()
        }
        ends.client.queueFlush()
        try ends.until { ends.server.ended == 1 }
        #expect(ends.server.received == block.count)
    }

    @Test("once closed by this side a connection is not open, and takes nothing more to send")
    func closedIsNotOpen() throws {
        let ends = try Ends()
        ends.client.send(block.span)
        ends.client.close()
        #expect(!ends.client.isOpen && ends.client.isClosing)
        ends.client.send(block.span)
        try ends.until { ends.server.ended == 1 }
        #expect(ends.server.received == block.count)
    }

    @Test("closing waits for the peer's end, discards what comes, and ends with one callback")
    func linger() throws {
        let ends = try Ends()
        ends.client.close()
        try ends.until { ends.server.ended == 1 }
        ends.server.send([1, 2, 3].span)
        for _ in 0..<20 { ends.loop.turn(waitMillisecondsMax: 0) }
        #expect(ends.client.closed.isEmpty && ends.client.received == 0)
        ends.server.close()
        try ends.until { ends.client.closed.count == 1 && ends.server.closed.count == 1 }
        #expect(ends.client.closed == [.local])
        #expect(ends.loop.timers.count == 0)
    }

    @Test("a peer that goes on sending to a closing connection is cut off at the bound")
    func lingerIsBounded() throws {
        let ends = try Ends()
        ends.client.close()
        try ends.until { ends.server.ended == 1 }
        var sent = 0
        while ends.server.closed.isEmpty, sent < 64 << 20 {
            ends.server.send(block.span)
            sent += block.count
            ends.loop.turn(waitMillisecondsMax: 0)
        }
        #expect(ends.client.closed == [.local])
        #expect(!ends.server.closed.isEmpty)
    }

    @Test("a peer that does not close is given up after the linger time")
    func lingerTime() throws {
        let ends = try Ends()
        ends.client.close()
        try ends.until { ends.server.ended == 1 }
        #expect(ends.loop.timers.count == 1)
        ends.loop.timers.advance(
            to: ends.loop.now.advanced(byNanoseconds: ReactorLimits.lingerNanoseconds * 2)
        )
        try ends.until { ends.client.closed == [.local] }
    }

    @Test("a peer that takes nothing of what is outstanding is given up too")
    func closeWithoutReader() throws {
        let ends = try Ends()
        ends.congest()
        ends.client.close()
        for _ in 0..<20 { ends.loop.turn(waitMillisecondsMax: 0) }
        #expect(ends.client.closed.isEmpty && ends.client.outstandingBytes > 0)
        ends.loop.timers.advance(
            to: ends.loop.now.advanced(byNanoseconds: ReactorLimits.closeFlushNanoseconds * 2)
        )
        try ends.until { ends.client.closed == [.local] }
        #expect(ends.loop.timers.count == 0)
    }

    @Test("a timer armed before a close and cancelled in onClosed never fires")
    func timerAndClose() throws {
        let ends = try Ends()
        let target = CountingTarget()
        let timer = Timer()
        ends.loop.arm(timer, afterNanoseconds: 1_000_000, target: target)
        ends.client.abort()
        ends.loop.timers.cancel(timer)
        try ends.until { ends.client.closed == [.local] }
        let start = Clock.monotonic()
        try ends.until { Clock.monotonic() >= start + .milliseconds(5) }
        #expect(target.fired == 0)
    }

    @Test("while congested, short and long pieces queue behind each other, and all of it leaves")
    func mixedSizes() throws {
        let ends = try Ends()
        ends.congest()
        let before = ends.client.outstandingBytes
        ends.client.send([5].span)
        ends.client.send(block.span)
        ends.client.send([6].span)
        #expect(ends.client.outstandingBytes == before + block.count + 2)
        ends.server.resumeReading()
        try ends.until { ends.client.outstandingBytes == 0 }
        #expect(!ends.client.isCongested)
    }
}

private final class CountingTarget: TimerTarget {
    var fired = 0
    override func onTimer(_ timer: Timer) { fired += 1 }
}

struct ResetBehindEndTests {
    @Test("a reset behind the peer's end closes the connection, which else would wait for ever")
    func noticed() throws {
        let ends = try Ends()
        ends.client.endOutput()
        try ends.until { ends.server.ended == 1 }
        #expect(ends.server.closed.isEmpty)
        ends.client.reset()
        try ends.until { !ends.server.closed.isEmpty }
        guard case .failed? = ends.server.closed.first else {
            Issue.record("\(ends.server.closed)")
            return
        }
        #expect(ends.server.closed.count == 1)
    }
}
