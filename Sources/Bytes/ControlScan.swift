// One pass that finds the end of a line and proves that nothing unprintable stands before it.
//
// A text protocol's line ends at a control byte (CR), and no control byte but HTAB may stand
// inside. So a search for "the first control byte" does the work of memchr and of a validation loop
// at once.

extension Span where Element == UInt8 {
    /// The index of the first byte at or after `from` that is a control (0x00...0x1F or 0x7F) other
    /// than HTAB, or nil. Traps when `from` > `count`.
    public func firstControl(from: Int = 0) -> Int? {
        precondition(from >= 0 && from <= count)
        return self.withUnsafeBytes { (raw: UnsafeRawBufferPointer) -> Int? in
            guard let base = raw.baseAddress else { return nil }
            let count = raw.count
            var index = from
            // Eight bytes at a time in a word: SIMD16 comparisons are not lowered to vector code
            // here and cost fifty times as much.
            while index &+ 8 <= count {
                let word = UInt64(
                    littleEndian: base.loadUnaligned(fromByteOffset: index, as: UInt64.self)
                )
                let hits = controls(word)
                if hits == 0 {
                    index &+= 8
                    continue
                }
                index &+= hits.trailingZeroBitCount &>> 3
                if base.load(fromByteOffset: index, as: UInt8.self) != 0x09 { return index }
                index &+= 1
            }
            while index < count {
                if isControl(base.load(fromByteOffset: index, as: UInt8.self)) { return index }
                index &+= 1
            }
            return nil
        }
    }
}

/// The top bit of the first byte of `word` that is a control, HTAB included; 0 when there is none.
///
/// Bits above the lowest one may be wrong, as a subtraction borrows from the next byte.
@inline(__always)
private func controls(_ word: UInt64) -> UInt64 {
    let delete = word ^ 0x7F7F_7F7F_7F7F_7F7F
    let isBelowSpace = (word &- 0x2020_2020_2020_2020) & ~word
    let isDelete = (delete &- 0x0101_0101_0101_0101) & ~delete
    return (isBelowSpace | isDelete) & 0x8080_8080_8080_8080
}

@inline(__always)
private func isControl(_ byte: UInt8) -> Bool {
    (byte < 0x20 && byte != 0x09) || byte == 0x7F
}
