// Header blocks of one connection, encoded by HPACK (RFC 7541).
//
// nghttp2 has an encoder too, which costs more than all else in an exchange: it compresses what is
// different each time, character by character, and puts into the table what will never come again.
// This one is made for sidecars, where most lines come again and the rest is unique:
//
// - a line goes into the table when it comes for the second time, so what is unique stays out
// - literals are sent as they are, as Huffman coding saves a quarter of their bytes and costs both ends
//   more than the bytes do
// - fields that hold secrets are treated as nghttp2 treats them: the table never holds
//   `authorization` or short cookies (§7.1)
//
// Invariants:
// - every block is written in the order in which the peer gets it; a block once encoded is sent
// - `live` entries, the newest being number `inserted`, are exactly the peer's dynamic table

import Bytes
import HTTP

#if canImport(Glibc)
    import Glibc
#endif

final class HeaderEncoder {
    private struct Entry {
        var code: UInt8
        var nameCount: UInt16
        var valueCount: UInt16
        /// Where name and value lie in `texts`.
        var start: UInt32
        var hash: UInt32
    }

    private let names: HeaderNames
    private let entries: UnsafeMutablePointer<Entry>
    /// The entry a hash was last seen in, by number.
    private let slots: UnsafeMutablePointer<UInt32>
    /// Hashes of lines that came lately and are not in the table.
    private let seen: UnsafeMutablePointer<UInt32>
    private let texts: UnsafeMutableRawPointer
    @exclusivity(unchecked) private var textsEnd = 0
    /// Entries ever inserted, and those of them that are still there.
    @exclusivity(unchecked) private var inserted: UInt32 = 0
    @exclusivity(unchecked) private var live: UInt32 = 0
    /// Size of the table as RFC 7541 §4.1 counts it.
    @exclusivity(unchecked) private var size = 0
    /// The size we keep to, the most we use, and what the peer was told so far.
    @exclusivity(unchecked) private var sizeMax: Int
    private let sizeLimit: Int
    /// The smallest size since the last block, when the size changed.
    @exclusivity(unchecked) private var smallestSize: Int?

    /// Makes an encoder for a connection; `told` is the size that the peer assumes, and with
    /// `resets` its table is not empty.
    init(_ names: HeaderNames, sizeLimit: Int, peerLimit: Int, told: Int, resets: Bool) {
        self.names = names
        self.sizeLimit = min(sizeLimit, HeaderEncoder.tableBytesMax)
        sizeMax = told
        entries = .allocate(capacity: HeaderEncoder.entriesMax)
        slots = .allocate(capacity: HeaderEncoder.slotCount)
        slots.update(repeating: 0, count: HeaderEncoder.slotCount)
        seen = .allocate(capacity: HeaderEncoder.seenCount)
        seen.update(repeating: 0, count: HeaderEncoder.seenCount)
        texts = .allocate(byteCount: HeaderEncoder.textBytes, alignment: 16)
        if resets { smallestSize = 0 }
        setPeerLimit(peerLimit)
    }

    deinit {
        entries.deallocate()
        slots.deallocate()
        seen.deallocate()
        texts.deallocate()
    }

    /// The table size that the peer knows of after the next block.
    var tableSize: Int { sizeMax }

    /// Whether the peer's table may hold anything.
    var isInUse: Bool { inserted > 0 || smallestSize != nil }

    /// The peer's SETTINGS_HEADER_TABLE_SIZE.
    func setPeerLimit(_ bytes: Int) {
        let wanted = min(bytes, sizeLimit)
        guard wanted != sizeMax else { return }
        smallestSize = min(smallestSize ?? .max, wanted)
        sizeMax = wanted
        evict(for: 0)
    }

    /// Begins a block at the end of `buffer`.
    func begin(_ buffer: ByteBuffer) {
        if let smallest = smallestSize {
            // RFC 7541 §4.2: the smallest size in between first, then the one that holds.
            smallestSize = nil
            if smallest < sizeMax { append(smallest, prefix: 5, 0x20, to: buffer) }
            append(sizeMax, prefix: 5, 0x20, to: buffer)
        }
    }

