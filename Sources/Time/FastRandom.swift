/// A small, fast generator for identifiers, jitter and sampling: xoshiro256**.
///
/// Worker-confined, never for secrets: its output can be predicted from a few values. Seeded with
/// `Clock.randomSeed()` in the proxy, with a fixed number in tests.
public struct FastRandom: RandomNumberGenerator, Sendable {
    private var a: UInt64
    private var b: UInt64
    private var c: UInt64
    private var d: UInt64

    /// A generator whose whole sequence follows from `seed`.
    public init(seed: UInt64) {
        // SplitMix64, as the authors of xoshiro recommend: it never yields the all-zero state, in
        // which the generator would be stuck.
        var mix = seed
        a = Self.splitMix(&mix)
        b = Self.splitMix(&mix)
        c = Self.splitMix(&mix)
        d = Self.splitMix(&mix)
    }

    /// The next 64 bits.
    public mutating func next() -> UInt64 {
        let result = rotate(b &* 5, by: 7) &* 9
        let shifted = b &<< 17
        c ^= a
        d ^= b
        b ^= c
        a ^= d
        c ^= shifted
        d = rotate(d, by: 45)
        return result
    }

    private func rotate(_ value: UInt64, by bits: UInt64) -> UInt64 {
        (value &<< bits) | (value &>> (64 &- bits))
    }

    private static func splitMix(_ state: inout UInt64) -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed &>> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed &>> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed &>> 31)
    }
}
