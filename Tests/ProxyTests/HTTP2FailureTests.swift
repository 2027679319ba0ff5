import HTTP2
import MeshModel
import Reactor
import Telemetry
import Testing
import Time

@testable import Proxy

/// Streams and connections that end before their time.
struct HTTP2FailureTests {
    private func bench(
        _ timeouts: RouteTimeouts = .default,
        limits: RequestLimits = .default
    ) throws -> (ProxyBench, HTTP2Application) {
        let bench = try ProxyBench(limits: limits)
        let application = try bench.http2Application()
        try bench.serve(
            [application.application.socketAddress],
            timeouts: timeouts,
            protocol: .http2
        )
        return (bench, application)
    }

    @Test("a refused stream is sent again, POST with its body too (RFC 9113 §8.7)")
    func refused() throws {
        let (bench, application) = try bench()
        let caller = try bench.http2Caller()
        let sent = caller.request("POST", body: "hello")
        let first = try bench.request(application)
        try bench.loop.until { first.hasEnded }
        first.reset(HTTP2ErrorCode.refusedStream)
        application.ends[0].flush()
        let second = try bench.request(application, 2)
        try bench.loop.until { second.hasEnded }
        #expect(second.text == "hello")
        second.answer(200, body: "ok")
        application.ends[0].flush()
        #expect(try bench.answers([sent]) == ["200 ok"])
        #expect(bench.metrics.value(.retries, .outbound) == 1)
        try bench.finish()
    }

    @Test("body that comes while a refused request waits for a connection is not lost")
    func refusedMidway() throws {
        let (bench, application) = try bench()
        let caller = try bench.http2Caller()
        let sent = caller.request("POST", body: "one ", ends: false)
        let first = try bench.request(application)
        try bench.loop.until { first.text == "one " }
        // GOAWAY that leaves the stream out: the next attempt has to wait for a new connection,
        // and the rest of the body arrives in the same turn.
        application.ends[0].peer.write(goAway(last: 0))
        sent.sendBody(Array("two ".utf8).span)
        caller.flush()
        bench.loop.turn(waitMillisecondsMax: 0)
        sent.sendBody(Array("three".utf8).span)
        sent.end(trailers: [("x-sum", "3")])
        caller.flush()
        let second = try bench.request(application, 2)
        try bench.loop.until { second.hasEnded }
        #expect(second.text == "one two three")
        #expect(second.trailerLines == ["x-sum: 3"])
        second.answer(200, body: "ok")
        application.ends[1].flush()
        #expect(try bench.answers([sent]) == ["200 ok"])
        try bench.finish()
    }

    @Test("after three refusals the caller is told, and a body too long to keep is not sent again")
    func refusedForGood() throws {
        let (bench, application) = try bench()
        application.onEnd = { end in
            end.onRequest = { $0.reset(HTTP2ErrorCode.refusedStream) }
        }
        let caller = try bench.http2Caller()
        let short = caller.request("POST", body: "x")
        #expect(try bench.answers([short])[0].hasPrefix("503 "))
        #expect(application.streams.count == 3)
        let body = String(repeating: "x", count: RetryPolicy.default.replayBytesMax + 1)
        let long = caller.request("POST", body: body)
        #expect(try bench.answers([long])[0].hasPrefix("503 "))
        #expect(application.streams.count == 4)
        try bench.finish()
    }

    @Test("GOAWAY: streams it leaves out go elsewhere, the others end, nothing new is sent there")
    func goAway() throws {
        let (bench, application) = try bench()
        let caller = try bench.http2Caller()
        let sent = [caller.request("POST", body: "a"), caller.request("POST", body: "b")]
        _ = try bench.request(application, 2)
        try bench.loop.until { application.streams.allSatisfy(\.hasEnded) }
        let old = application.ends[0]
        let kept = old.streams[0]
        old.peer.write(goAway(last: UInt8(kept.id)))
        let again = try bench.request(application, 3)
        #expect(application.ends.count == 2)
        kept.answer(200, body: "kept")
        old.flush()
        application.ends[1].onRequest = { $0.answer(200, body: "new") }
        try bench.loop.until { again.hasEnded }
        if !again.isOver { again.answer(200, body: "new") }
        application.ends[1].flush()
        #expect(try Set(bench.answers(sent)) == ["200 kept", "200 new"])
        #expect(try bench.answers([caller.request()]) == ["200 new"])
        #expect(old.streams.count == 2)
        try bench.loop.until { old.peer.isOver }
        try bench.finish()
    }

