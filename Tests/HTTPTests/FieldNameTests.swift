import Bytes
import HTTP
import Testing

extension FieldName {
    fileprivate init(_ text: String) { self.init(Array(text.utf8)) }
    fileprivate init(_ bytes: [UInt8]) { self.init(matching: bytes.span) }
}

struct FieldNameTests {
    @Test("every known name is recognised in any case", arguments: FieldName.allCases)
    func recognises(_ name: FieldName) {
        guard name != .other else { return }
        let spelling = name.spelling.description
        for text in [spelling, spelling.lowercased(), spelling.uppercased()] {
            #expect(FieldName(text) == name, "\(text)")
        }
    }

    @Test("a name that differs in any one byte is another", arguments: FieldName.allCases)
    func tellsApart(_ name: FieldName) {
        let spelling = Array(name.spelling.description.utf8)
        var wrong: [[UInt8]] = []
        for index in spelling.indices {
            for byte in UInt8.min ... .max {
                var changed = spelling
                changed[index] = byte
                let isLetter = (0x61...0x7A).contains(byte | 0x20)
                let isSame =
                    byte == spelling[index] || (isLetter && byte ^ spelling[index] == 0x20)
                if (FieldName(changed) == name) != isSame { wrong.append(changed) }
            }
        }
        #expect(wrong.isEmpty)
        #expect(FieldName(spelling + [0x61]) == .other)
    }

    @Test("names of no length and of unknown length are other")
    func other() {
        for text in ["", "x", "xx", "x-unknown", String(repeating: "a", count: 100)] {
            #expect(FieldName(text) == .other)
        }
    }

    @Test("the names fit into the presence bits of a block")
    func fitsIntoBits() {
        #expect(FieldName.allCases.allSatisfy { $0.rawValue < 64 })
        let spellings = FieldName.allCases.map { $0.spelling.description.lowercased() }
        #expect(Set(spellings).count == spellings.count)
    }
}
