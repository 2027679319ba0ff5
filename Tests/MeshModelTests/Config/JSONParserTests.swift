import MeshModel
import Testing

@Suite struct JSONParserTests {
    @Test(
        "Valid JSON is read and written back the same",
        arguments: [
            "null", "true", "false", "0", "-0", "12", "-1.5e+10", "1E5", "0.25", #""""#,
            #""a\"b\\c\n\r\td""#, #""\u0001\u001f""#, #""é😀""#, "[]", "{}", "[1,[2,[]],{}]",
            #"{"b":1,"a":{"c":null}}"#, "18446744073709551615",
        ]
    )
    func roundTrip(text: String) throws {
        let node = try ConfigNode.parse(json: text)
        #expect(JSONWriter.text(node) == text)
    }

    @Test("Escapes become the characters they stand for (RFC 8259 §7)")
    func escapes() throws {
        let node = try ConfigNode.parse(json: #""\u0041\/\b\f\ud83d\ude00\u00e9""#)
        #expect(node.value == .string("A/\u{8}\u{c}😀é"))
    }

    @Test("Nodes and keys know their line and column, counted in characters")
    func positions() throws {
        let node = try ConfigNode.parse(json: "{\n  \"é😀\": [true,\r\n 7], \"b\" : {}\n}")
        guard case .object(let members) = node.value else {
            Issue.record("not an object")
            return
        }
        #expect(node.position == ConfigPosition(line: 1, column: 1))
        #expect(members[0].keyPosition == ConfigPosition(line: 2, column: 3))
        #expect(members[0].value.position == ConfigPosition(line: 2, column: 9))
        #expect(
            node.position(of: ConfigPath(components: [.field("é😀"), .index(1)]))
                == ConfigPosition(line: 3, column: 2)
        )
        #expect(members[1].keyPosition == ConfigPosition(line: 3, column: 6))
        #expect(
            node.position(of: ConfigPath(components: [.field("b"), .field("absent")]))
                == ConfigPosition(line: 3, column: 12)
        )
    }

    struct Malformed: Sendable, CustomTestStringConvertible {
        let text: String
        let line: Int
        let column: Int
        let problem: String
        var testDescription: String { text }

        init(_ text: String, _ line: Int, _ column: Int, _ problem: String) {
            self.text = text
            self.line = line
            self.column = column
            self.problem = problem
        }
    }

    @Test(
        "Malformed JSON is refused with its position",
        arguments: [
            Malformed("", 1, 1, "the document ends too early"),
            Malformed("  \n ", 2, 2, "the document ends too early"),
            Malformed("nul", 1, 1, "unexpected 'n'"),
            Malformed("True", 1, 1, "unexpected 'T'"),
            Malformed("1 2", 1, 3, "unexpected '2'"),
            Malformed("\u{feff}1", 1, 1, "unexpected byte 0xef"),
            Malformed("01", 1, 1, "not a JSON number"),
            Malformed("-", 1, 1, "not a JSON number"),
            Malformed("-01", 1, 1, "not a JSON number"),
            Malformed("1.", 1, 1, "not a JSON number"),
            Malformed("1e", 1, 1, "not a JSON number"),
            Malformed("1e+-2", 1, 1, "not a JSON number"),
            Malformed(".5", 1, 1, "unexpected '.'"),
            Malformed("+1", 1, 1, "unexpected '+'"),
            Malformed("0x10", 1, 2, "unexpected 'x'"),
            Malformed("NaN", 1, 1, "unexpected 'N'"),
            Malformed("[1,]", 1, 4, "unexpected ']'"),
            Malformed("[1 2]", 1, 4, "unexpected '2'"),
            Malformed("[", 1, 2, "the document ends too early"),
            Malformed("[1", 1, 3, "the document ends too early"),
            Malformed("{\"a\":1,}", 1, 8, "unexpected '}'"),
            Malformed("{a:1}", 1, 2, "unexpected 'a'"),
            Malformed("{\"a\"}", 1, 5, "unexpected '}'"),
            Malformed("{\"a\":}", 1, 6, "unexpected '}'"),
            Malformed("{\"a\":1\n \"b\":2}", 2, 2, "unexpected '\"'"),
            Malformed("{'a':1}", 1, 2, "unexpected '''"),
            Malformed("{\"a\":1,\n\"\\u0061\":2}", 2, 1, "the field stands twice in this object"),
            Malformed("// c\n1", 1, 1, "unexpected '/'"),
            Malformed("\"abc", 1, 1, "the string is not closed"),
            Malformed("\"a\tb\"", 1, 3, "a control character must be escaped"),
            Malformed("\"é\nb\"", 1, 3, "a control character must be escaped"),
            Malformed(#""\x41""#, 1, 2, "unknown escape"),
            Malformed(#""\u12g4""#, 1, 2, "not a character"),
            Malformed(#""\ud800""#, 1, 2, "not a character"),
            Malformed(#""\udc00""#, 1, 2, "not a character"),
            Malformed(#""\ud800\u0041""#, 1, 2, "not a character"),
            Malformed(#""\"#, 1, 2, "unknown escape"),
        ]
    )
    func malformed(_ input: Malformed) {
        let errors = #expect(throws: ConfigErrors.self) { try ConfigNode.parse(json: input.text) }
        #expect(errors?.errors.first?.problem == input.problem)
        #expect(
            errors?.errors.first?.position
                == ConfigPosition(line: input.line, column: input.column)
        )
    }

    @Test(
        "Bytes that are not UTF-8 are refused",
        arguments: [
            [0xff], [0xc0, 0x80], [0xe2, 0x82], [0xed, 0xa0, 0x80], [0xf5, 0x80, 0x80, 0x80],
        ] as [[UInt8]]
    )
    func invalidUTF8(bytes: [UInt8]) {
        let quote = UInt8(ascii: "\"")
        let errors = #expect(throws: ConfigErrors.self) {
            try ConfigNode.parse(json: [quote] + bytes + [quote])
        }
        #expect(errors?.errors.first?.problem == "the string is not UTF-8")
    }

    @Test("The deepest allowed nesting is read, one more is refused")
    func depth() throws {
        let depth = Limits.documentDepthMax
        let deepest = String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        #expect(try JSONWriter.text(ConfigNode.parse(json: deepest)) == deepest)
        let errors = #expect(throws: ConfigErrors.self) {
            try ConfigNode.parse(json: "[\(deepest)]")
        }
        #expect(errors?.errors.first?.problem == "nested too deep")
    }

    @Test("A document over the size bound is refused before it is parsed")
    func size() {
        let text = [UInt8](repeating: UInt8(ascii: " "), count: Limits.documentBytesMax + 1)
        let errors = #expect(throws: ConfigErrors.self) {
            try ConfigNode.parse(json: text, file: "a.json")
        }
        #expect(errors?.errors.first?.problem == "the document is too large")
        #expect(errors?.errors.first?.file == "a.json")
    }

    @Test("More values than the bound are refused")
    func nodes() {
        let text = "[" + String(repeating: "1,", count: Limits.documentNodesMax) + "1]"
        let errors = #expect(throws: ConfigErrors.self) { try ConfigNode.parse(json: text) }
        #expect(errors?.errors.first?.problem == "too many values")
    }

    @Test("Every truncation and every flipped byte of a document is read or refused, never a trap")
    func mutations() {
        let text = Array(#"{"a":[1,-2.5e3,"é\u0041\ud83d\ude00",{"b":null}],"c":true}"#.utf8)
        var refused = 0
        for end in text.indices {
            do { _ = try ConfigNode.parse(json: Array(text[..<end])) } catch { refused += 1 }
        }
        #expect(refused == text.count)
        var generator = SplitMix64(seed: 7)
        for _ in 0..<5_000 {
            var mutated = text
            mutated[Int.random(in: text.indices, using: &generator)] =
                UInt8.random(in: 0...255, using: &generator)
            guard let node = try? ConfigNode.parse(json: mutated) else { continue }
            // What was accepted must have one spelling that reads back as itself.
            let spelled = JSONWriter.text(node)
            #expect((try? ConfigNode.parse(json: spelled)).map(JSONWriter.text) == spelled)
        }
    }
}

/// A seeded generator, so that a failure can be run again.
struct SplitMix64: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) {
        state = seed
    }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}
