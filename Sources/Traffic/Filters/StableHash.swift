import Bytes

extension Span where Element == UInt8 {
    /// A hash that is the same in every proxy and version: callers stay where they are by it.
    ///
    /// FNV-1a, and SplitMix64's finalizer so that near values are far apart. Whoever chooses the bytes
    /// can choose the hash, and so only where he himself goes.
    var stableHash: UInt64 {
        var hash = PathHash()
        for index in 0..<count { hash.add(self[index]) }
        var value = hash.value
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }
}
