import Testing
import Time

@testable import Simulation

@Suite struct ServiceTimeTests {
    @Test("The logarithm and the power undo each other and know what everybody knows")
    func logarithms() {
        #expect(abs(logarithm(2.718_281_828_459_045) - 1) < 1e-12)
        #expect(abs(logarithm(1_000) - 6.907_755_278_982_137) < 1e-11)
        #expect(abs(logarithm(1e-9) + 20.723_265_836_946_41) < 1e-11)
        #expect(abs(power(1) - 2.718_281_828_459_045) < 1e-12)
        for value in [-20.0, -1, -0.3, 0, 0.5, 3, 30] {
            #expect(abs(logarithm(power(value)) - value) < 1e-10)
        }
    }

    @Test("The normal distribution's quantiles are those of the tables")
    func quantiles() {
        #expect(abs(normalQuantile(0.5)) < 1e-8)
        #expect(abs(normalQuantile(0.975) - 1.959_963_985) < 1e-6)
        #expect(abs(normalQuantile(0.99) - 2.326_347_874) < 1e-6)
        #expect(abs(normalQuantile(0.001) + 3.090_232_306) < 1e-6)
    }

    @Test("A constant time is always the same")
    func constant() {
        var random = FastRandom(seed: 1)
        let time = ServiceTime.constant(.milliseconds(7))
        #expect((0..<100).allSatisfy { _ in time.sample(&random) == 7_000_000 })
    }

    @Test("Exponential times have their mean, and e in ten thousand is nine times as long")
    func exponentialTimes() {
        let samples = sorted(.exponential(mean: .milliseconds(10)))
        let mean = samples.reduce(0, +) / Double(samples.count)
        #expect(abs(mean - 10) < 0.3)
        #expect(abs(samples[samples.count / 2] - 6.93) < 0.3)
    }

    @Test("Lognormal times have their median and their 99th percentile")
    func lognormalTimes() {
        let samples = sorted(.lognormal(median: .milliseconds(5), p99: .milliseconds(40)))
        #expect(abs(samples[samples.count / 2] - 5) < 0.2)
        #expect(abs(samples[samples.count * 99 / 100] - 40) < 3)
    }

    private func sorted(_ time: ServiceTime) -> [Double] {
        var random = FastRandom(seed: 5)
        return (0..<20_000).map { _ in Double(time.sample(&random)) / 1e6 }.sorted()
    }
}