    @Test("two GOAWAYs of a server that leaves in good order cost nothing")
    func goodOrder() throws {
        let (bench, application) = try bench()
        application.answerEach()
        let caller = try bench.http2Caller()
        #expect(try bench.answers([caller.request()]) == ["200 ok"])
        for _ in 0..<3 {
            let last = application.ends[application.ends.count - 1]
            last.startShutdown()
            last.flush()
            #expect(try bench.answers([caller.request("POST", body: "x")]) == ["200 ok"])
            last.finishShutdown()
            last.flush()
            #expect(try bench.answers([caller.request("POST", body: "x")]) == ["200 ok"])
            try bench.loop.until { last.peer.isOver }
        }
        #expect(bench.metrics.value(.localReplies, .outbound) == 0)
        try bench.finish()
    }

    @Test("a caller that cancels is heard at the other end, and nobody else is")
    func cancelled() throws {
        let (bench, application) = try bench()
        let caller = try bench.http2Caller()
        let cancelled = caller.request("POST", body: "x", ends: false)
        let other = caller.request()
        let requests = [try bench.request(application), try bench.request(application, 2)]
        cancelled.reset(HTTP2ErrorCode.cancel)
        caller.flush()
        try bench.loop.until { requests.contains { $0.isOver } }
        let gone = requests.filter(\.isOver)
        #expect(gone.map(\.resetCode) == [HTTP2ErrorCode.cancel])
        #expect(gone[0].method == "POST")
        for request in requests where !request.isOver { request.answer(200) }
        application.ends[0].flush()
        #expect(try bench.answers([other]) == ["200 "])
        #expect(bench.log.count(of: "downstream") >= 1)
        try bench.finish()
    }

    @Test("a response that breaks off is reset with the application's code, others go on")
    func brokenOff() throws {
        let (bench, application) = try bench()
        let caller = try bench.http2Caller()
        let broken = caller.request()
        let request = try bench.request(application)
        request.answer(200, body: "part", ends: false)
        application.ends[0].flush()
        try bench.loop.until { broken.text == "part" }
        request.reset(HTTP2ErrorCode.enhanceYourCalm)
        application.ends[0].flush()
        try bench.loop.until { broken.isOver }
        #expect(broken.resetCode == HTTP2ErrorCode.enhanceYourCalm)
        #expect(!broken.hasEnded)
        application.ends[0].onRequest = { $0.answer(200, body: "ok") }
        #expect(try bench.answers([caller.request()]) == ["200 ok"])
        try bench.finish()
    }

    @Test("both ends cancel in the same turn")
    func bothCancel() throws {
        let (bench, application) = try bench()
        let caller = try bench.http2Caller()
        for number in 1...20 {
            let sent = caller.request("POST", body: "x", ends: number % 2 == 0)
            let request = try bench.request(application, number)
            if number % 3 == 0 { request.answer(200, body: "y", ends: false) }
            sent.reset(HTTP2ErrorCode.cancel)
            request.reset(HTTP2ErrorCode.cancel)
            caller.flush()
            application.ends[0].flush()
            try bench.loop.until { sent.isOver && request.isOver }
        }
        application.ends[0].onRequest = { $0.answer(200, body: "ok") }
        #expect(try bench.answers([caller.request()]) == ["200 ok"])
        #expect(application.ends.count == 1)
        try bench.finish()
    }

