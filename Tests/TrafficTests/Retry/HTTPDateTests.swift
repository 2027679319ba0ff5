import Testing
import Time

@testable import Traffic

struct HTTPDateTests {
    private func parse(_ text: String, year: Int64 = 2026) -> Int64? {
        let days = HTTPDate.daysSince1970(year: year, month: 11, day: 21)
        let now = WallTime(unixNanoseconds: days * 86_400 * 1_000_000_000)
        return HTTPDate.parse(Array(text.utf8).span, now: now)
    }

    @Test(
        "the three formats of RFC 9110 §5.6.7 are the same instant",
        arguments: [
            "Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ]
    )
    func formats(_ text: String) {
        #expect(parse(text) == 784_111_777)
    }

    @Test("a year of two digits is never more than 50 years ahead")
    func century() {
        #expect(parse("Saturday, 21-Nov-76 00:00:00 GMT") == 3_373_142_400)
        #expect(parse("Monday, 21-Nov-77 00:00:00 GMT") == 248_918_400)
        #expect(parse("Friday, 21-Nov-25 00:00:00 GMT") == 1_763_683_200)
    }

    @Test("days are counted as the calendar has them, with its leap years")
    func calendar() {
        #expect(parse("Thu, 01 Jan 1970 00:00:00 GMT") == 0)
        #expect(parse("Tue, 29 Feb 2000 00:00:00 GMT") == 951_782_400)
        #expect(parse("Thu, 29 Feb 2024 23:59:59 GMT") == 1_709_251_199)
        #expect(parse("Tue, 19 Jan 2038 03:14:08 GMT") == 2_147_483_648)
        #expect(parse("Mon, 01 Jan 0000 00:00:00 GMT") == -62_167_219_200)
        #expect(parse("Fri, 31 Dec 9999 23:59:59 GMT") == 253_402_300_799)
        #expect(parse("Fri, 31 Dec 1999 23:59:60 GMT") == 946_684_800)
        // Every day of 800 years follows the one before.
        var day = HTTPDate.daysSince1970(year: 1_600, month: 1, day: 1)
        for year in 1_600..<2_400 as Range<Int64> {
            let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
            let lengths: [Int64] = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
            for (month, length) in lengths.enumerated() {
                let first = HTTPDate.daysSince1970(year: year, month: Int64(month + 1), day: 1)
                guard first == day else {
                    Issue.record("\(year)-\(month + 1)")
                    return
                }
                day += length
            }
        }
    }

    @Test(
        "anything else is no date",
        arguments: [
            "", ",", "Sun,", "Sun, ", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 06 Nov 1994 08:49:37 GMT ", " Sun, 06 Nov 1994 08:49:37 GMT",
            "Son, 06 Nov 1994 08:49:37 GMT", "sun, 06 nov 1994 08:49:37 gmt",
            "Sun, 6 Nov 1994 08:49:37 GMT", "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, 31 Nov 1994 08:49:37 GMT", "Wed, 29 Feb 2023 00:00:00 GMT",
            "Thu, 29 Feb 1900 00:00:00 GMT", "Sun, 06 Nov 1994 24:00:00 GMT",
            "Sun, 06 Nov 1994 08:60:37 GMT", "Sun, 06 Nov 1994 08:49:61 GMT",
            "Sun, 06 Nov 94 08:49:37 GMT", "Sun, 06-Nov-94 08:49:37 GMT",
            "Sunday, 06-Nov-1994 08:49:37 GMT", "Sunday, 06 Nov 94 08:49:37 GMT",
            "Sun Nov 6 08:49:37 1994", "Sun Nov  6 08:49:37 94", "Sun Nov  6 08:49:37 1994 GMT",
            "Sun Foo  6 08:49:37 1994", "Sun, +6 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov -994 08:49:37 GMT", "1994-11-06T08:49:37Z", "784111777",
        ]
    )
    func malformed(_ text: String) {
        #expect(parse(text) == nil)
    }

    @Test("no cut and no changed byte of a date traps")
    func hostile() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT", "Wednesday, 09-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            let bytes = Array(text.utf8)
            for count in 0..<bytes.count { #expect(parse(String(text.prefix(count))) == nil) }
            let now = WallTime(unixNanoseconds: .min)
            for index in bytes.indices {
                for byte in UInt8.min ... .max {
                    var changed = bytes
                    changed[index] = byte
                    _ = HTTPDate.parse(changed.span, now: now)
                }
            }
        }
        #expect(parse(String(repeating: "S", count: 100_000)) == nil)
    }
}
