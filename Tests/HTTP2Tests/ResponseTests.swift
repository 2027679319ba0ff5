import HTTP
import HTTP2
import Testing

/// What a client makes of answers, sound and not.
@Suite struct ResponseTests {
    private func client(limits: Limits = Limits()) -> RecordedConnection {
        let client = RecordedConnection(.client, limits: limits)
        client.receive(Frames.emptySettings)
        return client
    }

    private func answered(
        _ frames: [UInt8],
        method: String = "GET",
        by size: Int = .max
    ) -> RecordedStream {
        let client = client()
        let stream = client.open(method)
        _ = client.takeOutput()
        client.receive(frames, by: size)
        _ = client.takeOutput()
        return stream
    }

    @Test("RFC 9110 §15.2: interim heads come before the final one")
    func interim() {
        let stream = answered(
            Frames.headers([(":status", "100")], endsStream: false)
                + Frames.headers([(":status", "103"), ("link", "x")], endsStream: false)
                + Frames.headers([(":status", "200")], endsStream: false)
                + Frames.data([1], endsStream: true),
            by: 1
        )
        #expect(stream.events == ["100", "103", "200", "body", "end", "closed"])
    }

    @Test func tooManyInterimHeadsResetTheStream() {
        let interim = Frames.headers([(":status", "100")], endsStream: false)
        let stream = answered((0..<9).flatMap { _ in interim })
        #expect(stream.events.dropFirst(8).first?.contains("too_many_interim") == true)
    }

    @Test func theLengthOfTheBodyIsKnown() {
        let length = [("content-length", "5")]
        func head(_ status: String, _ more: [(String, String)] = [], ends: Bool = true) -> [UInt8] {
            Frames.headers([(":status", status)] + more, endsStream: ends)
        }
        #expect(answered(head("200")).bodyLength == .known(0))
        #expect(answered(head("200", length, ends: false)).bodyLength == .known(5))
        #expect(answered(head("200", ends: false)).bodyLength == .chunked)
        #expect(answered(head("204")).bodyLength == BodyLength.none)
        #expect(answered(head("304", length)).bodyLength == BodyLength.none)
        let toHead = answered(head("200", length), method: "HEAD")
        #expect(toHead.bodyLength == BodyLength.none)
        #expect(toHead.responseLines == ["content-length: 5"])
        #expect(toHead.events == ["200", "end", "closed"])
    }

    static let malformed: [BadRequest] = [
        .init("no status", [("a", "b")]), .init("short status", [(":status", "20")]),
        .init("long status", [(":status", "2000")]), .init("no number", [(":status", "2x0")]),
        .init("status below 100", [(":status", "099")]),
        .init("switching protocols", [(":status", "101")]),
        .init("two statuses", [(":status", "200"), (":status", "200")]),
        .init("path in a response", [(":status", "200"), (":path", "/")]),
        .init("status behind a field", [("a", "b"), (":status", "200")]),
        .init("interim that ends", [(":status", "100")]),
        .init("CRLF", [(":status", "200"), ("a", "b\r\nc: d")]),
        .init("upper case", [(":status", "200"), ("A", "b")]),
        .init("connection", [(":status", "200"), ("connection", "close")]),
        .init("chunked", [(":status", "200"), ("transfer-encoding", "chunked")]),
        .init("less data", [(":status", "200"), ("content-length", "2")], [1]),
        .init("more data", [(":status", "200"), ("content-length", "2")], [1, 2, 3]),
        .init("length of 204", [(":status", "204"), ("content-length", "2")]),
        .init("data of 204", [(":status", "204")], [1]),
    ]

    @Test("RFC 9113 §8.1.1: a malformed answer fails its stream alone", arguments: malformed)
    func isReset(_ bad: BadRequest) {
        for size in [Int.max, 1] {
            let client = client()
            let other = client.open("PUT", endsStream: false)
            let stream = client.open()
            _ = client.takeOutput()
            client.receive(renumbered(bad.frames), by: size)
            let resets = client.takeFrames().filter { $0.type == 3 }
            #expect(resets.map(\.stream) == [3])
            #expect(stream.events.contains { $0.hasPrefix("failed: malformed") })
            #expect(!stream.events.contains("end"))
            #expect(stream.events.last == "closed")
            #expect(client.failure == nil)
            client.receive(Frames.headers([(":status", "200")], endsStream: true))
            #expect(other.events == ["200", "end"])
        }
    }

    private func renumbered(_ frames: [UInt8]) -> [UInt8] {
        ReceivedFrame.all(frames).flatMap {
            Frames.frame(type: $0.type, flags: $0.flags, stream: 3, $0.payload)
        }
    }

