import MeshModel
import Reactor
import Telemetry
import Testing
import Time

@testable import Proxy

/// What passes through, in both directions, byte by byte.
struct MessageTests {
    private let get = "GET / HTTP/1.1\r\nHost: orders\r\n\r\n"
    private let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

    private func bench() throws -> (ProxyBench, Application) {
        let bench = try ProxyBench()
        let application = try bench.application()
        try bench.serve([application.socketAddress])
        return (bench, application)
    }

    @Test(
        "request and response arrive the same however their bytes are split",
        arguments: [1, 2, 3, 7, 64]
    )
    func splits(size: Int) throws {
        let (bench, application) = try bench()
        let caller = try bench.caller()
        let request =
            "PUT /x HTTP/1.1\r\nHost: orders\r\nTransfer-Encoding: chunked\r\nTrailer: Sum\r\n\r\n"
            + "5;a=b\r\nhello\r\n6\r\n world\r\n0\r\nSum: 1\r\n\r\n"
        for piece in pieces(request, size) {
            caller.write(piece)
            bench.loop.turn(waitMillisecondsMax: 0)
        }
        let upstream = try bench.accepted(application)
        try bench.loop.until { upstream.text.hasSuffix("Sum: 1\r\n\r\n") }
        let seen = withoutTrace(upstream.text)
        #expect(
            seen.hasPrefix(
                "PUT /x HTTP/1.1\r\nHost: orders\r\nTrailer: Sum\r\n"
                    + "Transfer-Encoding: chunked\r\n\r\n"
            )
        )
        #expect(unchunked(seen) == "hello world")
        let response =
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            + "3\r\nabc\r\n2\r\nde\r\n0\r\nETag-Of: 7\r\n\r\n"
        for piece in pieces(response, size) {
            upstream.write(piece)
            bench.loop.turn(waitMillisecondsMax: 0)
        }
        try bench.loop.until { caller.text.hasSuffix("0\r\nETag-Of: 7\r\n\r\n") }
        #expect(caller.text.hasPrefix("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"))
        #expect(unchunked(caller.text) == "abcde")
        caller.forget()
        upstream.forget()
        try bench.exchange(caller, get, { upstream }, sees: get, answers: ok)
        #expect(application.connections.count == 1)
        try bench.finish()
    }

    @Test("pipelined requests are answered in their order, one upstream at a time")
    func pipelining() throws {
        let (bench, application) = try bench()
        let caller = try bench.caller()
        let paths = (0..<20).map { "/\($0)" }
        caller.write(paths.map { "GET \($0) HTTP/1.1\r\nHost: orders\r\n\r\n" }.joined())
        let upstream = try bench.accepted(application)
        for path in paths {
            try bench.expect(
                upstream,
                receives: "GET \(path) HTTP/1.1\r\nHost: orders\r\n\r\n"
            )
            bench.loop.settle()
            #expect(upstream.text.hasPrefix("GET \(path) "), "nothing before the answer")
            upstream.forget()
            upstream.write("HTTP/1.1 200 OK\r\nContent-Length: \(path.utf8.count)\r\n\r\n\(path)")
        }
        let expected = paths.map {
            "HTTP/1.1 200 OK\r\nContent-Length: \($0.utf8.count)\r\n\r\n\($0)"
        }.joined()
        try bench.expect(caller, receives: expected)
        #expect(application.connections.count == 1)
        try bench.finish()
    }

    @Test("pipelined local replies and forwarded answers keep their order")
    func mixedPipelining() throws {
        let (bench, application) = try bench()
        let caller = try bench.caller()
        caller.write(
            "GET / HTTP/1.1\r\nHost: nobody\r\n\r\n" + get
                + "HEAD / HTTP/1.1\r\nHost: nobody\r\n\r\n"
                + get
        )
        let upstream = try bench.accepted(application)
        for _ in 0..<2 {
            try bench.expect(upstream, receives: get)
            upstream.forget()
            upstream.write(ok)
        }
        try bench.loop.until { caller.text.hasSuffix("ok") && statuses(caller.text).count == 4 }
        #expect(statuses(caller.text) == [404, 200, 404, 200])
        try bench.finish()
    }

    @Test("a caller that pipelines without end is read no further than the bound")
    func pipeliningIsBounded() throws {
        let (bench, application) = try bench()
        let caller = try bench.caller()
        caller.write(get)
        let upstream = try bench.accepted(application)
        try bench.expect(upstream, receives: get)
        let more = Array(String(repeating: get, count: 2_000).utf8)
        var sent = 0
        while !caller.isCongested {
            caller.write(more)
            sent += more.count
            bench.loop.turn(waitMillisecondsMax: 0)
            #expect(sent < 256 << 20)
            if sent >= 256 << 20 { break }
        }
        bench.loop.settle()
        let taken = bench.metrics.value(.downstreamBytesReceived, .outbound)
        #expect(taken <= UInt64(ProxyLimits.pipelinedBytesMax + get.utf8.count))
        #expect(bench.metrics.value(.requestsActive, .outbound) == 1)
        try bench.finish()
    }

    @Test("responses without body by method or status end with their head (RFC 9112 §6.3)")
    func bodiless() throws {
        let (bench, application) = try bench()
        let caller = try bench.caller()
        let head = "HEAD / HTTP/1.1\r\nHost: orders\r\n\r\n"
        try bench.exchange(
            caller,
            head,
            { try bench.accepted(application) },
            sees: head,
            answers: "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
        )
        let upstream = application.connections[0]
        for response in [
            "HTTP/1.1 204 No Content\r\nETag: x\r\n\r\n",
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 55\r\n\r\n",
        ] {
            try bench.exchange(caller, get, { upstream }, sees: get, answers: response)
        }
        try bench.exchange(
            caller,
            get,
            { upstream },
            sees: get,
            answers: "HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\n",
            delivered: "HTTP/1.1 204 No Content\r\n\r\n"
        )
        #expect(application.connections.count == 1)
        try bench.finish()
    }

    @Test("interim responses pass before the final one, to HTTP/1.1 only")
    func interim() throws {
        let (bench, application) = try bench()
        let caller = try bench.caller()
        let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        try bench.exchange(
            caller,
            get,
            { try bench.accepted(application) },
            sees: get,
            answers: hints + hints + ok
        )
        let old = try bench.caller()
        old.write("GET / HTTP/1.0\r\nHost: orders\r\n\r\n")
        let upstream = application.connections[0]
        try bench.expect(upstream, receives: get)
        upstream.write(hints + ok)
        try bench.loop.until { old.isOver }
        #expect(
            old.text == "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
        )
        try bench.finish()
    }

    @Test("101 that nobody asked for is a malformed response: 502")
    func switchingProtocols() throws {
        let (bench, application) = try bench()
        let caller = try bench.caller()
        caller.write(
            "GET / HTTP/1.1\r\nHost: orders\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
        )
        let upstream = try bench.accepted(application)
        try bench.expect(upstream, receives: get)
        upstream.write(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
        )
        try bench.loop.until { caller.text.hasSuffix("}\n") }
        #expect(caller.text.hasPrefix("HTTP/1.1 502 "))
        try bench.loop.until { upstream.isOver }
        #expect(
            bench.metrics.value(.malformedResponses, .outbound, label: "unexpected_upgrade") == 1
        )
        try bench.finish()
    }

    @Test("a body that ends with its connection is delivered whole and ends the caller's too")
    func closeDelimited() throws {
        let (bench, application) = try bench()
        let caller = try bench.caller()
        caller.write(get)
        let upstream = try bench.accepted(application)
        try bench.expect(upstream, receives: get)
        upstream.write("HTTP/1.0 200 OK\r\n\r\nsome ")
        bench.loop.settle()
        upstream.write("body")
        upstream.close()
        try bench.loop.until { caller.isOver }
        #expect(caller.text == "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nsome body")
        #expect(caller.hasEnded)
        try bench.finish()
    }

    @Test("an HTTP/1.0 caller gets no chunks; with keep-alive its connection stays")
    func http10() throws {
        let (bench, application) = try bench()
        let caller = try bench.caller()
        let request = "GET / HTTP/1.0\r\nHost: orders\r\nConnection: keep-alive\r\n\r\n"
        try bench.exchange(
            caller,
            request,
            { try bench.accepted(application) },
            sees: get,
            answers: ok,
            delivered:
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok"
        )
        caller.forget()
        let upstream = application.connections[0]
        caller.write(request)
        try bench.expect(upstream, receives: get)
        upstream.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        upstream.write("3\r\nabc\r\n0\r\nT: 1\r\n\r\n")
        try bench.loop.until { caller.isOver }
        #expect(caller.text == "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc")
        try bench.finish()
    }

    @Test("Expect: 100-continue is asked of the service, and its answer decides")
    func expectContinue() throws {
        let (bench, application) = try bench()
        let caller = try bench.caller()
        let head =
            "POST / HTTP/1.1\r\nHost: orders\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
        caller.write(head)
        let upstream = try bench.accepted(application)
        try bench.expect(upstream, receives: head)
        upstream.forget()
        upstream.write("HTTP/1.1 100 Continue\r\n\r\n")
        try bench.expect(caller, receives: "HTTP/1.1 100 Continue\r\n\r\n")
        caller.forget()
        caller.write("body")
        try bench.expect(upstream, receives: "body")
        upstream.forget()
        upstream.write(ok)
        try bench.expect(caller, receives: ok)
        caller.forget()
        caller.write(head)
        try bench.expect(upstream, receives: head)
        upstream.write("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n")
        try bench.loop.until { caller.isOver }
        #expect(
            caller.text
                == "HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n"
                + "Connection: close\r\n\r\n"
        )
        #expect(upstream.isOver)
        try bench.finish()
    }

    @Test("an answer before the request's end passes; the rest of the request is not taken for one")
    func earlyResponse() throws {
        let (bench, application) = try bench()
        let caller = try bench.caller()
        caller.write("POST / HTTP/1.1\r\nHost: orders\r\nContent-Length: 100\r\n\r\nfirst")
        let upstream = try bench.accepted(application)
        try bench.loop.until { upstream.text.hasSuffix("first") }
        upstream.write("HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno")
        try bench.loop.until { caller.text.hasSuffix("no") }
        caller.write(get)
        try bench.loop.until { caller.isOver }
        #expect(
            caller.text
                == "HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno"
        )
        #expect(application.connections.count == 1)
        #expect(upstream.isOver)
        try bench.finish()
    }

    @Test("bytes after a response belong to nobody: its connection is not used again")
    func responseSplitting() throws {
        let (bench, application) = try bench()
        let caller = try bench.caller()
        try bench.exchange(
            caller,
            get,
            { try bench.accepted(application) },
            sees: get,
            answers: ok + "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
            delivered: ok
        )
        try bench.exchange(
            caller,
            get,
            { try bench.accepted(application, 2) },
            sees: get,
            answers: ok
        )
        #expect(application.connections[0].isOver)
        // The same in two deliveries: the connection is idle already.
        application.connections[1].write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        try bench.loop.until { application.connections[1].isOver }
        try bench.exchange(
            caller,
            get,
            { try bench.accepted(application, 3) },
            sees: get,
            answers: ok
        )
        try bench.finish()
    }

    @Test(
        "a malformed request gets its status, is counted, ends the connection and goes nowhere",
        arguments: [
            BadRequest("GET / HTTP/1.1\r\n\r\n", 400, "missing_host"),
            BadRequest("GET / HTTP/1.1\r\nHost: orders\nA: b\r\n\r\n", 400, "bare_line_feed"),
            BadRequest(
                "GET / HTTP/1.1\r\nHost: orders\r\nHost: orders\r\n\r\n",
                400,
                "duplicate_host"
            ),
            BadRequest(
                "POST / HTTP/1.1\r\nHost: orders\r\nContent-Length: 3\r\n"
                    + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                400,
                "content_length_with_transfer_encoding"
            ),
            BadRequest(
                "CONNECT orders:80 HTTP/1.1\r\nHost: orders:80\r\n\r\n",
                501,
                "connect_refused"
            ),
            BadRequest("GET / HTTP/2.0\r\nHost: orders\r\n\r\n", 505, "unsupported_version"),
            BadRequest(
                "GET /\(String(repeating: "a", count: 17_000)) HTTP/1.1\r\n\r\n",
                414,
                "request_line_too_long"
            ),
            BadRequest(
                "GET / HTTP/1.1\r\nHost: orders\r\n"
                    + String(repeating: "A: b\r\n", count: 200) + "\r\n",
                431,
                "too_many_fields"
            ),
        ]
    )
    fileprivate func malformed(_ bad: BadRequest) throws {
        let (bench, application) = try bench()
        let caller = try bench.caller()
        caller.write(bad.text + get)
        try bench.loop.until { caller.isOver }
        #expect(statuses(caller.text) == [bad.status])
        #expect(field("connection", in: caller.text) == "close")
        #expect(caller.text.contains("\"type\":\"urn:mesh:problem:\(bad.reason)\""))
        #expect(bench.metrics.value(.malformedRequests, .outbound, label: bad.reason) == 1)
        #expect(bench.metrics.value(.malformedRequests, .outbound) == 1)
        #expect(application.connections.isEmpty)
        try bench.finish()
    }

    @Test("a body that turns out malformed is never complete for the service; the caller gets 400")
    func malformedBody() throws {
        let (bench, application) = try bench()
        let caller = try bench.caller()
        caller.write(
            "POST / HTTP/1.1\r\nHost: orders\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
        )
        let upstream = try bench.accepted(application)
        try bench.loop.until { upstream.text.hasSuffix("abc\r\n") }
        caller.write("zz\r\n")
        try bench.loop.until { caller.isOver && upstream.isOver }
        #expect(statuses(caller.text) == [400])
        #expect(upstream.text.hasSuffix("abc\r\n"))
        #expect(
            bench.metrics.value(.malformedRequests, .outbound, label: "invalid_chunk_size") == 1
        )
        try bench.finish()
    }

    @Test(
        "a malformed response is a 502, counted, and its connection is not used again",
        arguments: [
            Answer("status", "HTTP/1.1 2x0 OK\r\n\r\n"),
            Answer(
                "two lengths",
                "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"
            ),
            Answer("field name", "HTTP/1.1 200 OK\r\nBad Name: x\r\n\r\n"),
            Answer("another protocol", "SSH-2.0-OpenSSH\r\n"),
        ]
    )
    fileprivate func malformedResponse(_ response: Answer) throws {
        let (bench, application) = try bench()
        let caller = try bench.caller()
        caller.write(get)
        let upstream = try bench.accepted(application)
        try bench.expect(upstream, receives: get)
        upstream.write(response.text)
        try bench.loop.until { caller.text.hasSuffix("}\n") }
        #expect(statuses(caller.text) == [502])
        #expect(caller.text.contains("malformed_response"))
        try bench.loop.until { upstream.isOver }
        #expect(bench.metrics.value(.malformedResponses, .outbound) == 1)
        #expect(!caller.isOver)
        try bench.exchange(
            caller,
            get,
            { try bench.accepted(application, 2) },
            sees: get,
            answers: ok
        )
        try bench.finish()
    }

    @Test(
        "a response that breaks off reaches the caller broken off",
        arguments: [
            Answer("length", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"),
            Answer(
                "chunks",
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
            ),
            Answer(
                "malformed chunk",
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nxx\r\n"
            ),
        ]
    )
    fileprivate func truncated(_ response: Answer) throws {
        let (bench, application) = try bench()
        let caller = try bench.caller()
        caller.write(get)
        let upstream = try bench.accepted(application)
        try bench.expect(upstream, receives: get)
        upstream.write(response.text)
        try bench.loop.until { caller.text.contains("abc") || caller.isOver }
        upstream.close()
        try bench.loop.until { caller.isOver }
        #expect(!caller.text.hasSuffix("0\r\n\r\n"))
        #expect(!caller.text.contains("502"))
        try bench.finish()
    }

    @Test("a close-delimited response that was reset ends in a reset, not in an end")
    func truncatedUntilClose() throws {
        let (bench, application) = try bench()
        let caller = try bench.caller()
        caller.write(get)
        let upstream = try bench.accepted(application)
        try bench.expect(upstream, receives: get)
        upstream.write("HTTP/1.1 200 OK\r\n\r\npart")
        try bench.loop.until { caller.text.hasSuffix("part") }
        upstream.reset()
        try bench.loop.until { caller.isOver }
        #expect(caller.closed == .failed(errno: 104))
        #expect(!caller.hasEnded)
        try bench.finish()
    }

    @Test("a service that closes without an answer is a 502")
    func closedBeforeResponse() throws {
        let (bench, application) = try bench()
        let caller = try bench.caller()
        caller.write(get)
        let upstream = try bench.accepted(application)
        try bench.expect(upstream, receives: get)
        upstream.close()
        try bench.loop.until { caller.text.hasSuffix("}\n") }
        #expect(statuses(caller.text) == [502])
        #expect(caller.text.contains("upstream_closed"))
        #expect(bench.metrics.value(.retries, .outbound) == 0)
        try bench.finish()
    }
}

