import Testing
import Time

@testable import Telemetry

@Suite("Histograms")
struct HistogramTests {
    private func bucket(nanoseconds: UInt64) -> Int? {
        var histogram = DurationHistogram()
        histogram.record(nanoseconds: nanoseconds)
        return histogram.counts.indices.first { histogram.counts[$0] == 1 }
    }

    private func bucket(bytes: UInt64) -> Int? {
        var histogram = SizeHistogram()
        histogram.record(bytes: bytes)
        return histogram.counts.indices.first { histogram.counts[$0] == 1 }
    }

    @Test("A duration equal to a bound lies below it, one nanosecond more above")
    func durationEdges() {
        #expect(bucket(nanoseconds: 0) == 0)
        for index in 0..<DurationHistogram.boundCount {
            let bound = DurationHistogram.firstBoundNanoseconds << UInt64(index)
            #expect(bucket(nanoseconds: bound) == index)
            #expect(bucket(nanoseconds: bound + 1) == index + 1)
        }
        #expect(bucket(nanoseconds: .max) == DurationHistogram.boundCount)
    }

    @Test("A size equal to a bound lies below it, one byte more above")
    func sizeEdges() {
        #expect(bucket(bytes: 0) == 0)
        for index in 0..<SizeHistogram.boundCount {
            #expect(bucket(bytes: SizeHistogram.bound(index)) == index)
            #expect(bucket(bytes: SizeHistogram.bound(index) + 1) == index + 1)
        }
        #expect(bucket(bytes: .max) == SizeHistogram.boundCount)
    }

    @Test("Any value falls into the first bucket whose bound it does not exceed")
    func agreesWithSearch() {
        var random = FastRandom(seed: 1)
        for _ in 0..<10_000 {
            let value = random.next() >> UInt64.random(in: 0...63, using: &random)
            let byDuration =
                (0..<DurationHistogram.boundCount).first {
                    value <= DurationHistogram.firstBoundNanoseconds << UInt64($0)
                } ?? DurationHistogram.boundCount
            #expect(bucket(nanoseconds: value) == byDuration)
            let bySize =
                (0..<SizeHistogram.boundCount).first { value <= SizeHistogram.bound($0) }
                ?? SizeHistogram.boundCount
            #expect(bucket(bytes: value) == bySize)
        }
    }

    @Test("Precise buckets are eighths of the others, and a value equal to a bound lies below it")
    func precise() {
        var random = FastRandom(seed: 2)
        for _ in 0..<10_000 {
            let value = random.next() >> UInt64.random(in: 0...63, using: &random)
            let precise = PreciseDurations.bucket(value)
            #expect(bucket(nanoseconds: value) == (precise < 144 ? precise / 8 : 18))
        }
        #expect(PreciseDurations.bucket(0) == 0)
        for octave in 0..<17 {
            for eighth in 1...8 {
                let width = UInt64(31_250) << UInt64(octave)
                let bound = width * UInt64(8 + eighth)
                #expect(PreciseDurations.bucket(bound) == 8 * octave + 7 + eighth)
                #expect(PreciseDurations.bucket(bound + 1) == 8 * octave + 8 + eighth)
            }
        }
        #expect(PreciseDurations.bucket(.max) == PreciseDurations.bucketCount - 1)
        var durations = PreciseDurations()
        #expect(durations.counts.isEmpty)
        durations.record(nanoseconds: .max)
        #expect(durations.counts.count == 145 && durations.counts[144] == 1)
    }

    @Test("There is one bucket more than there are bounds")
    func bucketCounts() {
        #expect(DurationHistogram().counts.count == DurationHistogram.boundCount + 1)
        #expect(SizeHistogram().counts.count == SizeHistogram.boundCount + 1)
    }

    @Test("Bounds are 250 µs to 32.768 s, and 256 bytes to 16 MiB")
    func bounds() {
        #expect(DurationHistogram.bound(0) == 0.000_25)
        #expect(DurationHistogram.bound(DurationHistogram.boundCount - 1) == 32.768)
        #expect(SizeHistogram.bound(SizeHistogram.boundCount - 1) == 16 << 20)
    }
}
