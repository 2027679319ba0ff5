import Bytes
import HTTP
import HTTP2
import Testing
import Time

/// What a peer may make us do for nothing, and the end of it.
@Suite struct AttackTests {
    /// Sends `attack` until the server has enough, `rounds` times at most; returns how it ended.
    private func flood(
        _ settings: HTTP2Settings,
        rounds: Int,
        takesOutput: Bool = true,
        _ attack: (Int) -> [UInt8]
    ) -> HTTP2Error? {
        let server = RecordedConnection(.server, settings: settings)
        server.receive(Frames.hello)
        for round in 0..<rounds {
            if takesOutput { _ = server.takeOutput() }
            server.receive(attack(round))
            if takesOutput { _ = server.takeOutput() }
            guard server.failure != nil else { continue }
            let isOver = server.streams.allSatisfy { $0.events.last == "closed" }
            #expect(isOver)
            return server.failure
        }
        return nil
    }

    private func openAndReset(_ round: Int) -> [UInt8] {
        let number = UInt32(round * 2 + 1)
        return Frames.headers(Frames.request(), stream: number)
            + Frames.reset(HTTP2ErrorCode.cancel, stream: number)
    }

    @Test("CVE-2023-44487: rapid reset ends the connection")
    func rapidReset() {
        var settings = HTTP2Settings()
        settings.resetsMax = 50
        #expect(flood(settings, rounds: 50, openAndReset) == nil)
        #expect(flood(settings, rounds: 51, openAndReset) == .flood(.resets))
    }

    @Test("streams that end well make room for cancellations")
    func usefulStreamsAllowResets() {
        var settings = HTTP2Settings()
        settings.resetsMax = 5
        let server = RecordedConnection(.server, settings: settings)
        server.prepare = { stream in stream.onMessageEnd = { $0.answer() } }
        server.receive(Frames.hello)
        for round in 0..<100 {
            let number = UInt32(round * 4 + 1)
            server.receive(Frames.headers(Frames.request(), stream: number))
            _ = server.takeOutput()
            let canceled = Frames.headers(
                Frames.request("POST"),
                stream: number + 2,
                endsStream: false
            )
            server.receive(canceled + Frames.reset(HTTP2ErrorCode.cancel, stream: number + 2))
            _ = server.takeOutput()
        }
        #expect(server.failure == nil)
    }

    @Test("allowances start again when their time is over")
    func allowancesRenew() {
        var settings = HTTP2Settings()
        settings.pingsMax = 10
        let server = RecordedConnection(.server, settings: settings)
        server.receive(Frames.hello)
        var now = MonotonicTime.start
        for _ in 0..<10 {
            for _ in 0..<10 { #expect(server.receive(Frames.ping(), now: now) == nil) }
            _ = server.takeOutput()
            now = now + settings.floodWindow
        }
        for _ in 0..<10 { server.receive(Frames.ping(), now: now) }
        #expect(server.receive(Frames.ping(), now: now) == .flood(.pings))
    }

    @Test("CVE-2025-8671: resets that the peer makes us send count as well")
    func provokedResets() {
        var settings = HTTP2Settings()
        settings.provokedResetsMax = 20
        // A window that overflows; a message that is malformed; an increment of 0.
        let overflow = flood(settings, rounds: 30) { round in
            let number = UInt32(round * 2 + 1)
            return Frames.headers(Frames.request(), stream: number)
                + Frames.windowUpdate(0x7FFF_FFFF, stream: number)
        }
        #expect(overflow == .flood(.provokedResets))
        let malformed = flood(settings, rounds: 30) { round in
            Frames.headers(Frames.request(path: "*"), stream: UInt32(round * 2 + 1))
        }
        #expect(malformed == .flood(.provokedResets))
        let lengths = flood(settings, rounds: 30) { round in
            let number = UInt32(round * 2 + 1)
            let fields = Frames.request("POST", [("content-length", "1")])
            return Frames.headers(fields, stream: number, endsStream: false)
                + Frames.data([1, 2], stream: number)
        }
        #expect(lengths == .flood(.provokedResets))
    }

    @Test("streams that must be refused count as well")
    func refusedStreams() {
        var settings = HTTP2Settings()
        settings.provokedResetsMax = 20
        settings.concurrentStreamsMax = 5
        let refused = flood(settings, rounds: 40) { round in
            Frames.headers(Frames.request(), stream: UInt32(round * 2 + 1))
        }
        #expect(refused == .flood(.provokedResets))
    }

    @Test("CVE-2024-27316: CONTINUATION without end")
    func continuations() {
        let more = (0..<20).flatMap { _ in
            Frames.continuation(Frames.literal("a", "b"), ends: false)
        }
        let start = Frames.headers(block: Frames.block(Frames.request()), endsHeaders: false)
        let server = RecordedConnection(.server)
        #expect(server.receive(Frames.hello + start + more, by: 100) == .flood(.continuations))
        // Empty ones, and for a stream that nobody wants.
        let empty = (0..<20).flatMap { _ in Frames.continuation([], ends: false) }
        let other = RecordedConnection(.server)
        #expect(other.receive(Frames.hello + start + empty) == .flood(.continuations))
        // Few, but large.
        let large = Frames.continuation([UInt8](repeating: 0, count: 16_000), ends: false)
        let third = RecordedConnection(.server, limits: Limits(fieldSectionBytesMax: 8_000))
        #expect(
            third.receive(Frames.hello + start + large + large + large) == .flood(.continuations)
        )
    }

