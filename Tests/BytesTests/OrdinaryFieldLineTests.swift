import Testing

@testable import Bytes

@Suite("Ordinary field lines")
struct OrdinaryFieldLineTests {
    @Test("any byte but the controls, at any place of a line of any length")
    func everyByte() {
        var wrong: [String] = []
        for valueCount in 3...20 {
            for place in 1..<valueCount - 1 {
                for byte in UInt8.min...UInt8.max {
                    var line = Array("name: ".utf8) + [UInt8](repeating: 0x61, count: valueCount)
                    line[6 + place] = byte
                    line += [0x0D, 0x0A]
                    let isAllowed = byte == 0x09 || (byte >= 0x20 && byte != 0x7F)
                    let expected =
                        isAllowed ? OrdinaryFieldLine(nameCount: 4, count: line.count) : nil
                    if line.span.ordinaryFieldLine(from: 0) != expected {
                        wrong.append("\(byte) at \(place) of \(valueCount)")
                    }
                }
            }
        }
        #expect(wrong == [])
    }

    @Test("the colon is found wherever it is, before what follows the line and behind other lines")
    func colon() {
        for nameCount in 1...24 {
            let name = [UInt8](repeating: 0xBA, count: nameCount)
            let line = name + Array(": v:w\r\n".utf8)
            for suffix in ["", "\r\n", "\r\nnext: line\r\n"] {
                let input = Array("a: b\r\n".utf8) + line + Array(suffix.utf8)
                guard let found = input.span.ordinaryFieldLine(from: 6) else {
                    // A colon in the last bytes of all may be left to the closer look.
                    #expect(suffix.isEmpty)
                    continue
                }
                #expect(found.nameCount == nameCount)
                #expect(found.count == line.count)
                #expect(found.valueCount == 3)
            }
        }
    }

    @Test(
        "everything else is left to the caller",
        arguments: [
            "", "\r\n", "\n", "name", "name: value", "name: value\r", "name: value\n",
            "name: value\r\r\n", "name: value\n\r\n", "name: value\rx\r\n", "name value\r\n",
            ": value\r\n", "name:value\r\n", "name:  value\r\n", "name:\tvalue\r\n",
            "name: \tvalue\r\n", "name: value \r\n", "name: value\t\r\n", "name:\r\n", "name: \r\n",
            "name:  \r\n", "name\r\n: value\r\n", "name: value\u{0}\r\n",
        ]
    )
    func unusual(_ text: String) {
        let bytes = Array(text.utf8)
        #expect(bytes.span.ordinaryFieldLine(from: 0) == nil)
        let prefixed = Array("a: b\r\n".utf8) + bytes
        #expect(prefixed.span.ordinaryFieldLine(from: 6) == nil)
        let followed = bytes + Array("\r\nname: of another line\r\n".utf8)
        if !bytes.isEmpty, !"name: value\r".hasPrefix(text) {
            #expect(followed.span.ordinaryFieldLine(from: 0) == nil)
        }
    }
}
