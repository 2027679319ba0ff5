// The lines of a head, found and recorded in one pass.
//
// What it is: the loop that sees every byte of nearly every head, kept in one function without a
// call in it, since calls, lent spans and returned optionals cost it more than the search itself.
// What it is not: a judge of doubtful lines. It stops at the first one that is not written the way
// nearly all are, and whoever called it looks closer.
//
// Invariants:
// - no byte at or after `count` is read
// - a line is recorded only when its name is known or made of letters, digits, `-` and `.`, exactly
//   one space follows the colon, and the value has no blank at its ends and no control but HTAB

/// Where a field line `name: value CRLF` stands in its block, and which name it has: the two words
/// of a record in a `WordArray`.
@frozen public struct FieldLine: Equatable, Sendable {
    /// Where the line starts, and the bytes of its value above.
    public let place: UInt64
    /// What the name is in a `NameIndex`, marks of the owner, and the bytes of the name above.
    public let kind: UInt64

    /// A record as it was read from the table.
    @inlinable
    public init(place: UInt64, kind: UInt64) {
        self.place = place
        self.kind = kind
    }

    /// A record of a line; all numbers but `name` must fit into 32 bits.
    @inlinable
    public init(start: Int, nameCount: Int, valueCount: Int, name: UInt8) {
        place = UInt64(truncatingIfNeeded: start) | UInt64(truncatingIfNeeded: valueCount) &<< 32
        kind = UInt64(truncatingIfNeeded: nameCount) &<< 32 | UInt64(name)
    }

    /// Where the line starts.
    @inlinable public var start: Int { Int(place & 0xFFFF_FFFF) }
    /// Bytes of the name.
    @inlinable public var nameCount: Int { Int(kind >> 32) }
    /// Bytes of the value.
    @inlinable public var valueCount: Int { Int(place >> 32) }
    /// The name.
    @inlinable public var nameRange: Range<Int> { start..<start + nameCount }
    /// The value, without the blank before it.
    @inlinable
    public var valueRange: Range<Int> {
        let from = start + nameCount + 2
        return from..<from + valueCount
    }
    /// Where the line ends, behind its CRLF.
    @inlinable public var end: Int { start + nameCount + valueCount + 4 }
}

extension WordArray {
    /// Appends a record of each ordinary line of `input` that begins at `from`, up to the first
    /// other one or what the limits permit.
    ///
    /// - Parameters:
    ///   - start: Where the line at `from` will stand in its block.
    ///   - bytesMax: Bytes of all these lines.
    ///   - countMax: Records in the whole array.
    /// - Returns: Where the first line begins that was not taken, and a bit for each value of
    ///   `names` that was found, which must be below 64, bit 0 for any other name.
    public func appendOrdinaryLines(
        of input: Span<UInt8>,
        from: Int,
        start: Int,
        bytesMax: Int,
        countMax: Int,
        names: NameIndex
    ) -> (end: Int, found: UInt64) {
        precondition(from >= 0 && from <= input.count)
        let count = input.count
        guard from < count else { return (from, 0) }
        let base = input.address
        var position = from
        var found: UInt64 = 0
        var room = countMax &- self.count &>> 1
        while room > 0, let colon = colon(base, position, count), colon > position,
            // No control but HTAB is above the space in a value, so what is above it is no blank.
            colon &+ 4 < count, byte(base, colon &+ 1) == 0x20, byte(base, colon &+ 2) > 0x20
        {
            let nameCount = colon &- position
            let name = names.value(of: base + position, count: nameCount)
            guard name != 0 || isPlainName(base + position, nameCount) else { break }
            let end = lineEnd(base, colon &+ 2, count)
            guard end &+ 2 <= count,
                UInt16(littleEndian: base.loadUnaligned(fromByteOffset: end, as: UInt16.self))
                    == 0x0A0D,
                byte(base, end &- 1) > 0x20, end &+ 2 &- from <= bytesMax
            else { break }
            let line = FieldLine(
                start: start &+ position &- from,
                nameCount: nameCount,
                valueCount: end &- colon &- 2,
                name: name
            )
            append(line.place, line.kind)
            found |= 1 &<< UInt64(name)
            position = end &+ 2
            room &-= 1
        }
        return (position, found)
    }
}

/// The first colon at or after `from`; nil when none is near, or not before the last seven bytes.
///
/// Bounded, as what follows the fields is a body that may have no colon at all.
@inline(__always)
private func colon(_ base: UnsafeRawPointer, _ from: Int, _ count: Int) -> Int? {
    var index = from
    while index &+ 8 <= count, index &- from < nameCountMax {
        let different = load(base, index) ^ spread(0x3A)
        let hits = (different &- spread(0x01)) & ~different & topBits
        if hits != 0 { return index &+ hits.trailingZeroBitCount &>> 3 }
        index &+= 8
    }
    return nil
}

/// Whether a name is made of letters, digits, `-` and `.`; at least eight bytes can be read at it.
///
/// Not inlined: most names are known, and its loop would take the registers of the other one.
@inline(never)
private func isPlainName(_ base: UnsafeRawPointer, _ count: Int) -> Bool {
    guard count >= 8 else {
        // The bytes behind the name become letters.
        let kept = UInt64.max &>> UInt64(64 &- count &* 8)
        return unusualInName(load(base, 0) & kept | spread(0x61) & ~kept) & topBits == 0
    }
    // The last word ends at the end: it may overlap the one before it.
    let last = count &- 8
    var unusual = unusualInName(load(base, last))
    var index = 0
    while index < last {
        unusual |= unusualInName(load(base, index))
        index &+= 8
    }
    return unusual & topBits == 0
}

@inline(__always)
private func byte(_ base: UnsafeRawPointer, _ index: Int) -> UInt8 {
    base.load(fromByteOffset: index, as: UInt8.self)
}

/// Longer names are rare enough for the closer look.
private let nameCountMax = 64
