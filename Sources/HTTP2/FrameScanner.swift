// The headers of a peer's frames, read before nghttp2 reads the frames.
//
// nghttp2 calls back for most frames but not for all (CONTINUATION, unknown types, frames of streams
// that have ended), and what it does not tell can't be counted. Nine bytes a frame are all that is
// looked at; the payload is skipped.

/// The header of a frame (RFC 9113 §4.1).
struct FrameHeader {
    var length: Int
    var type: UInt8
    var flags: UInt8
    var stream: UInt32

    var endsStream: Bool { flags & 0x1 != 0 }
    var isAcknowledgement: Bool { flags & 0x1 != 0 }
    var endsHeaders: Bool { flags & 0x4 != 0 }

    static let byteCount = 9
}

/// Types of frames (RFC 9113 §6).
enum FrameType {
    static let data: UInt8 = 0
    static let headers: UInt8 = 1
    static let priority: UInt8 = 2
    static let reset: UInt8 = 3
    static let settings: UInt8 = 4
    static let ping: UInt8 = 6
    static let goAway: UInt8 = 7
    static let windowUpdate: UInt8 = 8
    static let continuation: UInt8 = 9
}

/// Finds the frame headers in a stream of bytes, however it is split.
struct FrameScanner {
    /// Bytes of the preface or of a payload that are still to be skipped.
    private var skipped: Int
    /// The bytes of a header that was split, in the low end.
    private var partial: UInt64 = 0
    private var partialCount = 0
    /// A header block waits for CONTINUATION.
    private var isBlockOpen = false
    /// The payload that is being skipped is part of a header block.
    private var isHeadPayload = false

    /// Whether a header block has begun and is not complete.
    var isReadingHead: Bool { isBlockOpen || isHeadPayload && skipped > 0 }

    init(prefaceBytes: Int) { skipped = prefaceBytes }

    /// The next header in `bytes` at or after `offset`, or nil when they are used up.
    mutating func next(_ bytes: Span<UInt8>, _ offset: inout Int) -> FrameHeader? {
        let skip = min(skipped, bytes.count - offset)
        offset += skip
        skipped -= skip
        if partialCount == 0, bytes.count - offset >= FrameHeader.byteCount {
            // Nearly every header comes whole.
            let word = bytes.withUnsafeBytes {
                $0.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
            }
            offset += FrameHeader.byteCount
            return found(UInt64(bigEndian: word), bytes[offset - 1])
        }
        while offset < bytes.count {
            let byte = bytes[offset]
            offset += 1
            if partialCount < FrameHeader.byteCount - 1 {
                partial = partial << 8 | UInt64(byte)
                partialCount += 1
                continue
            }
            partialCount = 0
            let word = partial
            partial = 0
            return found(word, byte)
        }
        return nil
    }

    /// A header, of its first eight bytes and its last.
    private mutating func found(_ word: UInt64, _ last: UInt8) -> FrameHeader {
        let header = FrameHeader(
            length: Int(word >> 40),
            type: UInt8(truncatingIfNeeded: word >> 32),
            flags: UInt8(truncatingIfNeeded: word >> 24),
            stream: (UInt32(truncatingIfNeeded: word << 8) | UInt32(last)) & 0x7FFF_FFFF
        )
        skipped = header.length
        isHeadPayload = header.type == FrameType.headers || header.type == FrameType.continuation
        if isHeadPayload { isBlockOpen = !header.endsHeaders }
        return header
    }
}
