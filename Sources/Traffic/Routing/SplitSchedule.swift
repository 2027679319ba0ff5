// Which backend takes the n-th request: a fixed sequence, not dice.
//
// What it is: a pure function of the number of a request, so that workers share one counter and
// nothing else, and an explanation can say who would be next. What it is not: even at every scale.
// For three or more backends no sequence gives each of them its share of every window of every length
// to within one request, but for a few exceptions (Fraenkel's conjecture); so one length is exact, and
// the others are bounded.
//
// With weights w of sum W (after division by their common divisor) and n·w/W a backend's share of n
// requests, it is guaranteed
// - that every 1,000 requests in a row hold each backend's share of 1,000, rounded down or up
// - that any shorter window holds each backend's share to less than three requests, and to less than
//   two where the sequence repeats after W
// - that every backend gets exactly its share in the long run: of each W requests in a row where the
//   sequence repeats after W, of 1,000·W otherwise
//
// Both ways to make the sequence start from the one that gives every backend its share of every
// *prefix* to within less than one request (the chairman assignment problem, Tijdeman 1980).
//
// 1. That sequence repeats after W requests. Where W is small and every window of 1,000 passes, which
//    is checked when it is made, it is used as it is: always when W divides 1,000, so for all
//    percentages.
// 2. Otherwise a block of 1,000 slots is repeated. Backend i has floor(1000·w/W) slots of its own,
//    and a share f < 1 of the m slots that are left over, where m is the sum of all f. Lay the f end
//    to end on a line of length m, so that unit k of it is left-over slot k; in block b each such slot
//    goes to whoever lies at k + u(b), 0 <= u(b) < 1. An f < 1 covers u(b) in one unit at most, so a
//    backend has at most one left-over slot in a block. A window that begins in block b and ends in
//    block b + 1 has the own slots of a whole block, the left-over slots of b behind its start, and
//    those of b + 1 before it. So it could hold two left-over slots of one backend only where the
//    backend had a later one in b and an earlier one in b + 1. One slot alone cannot be both behind
//    and before. A backend that lies across the end of a unit, by x before it and y behind it, has the
//    later slot while u < y and the earlier one while u >= 1 − x: u would have to grow by at least
//    1 − x − y = 1 − f from one block to the next. It grows by less than that, or wraps round, since
//    the step of u is chosen so. It could hold none although b and b + 1 both gave it one, which is
//    its share rounded down.

/// A deterministic schedule over weighted backends; immutable and shared by all workers.
public final class SplitSchedule: Sendable {
    /// A backend for each slot, or `leftOver` + number of the left-over slot.
    private let slots: ContiguousArray<UInt16>
    /// Where each backend's share of the left-over slots ends on their line, times W; empty where the
    /// slots say it all.
    private let ends: ContiguousArray<UInt64>
    /// W, and by how much u·W grows with each block.
    private let sum: UInt64
    private let step: UInt64
    private let weights: ContiguousArray<Double>
    /// The one backend with a weight; -1 when there are more.
    private let only: Int

    /// A schedule for these weights, which must not be empty, nor all 0; at most 32,768 of them.
    public init(weights: [UInt32]) {
        precondition(weights.count <= Int(leftOver))
        let divisor = weights.reduce(0) { greatestCommonDivisor($0, UInt64($1)) }
        precondition(divisor > 0, "a schedule needs a weight above 0")
        let reduced = weights.map { UInt64($0) / divisor }
        let sum = reduced.reduce(0, +)
        self.sum = sum
        self.weights = ContiguousArray(weights.map { Double($0) })
        let weighted = weights.indices.filter { weights[$0] > 0 }
        only = weighted.count == 1 ? weighted[0] : -1
        guard only < 0 else {
            slots = []
            ends = []
            step = 0
            return
        }
        if sum <= UInt64(periodMax) {
            let period = evenSequence(reduced)
            if isExactOverWindows(period, reduced, sum) {
                slots = period
                ends = []
                step = 0
                return
            }
        }
        let shares = reduced.map { $0.multipliedFullWidth(by: UInt64(window)) }
            .map { sum.dividingFullWidth($0) }
        let rests = shares.map(\.remainder)
        let leftOverCount = window - shares.reduce(0) { $0 + Int($1.quotient) }
        let block = evenSequence(
            shares.map(\.quotient) + Array(repeating: 1, count: leftOverCount)
        )
        slots = ContiguousArray(
            block.map { $0 < weights.count ? $0 : $0 - UInt16(weights.count) + leftOver }
        )
        var end: UInt64 = 0
        ends = ContiguousArray(
            rests.map { rest in
                end += rest
                return end
            }
        )
        step = stepOfLeftOvers(rests, sum)
    }

    /// Whether it repeats a block of 1,000 slots, some of which rotate.
    var hasLeftOvers: Bool { !ends.isEmpty }

    /// The backend of the request that drew `ticket`.
    public func choice(ticket: UInt64) -> Int {
        if only >= 0 { return only }
        let (block, slot) = ticket.quotientAndRemainder(dividingBy: UInt64(slots.count))
        let value = slots[Int(slot)]
        if value < leftOver { return Int(value) }
        return holder(of: UInt64(value - leftOver), block)
    }

