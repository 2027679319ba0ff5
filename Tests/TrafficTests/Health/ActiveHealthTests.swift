import MeshModel
import Testing
import Time

@testable import Traffic

struct ActiveHealthTests {
    private let policy = HealthCheck(kind: .tcp, failuresMax: 3, successesMin: 2)

    @Test("an endpoint is well before its first check")
    func start() {
        #expect(ActiveHealth(policy).isWell)
    }

    @Test("so many failures in a row make it unwell, so many successes well again")
    func thresholds() {
        var health = ActiveHealth(policy)
        #expect(results(&health, "ff") == [])
        #expect(results(&health, "f") == [false])
        #expect(results(&health, "ffffffff") == [])
        #expect(results(&health, "s") == [])
        #expect(results(&health, "s") == [true])
        #expect(results(&health, "ssss") == [])
        #expect(results(&health, "fff") == [false])
    }

    @Test("a result between others starts the count again")
    func interrupted() {
        var health = ActiveHealth(policy)
        #expect(results(&health, "ffsffsffsffs") == [])
        #expect(health.isWell)
        #expect(results(&health, "fff") == [false])
        #expect(results(&health, "sfsfsfsf") == [])
        #expect(!health.isWell)
    }

    @Test("thresholds of one follow each result")
    func ones() {
        var health = ActiveHealth(HealthCheck(kind: .tcp, failuresMax: 1, successesMin: 1))
        #expect(results(&health, "fsfssff") == [false, true, false, true, false])
    }

    @Test("checks are an interval apart, give or take a fifth, and the first is anywhere in it")
    func delays() {
        let check = HealthCheck(kind: .tcp, interval: .seconds(5))
        var random = FastRandom(seed: 1)
        let next = (0..<1_000).map { _ in check.nextDelayNanoseconds(random: &random) }
        #expect(next.allSatisfy { (4_000_000_000...6_000_000_000).contains($0) })
        #expect((next.min() ?? 0) < 4_020_000_000 && (next.max() ?? 0) > 5_980_000_000)
        let first = (0..<1_000).map { _ in check.firstDelayNanoseconds(random: &random) }
        #expect(first.allSatisfy { $0 <= 5_000_000_000 })
        #expect((first.min() ?? 0) < 50_000_000 && (first.max() ?? 0) > 4_950_000_000)
    }

    /// What `isWell` changed to, of results "s" and "f".
    private func results(_ health: inout ActiveHealth, _ text: String) -> [Bool] {
        var changes: [Bool] = []
        for character in text where health.record(isSuccess: character == "s") {
            changes.append(health.isWell)
        }
        return changes
    }
}
