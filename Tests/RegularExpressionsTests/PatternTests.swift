import Testing

@testable import RegularExpressions

struct PatternTests {
    /// What a pattern says about an input; both engines must agree.
    private func matches(_ pattern: String, _ input: String) throws -> Bool {
        let bytes = Array(input.utf8)
        let simulated = try Pattern(pattern, tableStatesMax: 0).matches(bytes)
        #expect(try Pattern(pattern).matches(bytes) == simulated, "\(pattern) on \(input)")
        return simulated
    }

    private func check(_ pattern: String, takes: [String], leaves: [String]) throws {
        for input in takes { #expect(try matches(pattern, input), "\(pattern) on \(input)") }
        for input in leaves { #expect(try !matches(pattern, input), "\(pattern) on \(input)") }
    }

    @Test("letters match themselves, all of the input, and nothing else")
    func letters() throws {
        try check("abc", takes: ["abc"], leaves: ["abd", "ab", "abcd", "xabc", "", "ABC"])
        try check("é", takes: ["é"], leaves: ["e", "É", "\u{e8}"])
        try check("}]-,:", takes: ["}]-,:"], leaves: [""])
    }

    @Test("a dot is one byte other than a line feed, unless (?s) says otherwise")
    func dot() throws {
        try check("a.c", takes: ["abc", "a/c", "a.c"], leaves: ["ac", "abbc", "a\nc"])
        try check("a..c", takes: ["aéc"], leaves: ["aec"])
        try check("(?s)a.c", takes: ["a\nc"], leaves: [])
        try check("(?s:a.).", takes: ["a\nc"], leaves: ["a\n\n"])
    }

    @Test("repetitions, lazy or not, bounded or not")
    func repetitions() throws {
        for lazy in ["", "?"] {
            try check("ab*\(lazy)c", takes: ["ac", "abc", "abbbbc"], leaves: ["c", "abb", "adc"])
            try check("ab+\(lazy)c", takes: ["abc", "abbbbc"], leaves: ["ac", "abb"])
            try check("ab?\(lazy)c", takes: ["ac", "abc"], leaves: ["abbc"])
            try check("a{2}\(lazy)", takes: ["aa"], leaves: ["a", "aaa", ""])
            try check("a{2,}\(lazy)", takes: ["aa", "aaaaa"], leaves: ["a", ""])
            try check("a{2,3}\(lazy)b", takes: ["aab", "aaab"], leaves: ["ab", "aaaab"])
            try check("a{0}b\(lazy)", takes: ["b", lazy.isEmpty ? "b" : ""], leaves: ["ab"])
        }
        try check("(?:ab){2,3}", takes: ["abab", "ababab"], leaves: ["ab", "abba", "abababab"])
        try check("(?:a{1,2}){2}", takes: ["aa", "aaa", "aaaa"], leaves: ["a", "aaaaa"])
        try check("(a*)*", takes: ["", "aaa"], leaves: ["b"])
        try check("(a*)+", takes: ["", "aaa"], leaves: ["b"])
        try check("(|a)*b", takes: ["b", "aab"], leaves: ["a"])
        try check("é+", takes: ["é", "éé"], leaves: ["", "\u{e8}"])
    }

    @Test("a brace that is no count is a character, as in RE2")
    func braces() throws {
        try check("a{", takes: ["a{"], leaves: ["a"])
        try check("a{,2}", takes: ["a{,2}"], leaves: ["aa"])
        try check("a{x}", takes: ["a{x}"], leaves: ["ax"])
        try check("{a}", takes: ["{a}"], leaves: ["a"])
        try check("a{1", takes: ["a{1"], leaves: ["a"])
    }

    @Test("alternation binds weaker than sequence; branches may be empty")
    func alternation() throws {
        try check("ab|cd", takes: ["ab", "cd"], leaves: ["abd", "acd", "abcd", ""])
        try check("a(b|c|)d", takes: ["abd", "acd", "ad"], leaves: ["abcd"])
        try check("|a", takes: ["", "a"], leaves: ["aa"])
        try check("(?:(?P<one>x)|(?<two>y))+", takes: ["x", "yx"], leaves: ["", "z"])
    }

    @Test("classes: ranges, complements, escapes and POSIX names")
    func classes() throws {
        try check("[a-c]", takes: ["a", "b", "c"], leaves: ["d", "", "ab", "A", "-"])
        try check("[^a-c]", takes: ["d", "-", "\n"], leaves: ["a", ""])
        try check("[^/]+", takes: ["ab", "é"], leaves: ["a/b", ""])
        try check("[]a]+", takes: ["]a]"], leaves: ["b"])
        try check("[^]a]", takes: ["b"], leaves: ["]", "a"])
        try check("[a-]", takes: ["a", "-"], leaves: ["b"])
        try check("[-a]", takes: ["a", "-"], leaves: ["b"])
        try check("[a\\-z]", takes: ["a", "-", "z"], leaves: ["b"])
        try check("[\\d-z]", takes: ["5", "-", "z"], leaves: ["a"])
        try check("[\\]\\\\]", takes: ["]", "\\"], leaves: ["["])
        try check("[[:alpha:]_]", takes: ["a", "Z", "_"], leaves: ["1", ":"])
        try check("[[:^digit:]]", takes: ["a"], leaves: ["1"])
        try check("[[a]", takes: ["[", "a"], leaves: ["]"])
        try check("[.$^*|]", takes: [".", "$", "^", "*", "|"], leaves: ["a", "\\"])
        try check("\\d\\D", takes: ["1a"], leaves: ["11", "aa"])
        try check("\\w\\W", takes: ["_-", "Z "], leaves: ["__", "--"])
        try check("\\s\\S", takes: [" a", "\ta"], leaves: ["aa", "  "])
    }

    @Test("escapes are characters, by name, by number, or themselves")
    func escapes() throws {
        try check("\\.\\*\\/\\_\\-", takes: [".*/_-"], leaves: ["a*/_-"])
        try check("\\t\\n\\r\\f\\v\\a", takes: ["\t\n\r\u{0C}\u{0B}\u{07}"], leaves: [])
        try check("\\x41\\x{42}\\x{e9}", takes: ["ABé"], leaves: ["AB"])
    }

    @Test("(?i) folds ASCII letters, to the end of its group")
    func foldsCase() throws {
        try check("(?i)aB[c-d]1", takes: ["ABC1", "abd1"], leaves: ["abe1"])
        try check("a(?i:b)c", takes: ["abc", "aBc"], leaves: ["Abc", "abC"])
        try check("(a(?i)b|c)d", takes: ["aBd", "Cd"], leaves: ["ABd", "cD"])
        try check("(?i)a(?-i)b", takes: ["Ab"], leaves: ["aB"])
        try check("(?i)[^a]", takes: ["b"], leaves: ["a", "A"])
    }

    @Test("anchors hold at the ends alone, wherever they stand")
    func anchors() throws {
        try check("^abc$", takes: ["abc"], leaves: ["ab", "abcd"])
        try check("\\Aabc\\z", takes: ["abc"], leaves: ["ab"])
        try check("a^b", takes: [], leaves: ["ab", "a^b"])
        try check("a$b", takes: [], leaves: ["ab"])
        try check("a*^b", takes: ["b"], leaves: ["ab"])
        try check("(^a|b)*", takes: ["", "a", "abb", "bb"], leaves: ["ba", "aa"])
        try check("(a$|b)*", takes: ["", "a", "ba"], leaves: ["ab", "aa"])
        try check("$^", takes: [""], leaves: ["a"])
        try check("(?:a|^$)b?", takes: ["", "a", "ab"], leaves: ["b"])
        try check("^*a", takes: ["a"], leaves: [""])
    }

    @Test("bytes that are no UTF-8 are bytes")
    func bytes() throws {
        let bytes: [UInt8] = [0x2F, 0xFF, 0x00, 0xC3]
        #expect(try Pattern("/.*").matches(bytes))
        #expect(try Pattern("/[^a]{3}").matches(bytes))
        #expect(try !Pattern("/\\w+").matches(bytes))
        #expect(try !Pattern("/ÿ.*").matches(bytes))
    }

    @Test("what routes are written with is compiled to a table")
    func tables() throws {
        for text in [
            "/api/v[0-9]+/users/[^/]+/orders(/.*)?", "(?i)(?:.*;)?\\s*beta=(true|1)(;.*)?",
            "application/(json|xml|.*\\+json)", "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
        ] {
            #expect(try Pattern(text).isTable, "\(text)")
        }
        #expect(try !Pattern(".*a.{12}").isTable)
        #expect(try !Pattern("(a|b)*a(a|b){20}").isTable)
    }

    @Test("patterns are equal when they are written the same")
    func equality() throws {
        #expect(try Pattern("a+") == Pattern("a+"))
        #expect(try Pattern("a+") != Pattern("aa*"))
        #expect(try Set([Pattern("a"), Pattern("a"), Pattern("b")]).count == 2)
        #expect(try Pattern("a+").text == "a+")
    }
}

extension Pattern {
    func matches(_ bytes: [UInt8]) -> Bool { matches(bytes.span) }

    func steps(_ bytes: [UInt8]) -> Int { steps(bytes.span) }
}
