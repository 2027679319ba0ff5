// The character sets and small productions of RFC 9110 and RFC 3986 that heads are checked against.
//
// A set is two words of bits, one for each half of ASCII: a test is a shift and a mask, without a
// table in memory. The tests check every byte against the letters of the RFC.

import Bytes
import HTTP

enum Grammar {
    /// tchar of RFC 9110 §5.6.2.
    @inline(__always)
    static func isToken(_ byte: UInt8) -> Bool {
        isMember(byte, low: 0x03FF_6CFA_0000_0000, high: 0x57FF_FFFF_C7FF_FFFE)
    }

    /// How many bytes at the start of `bytes` are a token.
    @inline(__always)
    static func tokenCount(_ bytes: Span<UInt8>) -> Int {
        var index = 0
        while let unusual = bytes.firstUnusualInName(from: index) {
            guard isToken(bytes[unusual]) else { return unusual }
            index = unusual + 1
        }
        return bytes.count
    }

    /// Whether a path and query may be forwarded: visible ASCII without the fragment's `#`.
    ///
    /// That is wider than RFC 3986 by characters that browsers and tools send unescaped, such as
    /// `|` and `[`; all of them are harmless, as none can end the target.
    @inline(__always)
    static func isTarget(_ bytes: Span<UInt8>) -> Bool { bytes.firstInvalidInTarget() == nil }

    @inline(__always)
    static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }

    @inline(__always)
    static func isDigit(_ byte: UInt8) -> Bool { byte >= 0x30 && byte <= 0x39 }

    /// The value of a hexadecimal digit, or nil.
    @inline(__always)
    static func hexValue(_ byte: UInt8) -> UInt64? {
        switch byte {
        case 0x30...0x39: UInt64(byte - 0x30)
        case 0x41...0x46: UInt64(byte - 0x37)
        case 0x61...0x66: UInt64(byte - 0x57)
        default: nil
        }
    }

    /// The value of a non-empty run of digits that fits into 63 bits, or nil.
    static func decimal(_ digits: Span<UInt8>) -> UInt64? {
        let count = digits.count
        guard count > 0 else { return nil }
        var value: UInt64 = 0
        // 18 digits always fit.
        for index in 0..<min(count, 18) {
            let byte = digits[index]
            guard isDigit(byte) else { return nil }
            value = value &* 10 &+ UInt64(byte &- 0x30)
        }
        guard count > 18 else { return value }
        for index in 18..<count {
            let byte = digits[index]
            guard isDigit(byte) else { return nil }
            let (product, isTooLarge) = value.multipliedReportingOverflow(by: 10)
            guard !isTooLarge, product <= UInt64(Int64.max) - UInt64(byte - 0x30) else {
                return nil
            }
            value = product + UInt64(byte - 0x30)
        }
        return value
    }

    /// A field name as an error may show it: at most 40 bytes, nothing but token characters.
    static func fieldLabel(_ line: Span<UInt8>) -> String {
        var label = ""
        for index in 0..<line.count {
            let byte = line[index]
            if byte == UInt8(ascii: ":") { return label }
            if index == fieldLabelBytesMax { break }
            label.unicodeScalars.append(isToken(byte) ? Unicode.Scalar(byte) : "?")
        }
        return label + "..."
    }

    private static let fieldLabelBytesMax = 40

    @inline(__always)
    private static func isMember(_ byte: UInt8, low: UInt64, high: UInt64) -> Bool {
        let word = byte < 64 ? low : high
        return byte < 128 && (word &>> UInt64(byte & 63)) & 1 != 0
    }
}
