import HTTP2
import MeshModel
import MeshTesting
import Reactor
import Telemetry
import Testing
import Time

@testable import Proxy

/// Windows and back-pressure through the proxy, and connections that leave.
struct HTTP2FlowTests {
    private func bench(
        _ timeouts: RouteTimeouts = .default
    ) throws -> (ProxyBench, HTTP2Application) {
        let bench = try ProxyBench()
        let application = try bench.http2Application()
        try bench.serve(
            [application.application.socketAddress],
            timeouts: timeouts,
            protocol: .http2
        )
        return (bench, application)
    }

    @Test("16 MiB both ways at once on one stream arrive unchanged, with little held between")
    func large() throws {
        let (bench, application) = try bench()
        let caller = try bench.http2Caller()
        let sent = caller.request("POST", body: nil, ends: false)
        let request = try bench.request(application)
        request.answer(200, ends: false)
        application.ends[0].flush()
        let total = 16 << 20
        let up = Pump(from: sent, caller, to: request, total: total)
        let down = Pump(from: request, application.ends[0], to: sent, total: total)
        try bench.loop.until("\(up) \(down)") {
            // An answer that ends before its request has no use for the rest of it.
            down.mayEnd = request.hasEnded
            return up.step() && down.step() && sent.hasEnded && request.hasEnded
        }
        #expect(up.isEqual && down.isEqual)
        #expect(up.received == total && down.received == total)
        try bench.finish()
    }

    @Test("a caller that takes nothing stops its own response only")
    func stalledCaller() throws {
        let (bench, application) = try bench()
        var settings = HTTP2Settings()
        settings.initialStreamWindow = 65_535
        let caller = try bench.http2Caller(settings: settings)
        let stalled = caller.request("GET", "/stalled")
        let request = try bench.request(application)
        stalled.pause()
        request.answer(200, ends: false)
        let end = application.ends[0]
        var offered = 0
        // The application's stream becomes congested for good, at a bounded amount.
        try bench.loop.until {
            for _ in 0..<50 where !request.isCongested {
                request.sendBody(Pattern.bytes(offered, 16_384).span)
                offered += 16_384
            }
            end.flush()
            return offered > 8 << 20 || request.isCongested
        }
        bench.loop.settle()
        #expect(offered < 4 << 20)
        // Others pass it on the same two connections.
        let others = (0..<20).map { _ in caller.request("GET", "/other") }
        _ = try bench.request(application, 21)
        for other in application.streams.dropFirst() { other.answer(200, body: "ok") }
        end.flush()
        #expect(try bench.answers(others) == Array(repeating: "200 ok", count: 20))
        // And when it takes again, everything comes.
        var got = 0
        var isEqual = true
        stalled.onBytes = { bytes in
            if !Pattern.matches(bytes, at: got) { isEqual = false }
            got += bytes.count
        }
        request.end()
        stalled.resume()
        try bench.loop.until {
            caller.flush()
            end.flush()
            return stalled.hasEnded
        }
        #expect(got == offered && isEqual)
        try bench.finish()
    }

    @Test(
        "the end of a body whose last piece meets a congested upstream is passed on",
        arguments: [300_000, 524_288, 1_000_000]
    )
    func endBehindCongestion(_ count: Int) throws {
        let (bench, application) = try bench()
        let caller = try bench.caller()
        caller.write("POST / HTTP/1.1\r\nHost: orders\r\nContent-Length: \(count)\r\n\r\n")
        let request = try bench.request(application)
        request.pause()
        // Whatever piece is the one that congests, the last one is it in one of the turns.
        var offered = 0
        while offered < count {
            let piece = min(16_384, count - offered)
            caller.write(Pattern.bytes(offered, piece))
            offered += piece
            bench.loop.settle()
        }
        request.resume()
        try bench.loop.until {
            application.ends[0].flush()
            return request.hasEnded
        }
        #expect(request.bodyCount == count)
        request.answer(204)
        application.ends[0].flush()
        try bench.expect(caller, receives: "HTTP/1.1 204 No Content\r\n\r\n")
        #expect(!caller.isOver)
        try bench.finish()
    }

