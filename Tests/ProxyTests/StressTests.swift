import Bytes
import HTTP
import HTTP1
import MeshModel
import MeshTesting
import Reactor
import TLS
import Telemetry
import Testing
import Time

@testable import Proxy

/// Many callers, random sizes, splits and aborts on either side, every body compared.
struct StressTests {
    @Test(
        "whatever callers and services do, bodies arrive unchanged and nothing is left behind",
        arguments: [false, true]
    )
    func random(secured: Bool) throws {
        let seed = Clock.randomSeed()
        let storm = try Storm(seed: seed, secured: secured)
        do {
            try storm.run(exchanges: 600)
            try storm.finish()
        } catch {
            Issue.record("\(error), seed \(seed)")
        }
        #expect(storm.problems.isEmpty, "seed \(seed)")
        #expect(storm.completed > 200, "seed \(seed)")
    }
}

/// A generator of test cases that a seed repeats.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

/// The callers, the proxies and the service of one run.
private final class Storm {
    let loop: EventLoop
    let web: ProxyBench
    private let orders: ProxyBench?
    private let application: Application
    var random: SplitMix
    private(set) var problems: [String] = []
    private(set) var completed = 0
    private var started = 0
    private var goal = 0
    private var callers: [StormCaller] = []
    private var services: [StormService] = []

    init(seed: UInt64, secured: Bool) throws {
        random = SplitMix(state: seed)
        web = try ProxyBench(accessLog: .off)
        loop = web.loop
        application = try web.application()
        if secured {
            let authority = TestAuthority()
            let orders = try ProxyBench(
                loop: loop,
                application: application.socketAddress,
                inboundTLS: true,
                accessLog: .off
            )
            try orders.apply([], [])
            orders.worker.take(.identity(authority.workerIdentity("/ns/default/sa/orders")))
            web.worker.take(.identity(authority.workerIdentity("/ns/default/sa/web")))
            try web.serve(
                [.loopback(port: orders.inboundPort)],
                security: .mutual([authority.id("/ns/default/sa/orders")])
            )
            self.orders = orders
        } else {
            orders = nil
            try web.serve([application.socketAddress])
        }
        application.onConnection = { [unowned self] in
            services.append(StormService(storm: self, peer: $0))
        }
    }

    func run(exchanges: Int) throws {
        goal = exchanges
        for _ in 0..<12 { callers.append(StormCaller(storm: self)) }
        try loop.until("\(completed) of \(started) exchanges") {
            for caller in callers { caller.step() }
            for service in services { service.step() }
            services.removeAll { $0.isOver }
            return started >= goal && callers.allSatisfy(\.isDone)
        }
    }

    func finish() throws {
        application.onConnection = nil
        services.removeAll()
        for caller in callers { caller.end(with: .reset) }
        callers.removeAll()
        try web.finish(sharesLoop: orders != nil)
        try orders?.finish()
    }

    /// Whether another exchange may begin.
    func begins() -> Bool {
        guard started < goal else { return false }
        started += 1
        return true
    }

    func complete() { completed += 1 }
    func report(_ problem: String) { if problems.count < 10 { problems.append(problem) } }
    func chance(_ oneIn: Int) -> Bool { Int.random(in: 0..<oneIn, using: &random) == 0 }
    func size() -> Int {
        switch Int.random(in: 0..<10, using: &random) {
        case 0: 0
        case 1...5: Int.random(in: 1..<3_000, using: &random)
        case 6...8: Int.random(in: 3_000..<90_000, using: &random)
        default: Int.random(in: 90_000..<2_000_000, using: &random)
        }
    }

    func connect() -> Peer {
        let peer = Peer(loop: loop)
        peer.connect(to: InternetAddress(bytes: [127, 0, 0, 1], port: web.outboundPort))
        return peer
    }
}

/// Bytes on their way out, in pieces of random size.
private struct Outgoing {
    private var bytes: [UInt8]
    private var at = 0

    init(_ bytes: [UInt8] = []) { self.bytes = bytes }

    var isEmpty: Bool { at == bytes.count }

    mutating func send(some storm: Storm, to peer: Peer) {
        guard !isEmpty, !peer.isCongested else { return }
        let limit = storm.chance(3) ? 40 : 150_000
        let count = min(bytes.count - at, Int.random(in: 1...limit, using: &storm.random))
        peer.write(Array(bytes[at..<at + count]))
        at += count
    }

    /// A message body of the pattern, by length or in random chunks.
    static func body(_ count: Int, chunked: Bool, _ storm: Storm) -> [UInt8] {
        var bytes: [UInt8] = []
        var at = 0
        while at < count {
            let limit = storm.chance(2) ? 100 : 60_000
            let piece = min(count - at, Int.random(in: 1...limit, using: &storm.random))
            if chunked { bytes += Array("\(String(piece, radix: 16))\r\n".utf8) }
            bytes += Pattern.bytes(at, piece)
            if chunked { bytes += [13, 10] }
            at += piece
        }
        if chunked { bytes += Array("0\r\n\r\n".utf8) }
        return bytes
    }
}

/// One caller: request after request on a connection, sometimes leaving in the middle.
private final class StormCaller {
    private unowned let storm: Storm
    private var peer: Peer
    private var decoder = ResponseDecoder()
    private var input = ByteBuffer()
    private var outgoing = Outgoing()
    private var isRunning = false
    private var expected = 0
    private var got = 0
    private var abortsAfter = Int.max
    private var mayFail = false
    private var hasHead = false

    init(storm: Storm) {
        self.storm = storm
        peer = storm.connect()
        listen()
    }

    var isDone: Bool { !isRunning }

