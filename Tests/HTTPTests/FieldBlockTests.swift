import Bytes
import HTTP
import Testing

/// A block of these fields.
func block(_ fields: [(String, String)]) -> FieldBlock {
    let block = FieldBlock()
    for (name, value) in fields {
        block.append(name: Array(name.utf8).span, value: Array(value.utf8).span)
    }
    return block
}

extension FieldBlock {
    func firstIndex(named name: String) -> Int? { firstIndex(named: Array(name.utf8).span) }

    /// The lines as they are written.
    var written: String {
        let buffer = ByteBuffer()
        appendLines(to: buffer)
        return buffer.string
    }
}

struct FieldBlockTests {
    @Test("order, repetition and case are kept")
    func keeps() {
        let fields = block([("hOsT", "a"), ("X", "1"), ("x", "2"), ("Empty", "")])
        #expect(fields.count == 4)
        #expect(fields.known(at: 0) == .host)
        #expect(fields.known(at: 1) == .other)
        #expect(fields.withName(at: 0) { $0.string } == "hOsT")
        #expect(fields.withValue(at: 2) { $0.string } == "2")
        #expect(fields.withValue(at: 3) { $0.count } == 0)
        #expect(fields.written == "hOsT: a\r\nX: 1\r\nx: 2\r\nEmpty: \r\n")
        #expect(fields.byteCount == fields.written.utf8.count)
    }

    @Test("digits are written where they are told to, within the block")
    func digitsInPlace() async {
        let fields = block([("First", "1")])
        let value = fields.append(
            line: "traceparent: 00-0000000000000000-00\r\n",
            nameCount: 11,
            known: .traceparent
        )
        fields.setHex(0x0123_4567_89AB_CDEF, at: value + 3)
        #expect(fields.written == "First: 1\r\ntraceparent: 00-0123456789abcdef-00\r\n")
        #expect(fields.firstIndex(of: .traceparent) == 1)
        #expect(fields.mayContain(FieldNameSet(.traceparent).with(.te)))
        #expect(!fields.mayContain(FieldNameSet(.te)))
        await #expect(processExitsWith: .failure) {
            let fields = FieldBlock()
            let value = fields.append(
                line: "x: 00-0000000000000000\r\n",
                nameCount: 1,
                known: .other
            )
            fields.setHex(1, at: value + 6)
        }
    }

    @Test("ordinary lines are taken up to the first other one, which is left to the caller")
    func ordinaryLines() {
        let ordinary = "Host: a\r\nx-Own: b c\r\nTE: trailers\r\n"
        for rest in ["\r\nbody: of it", "x_own: a\r\n", "Via:\r\n", "Via: a", "Via : a\r\n"] {
            let fields = block([("First", "1")])
            let input = Array(("skipped" + ordinary + rest).utf8)
            let end = fields.appendOrdinaryLines(
                of: input.span,
                from: 7,
                bytesMax: input.count,
                countMax: 10
            )
            #expect(end == 7 + ordinary.utf8.count)
            #expect(fields.written == "First: 1\r\n" + ordinary)
            #expect(
                (0..<fields.count).map { fields.known(at: $0) } == [.other, .host, .other, .te]
            )
            #expect(fields.withName(at: 2) { $0.string } == "x-Own")
            #expect(fields.withValue(at: 2) { $0.string } == "b c")
            #expect(fields.firstIndex(of: .te) == 3)
        }
    }

    @Test("ordinary lines are taken only as far as bytes and count permit")
    func ordinaryLinesLimits() {
        let input = Array("A: bcdefg\r\nB: cdefgh\r\n\r\n".utf8)
        for (bytesMax, countMax, taken) in [
            (22, 2, 2), (21, 2, 1), (11, 2, 1), (10, 2, 0), (0, 2, 0), (22, 1, 1), (22, 0, 0),
        ] {
            let fields = FieldBlock()
            let end = fields.appendOrdinaryLines(
                of: input.span,
                from: 0,
                bytesMax: bytesMax,
                countMax: countMax
            )
            #expect(fields.count == taken)
            #expect(end == 11 * taken)
            #expect(fields.byteCount == 11 * taken)
        }
    }

    @Test("every way to append writes the same line")
    func appends() {
        let value = ByteBuffer()
        value.append("7")
        let fields = FieldBlock()
        fields.append(.retryAfter, "7")
        fields.append(.retryAfter, Array("7".utf8).span)
        fields.append(.retryAfter, value)
        fields.append(.retryAfter, decimal: 7)
        fields.append(name: Array("Retry-After".utf8).span, value: Array("7".utf8).span)
        fields.append(
            line: Array("Retry-After: 7\r\n".utf8).span,
            nameCount: 11,
            known: .retryAfter
        )
        #expect(fields.written == String(repeating: "Retry-After: 7\r\n", count: 6))
        for index in 0..<6 {
            #expect(fields.known(at: index) == .retryAfter)
            #expect(fields.valueEquals("7", at: index))
            #expect(fields.withName(at: index) { $0.string } == "Retry-After")
        }
    }

    @Test("fields are found by name, known or not, and not when removed")
    func finds() {
        let fields = block([("A", "1"), ("Cookie", "x"), ("a", "2"), ("cookie", "y")])
        #expect(fields.firstIndex(of: .cookie) == 1)
        #expect(fields.firstIndex(of: .cookie, from: 2) == 3)
        #expect(fields.firstIndex(of: .host) == nil)
        #expect(fields.firstIndex(named: "a") == 0)
        fields.remove(at: 0)
        fields.remove(at: 1)
        #expect(fields.isRemoved(at: 0))
        #expect(fields.firstIndex(named: "A") == 2)
        #expect(fields.firstIndex(of: .cookie) == 3)
        #expect(fields.contains(.cookie))
        fields.removeAll(.cookie)
        #expect(!fields.contains(.cookie))
        #expect(fields.written == "a: 2\r\n")
        fields.append(.cookie, "z")
        #expect(fields.firstIndex(of: .cookie) == 4)
    }

    @Test("any set of removed lines leaves exactly the others", arguments: 0..<32)
    func removes(mask: Int) {
        let names = ["A", "Bb", "Ccc", "D", "E"]
        let fields = block(names.map { ($0, $0) })
        var expected = ""
        for (index, name) in names.enumerated() {
            if mask & 1 << index != 0 {
                fields.remove(at: index)
            } else {
                expected += "\(name): \(name)\r\n"
            }
        }
        #expect(fields.written == expected)
    }

    @Test("list members are found over all lines, without case, not inside other members")
    func tokens() {
        let fields = block([("Connection", "a, Keep-Alive"), ("connection", ",, close ,")])
        #expect(fields.hasToken("keep-alive", in: .connection))
        #expect(fields.hasToken("CLOSE", in: .connection))
        #expect(!fields.hasToken("alive", in: .connection))
        #expect(!fields.hasToken("a", in: .te))
        #expect(fields.valueMatches("A, keep-ALIVE", at: 0))
        #expect(!fields.valueEquals("A, keep-ALIVE", at: 0))
    }

    @Test("clearing makes the block as new, and gives back what a rare large message took")
    func clears() {
        let fields = block([("Cookie", String(repeating: "x", count: 60_000))])
        fields.clear()
        #expect(fields.count == 0)
        #expect(!fields.contains(.cookie))
        #expect(fields.capacity < 10_000)
        #expect(fields.written.isEmpty)
        fields.append(.host, "a")
        #expect(fields.written == "Host: a\r\n")
        fields.release()
        #expect(fields.capacity == 0)
    }
}