    @Test("an application that takes nothing stops its own caller's body only")
    func stalledApplication() throws {
        let (bench, application) = try bench()
        let caller = try bench.http2Caller()
        let sent = caller.request("POST", "/stalled", ends: false)
        let request = try bench.request(application)
        request.pause()
        var offered = 0
        try bench.loop.until {
            while !sent.isCongested, offered < 8 << 20 {
                sent.sendBody(Pattern.bytes(offered, 16_384).span)
                offered += 16_384
            }
            caller.flush()
            return sent.isCongested
        }
        bench.loop.settle()
        caller.flush()
        #expect(offered < 4 << 20)
        let others = (0..<20).map { _ in caller.request("POST", "/other", body: "x") }
        _ = try bench.request(application, 21)
        try bench.loop.until { application.streams.dropFirst().allSatisfy(\.hasEnded) }
        for other in application.streams.dropFirst() { other.answer(200, body: "ok") }
        application.ends[0].flush()
        #expect(try bench.answers(others) == Array(repeating: "200 ok", count: 20))
        request.resume()
        sent.sendEnd(trailers: nil)
        try bench.loop.until {
            caller.flush()
            application.ends[0].flush()
            return request.hasEnded
        }
        #expect(request.bodyCount == offered)
        request.answer(200)
        application.ends[0].flush()
        #expect(try bench.answers([sent]) == ["200 "])
        try bench.finish()
    }

    @Test("what a caller does not take of a finished response is dropped after the idle time")
    func neverTaken() throws {
        let (bench, application) = try bench(RouteTimeouts(streamIdle: .milliseconds(40)))
        application.answerEach(String(repeating: "x", count: 100_000))
        var settings = HTTP2Settings()
        settings.initialStreamWindow = 65_535
        let caller = try bench.http2Caller(settings: settings)
        let sent = (0..<3).map { _ in caller.request() }
        for stream in sent { stream.pause() }
        try bench.loop.until { sent.allSatisfy { $0.isOver || $0.failure != nil } }
        #expect(sent.allSatisfy { $0.resetCode == HTTP2ErrorCode.cancel })
        #expect(bench.metrics.value(.timeouts, .outbound, label: "stream_idle") == 3)
        // The connection is idle again, not waking up for a stream that is over.
        #expect(bench.worker.connections.allSatisfy { $0.isIdle })
        #expect(caller.error == nil)
        try bench.finish()
    }

    @Test("a request that waited for a connection leaves nothing behind, answered or refused")
    func waited() throws {
        let (bench, application) = try bench()
        application.answerEach()
        let caller = try bench.http2Caller()
        #expect(try bench.answers([caller.request()]) == ["200 ok"])
        try bench.loop.until { bench.worker.connections.allSatisfy { $0.isIdle } }
        try bench.serve([try bench.closedPort()], protocol: .http2)
        let refused = [caller.request(), caller.request("POST", body: "whole")]
        #expect(try bench.answers(refused).allSatisfy { $0.hasPrefix("503 ") })
        try bench.loop.until { bench.worker.connections.allSatisfy { $0.isIdle } }
        #expect(caller.error == nil)
        try bench.finish()
    }

    @Test("a stream on which nothing moves ends after the idle time, its neighbours do not")
    func streamIdle() throws {
        let (bench, application) = try bench(RouteTimeouts(streamIdle: .milliseconds(60)))
        let caller = try bench.http2Caller()
        let idle = caller.request("GET", "/idle")
        let busy = caller.request("GET", "/busy")
        _ = try bench.request(application, 2)
        guard let running = application.streams.first(where: { $0.target == "/busy" }) else {
            return
        }
        running.answer(200, ends: false)
        try bench.loop.until {
            if !running.isOver { running.sendBody([1].span) }
            application.ends[0].flush()
            return idle.hasEnded
        }
        #expect(idle.status == 504)
        #expect(busy.failure == nil && !busy.hasEnded)
        running.end()
        application.ends[0].flush()
        try bench.loop.until { busy.hasEnded }
        try bench.finish()
    }

