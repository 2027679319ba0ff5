import Bytes
import HTTP
import HTTP2
import Testing

/// The life of streams: flow control, ends from both sides, reuse.
@Suite struct StreamTests {
    private let chunk = [UInt8](repeating: 120, count: 10_000)

    @Test("a paused stream holds what its window lets through, and no more")
    func pause() {
        var settings = HTTP2Settings()
        settings.initialStreamWindow = 65_535
        settings.streamWindowMax = 65_535
        let link = Link(settings: settings)
        link.server.prepare = { stream in stream.onHead = { $0.pause() } }
        let stream = link.client.open("POST", endsStream: false)
        stream.sendBody([UInt8](repeating: 1, count: 100_000).span)
        stream.sendEnd(trailers: nil)
        link.run()
        let received = link.server.streams[0]
        #expect(received.events == ["POST /"])
        #expect(stream.outstandingBytes == 100_000 - 65_535)
        received.resume()
        link.run()
        #expect(received.body.count == 100_000)
        #expect(received.events == ["POST /", "body", "end"])
    }

    @Test("a stalled stream stalls no other")
    func bystander() {
        var settings = HTTP2Settings()
        settings.connectionWindow = 300_000
        let link = Link(settings: settings)
        link.server.prepare = { stream in
            stream.onHead = { if $0.requestHead.method == .put { $0.pause() } }
            stream.onMessageEnd = { $0.answer(200, body: $0.body) }
        }
        let stalled = (0..<3).map { _ in link.client.open("PUT", endsStream: false) }
        for stream in stalled { stream.sendBody([UInt8](repeating: 1, count: 300_000).span) }
        link.run()
        let other = link.client.open("POST", endsStream: false)
        other.sendBody([UInt8](repeating: 2, count: 500_000).span)
        other.sendEnd(trailers: nil)
        link.run()
        #expect(other.body.count == 500_000)
        #expect(other.events == ["relieved", "200", "body", "end", "closed"])
    }

    @Test("what all stalled streams hold together is bounded, and let go again")
    func heldBytes() {
        var settings = HTTP2Settings()
        settings.connectionWindow = 100_000
        settings.heldBytesMax = 200_000
        let link = Link(settings: settings)
        link.server.prepare = { stream in stream.onHead = { $0.pause() } }
        let streams = (0..<5).map { _ in link.client.open("PUT", endsStream: false) }
        for stream in streams {
            stream.sendBody([UInt8](repeating: 1, count: 200_000).span)
            stream.sendEnd(trailers: nil)
        }
        link.run()
        let left = streams.map(\.outstandingBytes).reduce(0, +)
        #expect(left >= 1_000_000 - 320_000)
        for stream in link.server.streams { stream.resume() }
        link.run()
        #expect(link.server.streams.allSatisfy { $0.body.count == 200_000 })
    }

    @Test("the window of a stream grows while its consumer keeps up")
    func growth() {
        let link = Link()
        let stream = link.client.open("POST", endsStream: false)
        for _ in 0..<40 {
            stream.sendBody([UInt8](repeating: 1, count: 100_000).span)
            link.run()
        }
        // Then it stops, and what arrives is what the window had become.
        link.server.streams[0].pause()
        stream.sendBody([UInt8](repeating: 1, count: 3 << 20).span)
        link.run()
        let taken = 3 << 20 - stream.outstandingBytes
        #expect(taken > 500_000)
        #expect(taken <= 1 << 20)
    }

    @Test("a sender hears when it is too far ahead, and when no more")
    func congestion() {
        let link = Link()
        link.server.prepare = { stream in stream.onHead = { $0.pause() } }
        let stream = link.client.open("POST", endsStream: false)
        link.run()
        stream.sendBody([UInt8](repeating: 1, count: 256 << 10).span)
        #expect(stream.isCongested)
        link.run()
        #expect(stream.events == ["relieved"])
        #expect(!stream.isCongested)
        stream.sendBody([UInt8](repeating: 1, count: 200 << 10).span)
        link.run()
        #expect(stream.isCongested)
        #expect(stream.events == ["relieved"])
        link.server.streams[0].resume()
        link.run()
        #expect(stream.events == ["relieved", "relieved"])
    }

