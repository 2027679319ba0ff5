import CLinux

/// The only place that reads a clock or the kernel's randomness.
///
/// Everything else takes the time as an argument; an event loop reads it once per turn.
public enum Clock {
    /// The monotonic clock, now.
    ///
    /// Any thread.
    public static func monotonic() -> MonotonicTime {
        MonotonicTime(nanoseconds: mesh_monotonic_nanoseconds())
    }

    /// The wall clock, now.
    ///
    /// Any thread.
    public static func wall() -> WallTime {
        WallTime(unixNanoseconds: mesh_wall_nanoseconds())
    }

    /// 64 bits from the kernel's generator: the seed of a worker's own generator.
    ///
    /// Any thread.
    public static func randomSeed() -> UInt64 {
        var seed: UInt64 = 0
        let code = withUnsafeMutableBytes(of: &seed) { mesh_random($0.baseAddress, $0.count) }
        precondition(code == 0, "getrandom failed: \(code)")
        return seed
    }
}
