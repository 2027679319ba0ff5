// The value of `mesh-origin`: that a message came in as HTTP/1, and how the names of its fields were
// written, which HTTP/2 can't carry (RFC 9113 §8.2).
//
//     mesh-origin = "h1" [ ";" 1*item ]
//     item        = "l" / "t" / "x" 1*HEXDIG "."
//
// An item tells of one regular field, in order: all lower case, Title-Case-Per-Word, or the positions
// of upper-case letters as bits. The last item also tells of all fields after it.

import Bytes
import HTTP

/// Reads the names' case from a `mesh-origin`, item by item.
struct OriginNames {
    private enum Item {
        case lower, title
        case bits(UInt64)
    }

    /// The items, in a buffer that is this value's until the block ends.
    let pattern: ByteBuffer
    private var position = 0
    private var last = Item.lower

    /// Takes a value into `buffer`, which is empty, or gives nil when it is malformed.
    init?(_ value: Span<UInt8>, _ buffer: ByteBuffer) {
        pattern = buffer
        if value.equals("h1") { return }
        guard value.count > 3, value.extracting(first: 3).equals("h1;") else { return nil }
        buffer.append(value.extracting(3..<value.count))
        while position < buffer.count {
            guard next() else { return nil }
        }
        position = 0
        last = .lower
    }

    /// Gives the name of `count` bytes at `name`, which is in lower case, the letters it had.
    mutating func restore(_ name: UnsafeMutablePointer<UInt8>, _ count: Int) {
        skip()
        switch last {
        case .lower: break
        case .title:
            var isStart = true
            for index in 0..<count {
                let byte = name[index]
                if isStart, isLower(byte) { name[index] = byte & ~0x20 }
                isStart = byte == UInt8(ascii: "-")
            }
        case .bits(let bits):
            for index in 0..<min(count, 64) where bits &>> UInt64(index) & 1 != 0 {
                let byte = name[index]
                if isLower(byte) { name[index] = byte & ~0x20 }
            }
        }
    }

    /// Passes over a field.
    mutating func skip() { _ = next() }

    /// Reads an item, or keeps the last one at the end; false when there is none to be read.
    private mutating func next() -> Bool {
        guard position < pattern.count else { return true }
        let kind = pattern[position]
        position += 1
        switch kind {
        case UInt8(ascii: "l"): last = .lower
        case UInt8(ascii: "t"): last = .title
        case UInt8(ascii: "x"):
            var bits: UInt64 = 0
            var digits = 0
            while position < pattern.count, let digit = hexValue(pattern[position]) {
                bits = bits << 4 | digit
                digits += 1
                position += 1
            }
            guard digits > 0, digits <= 16, position < pattern.count,
                pattern[position] == UInt8(ascii: ".")
            else { return false }
            position += 1
            last = .bits(bits)
        default: return false
        }
        return true
    }

    private func hexValue(_ byte: UInt8) -> UInt64? {
        switch byte {
        case 0x30...0x39: UInt64(byte - 0x30)
        case 0x61...0x66: UInt64(byte - 0x57)
        default: nil
        }
    }

    private func isLower(_ byte: UInt8) -> Bool { byte >= 0x61 && byte <= 0x7A }
}

/// Writes the value of a `mesh-origin`.
struct OriginPattern {
    private let buffer: ByteBuffer
    private let start: Int
    /// Where the run of items equal to the last one begins, and how it reads.
    private var runEnd: Int
    private var lastStart: Int

    /// Begins a value at the end of `buffer`.
    init(_ buffer: ByteBuffer) {
        self.buffer = buffer
        buffer.append("h1;")
        start = buffer.count
        runEnd = start
        lastStart = start
    }

    /// Adds the item of a field's name.
    mutating func add(_ name: Span<UInt8>) {
        let itemStart = buffer.count
        appendItem(name)
        let count = buffer.count - itemStart
        let isSame =
            itemStart > start && runEnd - lastStart == count
            && buffer.withSpan { bytes in
                for index in 0..<count where bytes[lastStart + index] != bytes[itemStart + index] {
                    return false
                }
                return true
            }
        if !isSame {
            lastStart = itemStart
            runEnd = buffer.count
        }
    }

    /// Ends the value: the last item stands for its whole run.
    mutating func end() {
        buffer.truncate(to: runEnd)
        let isAllLower = runEnd == start + 1 && buffer[start] == UInt8(ascii: "l")
        // Without the semicolon, when there is nothing to restore.
        if runEnd == start || isAllLower { buffer.truncate(to: start - 1) }
    }

    private func appendItem(_ name: Span<UInt8>) {
        var bits: UInt64 = 0
        var hasUpper = false
        var isTitle = true
        // In words of eight letters, and a last one filled up with zeros: high bits mark letters.
        var startsWord: UInt64 = 0x80
        var index = 0
        name.withUnsafeBytes { name in
            while index < name.count {
                var word: UInt64 = 0
                if index &+ 8 <= name.count {
                    word = name.loadUnaligned(fromByteOffset: index, as: UInt64.self)
                } else {
                    word = tail(name, index)
                }
                let isUpper = inRange(word, 0x41, 0x5A)
                let isLetter = isUpper | inRange(word, 0x61, 0x7A)
                let isDash = inRange(word, 0x2D, 0x2D)
                let isStart = isDash &<< 8 | startsWord
                startsWord = isDash &>> 56
                if isUpper != isStart & isLetter { isTitle = false }
                if isUpper != 0 {
                    hasUpper = true
                    // Moves the eight marks together (one multiplication, as they never meet).
                    let marks = (isUpper &>> 7 &* 0x0102_0408_1020_4080) &>> 56
                    if index < 64 { bits |= marks &<< UInt64(index) }
                }
                index &+= 8
            }
        }
        guard hasUpper else { return buffer.append(UInt8(ascii: "l")) }
        if isTitle { return buffer.append(UInt8(ascii: "t")) }
        guard bits != 0 else { return buffer.append(UInt8(ascii: "l")) }
        buffer.append(UInt8(ascii: "x"))
        buffer.append(hex: bits)
        buffer.append(UInt8(ascii: "."))
    }
}

/// The high bit of each byte that is ASCII and from `low` to `high`.
@inline(__always)
private func inRange(_ word: UInt64, _ low: UInt64, _ high: UInt64) -> UInt64 {
    let ones: UInt64 = 0x0101_0101_0101_0101
    let ascii = word & (ones &* 0x7F)
    let fromLow = ascii &+ ones &* (0x80 &- low)
    let pastHigh = ascii &+ ones &* (0x7F &- high)
    return fromLow & ~pastHigh & ~word & (ones &* 0x80)
}

/// The bytes from `index` on, fewer than eight, with zeros behind them.
@inline(__always)
private func tail(_ name: UnsafeRawBufferPointer, _ index: Int) -> UInt64 {
    let count = name.count &- index
    if name.count >= 8 {
        let word = name.loadUnaligned(fromByteOffset: name.count &- 8, as: UInt64.self)
        return word &>> UInt64((8 &- count) &* 8)
    }
    if count >= 4 {
        // Two loads that may overlap: both have the same bits there.
        let low = name.loadUnaligned(fromByteOffset: index, as: UInt32.self)
        let high = name.loadUnaligned(fromByteOffset: name.count &- 4, as: UInt32.self)
        return UInt64(low) | UInt64(high) &<< UInt64((count &- 4) &* 8)
    }
    var word: UInt64 = 0
    for place in 0..<count { word |= UInt64(name[index &+ place]) &<< UInt64(place &* 8) }
    return word
}