private struct BadRequest: CustomTestStringConvertible {
    let text: String
    let status: Int
    let reason: String
    var testDescription: String { reason }

    init(_ text: String, _ status: Int, _ reason: String) {
        self.text = text
        self.status = status
        self.reason = reason
    }
}

private struct Answer: CustomTestStringConvertible {
    let testDescription: String
    let text: String

    init(_ name: String, _ text: String) {
        testDescription = name
        self.text = text
    }
}

/// `text` in pieces of `size` bytes.
func pieces(_ text: String, _ size: Int) -> [[UInt8]] {
    let bytes = Array(text.utf8)
    return stride(from: 0, to: bytes.count, by: size).map {
        Array(bytes[$0..<min($0 + size, bytes.count)])
    }
}

/// The status of every response in `text`, taken from the lines that look like one.
func statuses(_ text: String) -> [Int] {
    var found: [Int] = []
    let bytes = Array(text.utf8)
    let mark = Array("HTTP/1.1 ".utf8)
    var index = 0
    while index + 12 <= bytes.count {
        if bytes[index...].starts(with: mark) {
            found.append(Int(String(decoding: bytes[index + 9..<index + 12], as: UTF8.self)) ?? -1)
            index += 12
        } else {
            index += 1
        }
    }
    return found
}

/// The data of the one chunked body in `message`, which must be well-formed.
func unchunked(_ message: String) -> String {
    let bytes = Array(message.utf8)
    var at = 0
    while at + 4 <= bytes.count, !bytes[at...].starts(with: [13, 10, 13, 10]) { at += 1 }
    at += 4
    var data: [UInt8] = []
    while let end = bytes[min(at, bytes.count)...].firstIndex(of: 13) {
        guard let size = Int(String(decoding: bytes[at..<end], as: UTF8.self), radix: 16),
            size > 0, end + 2 + size + 2 <= bytes.count
        else { break }
        data += bytes[end + 2..<end + 2 + size]
        at = end + 2 + size + 2
    }
    return String(decoding: data, as: UTF8.self)
}