    /// The backend of callers with this hash: the same until the weights change, and then another for
    /// as few as the new weights allow.
    ///
    /// Weighted rendezvous: a backend's bid is an exponentially distributed number, made of hash and
    /// index, over its weight; the lowest wins. A change of one weight alters the bids of that backend
    /// alone. A backend is known by its index.
    public func choice(hash: UInt64) -> Int {
        if only >= 0 { return only }
        var best = 0
        var bestBid = Double.infinity
        for index in weights.indices where weights[index] > 0 {
            let bid = exponential(mixed(hash, UInt64(index))) / weights[index]
            if bid < bestBid {
                bestBid = bid
                best = index
            }
        }
        return best
    }

    /// Who has left-over slot `number` in `block`.
    private func holder(of number: UInt64, _ block: UInt64) -> Int {
        let offset = sum.dividingFullWidth((block % sum).multipliedFullWidth(by: step)).remainder
        let place = number * sum + offset
        for index in ends.indices where place < ends[index] { return index }
        preconditionFailure("the shares add up to all left-over slots")
    }
}

/// The length of which every window is exact.
private let window = 1_000
/// The longest sequence that is kept: 20 kB.
private let periodMax = 10_000
/// Slots from here on are left over.
private let leftOver: UInt16 = 0x8000

/// The sequence in which backend i has its share of every prefix to within less than one request, and
/// exactly `weights[i]` of the whole.
private func evenSequence(_ weights: [UInt64]) -> ContiguousArray<UInt16> {
    let sum = weights.reduce(0, +)
    var given = ContiguousArray<UInt64>(repeating: 0, count: weights.count)
    var sequence: ContiguousArray<UInt16> = []
    sequence.reserveCapacity(Int(sum))
    for position in 1...sum {
        // Of those that would not run ahead of their share by a whole request, the one whose next
        // request is due first.
        var best = -1
        var bestDue = UInt64.max
        for index in weights.indices where weights[index] > 0 {
            let weight = weights[index]
            guard given[index] * sum < position * weight else { continue }
            let due = ((given[index] + 1) * sum + weight - 1) / weight
            if due < bestDue {
                bestDue = due
                best = index
            }
        }
        precondition(best >= 0, "the shares before a position add up to less than the position")
        given[best] += 1
        sequence.append(UInt16(best))
    }
    return sequence
}

/// Whether every window of 1,000 of the repeated sequence has each share rounded down or up.
private func isExactOverWindows(
    _ sequence: ContiguousArray<UInt16>,
    _ weights: [UInt64],
    _ sum: UInt64
) -> Bool {
    let rest = window % sequence.count
    if rest == 0 { return true }
    // Whole periods are exact: what counts is the window of what is left of 1,000.
    var counts = ContiguousArray<UInt64>(repeating: 0, count: weights.count)
    for index in sequence[0..<rest] { counts[Int(index)] += 1 }
    func isExact(_ index: Int) -> Bool {
        let share = UInt64(rest) * weights[index]
        return counts[index] * sum < share + sum && share < counts[index] * sum + sum
    }
    guard counts.indices.allSatisfy(isExact) else { return false }
    for start in 0..<sequence.count {
        let first = Int(sequence[start])
        let next = Int(sequence[(start + rest) % sequence.count])
        counts[first] -= 1
        counts[next] += 1
        guard isExact(first), isExact(next) else { return false }
    }
    return true
}

/// The largest step below `1 − f` for all that lie across units, and below the golden section, which
/// spreads a backend's left-over slots best; coprime with W, so that W blocks visit every u.
private func stepOfLeftOvers(_ rests: [UInt64], _ sum: UInt64) -> UInt64 {
    var step = UInt64(Double(sum) * 0.381_966)
    var end: UInt64 = 0
    for rest in rests where rest > 0 {
        let isAcross = end / sum != (end + rest - 1) / sum
        if isAcross { step = min(step, sum - rest) }
        end += rest
    }
    while step > 1, greatestCommonDivisor(step, sum) != 1 { step -= 1 }
    return max(step, 1)
}

private func greatestCommonDivisor(_ a: UInt64, _ b: UInt64) -> UInt64 {
    var (a, b) = (a, b)
    while b != 0 { (a, b) = (b, a % b) }
    return a
}

/// The finalizer of SplitMix64 over both.
private func mixed(_ hash: UInt64, _ index: UInt64) -> UInt64 {
    var value = hash &+ (index &+ 1) &* 0x9E37_79B9_7F4A_7C15
    value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
    value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
    return value ^ (value >> 31)
}

/// −ln of a uniform number in 0..<1 made of `bits`, to nine digits.
///
/// Written out, so that every proxy on every machine chooses alike.
private func exponential(_ bits: UInt64) -> Double {
    let uniform = (Double(bits >> 12) + 0.5) * 0x1p-52
    // ln s for 1 <= s < 2 by the series of 2·artanh((s − 1) / (s + 1)).
    let t = (uniform.significand - 1) / (uniform.significand + 1)
    let s = t * t
    let high = 1.0 / 9 + s * (1.0 / 11 + s * (1.0 / 13 + s * (1.0 / 15 + s * (1.0 / 17))))
    let sum = 1 + s * (1.0 / 3 + s * (1.0 / 5 + s * (1.0 / 7 + s * high)))
    return -(Double(uniform.exponent) * 0.693_147_180_559_945_3 + 2 * t * sum)
}
