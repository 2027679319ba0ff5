// A table of words for a class field that is written on the request path.
//
// Why not an array: every access to an array in a class field pays a dynamic exclusivity check, and
// a write a uniqueness check too; in the field table of a head they were a quarter of all
// instructions.

/// A growable array of 64-bit words; worker-confined.
public final class WordArray {
    private var base: UnsafeMutablePointer<UInt64>?
    private var used = 0
    private var capacityWords = 0

    /// Makes an empty array; nothing is allocated until the first word.
    public init() {}

    deinit { base?.deallocate() }

    /// Number of words held.
    public var count: Int { used }

    /// Bytes of memory the array keeps.
    public var capacity: Int { capacityWords * 8 }

    /// The word at `index`. Traps when out of bounds.
    public subscript(index: Int) -> UInt64 {
        get {
            precondition(index >= 0 && index < used)
            return base.unsafelyUnwrapped[index]
        }
        set {
            precondition(index >= 0 && index < used)
            base.unsafelyUnwrapped[index] = newValue
        }
    }

    /// Appends two words, as a record of two is what tables here are made of.
    public func append(_ first: UInt64, _ second: UInt64) {
        if capacityWords - used < 2 { grow() }
        base.unsafelyUnwrapped[used] = first
        base.unsafelyUnwrapped[used + 1] = second
        used += 2
    }

    /// Drops everything and keeps the memory.
    public func clear() { used = 0 }

    /// Drops everything and gives the memory back.
    public func release() {
        used = 0
        base?.deallocate()
        base = nil
        capacityWords = 0
    }

    private func grow() {
        let wanted = max(capacityWords * 2, 32)
        let block = UnsafeMutablePointer<UInt64>.allocate(capacity: wanted)
        if let base {
            block.update(from: base, count: used)
            base.deallocate()
        }
        base = block
        capacityWords = wanted
    }
}
