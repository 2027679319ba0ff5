import RegularExpressions
import Testing

struct PatternTests {
    private func matches(_ pattern: String, _ input: String) throws -> Bool {
        let bytes = Array(input.utf8)
        return try Pattern(pattern).matches(bytes.span)
    }

    @Test("letters match themselves and nothing else")
    func letters() throws {
        #expect(try matches("abc", "abc"))
        #expect(try !matches("abc", "abd"))
    }
}
