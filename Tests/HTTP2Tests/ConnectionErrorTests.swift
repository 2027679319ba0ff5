import HTTP
import HTTP2
import Testing

/// Frames that end a connection, and how.
@Suite struct ConnectionErrorTests {
    struct Bad: CustomTestStringConvertible, Sendable {
        var testDescription: String
        var frames: [UInt8]
        var code: UInt32

        init(_ name: String, _ code: UInt32, _ frames: [UInt8]) {
            testDescription = name
            self.code = code
            self.frames = frames
        }
    }

    private static let open = Frames.headers(Frames.request("POST"), endsStream: false)
    private static let size = HTTP2ErrorCode.frameSizeError
    private static let rule = HTTP2ErrorCode.protocolError

    static let cases: [Bad] = [
        .init("§4.2: frame too large", size, Frames.frame(type: 0, stream: 1, [], length: 16_385)),
        .init("§4.3: broken HPACK", HTTP2ErrorCode.compressionError, Frames.headers(block: [0xFF])),
        .init(
            "§4.3: unknown index",
            HTTP2ErrorCode.compressionError,
            Frames.headers(block: [0xFF, 0xFF, 0x01])
        ),
        .init("§5.1: DATA of an idle stream", rule, Frames.data([1], stream: 5)),
        .init("§5.1: RST_STREAM of an idle stream", rule, Frames.reset(8, stream: 5)),
        .init("§5.1: WINDOW_UPDATE of an idle stream", rule, Frames.windowUpdate(1, stream: 5)),
        .init("§5.1.1: even stream", rule, Frames.headers(Frames.request(), stream: 2)),
        .init(
            "§5.1: DATA after the end",
            HTTP2ErrorCode.streamClosed,
            Frames.headers(Frames.request()) + Frames.data([1])
        ),
        .init("§6.1: DATA of stream 0", rule, Frames.data([1], stream: 0)),
        .init(
            "§6.1: too much padding",
            rule,
            open + Frames.frame(type: 0, flags: 8, stream: 1, [9, 1, 1])
        ),
        .init("§6.2: HEADERS of stream 0", rule, Frames.headers(Frames.request(), stream: 0)),
        .init(
            "§6.2: too much padding",
            rule,
            Frames.frame(type: 1, flags: 0xC, stream: 1, [200, 0x82])
        ),
        .init("§6.3: PRIORITY of stream 0", rule, Frames.frame(type: 2, [0, 0, 0, 0, 1])),
        .init("§6.3: short PRIORITY", size, Frames.frame(type: 2, stream: 1, [0])),
        .init("§6.4: RST_STREAM of stream 0", rule, Frames.reset(8, stream: 0)),
        .init("§6.4: short RST_STREAM", size, open + Frames.frame(type: 3, stream: 1, [0, 0, 0])),
        .init("§6.5: SETTINGS of a stream", rule, Frames.frame(type: 4, stream: 1)),
        .init("§6.5: length not of six", size, Frames.frame(type: 4, [0, 1, 0])),
        .init(
            "§6.5: acknowledgement with data",
            size,
            Frames.frame(type: 4, flags: 1, [0, 1, 0, 0, 0, 1])
        ),
        .init("§6.5.2: ENABLE_PUSH 2", rule, Frames.settings([(2, 2)])),
        .init(
            "§6.5.2: window above 2^31 - 1",
            HTTP2ErrorCode.flowControlError,
            Frames.settings([(4, 0x8000_0000)])
        ),
        .init("§6.5.2: frame size too small", rule, Frames.settings([(5, 16_383)])),
        .init(
            "§6.6: PUSH_PROMISE of a client",
            rule,
            Frames.frame(type: 5, flags: 4, stream: 1, [0, 0, 0, 2, 0x82])
        ),
        .init(
            "§6.7: PING of a stream",
            rule,
            Frames.frame(type: 6, stream: 1, [UInt8](repeating: 0, count: 8))
        ),
        .init("§6.7: short PING", size, Frames.frame(type: 6, [0])),
        .init(
            "§6.8: GOAWAY of a stream",
            rule,
            Frames.frame(type: 7, stream: 1, [UInt8](repeating: 0, count: 8))
        ),
        .init("§6.8: short GOAWAY", size, Frames.frame(type: 7, [0])),
        .init("§6.9: increment of 0", rule, Frames.windowUpdate(0)),
        .init("§6.9: short WINDOW_UPDATE", size, Frames.frame(type: 8, [0])),
        .init("§6.10: CONTINUATION alone", rule, Frames.continuation([0x82])),
        .init(
            "§6.10: another frame inside a block",
            rule,
            Frames.headers(block: [0x82], endsHeaders: false) + Frames.ping()
        ),
        .init(
            "§6.10: CONTINUATION of another stream",
            rule,
            Frames.headers(block: [0x82], endsHeaders: false)
                + Frames.continuation([0x84], stream: 3)
        ),
    ]

    @Test("RFC 9113: GOAWAY with the right code, and every stream fails", arguments: cases)
    func endsTheConnection(_ bad: Bad) {
        for size in [Int.max, 1, 4] {
            let server = RecordedConnection(.server)
            server.receive(Frames.hello)
            _ = server.takeOutput()
            server.receive(bad.frames, by: size)
            let frames = server.takeFrames()
            #expect(server.failure == .protocolError(code: bad.code))
            #expect(frames.last?.goAwayCode == bad.code)
            #expect(frames.filter { $0.type == 7 }.count == 1)
            #expect(server.streams.allSatisfy { $0.events.last == "closed" })
            #expect(server.activeStreams == 0)
            #expect(server.isFinished)
            // Nothing is heard any more.
            let count = server.streams.count
            server.receive(Frames.headers(Frames.request(), stream: 9))
            #expect(server.streams.count == count)
            #expect(!server.hasOutput)
        }
    }

    @Test("RFC 9113 §3.4: anything but the preface is not HTTP/2")
    func preface() {
        for size in [Int.max, 1] {
            let server = RecordedConnection(.server)
            server.receive(Array("GET / HTTP/1.1\r\n\r\n".utf8), by: size)
            #expect(server.failure == .notHTTP2)
        }
    }

    @Test("RFC 9113 §3.4: SETTINGS come first")
    func settingsFirst() {
        let server = RecordedConnection(.server)
        server.receive(Frames.preface + Frames.headers(Frames.request()))
        _ = server.takeOutput()
        #expect(server.failure == .protocolError(code: HTTP2ErrorCode.protocolError))
        let client = RecordedConnection(.client)
        client.receive(Frames.ping())
        _ = client.takeOutput()
        #expect(client.failure == .protocolError(code: HTTP2ErrorCode.protocolError))
    }
}
