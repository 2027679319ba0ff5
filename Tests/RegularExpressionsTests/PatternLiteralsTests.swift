import RegularExpressions
import Testing

struct PatternLiteralsTests {
    private func literals(_ text: String) throws -> (prefixes: [String], inside: [[String]]) {
        func strings(_ list: [[UInt8]]) -> [String] {
            list.map { String(decoding: $0, as: UTF8.self) }
        }
        let literals = try Pattern(text).literals
        return (strings(literals.prefixes), literals.inside.map(strings))
    }

    @Test(
        "what every match begins with",
        arguments: [
            ("/api/v1/users/[0-9]+", ["/api/v1/users/"]), ("/api", ["/api"]),
            ("^/api/.*$", ["/api/"]), ("\\A/a\\.b\\z", ["/a.b"]), ("/é.*", ["/é"]),
            ("/(v1|v2)/x/.*", ["/v1/x/", "/v2/x/"]), ("/a(b)?c.*", ["/abc", "/ac"]),
            ("(/a|/b/.*)", ["/a", "/b/"]), ("/x{3}.*", ["/xxx"]), ("/x{2,}y", ["/xx"]),
            ("(/a)+", ["/a"]), ("/v[12]/", ["/v1/", "/v2/"]),
            ("(?i)/ab1.*", ["/AB1", "/Ab1", "/aB1", "/ab1"]),
            ("(/a[0-9])+x", ["/a"]), ("/(a[0-9]|b.*)", ["/a", "/b"]),
        ]
    )
    func prefixes(_ text: String, _ expected: [String]) throws {
        #expect(try literals(text).prefixes.sorted() == expected)
    }

    @Test(
        "what every match has inside",
        arguments: [
            ("/v[0-9]+/users/.*", [["/users/"]]), (".*\\.(png|jpg)", [[".png", ".jpg"]]),
            ("[0-9]+/a/.*/b", [["/a/"], ["/b"]]), ("[0-9](x.*y)z", [["x"], ["y"], ["z"]]),
            ("(.*/a/.*|.*/bb/.*)", [["/a/", "/bb/"]]), ("[a-z]+(/x[0-9]*)+", [["/x"]]),
        ]
    )
    func inside(_ text: String, _ expected: [[String]]) throws {
        let literals = try literals(text)
        #expect(literals.inside == expected)
    }

    @Test(
        "a pattern without a text that all matches have has none",
        arguments: [
            ".*", "[a-z]+", "a*", "(a|.*)", "(a|)", "a?", "(a|b|c|d|e|f|g|h|i)", "^", "[^/]{3}",
            "(abc){0,3}", "(a*)+", "()",
        ]
    )
    func none(_ text: String) throws {
        let literals = try literals(text)
        #expect(literals.prefixes.isEmpty)
        #expect(literals.inside.isEmpty)
    }

    @Test("texts are bounded in number and length, and what is cut is still needed")
    func bounds() throws {
        let long = String(repeating: "abcdefghij", count: 100)
        let cut = try literals(long)
        #expect(cut.prefixes == [String(long.prefix(128))])
        #expect(cut.inside.count == 7 && cut.inside.allSatisfy { long.contains($0[0]) })
        let choices = try literals("/[ab][ab][ab][ab][ab][ab]x")
        #expect(choices.prefixes.count == 8)
        #expect(choices.inside.joined().contains { $0.hasSuffix("x") })
        let many = try literals((0..<200).map { "[^/]+/\($0)" }.joined())
        #expect(many.inside.count == 16)
        // Nine times 81 are too many to join: what is known of the first part is enough.
        let nested = try literals("((((a{9}){9}){9})x*)y")
        #expect(nested.prefixes == [String(repeating: "a", count: 81)])
        #expect(nested.inside.last == ["y"])
    }
}
