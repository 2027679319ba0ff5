// A table of words for a class field that is written on the request path.
//
// Why not an array: every access to an array in a class field pays a dynamic exclusivity check, and
// a write a uniqueness check too; in the field table of a head they were a quarter of all
// instructions. Why the storage is visible to inlined code, see ByteBuffer.swift.

/// A growable array of 64-bit words; worker-confined.
public final class WordArray {
    @usableFromInline @exclusivity(unchecked) var base: UnsafeMutablePointer<UInt64>?
    @usableFromInline @exclusivity(unchecked) var used = 0
    @usableFromInline @exclusivity(unchecked) var capacityWords = 0

    /// Makes an empty array; nothing is allocated until the first word.
    public init() {}

    deinit { base?.deallocate() }

    /// Number of words held.
    @inlinable public var count: Int { used }

    /// Bytes of memory the array keeps.
    @inlinable public var capacity: Int { capacityWords * 8 }

    /// The word at `index`.
    ///
    /// Traps when out of bounds.
    @inlinable
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
    @inlinable
    public func append(_ first: UInt64, _ second: UInt64) {
        if capacityWords &- used < 2 { grow() }
        base.unsafelyUnwrapped[used] = first
        base.unsafelyUnwrapped[used &+ 1] = second
        used &+= 2
    }

    /// The index of the first record of two words, at or after record `from`, whose second word
    /// satisfies `isWanted`.
    @inlinable
    public func firstRecord(from: Int, where isWanted: (UInt64) -> Bool) -> Int? {
        precondition(from >= 0)
        let records = used &>> 1
        guard from < records else { return nil }
        let words = base.unsafelyUnwrapped
        var index = from
        while index < records {
            if isWanted(words[index &* 2 &+ 1]) { return index }
            index &+= 1
        }
        return nil
    }

    /// Drops everything and keeps the memory.
    @inlinable public func clear() { used = 0 }

    /// Drops everything and gives the memory back.
    public func release() {
        used = 0
        base?.deallocate()
        base = nil
        capacityWords = 0
    }

    @usableFromInline @inline(never)
    func grow() {
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