    /// Encodes the next fields of the block at the end of `buffer`.
    func encode(_ block: UnsafeRawBufferPointer, to buffer: ByteBuffer) {
        guard let base = block.baseAddress else { return }
        var offset = 0
        while offset < block.count {
            let field = base + offset
            let code = field.load(as: UInt8.self)
            let caching = field.load(fromByteOffset: 1, as: UInt8.self)
            let nameCount = Int(field.loadUnaligned(fromByteOffset: 4, as: UInt32.self))
            let valueCount = Int(field.loadUnaligned(fromByteOffset: 8, as: UInt32.self))
            let text = field + PendingField.byteCount
            encode(code, caching, text, nameCount, valueCount, to: buffer)
            offset &+= PendingField.byteCount &+ nameCount &+ valueCount
        }
    }

    @inline(__always)
    private func encode(
        _ code: UInt8,
        _ caching: UInt8,
        _ text: UnsafeRawPointer,
        _ nameCount: Int,
        _ valueCount: Int,
        to buffer: ByteBuffer
    ) {
        if code >= PseudoField.method,
            let index = names.staticLine(code, text, valueCount)
        {
            return buffer.append(0x80 | index)
        }
        let count = nameCount &+ valueCount
        guard caching == FieldCaching.allowed.rawValue, count <= HeaderEncoder.lineBytesMax,
            sizeMax >= HeaderEncoder.tableBytesMin
        else {
            let kind: UInt8 = caching == FieldCaching.forbidden.rawValue ? 0x10 : 0
            return appendLiteral(kind, 4, code, text, nameCount, valueCount, to: buffer)
        }
        let hash = hashed(text, count, code)
        if let number = find(hash, code, text, nameCount, valueCount) {
            let index = HeaderNames.staticCount &+ 1 &+ Int(inserted &- number)
            return append(index, prefix: 7, 0x80, to: buffer)
        }
        let slot = seen + Int(hash &>> 16) & (HeaderEncoder.seenCount &- 1)
        if slot.pointee == hash {
            appendLiteral(0x40, 6, code, text, nameCount, valueCount, to: buffer)
            insert(hash, code, text, nameCount, valueCount)
        } else {
            slot.pointee = hash
            appendLiteral(0, 4, code, text, nameCount, valueCount, to: buffer)
        }
    }

    @inline(__always)
    private func find(
        _ hash: UInt32,
        _ code: UInt8,
        _ text: UnsafeRawPointer,
        _ nameCount: Int,
        _ valueCount: Int
    ) -> UInt32? {
        let number = slots[Int(hash &>> 8) & (HeaderEncoder.slotCount &- 1)]
        guard inserted &- number < live else { return nil }
        let entry = entries[Int(number) & (HeaderEncoder.entriesMax &- 1)]
        guard entry.hash == hash, entry.code == code, Int(entry.nameCount) == nameCount,
            Int(entry.valueCount) == valueCount,
            memcmp(texts + Int(entry.start), text, nameCount &+ valueCount) == 0
        else { return nil }
        return number
    }

    private func insert(
        _ hash: UInt32,
        _ code: UInt8,
        _ text: UnsafeRawPointer,
        _ nameCount: Int,
        _ valueCount: Int
    ) {
        let name = code == FieldName.other.rawValue ? nameCount : names.nameCount(code)
        let bytes = name + valueCount + HeaderEncoder.entryOverhead
        evict(for: bytes)
        // RFC 7541 §4.4: what does not fit only empties the table.
        guard bytes <= sizeMax else { return }
        let count = nameCount + valueCount
        if textsEnd + count > HeaderEncoder.textBytes { compact() }
        memcpy(texts + textsEnd, text, count)
        inserted &+= 1
        live += 1
        size += bytes
        entries[Int(inserted) & (HeaderEncoder.entriesMax &- 1)] = Entry(
            code: code,
            nameCount: UInt16(nameCount),
            valueCount: UInt16(valueCount),
            start: UInt32(textsEnd),
            hash: hash
        )
        slots[Int(hash &>> 8) & (HeaderEncoder.slotCount &- 1)] = inserted
        textsEnd += count
    }

    /// Drops the oldest entries until there is room.
    private func evict(for bytes: Int) {
        while live > 0, size + bytes > sizeMax {
            let oldest = entries[Int(inserted &- live &+ 1) & (HeaderEncoder.entriesMax &- 1)]
            let name =
                oldest.code == FieldName.other.rawValue
                ? Int(oldest.nameCount) : names.nameCount(oldest.code)
            size -= name + Int(oldest.valueCount) + HeaderEncoder.entryOverhead
            live -= 1
        }
    }