    @Test("a head in several CONTINUATION frames is taken")
    func someContinuations() {
        let block = Frames.block(Frames.request([("a", "b")]))
        let server = RecordedConnection(.server)
        server.receive(
            Frames.hello + Frames.headers(block: Array(block[..<10]), endsHeaders: false)
                + Frames.continuation(Array(block[10..<20]), ends: false)
                + Frames.continuation(Array(block[20...]), ends: true),
            by: 1
        )
        #expect(server.streams[0].events == ["GET /", "end"])
    }

    @Test("HPACK bomb: a byte that stands for kilobytes")
    func bomb() {
        // One large field goes into the table (RFC 7541 §6.2.1), then is named again and again.
        let value = [UInt8](repeating: 120, count: 3_000)
        let insert =
            [0x40] + Frames.integer(1, prefix: 7) + [97]
            + Frames.integer(value.count, prefix: 7) + value
        let block = Frames.block(Frames.request()) + insert + [UInt8](repeating: 0xBE, count: 5_000)
        let server = RecordedConnection(.server)
        #expect(server.receive(Frames.hello + Frames.headers(block: block)) == .flood(.headerBytes))
        #expect(server.streams[0].events == ["failed: connectionEnded", "closed"])
        #expect(server.takeFrames().last?.goAwayCode == HTTP2ErrorCode.enhanceYourCalm)
    }

    @Test("SETTINGS, PING, PRIORITY, unknown and empty frames without end")
    func cheapFrames() {
        let settings = HTTP2Settings()
        let cases: [(HTTP2Flood, [UInt8])] = [
            (.settings, Frames.emptySettings), (.pings, Frames.ping()),
            (.pings, Frames.ping(isAnswer: true)),
            (.uselessFrames, Frames.frame(type: 2, stream: 1, [0, 0, 0, 0, 1])),
            (.uselessFrames, Frames.frame(type: 0xEE, [1])),
            (.windowUpdates, Frames.windowUpdate(1)),
        ]
        for (kind, frame) in cases {
            #expect(flood(settings, rounds: 2_000) { _ in frame } == .flood(kind), "\(kind)")
        }
        let empty = flood(settings, rounds: 200) { round in
            let open = Frames.headers(Frames.request("POST"), endsStream: false)
            return (round == 0 ? open : []) + Frames.data()
        }
        #expect(empty == .flood(.emptyFrames))
    }

    @Test("HEADERS for streams that have ended are decoded for nothing, but not for ever")
    func ignoredHeaders() {
        let server = RecordedConnection(.server)
        server.prepare = { stream in stream.onMessageEnd = { $0.answer() } }
        server.receive(Frames.hello + Frames.headers(Frames.request(), stream: 3))
        _ = server.takeOutput()
        let again = Frames.headers(Frames.request(), stream: 1)
        for _ in 0..<100 { #expect(server.receive(again) == nil) }
        for _ in 0..<200 { server.receive(again) }
        #expect(server.failure == .flood(.uselessFrames))
        #expect(server.streams.count == 1)
    }

    @Test("answers that the peer does not read are bounded")
    func unreadAnswers() {
        var settings = HTTP2Settings()
        settings.pingsMax = 10_000
        settings.unreadAnswersMax = 100
        let result = flood(settings, rounds: 200, takesOutput: false) { _ in Frames.ping() }
        #expect(result == .flood(.unreadAnswers))
    }

    @Test("RFC 9113 §6.9.1: a window of the connection that overflows ends it")
    func overflow() {
        let server = RecordedConnection(.server)
        server.receive(Frames.hello)
        #expect(
            server.receive(Frames.windowUpdate(0x7FFF_FFFF))
                == .protocolError(code: HTTP2ErrorCode.flowControlError)
        )
        #expect(server.takeFrames().last?.goAwayCode == HTTP2ErrorCode.flowControlError)
    }

    @Test("RFC 9113 §6.9: more data than the window permits ends the connection")
    func windowExceeded() {
        var settings = HTTP2Settings()
        settings.initialStreamWindow = 65_535
        let server = RecordedConnection(.server, settings: settings)
        server.prepare = { stream in stream.onHead = { $0.pause() } }
        server.receive(Frames.hello + Frames.headers(Frames.request("POST"), endsStream: false))
        _ = server.takeOutput()
        let data = Frames.data([UInt8](repeating: 1, count: 16_000))
        for _ in 0..<4 { #expect(server.receive(data) == nil) }
        server.receive(data)
        let output = server.takeFrames()
        #expect(
            server.failure == .protocolError(code: HTTP2ErrorCode.flowControlError)
                || output.contains { $0.resetCode == HTTP2ErrorCode.flowControlError }
        )
        #expect(server.streams[0].events.last == "closed")
    }
}
