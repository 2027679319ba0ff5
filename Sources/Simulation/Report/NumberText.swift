// Numbers as people read them, without Foundation.

/// `value` with so many digits behind the point.
func fixed(_ value: Double, digits: Int) -> String {
    guard value.isFinite, abs(value) < 1e15 else { return "\(value)" }
    var scale = 1.0
    for _ in 0..<digits { scale *= 10 }
    let scaled = (abs(value) * scale).rounded()
    let sign = value < 0 && scaled > 0 ? "-" : ""
    guard digits > 0 else { return sign + "\(Int(scaled))" }
    let (whole, rest) = Int(scaled).quotientAndRemainder(dividingBy: Int(scale))
    let text = "\(rest)"
    return sign + "\(whole)." + String(repeating: "0", count: digits - text.count) + text
}

/// A time in milliseconds, in the unit that suits it: `0.4 ms`, `25 ms`, `1.2 s`.
func timeText(milliseconds: Double) -> String {
    if milliseconds >= 1_000 {
        return significant(milliseconds / 1_000) + " s"
    }
    return significant(milliseconds) + " ms"
}

/// Two digits or more.
private func significant(_ value: Double) -> String {
    let digits = value >= 10 ? 0 : value >= 1 ? 1 : 2
    var text = fixed(value, digits: digits)
    if digits > 0 {
        while text.hasSuffix("0") { text.removeLast() }
        if text.hasSuffix(".") { text.removeLast() }
    }
    return text
}

/// A share as per cent; never rounded up to 100 or down to 0.
func percentText(_ share: Double) -> String {
    if share >= 1 { return "100 %" }
    if share <= 0 { return "0 %" }
    let percent = share * 100
    if percent > 99.99 { return "99.99 %" }
    if percent < 0.01 { return "0.01 %" }
    return fixed(percent, digits: percent > 99 || percent < 1 ? 2 : 1) + " %"
}
