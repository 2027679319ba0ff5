import Testing

@testable import Bytes

struct ByteBufferTests {
    @Test("numbers of every length are written as the standard library writes them")
    func decimals() {
        var values: [UInt64] = [0, .max, .max - 1]
        var power: UInt64 = 1
        for _ in 0..<20 {
            values += [power - 1, power, power + 1, power &* 9]
            power = power &* 10
        }
        for value in values {
            let buffer = ByteBuffer()
            buffer.append(decimal: value)
            #expect(buffer.string == String(value))
        }
    }

    @Test("any sequence of appends and consumes equals the same on an array")
    func model() {
        var state: UInt64 = 42
        func random(_ bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int((state >> 33) % UInt64(bound))
        }
        let buffer = ByteBuffer()
        var model: [UInt8] = []
        for step in 0..<20_000 {
            switch random(8) {
            case 0:
                buffer.append(UInt8(step & 255))
                model.append(UInt8(step & 255))
            case 1, 2:
                let bytes = (0..<random(700)).map { UInt8(($0 + step) & 255) }
                buffer.append(bytes.span)
                model += bytes
            case 3:
                let value = UInt64(random(1 << 30)) << UInt64(random(34))
                buffer.append(decimal: value)
                model += Array(String(value).utf8)
            case 4:
                let value = UInt64(random(1 << 30)) << UInt64(random(34))
                buffer.append(hex: value)
                model += Array(String(value, radix: 16).utf8)
            case 5:
                let count = random(model.count + 1)
                buffer.truncate(to: count)
                model.removeLast(model.count - count)
            default:
                let count = random(model.count + 1)
                buffer.consume(count)
                model.removeFirst(count)
            }
            #expect(buffer.count == model.count && buffer.isEmpty == model.isEmpty)
            if step % 50 == 0 { #expect(buffer.array == model) }
            if let last = model.indices.last { #expect(buffer[last] == model[last]) }
        }
    }

    @Test("numbers at the ends of their range are written in full")
    func numbers() {
        let buffer = ByteBuffer()
        for value in [0, 9, 10, 99, 100, UInt64.max - 1, .max] {
            buffer.clear()
            buffer.append(decimal: value)
            #expect(buffer.string == String(value))
            buffer.clear()
            buffer.append(hex: value)
            #expect(buffer.string == String(value, radix: 16))
        }
        buffer.clear()
        buffer.append(hex: 0xABC, digits: 6)
        buffer.append(hex: 0xABC, digits: 2)
        #expect(buffer.string == "000abcbc")
    }

    @Test("lent spans hold exactly what is held, and ranges of it")
    func spans() {
        let buffer = ByteBuffer()
        #expect(buffer.withSpan { $0.count } == 0)
        buffer.append("hello world")
        buffer.consume(6)
        #expect(buffer.withSpan { $0.array } == Array("world".utf8))
        #expect(buffer.withSpan(1..<3) { $0.string } == "or")
        #expect(buffer.withSpan(5..<5) { $0.isEmpty })
        buffer.set(UInt8(ascii: "W"), at: 0)
        #expect(buffer.string == "World")
        buffer.set([UInt8]().span, at: 5)
        buffer.set(Array("ld".utf8).span, at: 1)
        #expect(buffer.string == "Wldld")
        buffer.set(Array("World".utf8).span, at: 0)
        #expect(buffer.string == "World")
    }

    @Test("a queue that is filled and emptied in turn does not grow")
    func reuse() {
        let buffer = ByteBuffer(capacity: 4_096)
        let block = [UInt8](repeating: 1, count: 1_000)
        for _ in 0..<1_000 {
            buffer.append(block.span)
            buffer.append(block.span)
            buffer.consume(1_000)
            buffer.append(block.span)
            buffer.consume(2_000)
        }
        #expect(buffer.isEmpty && buffer.capacity == 4_096)
        buffer.append(block.span)
        buffer.release()
        #expect(buffer.isEmpty && buffer.capacity == 0)
        buffer.append("again")
        #expect(buffer.string == "again")
    }

    @Test("one buffer can be appended to another, whole or in part")
    func otherBuffer() {
        let source = ByteBuffer()
        source.append("0123456789")
        source.consume(2)
        let target = ByteBuffer()
        target.append(source)
        target.append(source, 1..<3)
        #expect(target.string == "2345678934" && source.count == 8)
    }
}

struct ScanTests {
    @Test("a byte is found at every position of every length, and not before the start")
    func firstIndex() {
        for count in 0..<40 {
            var bytes = [UInt8](repeating: 1, count: count)
            let none = bytes.span.firstIndex(of: 7)
            #expect(none == nil)
            for position in 0..<count {
                bytes[position] = 7
                let hits = [0, position, position + 1].map { start in
                    bytes.span.firstIndex(of: 7, from: start)
                }
                #expect(hits == [position, position, nil])
                bytes[position] = 1
            }
        }
    }

    private func equalsIgnoringCase(_ text: String) -> Bool {
        let bytes = Array(text.utf8)
        return bytes.span.equalsIgnoringCase("content-length")
    }

    private func equals(_ text: String, _ literal: StaticString) -> Bool {
        let bytes = Array(text.utf8)
        return bytes.span.equals(literal)
    }

    @Test("comparison without case folds letters only")
    func equality() {
        #expect(equalsIgnoringCase("Content-LENGTH"))
        #expect(!equalsIgnoringCase("content_length"))
        // 0x0D is 0x2D without the bit that tells cases apart.
        #expect(!equalsIgnoringCase("content\rlength"))
        #expect(!equalsIgnoringCase("content-lengt"))
        #expect(equals("", "") && equals("abc", "abc"))
        #expect(!equals("abC", "abc"))
    }
}
