import Bytes
import Testing
import Time

@testable import Proxy

struct GRPCHealthTests {
    @Test("a request names its service, and is empty for the server as a whole")
    func request() {
        #expect(request("") == [0, 0, 0, 0, 0])
        #expect(request("ab") == [0, 0, 0, 0, 4, 0x0A, 2, 0x61, 0x62])
        let long = String(repeating: "x", count: 300)
        #expect(request(long).prefix(8) == [0, 0, 0, 1, 0x2F, 0x0A, 0xAC, 0x02])
        #expect(request(long).count == 308)
    }

    @Test(
        "SERVING is SERVING, whatever a later version adds",
        arguments: [
            [8, 1],
            // Of several the last counts.
            [8, 2, 8, 1],
            // A varint may be longer than it must.
            [8, 0x81, 0],
            // Fields 2 to 5: a number, eight bytes, text, four bytes.
            [0x10, 0x96, 1, 8, 1], [0x19, 1, 2, 3, 4, 5, 6, 7, 8, 8, 1],
            [0x22, 2, 0x61, 0x62, 8, 1], [8, 1, 0x2D, 1, 2, 3, 4],
        ] as [[UInt8]]
    )
    func serving(message: [UInt8]) {
        #expect(isServing([0, 0, 0, 0, UInt8(message.count)] + message))
    }

    @Test(
        "everything else is not",
        arguments: [
            // UNKNOWN by absence, UNKNOWN, NOT_SERVING, SERVICE_UNKNOWN, a status to come.
            [0, 0, 0, 0, 0], [0, 0, 0, 0, 2, 8, 0], [0, 0, 0, 0, 2, 8, 2], [0, 0, 0, 0, 2, 8, 3],
            [0, 0, 0, 0, 2, 8, 9], [0, 0, 0, 0, 4, 8, 1, 8, 2],
            // No frame, half a frame, compressed, shorter and longer than it says, two messages.
            [], [0, 0, 0, 0], [1, 0, 0, 0, 2, 8, 1], [0, 0, 0, 0, 2, 8], [0, 0, 0, 0, 2, 8, 1, 8],
            [0, 0, 0, 0, 2, 8, 1, 0, 0, 0, 0, 2, 8, 1], [0, 0xFF, 0, 0, 2, 8, 1],
            // The field's type is another, or its number is none.
            [0, 0, 0, 0, 6, 0x0D, 1, 0, 0, 0, 0], [0, 0, 0, 0, 2, 0, 1],
            // Cut off: the tag, the value, the text; a text longer than anything; groups.
            [0, 0, 0, 0, 1, 0x88], [0, 0, 0, 0, 2, 8, 0x81], [0, 0, 0, 0, 5, 8, 1, 0x22, 2, 0x61],
            [0, 0, 0, 0, 13, 8, 1, 0x22, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1],
            [0, 0, 0, 0, 3, 8, 1, 0x13],
            // A varint without end.
            [0, 0, 0, 0, 12, 8, 129, 129, 129, 129, 129, 129, 129, 129, 129, 129, 1],
        ] as [[UInt8]]
    )
    func notServing(bytes: [UInt8]) {
        #expect(!isServing(bytes))
    }

    @Test("no bytes trap", arguments: [1, 2, 3] as [UInt64])
    func anything(seed: UInt64) {
        var random = FastRandom(seed: seed)
        var serving = 0
        for _ in 0..<50_000 {
            let count = Int.random(in: 0...12, using: &random)
            let small: [UInt8] = [0, 1, 2, 8, 9, 10, 0x0D, 0x80, 0xFF]
            let message = (0..<count).map { _ in
                Bool.random(using: &random)
                    ? small.randomElement(using: &random) ?? 0
                    : .random(in: 0...255, using: &random)
            }
            if isServing([0, 0, 0, 0, UInt8(count)] + message) { serving += 1 }
        }
        #expect(serving > 0)
    }

    private func request(_ service: String) -> [UInt8] {
        let buffer = ByteBuffer()
        GRPCHealth.appendRequest(service: service, to: buffer)
        return buffer.array
    }

    private func isServing(_ bytes: [UInt8]) -> Bool { GRPCHealth.isServing(bytes.span) }
}
