// The heads and trailers of one stream that wait for their turn on the wire.
//
// HPACK's table changes with every block, so a block is encoded when its frame is written, not when it
// is submitted: what is reset before that must leave no trace. Until then its fields lie here, since
// the owner's head may be another one by then.
//
// Layout: a block is a `PendingBlock`, then fields; a field is a `PendingField`, the name in lower
// case unless it has a code, and the value. `mesh-origin` is the first regular field on the wire, but
// is known only when all others were seen, so it stands last.

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

/// What stands before the fields of a block.
struct PendingBlock {
    /// Bytes of the fields.
    var count: UInt32
    /// Where the regular fields begin, and where the field is that comes before them.
    var regularStart: UInt32
    var originStart: UInt32

    static let byteCount = 12
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
    /// Where the block begins that is being filled, its regular fields, and its `mesh-origin`.
    @exclusivity(unchecked) private var blockStart = 0
    @exclusivity(unchecked) private var regularStart = 0
    @exclusivity(unchecked) private var originStart = 0

    var isEmpty: Bool { store.isEmpty }

    /// Begins a block behind those that wait.
    func begin() {
        blockStart = store.count
        regularStart = 0
        originStart = 0
        _ = store.appendUnsafe(minimum: PendingBlock.byteCount) { _ in PendingBlock.byteCount }
    }

    /// Regular fields follow.
    func beginRegular() { regularStart = fieldBytes }

    /// The next field is the last, and goes before the regular ones.
    func beginOrigin() { originStart = fieldBytes }

    private var fieldBytes: Int { store.count - blockStart - PendingBlock.byteCount }

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
        let count = fieldBytes
        guard count <= PendingHeads.blockBytesMax else {
            store.truncate(to: blockStart)
            return false
        }
        if originStart == 0 {
            originStart = count
            regularStart = count
        }
        let block = PendingBlock(
            count: UInt32(count),
            regularStart: UInt32(regularStart),
            originStart: UInt32(originStart)
        )
        store.withUnsafeBytes { bytes in
            // The store is this object's own, and nothing else looks at it now.
            UnsafeMutableRawBufferPointer(mutating: bytes)
                .storeBytes(of: block, toByteOffset: blockStart, as: PendingBlock.self)
        }
        return true
    }

    /// Lends the parts of the first block in the order of the wire, and drops it; false when there
    /// is none.
    @inline(__always)
    func takeFirst(
        _ body: (
            _ pseudo: UnsafeRawBufferPointer,
            _ origin: UnsafeRawBufferPointer,
            _ regular: UnsafeRawBufferPointer
        ) -> Void
    ) -> Bool {
        guard !store.isEmpty else { return false }
        let count = store.withUnsafeBytes { bytes in
            let block = bytes.loadUnaligned(as: PendingBlock.self)
            let fields = UnsafeRawBufferPointer(rebasing: bytes[PendingBlock.byteCount...])
            let (first, last) = (Int(block.regularStart), Int(block.originStart))
            body(
                UnsafeRawBufferPointer(rebasing: fields[..<first]),
                UnsafeRawBufferPointer(rebasing: fields[last..<Int(block.count)]),
                UnsafeRawBufferPointer(rebasing: fields[first..<last])
            )
            return PendingBlock.byteCount + Int(block.count)
        }
        store.consume(count)
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
