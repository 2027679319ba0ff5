import HTTP
import HTTP2
import Testing

/// Many exchanges at once, of random sizes, held back and given up at random.
@Suite struct StormTests {
    private struct Generator: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return state ^ (state >> 33)
        }
    }

    @Test(arguments: 1...3)
    func everyBodyArrivesWholeOrFails(_ seed: UInt64) {
        var random = Generator(state: seed)
        var settings = HTTP2Settings()
        settings.initialStreamWindow = 65_535 + Int.random(in: 0..<50_000, using: &random)
        settings.resetsMax = 10_000
        let link = Link(settings: settings)
        link.server.prepare = { stream in
            stream.onMessageEnd = { stream in
                stream.answer(200, body: Array(stream.body.reversed()), trailers: [("n", "1")])
            }
        }
        link.run()
        var sent: [(stream: RecordedStream, body: [UInt8], isAborted: Bool)] = []
        for round in 0..<80 {
            if link.client.canOpenStream, Bool.random(using: &random) {
                let count = Int.random(in: 1..<80_000, using: &random)
                let start = Int.random(in: 0..<256, using: &random)
                let body = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 13 &+ start) }
                let stream = link.client.open("POST", endsStream: false)
                stream.sendBody(body.span)
                stream.sendEnd(trailers: nil)
                sent.append((stream, body, false))
            }
            for streams in [link.client.streams, link.server.streams] {
                guard let stream = streams.randomElement(using: &random) else { continue }
                if Bool.random(using: &random) { stream.pause() } else { stream.resume() }
            }
            if round % 11 == 0, let index = sent.indices.randomElement(using: &random),
                sent[index].stream.isAttached
            {
                sent[index].stream.reset(HTTP2ErrorCode.cancel)
                sent[index].isAborted = true
            }
            // A slow connection: some bytes this way, some that way.
            let room = Int.random(in: 1..<60_000, using: &random)
            let size = Int.random(in: 1..<20_000, using: &random)
            link.server.receive(link.client.takeOutput(atMost: room), by: size)
            link.client.receive(link.server.takeOutput(atMost: room), by: size)
        }
        for stream in link.client.streams + link.server.streams { stream.resume() }
        link.run()
        #expect(link.client.failure == nil && link.server.failure == nil)
        #expect(link.client.activeStreams == 0)
        #expect(link.server.activeStreams == 0)
        #expect(sent.contains { !$0.isAborted })
        for (stream, body, isAborted) in sent {
            #expect(stream.events.last == "closed")
            if !isAborted { #expect(stream.body == body.reversed()) }
        }
    }
}
