// Seconds → `Sun, 06 Nov 1994 08:49:37 GMT`, without a calendar of the system.

/// The date format of HTTP, IMF-fixdate (RFC 9110 §5.6.7).
enum IMFFixdate {
    /// The text for seconds since 1970, clamped to the years 1970...9999, which the format can say.
    static func text(unixSeconds: Int64) -> String {
        let seconds = min(max(unixSeconds, 0), 253_402_300_799)
        let (days, time) = seconds.quotientAndRemainder(dividingBy: 86_400)
        let (year, month, day) = civil(days: days)
        let weekday = weekdays[Int((days + 4) % 7)]
        let clock = "\(two(time / 3_600)):\(two(time / 60 % 60)):\(two(time % 60))"
        return "\(weekday), \(two(day)) \(months[Int(month - 1)]) \(year) \(clock) GMT"
    }

    /// Days since 1970 as a date of the Gregorian calendar.
    ///
    /// Years are counted from March, so that the day more of a leap year is the last one, and in eras
    /// of 400 years, after which the calendar repeats.
    private static func civil(days: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let shifted = days + 719_468
        let era = shifted / 146_097
        let dayOfEra = shifted % 146_097
        let leapDays = dayOfEra / 1_460 - dayOfEra / 36_524 + dayOfEra / 146_096
        let yearOfEra = (dayOfEra - leapDays) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
        let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
    }

    private static func two(_ value: Int64) -> String { value < 10 ? "0\(value)" : "\(value)" }

    private static let weekdays = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
    private static let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]
}
