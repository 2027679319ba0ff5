// A canary that runs itself: a few per cent of a service's traffic go to a new version, then more,
// as long as it does no worse than the version that serves now.
//
// What it is: values and arithmetic. `CanaryRun` is told what was counted on both sides and what
// time it is, and decides. What it is not: a store, a timer, or anything that knows a proxy.
//
// Invariants:
// - canary and baseline are compared over the same time, so what shakes both blames neither;
// - noise decides nothing: worse means worse by more than is allowed, beyond chance;
// - what is clearly bad goes back as soon as the minimum sample shows it, not at the interval's end;
// - thin traffic promotes nothing and rolls nothing back;
// - every decision carries the numbers it rests on.

public import MeshModel

/// What a canary must do to be promoted.
public struct CanaryPlan: Sendable, Hashable, Codable {
    /// Slow is worse too: a quantile of the canary's latency against the baseline's.
    public struct Latency: Sendable, Hashable, Codable {
        /// Which part of the requests must be as fast.
        public enum Quantile: String, Sendable, Hashable, Codable, CaseIterable {
            /// The median.
            case p50
            /// The tail.
            case p99

            /// 0...1.
            public var share: Double { self == .p50 ? 0.5 : 0.99 }
        }

        /// The quantile that is compared.
        public let quantile: Quantile
        /// How many times slower the canary may be, from 1.
        public let ratioMax: Double

        /// Makes a threshold; traps outside `CanaryLimits`.
        public init(quantile: Quantile = .p99, ratioMax: Double = 1.5) {
            precondition(CanaryLimits.latencyRatio.contains(ratioMax))
            self.quantile = quantile
            self.ratioMax = ratioMax
        }
    }

    /// The canary's share in each step, rising; promotion follows the last.
    public let steps: [Share]
    /// Time between two judgements, and so the shortest stay in a step.
    public let interval: Duration
    /// Requests that each side must have had before it is judged.
    public let minimumSample: UInt64
    /// Success rate the canary must have, 0...1; nil: only the comparison counts.
    public let successRateMin: Double?
    /// How much lower than the baseline's its success rate may be, 0...1.
    public let successRateDropMax: Double
    /// Nil: latency is not compared.
    public let latency: Latency?
    /// Bad judgements in a row that roll back.
    public let badJudgementsMax: Int
    /// Longest wait for traffic or certainty before the canary goes back; nil: for ever.
    public let holdMax: Duration?

    /// Makes a plan; traps outside `CanaryLimits`.
    public init(
        steps: [Share] = CanaryPlan.stepsDefault,
        interval: Duration = .seconds(60),
        minimumSample: UInt64 = 100,
        successRateMin: Double? = nil,
        successRateDropMax: Double = 0.01,
        latency: Latency? = Latency(),
        badJudgementsMax: Int = 2,
        holdMax: Duration? = nil
    ) {
        precondition(Self.areSteps(steps))
        precondition(CanaryLimits.interval.contains(interval))
        precondition(CanaryLimits.minimumSample.contains(minimumSample))
        precondition(successRateMin.map { (0...1).contains($0) } ?? true)
        precondition((0...1).contains(successRateDropMax))
        precondition(CanaryLimits.badJudgements.contains(badJudgementsMax))
        precondition(holdMax.map(CanaryLimits.hold.contains) ?? true)
        self.steps = steps
        self.interval = interval
        self.minimumSample = minimumSample
        self.successRateMin = successRateMin
        self.successRateDropMax = successRateDropMax
        self.latency = latency
        self.badJudgementsMax = badJudgementsMax
        self.holdMax = holdMax
    }

    /// First little, so that a bad version is seen by few; then half, where it carries real load.
    public static let stepsDefault = [5, 25, 50].map(Share.init(percent:))

    /// Whether these are steps of a plan: 1...20 shares in `CanaryLimits.share`, each above the last.
    public static func areSteps(_ steps: [Share]) -> Bool {
        let shares = steps.map(\.millionths)
        return CanaryLimits.steps.contains(steps.count)
            && shares.allSatisfy(CanaryLimits.share.contains)
            && zip(shares, shares.dropFirst()).allSatisfy { $0 < $1 }
    }
}

/// Ranges of a canary's settings.
public enum CanaryLimits {
    /// Steps of a plan.
    public static let steps = 1...20
    /// Millionths of a step: with all of the traffic there would be nothing left to compare with.
    public static let share: ClosedRange<UInt32> = 1_000...990_000
    /// Time between judgements: counters come once a second, and a week is a long canary.
    public static let interval: ClosedRange<Duration> = .seconds(1)...(.seconds(7 * 86_400))
    /// Requests of a side: fewer than 10 tell nothing apart.
    public static let minimumSample: ClosedRange<UInt64> = 10...10_000_000
    /// How many times slower: below 1 the baseline itself would fail.
    public static let latencyRatio: ClosedRange<Double> = 1...100
    /// Bad judgements in a row.
    public static let badJudgements = 1...10
    /// Longest wait for traffic.
    public static let hold: ClosedRange<Duration> = .seconds(1)...(.seconds(30 * 86_400))
}

extension Share: Codable {
    /// Reads millionths; more than a million is an error.
    public init(from decoder: any Decoder) throws {
        let millionths = try decoder.singleValueContainer().decode(UInt32.self)
        guard millionths <= Share.all.millionths else {
            throw DecodingError.dataCorrupted(
                DecodingError.Context(
                    codingPath: decoder.codingPath,
                    debugDescription: "a share is at most a million millionths"
                )
            )
        }
        self.init(millionths: millionths)
    }

    /// Writes millionths.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(millionths)
    }
}
