import Bytes
import HTTP
import Testing

@testable import HTTP2

/// The case of HTTP/1 field names through HTTP/2, see OriginNames.swift.
@Suite struct OriginNamesTests {
    private func pattern(_ names: [String]) -> String {
        let buffer = ByteBuffer()
        var pattern = OriginPattern(buffer)
        for name in names { pattern.add(Array(name.utf8).span) }
        pattern.end()
        return buffer.string
    }

    private func restored(_ value: String, _ names: [String]) -> [String]? {
        guard var origin = OriginNames(Array(value.utf8).span, ByteBuffer()) else { return nil }
        return names.map { name in
            var bytes = Array(name.lowercased().utf8)
            bytes.withUnsafeMutableBufferPointer { buffer in
                guard let base = buffer.baseAddress else { return }
                origin.restore(base, buffer.count)
            }
            return String(decoding: bytes, as: UTF8.self)
        }
    }

    @Test(
        arguments: [
            ([], "h1"), (["a", "b-c"], "h1"), (["A"], "h1;t"),
            (["Accept", "X-Y", "User-Agent"], "h1;t"),
            (["Accept", "x"], "h1;tl"), (["x", "Accept"], "h1;lt"),
            (["x", "Accept", "B"], "h1;lt"),
            (["eTag"], "h1;x2."), (["ETag", "WWW-Authenticate"], "h1;x3.x17."),
            (["ETag", "ETag"], "h1;x3."), (["X-1a"], "h1;t"), (["a", "B", "b", "b"], "h1;ltl"),
        ] as [([String], String)]
    )
    func patternsAreShortAndComeBack(_ names: [String], _ expected: String) {
        #expect(pattern(names) == expected)
        #expect(restored(expected, names) == names)
    }

    @Test(arguments: [
        "", "h", "h1;", "h2", "h1t", "h1;z", "h1;x", "h1;x.", "h1;x1", "h1;xg.", "h1;xA.",
        "h1;x11111111111111111.", "h1;t ", "H1",
    ])
    func malformedOnesAreRefused(_ value: String) {
        #expect(restored(value, []) == nil)
    }

    @Test func lettersPastTheMaskStayLower() {
        let name = "A" + String(repeating: "b", count: 70) + "C"
        #expect(
            restored(pattern([name]), [name]) == ["A" + String(repeating: "b", count: 70) + "c"]
        )
    }

    @Test func namesSurviveBothWaysBetweenSidecars() {
        let link = Link(trustsOrigin: true)
        let fields = [("Accept", "*/*"), ("x-lower", "1"), ("ETag", "2"), ("X-REQUEST", "3")]
        link.server.prepare = { stream in
            stream.onMessageEnd = { stream in
                stream.answer(200, fields, version: .http11, carriesOrigin: true)
            }
        }
        let stream = link.client.open("GET", fields, carriesOrigin: true) { head in
            head.set(version: .http11)
        }
        link.run(by: 1)
        let received = link.server.streams[0]
        #expect(received.requestHead.originVersion == .http11)
        let lines = fields.map { "\($0.0): \($0.1)" }
        #expect(received.requestLines == ["Host: a.example"] + lines)
        #expect(stream.responseLines == lines)
    }

    @Test func anUntrustedOriginIsStrippedAndIgnored() {
        let fields = [("mesh-origin", "h1;t"), ("accept", "*/*")]
        for trusts in [false, true] {
            let server = RecordedConnection(.server, trustsOrigin: trusts)
            server.receive(Frames.hello + Frames.headers(Frames.request(fields)))
            let line = trusts ? "Accept: */*" : "accept: */*"
            #expect(server.streams[0].requestLines == ["Host: a.example", line])
            #expect(server.streams[0].requestHead.originVersion == (trusts ? .http11 : .http2))
        }
        // Not the first, or malformed.
        for fields in [
            [("accept", "*/*"), ("mesh-origin", "h1;t")],
            [("mesh-origin", "h1;!"), ("accept", "*/*")],
        ] {
            let server = RecordedConnection(.server, trustsOrigin: true)
            server.receive(Frames.hello + Frames.headers(Frames.request(fields)))
            #expect(server.streams[0].requestLines == ["Host: a.example", "accept: */*"])
            #expect(server.streams[0].requestHead.originVersion == .http2)
        }
    }

    @Test func whatWasHTTP2IsNotMarked() {
        let link = Link(trustsOrigin: true)
        _ = link.client.open("GET", [("accept", "x")], carriesOrigin: true)
        let frames = link.client.takeFrames()
        link.server.receive(
            Frames.preface
                + frames.flatMap {
                    Frames.frame(type: $0.type, flags: $0.flags, stream: $0.stream, $0.payload)
                }
        )
        #expect(link.server.streams[0].requestHead.originVersion == .http2)
    }
}