    /// Moves the texts that are in use to the front: they lie in order.
    private func compact() {
        guard live > 0 else {
            textsEnd = 0
            return
        }
        let first = inserted &- live &+ 1
        let start = entries[Int(first) & (HeaderEncoder.entriesMax &- 1)].start
        memmove(texts, texts + Int(start), textsEnd - Int(start))
        for number in 0..<live {
            entries[Int(first &+ number) & (HeaderEncoder.entriesMax &- 1)].start -= start
        }
        textsEnd -= Int(start)
    }

    /// A literal whose name is an index where the static table has it (RFC 7541 §6.2).
    private func appendLiteral(
        _ kind: UInt8,
        _ prefix: Int,
        _ code: UInt8,
        _ text: UnsafeRawPointer,
        _ nameCount: Int,
        _ valueCount: Int,
        to buffer: ByteBuffer
    ) {
        let isOther = code == FieldName.other.rawValue
        let index = names.staticName(code)
        let bytesMax = nameCount + valueCount + HeaderEncoder.literalOverhead
        _ = buffer.appendUnsafe(minimum: bytesMax) { free in
            var out = free.baseAddress.unsafelyUnwrapped
            if index > 0 {
                out = store(Int(index), prefix: prefix, kind, at: out)
            } else {
                let name = isOther ? text : names.name(code)
                let count = isOther ? nameCount : names.nameCount(code)
                out = store(0, prefix: prefix, kind, at: out)
                out = store(count, prefix: 7, 0, at: out)
                memcpy(out, name, count)
                out += count
            }
            out = store(valueCount, prefix: 7, 0, at: out)
            memcpy(out, text + nameCount, valueCount)
            return out + valueCount - free.baseAddress.unsafelyUnwrapped
        }
    }

    private func append(_ value: Int, prefix: Int, _ kind: UInt8, to buffer: ByteBuffer) {
        _ = buffer.appendUnsafe(minimum: 8) { free in
            let base = free.baseAddress.unsafelyUnwrapped
            return store(value, prefix: prefix, kind, at: base) - base
        }
    }

    /// An integer whose first byte has `prefix` bits for it (RFC 7541 §5.1); five bytes at most for
    /// what we send.
    @inline(__always)
    private func store(
        _ value: Int,
        prefix: Int,
        _ kind: UInt8,
        at target: UnsafeMutableRawPointer
    ) -> UnsafeMutableRawPointer {
        let most = 1 &<< prefix &- 1
        guard value >= most else {
            target.storeBytes(of: kind | UInt8(truncatingIfNeeded: value), as: UInt8.self)
            return target + 1
        }
        target.storeBytes(of: kind | UInt8(truncatingIfNeeded: most), as: UInt8.self)
        var out = target + 1
        var rest = value &- most
        while rest >= 0x80 {
            out.storeBytes(of: UInt8(truncatingIfNeeded: rest) | 0x80, as: UInt8.self)
            out += 1
            rest = rest &>> 7
        }
        out.storeBytes(of: UInt8(truncatingIfNeeded: rest), as: UInt8.self)
        return out + 1
    }

    /// Never 0, which marks an unused place.
    @inline(__always)
    private func hashed(_ text: UnsafeRawPointer, _ count: Int, _ code: UInt8) -> UInt32 {
        var hash = (UInt64(code) &<< 32 | UInt64(truncatingIfNeeded: count)) &* mixer
        var index = 0
        while index &+ 8 <= count {
            hash = (hash ^ text.loadUnaligned(fromByteOffset: index, as: UInt64.self)) &* mixer
            hash ^= hash &>> 29
            index &+= 8
        }
        if index < count {
            // What stands before the text is fixed, so that a whole word can be read backwards.
            let last = text.loadUnaligned(fromByteOffset: count &- 8, as: UInt64.self)
            hash = (hash ^ last &>> UInt64(64 &- (count &- index) &* 8)) &* mixer
            hash ^= hash &>> 29
        }
        return UInt32(truncatingIfNeeded: hash &>> 32) | 1
    }

    /// RFC 7541 §4.1.
    private static let entryOverhead = 32
    /// The table is never larger than what a peer has by default.
    private static let tableBytesMax = 4 << 10
    /// A smaller table is not worth the search.
    private static let tableBytesMin = 512
    /// As many as the largest table holds, as none is smaller than its overhead.
    private static let entriesMax = 128
    /// Powers of two, as `entriesMax`.
    private static let slotCount = 256
    private static let seenCount = 64
    /// Longer lines are rarely the same twice, and would push out many.
    private static let lineBytesMax = 1 << 10
    private static let textBytes = 6 << 10
    /// Kind, two lengths, and a known name.
    private static let literalOverhead = 64
}

