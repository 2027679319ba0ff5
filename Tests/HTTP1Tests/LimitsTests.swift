import Bytes
import HTTP
import HTTP1
import Testing

/// Each limit holds exactly what it says, one byte or line more is refused, and the refusal names
/// it.
struct LimitsTests {
    private func error(_ text: String, _ limits: Limits) -> HTTP1Error? {
        let decoder = RequestDecoder(limits: limits)
        let input = Array(text.utf8)
        var offset = 0
        do throws(HTTP1Error) {
            while try decoder.next(input, at: &offset) != .needMore {}
            return nil
        } catch {
            return error
        }
    }

    @Test("request line")
    func requestLine() {
        let line = "GET /\(String(repeating: "a", count: 100)) HTTP/1.1"
        let rest = "\r\nHost: a\r\n\r\n"
        #expect(error(line + rest, Limits(startLineBytesMax: line.utf8.count)) == nil)
        let limit = line.utf8.count - 1
        #expect(
            error(line + rest, Limits(startLineBytesMax: limit))
                == .requestLineTooLong(limit: limit)
        )
        // Refused before its end came, and before more than the limit was kept.
        #expect(
            error(String(repeating: "a", count: 101), Limits(startLineBytesMax: 100))
                == .requestLineTooLong(limit: 100)
        )
    }

    @Test("field section: the line that crosses the limit is named")
    func fieldSection() {
        let fields = "Host: a\r\nCookie: 0123456789\r\n"
        let text = "GET / HTTP/1.1\r\n\(fields)\r\n"
        #expect(error(text, Limits(fieldSectionBytesMax: fields.utf8.count)) == nil)
        let limit = fields.utf8.count - 1
        let refusal = error(text, Limits(fieldSectionBytesMax: limit))
        #expect(refusal == .fieldSectionTooLarge(field: "Cookie", limit: limit))
        #expect(refusal?.status == 431)
        #expect(
            refusal?.detail == "field 'Cookie' makes the header section exceed \(limit) bytes"
        )
    }

    @Test("a name in an error is cut and cleaned")
    func labels() {
        let long = String(repeating: "n", count: 100)
        let limits = Limits(fieldSectionBytesMax: 80)
        #expect(
            error("GET / HTTP/1.1\r\n\(long): x\r\n", limits)
                == .fieldSectionTooLarge(
                    field: String(repeating: "n", count: 40) + "...",
                    limit: 80
                )
        )
        let dirty = "<b>\u{E9}\"'" + String(repeating: " ", count: 100)
        #expect(
            error("GET / HTTP/1.1\r\n\(dirty)", limits)
                == .fieldSectionTooLarge(
                    field: "?b????'" + String(repeating: "?", count: 33) + "...",
                    limit: 80
                )
        )
    }

    @Test("number of fields")
    func fieldCount() {
        let text = "GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 2\r\n\r\n"
        #expect(error(text, Limits(fieldCountMax: 3)) == nil)
        #expect(error(text, Limits(fieldCountMax: 2)) == .tooManyFields(field: "B", limit: 2))
    }

    @Test("chunk extensions of the whole body together")
    func chunkExtensions() {
        let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        let body = "1;abc\r\nx\r\n1;abc\r\nx\r\n0;abc\r\n\r\n"
        #expect(error(head + body, Limits(chunkExtensionBytesMax: 12)) == nil)
        #expect(
            error(head + body, Limits(chunkExtensionBytesMax: 11))
                == .chunkExtensionsTooLong(limit: 11)
        )
        // The next body starts from nothing.
        #expect(error(head + body + head + body, Limits(chunkExtensionBytesMax: 12)) == nil)
        let endless = "1;" + String(repeating: "a", count: 100)
        #expect(
            error(head + endless, Limits(chunkExtensionBytesMax: 11))
                == .chunkExtensionsTooLong(limit: 11)
        )
        let digits = String(repeating: "0", count: 100)
        #expect(error(head + digits, Limits(chunkExtensionBytesMax: 11)) == .chunkSizeOverflow)
    }

    @Test("trailers")
    func trailers() {
        let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
        let fields = "A: 1\r\nBb: 2\r\n"
        let text = head + fields + "\r\n"
        #expect(error(text, Limits(trailerBytesMax: fields.utf8.count)) == nil)
        let limit = fields.utf8.count - 1
        #expect(
            error(text, Limits(trailerBytesMax: limit))
                == .trailersTooLarge(field: "Bb", limit: limit)
        )
        #expect(error(text, Limits(trailerCountMax: 2)) == nil)
        #expect(
            error(text, Limits(trailerCountMax: 1)) == .tooManyTrailers(field: "Bb", limit: 1)
        )
        #expect(
            error(head + "Host: b\r\n\r\n", Limits()) == .forbiddenTrailer(field: "Host")
        )
    }

    @Test("what is kept of a head is bounded by the limits")
    func bounded() {
        let limits = Limits(startLineBytesMax: 100, fieldSectionBytesMax: 200, fieldCountMax: 4)
        let decoder = RequestDecoder(limits: limits)
        let start = Array("GET / HTTP/1.1\r\n".utf8)
        var offset = 0
        #expect(throws: HTTP1Error.self) {
            _ = try decoder.next(start, at: &offset)
            for _ in 0..<10_000 {
                offset = 0
                _ = try decoder.next(Array("xyz".utf8), at: &offset)
            }
        }
        #expect(decoder.head.capacity <= 4 << 10)
    }
}
