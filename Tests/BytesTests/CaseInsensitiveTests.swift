import Bytes
import Testing

extension [UInt8] {
    fileprivate func matches(_ other: [UInt8]) -> Bool { span.matches(other.span) }
    fileprivate func matches(_ spelling: StaticString) -> Bool { span.matches(spelling) }
}

struct CaseInsensitiveTests {
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
