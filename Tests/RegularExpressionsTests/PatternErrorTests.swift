import Testing

@testable import RegularExpressions

struct PatternErrorTests {
    @Test(
        "a bad pattern is refused with what is wrong and where",
        arguments: [
            ("", .empty, 0), ("a(b", .unclosedGroup, 1), ("(a|", .unclosedGroup, 0),
            ("(?i", .unclosedGroup, 0), ("a)b", .unopenedGroup, 1), ("(a))", .unopenedGroup, 3),
            ("a(?=b)", .unknownGroup, 1), ("(?!a)", .unknownGroup, 0), ("(?<=a)", .unknownGroup, 0),
            ("(?<!a)", .unknownGroup, 0), ("(?P=a)", .unknownGroup, 0),
            ("(?P>a)", .unknownGroup, 0),
            ("(?m)a", .unknownGroup, 0), ("(?)", .unknownGroup, 0), ("(?-)a", .unknownGroup, 0),
            ("(?#a)", .unknownGroup, 0), ("(?P<a", .unknownGroup, 0), ("(?<>a)", .unknownGroup, 0),
            ("ab[c", .unclosedClass, 2), ("[]", .unclosedClass, 0), ("[^]", .unclosedClass, 0),
            ("[a-", .unclosedClass, 0), ("[z-a]", .emptyRange, 1),
            ("[[:letters:]]", .unknownClassName, 1),
            ("[ä]", .characterInClass, 1), ("[a\\x{e4}]", .characterInClass, 2),
            ("*a", .nothingToRepeat, 0), ("a|+", .nothingToRepeat, 2),
            ("(?:?)", .nothingToRepeat, 3),
            ("({2})", .nothingToRepeat, 1), ("(?i)*", .nothingToRepeat, 4),
            ("a**", .repeatedRepeat, 2), ("a+*", .repeatedRepeat, 2),
            ("a{2}{3}", .repeatedRepeat, 4),
            ("a*??", .repeatedRepeat, 3), ("a{3,2}", .repeatCount, 1), ("a{1001}", .repeatCount, 1),
            ("a{0,99999999999999999999}", .repeatCount, 1),
            ("a\\", .unfinishedEscape, 1), ("\\x4", .unfinishedEscape, 0),
            ("\\x{}", .unfinishedEscape, 0), ("\\x{41", .unfinishedEscape, 0),
            ("\\x{d800}", .unfinishedEscape, 0), ("\\x{ffffff}", .unfinishedEscape, 0),
            ("(a)\\1", .unknownEscape, 3), ("\\b", .unknownEscape, 0), ("\\pL", .unknownEscape, 0),
            ("\\Q", .unknownEscape, 0), ("[\\é]", .unknownEscape, 1), ("\\é", .unknownEscape, 0),
        ] as [(String, PatternError.Reason, Int)]
    )
    func refused(_ text: String, _ reason: PatternError.Reason, _ position: Int) {
        #expect(throws: PatternError(reason, at: position), "\(text)") { _ = try Pattern(text) }
    }

    @Test("a message says what, where, and what is allowed")
    func message() throws {
        #expect(
            PatternError(.repeatCount, at: 7).description
                == "a bad count at byte 7 (allowed: {m}, {m,} or {m,n}, m <= n <= 1000)"
        )
    }

    @Test("what grows beyond the limits when it is written out is refused at once")
    func tooLarge() {
        #expect(throws: PatternError(.tooLarge, at: 2)) { _ = try Pattern("(a{99}){99}") }
        for text in [
            "((((a{1000}){1000}){1000}){1000}){1000}", "((((){1000}){1000}){1000}){1000}",
            "(a?){1000}(b?){1000}(c?){1000}", "(((^){1000}){1000}){1000}",
        ] {
            #expect(throws: PatternError.self, "\(text)") { _ = try Pattern(text) }
        }
        #expect(throws: PatternError(.tooLong, at: 4_096)) {
            _ = try Pattern(String(repeating: "a", count: 4_097))
        }
        #expect(throws: PatternError(.tooNested, at: 64)) {
            _ = try Pattern(String(repeating: "(", count: 1_000))
        }
        #expect(throws: Never.self) {
            _ = try Pattern(String(repeating: "(", count: 64) + String(repeating: ")", count: 64))
        }
    }
}