    @Test("output stops at what is asked for, and loses nothing")
    func boundedOutput() {
        for room in [1, 100, 16_384, 20_000] {
            let link = Link()
            link.server.prepare = { stream in
                stream.onMessageEnd = { $0.answer(200, body: $0.body, trailers: [("a", "b")]) }
            }
            let body = (0..<150_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
            let long = String(repeating: "y", count: 40_000)
            let streams = (0..<3).map { _ in
                link.client.open("POST", [("x", long)], endsStream: false)
            }
            for stream in streams {
                stream.sendBody(body.span)
                stream.sendEnd(trailers: nil)
            }
            link.run(room: room)
            for stream in streams {
                #expect(stream.body == body)
                #expect(
                    stream.events == ["relieved", "200", "body", "end with trailers", "closed"]
                )
            }
            #expect(link.server.streams[0].requestLines.last == "x: " + long)
        }
    }

    @Test("RFC 9113 §8.1: an early answer is followed by RST_STREAM with NO_ERROR")
    func earlyAnswer() {
        let server = RecordedConnection(.server)
        server.prepare = { stream in
            stream.onHead = { stream in
                stream.discardBody()
                stream.answer(413, body: [1])
            }
        }
        server.receive(Frames.hello + Frames.headers(Frames.request("POST"), endsStream: false))
        server.receive(Frames.data([1, 2, 3]))
        let frames = server.takeFrames().filter { $0.stream == 1 }
        #expect(frames.map(\.type) == [1, 0, 3])
        #expect(frames.last?.resetCode == HTTP2ErrorCode.noError)
        #expect(server.streams[0].events == ["POST /", "closed"])
    }

