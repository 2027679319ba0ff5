import Testing

@testable import Traffic

struct WeightedScheduleTests {
    @Test(
        "every prefix gives each backend its share to within one request, every period exactly",
        arguments: [
            [90, 10], [1, 1], [1, 1, 1], [999, 1], [500, 300, 200], [7, 5, 3, 2, 1], [0, 5, 5],
            [1, 0], [333, 333, 334], [1_000_000, 1], [17, 83], [1, 2, 3, 4, 5, 6, 7, 8],
        ] as [[UInt32]]
    )
    func shares(weights: [UInt32]) {
        var schedule = WeightedSchedule(weights: weights)
        let sum = weights.reduce(0, +)
        var counts = weights.map { _ in 0 }
        for request in 1...3000 {
            counts[schedule.next()] += 1
            for (index, count) in counts.enumerated() {
                let share = Double(request) * Double(weights[index]) / Double(sum)
                #expect(abs(Double(count) - share) < 1.0001, "\(weights) at \(request)")
            }
        }
        for (index, weight) in weights.enumerated() where weight == 0 {
            #expect(counts[index] == 0)
        }
    }

    @Test(
        "any window of 1000 requests is exact when the reduced sum divides 1000",
        arguments: [[90, 10], [50, 50], [999, 1], [1, 3], [500, 300, 200], [25, 100]] as [[UInt32]]
    )
    func windows(weights: [UInt32]) {
        var schedule = WeightedSchedule(weights: weights)
        let sequence = (0..<4000).map { _ in schedule.next() }
        let sum = Int(weights.reduce(0, +))
        for start in stride(from: 0, to: 3000, by: 7) {
            for (index, weight) in weights.enumerated() {
                let got = sequence[start..<start + 1000].count { $0 == index }
                #expect(got == 1000 * Int(weight) / sum)
            }
        }
    }
}
