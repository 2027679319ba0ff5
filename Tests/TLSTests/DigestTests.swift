import Bytes
import TLS
import Testing

struct DigestTests {
    @Test(
        "SHA-1 as FIPS 180-2 has it, appended behind what is there",
        arguments: [
            ("", "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
            ("abc", "a9993e364706816aba3e25717850c26c9cd0d89d"),
            (
                "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "84983e441c3bd26ebaae4aa1f95129e5e54670f1"
            ),
        ]
    )
    func sha1(text: String, expected: String) {
        let input = ByteBuffer()
        input.append(text)
        let output = ByteBuffer()
        output.append("x")
        Digest.appendSHA1(of: input, to: output)
        #expect(output.count == 21)
        let hex = ByteBuffer()
        for index in 1..<21 { hex.append(hex: UInt64(output[index]), digits: 2) }
        #expect(hex.withSpan { String(decoding: $0.array, as: UTF8.self) } == expected)
    }
}
