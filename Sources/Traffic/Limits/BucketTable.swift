// The buckets of a limit that counts by key: as many as there is room for, found by hash.
//
// - A key is kept as 128 bits of SipHash, seeded at random for the process: nothing a caller sends is
//   kept, nothing is allocated for it, and nobody outside can choose keys that collide.
// - A set of eight slots is all that is looked at for a key. When it is full, the bucket that is
//   nearest to full makes room: a flood of new keys costs those that have rested, while a key that
//   has used up its bucket keeps it.
// - The table doubles when a set is full, to a maximum.

import Bytes

/// When each key's bucket is full again, in a bounded table.
struct BucketTable: Sendable {
    private struct Slot {
        var high: UInt64
        var low: UInt64
        /// In ticks of the limit's rate; 0: the slot is free.
        var fullAt: UInt128
    }

    private var slots: ContiguousArray<Slot>
    private var setMask: Int
    private let keysMax: Int
    private(set) var count = 0

    /// An empty table for at most `keysMax` keys, a power of two and at least 64.
    init(keysMax: Int) {
        precondition(keysMax >= 64 && keysMax & (keysMax - 1) == 0)
        self.keysMax = keysMax
        setMask = 64 / BucketTable.ways - 1
        slots = ContiguousArray(repeating: BucketTable.free, count: 64)
    }

    /// The slot of `key`, which may have been another's until now.
    mutating func slot(_ key: Span<UInt8>) -> Int {
        let (high, low) = (fingerprint(key, salt: 0), fingerprint(key, salt: 1))
        if let known = find(high, low) { return known }
        var slot = roomiest(low)
        while slots[slot].fullAt != 0, slots.count < keysMax {
            grow()
            slot = roomiest(low)
        }
        if slots[slot].fullAt == 0 { count += 1 }
        // Not 0 any more, so that it counts as taken; any time in the past is a full bucket.
        slots[slot] = Slot(high: high, low: low, fullAt: 1)
        return slot
    }

    /// When the bucket in `slot` is full again.
    subscript(slot: Int) -> UInt128 {
        get { slots[slot].fullAt }
        set { slots[slot].fullAt = max(newValue, 1) }
    }

    private func find(_ high: UInt64, _ low: UInt64) -> Int? {
        let first = firstSlot(low)
        for slot in first..<first + BucketTable.ways
        where slots[slot].low == low && slots[slot].high == high && slots[slot].fullAt != 0 {
            return slot
        }
        return nil
    }

    /// A free slot of the set, or the one nearest to full.
    private func roomiest(_ low: UInt64) -> Int {
        let first = firstSlot(low)
        var best = first
        for slot in first..<first + BucketTable.ways where slots[slot].fullAt < slots[best].fullAt {
            best = slot
        }
        return best
    }

    private func firstSlot(_ low: UInt64) -> Int {
        (Int(truncatingIfNeeded: low) & setMask) * BucketTable.ways
    }

    /// Twice as many sets: one more bit of each hash parts a set in two, which therefore have room.
    private mutating func grow() {
        let old = slots
        slots = ContiguousArray(repeating: BucketTable.free, count: old.count * 2)
        setMask = setMask * 2 + 1
        for slot in old where slot.fullAt != 0 { slots[roomiest(slot.low)] = slot }
    }

    private func fingerprint(_ key: Span<UInt8>, salt: UInt8) -> UInt64 {
        var hasher = Hasher()
        hasher.combine(salt)
        // Words, as the hasher is asked once for each; the length tells padding from zeros.
        hasher.combine(key.count)
        var index = 0
        while index < key.count {
            var word: UInt64 = 0
            let end = min(index + 8, key.count)
            while index < end {
                word = word << 8 | UInt64(key[index])
                index += 1
            }
            hasher.combine(word)
        }
        return UInt64(bitPattern: Int64(hasher.finalize()))
    }

    private static let ways = 8
    private static var free: Slot { Slot(high: 0, low: 0, fullAt: 0) }
}
