/// A reading of the monotonic clock: nanoseconds since an arbitrary start, never going back.
public struct MonotonicTime: Sendable, Hashable, Comparable {
    /// Nanoseconds since the clock's start; 0 is before every reading.
    public let nanoseconds: UInt64

    /// A time at `nanoseconds` after the clock's start.
    public init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

    /// Later than every reading: "never".
    public static let distantFuture = MonotonicTime(nanoseconds: .max)

    /// Chronological order.
    public static func < (left: MonotonicTime, right: MonotonicTime) -> Bool {
        left.nanoseconds < right.nanoseconds
    }

    /// The time `nanoseconds` later; `distantFuture` when that is out of range.
    public func advanced(byNanoseconds nanoseconds: UInt64) -> MonotonicTime {
        let (sum, overflow) = self.nanoseconds.addingReportingOverflow(nanoseconds)
        return MonotonicTime(nanoseconds: overflow ? .max : sum)
    }

    /// The time `duration` later; a negative duration counts as zero.
    public static func + (time: MonotonicTime, duration: Duration) -> MonotonicTime {
        time.advanced(byNanoseconds: duration.nanoseconds)
    }

    /// Nanoseconds since `earlier`; 0 when `earlier` is later.
    public func nanoseconds(since earlier: MonotonicTime) -> UInt64 {
        nanoseconds > earlier.nanoseconds ? nanoseconds - earlier.nanoseconds : 0
    }
}

/// A reading of the wall clock, for logs and certificates; it may jump.
public struct WallTime: Sendable, Hashable, Comparable {
    /// Nanoseconds since 1970-01-01T00:00:00Z.
    public let unixNanoseconds: Int64

    /// A time at `unixNanoseconds`.
    public init(unixNanoseconds: Int64) { self.unixNanoseconds = unixNanoseconds }

    /// Whole seconds since 1970-01-01T00:00:00Z.
    public var unixSeconds: Int64 { unixNanoseconds / 1_000_000_000 }

    /// Chronological order.
    public static func < (left: WallTime, right: WallTime) -> Bool {
        left.unixNanoseconds < right.unixNanoseconds
    }
}

extension Duration {
    /// Whole nanoseconds, clamped to 0...UInt64.max.
    public var nanoseconds: UInt64 {
        let (seconds, attoseconds) = components
        guard seconds >= 0, attoseconds >= 0 else { return 0 }
        let (scaled, overflow) = UInt64(seconds).multipliedReportingOverflow(by: 1_000_000_000)
        if overflow { return .max }
        let (sum, carried) = scaled.addingReportingOverflow(UInt64(attoseconds) / 1_000_000_000)
        return carried ? .max : sum
    }
}
