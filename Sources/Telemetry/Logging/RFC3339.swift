public import Bytes
public import Time

extension WallTime {
    /// Appends the time as `2026-11-21T01:02:03.004Z`: RFC 3339, UTC, cut to milliseconds.
    public func appendRFC3339(to buffer: ByteBuffer) {
        let (days, nanosecondOfDay) = unixNanoseconds.flooredDivision(by: 86_400_000_000_000)
        let milliseconds = UInt64(nanosecondOfDay) / 1_000_000
        appendDate(days, to: buffer)
        appendTimeOfDay(milliseconds / 1_000, to: buffer)
        buffer.append(".")
        buffer.append(decimal: milliseconds % 1_000, digits: 3)
        buffer.append("Z")
    }

    /// The time as `2026-11-21T01:02:03.004Z`, for the control path.
    public var rfc3339: String {
        let buffer = ByteBuffer(capacity: 32)
        appendRFC3339(to: buffer)
        return buffer.string
    }

    /// A time in seconds as `2026-11-21T01:02:03Z`, for the control path.
    ///
    /// Unlike a `WallTime` it reaches the year 9999, where certificates without an end have it
    /// (RFC 5280 §4.1.2.5); anything outside of the years 1 to 9999 is clamped.
    public static func rfc3339(unixSeconds: Int64) -> String {
        let clamped = min(max(unixSeconds, -62_135_596_800), 253_402_300_799)
        let (days, secondOfDay) = clamped.flooredDivision(by: 86_400)
        let buffer = ByteBuffer(capacity: 32)
        appendDate(days, to: buffer)
        appendTimeOfDay(UInt64(secondOfDay), to: buffer)
        buffer.append("Z")
        return buffer.string
    }
}

private func appendDate(_ daysSince1970: Int64, to buffer: ByteBuffer) {
    let date = civilDate(daysSince1970: daysSince1970)
    buffer.append(decimal: UInt64(date.year), digits: 4)
    buffer.append("-")
    buffer.append(decimal: UInt64(date.month), digits: 2)
    buffer.append("-")
    buffer.append(decimal: UInt64(date.day), digits: 2)
}

private func appendTimeOfDay(_ seconds: UInt64, to buffer: ByteBuffer) {
    buffer.append("T")
    buffer.append(decimal: seconds / 3_600, digits: 2)
    buffer.append(":")
    buffer.append(decimal: seconds / 60 % 60, digits: 2)
    buffer.append(":")
    buffer.append(decimal: seconds % 60, digits: 2)
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
