// Which backend takes the n-th request: a fixed sequence, not dice.
//
// For weights w with sum W the sequence gives every backend its share of every prefix to within one
// request (the chairman assignment problem, Tijdeman 1980), and repeats after W requests with each
// backend having had exactly w of them. Weights are divided by their greatest common divisor first,
// so 900 to 100 is the sequence of 9 to 1 and is exact over every 10 requests.

/// A deterministic schedule over weighted choices.
///
/// A value; the caller keeps the position.
public struct WeightedSchedule: Sendable {
    private let weights: ContiguousArray<UInt64>
    private let sum: UInt64
    private var given: ContiguousArray<UInt64>
    private var position: UInt64 = 0

    /// A schedule that starts at the beginning.
    ///
    /// `weights` must not be empty, and not all 0.
    public init(weights: [UInt32]) {
        let divisor = weights.reduce(UInt32(0)) { greatestCommonDivisor($0, $1) }
        precondition(divisor > 0, "a schedule needs a weight above 0")
        self.weights = ContiguousArray(weights.map { UInt64($0 / divisor) })
        sum = self.weights.reduce(0, +)
        given = ContiguousArray(repeating: 0, count: weights.count)
    }

    /// The choice for the next request.
    public mutating func next() -> Int {
        if weights.count == 1 { return 0 }
        position += 1
        // Among the choices that may take this request without running ahead of their share by a
        // whole request, the one whose next request is due first.
        var best = -1
        var bestDue = UInt64.max
        for index in weights.indices where weights[index] > 0 {
            let weight = weights[index]
            // given < position * weight / sum + 1 - 1/…: eligible when given * sum < position * weight.
            guard given[index] * sum < position * weight else { continue }
            // The position by which it must have had given + 1 requests.
            let due = ((given[index] + 1) * sum + weight - 1) / weight
            if due < bestDue {
                bestDue = due
                best = index
            }
        }
        precondition(best >= 0, "the shares before a position add up to less than the position")
        given[best] += 1
        if position == sum {
            position = 0
            for index in given.indices { given[index] = 0 }
        }
        return best
    }
}

private func greatestCommonDivisor(_ a: UInt32, _ b: UInt32) -> UInt32 {
    var (a, b) = (a, b)
    while b != 0 { (a, b) = (b, a % b) }
    return a
}
