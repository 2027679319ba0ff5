import HTTP2
import MeshModel
import Reactor
import Telemetry
import Testing

@testable import Proxy

/// HTTP/2 and HTTP/1.1 on either side of one exchange.
struct HTTP2ExchangeTests {
    private let get = "GET / HTTP/1.1\r\nHost: orders\r\n\r\n"
    private let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

    @Test("HTTP/2 to HTTP/2: head, body and trailers arrive both ways, interim heads too")
    func both() throws {
        let bench = try ProxyBench()
        let application = try bench.http2Application()
        try bench.serve([application.application.socketAddress], protocol: .http2)
        let caller = try bench.http2Caller()
        let sent = caller.request(
            "POST",
            "/a?b",
            [("x-one", "1"), ("te", "trailers")],
            body: "hello",
            trailers: [("x-sum", "2")]
        )
        let request = try bench.request(application)
        try bench.loop.until { request.hasEnded }
        #expect(request.method == "POST" && request.target == "/a?b")
        #expect(request.text == "hello")
        #expect(request.trailerLines == ["x-sum: 2"])
        #expect(request.requestLines.contains("x-one: 1"))
        request.answer(103, [("link", "</a>")])
        application.ends[0].flush()
        try bench.loop.until { sent.interim == [103] }
        request.answer(201, [("x-two", "2")], body: "made", trailers: [("x-end", "3")])
        application.ends[0].flush()
        #expect(try bench.answers([sent]) == ["201 made"])
        #expect(sent.responseLines.contains("x-two: 2"))
        #expect(sent.trailerLines == ["x-end: 3"])
        #expect(bench.metrics.requestCount(.outbound) == 1)
        try bench.finish()
    }

    @Test("HTTP/2 to HTTP/1.1: lengths, chunks and trailers become those of the other version")
    func fromHTTP2() throws {
        let bench = try ProxyBench()
        let application = try bench.application()
        try bench.serve([application.socketAddress], protocol: .http1)
        let caller = try bench.http2Caller()
        let known = caller.request("PUT", "/", [("content-length", "2")], body: "hi")
        try bench.expect(
            try bench.accepted(application),
            receives: "PUT / HTTP/1.1\r\nHost: orders\r\ncontent-length: 2\r\n\r\nhi"
        )
        let upstream = application.connections[0]
        upstream.forget()
        upstream.write(ok)
        #expect(try bench.answers([known]) == ["200 ok"])
        let unknown = caller.request("PUT", body: "abc", trailers: [("x-sum", "1")])
        try bench.loop.until {
            upstream.text.hasSuffix("\r\n\r\n") && upstream.text.contains("abc")
        }
        #expect(upstream.text.lowercased().contains("transfer-encoding: chunked\r\n"))
        #expect(upstream.text.hasSuffix("\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n"))
        upstream.forget()
        upstream.write(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: x-hop\r\nX-Hop: 1\r\n\r\n"
                + "3\r\nxyz\r\n0\r\nX-End: 2\r\n\r\n"
        )
        #expect(try bench.answers([unknown]) == ["200 xyz"])
        #expect(unknown.trailerLines == ["x-end: 2"])
        #expect(!unknown.responseLines.contains { $0.hasPrefix("x-hop") })
        #expect(!unknown.responseLines.contains { $0.hasPrefix("transfer-encoding") })
        #expect(application.connections.count == 1)
        try bench.finish()
    }

    @Test("HTTP/1.1 to HTTP/2: no length becomes chunks, no body length 0, HEAD stays empty")
    func toHTTP2() throws {
        let bench = try ProxyBench()
        let application = try bench.http2Application()
        try bench.serve([application.application.socketAddress], protocol: .http2)
        let caller = try bench.caller()
        caller.write(
            "POST / HTTP/1.1\r\nHost: orders\r\nTransfer-Encoding: chunked\r\n\r\n"
                + "3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n"
        )
        let request = try bench.request(application)
        try bench.loop.until { request.hasEnded }
        #expect(request.text == "abc" && request.trailerLines == ["x-sum: 1"])
        request.answer(200, body: "made", trailers: [("x-end", "2")])
        application.ends[0].flush()
        try bench.loop.until { caller.text.hasSuffix("\r\n\r\n") && caller.text.contains("made") }
        #expect(caller.text.lowercased().contains("transfer-encoding: chunked"))
        #expect(caller.text.lowercased().hasSuffix("4\r\nmade\r\n0\r\nx-end: 2\r\n\r\n"))

        caller.forget()
        caller.write(get)
        try bench.request(application, 2).answer(200)
        application.ends[0].flush()
        try bench.loop.until { caller.text.hasSuffix("\r\n\r\n") }
        #expect(field("content-length", in: caller.text) == "0")

        caller.forget()
        caller.write("HEAD / HTTP/1.1\r\nHost: orders\r\n\r\n" + get)
        try bench.request(application, 3).answer(200, [("content-length", "4000")])
        application.ends[0].flush()
        try bench.request(application, 4).answer(204)
        application.ends[0].flush()
        try bench.loop.until { statuses(caller.text).count == 2 }
        #expect(field("content-length", in: caller.text) == "4000")
        #expect(statuses(caller.text) == [200, 204])
        #expect(application.ends.count == 1)
        try bench.finish()
    }

    @Test("Expect: 100-continue is answered by the application through both versions")
    func expectContinue() throws {
        let bench = try ProxyBench()
        let application = try bench.http2Application()
        try bench.serve([application.application.socketAddress], protocol: .http2)
        let caller = try bench.caller()
        caller.write(
            "POST / HTTP/1.1\r\nHost: orders\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
        )
        let request = try bench.request(application)
        #expect(request.requestLines.contains("expect: 100-continue"))
        request.answer(100)
        application.ends[0].flush()
        try bench.loop.until { statuses(caller.text) == [100] }
        caller.write("hi")
        try bench.loop.until { request.hasEnded }
        #expect(request.text == "hi")
        request.answer(200, body: "ok")
        application.ends[0].flush()
        try bench.loop.until { statuses(caller.text) == [100, 200] }
        try bench.finish()
    }

