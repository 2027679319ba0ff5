// The heads and trailers of one stream that wait for their turn on the wire.
//
// HPACK's table changes with every block, so a block is encoded when its frame is written, not when it
// is submitted: what is reset before that must leave no trace. Until then its fields lie here, since
// the owner's head may be another one by then.
//
// Layout: a block is the number of bytes that follow (4), then fields; a field is two words of
// `PendingField`, the name in lower case unless it has a code, and the value.

import Bytes
import HTTP

#if canImport(Glibc)
    import Glibc
#endif

/// How a field may be encoded (RFC 7541 §6.2, §7.1).
enum FieldCaching: UInt8 {
    /// In the table from the second time on.
    case allowed
    /// Never in our table; others may do as they like.
    case useless
    /// In nobody's table.
    case forbidden
}

/// What stands before the bytes of a field.
struct PendingField {
    /// The raw value of a `FieldName`, or of a pseudo-header field.
    var code: UInt8
    var caching: UInt8
    var nameCount: UInt32
    var valueCount: UInt32

    static let byteCount = 16
}

/// Codes of pseudo-header fields, behind those of `FieldName`.
enum PseudoField {
    static let method: UInt8 = 200
    static let scheme: UInt8 = 201
    static let authority: UInt8 = 202
    static let path: UInt8 = 203
    static let status: UInt8 = 204
    static let `protocol`: UInt8 = 205
}

/// A queue of header blocks that are not encoded yet.
final class PendingHeads {
    private let store = ByteBuffer()
    /// Where the block begins that is being filled.
    private var blockStart = 0

    var isEmpty: Bool { store.isEmpty }

    /// Begins a block behind those that wait.
    func begin() {
        blockStart = store.count
        _ = store.appendUnsafe(minimum: 4) { free in
            free.storeBytes(of: 0, as: UInt32.self)
            return 4
        }
    }

    /// Adds a field; `name` is only asked for when the code is that of `FieldName.other`.
    func add(
        _ code: UInt8,
        name: Span<UInt8>,
        _ value: Span<UInt8>,
        _ caching: FieldCaching
    ) {
        let nameCount = code == FieldName.other.rawValue ? name.count : 0
        let count = PendingField.byteCount + nameCount + value.count
        precondition(name.count <= UInt32.max && value.count <= UInt32.max)
        _ = store.appendUnsafe(minimum: count) { free in
            let base = free.baseAddress.unsafelyUnwrapped
            base.storeBytes(of: code, as: UInt8.self)
            base.storeBytes(of: caching.rawValue, toByteOffset: 1, as: UInt8.self)
            base.storeBytes(of: UInt32(nameCount), toByteOffset: 4, as: UInt32.self)
            base.storeBytes(of: UInt32(value.count), toByteOffset: 8, as: UInt32.self)
            let text = base + PendingField.byteCount
            if nameCount > 0 {
                name.withUnsafeBytes { copyLowercase($0, to: text) }
            }
            value.withUnsafeBytes { value in
                guard let source = value.baseAddress else { return }
                memcpy(text + nameCount, source, value.count)
            }
            return count
        }
    }

    /// Ends the block; false when it was too large to be sent, and is gone.
    func end() -> Bool {
        let count = store.count - blockStart - 4
        guard count <= PendingHeads.blockBytesMax else {
            store.truncate(to: blockStart)
            return false
        }
        for index in 0..<4 {
            store.set(UInt8(truncatingIfNeeded: count >> (index * 8)), at: blockStart + index)
        }
        return true
    }

    /// Lends the first block and drops it; false when there is none.
    func takeFirst(_ body: (UnsafeRawBufferPointer) -> Void) -> Bool {
        guard !store.isEmpty else { return false }
        let count = store.withUnsafeBytes { bytes in
            let count = Int(UInt32(littleEndian: bytes.loadUnaligned(as: UInt32.self)))
            body(UnsafeRawBufferPointer(rebasing: bytes[4..<4 + count]))
            return count
        }
        store.consume(4 + count)
        return true
    }

    /// Drops all blocks.
    func clear() {
        if store.capacity > PendingHeads.retainedBytesMax { store.release() } else { store.clear() }
    }

    /// Drops all blocks and gives the memory back.
    func release() { store.release() }

    /// A head as large as our limits let in, with room for what is added.
    private static let blockBytesMax = 1 << 20
    private static let retainedBytesMax = 8 << 10
}

/// Copies a name in lower case (RFC 9113 §8.2.1).
@inline(__always)
private func copyLowercase(_ name: UnsafeRawBufferPointer, to target: UnsafeMutableRawPointer) {
    var index = 0
    while index &+ 8 <= name.count {
        let word = name.loadUnaligned(fromByteOffset: index, as: UInt64.self)
        let low = word & 0x7F7F_7F7F_7F7F_7F7F
        let isFromA = low &+ 0x3F3F_3F3F_3F3F_3F3F
        let isPastZ = low &+ 0x2525_2525_2525_2525
        let isUpper = isFromA & ~isPastZ & ~word & 0x8080_8080_8080_8080
        target.storeBytes(of: word | isUpper &>> 2, toByteOffset: index, as: UInt64.self)
        index &+= 8
    }
    while index < name.count {
        let byte = name[index]
        let isUpper = byte >= 0x41 && byte <= 0x5A
        target.storeBytes(of: isUpper ? byte | 0x20 : byte, toByteOffset: index, as: UInt8.self)
        index &+= 1
    }
}
