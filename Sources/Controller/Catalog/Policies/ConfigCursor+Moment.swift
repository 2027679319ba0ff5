import MeshModel

extension ConfigCursor {
    /// A moment in Unix seconds: `2026-06-30`, which starts in UTC, or `2026-06-30T12:00:00Z`.
    func moment() -> Int64? {
        let allowed = "a date like 2026-06-30 or a time like 2026-06-30T12:00:00Z, from 1970 on"
        guard let text = string() else { return nil }
        guard let seconds = Self.unixSeconds(text) else {
            report("not a date or a time in UTC", allowed: allowed)
            return nil
        }
        return seconds
    }

    /// RFC 3339 §5.6 in UTC without parts of a second.
    private static func unixSeconds(_ text: String) -> Int64? {
        let bytes = Array(text.utf8)
        guard bytes.count == 10 || bytes.count == 20 else { return nil }
        let template = Array("0000-00-00T00:00:00Z".utf8).prefix(bytes.count)
        for (byte, expected) in zip(bytes, template) {
            let isDigit = (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
            guard expected == UInt8(ascii: "0") ? isDigit : byte == expected else { return nil }
        }
        let number = { (range: Range<Int>) in
            range.upperBound <= bytes.count
                ? bytes[range].reduce(0) { $0 * 10 + Int64($1 - UInt8(ascii: "0")) } : 0
        }
        let (year, month, day) = (number(0..<4), number(5..<7), number(8..<10))
        let (hour, minute, second) = (number(11..<13), number(14..<16), number(17..<19))
        let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
        let lengths = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] as [Int64]
        guard year >= 1970, (1...12).contains(month),
            (1...lengths[Int(month) - 1]).contains(day), hour < 24, minute < 60, second < 60
        else { return nil }
        let before = year - 1
        let leapDays = before / 4 - before / 100 + before / 400 - 477  // of the years until 1969
        let days =
            (year - 1970) * 365 + leapDays + lengths.prefix(Int(month) - 1).reduce(0, +) + day - 1
        return days * 86_400 + hour * 3_600 + minute * 60 + second
    }
}