    @Test("a head of the answer over the limits fails the stream")
    func tooLarge() {
        let client = client(limits: Limits(fieldSectionBytesMax: 500))
        let stream = client.open()
        _ = client.takeOutput()
        client.receive(
            Frames.headers([(":status", "200"), ("a", String(repeating: "b", count: 600))])
        )
        #expect(client.takeFrames().contains { $0.type == 3 })
        #expect(
            stream.events == [
                "failed: malformed(reason: \"field_section_too_large\")", "closed",
            ]
        )
    }

    @Test("RFC 9113 §8.1: RST_STREAM with NO_ERROR after the answer is no failure")
    func earlyAnswer() {
        let client = client()
        let stream = client.open("POST", endsStream: false)
        stream.sendBody([1, 2, 3].span)
        _ = client.takeOutput()
        client.receive(Frames.headers([(":status", "413")]) + Frames.reset(0))
        #expect(stream.events == ["413", "end", "closed"])
    }

    @Test func resetsSayWhy() {
        #expect(answered(Frames.reset(8)).events == ["failed: reset(code: 8)", "closed"])
        #expect(answered(Frames.reset(7)).events == ["failed: refused", "closed"])
        let late = answered(
            Frames.headers([(":status", "200")], endsStream: false) + Frames.reset(0)
        )
        #expect(late.events == ["200", "failed: reset(code: 0)", "closed"])
    }

    @Test("RFC 9113 §6.8: streams above the last one were not processed")
    func goAway() {
        let client = client()
        let first = client.open()
        let second = client.open()
        _ = client.takeOutput()
        client.receive(Frames.goAway(last: 1, 0))
        #expect(client.events == ["settings", "goaway 0"])
        #expect(client.isClosing)
        #expect(!client.canOpenStream)
        #expect(second.events == ["failed: refused", "closed"])
        #expect(!client.isFinished)
        client.receive(Frames.headers([(":status", "200")]))
        #expect(first.events == ["200", "end", "closed"])
        _ = client.takeOutput()
        #expect(client.isFinished)
    }

    @Test("RFC 9113 §6.8: a request that was not yet sent was not processed either")
    func goAwayBeforeSending() {
        let client = client()
        let stream = client.open()
        client.receive(Frames.goAway(last: 0, 0))
        _ = client.takeOutput()
        #expect(stream.events == ["failed: refused", "closed"])
    }

    @Test("RFC 9113 §5.1.2: the peer's limit of streams holds")
    func concurrency() {
        let client = RecordedConnection(.client)
        #expect(client.canOpenStream)
        client.receive(Frames.settings([(3, 2)]))
        #expect(client.openableStreams == 2)
        let first = client.open()
        _ = client.open()
        #expect(!client.canOpenStream)
        _ = client.takeOutput()
        client.receive(Frames.headers([(":status", "200")]))
        #expect(first.events.last == "closed")
        #expect(client.openableStreams == 1)
    }

    @Test("RFC 8441 §3: the peer says whether it takes WebSockets")
    func extendedConnect() {
        let client = RecordedConnection(.client)
        #expect(!client.peerAcceptsExtendedConnect)
        #expect(!client.hasPeerSettings)
        client.receive(Frames.settings([(8, 1)]))
        #expect(client.peerAcceptsExtendedConnect)
        #expect(client.hasPeerSettings)
    }

    @Test("RFC 9113 §8.1: data before the head ends the connection")
    func dataFirst() {
        let client = client()
        let stream = client.open()
        _ = client.takeOutput()
        client.receive(Frames.data([1], endsStream: true))
        _ = client.takeOutput()
        #expect(client.failure == .protocolError(code: HTTP2ErrorCode.protocolError))
        #expect(stream.events == ["failed: connectionEnded", "closed"])
    }

    @Test("RFC 9113 §8.4: pushes are refused, also those that crossed our SETTINGS")
    func push() {
        let block = Frames.block(Frames.request())
        let promise = Frames.frame(type: 5, flags: 4, stream: 1, [0, 0, 0, 2] + block)
        for isAcknowledged in [false, true] {
            let client = client()
            let stream = client.open()
            _ = client.takeOutput()
            if isAcknowledged { client.receive(Frames.settingsAcknowledgement) }
            client.receive(promise)
            let resets = client.takeFrames().filter { $0.type == 3 }
            if isAcknowledged {
                #expect(client.failure == .protocolError(code: HTTP2ErrorCode.protocolError))
            } else {
                #expect(resets.map(\.stream) == [2])
                client.receive(Frames.headers([(":status", "200")]))
                #expect(stream.events == ["200", "end", "closed"])
            }
            #expect(client.streams.count == 1)
        }
    }
}
