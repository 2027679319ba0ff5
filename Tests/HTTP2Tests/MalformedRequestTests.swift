import HTTP
import HTTP2
import Testing

/// A request that must not reach anybody, and what becomes of its stream.
struct BadRequest: CustomTestStringConvertible, Sendable {
    var testDescription: String
    var frames: [UInt8]

    init(_ name: String, _ fields: [(String, String)], _ data: [UInt8]? = nil) {
        testDescription = name
        frames = Frames.headers(fields, endsStream: data == nil)
        if let data { frames += Frames.data(data, endsStream: true) }
    }
}

/// RFC 9113 §8.1.1: malformed requests are errors of their stream, PROTOCOL_ERROR.
@Suite struct MalformedRequestTests {
    static let requests: [BadRequest] = [
        // §8.3: pseudo-header fields.
        .init("no method", [(":scheme", "http"), (":path", "/"), (":authority", "a")]),
        .init("no scheme", [(":method", "GET"), (":path", "/"), (":authority", "a")]),
        .init("no path", [(":method", "GET"), (":scheme", "http"), (":authority", "a")]),
        .init("no authority", Frames.request(authority: nil)),
        .init("two methods", Frames.request() + [(":method", "GET")]),
        .init("two paths", Frames.request() + [(":path", "/")]),
        .init("two authorities", Frames.request() + [(":authority", "a.example")]),
        .init("two schemes", Frames.request() + [(":scheme", "http")]),
        .init("unknown pseudo-header", Frames.request() + [(":foo", "1")]),
        .init("status in a request", Frames.request() + [(":status", "200")]),
        .init("pseudo-header after a field", [("accept", "*/*")] + Frames.request()),
        .init("empty method", Frames.request("")),
        .init("method with a space", Frames.request("GET /x")),
        .init("method with CRLF", Frames.request("GET\r\nX: y")),
        .init("empty path", Frames.request(path: "")),
        .init("relative path", Frames.request(path: "x")),
        .init("path with a space", Frames.request(path: "/ HTTP/1.1")),
        .init("path with CRLF", Frames.request(path: "/\r\nX: y")),
        .init("path with a fragment", Frames.request(path: "/#x")),
        .init("path with NUL", Frames.request(path: "/\u{0}")),
        .init("path with bytes above ASCII", Frames.request(path: "/ä")),
        .init("absolute path", Frames.request(path: "http://b.example/")),
        .init("asterisk of a GET", Frames.request(path: "*")),
        .init("foreign scheme", Frames.request(scheme: "ftp")),
        .init("relative path of a foreign scheme", Frames.request(path: "x", scheme: "ftp")),
        .init("scheme with CRLF", Frames.request(scheme: "http\r\n")),
        .init("user information", Frames.request(authority: "user@a.example")),
        .init("authority with a path", Frames.request(authority: "a.example/x")),
        .init("authority with a space", Frames.request(authority: "a b")),
        .init("authority with CRLF", Frames.request(authority: "a\r\nX: y")),
        .init("empty authority", Frames.request(authority: "")),
        .init("bad port", Frames.request(authority: "a:99999")),
        // §8.3.1: which host?
        .init("host differs", Frames.request([("host", "b.example")])),
        .init("host differs by port", Frames.request([("host", "a.example:80")])),
        .init("two hosts", Frames.request([("host", "a.example"), ("host", "a.example")])),
        .init(
            "two hosts without authority",
            Frames.request(authority: nil, [("host", "a"), ("host", "b")])
        ),
        .init("bad host without authority", Frames.request(authority: nil, [("host", "a b")])),
        // §8.2.1: bytes of fields.
        .init("upper-case name", Frames.request([("Accept", "*/*")])),
        .init("empty name", Frames.request([("", "x")])),
        .init("name with a space", Frames.request([("a b", "x")])),
        .init("name with a colon", Frames.request([("a:b", "x")])),
        .init("name with CRLF", Frames.request([("a\r\nb", "x")])),
        .init("name with NUL", Frames.request([("a\u{0}", "x")])),
        .init("value with CRLF", Frames.request([("a", "x\r\nY: z")])),
        .init("value with LF", Frames.request([("a", "x\ny")])),
        .init("value with CR", Frames.request([("a", "x\ry")])),
        .init("value with NUL", Frames.request([("a", "x\u{0}y")])),
        .init("value with a space before", Frames.request([("a", " x")])),
        .init("value with a tab behind", Frames.request([("a", "x\t")])),
        // §8.2.2: fields of a connection.
        .init("connection", Frames.request([("connection", "close")])),
        .init("keep-alive", Frames.request([("keep-alive", "1")])),
        .init("proxy-connection", Frames.request([("proxy-connection", "close")])),
        .init("transfer-encoding", Frames.request([("transfer-encoding", "chunked")])),
        .init("upgrade", Frames.request([("upgrade", "h2c")])),
        .init("te other than trailers", Frames.request([("te", "gzip")])),
        .init("te with more than trailers", Frames.request([("te", "trailers, gzip")])),
        // §8.1.1: Content-Length against DATA.
        .init("length without data", Frames.request("POST", [("content-length", "1")])),
        .init("less data", Frames.request("POST", [("content-length", "3")]), [1, 2]),
        .init("more data", Frames.request("POST", [("content-length", "1")]), [1, 2]),
        .init(
            "two lengths",
            Frames.request("POST", [("content-length", "2"), ("content-length", "2")]),
            [1, 2]
        ),
        .init("no number", Frames.request("POST", [("content-length", "+2")]), [1, 2]),
        .init("a list", Frames.request("POST", [("content-length", "2, 2")]), [1, 2]),
        .init("empty length", Frames.request("POST", [("content-length", "")]), [1, 2]),
        .init(
            "length past 63 bits",
            Frames.request("POST", [("content-length", "18446744073709551618")]),
            [1, 2]
        ),
        // RFC 8441 §4.
        .init("protocol of a GET", Frames.request([(":protocol", "websocket")])),
        .init(
            "protocol of a GET, in its place",
            [(":protocol", "websocket")] + Frames.request()
        ),
        .init(
            "extended CONNECT without path",
            [
                (":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"),
                (":authority", "a"),
            ]
        ),
        .init("CONNECT with a path", Frames.request("CONNECT")),
    ]

