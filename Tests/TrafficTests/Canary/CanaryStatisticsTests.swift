import Testing
import Time

@testable import Traffic

struct CanaryStatisticsTests {
    // Values of the method's tables: Newcombe, Statistics in Medicine 17 (1998), table I.
    @Test("Wilson's interval has the textbook's values")
    func wilson() {
        let interval = CanaryStatistics.wilson(81, of: 263, z: 1.959964)
        #expect(abs(interval.lowerBound - 0.2553) < 0.0001)
        #expect(abs(interval.upperBound - 0.3662) < 0.0001)
        let none = CanaryStatistics.wilson(0, of: 20, z: 1.959964)
        #expect(none.lowerBound == 0)
        #expect(abs(none.upperBound - 0.1611) < 0.0001)
        let all = CanaryStatistics.wilson(29, of: 29, z: 1.959964)
        #expect(abs(all.lowerBound - 0.8830) < 0.0001)
        #expect(all.upperBound == 1)
    }

    @Test("the bound of a difference has the textbook's value")
    func difference() {
        // 56/70 - 48/80: 0.0524 to 0.3339.
        let least = CanaryStatistics.leastExcess(56, of: 70, over: 48, of: 80, z: 1.959964)
        #expect(abs(least - 0.0524) < 0.0001)
    }

    @Test("no sample says nothing")
    func empty() {
        #expect(CanaryStatistics.wilson(0, of: 0, z: 2) == 0...1)
        #expect(CanaryStatistics.leastExcess(5, of: 5, over: 0, of: 0, z: 2) == -1)
        #expect(CanaryStatistics.leastExcess(0, of: 0, over: 1, of: 9, z: 2) == -1)
        #expect(CanaryStatistics.upperQuantile(0.99, of: 0, z: 2) == 1)
    }

    @Test("the interval holds the rate, stays within 0 and 1, and narrows with the sample")
    func shape() {
        var random = FastRandom(seed: 41)
        for _ in 0..<2_000 {
            let total = Double(UInt64.random(in: 1...100_000, using: &random))
            let count = Double(UInt64.random(in: 0...UInt64(total), using: &random))
            let narrow = CanaryStatistics.wilson(count * 10, of: total * 10, z: 4)
            let wide = CanaryStatistics.wilson(count, of: total, z: 4)
            #expect(wide.contains(count / total))
            #expect(wide.lowerBound >= 0 && wide.upperBound <= 1)
            #expect(
                narrow.upperBound - narrow.lowerBound <= wide.upperBound - wide.lowerBound + 1e-12
            )
        }
    }

    @Test("equal samples are never in excess of each other")
    func equal() {
        var random = FastRandom(seed: 42)
        for _ in 0..<2_000 {
            let total = Double(UInt64.random(in: 1...100_000, using: &random))
            let count = Double(UInt64.random(in: 0...UInt64(total), using: &random))
            let least = CanaryStatistics.leastExcess(count, of: total, over: count, of: total, z: 2)
            #expect(least <= 0)
        }
    }
}
