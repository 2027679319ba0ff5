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

    /// Gives the name in `buffer`, which is in lower case, the letters it had.
    mutating func restore(_ buffer: ByteBuffer) {
        skip()
        switch last {
        case .lower: break
        case .title:
            var isStart = true
            for index in 0..<buffer.count {
                let byte = buffer[index]
                if isStart, isLower(byte) { buffer.set(byte & ~0x20, at: index) }
                isStart = byte == UInt8(ascii: "-")
            }
        case .bits(let bits):
            for index in 0..<min(buffer.count, 64) where bits &>> UInt64(index) & 1 != 0 {
                let byte = buffer[index]
                if isLower(byte) { buffer.set(byte & ~0x20, at: index) }
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
        guard name.firstUppercase() != nil else { return buffer.append(UInt8(ascii: "l")) }
        var bits: UInt64 = 0
        var isTitle = true
        var isStart = true
        for index in 0..<name.count {
            let byte = name[index]
            let isUpper = byte >= 0x41 && byte <= 0x5A
            let isLetter = isUpper || (byte >= 0x61 && byte <= 0x7A)
            if isLetter, isUpper != isStart { isTitle = false }
            if isUpper, index < 64 { bits |= 1 << UInt64(index) }
            isStart = byte == UInt8(ascii: "-")
        }
        if isTitle { return buffer.append(UInt8(ascii: "t")) }
        guard bits != 0 else { return buffer.append(UInt8(ascii: "l")) }
        buffer.append(UInt8(ascii: "x"))
        buffer.append(hex: bits)
        buffer.append(UInt8(ascii: "."))
    }
}