    @Test("RFC 9113 §8.1.1: reset, and nobody hears of a request", arguments: requests)
    func isReset(_ request: BadRequest) throws {
        for size in [Int.max, 1, 5] {
            let server = RecordedConnection(.server)
            #expect(server.receive(Frames.hello, by: size) == nil)
            _ = server.takeFrames()
            #expect(server.receive(request.frames, by: size) == nil)
            let resets = server.takeFrames().filter { $0.type == 3 }
            #expect(resets.map(\.resetCode) == [HTTP2ErrorCode.protocolError])
            #expect(resets.map(\.stream) == [1])
            #expect(server.failure == nil)
            #expect(server.activeStreams == 0)
            let stream = try #require(server.streams.first)
            // A head may be sound and the data not; then the owner hears of both.
            let isAboutData = request.frames.count > 9 && stream.events.first == "POST /"
            #expect(stream.events.contains("end") == false)
            #expect(stream.events.contains { $0.hasPrefix("failed: malformed") })
            #expect(stream.events.last == "closed")
            if !isAboutData { #expect(stream.events.count == 2) }
            // The connection lives on.
            server.receive(Frames.headers(Frames.request(), stream: 3))
            #expect(server.streams.last?.events == ["GET /", "end"])
        }
    }

    @Test("RFC 9113 §8.2.1: a value holds no control byte but HTAB, in every position")
    func bytesOfValues() {
        for byte in UInt8.min ... .max {
            let isAllowed = byte == 9 || (byte >= 32 && byte != 127)
            let server = RecordedConnection(.server)
            let field = Frames.literal(Array("a".utf8), [120, byte, 121])
            let block = Frames.block(Frames.request()) + field
            server.receive(Frames.hello + Frames.headers(block: block))
            let isTaken = server.streams.first?.events.first == "GET /"
            #expect(isTaken == isAllowed, "\(byte)")
        }
    }

    @Test("RFC 9113 §8.2.1: a name is a token without upper-case letters")
    func bytesOfNames() {
        let tokens = Set("abcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-.^_`|~".utf8)
        for byte in UInt8.min ... .max {
            let server = RecordedConnection(.server)
            let field = Frames.literal([120, byte, 121], Array("z".utf8))
            let block = Frames.block(Frames.request()) + field
            server.receive(Frames.hello + Frames.headers(block: block))
            let isTaken = server.streams.first?.events.first == "GET /"
            #expect(isTaken == tokens.contains(byte), "\(byte)")
        }
    }

    @Test("RFC 9110 §9.1: a method is a token")
    func bytesOfMethods() {
        let letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
        let tokens = Set((letters + "0123456789!#$%&'*+-.^_`|~").utf8)
        for byte in UInt8.min ... .max {
            let server = RecordedConnection(.server)
            let block =
                Frames.literal(Array(":method".utf8), [88, byte])
                + Frames.block(Array(Frames.request().dropFirst()))
            server.receive(Frames.hello + Frames.headers(block: block))
            let isTaken = server.streams.first?.events.first?.hasPrefix("X") == true
            #expect(isTaken == tokens.contains(byte), "\(byte)")
        }
    }

    @Test("RFC 9110 §6.5.1: trailers that would reframe or reroute are dropped")
    func forbiddenTrailers() {
        let server = RecordedConnection(.server)
        server.receive(Frames.hello + Frames.headers(Frames.request("POST"), endsStream: false))
        server.receive(
            Frames.headers([("content-type", "x"), ("a", "1"), ("host", "b"), ("cookie", "c")])
        )
        #expect(server.streams[0].trailerLines == ["a: 1"])
        #expect(server.streams[0].events == ["POST /", "end with trailers"])
    }

    @Test("RFC 9113 §8.1: trailers hold no pseudo-header fields, and end the stream")
    func malformedTrailers() {
        for trailers in [
            Frames.headers([(":path", "/")]), Frames.headers([("a", "1")], endsStream: false),
            Frames.headers([("A", "1")]), Frames.headers([("connection", "close")]),
        ] {
            let server = RecordedConnection(.server)
            server.receive(Frames.hello + Frames.headers(Frames.request("POST"), endsStream: false))
            server.receive(trailers)
            #expect(server.takeFrames().contains { $0.resetCode == HTTP2ErrorCode.protocolError })
            #expect(
                server.streams[0].events == [
                    "POST /", "failed: malformed(reason: \"invalid_message\")", "closed",
                ]
            )
        }
    }
}
