import HTTP
import Testing

@testable import HTTP2

/// Connections whose memory is packed while they are idle.
@Suite struct SessionArenaTests {
    @Test("an idle connection goes on where it was, with its HPACK tables")
    func freezeAndThaw() {
        let link = Link()
        link.server.prepare = { stream in
            stream.onMessageEnd = {
                $0.answer(200, [("server", "x"), ("etag", "y")], body: $0.body)
            }
        }
        for round in 0..<20 {
            let stream = link.client.open(
                "POST",
                [("user-agent", "test/\(round / 5)"), ("x-same", "always")],
                endsStream: false
            )
            stream.sendBody([1, 2, UInt8(round)].span)
            stream.sendEnd(trailers: nil)
            link.run(by: round + 1)
            #expect(stream.body == [1, 2, UInt8(round)])
            #expect(stream.responseLines == ["server: x", "etag: y"])
            let user = "user-agent: test/\(round / 5)"
            #expect(link.server.streams[round].requestLines.contains(user))
            link.client.releaseMemory()
            link.server.releaseMemory()
            #expect(!link.client.hasOutput)
            #expect(!link.client.isFinished)
            #expect(link.client.canOpenStream)
        }
        link.client.ping()
        link.run()
        #expect(link.client.events == ["settings", "pong"])
        link.server.releaseMemory()
        link.server.startShutdown()
        link.server.finishShutdown()
        link.run()
        #expect(link.server.isFinished)
    }

    @Test("memory is kept while there is something to do")
    func busy() {
        let link = Link()
        _ = link.client.open()
        link.client.releaseMemory()
        #expect(link.client.hasOutput)
        link.run()
        link.server.releaseMemory()
        link.server.streams[0].answer()
        link.run()
        #expect(link.client.streams[0].events == ["200", "end", "closed"])
    }

    @Test("frozen connections can go, and their memory is used again")
    func reuse() {
        let memory = HTTP2Memory()
        for _ in 0..<300 {
            let server = RecordedConnection(.server, memory: memory)
            server.receive(Frames.hello + Frames.headers(Frames.request([("a", "b")])))
            server.streams[0].answer()
            #expect(server.takeFrames().contains { $0.type == 1 })
            server.releaseMemory()
        }
    }

    @Test("more streams than an arena holds take memory from elsewhere")
    func overflow() {
        let link = Link()
        link.run()
        let streams = (0..<200).map { round in
            link.client.open(
                "PUT",
                [("x-\(round)", String(repeating: "y", count: 900))],
                endsStream: false
            )
        }
        link.run()
        #expect(link.server.streams.count == 200)
        for stream in link.server.streams { stream.answer() }
        for stream in streams { stream.sendEnd(trailers: nil) }
        link.run()
        #expect(streams.allSatisfy { $0.events == ["200", "end", "closed"] })
        link.client.releaseMemory()
        link.server.releaseMemory()
        _ = link.client.open()
        link.run()
        #expect(link.server.streams.count == 201)
    }
}
