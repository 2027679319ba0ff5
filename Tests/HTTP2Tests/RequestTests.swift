import Bytes
import HTTP
import HTTP2
import Testing

/// What a sound request becomes.
@Suite struct RequestTests {
    private func received(
        _ fields: [(String, String)],
        limits: Limits = Limits(),
        trustsOrigin: Bool = false,
        endsStream: Bool = true
    ) throws -> RecordedStream {
        let server = RecordedConnection(.server, limits: limits, trustsOrigin: trustsOrigin)
        server.receive(Frames.hello + Frames.headers(fields, endsStream: endsStream), by: 3)
        return try #require(server.streams.first)
    }

    @Test("RFC 9113 §8.3.1: :authority becomes the one Host field")
    func authority() throws {
        let stream = try received(
            Frames.request(authority: "A.example:81", [("host", "a.EXAMPLE:81"), ("b", "c")])
        )
        #expect(stream.requestLines == ["Host: A.example:81", "b: c"])
        #expect(stream.requestHead.withHost { $0.string } == "a.example")
        #expect(stream.requestHead.port == 81)
        #expect(stream.requestHead.version == .http2)
        #expect(stream.requestHead.originVersion == .http2)
    }

    @Test("RFC 9113 §8.3.1: Host stands in for :authority")
    func host() throws {
        let stream = try received(Frames.request(authority: nil, [("a", "b"), ("host", "x:1")]))
        #expect(stream.requestLines == ["a: b", "host: x:1"])
        #expect(stream.requestHead.withAuthority { $0.string } == "x:1")
    }

    @Test("RFC 9113 §8.2.3: cookie crumbs are joined")
    func cookies() throws {
        let stream = try received(
            Frames.request([("cookie", "a=1"), ("x", "y"), ("cookie", "b=2"), ("cookie", "c=3")])
        )
        #expect(stream.requestLines == ["Host: a.example", "x: y", "Cookie: a=1; b=2; c=3"])
    }

    @Test func theLengthOfTheBodyIsKnown() throws {
        #expect(try received(Frames.request()).bodyLength == BodyLength.none)
        let open = try received(Frames.request("POST"), endsStream: false)
        #expect(open.bodyLength == .chunked)
        let known = try received(
            Frames.request("POST", [("content-length", "5")]),
            endsStream: false
        )
        #expect(known.bodyLength == .known(5))
        let empty = try received(Frames.request("POST", [("content-length", "0")]))
        #expect(empty.bodyLength == BodyLength.none)
        #expect(empty.requestLines.contains("content-length: 0"))
    }

    @Test("RFC 9110 §10.1.1: 100-continue is noticed")
    func expectation() throws {
        let stream = try received(
            Frames.request("POST", [("expect", "100-Continue")]),
            endsStream: false
        )
        #expect(stream.requestHead.expectsContinue)
    }

    @Test("RFC 9113 §8.3.1: OPTIONS may ask the server as a whole")
    func asterisk() throws {
        #expect(try received(Frames.request("OPTIONS", path: "*")).events == ["OPTIONS *", "end"])
    }

    @Test("RFC 8441 §4: extended CONNECT asks for a WebSocket")
    func webSocket() throws {
        let server = RecordedConnection(.server)
        let hello = server.takeFrames()
        // ENABLE_CONNECT_PROTOCOL = 1.
        #expect(
            hello[0].payload.indices.contains {
                hello[0].payload[$0...].starts(with: [0, 8, 0, 0, 0, 1])
            }
        )
        server.receive(
            Frames.hello
                + Frames.headers(
                    [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http")]
                        + [(":path", "/chat"), (":authority", "a"), ("origin", "b")],
                    endsStream: false
                )
        )
        let stream = server.streams[0]
        #expect(stream.requestHead.isWebSocket)
        #expect(stream.requestHead.method == .get)
        #expect(stream.bodyLength == .untilClose)
        #expect(stream.events == ["GET /chat"])
        stream.answer(101, [("Sec-WebSocket-Accept", "x"), ("Upgrade", "websocket")], ends: false)
        stream.sendBody([1, 2].span)
        server.receive(Frames.data([3, 4]))
        #expect(stream.body == [3, 4])
        let frames = server.takeFrames().filter { $0.stream == 1 }
        #expect(frames.map(\.type) == [1, 0])
        // :status 200 of the static table, and nothing else.
        #expect(frames[0].payload == [0x88])
    }

    @Test func connectIsRefusedWithAnAnswer() throws {
        for fields in [
            [(":method", "CONNECT"), (":authority", "a:1")],
            [
                (":method", "CONNECT"), (":protocol", "foo"), (":scheme", "http"), (":path", "/"),
                (":authority", "a"),
            ],
        ] {
            let stream = try received(fields, endsStream: false)
            #expect(stream.events == ["refused 501 connect_refused"])
        }
    }

    @Test func fieldsOfUnknownHopsAreDropped() throws {
        let stream = try received(
            Frames.request([("http2-settings", "x"), ("proxy-authorization", "y"), ("a", "b")])
        )
        #expect(stream.requestLines == ["Host: a.example", "a: b"])
    }

    @Test func aHeadOverTheLimitsIsAnsweredWith431() throws {
        var limits = Limits(fieldSectionBytesMax: 1_000, fieldCountMax: 10)
        let many = (0..<12).map { ("x\($0)", "y") }
        for fields in [
            Frames.request([("x", String(repeating: "y", count: 1_000))]), Frames.request(many),
        ] {
            let server = RecordedConnection(.server, limits: limits)
            server.receive(Frames.hello + Frames.headers(fields, endsStream: false))
            let stream = server.streams[0]
            #expect(stream.events.count == 1)
            #expect(stream.events[0].hasPrefix("refused 431"))
            stream.answer(431)
            let frames = server.takeFrames().filter { $0.stream == 1 }
            #expect(frames.map(\.type) == [1, 3])
            #expect(frames.last?.resetCode == HTTP2ErrorCode.noError)
            #expect(stream.events.last == "closed")
            #expect(server.failure == nil)
        }
        limits = Limits(startLineBytesMax: 100)
        let target = "/" + String(repeating: "x", count: 100)
        let stream = try received(Frames.request(path: target), limits: limits)
        #expect(stream.events == ["refused 414 target_too_long"])
    }

    @Test func trailersOverTheLimitsResetTheStream() {
        let server = RecordedConnection(.server, limits: Limits(trailerBytesMax: 50))
        server.receive(Frames.hello + Frames.headers(Frames.request("POST"), endsStream: false))
        server.receive(Frames.headers([("x", String(repeating: "y", count: 50))]))
        #expect(
            server.takeFrames().contains { $0.resetCode == HTTP2ErrorCode.protocolError }
        )
        #expect(server.streams[0].events.last == "closed")
    }
}
