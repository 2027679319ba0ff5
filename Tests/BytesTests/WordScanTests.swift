import Bytes
import Testing

extension [UInt8] {
    fileprivate func matches(_ other: [UInt8]) -> Bool { span.matches(other.span) }
    fileprivate func matches(_ spelling: StaticString) -> Bool { span.matches(spelling) }
}

struct WordScanTests {
    /// Every byte at every place of spans of several lengths, from several starts.
    private func check(
        _ find: ([UInt8], Int) -> Int?,
        plain: UInt8,
        isHit: (UInt8) -> Bool
    ) -> [(count: Int, index: Int, byte: UInt8)] {
        var wrong: [(count: Int, index: Int, byte: UInt8)] = []
        for count in [0, 1, 7, 8, 9, 16, 23] {
            for index in 0..<count {
                for byte in UInt8.min ... .max {
                    var bytes = [UInt8](repeating: plain, count: count)
                    bytes[index] = byte
                    for from in [0, index, index + 1] {
                        let expected = isHit(byte) && from <= index ? index : nil
                        if find(bytes, from) != expected { wrong.append((count, index, byte)) }
                    }
                }
            }
        }
        return wrong
    }

    @Test("names of letters, digits, dash and dot end at the first other byte")
    func unusualInName() {
        let usual = Set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.".utf8)
        let wrong = check(
            { $0.span.firstUnusualInName(from: $1) },
            plain: 0x61,
            isHit: { !usual.contains($0) }
        )
        #expect(wrong.isEmpty)
    }

    @Test("targets end at the first byte that is not visible or is the fragment's")
    func invalidInTarget() {
        let wrong = check(
            { $0.span.firstInvalidInTarget(from: $1) },
            plain: 0x2F,
            isHit: { $0 < 0x21 || $0 > 0x7E || $0 == 0x23 }
        )
        #expect(wrong.isEmpty)
    }

    @Test("the first upper-case letter is found, and nothing else is")
    func uppercase() {
        let wrong = check(
            { $0.span.firstUppercase(from: $1) },
            plain: 0x7A,
            isHit: { $0 >= 0x41 && $0 <= 0x5A }
        )
        #expect(wrong.isEmpty)
    }

    @Test("texts of any length match but for the case of letters")
    func texts() {
        for count in 0...40 {
            let text = (0..<count).map { UInt8(ascii: "a") + UInt8($0 % 26) }
            let upper = text.enumerated().map { $0 % 3 == 0 ? $1 ^ 0x20 : $1 }
            #expect(text.matches(upper))
            #expect(!text.matches(upper + [0x61]))
            for index in text.indices {
                var other = upper
                other[index] ^= 0x01
                #expect(!text.matches(other))
            }
        }
    }

    @Test("the hash ignores the case of letters, and no other bit of any byte")
    func hash() {
        func hash(_ bytes: [UInt8]) -> UInt64 { bytes.span.hashIgnoringCase() }
        for count in 0...33 {
            let bytes = (0..<count).map { UInt8(truncatingIfNeeded: 0x41 + $0 % 26) }
            let expected = hash(bytes)
            #expect(hash(bytes.map { $0 | 0x20 }) == expected)
            #expect(hash(bytes + [0]) != expected)
            for place in 0..<count {
                for bit in 0..<8 where bit != 5 {
                    var other = bytes
                    other[place] ^= 1 << UInt8(bit)
                    #expect(hash(other) != expected)
                }
            }
        }
        for byte in UInt8.min...UInt8.max {
            let isLetter = (0x41...0x5A).contains(byte & ~0x20)
            let isSame = hash([byte]) == hash([byte ^ 0x20])
            #expect(isSame == isLetter, "\(byte)")
        }
    }

    @Test("bytes of any length equal themselves and nothing that differs in one bit")
    func equality() {
        for count in 0...40 {
            let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 37) }
            let longer = bytes + [0]
            var isEqual = bytes.span.equals(bytes.span)
            #expect(isEqual)
            isEqual = bytes.span.equals(longer.span)
            #expect(!isEqual)
            for place in 0..<count {
                var other = bytes
                other[place] ^= 1 << UInt8(place % 8)
                isEqual = bytes.span.equals(other.span)
                #expect(!isEqual)
            }
        }
    }

    @Test("letters match without case, and no other pair of bytes matches")
    func pairs() {
        var wrong: [(UInt8, UInt8)] = []
        for left in UInt8.min ... .max {
            for right in UInt8.min ... .max {
                let isLetter = (0x61...0x7A).contains(left | 0x20)
                let expected = left == right || (isLetter && left ^ right == 0x20)
                if [left].matches([right]) != expected { wrong.append((left, right)) }
            }
        }
        #expect(wrong.isEmpty)
    }

    @Test("literals may have any case; length counts")
    func literals() {
        let bytes = Array("Keep-ALIVE".utf8)
        #expect(bytes.matches("keep-Alive"))
        #expect(!bytes.matches("keep-aliv"))
        #expect(!bytes.matches("keep_alive"))
        #expect([UInt8]().matches(""))
    }
}
