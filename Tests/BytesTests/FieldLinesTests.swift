import Testing

@testable import Bytes

private let names = NameIndex([
    ("name", 3), ("content-encoding", 5), ("x-forwarded-client-cert", 9),
])

/// The ordinary lines of `input` from `from` on.
private func lines(
    _ input: [UInt8],
    from: Int = 0,
    start: Int = 0,
    bytesMax: Int = .max,
    countMax: Int = 100
) -> (records: [FieldLine], end: Int, found: UInt64) {
    let table = WordArray()
    let (end, found) = table.appendOrdinaryLines(
        of: input.span,
        from: from,
        start: start,
        bytesMax: bytesMax,
        countMax: countMax,
        names: names
    )
    let records = (0..<table.count / 2).map {
        FieldLine(place: table[$0 * 2], kind: table[$0 * 2 + 1])
    }
    return (records, end, found)
}

private func isNameByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."):
        true
    default: false
    }
}

@Suite("Ordinary field lines")
struct FieldLinesTests {
    @Test("in a value any byte but the controls, at any place of a line of any length")
    func everyValueByte() {
        var wrong: [String] = []
        for valueCount in 1...20 {
            for place in 0..<valueCount {
                for byte in UInt8.min...UInt8.max {
                    var line = Array("name: ".utf8) + [UInt8](repeating: 0x61, count: valueCount)
                    line[6 + place] = byte
                    line += [0x0D, 0x0A]
                    let isAtEnd = place == 0 || place == valueCount - 1
                    let isBlank = byte == 0x09 || byte == 0x20
                    let isAllowed = isBlank ? !isAtEnd : byte > 0x20 && byte != 0x7F
                    let expected =
                        isAllowed
                        ? [FieldLine(start: 0, nameCount: 4, valueCount: valueCount, name: 3)] : []
                    let (records, end, found) = lines(line)
                    if records != expected || end != (isAllowed ? line.count : 0)
                        || found != (isAllowed ? 8 : 0)
                    {
                        wrong.append("\(byte) at \(place) of \(valueCount)")
                    }
                }
            }
        }
        #expect(wrong == [])
    }

    @Test("in a name letters, digits, hyphen and dot, at any place of a name of any length")
    func everyNameByte() {
        var wrong: [String] = []
        for nameCount in 1...26 {
            for place in 0..<nameCount {
                for byte in UInt8.min...UInt8.max where byte != UInt8(ascii: ":") {
                    var line = [UInt8](repeating: UInt8(ascii: "Q"), count: nameCount)
                    line[place] = byte
                    line += Array(": value\r\n".utf8)
                    let expected =
                        isNameByte(byte)
                        ? [FieldLine(start: 0, nameCount: nameCount, valueCount: 5, name: 0)] : []
                    if lines(line).records != expected {
                        wrong.append("\(byte) at \(place) of \(nameCount)")
                    }
                }
            }
        }
        #expect(wrong == [])
    }

    @Test("known names are recognised in any case, among lines of any length")
    func knownNames() {
        for pad in 0...17 {
            let text =
                "x: \(String(repeating: "v", count: pad + 1))\r\nNaMe: 1\r\n"
                + "CONTENT-encoding: 2\r\nx-Forwarded-Client-Cert: by: me\r\nname2: 4\r\n"
            let input = Array((text + "\r\nand: a body\r\n").utf8)
            let (records, end, found) = lines(input, start: 1_000)
            #expect(end == text.utf8.count)
            #expect(records.map { $0.kind & 0xFF } == [0, 3, 5, 9, 0])
            #expect(records.map(\.nameCount) == [1, 4, 16, 23, 5])
            #expect(records.map(\.valueCount) == [pad + 1, 1, 1, 6, 1])
            #expect(records.first?.start == 1_000)
            #expect(records.last?.end == 1_000 + end)
            for (line, next) in zip(records, records.dropFirst()) {
                #expect(line.end == next.start)
            }
            #expect(found == 1 | 1 << 3 | 1 << 5 | 1 << 9)
        }
    }

    @Test("the first colon ends the name, before what follows the line and behind other lines")
    func colon() {
        for nameCount in 1...70 {
            let name = [UInt8](repeating: UInt8(ascii: "n"), count: nameCount)
            let line = name + Array(": v:w\r\n".utf8)
            for suffix in ["", "\r\n", "\r\nnext: line\r\n"] {
                let input = Array("a: b\r\n".utf8) + line + Array(suffix.utf8)
                let records = lines(input, from: 6).records
                guard let found = records.first else {
                    // A colon in the last bytes of all, or behind a long name, may be left to the
                    // closer look.
                    #expect(suffix.isEmpty || nameCount > 60)
                    continue
                }
                #expect(records.count == 1)
                #expect(found.nameRange == 0..<nameCount)
                #expect(found.valueRange == nameCount + 2..<nameCount + 5)
                #expect(found.end == line.count)
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
            "name:  \r\n", "name\r\n: value\r\n", "name: value\u{0}\r\n", "name : value\r\n",
            " name: value\r\n", "na_me: value\r\n", "\r\nname: value\r\n", "name: \u{7F}\r\n",
        ]
    )
    func unusual(_ text: String) {
        let bytes = Array(text.utf8)
        #expect(lines(bytes).end == 0)
        let prefixed = Array("a: bcd\r\n".utf8) + bytes
        let (records, end, _) = lines(prefixed)
        #expect(end == 8 || bytes.isEmpty)
        #expect(records.count == (end == 8 ? 1 : 0))
        let followed = bytes + Array("\r\nname: of another line\r\n".utf8)
        if !bytes.isEmpty, !"name: value\r".hasPrefix(text) { #expect(lines(followed).end == 0) }
    }

    @Test("lines are taken only as far as bytes and count permit")
    func limits() {
        let input = Array("A: bcdefg\r\nB: cdefgh\r\n\r\n".utf8)
        for (bytesMax, countMax, taken) in [
            (22, 2, 2), (21, 2, 1), (11, 2, 1), (10, 2, 0), (0, 2, 0), (-1, 2, 0), (22, 1, 1),
            (22, 0, 0), (22, -1, 0),
        ] {
            let (records, end, _) = lines(input, bytesMax: bytesMax, countMax: countMax)
            #expect(records.count == taken)
            #expect(end == taken * 11)
        }
    }
}
