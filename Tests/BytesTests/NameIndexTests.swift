import Bytes
import Testing

struct NameIndexTests {
    private let index = NameIndex([
        ("TE", 1), ("Host", 2), ("Upgrade", 3), ("Location", 4), ("X-B3-Flags", 5),
        ("Proxy-Connection", 6), ("X-B3-ParentSpanId", 7), ("X-Forwarded-Client-Cert", 8),
    ])
    private static let spellings = [
        "TE", "Host", "Upgrade", "Location", "X-B3-Flags", "Proxy-Connection",
        "X-B3-ParentSpanId", "X-Forwarded-Client-Cert",
    ]

    private func value(_ bytes: [UInt8]) -> UInt8 { index.value(of: bytes.span) }

    @Test("a name is found in every case, and not when a byte is missing or added")
    func finds() {
        for (position, spelling) in Self.spellings.enumerated() {
            let expected = UInt8(position + 1)
            #expect(value(Array(spelling.utf8)) == expected)
            #expect(value(Array(spelling.lowercased().utf8)) == expected)
            #expect(value(Array(spelling.uppercased().utf8)) == expected)
            #expect(value(Array(spelling.utf8.dropLast())) == 0)
            #expect(value(Array(spelling.utf8.dropFirst())) == 0)
            #expect(value(Array((spelling + "s").utf8)) == 0)
        }
        #expect(value([]) == 0)
        #expect(value([UInt8](repeating: 0x61, count: 25)) == 0)
    }

    @Test("no other byte is taken for a letter, a digit or a hyphen, anywhere")
    func everyByte() {
        var wrong: [(String, Int, UInt8)] = []
        for (position, spelling) in Self.spellings.enumerated() {
            let good = Array(spelling.lowercased().utf8)
            for place in good.indices {
                for byte in UInt8.min...UInt8.max {
                    var name = good
                    name[place] = byte
                    let isLetter = good[place] >= 0x61
                    let isSame = byte == good[place] || (isLetter && byte == good[place] & ~0x20)
                    if value(name) != (isSame ? UInt8(position + 1) : 0) {
                        wrong.append((spelling, place, byte))
                    }
                }
            }
        }
        #expect(wrong.isEmpty)
    }
}
