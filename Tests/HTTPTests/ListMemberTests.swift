import Bytes
import HTTP
import Testing

struct ListMemberTests {
    @Test(
        "members come without white space and empty ones not at all (RFC 9110 §5.6.1.2)",
        arguments: [
            ("", []), (",", []), (" \t ,, ", []), ("a", ["a"]), (" a , b\t", ["a", "b"]),
            (",a,,b c,", ["a", "b c"]),
        ]
    )
    func members(text: String, expected: [String]) {
        let bytes = Array(text.utf8)
        var position = 0
        var found: [String] = []
        while let range = bytes.span.nextListMember(at: &position) {
            found.append(bytes.span.extracting(range).string)
        }
        #expect(found == expected)
    }
}