private let mixer: UInt64 = 0x9E37_79B9_7F4A_7C15

/// Names as HPACK knows them, by the codes of `PendingField`; the same for all connections.
final class HeaderNames {
    private let places: UnsafeMutablePointer<(text: UnsafeRawPointer, count: Int, index: UInt8)>
    private let texts: UnsafeMutableRawPointer

    init() {
        texts = .allocate(byteCount: HeaderNames.textBytesMax, alignment: 1)
        places = .allocate(capacity: 256)
        places.update(repeating: (UnsafeRawPointer(texts), 0, 0), count: 256)
        var end = 0
        func add(_ code: UInt8, _ spelling: StaticString) {
            let name = String(describing: spelling).lowercased()
            precondition(end + name.utf8.count <= HeaderNames.textBytesMax)
            let start = texts + end
            for byte in name.utf8 {
                texts.storeBytes(of: byte, toByteOffset: end, as: UInt8.self)
                end += 1
            }
            let index = HeaderNames.staticNames.first { $0.name == name }?.index ?? 0
            places[Int(code)] = (UnsafeRawPointer(start), name.utf8.count, index)
        }
        for name in FieldName.allCases where name != .other { add(name.rawValue, name.spelling) }
        add(PseudoField.method, ":method")
        add(PseudoField.scheme, ":scheme")
        add(PseudoField.authority, ":authority")
        add(PseudoField.path, ":path")
        add(PseudoField.status, ":status")
        add(PseudoField.protocol, ":protocol")
    }

    deinit {
        places.deallocate()
        texts.deallocate()
    }

    func name(_ code: UInt8) -> UnsafeRawPointer { places[Int(code)].text }
    func nameCount(_ code: UInt8) -> Int { places[Int(code)].count }
    /// The first line of the static table with this name, or 0.
    func staticName(_ code: UInt8) -> UInt8 { places[Int(code)].index }

    /// The line of the static table that is this pseudo-header field, or nil.
    func staticLine(_ code: UInt8, _ value: UnsafeRawPointer, _ count: Int) -> UInt8? {
        func equals(_ literal: StaticString) -> Bool {
            literal.utf8CodeUnitCount == count && memcmp(literal.utf8Start, value, count) == 0
        }
        switch code {
        case PseudoField.method: return equals("GET") ? 2 : equals("POST") ? 3 : nil
        case PseudoField.scheme: return equals("http") ? 6 : equals("https") ? 7 : nil
        case PseudoField.path: return equals("/") ? 4 : equals("/index.html") ? 5 : nil
        case PseudoField.status:
            if equals("200") { return 8 }
            for (index, status) in HeaderNames.statuses.enumerated() where equals(status) {
                return UInt8(9 + index)
            }
            return nil
        default: return nil
        }
    }

    /// Lines of the static table (RFC 7541 appendix A).
    static let staticCount = 61
    private static let textBytesMax = 2 << 10
    private static let statuses: [StaticString] = ["204", "206", "304", "400", "404", "500"]
    private static let staticNames: [(name: String, index: UInt8)] = [
        (":authority", 1), (":method", 2), (":path", 4), (":scheme", 6), (":status", 8),
        ("accept-charset", 15), ("accept-encoding", 16), ("accept-language", 17),
        ("accept-ranges", 18), ("accept", 19), ("access-control-allow-origin", 20), ("age", 21),
        ("allow", 22), ("authorization", 23), ("cache-control", 24), ("content-disposition", 25),
        ("content-encoding", 26), ("content-language", 27), ("content-length", 28),
        ("content-location", 29), ("content-range", 30), ("content-type", 31), ("cookie", 32),
        ("date", 33), ("etag", 34), ("expect", 35), ("expires", 36), ("from", 37), ("host", 38),
        ("if-match", 39), ("if-modified-since", 40), ("if-none-match", 41), ("if-range", 42),
        ("if-unmodified-since", 43), ("last-modified", 44), ("link", 45), ("location", 46),
        ("max-forwards", 47), ("proxy-authenticate", 48), ("proxy-authorization", 49),
        ("range", 50), ("referer", 51), ("refresh", 52), ("retry-after", 53), ("server", 54),
        ("set-cookie", 55), ("strict-transport-security", 56), ("transfer-encoding", 57),
        ("user-agent", 58), ("vary", 59), ("via", 60), ("www-authenticate", 61),
    ]
}
