import Synchronization

/// Requests of one worker, counted by periods of time: written by that worker, read by all.
///
/// A slot is one atomic word of a period's number and the count in it, so a reader never sees the
/// count of one period beside the number of another. With a single writer, a load and a store are
/// enough: no locked instruction, and the line stays with the worker's core between two readings.
final class RequestCounts: Sendable {
    /// A power of two that holds the periods of a window and one to spare.
    static let slotCount = 16

    // Keep what another worker writes off this one's cache lines.
    private let paddingBefore = InlineArray<8, UInt64>(repeating: 0)
    private let slots = InlineArray<16, Atomic<UInt64>> { _ in Atomic(0) }
    private let paddingAfter = InlineArray<8, UInt64>(repeating: 0)

    /// Counts one request in `period`; called by the owner only.
    ///
    /// A period that is behind what its slot holds (time went back) is not counted: fewer requests
    /// never allow more retries. A period in which 2^32 requests come is out of reach: it lasts at
    /// most six seconds.
    func add(period: UInt32) {
        let slot = Int(period) & (RequestCounts.slotCount - 1)
        let word = slots[slot].load(ordering: .relaxed)
        let held = UInt32(truncatingIfNeeded: word >> 32)
        if held == period {
            slots[slot].store(word &+ 1, ordering: .relaxed)
        } else if held < period {
            slots[slot].store(UInt64(period) << 32 | 1, ordering: .relaxed)
        }
    }

    /// Requests in the `periods` periods that end with `last`; any thread.
    func sum(last: UInt32, periods: UInt32) -> UInt64 {
        var sum: UInt64 = 0
        for slot in 0..<RequestCounts.slotCount {
            let word = slots[slot].load(ordering: .relaxed)
            let held = UInt32(truncatingIfNeeded: word >> 32)
            if held <= last, last - held < periods { sum += word & 0xFFFF_FFFF }
        }
        return sum
    }
}
