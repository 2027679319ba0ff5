// Histograms with fixed bounds. A bucket is found by the position of the highest bit, without a
// search: the bounds are powers of 2 (time) and of 4 (sizes) of a first bound.

/// How long exchanges took.
struct DurationHistogram: Sendable {
    /// 250 µs doubled 17 times reaches 32.768 s; a sidecar adds less than the first bound, and what
    /// takes longer than the last is an outage whose exact length says little.
    static let firstBoundNanoseconds: UInt64 = 250_000
    static let boundCount = 18

    /// Counts per bucket, not cumulative, the last one without an upper bound.
    private(set) var counts = [19 of UInt64](repeating: 0)
    /// Sum of all values in nanoseconds.
    private(set) var sum: UInt64 = 0

    mutating func record(nanoseconds: UInt64) {
        let units = nanoseconds / Self.firstBoundNanoseconds
        let isExact = nanoseconds == units &* Self.firstBoundNanoseconds
        // A value equal to a bound belongs below it ("le").
        let below = isExact && units > 0 ? units &- 1 : units
        counts[min(64 - below.leadingZeroBitCount, Self.boundCount)] &+= 1
        sum &+= nanoseconds
    }

    /// Upper bound of bucket `index` in seconds.
    static func bound(_ index: Int) -> Double {
        Double(firstBoundNanoseconds << UInt64(index)) / 1e9
    }
}

/// How long requests took, precisely enough to compare two versions of a service: each octave of
/// `DurationHistogram` in eight, so that a bucket's bounds are at most an eighth apart.
///
/// Its 145 words are allocated with the first value.
struct PreciseDurations {
    /// An eighth of the first bound of `DurationHistogram`, below which buckets are all this wide.
    static let unitNanoseconds = DurationHistogram.firstBoundNanoseconds / 8
    /// Eight up to 250 µs, eight in each of 17 octaves up to 32.768 s, and one beyond.
    static let bucketCount = 8 * DurationHistogram.boundCount + 1

    /// Not cumulative; none before the first value.
    private(set) var counts: ContiguousArray<UInt64> = []

    mutating func record(nanoseconds: UInt64) {
        if counts.isEmpty { counts = ContiguousArray(repeating: 0, count: Self.bucketCount) }
        counts[Self.bucket(nanoseconds)] &+= 1
    }

    /// The bucket of a value; one equal to a bound belongs below it.
    static func bucket(_ nanoseconds: UInt64) -> Int {
        let units = (max(nanoseconds, 1) &- 1) / unitNanoseconds
        guard units >= 8 else { return Int(units) }
        let octave = 60 - units.leadingZeroBitCount
        return min(8 * octave + Int(units >> UInt64(octave)), bucketCount - 1)
    }
}

/// How large bodies were.
struct SizeHistogram: Sendable {
    /// 256 bytes times 4, eight times over, reaches 16 MiB.
    static let firstBoundBytes: UInt64 = 256
    static let boundCount = 9

    /// Counts per bucket, not cumulative, the last one without an upper bound.
    private(set) var counts = [10 of UInt64](repeating: 0)
    /// Sum of all values in bytes.
    private(set) var sum: UInt64 = 0

    mutating func record(bytes: UInt64) {
        let below = bytes == 0 ? 0 : (bytes &- 1) / Self.firstBoundBytes
        let bits = 64 - below.leadingZeroBitCount
        counts[min((bits + 1) / 2, Self.boundCount)] &+= 1
        sum &+= bytes
    }

    /// Upper bound of bucket `index` in bytes.
    static func bound(_ index: Int) -> UInt64 { firstBoundBytes << UInt64(2 * index) }
}