    func step() {
        if peer.isOver, peer.closed != nil || !isRunning { reconnect() }
        guard peer.isReady else { return }
        if !isRunning { begin() }
        guard isRunning else { return }
        outgoing.send(some: storm, to: peer)
        if storm.chance(6) {
            if storm.chance(2) { peer.pauseReading() } else { peer.resumeReading() }
        }
        if abortsAfter < Int.max, storm.chance(10) {
            abortsAfter -= 1
            if abortsAfter <= 0 { leave() }
        }
    }

    private func begin() {
        guard storm.begins() else { return }
        let size = storm.size()
        expected = storm.size()
        mayFail = storm.chance(12)
        let isChunked = storm.chance(2)
        let method = size > 0 ? "POST" : "GET"
        var head = "\(method) /\(size)/\(expected)/\(mayFail ? "fail" : "ok") HTTP/1.1\r\n"
        head += "Host: orders\r\n"
        if size > 0 {
            head += isChunked ? "Transfer-Encoding: chunked\r\n" : "Content-Length: \(size)\r\n"
        }
        head += "\r\n"
        let body = size > 0 ? Outgoing.body(size, chunked: isChunked, storm) : []
        outgoing = Outgoing(Array(head.utf8) + body)
        decoder.expect(method: size > 0 ? .post : .get)
        isRunning = true
        hasHead = false
        got = 0
        abortsAfter = storm.chance(15) ? Int.random(in: 1...4, using: &storm.random) : .max
    }

    private func listen() {
        peer.onBytes = { [unowned self] in take($0) }
        peer.onEnded = { [unowned self] _ in ended() }
    }

    private func take(_ bytes: Span<UInt8>) {
        guard isRunning else { return storm.report("bytes after the answer: \(bytes.count)") }
        var offset = 0
        do {
            while isRunning {
                switch try decoder.next(bytes, at: &offset) {
                case .needMore: return
                case .head: head()
                case .body(let range):
                    let part = bytes.extracting(range)
                    if hasHead, !Pattern.matches(part, at: got) { storm.report("wrong bytes") }
                    got += part.count
                case .end: complete()
                }
            }
            if offset < bytes.count { storm.report("bytes behind the answer") }
        } catch {
            storm.report("malformed response: \(error)")
        }
    }

    private func head() {
        // A service that fails may be answered for by the proxy.
        hasHead = decoder.head.status == 200
        if !hasHead, !mayFail { storm.report("status \(decoder.head.status)") }
    }

    private func complete() {
        isRunning = false
        if hasHead {
            if got != expected { storm.report("\(got) of \(expected) bytes taken for whole") }
            storm.complete()
        }
        peer.resumeReading()
        if !decoder.head.wantsKeepAlive || !outgoing.isEmpty { leave() }
    }

    private func ended() {
        if isRunning, !mayFail { storm.report("ended after \(got) of \(expected)") }
        leave()
    }

    private func leave() { end(with: storm.chance(2) ? .reset : .close) }

    enum Ending { case reset, close }

    func end(with ending: Ending) {
        isRunning = false
        switch ending {
        case .reset: peer.reset()
        case .close: peer.abort()
        }
    }

    private func reconnect() {
        if isRunning, !mayFail { storm.report("lost after \(got) of \(expected)") }
        isRunning = false
        peer.abort()
        peer = storm.connect()
        decoder = ResponseDecoder()
        listen()
    }
}

/// One connection of the service: reads the request, compares its body, answers as the path says.
private final class StormService {
    private unowned let storm: Storm
    private let peer: Peer
    private let decoder = RequestDecoder()
    private var outgoing = Outgoing()
    private var expected = 0
    private var answers = 0
    private var fails = false
    private var hasAnswered = false
    private var got = 0

    init(storm: Storm, peer: Peer) {
        self.storm = storm
        self.peer = peer
        peer.onBytes = { [unowned self] in take($0) }
        peer.onEnded = { $0.close() }
    }

    var isOver: Bool { peer.closed != nil }

    func step() {
        outgoing.send(some: storm, to: peer)
        if storm.chance(6) {
            if storm.chance(2) { peer.pauseReading() } else { peer.resumeReading() }
        }
        // An answer that is out completely must not be taken back: the connection may be pooled.
        if hasAnswered, outgoing.isEmpty { fails = false }
        if fails, storm.chance(4) {
            if storm.chance(2) { peer.reset() } else { peer.abort() }
        }
    }

    private func take(_ bytes: Span<UInt8>) {
        var offset = 0
        do {
            while true {
                switch try decoder.next(bytes, at: &offset) {
                case .needMore: return
                case .head: begin()
                case .body(let range):
                    let part = bytes.extracting(range)
                    if !Pattern.matches(part, at: got) { storm.report("wrong request bytes") }
                    got += part.count
                case .end: answer()
                }
            }
        } catch {
            storm.report("malformed request: \(error)")
        }
    }

    private func begin() {
        let parts = decoder.head.withPath { $0.string }.split(separator: "/")
        expected = parts.first.flatMap { Int($0) } ?? -1
        answers = parts.dropFirst().first.flatMap { Int($0) } ?? -1
        fails = parts.last == "fail"
        hasAnswered = false
        got = 0
    }

    private func answer() {
        if got != expected { storm.report("request of \(got) instead of \(expected) bytes") }
        hasAnswered = true
        let isChunked = storm.chance(2)
        let framing = isChunked ? "Transfer-Encoding: chunked" : "Content-Length: \(answers)"
        outgoing = Outgoing(
            Array("HTTP/1.1 200 OK\r\n\(framing)\r\n\r\n".utf8)
                + Outgoing.body(answers, chunked: isChunked, storm)
        )
    }
}