    @Test("drain: inbound callers get two GOAWAYs, what runs ends, then the connection closes")
    func drain() throws {
        let application = try HTTP2Bench.inbound()
        let bench = application.bench
        let idle = ScriptedConnection(try bench.inboundCaller(), .client)
        let busy = ScriptedConnection(try bench.inboundCaller(), .client)
        application.server.answerEach()
        #expect(try bench.answers([idle.request(authority: "web")]) == ["200 ok"])
        for end in application.server.ends { end.onRequest = nil }
        application.server.onEnd = nil
        let running = busy.request(authority: "web")
        let request = try bench.request(application.server, 2)
        bench.worker.take(.startDrain)
        try bench.loop.until { idle.goAways.count == 1 && busy.goAways.count == 1 }
        #expect(!idle.peer.isOver && !busy.peer.isOver)
        bench.worker.take(.closeIdle)
        try bench.loop.until { idle.peer.isOver }
        // A client without streams looks at nothing behind the first one.
        #expect(idle.goAways.first == HTTP2ErrorCode.noError)
        try bench.loop.until { busy.goAways == [0, 0] }
        #expect(!busy.peer.isOver)
        request.answer(200, body: "last")
        for end in application.server.ends { end.flush() }
        #expect(try bench.answers([running]) == ["200 last"])
        try bench.loop.until { busy.peer.isOver }
        try bench.finish()
    }

    @Test("a drain whose time is over ends streams that still run, and says GOAWAY")
    func drainExpires() throws {
        let application = try HTTP2Bench.inbound()
        let bench = application.bench
        let caller = ScriptedConnection(try bench.inboundCaller(), .client)
        let running = caller.request(authority: "web")
        _ = try bench.request(application.server)
        bench.worker.take(.startDrain)
        bench.worker.take(.closeIdle)
        bench.worker.take(.expire)
        try bench.loop.until { caller.peer.isOver }
        #expect(running.hasEnded || running.failure != nil)
        #expect(!caller.goAways.isEmpty)
        try bench.finish()
    }
}

/// A worker before an application that speaks HTTP/2, called from the mesh's side in plain text.
private struct HTTP2Bench {
    let bench: ProxyBench
    let server: HTTP2Application

    static func inbound() throws -> HTTP2Bench {
        let loop = try EventLoop()
        let application = try Application(loop: loop, socket: ProxyBench.listen())
        let bench = try ProxyBench(loop: loop, application: application.socketAddress)
        bench.adopt(application)
        try bench.apply([], [], inbound: InboundService(name: "web", protocol: .http2))
        return HTTP2Bench(bench: bench, server: HTTP2Application(application))
    }
}

/// Sends a pattern on one stream as fast as it is taken, and compares it at the other end.
private final class Pump: CustomStringConvertible {
    private let stream: ScriptedStream
    private let end: ScriptedConnection
    private let total: Int
    private var sent = 0
    private var hasEnded = false
    var mayEnd = true
    private(set) var received = 0
    private(set) var isEqual = true

    init(
        from stream: ScriptedStream,
        _ end: ScriptedConnection,
        to other: ScriptedStream,
        total: Int
    ) {
        self.stream = stream
        self.end = end
        self.total = total
        other.onBytes = { [unowned self] bytes in
            if !Pattern.matches(bytes, at: received) { isEqual = false }
            received += bytes.count
        }
    }

    var description: String { "sent \(sent), received \(received)" }

    func step() -> Bool {
        while sent < total, !stream.isCongested {
            stream.sendBody(Pattern.bytes(sent, 65_536).span)
            sent += 65_536
        }
        if sent == total, mayEnd, !hasEnded {
            hasEnded = true
            stream.sendEnd(trailers: nil)
        }
        end.flush()
        return true
    }
}
