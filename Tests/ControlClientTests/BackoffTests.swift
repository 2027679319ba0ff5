import Testing

@testable import ControlClient

@Suite struct BackoffTests {
    @Test("waits double up to the longest, each within 20 %")
    func doubling() {
        var backoff = Backoff(first: .seconds(1), longest: .seconds(150))
        var generator = SystemRandomNumberGenerator()
        for expected in [1, 2, 4, 8, 16, 32, 64, 128, 150, 150, 150] {
            let wait = backoff.wait(using: &generator)
            #expect(wait >= .seconds(expected) * 0.79 && wait <= .seconds(expected) * 1.21)
        }
        backoff.reset()
        #expect(backoff.wait(using: &generator) <= .seconds(1.21))
    }

    @Test("waits vary, so that a fleet does not return at one instant")
    func jitter() {
        var generator = SystemRandomNumberGenerator()
        let waits = (0..<50).map { _ in
            var backoff = Backoff(first: .seconds(1), longest: .seconds(2))
            return backoff.wait(using: &generator)
        }
        #expect(Set(waits).count > 10)
    }
}
