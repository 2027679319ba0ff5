// Recognising a name of a fixed set: one multiplication and two or three comparisons of words.
//
// It runs for every field line of every head. A switch over length and letters, and then a
// comparison with the one name that is left, cost twice as much.
//
// Invariants:
// - names are 1...24 bytes of letters, digits and `-`, so a letter is what has bit 6 set, and two
//   spellings of a name differ in nothing but bit 5 of letters
// - no two names share a slot: `init` tries multipliers until that is so, which needs names that
//   differ in length or in their first eight bytes

/// A fixed set of names, looked up without case.
public final class NameIndex: Sendable {
    /// A name in lower case: its first and last eight bytes, which overlap unless it has sixteen,
    /// and the eight in the middle of one that has more.
    private struct Slot {
        var first: UInt64 = 0
        var last: UInt64 = 0
        var middle: UInt64 = 0
        var count = 0
        var value: UInt8 = 0
    }

    private nonisolated(unsafe) let slots: UnsafeMutablePointer<Slot>
    private let multiplier: UInt64

    /// Makes the set; `values` are not 0, which stands for "none".
    public init(_ names: [(name: StaticString, value: UInt8)]) {
        slots = .allocate(capacity: slotCount)
        var factor: UInt64 = 0x9E37_79B9_7F4A_7C15
        var attempts = 0
        while !NameIndex.fill(slots, names, factor) {
            attempts += 1
            precondition(attempts < attemptsMax, "the names can't be told apart")
            factor = factor &* 5 &+ 2
        }
        multiplier = factor
    }

    deinit { slots.deallocate() }

    /// The value of `name`, or 0.
    public func value(of name: Span<UInt8>) -> UInt8 {
        let count = name.count
        guard count > 0, count <= nameCountMax else { return 0 }
        let base = name.address
        return value(base, count, count >= 8 ? load(base, 0) : loadTail(base, 0, count))
    }

    /// The value of the name of `count` bytes at `base`, or 0; eight bytes can be read there, also
    /// when the name has fewer.
    @inline(__always)
    func value(of base: UnsafeRawPointer, count: Int) -> UInt8 {
        guard count > 0, count <= nameCountMax else { return 0 }
        let word = load(base, 0)
        let kept = count >= 8 ? UInt64.max : UInt64.max &>> UInt64(64 &- count &* 8)
        return value(base, count, word & kept)
    }

    /// `first`: the first eight bytes, with zeros behind a shorter name.
    @inline(__always)
    private func value(_ base: UnsafeRawPointer, _ count: Int, _ first: UInt64) -> UInt8 {
        let slot = slots + slotIndex(first, count, multiplier)
        guard slot.pointee.count == count, isSame(first, slot.pointee.first) else { return 0 }
        guard count > 8 else { return slot.pointee.value }
        guard isSame(load(base, count &- 8), slot.pointee.last) else { return 0 }
        guard count > 16 else { return slot.pointee.value }
        return isSame(load(base, 8), slot.pointee.middle) ? slot.pointee.value : 0
    }

    /// Whether every name found a slot of its own.
    private static func fill(
        _ slots: UnsafeMutablePointer<Slot>,
        _ names: [(name: StaticString, value: UInt8)],
        _ multiplier: UInt64
    ) -> Bool {
        slots.update(repeating: Slot(), count: slotCount)
        for (name, value) in names {
            let base = UnsafeRawPointer(name.utf8Start)
            let count = name.utf8CodeUnitCount
            precondition(count > 0 && count <= nameCountMax && value != 0)
            for index in 0..<count {
                precondition(isNameByte(base.load(fromByteOffset: index, as: UInt8.self)))
            }
            let first = count >= 8 ? load(base, 0) : loadTail(base, 0, count)
            let slot = slots + slotIndex(first, count, multiplier)
            guard slot.pointee.count == 0 else { return false }
            slot.pointee = Slot(
                first: lowercase(first, count),
                last: count > 8 ? lowercase(load(base, count - 8), 8) : 0,
                middle: count > 16 ? lowercase(load(base, 8), 8) : 0,
                count: count,
                value: value
            )
        }
        return true
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        let lower = byte | 0x20
        return (lower >= 0x61 && lower <= 0x7A) || (byte >= 0x30 && byte <= 0x39) || byte == 0x2D
    }

    /// `-` and digits have the bit already, and the bytes behind a short name stay 0.
    private static func lowercase(_ word: UInt64, _ count: Int) -> UInt64 {
        word | spread(0x20) &>> UInt64(count < 8 ? (8 - count) * 8 : 0)
    }
}

private let slotCount = 256
private let nameCountMax = 24
private let attemptsMax = 100_000

@inline(__always)
private func slotIndex(_ first: UInt64, _ count: Int, _ multiplier: UInt64) -> Int {
    // The case bit counts for nothing here: it is set in all bytes.
    let key = (first | spread(0x20)) &+ UInt64(truncatingIfNeeded: count)
    return Int(truncatingIfNeeded: (key &* multiplier) &>> 56)
}

/// Whether `word` is `lowercase` but for the case bit of letters.
@inline(__always)
private func isSame(_ word: UInt64, _ lowercase: UInt64) -> Bool {
    (word ^ lowercase) & ~((lowercase & spread(0x40)) &>> 1) == 0
}
