import Bytes
import HTTP
import Testing
import Time

@testable import Telemetry

@Suite("Log lines")
struct LogLineTests {
    private let time = WallTime(unixNanoseconds: 1_795_222_923_004_999_999)

    private func line(_ fill: (inout LogLine) -> Void) -> String {
        let buffer = ByteBuffer()
        var line = LogLine(into: buffer, time: time, level: .warning, message: "it \"broke\"")
        fill(&line)
        line.finish()
        return buffer.string
    }

    private func quoted(_ bytes: [UInt8], limit: Int = 100) -> String {
        let buffer = ByteBuffer()
        appendJSONString(bytes.span, limit: limit, to: buffer)
        return buffer.string
    }

    @Test("A line is one JSON object with time, level, message and its fields in order")
    func shape() {
        let text = line {
            $0.field("name", "v\u{e9}")
            $0.field("literal", "text" as StaticString)
            $0.field("unsigned", UInt64.max)
            $0.field("signed", Int.min)
            $0.field("truth", true)
            $0.field("took_ms", milliseconds: 1_002_003_999)
        }
        #expect(
            text == """
                {"time":"2026-11-21T01:02:03.004Z","level":"warning","message":"it \\"broke\\"",\
                "name":"v\u{e9}","literal":"text","unsigned":18446744073709551615,\
                "signed":-9223372036854775808,"truth":true,"took_ms":1002.003}

                """
        )
    }

    @Test("The trace is given in full")
    func trace() {
        var random = FastRandom(seed: 3)
        let context = TraceContext.adopt(from: FieldBlock(), generator: &random)
        let text = line { $0.field(trace: context) }
        #expect(text.contains("\"trace_id\":\"\(context.traceID)\",\"span_id\":\""))
        #expect(context.traceID.count == 32)
    }

    @Test(
        "Control characters, quotes and backslashes are escaped",
        arguments: [
            ("", "\"\""),
            ("a\"b\\c", "\"a\\\"b\\\\c\""),
            ("\n\r\t\0\u{1b}", "\"\\n\\r\\t\\u0000\\u001b\""),
            ("\u{7f}/\u{20ac}\u{1f600}", "\"\u{7f}/\u{20ac}\u{1f600}\""),
        ]
    )
    func escapes(input: String, output: String) {
        #expect(quoted(Array(input.utf8)) == output)
    }

    @Test("Bytes that are no UTF-8 are replaced as the standard library replaces them")
    func malformedUTF8() {
        let cases: [[UInt8]] = [
            [0x80], [0xC0, 0xAF], [0xC2], [0xE2, 0x82], [0xE2, 0x82, 0x41], [0xED, 0xA0, 0x80],
            [0xF0, 0x9F, 0x98], [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80], [0xFF, 0xFE],
            [0xE0, 0x80, 0x80], [0x41, 0xF0, 0x80, 0x42],
        ]
        for bytes in cases {
            #expect(quoted(bytes) == "\"\(String(decoding: bytes, as: UTF8.self))\"")
        }
    }

    @Test("Any bytes give the text that the standard library decodes, once unescaped")
    func anyBytes() {
        var random = FastRandom(seed: 5)
        // Few values, so that sequences that are almost valid are common.
        let alphabet: [UInt8] = [
            0x41, 0x80, 0x9F, 0xA0, 0xBF, 0xC2, 0xE0, 0xE2, 0xED, 0xF0, 0xF4, 0xFF,
        ]
        for _ in 0..<20_000 {
            let bytes = (0..<Int.random(in: 0...8, using: &random)).map { _ in
                alphabet.randomElement(using: &random) ?? 0
            }
            #expect(quoted(bytes) == "\"\(String(decoding: bytes, as: UTF8.self))\"", "\(bytes)")
        }
    }

    @Test("A long text is cut between characters and says so")
    func longTextIsCut() {
        let euros = Array("a\u{20ac}\u{20ac}".utf8)
        #expect(quoted(euros, limit: 7) == "\"a\u{20ac}\u{20ac}\"")
        for limit in 4...6 { #expect(quoted(euros, limit: limit) == "\"a\u{20ac}\u{2026}\"") }
        for limit in 1...3 { #expect(quoted(euros, limit: limit) == "\"a\u{2026}\"") }
    }

    @Test("A line never exceeds its bound, stays one object and says that it was cut")
    func lineIsBounded() {
        let hostile = String(repeating: "\u{1}", count: TelemetryLimits.logValueBytesMax)
        let text = line {
            for _ in 0..<10 { $0.field("value", hostile) }
            $0.field("last", 1)
        }
        #expect(text.utf8.count <= TelemetryLimits.logLineBytesMax)
        #expect(text.hasSuffix(",\"last\":1,\"truncated\":true}\n"))
        #expect(text.filter { $0 == "\n" }.count == 1)
    }

    @Test("A second line follows the first in the same buffer, with a bound of its own")
    func linesFollow() {
        let buffer = ByteBuffer()
        for _ in 0..<2 {
            var line = LogLine(into: buffer, time: time, level: .info, message: "m")
            for _ in 0..<3 {
                line.field("value", String(repeating: "x", count: 1_000))
            }
            line.finish()
        }
        #expect(buffer.string.split(separator: "\n").count == 2)
        #expect(!buffer.string.contains("truncated"))
    }

    @Test(
        "Times are RFC 3339 in UTC, leap years and times before 1970 included",
        arguments: [
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_400_000_000_000, "2000-02-29T00:00:00.000Z"),
            (951_868_799_999_999_999, "2000-02-29T23:59:59.999Z"),
            (4_107_542_400_000_000_000, "2100-03-01T00:00:00.000Z"),
            (1_709_164_800_000_000_000, "2024-02-29T00:00:00.000Z"),
            (1_735_689_599_999_000_000, "2024-12-31T23:59:59.999Z"),
            (Int64.max, "2262-04-11T23:47:16.854Z"),
            (Int64.min, "1677-09-21T00:12:43.145Z"),
        ]
    )
    func rfc3339(nanoseconds: Int64, text: String) {
        #expect(WallTime(unixNanoseconds: nanoseconds).rfc3339 == text)
    }

    @Test(
        "Seconds reach the year 9999 and are clamped beyond",
        arguments: [
            (0, "1970-01-01T00:00:00Z"),
            (1_795_222_923, "2026-11-21T01:02:03Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
            (Int64.max, "9999-12-31T23:59:59Z"),
            (Int64.min, "0001-01-01T00:00:00Z"),
        ]
    )
    func rfc3339Seconds(seconds: Int64, text: String) {
        #expect(WallTime.rfc3339(unixSeconds: seconds) == text)
    }
}

@Suite("Access log")
struct AccessLogLineTests {
    private func text(
        path: String,
        status: Int,
        flag: ResponseFlag? = nil,
        retries: Int = 0,
        key: RequestSeriesKey,
        endpoint: String = "",
        fields: FieldBlock = FieldBlock()
    ) -> String {
        var random = FastRandom(seed: 1)
        let context = TraceContext.adopt(from: fields, generator: &random)
        context.write(into: fields)
        let buffer = ByteBuffer()
        AccessLogLine(
            method: .get,
            status: status,
            durationNanoseconds: 1_500_000,
            requestBytes: 1,
            responseBytes: 2,
            series: key,
            endpoint: endpoint,
            retries: retries,
            flag: flag,
            trace: context
        ).append(
            to: buffer,
            time: WallTime(unixNanoseconds: 0),
            path: path.utf8Span.span,
            fields: fields
        )
        return buffer.string
    }

    @Test("A full line names everything; the query is left out")
    func fullLine() {
        let fields = FieldBlock()
        fields.append(.xRequestID, "abc")
        let text = text(
            path: "/orders?token=secret",
            status: 503,
            flag: .upstreamReset,
            retries: 1,
            key: RequestSeriesKey(
                direction: .outbound,
                service: "orders.default",
                route: "orders/0",
                cluster: "orders-v1.default",
                peer: "spiffe://mesh/x"
            ),
            endpoint: "10.0.0.1:80",
            fields: fields
        )
        #expect(
            text.hasPrefix(
                """
                {"time":"1970-01-01T00:00:00.000Z","level":"error","message":"exchange",\
                "direction":"outbound","method":"GET","path":"/orders","status":503,\
                "duration_ms":1.500,"request_bytes":1,"response_bytes":2,\
                "service":"orders.default","route":"orders/0","cluster":"orders-v1.default",\
                "endpoint":"10.0.0.1:80","peer":"spiffe://mesh/x","retries":1,\
                "flags":"upstream_reset","trace_id":"
                """
            )
        )
        #expect(text.hasSuffix(",\"request_id\":\"abc\"}\n"))
        #expect(!text.contains("secret"))
    }

    @Test("What is not known is left out, and the level follows the outcome")
    func shortLine() {
        let key = RequestSeriesKey(direction: .inbound, service: "web")
        let fine = text(path: "/", status: 200, key: key)
        #expect(fine.contains("\"level\":\"info\""))
        for name in ["route", "cluster", "endpoint", "peer", "retries", "flags"] {
            #expect(!fine.contains("\"\(name)\""))
        }
        #expect(
            text(path: "/", status: 0, flag: .downstreamClosed, key: key)
                .contains("\"level\":\"warning\"")
        )
    }
}
