import Bytes
import HTTP
import Reactor
import Testing
import Time

@testable import Admin

/// Sends what it is told and keeps what comes.
private final class Caller: Connection {
    var received = ""
    var keepsBytes = true
    var hasEnded = false
    var isClosed = false
    var isConnected = false

    override func onConnected() { isConnected = true }
    override func onData(_ bytes: Span<UInt8>) { if keepsBytes { received += bytes.string } }
    override func onEnd() { hasEnded = true }
    override func onClosed(_ reason: CloseReason) { isClosed = true }

    var replyCount: Int { received.split(separator: "HTTP/1.1 ").count }
}

private struct TimedOut: Error {}

/// A server and its callers on one loop that the test turns by hand.
private final class Stage {
    let loop: EventLoop
    let server: AdminServer
    private let box: Box

    private final class Box {
        var waiting: [(AdminSnapshot) -> Void] = []
        var drains = 0
        var gatherings = 0
        var answersAtOnce = true
    }

    var drains: Int { box.drains }
    var gatherings: Int { box.gatherings }
    var waitingCount: Int { box.waiting.count }
    var answersAtOnce: Bool {
        get { box.answersAtOnce }
        set { box.answersAtOnce = newValue }
    }

    init(notReady: [String]? = nil) throws {
        var invented = try inventedState()
        invented.notReady = notReady ?? invented.notReady
        let state = invented
        let box = Box()
        self.box = box
        loop = try EventLoop()
        let socket = try ListeningSocket(
            address: InternetAddress(bytes: [127, 0, 0, 1], port: 0),
            reusePort: false
        )
        server = try AdminServer(
            loop: loop,
            socket: socket,
            gather: { completion in
                box.gatherings += 1
                if box.answersAtOnce { completion(state) } else { box.waiting.append(completion) }
            },
            drain: { box.drains += 1 },
            explain: { id, completion in completion(id == "known" ? [inventedExplanation()] : []) }
        )
    }

    /// Completes the oldest gathering.
    func completeOne() throws { box.waiting.removeFirst()(try inventedState()) }

    func caller(_ text: String = "") throws -> Caller {
        let caller = Caller(loop: loop)
        caller.connect(to: server.address)
        try turnUntil { caller.isConnected }
        caller.send(text.utf8Span.span)
        return caller
    }

    /// At most 10 s, which only a failing test takes.
    func turnUntil(_ condition: () -> Bool) throws {
        let deadline = Clock.monotonic() + .seconds(10)
        while !condition() {
            guard Clock.monotonic() < deadline else { throw TimedOut() }
            loop.turn(waitMillisecondsMax: 100)
        }
    }
}

private let host = "Host: localhost\r\n"

