import HTTP
import HTTP2
import Testing

/// Every block is decoded by nghttp2, which ends the connection when its table and ours differ.
@Suite struct HeaderEncoderTests {
    private struct Generator: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return state ^ (state >> 33)
        }
    }

    /// Names that HPACK's static table has, names we have a code for, and others.
    private static let names = [
        "accept", "accept-encoding", "authorization", "cache-control", "content-type", "cookie",
        "etag", "traceparent", "user-agent", "x-request-id", "x", "x-other",
        "x-a-name-that-is-much-longer-than-any-other-one",
    ]

    private static func fields(_ random: inout Generator) -> [(String, String)] {
        (0..<Int.random(in: 0..<12, using: &random)).map { _ in
            let name = names.randomElement(using: &random) ?? "x"
            let count =
                Int.random(in: 0..<20, using: &random) == 0
                ? Int.random(in: 0..<2_000, using: &random)
                : Int.random(in: 0..<40, using: &random)
            // Few different letters, so that lines come again, also short of the whole.
            let letter = "abc".randomElement(using: &random) ?? "a"
            // An empty crumb of a cookie would vanish among the others.
            let least = name == "cookie" ? 4 : 0
            return (name, String(repeating: letter, count: max(count / 4 * 4, least)))
        }
    }

    private static func lines(_ fields: [(String, String)]) -> [String] {
        // Crumbs come as one.
        let crumbs = fields.filter { $0.0 == "cookie" }.map(\.1)
        let others = fields.filter { $0.0 != "cookie" || crumbs.count < 2 }
            .map { "\($0.0): \($0.1)" }
        return crumbs.count < 2 ? others : others + ["Cookie: " + crumbs.joined(separator: "; ")]
    }

    @Test(arguments: 1...4, [0, 100, 600, 4_096, 65_536])
    func whatIsSentArrives(_ seed: UInt64, _ tableBytes: Int) {
        var random = Generator(state: seed)
        var settings = HTTP2Settings()
        settings.headerTableBytes = tableBytes
        let link = Link(settings: settings)
        link.run()
        for round in 0..<200 {
            let sent = HeaderEncoderTests.fields(&random)
            let answered = HeaderEncoderTests.fields(&random).filter { $0.0 != "cookie" }
            let trailing = HeaderEncoderTests.fields(&random).filter { $0.0.hasPrefix("x") }
            link.server.prepare = { stream in
                stream.onMessageEnd = { $0.answer(200, answered, body: [1], trailers: trailing) }
            }
            let stream = link.client.open(path: round % 3 == 0 ? "/" : "/\(round % 7)", sent)
            link.run()
            #expect(link.client.failure == nil && link.server.failure == nil)
            let got = link.server.streams.last?.requestLines ?? []
            #expect(Array(got.dropFirst()) == HeaderEncoderTests.lines(sent))
            #expect(stream.responseLines == answered.map { "\($0.0): \($0.1)" })
            #expect(stream.trailerLines == trailing.map { "\($0.0): \($0.1)" })
            if round % 17 == 0 {
                // What rests forgets its table, and says so.
                link.client.releaseMemory()
                link.server.releaseMemory()
            }
        }
    }

    @Test("RFC 7541 §4.2: a peer that makes the table smaller, then larger, is told of both")
    func tableSizeChanges() {
        let link = Link()
        link.server.prepare = { stream in
            stream.onMessageEnd = { $0.answer(200, [("a", "1"), ("b", "2")]) }
        }
        for _ in 0..<3 { _ = link.client.open() }
        link.run()
        let changes: [[UInt32]] = [[0], [0, 4_096], [4_096], [600, 1_000], [0], [8_192]]
        for sizes in changes {
            for size in sizes { link.server.receive(Frames.settings([(1, size)])) }
            // The client did not ask for this, so its acknowledgements are kept from it.
            let frames = link.server.takeFrames()
            #expect(frames.count == sizes.count && frames.allSatisfy { $0.type == 4 })
            for _ in 0..<4 {
                let stream = link.client.open()
                link.run()
                #expect(link.client.failure == nil)
                #expect(stream.responseLines == ["a: 1", "b: 2"])
            }
        }
        link.server.receive(Frames.settings([(1, 0)]) + Frames.settings([(1, 4_096)]))
        _ = link.server.takeFrames()
        _ = link.client.open()
        link.server.receive(link.client.takeOutput())
        let head = link.server.takeFrames().first { $0.type == 1 }
        #expect(head?.payload.prefix(4) == [0x20, 0x3F, 0xE1, 0x1F])
    }

    @Test("a line that comes again is one byte from the third time on")
    func linesThatComeAgain() {
        let link = Link()
        link.run()
        let fields = [("x-tenant", "0123456789"), ("accept", "text/plain")]
        var sizes: [Int] = []
        for _ in 0..<4 {
            _ = link.client.open(path: "/a/b", fields)
            let bytes = link.client.takeOutput()
            sizes += ReceivedFrame.all(bytes).filter { $0.type == 1 }.map(\.payload.count)
            link.server.receive(bytes)
        }
        #expect(sizes[0] > 40 && sizes[1] > 40)
        // :method, :scheme, :authority, :path and two fields.
        #expect(sizes[2...] == [6, 6])
    }

    @Test("RFC 7541 §7.1: what is secret is in nobody's table")
    func secrets() {
        let link = Link()
        link.run()
        for _ in 0..<4 {
            _ = link.client.open([("authorization", "Basic 01234"), ("cookie", "short=1")])
            let bytes = link.client.takeOutput()
            let block: [UInt8] = ReceivedFrame.all(bytes).filter { $0.type == 1 }.flatMap(\.payload)
            // A literal never indexed, its name from the static table: 23 and 32.
            #expect(block.contains(Frames.integer(23, prefix: 4, first: 0x10) + [11]))
            #expect(block.contains(Frames.integer(32, prefix: 4, first: 0x10) + [7]))
            link.server.receive(bytes)
        }
    }

    @Test("RFC 9113 §6.10: a block larger than a frame goes on in CONTINUATION")
    func continuations() {
        let link = Link(limits: Limits(fieldSectionBytesMax: 256 << 10))
        let long = (0..<5).map { ("x-\($0)", String(repeating: "v", count: 16_000)) }
        let stream = link.client.open(long)
        let frames = link.client.takeFrames()
        #expect(frames.map(\.type) == [4, 8, 1, 9, 9, 9, 9])
        #expect(frames.dropFirst(2).map(\.flags) == [1, 0, 0, 0, 4])
        #expect(frames.dropFirst(2).dropLast().allSatisfy { $0.payload.count == 16 << 10 })
        #expect(frames.dropFirst(2).allSatisfy { $0.stream == 1 })
        #expect(stream.events.isEmpty)

        let other = Link(limits: Limits(fieldSectionBytesMax: 256 << 10))
        _ = other.client.open(long)
        other.run()
        #expect(other.server.streams[0].requestLines.count == 6)
    }

    @Test("a request whose head is too large to send fails its stream, and no other")
    func requestTooLarge() {
        let link = Link()
        link.run()
        let large = link.client.open([("a", String(repeating: "x", count: 2 << 20))])
        #expect(large.events.isEmpty)
        let small = link.client.open([("a", "b")])
        link.run()
        #expect(
            large.events == ["failed: malformed(reason: \"head_too_large_to_send\")", "closed"]
        )
        #expect(link.server.streams.map(\.events) == [["GET /", "end"]])
        #expect(link.client.failure == nil && small.events.isEmpty)
    }

    @Test("what is reset before it went out leaves the table as the peer has it")
    func resetsLeaveNoTrace() {
        let link = Link()
        link.server.prepare = { $0.onMessageEnd = { $0.answer(200, [("a", "1")]) } }
        link.run()
        for round in 0..<20 {
            let given = link.client.open([("x-\(round % 3)", "0123")])
            if round % 2 == 0 { given.reset(HTTP2ErrorCode.cancel) }
            let kept = link.client.open([("x-\(round % 5)", "4567")])
            link.run()
            #expect(link.client.failure == nil && link.server.failure == nil)
            #expect(kept.events.last == "closed" && kept.responseLines == ["a: 1"])
            #expect(link.server.streams.last?.requestLines.last == "x-\(round % 5): 4567")
        }
    }
}
