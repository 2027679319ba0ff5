import HTTP
import HTTP2
import Testing

/// A client and a server of this module, talking to each other.
@Suite struct ExchangeTests {
    @Test func aRequestWithoutBodyIsAnswered() {
        let link = Link()
        link.server.prepare = { stream in stream.onMessageEnd = { $0.answer(204) } }
        let stream = link.client.open(path: "/x?y=1", [("Accept", "*/*")])
        link.run()
        let received = link.server.streams[0]
        #expect(received.events == ["GET /x?y=1", "end", "closed"])
        #expect(received.requestLines == ["Host: a.example", "accept: */*"])
        #expect(received.bodyLength == BodyLength.none)
        #expect(stream.events == ["204", "end", "closed"])
        #expect(link.client.activeStreams == 0)
        #expect(link.server.activeStreams == 0)
    }

    @Test(arguments: [1, 7, 4096, .max])
    func bodiesAndTrailersGoBothWays(_ size: Int) {
        let link = Link()
        let body = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        link.server.prepare = { stream in
            stream.onMessageEnd = { stream in
                stream.answer(200, body: stream.body, trailers: [("grpc-status", "0")])
            }
        }
        let stream = link.client.open("POST", [("TE", "trailers")], endsStream: false)
        stream.sendBody(body.span)
        stream.sendEnd(trailers: nil)
        link.run(by: size)
        #expect(link.server.streams[0].body == body)
        #expect(link.server.streams[0].requestLines.contains("te: trailers"))
        #expect(stream.body == body)
        #expect(stream.events == ["200", "body", "end with trailers", "closed"])
        #expect(stream.trailerLines == ["grpc-status: 0"])
    }
}