    @Test("a connection that dies under many streams fails each of them once")
    func connectionDies() throws {
        let (bench, application) = try bench()
        let caller = try bench.http2Caller()
        let sent = (0..<20).map { caller.request($0 % 2 == 0 ? "POST" : "GET", body: "x") }
        _ = try bench.request(application, 20)
        application.ends[0].streams[0].answer(200, body: "part", ends: false)
        application.ends[0].flush()
        try bench.loop.until { sent.contains { $0.status == 200 } }
        application.ends[0].peer.reset()
        let answers = try bench.answers(sent)
        #expect(answers.count { $0.hasPrefix("503 ") || $0.hasPrefix("502 ") } == 19)
        #expect(sent.count { $0.failure != nil } == 1)
        #expect(caller.error == nil)
        try bench.finish()
    }

    @Test("a malformed response costs its stream a 502, not its neighbours")
    func malformedResponse() throws {
        let (bench, application) = try bench()
        let caller = try bench.http2Caller()
        let sent = [caller.request("GET", "/bad"), caller.request("GET", "/good")]
        _ = try bench.request(application, 2)
        for request in application.streams {
            if request.target == "/bad" {
                request.answer(200, [("content-length", "1")], body: "four")
            } else {
                request.answer(200, body: "ok")
            }
        }
        application.ends[0].flush()
        try bench.loop.until { sent.allSatisfy { $0.hasEnded || $0.isOver } }
        #expect(sent[0].answer != "200 four")
        #expect(sent[1].answer == "200 ok")
        #expect(bench.metrics.total(.malformedResponses) == 1)
        try bench.finish()
    }

    @Test("a head that comes byte by byte is cut after the head's time")
    func slowHead() throws {
        let (bench, application) = try bench(
            limits: RequestLimits(headTimeout: .milliseconds(60))
        )
        application.answerEach()
        let peer = try bench.caller()
        let caller = ScriptedConnection(peer, .client)
        #expect(try bench.answers([caller.request()]) == ["200 ok"])
        // HEADERS without END_HEADERS for stream 3, then one byte of CONTINUATION at a time.
        peer.write([0, 0, 1, 1, 0, 0, 0, 0, 3, 0x82])
        let long = [UInt8](repeating: 0x40, count: 1)
        peer.write([0, 0x40, 0, 9, 0, 0, 0, 0, 3] + long)
        var last = bench.loop.now
        try bench.loop.until {
            if bench.loop.now.nanoseconds(since: last) > 5_000_000, !peer.isOver {
                last = bench.loop.now
                peer.write([0x0A])
            }
            return peer.isOver
        }
        #expect(bench.metrics.value(.timeouts, .outbound, label: "request_head") == 1)
        #expect(caller.goAways == [HTTP2ErrorCode.enhanceYourCalm])
        try bench.finish()
    }

    @Test("a flood ends the connection that sends it with ENHANCE_YOUR_CALM, and is counted")
    func flood() throws {
        let (bench, application) = try bench()
        application.answerEach()
        let bystander = try bench.http2Caller()
        let attacker = try bench.http2Caller()
        attacker.request("POST", body: "x", ends: false)
        let ping: [UInt8] = [0, 0, 8, 6, 0, 0, 0, 0, 0] + [1, 2, 3, 4, 5, 6, 7, 8]
        for _ in 0..<400 { attacker.peer.write(ping) }
        try bench.loop.until { attacker.peer.isOver }
        #expect(attacker.goAways == [HTTP2ErrorCode.enhanceYourCalm])
        #expect(
            bench.metrics.value(.http2ConnectionErrors, .outbound, label: "flood_pings") == 1
        )
        #expect(try bench.answers([bystander.request()]) == ["200 ok"])
        try bench.finish()
    }

    private func goAway(last: UInt8) -> [UInt8] {
        [0, 0, 8, 7, 0, 0, 0, 0, 0] + [0, 0, 0, last] + [0, 0, 0, 0]
    }
}