@Suite("Admin server")
struct AdminServerTests {
    @Test("A page comes with its length, uncached, and the connection stays open")
    func page() throws {
        let stage = try Stage()
        let caller = try stage.caller("GET /live HTTP/1.1\r\n\(host)\r\n")
        try stage.turnUntil { caller.received.hasSuffix("live\n") }
        #expect(
            caller.received == """
                HTTP/1.1 200 OK\r
                Content-Type: text/plain; charset=utf-8\r
                Content-Length: 5\r
                Cache-Control: no-store\r
                X-Content-Type-Options: nosniff\r
                \r
                live

                """
        )
        caller.send("GET /ready HTTP/1.1\r\n\(host)\r\n".utf8Span.span)
        try stage.turnUntil { caller.received.hasSuffix("ready\n") }
        #expect(!caller.hasEnded)
    }

    @Test("An exchange is explained by its id, and an id that is not known is 404")
    func explains() throws {
        let stage = try Stage()
        let caller = try stage.caller("GET /explain?request-id=known HTTP/1.1\r\n\(host)\r\n")
        try stage.turnUntil { caller.received.contains("no retry") }
        #expect(caller.received.hasPrefix("HTTP/1.1 200 "))
        let other = try stage.caller("GET /explain?request-id=other HTTP/1.1\r\n\(host)\r\n")
        try stage.turnUntil { other.received.contains("the last 256 exchanges") }
        #expect(other.received.hasPrefix("HTTP/1.1 404 "))
    }

    @Test("HEAD gets the length of the page and no page")
    func head() throws {
        let stage = try Stage()
        let caller = try stage.caller(
            "HEAD /live HTTP/1.1\r\n\(host)Connection: close\r\n\r\n"
        )
        try stage.turnUntil { caller.hasEnded }
        #expect(caller.received.contains("Content-Length: 5\r\n"))
        #expect(caller.received.hasSuffix("\r\n\r\n"))
    }

    @Test("A page that needs the workers comes when they have answered; later requests wait")
    func gathered() throws {
        let stage = try Stage()
        stage.answersAtOnce = false
        let caller = try stage.caller(
            "GET /certs HTTP/1.1\r\n\(host)\r\nGET /live HTTP/1.1\r\n\(host)\r\n"
        )
        try stage.turnUntil { stage.waitingCount == 1 }
        #expect(caller.received.isEmpty)
        try stage.completeOne()
        try stage.turnUntil { caller.received.hasSuffix("live\n") }
        #expect(caller.replyCount == 2)
        #expect(caller.received.contains("\"rotations\": 2"))
    }

    @Test("A caller that leaves while its page is gathered does no harm")
    func callerLeaves() throws {
        let stage = try Stage()
        stage.answersAtOnce = false
        let caller = try stage.caller("GET /certs HTTP/1.1\r\n\(host)\r\n")
        try stage.turnUntil { stage.waitingCount == 1 }
        caller.reset()
        try stage.turnUntil { stage.server.connectionCount == 0 }
        try stage.completeOne()
        let next = try stage.caller("GET /live HTTP/1.1\r\n\(host)\r\n")
        try stage.turnUntil { next.received.hasSuffix("live\n") }
    }

    @Test("A caller that has sent all still gets its page")
    func halfClosed() throws {
        let stage = try Stage()
        stage.answersAtOnce = false
        let caller = try stage.caller("GET /clusters HTTP/1.1\r\n\(host)\r\n")
        caller.endOutput()
        try stage.turnUntil { stage.waitingCount == 1 }
        // One more turn, so that the server has seen the end.
        stage.loop.turn(waitMillisecondsMax: 0)
        try stage.completeOne()
        try stage.turnUntil { caller.hasEnded }
        #expect(caller.received.hasSuffix("]\n"))
    }

    @Test("POST /drain starts the drain; from a web page or a rebound name it does not")
    func drain() throws {
        let stage = try Stage()
        let page = try stage.caller(
            "POST /drain HTTP/1.1\r\n\(host)Origin: http://a\r\nContent-Length: 0\r\n\r\n"
        )
        try stage.turnUntil { page.received.hasPrefix("HTTP/1.1 403 ") }
        let rebound = try stage.caller(
            "POST /drain HTTP/1.1\r\nHost: attacker.example\r\nContent-Length: 0\r\n\r\n"
        )
        try stage.turnUntil { rebound.received.hasPrefix("HTTP/1.1 421 ") }
        #expect(stage.drains == 0)
        let operator_ = try stage.caller(
            "POST /drain HTTP/1.1\r\n\(host)Content-Length: 4\r\n\r\nbody"
        )
        try stage.turnUntil { operator_.received.hasPrefix("HTTP/1.1 202 ") }
        #expect(stage.drains == 1)
    }

    @Test("A 405 carries Allow")
    func allow() throws {
        let stage = try Stage()
        let caller = try stage.caller("GET /drain HTTP/1.1\r\n\(host)\r\n")
        try stage.turnUntil { caller.received.hasSuffix("}\n") }
        #expect(caller.received.hasPrefix("HTTP/1.1 405 Method Not Allowed\r\n"))
        #expect(caller.received.contains("\r\nAllow: POST\r\n"))
    }

    @Test(
        "A malformed request gets its status as problem+json and the connection ends",
        arguments: [
            ("GET /live HTTP/1.1\r\n\r\n", "400"),
            ("GET  /live HTTP/1.1\r\n\(host)\r\n", "400"),
            ("GET /live HTTP/2.0\r\n\(host)\r\n", "505"),
            ("GET /live HTTP/1.1\r\nHost: a b\r\n\r\n", "400"),
            (
                "POST /drain HTTP/1.1\r\n\(host)Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
                "400"
            ),
            (
                "GET /\(String(repeating: "a", count: AdminLimits.head.startLineBytesMax)) HTTP/1.1\r\n",
                "414"
            ),
            (
                "GET / HTTP/1.1\r\nA: \(String(repeating: "a", count: AdminLimits.head.fieldSectionBytesMax))\r\n\r\n",
                "431"
            ),
            (
                "POST /drain HTTP/1.1\r\n\(host)Content-Length: 8192\r\n\r\n\(String(repeating: "a", count: AdminLimits.requestBodyBytesMax + 1))",
                "413"
            ),
        ]
    )
    func malformed(request: String, status: String) throws {
        let stage = try Stage()
        let caller = try stage.caller(request)
        try stage.turnUntil { caller.hasEnded }
        #expect(caller.received.hasPrefix("HTTP/1.1 \(status) "), "\(caller.received)")
        #expect(caller.received.contains("Content-Type: application/problem+json\r\n"))
        #expect(caller.received.contains("Connection: close\r\n"))
        #expect(stage.drains == 0)
    }

    @Test("Connections over the bound are closed at once; the others go on")
    func bounded() throws {
        let stage = try Stage()
        var callers: [Caller] = []
        for _ in 0..<AdminLimits.connectionsMax { callers.append(try stage.caller()) }
        try stage.turnUntil { stage.server.connectionCount == AdminLimits.connectionsMax }
        let over = try stage.caller()
        try stage.turnUntil { over.hasEnded || over.isClosed }
        #expect(stage.server.refusedConnections == 1)
        callers[0].send("GET /live HTTP/1.1\r\n\(host)\r\n".utf8Span.span)
        try stage.turnUntil { callers[0].received.hasSuffix("live\n") }
        callers[1].reset()
        try stage.turnUntil { stage.server.connectionCount == AdminLimits.connectionsMax - 1 }
        let next = try stage.caller("GET /live HTTP/1.1\r\n\(host)\r\n")
        try stage.turnUntil { next.received.hasSuffix("live\n") }
    }

    @Test("A request in pieces, and many at once, are answered in order")
    func pieces() throws {
        let stage = try Stage()
        let caller = try stage.caller()
        for byte in "GET /live HTTP/1.1\r\n\(host)\r\n".utf8 {
            caller.send([byte].span)
            stage.loop.turn(waitMillisecondsMax: 0)
        }
        try stage.turnUntil { caller.received.hasSuffix("live\n") }
        let many = String(repeating: "GET /ready HTTP/1.1\r\n\(host)\r\n", count: 20)
        caller.send(many.utf8Span.span)
        try stage.turnUntil { caller.replyCount == 21 }
    }

    @Test("A caller that asks without end and reads no answer is answered no further")
    func unread() throws {
        // A page as large as what a connection may hold, so that few fill the kernel's buffers.
        let reason = String(repeating: "a", count: ReactorLimits.congestedAboveBytes)
        let stage = try Stage(notReady: [reason])
        let caller = try stage.caller()
        caller.keepsBytes = false
        caller.pauseReading()
        let count = 400
        let all = String(repeating: "GET /ready HTTP/1.1\r\n\(host)\r\n", count: count)
        caller.send(all.utf8Span.span)
        var answered = -1
        while answered != stage.gatherings {
            answered = stage.gatherings
            for _ in 0..<100 { stage.loop.turn(waitMillisecondsMax: 0) }
        }
        #expect(answered > 0 && answered < count)
        caller.resumeReading()
        try stage.turnUntil { stage.gatherings == count }
    }

    @Test("A connection that does nothing is ended by its timer")
    func timer() throws {
        let stage = try Stage()
        let caller = try stage.caller("GET /li")
        try stage.turnUntil { stage.server.connectionCount == 1 }
        let later = Clock.monotonic().advanced(
            byNanoseconds: AdminLimits.connectionNanoseconds + 1_000_000_000
        )
        stage.loop.timers.advance(to: later)
        try stage.turnUntil { caller.hasEnded || caller.isClosed }
        #expect(stage.server.connectionCount == 0)
    }

    @Test("Stop closes the listener and every connection")
    func stop() throws {
        let stage = try Stage()
        let caller = try stage.caller("GET /live HTTP/1.1\r\n\(host)\r\n")
        try stage.turnUntil { caller.received.hasSuffix("live\n") }
        stage.server.stop()
        try stage.turnUntil { caller.hasEnded }
        caller.close()
        try stage.turnUntil { stage.server.connectionCount == 0 }
    }
}
