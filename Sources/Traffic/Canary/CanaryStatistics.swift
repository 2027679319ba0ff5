// How sure one can be of a rate that was seen in a sample.
//
// Success rates lie near 1, where the textbook's normal approximation fails: it calls 100 of 100 a
// rate of exactly 1. Wilson's interval does not, and Newcombe's method 10 makes from two of them an
// interval of the difference ("Interval estimation for the difference between independent
// proportions", Statistics in Medicine 17, 1998).

/// Bounds of a proportion and of the difference of two.
enum CanaryStatistics {
    /// The interval in which the rate behind `count` of `total` lies, at `z` standard deviations.
    static func wilson(_ count: Double, of total: Double, z: Double) -> ClosedRange<Double> {
        guard total > 0 else { return 0...1 }
        let rate = min(count / total, 1)
        let square = z * z / total
        let center = (rate + square / 2) / (1 + square)
        let spread =
            z * (rate * (1 - rate) / total + square / (4 * total)).squareRoot() / (1 + square)
        // The rate itself is in the interval; rounding alone says otherwise at 0 and 1.
        let lower = min(max(center - spread, 0), rate)
        let upper = max(min(center + spread, 1), rate)
        return lower...upper
    }

    /// The least by which the first rate is above the second, at `z` standard deviations.
    ///
    /// 0 failures of 0 say nothing: the bound is then -1.
    static func leastExcess(
        _ count: Double,
        of total: Double,
        over baseCount: Double,
        of baseTotal: Double,
        z: Double
    ) -> Double {
        guard total > 0, baseTotal > 0 else { return -1 }
        let rate = min(count / total, 1)
        let base = min(baseCount / baseTotal, 1)
        let below = rate - wilson(count, of: total, z: z).lowerBound
        let above = wilson(baseCount, of: baseTotal, z: z).upperBound - base
        return rate - base - (below * below + above * above).squareRoot()
    }

    /// The share by which a quantile must be taken to lie above the true one, at `z`.
    static func upperQuantile(_ share: Double, of total: Double, z: Double) -> Double {
        guard total > 0 else { return 1 }
        return min(1, share + z * (share * (1 - share) / total).squareRoot())
    }
}
