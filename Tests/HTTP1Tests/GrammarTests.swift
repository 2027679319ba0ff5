import Bytes
import HTTP
import Testing

@testable import HTTP1

struct GrammarTests {
    private let alphanumeric = Set(
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789".utf8
    )

    @Test("token characters are those of RFC 9110 §5.6.2, and no other byte")
    func token() {
        let members = alphanumeric.union("!#$%&'*+-.^_`|~".utf8)
        for byte in UInt8.min ... .max {
            #expect(Grammar.isToken(byte) == members.contains(byte), "\(byte)")
        }
    }

    @Test("hexadecimal digits have their values, and no other byte has one")
    func hexadecimal() {
        for byte in UInt8.min ... .max {
            let character = Character(Unicode.Scalar(byte))
            let expected = byte < 128 ? character.hexDigitValue.map { UInt64($0) } : nil
            #expect(Grammar.hexValue(byte) == expected, "\(byte)")
        }
    }

    @Test("numbers fit into 63 bits or are refused")
    func decimal() {
        func value(_ text: String) -> UInt64? { Grammar.decimal(Array(text.utf8).span) }
        #expect(value("0") == 0)
        #expect(value("00012") == 12)
        #expect(value("9223372036854775807") == UInt64(Int64.max))
        for text in ["", " 1", "1 ", "-1", "9223372036854775808", "99999999999999999999999"] {
            #expect(value(text) == nil, "\(text)")
        }
    }
}
