import Bytes
import HTTP
import HTTP1
import Testing

struct WebSocketTests {
    private static let requests = webSocketRequests + ignoredUpgrades + refusedUpgrades

    @Test("an upgrade is decoded, ignored or refused as the RFC says", arguments: requests)
    func request(_ one: Case) {
        let input = one.input
        let whole = Transcript.requests([input])
        #expect(whole.lines == one.expected)
        #expect(Transcript.requests(input.map { [$0] }) == whole)
        for cut in input.indices {
            let pieces = [Array(input[..<cut]), Array(input[cut...])]
            #expect(Transcript.requests(pieces) == whole, "cut at \(cut)")
        }
    }

    @Test("only an answer to a WebSocket opens a tunnel", arguments: webSocketResponses)
    func response(_ one: ResponseCase) {
        let input = one.input
        func decode(_ pieces: [[UInt8]], webSocket: Bool = true) -> Transcript {
            Transcript.responses(
                pieces,
                to: one.methods,
                closes: one.closes,
                webSocket: webSocket
            )
        }
        let whole = decode([input])
        #expect(whole.lines == one.expected)
        for cut in input.indices {
            #expect(decode([Array(input[..<cut]), Array(input[cut...])]) == whole, "\(cut)")
        }
        guard one.expected.contains(where: { $0.hasPrefix("101 ") }) else { return }
        #expect(decode([input], webSocket: false).lines.last == "error unexpected_upgrade")
    }

    @Test("after a refusal the connection's next bytes are the next request")
    func refused() throws {
        let decoder = RequestDecoder()
        var input = webSocketRequests[1].input
        var offset = 0
        #expect(try decoder.next(input, at: &offset) == .head)
        #expect(try decoder.next(input, at: &offset) == .needMore)
        decoder.refuseWebSocket()
        #expect(decoder.isIdle)
        input = Array("POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx".utf8)
        offset = 0
        #expect(try decoder.next(input, at: &offset) == .head)
        #expect(!decoder.head.isWebSocket)
        #expect(decoder.head.bodyLength == .known(1))
        #expect(try decoder.next(input, at: &offset) == .body(input.count - 1..<input.count))
        #expect(try decoder.next(input, at: &offset) == .end(trailers: false))
    }

    @Test("heads leave with the fields of the handshake, whatever else was listed (RFC 6455 §4)")
    func encodes() throws {
        let requests = RequestDecoder()
        var offset = 0
        #expect(try requests.next(webSocketRequests[1].input, at: &offset) == .head)
        requests.head.fields.removeHopByHop()
        let out = ByteBuffer()
        RequestEncoder.appendHead(requests.head, bodyLength: .untilClose, to: out)
        #expect(
            out.string
                == "GET /chat HTTP/1.1\r\nHost: a\r\n"
                + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                + "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        )
        let responses = ResponseDecoder()
        responses.expect(method: .get, webSocket: true)
        offset = 0
        let answer = Array(
            ("HTTP/1.1 101 Yes\r\nUPGRADE: WebSocket\r\nConnection: X, Upgrade\r\nX: 1\r\n"
                + "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n").utf8
        )
        #expect(try responses.next(answer, at: &offset) == .head)
        responses.head.fields.removeHopByHop()
        out.clear()
        let framing = ResponseEncoder.appendHead(
            responses.head,
            bodyLength: responses.head.bodyLength,
            to: .http11,
            closes: true,
            to: out
        )
        #expect(framing == .untilClose)
        #expect(
            out.string
                == "HTTP/1.1 101 Yes\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
                + "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        )
    }
}
