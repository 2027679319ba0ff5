// Hexadecimal digits, eight at a time in one word: trace identifiers are read and written for every
// request, about 50 digits each way, and a loop over them costs 20 instructions a digit.

extension Span where Element == UInt8 {
    /// The number that the 16 lower-case hexadecimal digits at `index` write; nil when one is none.
    public func lowercaseHex(at index: Int) -> UInt64? {
        precondition(index >= 0 && index + 16 <= count)
        let (first, second) = self.withUnsafeBytes {
            (
                UInt64(littleEndian: $0.loadUnaligned(fromByteOffset: index, as: UInt64.self)),
                UInt64(littleEndian: $0.loadUnaligned(fromByteOffset: index + 8, as: UInt64.self))
            )
        }
        guard let high = decodeHex(first), let low = decodeHex(second) else { return nil }
        return high &<< 32 | low
    }
}

extension MutableSpan where Element == UInt8 {
    /// Writes `value` as 16 lower-case hexadecimal digits at `index`.
    public mutating func storeHex(_ value: UInt64, at index: Int) {
        precondition(index >= 0 && index + 16 <= count)
        withUnsafeMutableBytes {
            $0.storeBytes(
                of: encodeHex(value &>> 32).littleEndian,
                toByteOffset: index,
                as: UInt64.self
            )
            $0.storeBytes(
                of: encodeHex(value).littleEndian,
                toByteOffset: index + 8,
                as: UInt64.self
            )
        }
    }
}

extension ByteBuffer {
    /// Overwrites 16 bytes at `index` by the lower-case hexadecimal digits of `value`.
    ///
    /// Traps when out of bounds.
    public func setHex(_ value: UInt64, at index: Int) {
        precondition(index >= 0 && index + 16 <= count)
        set(encodeHex(value &>> 32), at: index)
        set(encodeHex(value), at: index &+ 8)
    }

    /// Overwrites 36 bytes at `index` by a UUID: RFC 9562 §4, groups of 8, 4, 4, 4 and 12 digits.
    ///
    /// Traps when out of bounds.
    public func setUUID(high: UInt64, low: UInt64, at index: Int) {
        precondition(index >= 0 && index + 36 <= count)
        let second = encodeHex(high)
        let third = encodeHex(low &>> 32)
        let dash: UInt64 = 0x2D
        // The word that begins with a dash and half of eight digits, and ends with a dash too, is
        // written before what follows it, as its last two bytes stand too much.
        set(encodeHex(high &>> 32), at: index)
        set(dash | (second & 0xFFFF_FFFF) &<< 8 | dash &<< 40, at: index &+ 8)
        set(dash | (second &>> 32) &<< 8 | dash &<< 40, at: index &+ 13)
        set(dash | (third & 0xFFFF_FFFF) &<< 8 | dash &<< 40, at: index &+ 18)
        set(dash | (third &>> 32) &<< 8, at: index &+ 23)
        set(encodeHex(low), at: index &+ 28)
    }

    /// Overwrites eight bytes, the first one the lowest of `word`; the caller has checked `index`.
    @inline(__always)
    private func set(_ word: UInt64, at index: Int) {
        base.unsafelyUnwrapped.storeBytes(
            of: word.littleEndian,
            toByteOffset: start &+ index,
            as: UInt64.self
        )
    }
}

/// The lowest 32 bits of `value` as eight digits, the first one in the lowest byte.
@inline(__always)
private func encodeHex(_ value: UInt64) -> UInt64 {
    var nibbles = value & 0xFFFF_FFFF
    nibbles = (nibbles | nibbles &<< 16) & 0x0000_FFFF_0000_FFFF
    nibbles = (nibbles | nibbles &<< 8) & 0x00FF_00FF_00FF_00FF
    nibbles = (nibbles | nibbles &<< 4) & 0x0F0F_0F0F_0F0F_0F0F
    return digits(nibbles).byteSwapped
}

/// The value of the eight digits in `word`, the first one in the lowest byte; nil when one is none.
@inline(__always)
private func decodeHex(_ word: UInt64) -> UInt64? {
    // Bit 6 tells letters from digits; the value of "a" is its low nibble plus 9.
    let letters = (word &>> 6) & 0x0101_0101_0101_0101
    let nibbles = (word & 0x0F0F_0F0F_0F0F_0F0F) &+ letters &* 9
    // Whatever is no digit either overflows its nibble or is spelled differently when written.
    guard nibbles & 0xF0F0_F0F0_F0F0_F0F0 == 0, digits(nibbles) == word else { return nil }
    var value = nibbles.byteSwapped
    value = (value | value &>> 4) & 0x00FF_00FF_00FF_00FF
    value = (value | value &>> 8) & 0x0000_FFFF_0000_FFFF
    return (value | value &>> 16) & 0xFFFF_FFFF
}

/// The digit of each of eight nibbles, in the same byte.
@inline(__always)
private func digits(_ nibbles: UInt64) -> UInt64 {
    let isLetter = ((nibbles &+ 0x0606_0606_0606_0606) &>> 4) & 0x0101_0101_0101_0101
    return nibbles &+ 0x3030_3030_3030_3030 &+ isLetter &* 0x27
}
