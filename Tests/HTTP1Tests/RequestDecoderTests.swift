import Bytes
import HTTP
import HTTP1
import Testing

struct RequestDecoderTests {
    @Test("a good request is decoded as the RFC says", arguments: acceptedRequests)
    func accepts(_ one: Case) {
        #expect(Transcript.requests([one.input]).lines == one.expected)
    }

    @Test("a bad request is refused with its own reason", arguments: refusedRequests)
    func refuses(_ one: Case) {
        #expect(Transcript.requests([one.input]).lines == one.expected)
        #expect(one.expected.last?.hasPrefix("error ") == true)
    }

    @Test("a body is lent piece by piece, without waiting for its end")
    func lendsBody() throws {
        let decoder = RequestDecoder()
        let input = Array("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab".utf8)
        var offset = 0
        #expect(try decoder.next(input, at: &offset) == .head)
        #expect(try decoder.next(input, at: &offset) == .body(input.count - 2..<input.count))
        #expect(try decoder.next(input, at: &offset) == .needMore)
        offset = 0
        #expect(try decoder.next(Array("cde".utf8), at: &offset) == .body(0..<3))
        #expect(try decoder.next(Array("cde".utf8), at: &offset) == .end(trailers: false))
    }

    @Test("the end of a message without body needs no more input")
    func endsWithoutInput() throws {
        let decoder = RequestDecoder()
        let input = Array("GET / HTTP/1.1\r\nHost: a\r\n\r\n".utf8)
        var offset = 0
        #expect(try decoder.next(input, at: &offset) == .head)
        #expect(offset == input.count)
        #expect(!decoder.isIdle)
        #expect(try decoder.next(input, at: &offset) == .end(trailers: false))
        #expect(decoder.isIdle)
    }

    @Test("an error stays")
    func errorStays() {
        let decoder = RequestDecoder()
        var offset = 0
        #expect(throws: HTTP1Error.http09) {
            try decoder.next(Array("GET /\r\n".utf8), at: &offset)
        }
        offset = 0
        #expect(throws: HTTP1Error.http09) {
            try decoder.next(Array("GET / HTTP/1.1\r\nHost: a\r\n\r\n".utf8), at: &offset)
        }
        #expect(!decoder.isIdle)
    }

    @Test("path and query are told apart")
    func path() throws {
        let decoder = RequestDecoder()
        for (target, path) in [("/a?b?c", "/a"), ("/a", "/a"), ("/?", "/"), ("http://h?x", "/")] {
            let input = Array("GET \(target) HTTP/1.1\r\nHost: a\r\n\r\n".utf8)
            var offset = 0
            #expect(try decoder.next(input, at: &offset) == .head)
            #expect(decoder.head.withPath { $0.string } == path)
            #expect(try decoder.next(input, at: &offset) == .end(trailers: false))
        }
    }

    @Test("an idle decoder keeps no memory after it was told to release it")
    func releases() throws {
        let decoder = RequestDecoder()
        let input = Array(
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n\r\n".utf8
        )
        var offset = 0
        #expect(try decoder.next(input, at: &offset) == .head)
        #expect(try decoder.next(input, at: &offset) == .end(trailers: true))
        #expect(decoder.head.capacity > 0)
        decoder.releaseMemory()
        #expect(decoder.head.capacity == 0)
        #expect(decoder.trailers.capacity == 0)
    }

    @Test("every refusal has a status of its class, a label and a printable sentence")
    func describes() {
        let labels = refusedRequests.compactMap(\.expected.last).map { $0.dropFirst(6) }
        #expect(!labels.contains(""))
        let errors: [HTTP1Error] = [
            .requestLineTooLong(limit: 1), .fieldSectionTooLarge(field: "a", limit: 2),
            .unsupportedTransferEncoding, .transferEncodingNotChunked, .http2Preface, .missingHost,
            .controlByte(0), .connectRefused,
        ]
        #expect(errors.map(\.status) == [414, 431, 501, 400, 505, 400, 400, 501])
        for error in errors {
            #expect(error.detail.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7F })
            #expect(error.closesConnection)
        }
    }
}
