import Bytes
import HTTP
import HTTP1
import Testing

struct EncoderTests {
    /// Decodes the one request in `text`, without its body.
    private func request(_ text: String) throws -> RequestDecoder {
        let decoder = RequestDecoder()
        let input = Array(text.utf8)
        var offset = 0
        #expect(try decoder.next(input, at: &offset) == .head)
        return decoder
    }

    private func response(_ text: String, to method: HTTP.Method = .get) throws -> ResponseDecoder {
        let decoder = ResponseDecoder()
        decoder.expect(method: method)
        let input = Array(text.utf8)
        var offset = 0
        #expect(try decoder.next(input, at: &offset) == .head)
        return decoder
    }

    @Test("an unchanged request leaves as it came, in the sender's case and order")
    func unchanged() throws {
        let text =
            "PURGE /a?b HTTP/1.1\r\nhOST: a\r\nB: 2\r\nCONTENT-LENGTH: 3\r\nB: 1\r\n\r\n"
        let head = try request(text).head
        let out = ByteBuffer()
        RequestEncoder.appendHead(head, bodyLength: head.bodyLength, to: out)
        #expect(out.string == text)
    }

    @Test("removed fields are left out, wherever they stand, and extra lines go last")
    func removed() throws {
        let text = "GET / HTTP/1.1\r\nA: 1\r\nHost: a\r\nB: 2\r\nC:3\r\nD: 4\r\nE: 5\r\n\r\n"
        let head = try request(text).head
        for index in [0, 2, 3, 5] { head.fields.remove(at: index) }
        let extra = ByteBuffer()
        extra.append("X: y\r\n")
        let out = ByteBuffer()
        RequestEncoder.appendHead(head, bodyLength: .none, closes: true, extra: extra, to: out)
        #expect(
            out.string
                == "GET / HTTP/1.1\r\nHost: a\r\nD: 4\r\nConnection: close\r\nX: y\r\n\r\n"
        )
    }

    @Test("a chunked request is chunked again and TE is announced (RFC 9110 §10.1.4)")
    func chunkedRequest() throws {
        let head = try request(
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTE: gzip, trailers\r\n"
                + "Connection: TE, close\r\n\r\n"
        ).head
        head.fields.removeHopByHop()
        for (closes, connection) in [(false, "TE"), (true, "close, TE")] {
            let out = ByteBuffer()
            RequestEncoder.appendHead(head, bodyLength: head.bodyLength, closes: closes, to: out)
            #expect(
                out.string
                    == "POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n"
                    + "Transfer-Encoding: chunked\r\nConnection: \(connection)\r\n\r\n"
            )
        }
    }

    @Test("a length that no field tells is written")
    func knownLength() {
        let head = RequestHead()
        head.set(method: .put)
        head.set(target: Array("/x".utf8).span)
        head.fields.append(.host, "a")
        let out = ByteBuffer()
        RequestEncoder.appendHead(head, bodyLength: .known(12), to: out)
        #expect(out.string == "PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\n")
    }

    @Test("a chunked response to HTTP/1.0 ends by closing (RFC 9112 §7)")
    func chunkedResponse() throws {
        let head = try response(
            "HTTP/1.1 200 Fine\r\nTransfer-Encoding: chunked\r\nA: 1\r\n\r\n"
        ).head
        head.fields.removeHopByHop()
        let out = ByteBuffer()
        #expect(
            ResponseEncoder.appendHead(head, bodyLength: head.bodyLength, to: .http11, to: out)
                == .chunked
        )
        #expect(out.string == "HTTP/1.1 200 Fine\r\nA: 1\r\nTransfer-Encoding: chunked\r\n\r\n")
        out.clear()
        #expect(
            ResponseEncoder.appendHead(head, bodyLength: head.bodyLength, to: .http10, to: out)
                == .untilClose
        )
        #expect(out.string == "HTTP/1.1 200 Fine\r\nA: 1\r\nConnection: close\r\n\r\n")
    }

    @Test("HTTP/1.0 is told that the connection stays (RFC 9112 §9.3)")
    func keepAlive() {
        let head = ResponseHead()
        head.set(status: 503)
        for (closes, connection) in [(false, "keep-alive"), (true, "close")] {
            let out = ByteBuffer()
            ResponseEncoder.appendHead(
                head,
                bodyLength: .known(0),
                to: .http10,
                closes: closes,
                to: out
            )
            #expect(
                out.string
                    == "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n"
                    + "Connection: \(connection)\r\n\r\n"
            )
        }
    }

    @Test("a response without body keeps the length of the one it stands for (RFC 9110 §8.6)")
    func lengthWithoutBody() throws {
        let head = try response("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", to: .head).head
        let out = ByteBuffer()
        ResponseEncoder.appendHead(head, bodyLength: head.bodyLength, to: .http11, to: out)
        #expect(out.string == "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n")
    }

    @Test("chunks, their sizes in hexadecimal, and trailers")
    func chunks() {
        let out = ByteBuffer()
        let trailers = FieldBlock()
        trailers.append(.grpcStatus, "0")
        trailers.append(.xRequestID, "gone")
        trailers.remove(at: 1)
        ChunkEncoder.appendChunkHeader(26, to: out)
        out.append([UInt8](repeating: 0x61, count: 26))
        ChunkEncoder.appendChunkEnd(to: out)
        ChunkEncoder.appendLastChunk(trailers: trailers, to: out)
        #expect(
            out.string
                == "1a\r\n\(String(repeating: "a", count: 26))\r\n0\r\ngrpc-status: 0\r\n\r\n"
        )
        out.clear()
        ChunkEncoder.appendLastChunk(to: out)
        #expect(out.string == "0\r\n\r\n")
        out.clear()
        ChunkEncoder.appendChunkHeader(Int.max, to: out)
        ChunkEncoder.appendChunkEnd(to: out)
        #expect(out.count <= ChunkEncoder.overheadBytesMax)
        out.clear()
        ResponseEncoder.appendContinue(to: out)
        #expect(out.string == "HTTP/1.1 100 Continue\r\n\r\n")
    }

    @Test("what is forwarded reads as what was received", arguments: acceptedRequests)
    func forwardsTable(_ one: Case) {
        #expect(Forwarding.difference(one.input) == nil)
    }

    @Test("what is forwarded reads as what was received, generated", arguments: UInt64(1)...60)
    func forwardsGenerated(seed: UInt64) {
        var generator = MessageGenerator(random: SeededGenerator(seed: seed))
        #expect(Forwarding.difference(generator.requests(count: 5)) == nil)
    }
}
