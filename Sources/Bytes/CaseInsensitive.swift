// Comparison without case for names whose spelling has case of its own.

extension Span where Element == UInt8 {
    /// Whether the bytes equal `spelling` when ASCII letters of both are compared without case.
    public func matches(_ spelling: StaticString) -> Bool {
        guard count == spelling.utf8CodeUnitCount else { return false }
        let expected = spelling.utf8Start
        for index in 0..<count where !isSameLetter(self[index], expected[index]) { return false }
        return true
    }

    /// Whether the bytes equal `other` when ASCII letters are compared without case.
    public func matches(_ other: Span<UInt8>) -> Bool {
        guard count == other.count else { return false }
        for index in 0..<count where !isSameLetter(self[index], other[index]) { return false }
        return true
    }
}

@inline(__always)
private func isSameLetter(_ left: UInt8, _ right: UInt8) -> Bool {
    if left == right { return true }
    let folded = left | 0x20
    return left ^ right == 0x20 && folded >= 0x61 && folded <= 0x7A
}
