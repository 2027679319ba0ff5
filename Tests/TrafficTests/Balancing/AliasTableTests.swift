import Testing
import Time

@testable import Traffic

struct AliasTableTests {
    @Test(
        "choices are as frequent as their weights",
        arguments: [
            [1], [1, 1], [1, 2, 3], [10_000, 1], [7, 7, 7, 1, 100, 3, 3, 9],
        ] as [[UInt32]]
    )
    func frequencies(_ weights: [UInt32]) {
        let table = AliasTable(weights)
        var random = FastRandom(seed: 3)
        var counts = [Int](repeating: 0, count: weights.count)
        for _ in 0..<200_000 { counts[table.choice(UInt32(random.next() &>> 32))] += 1 }
        let sum = Double(weights.reduce(0, +))
        for (count, weight) in zip(counts, weights) {
            let expected = Double(weight) / sum * 200_000
            // Five standard deviations.
            #expect(abs(Double(count) - expected) <= 5 * expected.squareRoot() + 1)
        }
    }

    @Test("the extremes of the random bits are choices")
    func extremes() {
        let table = AliasTable([3, 5, 8] as [UInt32])
        for bits in [0, 1, .max, .max - 1, 1 << 31] as [UInt32] {
            #expect((0..<3).contains(table.choice(bits)))
        }
    }

    @Test("a table of many random weights gives everyone something")
    func many() {
        var random = FastRandom(seed: 5)
        let weights = (0..<1_000).map { _ in UInt32.random(in: 1...10, using: &random) }
        let table = AliasTable(weights)
        let seen = Set((0..<100_000).map { _ in table.choice(UInt32(random.next() &>> 32)) })
        #expect(seen.count == 1_000)
    }
}
