// Gateway API durations, GEP-2257: `^([0-9]{1,5}(h|m|s|ms)){1,4}$`.

extension Duration {
    /// Reads a Gateway API duration such as "1h30m" or "500ms"; nil when it is none.
    ///
    /// Source: GEP-2257. Units may come in any order and repeat, as in Go's parser.
    public init?(gatewayText text: String) {
        var milliseconds: Int64 = 0
        var rest = Substring(text).utf8
        var parts = 0
        while !rest.isEmpty {
            let digits = rest.prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
            guard (1...5).contains(digits.count), parts < 4 else { return nil }
            // Five digits always fit.
            let number = digits.reduce(Int64(0)) { $0 * 10 + Int64($1 - UInt8(ascii: "0")) }
            rest = rest.dropFirst(digits.count)
            guard let unit = Self.units.first(where: { rest.starts(with: $0.name.utf8) }) else {
                return nil
            }
            milliseconds += number * unit.milliseconds
            rest = rest.dropFirst(unit.name.utf8.count)
            parts += 1
        }
        guard parts > 0 else { return nil }
        self = .milliseconds(milliseconds)
    }

    /// The shortest Gateway API text of this duration; nil when there is none: negative, finer than
    /// a millisecond, or 100 000 hours and more.
    public var gatewayText: String? {
        guard let total = wholeMilliseconds, total >= 0, total < 100_000 * 3_600_000 else {
            return nil
        }
        guard total > 0 else { return "0s" }
        var rest = total
        var text = ""
        for unit in Self.units.sorted(by: { $0.milliseconds > $1.milliseconds }) {
            let number = rest / unit.milliseconds
            if number > 0 { text += "\(number)\(unit.name)" }
            rest %= unit.milliseconds
        }
        return text
    }

    /// Whether it may limit something: in `Limits.timeout`, and whole milliseconds.
    var isTimeLimit: Bool { Limits.timeout.contains(self) && wholeMilliseconds != nil }

    /// This duration in milliseconds; nil when it is no whole number of them.
    private var wholeMilliseconds: Int64? {
        let (seconds, attoseconds) = components
        let attosecondsPerMillisecond: Int64 = 1_000_000_000_000_000
        guard attoseconds % attosecondsPerMillisecond == 0 else { return nil }
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000)
        return overflow ? nil : product + attoseconds / attosecondsPerMillisecond
    }

    /// "ms" stands before "m", of which it is an extension.
    private static let units: [(name: String, milliseconds: Int64)] = [
        ("ms", 1), ("h", 3_600_000), ("m", 60_000), ("s", 1_000),
    ]
}