    @Test("the owner may reset anywhere, and hears only of the end")
    func resetInside() {
        for moment in ["head", "body", "end"] {
            let server = RecordedConnection(.server)
            server.prepare = { stream in
                stream.onHead = { if moment == "head" { $0.reset(8) } }
                stream.onBytes = { if moment == "body" { $0.reset(8) } }
                stream.onMessageEnd = { if moment == "end" { $0.reset(8) } }
            }
            server.receive(
                Frames.hello + Frames.headers(Frames.request("POST"), endsStream: false)
                    + Frames.data([1]) + Frames.data([2], endsStream: true)
                    + Frames.headers(Frames.request(), stream: 3)
            )
            let events = server.streams[0].events
            #expect(events.last == "closed")
            #expect(!events.contains { $0.hasPrefix("failed") })
            #expect(events.contains("end") == (moment == "end"))
            #expect(
                server.takeFrames().filter { $0.type == 3 && $0.stream == 1 }.map(\.resetCode) == [
                    8
                ]
            )
            #expect(server.failure == nil)
            // Nothing that comes after it does anything.
            server.streams[0].sendBody([1].span)
            server.streams[0].reset(8)
            server.streams[0].resume()
            #expect(!server.hasOutput)
        }
    }

    @Test("a request that is reset before it left is not sent")
    func resetBeforeSending() {
        let client = RecordedConnection(.client)
        let stream = client.open()
        stream.reset(8)
        let frames = client.takeFrames()
        #expect(!frames.contains { $0.type == 1 || $0.type == 3 })
        #expect(stream.events == ["closed"])
        #expect(client.activeStreams == 0)
    }

    @Test("streams are used again")
    func reuse() {
        let link = Link()
        var pool: [RecordedStream] = []
        link.server.prepare = { stream in
            stream.onMessageEnd = { $0.answer(200, body: $0.body) }
        }
        let stream = link.client.open("POST", endsStream: false)
        stream.sendBody(chunk.span)
        stream.sendEnd(trailers: nil)
        link.run()
        pool.append(stream)
        #expect(!stream.isAttached)
        stream.prepareForReuse()
        #expect(stream.id == 0)
        #expect(stream.responseHead.status == 0)
        #expect(stream.responseHead.fields.count == 0)
    }

    @Test("RFC 9113 §6.8: a graceful shutdown takes two GOAWAYs")
    func shutdown() {
        let link = Link()
        link.server.prepare = { stream in stream.onHead = { _ in } }
        let stream = link.client.open()
        link.run()
        link.server.startShutdown()
        let notice = link.server.takeFrames()
        #expect(notice.map(\.type) == [7])
        #expect(ReceivedFrame.number(notice[0].payload[0..<4]) == 0x7FFF_FFFF)
        // A stream that was under way is still taken.
        link.server.receive(Frames.headers(Frames.request(), stream: 3))
        #expect(link.server.streams.count == 2)
        link.server.finishShutdown()
        let last = link.server.takeFrames()
        #expect(ReceivedFrame.number(last[0].payload[0..<4]) == 3)
        link.server.receive(Frames.headers(Frames.request(), stream: 5))
        #expect(link.server.streams.count == 2)
        #expect(!link.server.isFinished)
        for stream in link.server.streams { stream.answer() }
        _ = link.server.takeOutput()
        #expect(link.server.isFinished)
        #expect(stream.events == [])
    }

    @Test("terminate ends everything at once, with its code")
    func terminate() {
        let link = Link()
        let stream = link.client.open()
        link.run()
        link.server.terminate(HTTP2ErrorCode.enhanceYourCalm)
        #expect(link.server.hasOutput)
        #expect(link.server.takeFrames().last?.goAwayCode == HTTP2ErrorCode.enhanceYourCalm)
        #expect(link.server.failure == .terminated(code: HTTP2ErrorCode.enhanceYourCalm))
        #expect(
            link.server.streams[0].events == ["GET /", "end", "failed: connectionEnded", "closed"]
        )
        #expect(stream.events == [])
    }

    @Test("when the socket is gone, what had come whole is delivered and the rest fails")
    func close() {
        let link = Link()
        link.server.prepare = { stream in
            stream.onHead = { stream in
                stream.answer(200, body: [1, 2, 3], ends: stream.requestHead.method == .get)
            }
        }
        link.client.prepare = { stream in stream.onHead = { $0.pause() } }
        let whole = link.client.open()
        let part = link.client.open("PUT")
        link.run()
        #expect(whole.events == ["200"])
        link.client.close()
        #expect(whole.events == ["200", "body", "end", "closed"])
        #expect(part.events == ["200", "failed: connectionEnded", "closed"])
        #expect(link.client.activeStreams == 0)
        #expect(!link.client.hasOutput)
        #expect(link.client.receive(Frames.ping()) == .closed)
    }

    @Test("an answer whose head is too large to send fails its stream")
    func headTooLarge() {
        let link = Link()
        let long = String(repeating: "x", count: 2 << 20)
        link.server.prepare = { stream in
            stream.onMessageEnd = { $0.answer(200, [("a", long)], body: [1]) }
        }
        let stream = link.client.open()
        link.run()
        #expect(stream.events == ["failed: reset(code: 2)", "closed"])
        #expect(link.server.streams[0].events.last == "closed")
        #expect(link.server.failure == nil)
    }

    @Test("PING is answered, and answers are told once")
    func ping() {
        let link = Link()
        link.run()
        link.client.ping()
        link.client.ping()
        link.run()
        #expect(link.client.events == ["settings", "pong"])
        link.client.receive(Frames.ping(isAnswer: true))
        #expect(link.client.events == ["settings", "pong"])
    }

    @Test("HEAD, 204 and 304 keep their fields and have no body")
    func bodiless() {
        let link = Link()
        link.server.prepare = { stream in
            stream.onMessageEnd = { $0.answer(200, [("Content-Length", "17")]) }
        }
        let stream = link.client.open("HEAD")
        link.run()
        #expect(stream.responseLines == ["content-length: 17"])
        #expect(stream.events == ["200", "end", "closed"])
    }

    @Test("RFC 9113 §8.2.2: what speaks of a connection is not sent")
    func connectionFields() {
        let link = Link()
        link.server.prepare = { stream in
            stream.onMessageEnd = { stream in
                stream.answer(
                    200,
                    [("Connection", "close"), ("Keep-Alive", "1"), ("Upgrade", "x"), ("A", "b")]
                )
            }
        }
        let stream = link.client.open(
            [("Connection", "x"), ("Transfer-Encoding", "chunked"), ("TE", "gzip"), ("B", "c")]
        )
        link.run()
        #expect(link.server.streams[0].requestLines == ["Host: a.example", "b: c"])
        #expect(stream.responseLines == ["a: b"])
        #expect(stream.events == ["200", "end", "closed"])
    }
}

extension RecordedConnection {
    func open(_ fields: [(String, String)]) -> RecordedStream { open("GET", fields) }
}
