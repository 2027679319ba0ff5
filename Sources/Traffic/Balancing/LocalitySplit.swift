// How requests are split between near and far endpoints.
//
// As Envoy's priorities: a tier whose healthy share times 1.4 covers everything takes everything, so
// up to two in seven of its endpoints may be out before any request travels; what it does not cover
// goes to the next tier. When all tiers together do not cover everything, each takes its proportion.

/// The parts of the requests that tiers take, nearest first.
enum LocalitySplit {
    struct Tier {
        var healthy: Int
        var all: Int
    }

    /// Parts that add up to 1; all 0 when nothing is healthy.
    static func parts(_ tiers: [Tier]) -> [Double] {
        let covered = tiers.map { tier in
            tier.all == 0
                ? 0 : min(1, overprovisioning * Double(tier.healthy) / Double(tier.all))
        }
        let sum = min(1, covered.reduce(0, +))
        guard sum > 0 else { return covered }
        var left = 1.0
        return covered.map { part in
            let taken = min(left, part / sum)
            left -= taken
            return taken
        }
    }

    /// Parts by the number of endpoints alone: when there is panic, near is no better than far.
    static func partsInPanic(_ tiers: [Tier]) -> [Double] {
        let sum = tiers.reduce(0) { $0 + $1.all }
        return tiers.map { sum == 0 ? 0 : Double($0.all) / Double(sum) }
    }

    /// Envoy's factor.
    private static let overprovisioning = 1.4
}
