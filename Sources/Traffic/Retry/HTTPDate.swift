// Dates of HTTP fields (RFC 9110 §5.6.7): the one format senders write, and the two old ones that
// recipients must still read. Calendar arithmetic only; no time zones, no locale.

import Bytes
public import Time

/// Reads dates of HTTP fields.
public enum HTTPDate {
    /// Seconds since 1970-01-01T00:00:00Z; nil when `value` is none of the three formats.
    ///
    /// `now`: decides the century of a year of two digits, which is never more than 50 years ahead.
    /// The name of the day is not held against the date.
    public static func parse(_ value: Span<UInt8>, now: WallTime) -> Int64? {
        guard value.count <= bytesMax else { return nil }
        var reader = Reader(value)
        guard let comma = value.firstIndex(of: UInt8(ascii: ",")) else {
            guard isDayName(value, count: 3) else { return nil }
            reader.position = 3
            return asctime(&reader)
        }
        guard isDayName(value, count: comma) else { return nil }
        reader.position = comma + 1
        return comma == 3 ? imfFixdate(&reader) : rfc850(&reader, now: now)
    }

    /// `Sun, 06 Nov 1994 08:49:37 GMT`.
    private static func imfFixdate(_ reader: inout Reader) -> Int64? {
        guard reader.skip(" "), let day = reader.number(digits: 2),
            reader.skip(" "), let month = reader.month(),
            reader.skip(" "), let year = reader.number(digits: 4),
            reader.skip(" "), let time = reader.timeOfDay(),
            reader.skip(" GMT"), reader.isAtEnd
        else { return nil }
        return seconds(year: year, month: month, day: day, time: time)
    }

    /// `Sunday, 06-Nov-94 08:49:37 GMT`.
    private static func rfc850(_ reader: inout Reader, now: WallTime) -> Int64? {
        guard reader.skip(" "), let day = reader.number(digits: 2),
            reader.skip("-"), let month = reader.month(),
            reader.skip("-"), let short = reader.number(digits: 2),
            reader.skip(" "), let time = reader.timeOfDay(),
            reader.skip(" GMT"), reader.isAtEnd
        else { return nil }
        let thisYear = year(ofDay: now.unixSeconds.dividedDown(by: 86_400))
        var full = thisYear - thisYear.remainderDown(by: 100) + short
        if full > thisYear + 50 { full -= 100 }
        return seconds(year: full, month: month, day: day, time: time)
    }

    /// `Sun Nov  6 08:49:37 1994`.
    private static func asctime(_ reader: inout Reader) -> Int64? {
        guard reader.skip(" "), let month = reader.month(), reader.skip(" "),
            let day = reader.skip(" ") ? reader.number(digits: 1) : reader.number(digits: 2),
            reader.skip(" "), let time = reader.timeOfDay(),
            reader.skip(" "), let year = reader.number(digits: 4), reader.isAtEnd
        else { return nil }
        return seconds(year: year, month: month, day: day, time: time)
    }

    /// The longest is `Wednesday, 06-Nov-94 08:49:37 GMT`.
    private static let bytesMax = 33

    private static func isDayName(_ bytes: Span<UInt8>, count: Int) -> Bool {
        guard count >= 3, bytes.count >= count else { return false }
        let name = bytes.extracting(first: count)
        if count == 3 {
            return name.equals("Mon") || name.equals("Tue") || name.equals("Wed")
                || name.equals("Thu") || name.equals("Fri") || name.equals("Sat")
                || name.equals("Sun")
        }
        return name.equals("Monday") || name.equals("Tuesday") || name.equals("Wednesday")
            || name.equals("Thursday") || name.equals("Friday") || name.equals("Saturday")
            || name.equals("Sunday")
    }

    private static func seconds(year: Int64, month: Int64, day: Int64, time: Int64) -> Int64? {
        guard (1...daysIn(month: month, year: year)).contains(day) else { return nil }
        return daysSince1970(year: year, month: month, day: day) * 86_400 + time
    }

    private static func daysIn(month: Int64, year: Int64) -> Int64 {
        switch month {
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }

    /// Days of the proleptic Gregorian calendar, counted in years that begin in March so that the
    /// leap day is the last.
    static func daysSince1970(year: Int64, month: Int64, day: Int64) -> Int64 {
        let year = month <= 2 ? year - 1 : year
        let era = year.dividedDown(by: 400)
        let yearOfEra = year - era * 400
        let dayOfYear = (153 * ((month + 9) % 12) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return era * 146_097 + dayOfEra - 719_468
    }

    private static func year(ofDay day: Int64) -> Int64 {
        let shifted = day + 719_468
        let era = shifted.dividedDown(by: 146_097)
        let dayOfEra = shifted - era * 146_097
        let yearOfEra =
            (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        return yearOfEra + era * 400 + (dayOfYear >= 306 ? 1 : 0)
    }
}

/// Takes a date's parts one after the other.
private struct Reader {
    private let bytes: ContiguousArray<UInt8>
    var position = 0

    init(_ value: Span<UInt8>) {
        var bytes = ContiguousArray<UInt8>()
        for index in 0..<value.count { bytes.append(value[index]) }
        self.bytes = bytes
    }

    var isAtEnd: Bool { position == bytes.count }

    mutating func skip(_ literal: StaticString) -> Bool {
        let end = position + literal.utf8CodeUnitCount
        guard end <= bytes.count, bytes.span.extracting(position..<end).equals(literal) else {
            return false
        }
        position = end
        return true
    }

    mutating func number(digits: Int) -> Int64? {
        guard bytes.count - position >= digits else { return nil }
        var number: Int64 = 0
        for index in position..<position + digits {
            let digit = bytes[index] &- 0x30
            guard digit <= 9 else { return nil }
            number = number * 10 + Int64(digit)
        }
        position += digits
        return number
    }

    mutating func month() -> Int64? {
        let names: InlineArray<12, StaticString> = [
            "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
        ]
        for index in 0..<12 where skip(names[index]) { return Int64(index + 1) }
        return nil
    }

    /// Seconds of a day; a leap second counts as the first of the next minute.
    mutating func timeOfDay() -> Int64? {
        guard let hour = number(digits: 2), hour < 24,
            skip(":"), let minute = number(digits: 2), minute < 60,
            skip(":"), let second = number(digits: 2), second <= 60
        else { return nil }
        return hour * 3_600 + minute * 60 + second
    }
}

extension Int64 {
    /// The quotient rounded down, also below 0.
    fileprivate func dividedDown(by divisor: Int64) -> Int64 {
        (self >= 0 ? self : self - (divisor - 1)) / divisor
    }

    fileprivate func remainderDown(by divisor: Int64) -> Int64 {
        self - dividedDown(by: divisor) * divisor
    }
}
