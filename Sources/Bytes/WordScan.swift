// Classes of ASCII bytes, eight bytes at a time in one word.
//
// A head has about 150 bytes that must be of one class or another; a loop over them costs 20
// instructions a byte, a word costs 20 for eight.

extension Span where Element == UInt8 {
    /// The index of the first byte at or after `from` that is not a letter, digit, `-` or `.`, or
    /// nil.
    ///
    /// These make up nearly all names of fields and hosts; the caller decides about the rest.
    public func firstUnusualInName(from: Int = 0) -> Int? {
        first(from: from) { unusualInName($0) }
    }

    /// The index of the first byte at or after `from` that is not visible ASCII, or is `#`, or nil.
    public func firstInvalidInTarget(from: Int = 0) -> Int? {
        first(from: from) { word in
            let low = word & sevenBits
            let visible = atLeast(low, 0x21) & ~atLeast(low, 0x7F)
            let hash = atLeast(low, 0x23) & ~atLeast(low, 0x24)
            return ~(visible & ~hash & ~word)
        }
    }

    /// The index of the first upper-case letter at or after `from`, or nil.
    public func firstUppercase(from: Int = 0) -> Int? {
        first(from: from) { word in
            let low = word & sevenBits
            return atLeast(low, 0x41) & ~atLeast(low, 0x5B) & ~word
        }
    }

    /// The first byte whose top bit is set in what `hits` makes of a word; other bits don't count.
    @inline(__always)
    private func first(from: Int, _ hits: (UInt64) -> UInt64) -> Int? {
        precondition(from >= 0 && from <= count)
        let count = count
        guard from < count else { return nil }
        let base = address
        var index = from
        // Two words at a time, which the compiler turns into one vector; then what is left.
        while index &+ 16 <= count,
            (hits(load(base, index)) | hits(load(base, index &+ 8))) & topBits == 0
        {
            index &+= 16
        }
        while index &+ 8 <= count {
            let found = hits(load(base, index)) & topBits
            if found != 0 { return index &+ found.trailingZeroBitCount &>> 3 }
            index &+= 8
        }
        guard index < count else { return nil }
        let found = hits(loadTail(base, index, count)) & topBits
        let hit = index &+ found.trailingZeroBitCount &>> 3
        return found != 0 && hit < count ? hit : nil
    }

    /// Where the bytes begin, for the duration of a method of this span, which keeps them alive.
    @inline(__always)
    var address: UnsafeRawPointer {
        self.withUnsafeBytes { $0.baseAddress.unsafelyUnwrapped }
    }

    /// A hash in which ASCII letters count without case: equal for all that `matches`.
    ///
    /// For tables of names that we chose; whoever chooses the names can make them collide.
    public func hashIgnoringCase() -> UInt64 {
        let count = count
        var hash = UInt64(truncatingIfNeeded: count) &* hashFactor
        guard count > 0 else { return hash }
        let base = address
        var index = 0
        while index &+ 8 <= count {
            hash = mixed(hash ^ lowercase(load(base, index)))
            index &+= 8
        }
        if index < count { hash = mixed(hash ^ lowercase(loadTail(base, index, count))) }
        return hash
    }

    /// Whether the bytes are exactly those of `other`.
    public func equals(_ other: Span<UInt8>) -> Bool {
        let count = count
        guard count == other.count else { return false }
        guard count >= 8 else {
            guard count > 0 else { return true }
            return loadTail(address, 0, count) == loadTail(other.address, 0, count)
        }
        let left = address
        let right = other.address
        // The last word ends at the end: it may overlap the one before it.
        let last = count &- 8
        var difference = load(left, last) ^ load(right, last)
        var index = 0
        while index < last, difference == 0 {
            difference = load(left, index) ^ load(right, index)
            index &+= 8
        }
        return difference == 0
    }

    /// Whether the bytes equal `spelling` when ASCII letters of both are compared without case.
    public func matches(_ spelling: StaticString) -> Bool {
        let count = count
        guard count == spelling.utf8CodeUnitCount else { return false }
        guard count > 0 else { return true }
        return equalWithoutCase(address, UnsafeRawPointer(spelling.utf8Start), count)
    }

