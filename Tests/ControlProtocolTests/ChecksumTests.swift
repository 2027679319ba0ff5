import ControlProtocol
import Testing

@Suite("Checksum")
struct ChecksumTests {
    @Test(
        "Matches the published FNV-1a 64 vectors",
        arguments: [
            ("", "cbf29ce484222325"), ("a", "af63dc4c8601ec8c"), ("foobar", "85944171f73967e8"),
        ]
    )
    func vectors(text: String, digits: String) {
        #expect(Checksum(of: text).description == digits)
        #expect(Checksum(digits) == Checksum(of: text))
    }

    @Test("Keeps leading zeros")
    func leadingZeros() {
        #expect(Checksum("000000000000000a")?.description == "000000000000000a")
    }

    @Test(
        "Refuses everything but 16 lower-case hex digits",
        arguments: [
            "", "a", "AF63DC4C8601EC8C", "af63dc4c8601ec8", "af63dc4c8601ec8cc",
            "+f63dc4c8601ec8c", "af63dc4c8601ec8g", "0xaf63dc4c8601ec", "é234567890123456",
        ]
    )
    func malformed(digits: String) {
        #expect(Checksum(digits) == nil)
    }
}
