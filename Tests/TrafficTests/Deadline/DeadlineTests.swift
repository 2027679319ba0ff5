import Bytes
import HTTP
import Testing
import Time
import Traffic

struct DeadlineTests {
    private func parse(_ text: String) -> UInt64? { Deadline.parse(Array(text.utf8).span) }

    private func text(_ nanoseconds: UInt64) -> String {
        let buffer = ByteBuffer()
        Deadline.append(nanoseconds: nanoseconds, to: buffer)
        return buffer.string
    }

    @Test("digits and a unit are read")
    func units() {
        #expect(parse("1n") == 1)
        #expect(parse("2u") == 2_000)
        #expect(parse("3m") == 3_000_000)
        #expect(parse("4S") == 4_000_000_000)
        #expect(parse("5M") == 300_000_000_000)
        #expect(parse("6H") == 21_600_000_000_000)
        #expect(parse("99999999n") == 99_999_999)
        #expect(parse("00000001S") == 1_000_000_000)
        #expect(parse("0m") == 0)
    }

    @Test("the longest times are a year, though they are more than 64 bits of nanoseconds")
    func longest() {
        for text in ["99999999H", "99999999M", "99999999S", "5124096H", "5124095H", "8761H"] {
            #expect(parse(text) == Deadline.nanosecondsMax, "\(text)")
        }
        #expect(parse("8760H") == Deadline.nanosecondsMax)
        #expect(parse("8759H") == 8_759 * 3_600_000_000_000)
    }

    @Test(
        "anything else is malformed",
        arguments: [
            "", "1", "S", "1s", "1h", "1x", "123456789n", "1234567890", "-1S", "+1S", " 1S", "1S ",
            "1 S", "1.5S", "0x1S", "1SS", "٣S", "1\u{0}",
        ]
    )
    func malformed(_ text: String) {
        #expect(parse(text) == nil)
    }

    @Test("no two bytes and no byte after digits trap")
    func hostile() {
        for first in UInt8.min ... .max {
            for second in UInt8.min ... .max { _ = Deadline.parse([first, second].span) }
            _ = Deadline.parse((Array(repeating: 0x39, count: 8) + [first]).span)
        }
    }

    @Test("what is written is the finest that fits, never more, and is read")
    func writes() {
        #expect(text(0) == "0n")
        #expect(text(99_999_999) == "99999999n")
        #expect(text(100_000_000) == "100000u")
        #expect(text(1_500_000_000) == "1500000u")
        #expect(text(100_000_000_000) == "100000m")
        #expect(text(100_000_000_000_000) == "100000S")
        #expect(text(.max) == "31536000S")
        var random = FastRandom(seed: 3)
        for _ in 0..<10_000 {
            let time = random.next() >> UInt64.random(in: 0..<64, using: &random)
            let back = parse(text(time)) ?? .max
            let bound = min(time, Deadline.nanosecondsMax)
            #expect(back <= bound && bound - back <= bound / 10_000)
        }
    }

    @Test("the least of all fields counts, and those that are malformed do not")
    func reads() {
        func read(_ lines: [(String, String)]) -> UInt64? {
            let fields = FieldBlock()
            for (name, value) in lines {
                fields.append(name: Array(name.utf8).span, value: Array(value.utf8).span)
            }
            return Deadline.read(fields) { wall }
        }
        #expect(read([]) == nil)
        // 250 ms from now, an instant that has passed, and what is none.
        #expect(read([("mesh-deadline", "1000250")]) == 250_000_000)
        #expect(read([("mesh-deadline", "1000250"), ("mesh-timeout", "1m")]) == 1_000_000)
        #expect(read([("mesh-deadline", "999999")]) == 0)
        #expect(read([("mesh-deadline", "99999999999999999999")]) == nil)
        #expect(read([("mesh-deadline", "-5")]) == nil)
        #expect(read([("mesh-deadline", "999999999999999")]) == Deadline.nanosecondsMax)
        #expect(read([("mesh-timeout", "soon")]) == nil)
        #expect(read([("mesh-timeout", "2S"), ("Grpc-Timeout", "1S")]) == 1_000_000_000)
        #expect(read([("mesh-timeout", "2S"), ("Grpc-Timeout", "x")]) == 2_000_000_000)
        #expect(read([("mesh-timeout", "3S"), ("Mesh-Timeout", "2S")]) == 2_000_000_000)
    }

    @Test("the next hop gets what is left, in the field the caller used")
    func rest() {
        let scratch = ByteBuffer()
        func written(_ lines: [(String, String)]) -> String {
            let fields = FieldBlock()
            for (name, value) in lines {
                fields.append(name: Array(name.utf8).span, value: Array(value.utf8).span)
            }
            Deadline.writeRest(5_000_000, to: fields, scratch: scratch)
            return text(fields)
        }
        #expect(written([]) == "mesh-timeout: 5000000n")
        #expect(written([("mesh-timeout", "9S"), ("a", "b")]) == "a: b|mesh-timeout: 5000000n")
        #expect(written([("grpc-timeout", "9S")]) == "grpc-timeout: 5000000n")
        #expect(written([("mesh-deadline", "7")]) == "mesh-timeout: 5000000n")
    }

    @Test("the application gets an instant, and gRPC what is left as well")
    func instant() {
        let scratch = ByteBuffer()
        func written(_ lines: [(String, String)], _ left: UInt64) -> String {
            let fields = FieldBlock()
            for (name, value) in lines {
                fields.append(name: Array(name.utf8).span, value: Array(value.utf8).span)
            }
            Deadline.writeInstant(left, wall: wall, to: fields, scratch: scratch)
            return text(fields)
        }
        #expect(written([("mesh-timeout", "1S")], 250_999_999) == "mesh-deadline: 1000250")
        #expect(
            written([("grpc-timeout", "1S")], 2_000_000)
                == "grpc-timeout: 2000000n|mesh-deadline: 1000002"
        )
        #expect(written([], .max).hasPrefix("mesh-deadline: "))
    }

    private let wall = WallTime(unixNanoseconds: 1_000_000_000_000)

    private func text(_ fields: FieldBlock) -> String {
        var lines: [String] = []
        fields.forEach { known, name, value in
            let spelled = known == .other ? String(decoding: name) : "\(known.spelling)"
            lines.append("\(spelled): \(String(decoding: value))")
        }
        return lines.joined(separator: "|")
    }
}

extension String {
    fileprivate init(decoding bytes: Span<UInt8>) {
        var copied: [UInt8] = []
        for index in 0..<bytes.count { copied.append(bytes[index]) }
        self.init(decoding: copied, as: UTF8.self)
    }
}
