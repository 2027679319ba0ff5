// One pass that finds the end of a line and proves that nothing unprintable stands before it.
//
// A text protocol's line ends at a control byte (CR), and no control byte but HTAB may stand
// inside. So a search for "the first control byte" does the work of memchr and of a validation loop
// at once.

extension Span where Element == UInt8 {
    /// The index of the first byte at or after `from` that is a control (0x00...0x1F or 0x7F) other
    /// than HTAB, or nil.
    ///
    /// Traps when `from` > `count`.
    public func firstControl(from: Int = 0) -> Int? {
        precondition(from >= 0 && from <= count)
        guard from < count else { return nil }
        let end = lineEnd(address, from, count)
        return end < count ? end : nil
    }
}

/// The index of the first control but HTAB at or after `from`, or `count`.
@inline(__always)
func lineEnd(_ base: UnsafeRawPointer, _ from: Int, _ count: Int) -> Int {
    var index = from
    // Words, as SIMD16 comparisons are not lowered to vector code here and cost fifty times as
    // much; and two at a time, as lines are long enough to pay for it.
    while index &+ 16 <= count {
        let first = controls(load(base, index))
        let second = controls(load(base, index &+ 8))
        if (first | second) & topBits == 0 {
            index &+= 16
            continue
        }
        let hits = first & topBits
        index &+=
            hits != 0
            ? hits.trailingZeroBitCount &>> 3
            : 8 &+ (second & topBits).trailingZeroBitCount &>> 3
        if base.load(fromByteOffset: index, as: UInt8.self) != 0x09 { return index }
        index &+= 1
    }
    while index &+ 8 <= count {
        let hits = controls(load(base, index)) & topBits
        if hits == 0 {
            index &+= 8
            continue
        }
        index &+= hits.trailingZeroBitCount &>> 3
        if base.load(fromByteOffset: index, as: UInt8.self) != 0x09 { return index }
        index &+= 1
    }
    while index < count, !isControl(base.load(fromByteOffset: index, as: UInt8.self)) {
        index &+= 1
    }
    return index
}

/// The top bit of the first byte of `word` that is a control, HTAB included; other bits don't count.
///
/// Top bits above the lowest one may be wrong, as a subtraction borrows from the next byte.
@inline(__always)
private func controls(_ word: UInt64) -> UInt64 {
    let isBelowSpace = word &- spread(0x20)
    let isDelete = (word & sevenBits) &+ spread(0x01)
    return (isBelowSpace | isDelete) & ~word
}

@inline(__always)
private func isControl(_ byte: UInt8) -> Bool {
    (byte < 0x20 && byte != 0x09) || byte == 0x7F
}
