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
        let end = scanLine(from: from)
        return end < count ? end : nil
    }

    /// The line `name: value CRLF` at `from`, when it is written the way nearly all are: a name, a
    /// colon, one space, and a value without blanks around it, all of it without control bytes.
    ///
    /// Only the colon says where the name ends: whether its bytes may stand in a name is up to the
    /// caller. Any other line, also one whose end is not there yet, is for a closer look.
    public func ordinaryFieldLine(from: Int) -> OrdinaryFieldLine? {
        let end = scanLine(from: from)
        guard end &+ 2 <= count else { return nil }
        let base = address
        let lineEnd = base.loadUnaligned(fromByteOffset: end, as: UInt16.self)
        guard UInt16(littleEndian: lineEnd) == 0x0A0D else { return nil }
        var index = from
        while index < end, index &+ 8 <= count {
            let different = load(base, index) ^ spread(0x3A)
            let hits = (different &- spread(0x01)) & ~different & topBits
            if hits == 0 {
                index &+= 8
                continue
            }
            let colon = index &+ hits.trailingZeroBitCount &>> 3
            // No control but HTAB is left here, so what is above the space is no blank.
            guard colon > from, colon &+ 2 < end,
                base.load(fromByteOffset: colon &+ 1, as: UInt8.self) == 0x20,
                base.load(fromByteOffset: colon &+ 2, as: UInt8.self) > 0x20,
                base.load(fromByteOffset: end &- 1, as: UInt8.self) > 0x20
            else { return nil }
            return OrdinaryFieldLine(nameCount: colon &- from, count: end &+ 2 &- from)
        }
        return nil
    }

    /// The index of the first control but HTAB, or `count`.
    @inline(__always)
    private func scanLine(from: Int) -> Int {
        precondition(from >= 0 && from <= count)
        let count = count
        guard from < count else { return count }
        let base = address
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
}

/// The layout of a line that reads `name: value CRLF`.
@frozen public struct OrdinaryFieldLine: Equatable, Sendable {
    /// Bytes of the name.
    public let nameCount: Int
    /// Bytes of the line with its CRLF.
    public let count: Int

    /// Bytes of the value.
    @inlinable public var valueCount: Int { count &- nameCount &- 4 }

    @inlinable
    init(nameCount: Int, count: Int) {
        self.nameCount = nameCount
        self.count = count
    }
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
