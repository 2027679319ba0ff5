import Testing
import Time

@Suite("FastRandom")
struct FastRandomTests {
    @Test("One seed gives one sequence, another seed another")
    func seedDecides() {
        func first(_ seed: UInt64) -> [UInt64] {
            var random = FastRandom(seed: seed)
            return (0..<8).map { _ in random.next() }
        }
        #expect(first(1) == first(1))
        #expect(first(1) != first(2))
        #expect(Set(first(0)).count == 8)
    }

    @Test("Every bit is set about half of the time")
    func bitsAreBalanced() {
        var random = FastRandom(seed: 42)
        var set = [Int](repeating: 0, count: 64)
        let draws = 10_000
        for _ in 0..<draws {
            let value = random.next()
            for bit in 0..<64 where value >> UInt64(bit) & 1 == 1 { set[bit] += 1 }
        }
        // Six standard deviations of 50 around half.
        for count in set { #expect((draws / 2 - 300...draws / 2 + 300).contains(count)) }
    }

    @Test("It is xoshiro256** seeded by SplitMix64")
    func knownSequence() {
        // Computed with an independent implementation of both published algorithms.
        var random = FastRandom(seed: 0)
        let first = (0..<3).map { _ in random.next() }
        #expect(
            first == [
                0x99EC5F36CB75F2B4,
                0xBF6E1F784956452A,
                0x1A5F849D4933E6E0,
            ]
        )
    }
}
