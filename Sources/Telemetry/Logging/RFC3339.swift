public import Bytes
public import Time

extension WallTime {
    /// Appends the time as `2026-11-21T01:02:03.004Z`: RFC 3339, UTC, cut to milliseconds.
    public func appendRFC3339(to buffer: ByteBuffer) {
        let (days, nanosecondOfDay) = unixNanoseconds.flooredDivision(by: 86_400_000_000_000)
        let date = civilDate(daysSince1970: days)
        let milliseconds = UInt64(nanosecondOfDay) / 1_000_000
        buffer.append(decimal: UInt64(date.year), digits: 4)
        buffer.append("-")
        buffer.append(decimal: UInt64(date.month), digits: 2)
        buffer.append("-")
        buffer.append(decimal: UInt64(date.day), digits: 2)
        buffer.append("T")
        buffer.append(decimal: milliseconds / 3_600_000, digits: 2)
        buffer.append(":")
        buffer.append(decimal: milliseconds / 60_000 % 60, digits: 2)
        buffer.append(":")
        buffer.append(decimal: milliseconds / 1_000 % 60, digits: 2)
        buffer.append(".")
        buffer.append(decimal: milliseconds % 1_000, digits: 3)
        buffer.append("Z")
    }

    /// The time as `2026-11-21T01:02:03.004Z`. Not for the request path.
    public var rfc3339: String {
        let buffer = ByteBuffer(capacity: 32)
        appendRFC3339(to: buffer)
        return buffer.string
    }
}

/// The date of a day, in the proleptic Gregorian calendar.
///
/// Years are counted from 1 March in eras of 400 years, so that the leap day ends each: H. Hinnant,
/// "chrono-Compatible Low-Level Date Algorithms". A 64-bit count of nanoseconds spans the years 1677
/// to 2262, so four digits always hold the year.
private func civilDate(daysSince1970: Int64) -> (year: Int64, month: Int64, day: Int64) {
    let (era, dayOfEra) = (daysSince1970 + 719_468).flooredDivision(by: 146_097)
    let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shiftedMonth = (5 * dayOfYear + 2) / 153
    let day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
    let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
    return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
}

extension Int64 {
    fileprivate func flooredDivision(by divisor: Int64) -> (quotient: Int64, remainder: Int64) {
        let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
    }
}

extension ByteBuffer {
    /// Appends `value` in decimal with leading zeros up to `digits`.
    func append(decimal value: UInt64, digits: Int) {
        var bound: UInt64 = 10
        for _ in 1..<digits {
            if value < bound { append(UInt8(ascii: "0")) }
            bound *= 10
        }
        append(decimal: value)
    }
}
