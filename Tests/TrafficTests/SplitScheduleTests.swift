import Testing
import Time

@testable import Traffic

struct SplitScheduleTests {
    /// How many of the requests from `start` on each backend gets.
    private func counts(
        _ schedule: SplitSchedule,
        _ start: UInt64,
        _ length: Int,
        of backends: Int
    ) -> [Int] {
        var counts = [Int](repeating: 0, count: backends)
        for ticket in start..<start + UInt64(length) {
            counts[schedule.choice(ticket: ticket)] += 1
        }
        return counts
    }

    /// Checks each of `starts` windows in a row against the shares.
    private func checkWindows(
        _ weights: [UInt32],
        from start: UInt64,
        starts: Int,
        length: Int = 1_000,
        within bound: Double = 1
    ) {
        let schedule = SplitSchedule(weights: weights)
        let sum = Double(weights.reduce(0) { $0 + UInt64($1) })
        let shares = weights.map { Double(length) * Double($0) / sum }
        var counts = counts(schedule, start, length, of: weights.count)
        for offset in 0..<UInt64(starts) {
            let isExact = weights.indices.allSatisfy {
                abs(Double(counts[$0]) - shares[$0]) < bound
            }
            guard isExact else {
                Issue.record("\(weights) from \(start + offset): \(counts) for \(shares)")
                return
            }
            counts[schedule.choice(ticket: start + offset)] -= 1
            counts[schedule.choice(ticket: start + offset + UInt64(length))] += 1
        }
    }

    @Test("nine to one is exact over every ten requests, and spread over them")
    func nineToOne() {
        let schedule = SplitSchedule(weights: [900, 100])
        for start in 0..<100 as Range<UInt64> {
            #expect(counts(schedule, start, 10, of: 2) == [9, 1])
        }
        #expect(counts(SplitSchedule(weights: [1, 1]), 7, 2, of: 2) == [1, 1])
        #expect(counts(SplitSchedule(weights: [5, 5, 5]), 8, 3, of: 3) == [1, 1, 1])
    }

    @Test("percentages are exact over every hundred requests")
    func percentages() {
        for weights in [[50, 30, 20], [97, 1, 1, 1], [99, 1], [33, 33, 34]] as [[UInt32]] {
            checkWindows(weights, from: 0, starts: 300, length: 100, within: 1e-9)
        }
    }

    @Test("every window of 1,000 gives each of 2 to 8 backends its share to within one request")
    func anyWeights() {
        var random = FastRandom(seed: 3)
        for bound in [3, 20, 1_000, 30_000, 1_000_000] as [UInt32] {
            for _ in 0..<12 {
                let backends = Int.random(in: 2...8, using: &random)
                var weights = (0..<backends).map { _ in UInt32.random(in: 0...bound, using: &random)
                }
                weights[0] += 1
                let start = UInt64.random(in: 0..<1 << 50, using: &random)
                checkWindows(weights, from: start, starts: 4_500)
            }
        }
    }

    @Test("so do weights of which nothing comes out even, from the first request on")
    func hardWeights() {
        let cases: [[UInt32]] = [
            [1, 1, 1, 1, 1, 1, 1], [2, 2, 2, 1], [1, 2, 3, 5, 7, 11, 13, 17], [1_000_000, 1],
            [999_983, 999_979, 999_961], [1, 999_983, 1], [333_333, 333_333, 333_334],
            [3_001, 3_001, 3_001, 1_000], [1_000, 1_000, 999, 998, 997, 996, 995, 994],
            Array(repeating: 7, count: 61) + [1, 2, 3],
        ]
        for weights in cases { checkWindows(weights, from: 0, starts: 12_000) }
    }

    @Test("shorter windows hold each share to within three requests")
    func shorterWindows() {
        var random = FastRandom(seed: 5)
        for _ in 0..<60 {
            let backends = Int.random(in: 2...8, using: &random)
            let weights = (0..<backends).map { _ in UInt32.random(in: 1...1_000_000, using: &random)
            }
            let length = Int.random(in: 1...999, using: &random)
            checkWindows(weights, from: 0, starts: 2_000, length: length, within: 3)
        }
    }

    @Test("in the long run each backend gets exactly its weight")
    func longRun() {
        let weights: [UInt32] = [1, 2, 3, 5, 7, 11, 13, 17]
        let schedule = SplitSchedule(weights: weights)
        #expect(schedule.hasLeftOvers)
        #expect(counts(schedule, 0, 59_000, of: 8) == weights.map { Int($0) * 1_000 })
        #expect(
            counts(SplitSchedule(weights: [3, 2, 2]), 0, 7_000, of: 3) == [3_000, 2_000, 2_000]
        )
    }

    @Test("a weight of 0 gets nothing; one weight gets all")
    func zero() {
        let schedule = SplitSchedule(weights: [0, 3, 0])
        #expect((0..<100).allSatisfy { schedule.choice(ticket: $0) == 1 })
        #expect((0..<100).allSatisfy { schedule.choice(hash: $0) == 1 })
        #expect(counts(SplitSchedule(weights: [7, 0, 1_000_000, 0]), 0, 5_000, of: 4)[1] == 0)
        #expect(SplitSchedule(weights: [1]).choice(ticket: .max) == 0)
        let both = SplitSchedule(weights: [.max, .max - 1, 5])
        #expect((0..<3).contains(both.choice(ticket: .max)))
        #expect(
            (0..<10_000).allSatisfy { SplitSchedule(weights: [1, 0, 1]).choice(hash: $0) != 1 }
        )
    }

    @Test("the same hash stays with its backend, and backends get their shares of hashes")
    func sticky() {
        let weights: [UInt32] = [50, 30, 15, 5]
        let schedule = SplitSchedule(weights: weights)
        var counts = [Int](repeating: 0, count: 4)
        // Hashes in a row: the choice may not lean on a good hash.
        for hash in 0..<100_000 as Range<UInt64> {
            counts[schedule.choice(hash: hash)] += 1
        }
        for (count, weight) in zip(counts, weights) {
            #expect(abs(count - Int(weight) * 1_000) < 600, "\(counts)")
        }
        #expect(SplitSchedule(weights: weights).choice(hash: 77) == schedule.choice(hash: 77))
    }

    @Test("a canary that grows takes callers from the others and moves nobody else")
    func growing() {
        let before = SplitSchedule(weights: [60, 35, 5])
        let after = SplitSchedule(weights: [60, 35, 25])
        var moved = 0
        for hash in 0..<50_000 as Range<UInt64> {
            let old = before.choice(hash: hash)
            let new = after.choice(hash: hash)
            guard old != new else { continue }
            #expect(new == 2)
            moved += 1
        }
        // From 5/100 to 25/120 of all callers.
        #expect(abs(Double(moved) / 50_000 - (25.0 / 120 - 0.05)) < 0.01)
    }
}
