import Testing

@testable import Bytes

@Suite("Hexadecimal words")
struct HexWordsTests {
    private func text(_ value: UInt64) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    @Test("Any number is written as the standard library writes it, and read back")
    func roundTrip() {
        var values: [UInt64] = [0, 1, .max, 0x0123_4567_89AB_CDEF, 0xFEDC_BA98_7654_3210]
        values += (0..<64).map { 1 << $0 }
        var random = SystemRandomNumberGenerator()
        values += (0..<1_000).map { _ in random.next() }
        for value in values {
            var bytes = [UInt8](repeating: 0x78, count: 18)
            var span = bytes.mutableSpan
            span.storeHex(value, at: 1)
            #expect(String(decoding: bytes, as: UTF8.self) == "x" + text(value) + "x")
            #expect(bytes.span.lowercaseHex(at: 1) == value)
        }
    }

    @Test("Every byte that is no lower-case digit is refused, in every place")
    func refusal() {
        let allowed = Set("0123456789abcdef".utf8)
        for place in 0..<16 {
            for byte in UInt8.min...UInt8.max {
                var bytes = Array("0123456789abcdef".utf8)
                bytes[place] = byte
                let isRead = bytes.span.lowercaseHex(at: 0) != nil
                #expect(isRead == allowed.contains(byte), "byte \(byte) at \(place)")
            }
        }
    }

    @Test("Digits and UUIDs are written in place, at any offset, and nothing beside them")
    func inPlace() {
        var random = SystemRandomNumberGenerator()
        for offset in 0..<10 {
            let high = random.next() as UInt64
            let low = random.next() as UInt64
            let buffer = ByteBuffer()
            buffer.append([UInt8](repeating: 0x78, count: 60))
            buffer.consume(offset)
            buffer.setHex(high, at: 1)
            #expect(buffer.string.hasPrefix("x" + text(high) + "x"))
            buffer.setUUID(high: high, low: low, at: 2)
            let (first, second) = (Array(text(high)), Array(text(low)))
            let groups = [first[0..<8], first[8..<12], first[12...], second[0..<4], second[4...]]
            let uuid = groups.map { String($0) }.joined(separator: "-")
            #expect(buffer.string.dropFirst(2).hasPrefix(uuid + "x"))
            #expect(buffer.string.hasSuffix(String(repeating: "x", count: 22 - offset)))
            #expect(buffer.count == 60 - offset)
        }
    }

    @Test("Digits that would not fit are a mistake of ours")
    func bounds() async {
        await #expect(processExitsWith: .failure) {
            let buffer = ByteBuffer()
            buffer.append([UInt8](repeating: 0, count: 36))
            buffer.setHex(1, at: 21)
        }
        await #expect(processExitsWith: .failure) {
            let buffer = ByteBuffer()
            buffer.append([UInt8](repeating: 0, count: 36))
            buffer.setUUID(high: 1, low: 1, at: 1)
        }
    }
}
