/// Both sides over the same time.
public struct CanaryWindow: Sendable, Hashable, Codable {
    /// The new version.
    public internal(set) var canary = CanaryCounts.none
    /// The version that serves now.
    public internal(set) var baseline = CanaryCounts.none

    /// Nothing happened yet.
    public init() {}

    /// Holds both.
    public init(canary: CanaryCounts, baseline: CanaryCounts) {
        self.canary = canary
        self.baseline = baseline
    }

    /// Adds what happened since on both sides.
    mutating func add(_ other: CanaryWindow) {
        canary.add(other.canary)
        baseline.add(other.baseline)
    }
}

/// A threshold that the canary does not keep.
public enum CanaryFault: Sendable, Hashable, Codable {
    /// Its success rate is lower than the baseline's by more than is allowed.
    case worseThanBaseline(dropMax: Double)
    /// Its success rate is below what is asked for.
    case belowMinimum(Double)
    /// It is slower than the baseline by more than is allowed.
    case slowerThanBaseline(CanaryPlan.Latency)
}

/// What a window of counts says about the canary.
public enum CanaryVerdict: Sendable, Hashable, Codable {
    /// Keeps every threshold.
    case good
    /// Breaks these, beyond chance.
    case bad([CanaryFault])
    /// A side had fewer requests than the minimum sample.
    case thin(minimumSample: UInt64)
    /// Breaks these, but that may be chance.
    case uncertain([CanaryFault])
    /// Below the minimum, and the baseline is too: something else is wrong.
    case bothBad(minimum: Double)
}

/// A verdict and what it rests on.
public struct CanaryJudgement: Sendable, Hashable, Codable {
    /// What it comes to.
    public let verdict: CanaryVerdict
    /// The counts that were judged.
    public let window: CanaryWindow
    /// The quantile of latency that was compared, for the text.
    public let quantile: CanaryPlan.Latency.Quantile?

    /// `canary 91.2 % of 411, baseline 99.8 % of 3,702: worse by more than 1 %`.
    public var text: String {
        "canary \(side(window.canary)), baseline \(side(window.baseline)): \(verdictText)"
    }

    private func side(_ counts: CanaryCounts) -> String {
        guard let rate = counts.successRate else { return "without requests" }
        var text = "\(CanaryText.percent(rate)) of \(CanaryText.number(counts.requests))"
        if isAboutLatency, let quantile, let latency = counts.quantile(quantile.share) {
            text += " with \(quantile.rawValue) \(CanaryText.milliseconds(latency))"
        }
        return text
    }

    private var verdictText: String {
        switch verdict {
        case .good: "as good"
        case .bad(let faults): faults.map(Self.text).joined(separator: ", ")
        case .thin(let minimum): "fewer than \(CanaryText.number(minimum)) requests on a side"
        case .uncertain(let faults):
            "\(faults.map(Self.text).joined(separator: ", ")), but that may be chance"
        case .bothBad(let minimum): "both below \(CanaryText.percent(minimum))"
        }
    }

    private var isAboutLatency: Bool {
        guard case .bad(let faults) = verdict else { return false }
        return faults.contains {
            if case .slowerThanBaseline = $0 { true } else { false }
        }
    }

    private static func text(_ fault: CanaryFault) -> String {
        switch fault {
        case .worseThanBaseline(let dropMax):
            dropMax == 0 ? "worse" : "worse by more than \(CanaryText.percent(dropMax))"
        case .belowMinimum(let minimum): "below \(CanaryText.percent(minimum))"
        case .slowerThanBaseline(let latency):
            "slower by more than \(CanaryText.decimal(latency.ratioMax)) times"
        }
    }
}

/// Numbers as people read them, without a library for it.
enum CanaryText {
    /// `91.2 %`; cut, not rounded, so that only all of them are `100 %`.
    static func percent(_ rate: Double) -> String {
        // A rate such as 0.29 is a little less than that in binary.
        "\(tenths(UInt64((min(max(rate, 0), 1) * 1000 + 1e-9).rounded(.down)))) %"
    }

    /// `3,702`.
    static func number(_ number: UInt64) -> String {
        let digits = Array(String(number))
        var text = ""
        for (index, digit) in digits.enumerated() {
            if index > 0, (digits.count - index).isMultiple(of: 3) { text.append(",") }
            text.append(digit)
        }
        return text
    }

    /// `12.5 ms`.
    static func milliseconds(_ nanoseconds: Double) -> String {
        "\(decimal(nanoseconds / 1_000_000)) ms"
    }

    /// `1.5`, to one digit.
    static func decimal(_ value: Double) -> String {
        guard value.isFinite, value >= 0, value < 1e15 else { return "many" }
        return tenths(UInt64((value * 10).rounded()))
    }

    private static func tenths(_ tenths: UInt64) -> String {
        tenths.isMultiple(of: 10) ? "\(tenths / 10)" : "\(tenths / 10).\(tenths % 10)"
    }
}
