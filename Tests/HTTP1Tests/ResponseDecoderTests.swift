import Bytes
import HTTP
import HTTP1
import Testing

struct ResponseDecoderTests {
    @Test("a response is decoded, or refused, as the RFC says", arguments: responseCases)
    func decodes(_ one: ResponseCase) {
        let transcript = Transcript.responses([one.input], to: one.methods, closes: one.closes)
        #expect(transcript.lines == one.expected)
    }

    @Test("a connection that closes between responses is no error")
    func closesIdle() throws {
        let decoder = ResponseDecoder()
        #expect(try decoder.endOfInput() == .needMore)
        decoder.expect(method: .get)
        #expect(throws: HTTP1Error.truncated) { try decoder.endOfInput() }
        #expect(throws: HTTP1Error.truncated) { try decoder.endOfInput() }
    }

    @Test("interim responses are bounded")
    func boundsInterim() {
        let interim = "HTTP/1.1 103 x\r\n\r\n"
        let limits = Limits(interimResponseCountMax: 2)
        let final = "HTTP/1.1 204 x\r\n\r\n"
        let good = Transcript.responses(
            [Array((interim + interim + final).utf8)],
            to: [.get],
            limits: limits
        )
        #expect(good.lines.suffix(2) == ["end", "idle"])
        let bad = Transcript.responses(
            [Array((interim + interim + interim + final).utf8)],
            to: [.get],
            limits: limits
        )
        #expect(bad.lines.last == "error too_many_interim_responses")
    }
}