    @Test("an answer before the end of the request: the rest is refused with NO_ERROR, both go on")
    func earlyAnswer() throws {
        let bench = try ProxyBench()
        let application = try bench.http2Application()
        try bench.serve([application.application.socketAddress], protocol: .http2)
        let caller = try bench.http2Caller()
        let early = caller.request("POST", body: "part", ends: false)
        let request = try bench.request(application)
        try bench.loop.until { request.text == "part" }
        request.answer(413, body: "no")
        application.ends[0].flush()
        try bench.loop.until { early.isOver && request.isOver }
        #expect(early.answer == "413 no")
        #expect(early.failure == nil || early.resetCode == HTTP2ErrorCode.noError)
        application.answerEach()
        application.ends[0].onRequest = { $0.answer(200, body: "ok") }
        #expect(try bench.answers([caller.request()]) == ["200 ok"])
        #expect(application.ends.count == 1 && caller.error == nil)
        try bench.finish()
    }

    @Test("plain text and no declaration: an HTTP/2 caller of an HTTP/2 application stays so")
    func automatic() throws {
        let bench = try ProxyBench()
        let application = try bench.http2Application()
        application.answerEach()
        try bench.serve([application.application.socketAddress])
        let caller = try bench.http2Caller()
        #expect(try bench.answers([caller.request(), caller.request()]) == ["200 ok", "200 ok"])
        #expect(application.ends.count == 1)
        #expect(bench.metrics.value(.upstreamConnectFailures, .outbound) == 0)
        try bench.finish()
    }

    @Test("plain text and no declaration: an application of HTTP/1.1 only is found out once")
    func fallback() throws {
        let bench = try ProxyBench()
        let application = try bench.application()
        let ok = ok
        application.onConnection = { peer in
            peer.onReceived = { peer in
                guard !peer.text.hasPrefix("PRI ") else {
                    peer.write("HTTP/1.1 505 No\r\nConnection: close\r\n\r\n")
                    return peer.finish()
                }
                guard peer.text.hasSuffix("\r\n\r\n") else { return }
                peer.forget()
                peer.write(ok)
            }
        }
        try bench.serve([application.socketAddress])
        let caller = try bench.http2Caller()
        let first = (0..<3).map { _ in caller.request() }
        #expect(try bench.answers(first) == Array(repeating: "200 ok", count: 3))
        let connections = application.connections.count
        #expect(try bench.answers([caller.request()]) == ["200 ok"])
        #expect(application.connections.count == connections, "it is not asked again")
        #expect(bench.metrics.value(.http2ConnectionErrors, .outbound) == 1)
        try bench.finish()
    }

    @Test("an HTTP/2 application that hangs up while it restarts is not taken for one of HTTP/1.1")
    func restart() throws {
        let bench = try ProxyBench()
        let application = try bench.http2Application()
        application.answerEach()
        try bench.serve([application.application.socketAddress])
        let caller = try bench.http2Caller()
        #expect(try bench.answers([caller.request()]) == ["200 ok"])
        application.ends[0].peer.close()
        try bench.loop.until { bench.metrics.value(.upstreamConnectionsActive, .outbound) == 0 }
        application.onEnd = { end in
            end.isDeaf = true
            end.peer.onReceived = { $0.close() }
        }
        let refused = try bench.answers([caller.request()])
        #expect(refused[0].hasPrefix("503 "))
        application.answerEach()
        #expect(try bench.answers([caller.request()]) == ["200 ok"])
        #expect(application.ends.last?.streams.count == 1, "in HTTP/2")
        try bench.finish()
    }

    @Test("a call of gRPC that fails in the proxy ends with a grpc-status, others with a problem")
    func grpcFailure() throws {
        let bench = try ProxyBench()
        try bench.serve([try bench.closedPort()], protocol: .http2)
        let caller = try bench.http2Caller()
        let call = caller.request("POST", "/a/b", [("content-type", "application/grpc+proto")])
        let web = caller.request("POST", "/a/b", [("content-type", "application/grpc-web")])
        let unknown = caller.request(
            "POST",
            "/a/b",
            authority: "nobody",
            [("content-type", "application/grpc")]
        )
        _ = try bench.answers([call, web, unknown])
        #expect(call.status == 200 && call.body.isEmpty)
        #expect(call.responseLines.contains("grpc-status: 14"))
        #expect(call.responseLines.contains { $0.hasPrefix("grpc-message: ") })
        #expect(web.status == 503)
        #expect(unknown.responseLines.contains("grpc-status: 12"))
        try bench.finish()
    }

    @Test("a deadline of gRPC is the exchange's, and what was waited is taken off it")
    func grpcDeadline() throws {
        let bench = try ProxyBench()
        let application = try bench.http2Application()
        try bench.serve([application.application.socketAddress], protocol: .http2)
        let caller = try bench.http2Caller()
        let call = caller.request(
            "POST",
            "/a/b",
            [("content-type", "application/grpc"), ("grpc-timeout", "50m")]
        )
        let request = try bench.request(application)
        #expect(request.requestLines.contains { $0.hasPrefix("grpc-timeout: ") })
        _ = try bench.answers([call])
        #expect(call.responseLines.contains("grpc-status: 4"))
        try bench.loop.until { request.isOver }
        #expect(request.resetCode == HTTP2ErrorCode.cancel)
        try bench.finish()
    }
}
