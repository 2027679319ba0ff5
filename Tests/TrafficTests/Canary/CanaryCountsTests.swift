import Foundation
import Testing

@testable import Traffic

struct CanaryCountsTests {
    @Test("a delta is what was added since")
    func delta() {
        let earlier = counts(100, failures: 3, bucket: 4)
        var later = earlier
        later.add(counts(50, failures: 1, bucket: 6))
        #expect(later.since(earlier) == counts(50, failures: 1, bucket: 6))
        #expect(later.since(later) == .none)
    }

    @Test("counters that went back count nothing, and not twice when they come forward again")
    func backwards() {
        let high = counts(100, failures: 3, bucket: 4)
        let low = counts(60, failures: 1, bucket: 4)
        #expect(low.since(high) == .none)
        #expect(high.highest(low) == high)
        let again = counts(110, failures: 3, bucket: 4)
        #expect(again.since(high.highest(low)).requests == 10)
    }

    @Test("more failures than requests, or another number of buckets, are no counts")
    func invalid() {
        let buckets = [UInt64](repeating: 0, count: CanaryCounts.bucketCount)
        #expect(CanaryCounts(requests: 1, failures: 2, buckets: buckets, nanoseconds: 0) == nil)
        #expect(
            CanaryCounts(requests: 2, failures: 1, buckets: [2], nanoseconds: 0) == nil
        )
        let tooMany = buckets + [0]
        #expect(CanaryCounts(requests: 2, failures: 1, buckets: tooMany, nanoseconds: 0) == nil)
    }

    @Test("numbers at the end of their range stay there")
    func saturation() {
        var full = counts(.max, failures: 0, bucket: 0)
        full.add(counts(1, failures: 1, bucket: 0))
        #expect(full.requests == .max)
        #expect(full.buckets[0] == .max)
    }

    @Test("failures that came without their requests are cut to those")
    func failuresAlone() {
        let buckets = [UInt64](repeating: 0, count: CanaryCounts.bucketCount)
        let earlier = CanaryCounts(requests: 9, failures: 0, buckets: buckets, nanoseconds: 0)
        let later = CanaryCounts(requests: 10, failures: 5, buckets: buckets, nanoseconds: 0)
        #expect(earlier.flatMap { later?.since($0).failures } == 1)
    }

    @Test("quantiles lie in the bucket that holds them")
    func quantiles() {
        var mixed = counts(90, bucket: canaryBucket(1_500_000))
        // A bound itself lies below it.
        mixed.add(counts(10, bucket: canaryBucket(40_000_000)))
        let median = mixed.quantile(0.5) ?? 0
        #expect((1_375_000...1_500_000).contains(median))
        let tail = mixed.quantile(0.99) ?? 0
        #expect((36_000_000...40_000_000).contains(tail))
        #expect(CanaryCounts.none.quantile(0.5) == nil)
    }

    @Test("what lies beyond the last bound counts as that bound")
    func overflow() {
        #expect(counts(5, bucket: 144).quantile(0.5) == 32_768_000_000)
    }

    @Test("bounds rise by an eighth at most from 250 µs on, and eight further each has doubled")
    func bounds() {
        let bounds = (0..<CanaryCounts.bucketCount - 1).map { CanaryCounts.bound($0) }
        #expect(bounds[0] == 31_250 && bounds[7] == 250_000 && bounds[143] == 32_768_000_000)
        for index in 8..<bounds.count {
            #expect(bounds[index] <= bounds[index - 1] * 1.125)
        }
        for index in 16..<bounds.count { #expect(bounds[index] == bounds[index - 8] * 2) }
    }

    @Test("what an earlier release saved goes on without its latencies, and other buckets are none")
    func saved() throws {
        func decode(_ buckets: Int) throws -> CanaryCounts {
            let numbers = repeatElement("1", count: buckets).joined(separator: ",")
            let text = #"{"requests":19,"failures":2,"nanoseconds":9,"buckets":[\#(numbers)]}"#
            return try JSONDecoder().decode(CanaryCounts.self, from: Data(text.utf8))
        }
        let earlier = try decode(19)
        #expect(earlier.isConsistent && earlier.requests == 19 && earlier.failures == 2)
        #expect(earlier.timedRequests == 0 && earlier.meanNanoseconds == nil)
        #expect(try decode(20).isConsistent == false)
        let present = counts(7, failures: 1, bucket: 80)
        let copy = try JSONDecoder().decode(CanaryCounts.self, from: JSONEncoder().encode(present))
        #expect(copy == present)
    }

    @Test("texts are those of a person: no false 100 %, thousands apart")
    func texts() {
        #expect(CanaryText.percent(1) == "100 %")
        #expect(CanaryText.percent(0.99999) == "99.9 %")
        #expect(CanaryText.percent(0.912) == "91.2 %")
        #expect(CanaryText.percent(0.29) == "29 %")
        #expect(CanaryText.percent(0) == "0 %")
        #expect(CanaryText.number(3_702) == "3,702")
        #expect(CanaryText.number(411) == "411")
        #expect(CanaryText.number(1_000_000) == "1,000,000")
        #expect(CanaryText.number(0) == "0")
        #expect(CanaryText.decimal(.infinity) == "many")
        #expect(CanaryText.milliseconds(12_500_000) == "12.5 ms")
    }
}

/// Counts whose requests all took about the same time.
func counts(_ requests: UInt64, failures: UInt64 = 0, bucket: Int = 3) -> CanaryCounts {
    var buckets = [UInt64](repeating: 0, count: CanaryCounts.bucketCount)
    buckets[bucket] = requests
    // In the bucket, as far as that means something.
    let middle = UInt64(CanaryCounts.bound(min(bucket, CanaryCounts.bucketCount - 2))) - 10_000
    guard
        let counts = CanaryCounts(
            requests: requests,
            failures: failures,
            buckets: buckets,
            nanoseconds: requests.multipliedReportingOverflow(by: middle).partialValue
        )
    else { preconditionFailure("the test's own numbers") }
    return counts
}

/// The bucket a proxy puts a latency in.
func canaryBucket(_ nanoseconds: UInt64) -> Int {
    (0..<CanaryCounts.bucketCount - 1).first { CanaryCounts.bound($0) >= Double(nanoseconds) }
        ?? CanaryCounts.bucketCount - 1
}