    /// Whether the bytes equal `other` when ASCII letters are compared without case.
    public func matches(_ other: Span<UInt8>) -> Bool {
        let count = count
        guard count == other.count else { return false }
        guard count > 0 else { return true }
        return equalWithoutCase(address, other.address, count)
    }
}

/// The top bit of each byte that is not a letter, digit, `-` or `.`; other bits don't count.
@inline(__always)
func unusualInName(_ word: UInt64) -> UInt64 {
    let low = word & sevenBits
    let folded = low | spread(0x20)
    let letters = atLeast(folded, 0x61) & ~atLeast(folded, 0x7B)
    let digits = atLeast(low, 0x30) & ~atLeast(low, 0x3A)
    let marks = atLeast(low, 0x2D) & ~atLeast(low, 0x2F)
    return ~((letters | digits | marks) & ~word)
}

@inline(__always)
private func equalWithoutCase(
    _ left: UnsafeRawPointer,
    _ right: UnsafeRawPointer,
    _ count: Int
) -> Bool {
    guard count >= 8 else { return isSameText(loadTail(left, 0, count), loadTail(right, 0, count)) }
    // The last word ends at the end: it may overlap the one before it.
    let last = count &- 8
    var index = 0
    while index < last {
        if !isSameText(load(left, index), load(right, index)) { return false }
        index &+= 8
    }
    return isSameText(load(left, last), load(right, last))
}

/// Whether two words differ in nothing but the case bit of letters.
@inline(__always)
private func isSameText(_ left: UInt64, _ right: UInt64) -> Bool {
    let difference = left ^ right
    if difference == 0 { return true }
    let folded = (right & sevenBits) | spread(0x20)
    let letters = atLeast(folded, 0x61) & ~atLeast(folded, 0x7B) & ~right & topBits
    return difference & ~(letters &>> 2) == 0
}

@inline(__always)
private func lowercase(_ word: UInt64) -> UInt64 {
    let low = word & sevenBits
    return word | (atLeast(low, 0x41) & ~atLeast(low, 0x5B) & ~word & topBits) &>> 2
}

@inline(__always)
private func mixed(_ hash: UInt64) -> UInt64 {
    let product = hash &* hashFactor
    return product ^ product &>> 32
}

private let hashFactor: UInt64 = 0x9E37_79B9_7F4A_7C15

let topBits: UInt64 = 0x8080_8080_8080_8080
let sevenBits: UInt64 = 0x7F7F_7F7F_7F7F_7F7F

@inline(__always)
func spread(_ byte: UInt64) -> UInt64 { byte &* 0x0101_0101_0101_0101 }

/// The top bit of each byte that is at least `bound`; the bytes of `low` are below 0x80.
@inline(__always)
private func atLeast(_ low: UInt64, _ bound: UInt64) -> UInt64 { low &+ spread(0x80 &- bound) }

@inline(__always)
func load(_ base: UnsafeRawPointer, _ index: Int) -> UInt64 {
    UInt64(littleEndian: base.loadUnaligned(fromByteOffset: index, as: UInt64.self))
}

/// The bytes from `index` to `count`, 1...7 of them, with zeros behind them.
@inline(__always)
func loadTail(_ base: UnsafeRawPointer, _ index: Int, _ count: Int) -> UInt64 {
    // With eight bytes in all, one load that ends at the end does it.
    if count >= 8 { return load(base, count &- 8) &>> UInt64((8 &- (count &- index)) &* 8) }
    let rest = base + index
    let size = count &- index
    if size >= 4 {
        // Two loads that may overlap: both have the same bits there.
        let low = UInt32(littleEndian: rest.loadUnaligned(as: UInt32.self))
        let high = UInt32(
            littleEndian: rest.loadUnaligned(fromByteOffset: size &- 4, as: UInt32.self)
        )
        return UInt64(low) | UInt64(high) &<< UInt64((size &- 4) &* 8)
    }
    // The first, the middle and the last byte are all there are.
    let middle = size &>> 1
    let last = size &- 1
    return UInt64(rest.load(as: UInt8.self))
        | UInt64(rest.load(fromByteOffset: middle, as: UInt8.self)) &<< UInt64(middle &* 8)
        | UInt64(rest.load(fromByteOffset: last, as: UInt8.self)) &<< UInt64(last &* 8)
}
