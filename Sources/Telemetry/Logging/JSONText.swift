internal import Bytes

/// Appends `bytes` as a JSON string with its quotes: RFC 8259 §7.
///
/// The bytes may be anything a peer sent: what is not UTF-8 becomes U+FFFD, one per maximal
/// malformed part. At most `limit` bytes of the input are used, cut between characters; an
/// ellipsis then says so.
func appendJSONString(_ bytes: Span<UInt8>, limit: Int, to buffer: ByteBuffer) {
    let end = min(bytes.count, limit)
    buffer.append(UInt8(ascii: "\""))
    var plainFrom = 0
    var index = 0
    while index < end {
        let byte = bytes[index]
        if byte >= 0x20 && byte < 0x80 && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "\\") {
            index += 1
            continue
        }
        if byte >= 0x80, case .valid(let count) = bytes.utf8Sequence(at: index) {
            // A character that the limit would split stays out whole.
            if index + count > end { break }
            index += count
            continue
        }
        buffer.append(bytes.extracting(plainFrom..<index))
        index += appendEscaped(bytes, at: index, to: buffer)
        plainFrom = index
    }
    let cutAt = min(index, bytes.count)
    buffer.append(bytes.extracting(plainFrom..<cutAt))
    if cutAt < bytes.count { buffer.append("\u{2026}") }
    buffer.append(UInt8(ascii: "\""))
}

/// Appends the escape of what begins at `index`, and says how many bytes it stands for.
private func appendEscaped(_ bytes: Span<UInt8>, at index: Int, to buffer: ByteBuffer) -> Int {
    let byte = bytes[index]
    switch byte {
    case UInt8(ascii: "\""): buffer.append("\\\"")
    case UInt8(ascii: "\\"): buffer.append("\\\\")
    case UInt8(ascii: "\n"): buffer.append("\\n")
    case UInt8(ascii: "\r"): buffer.append("\\r")
    case UInt8(ascii: "\t"): buffer.append("\\t")
    case 0..<0x20:
        buffer.append("\\u")
        buffer.append(hex: UInt64(byte), digits: 4)
    default:
        buffer.append("\u{FFFD}")
        guard case .malformed(let count) = bytes.utf8Sequence(at: index) else {
            preconditionFailure("only malformed bytes are left here")
        }
        return count
    }
    return 1
}

private enum UTF8Sequence {
    case valid(Int)
    case malformed(Int)
}

extension Span where Element == UInt8 {
    /// What begins with the byte at `index`, which is 0x80 or more: Unicode 15, table 3-7.
    fileprivate func utf8Sequence(at index: Int) -> UTF8Sequence {
        let lead = self[index]
        var second: ClosedRange<UInt8> = 0x80...0xBF
        let size: Int
        switch lead {
        case 0xC2...0xDF: size = 2
        case 0xE0...0xEF:
            size = 3
            if lead == 0xE0 { second = 0xA0...0xBF }
            if lead == 0xED { second = 0x80...0x9F }
        case 0xF0...0xF4:
            size = 4
            if lead == 0xF0 { second = 0x90...0xBF }
            if lead == 0xF4 { second = 0x80...0x8F }
        default: return .malformed(1)
        }
        for offset in 1..<size {
            let allowed = offset == 1 ? second : 0x80...0xBF
            guard index + offset < count, allowed.contains(self[index + offset]) else {
                return .malformed(offset)
            }
        }
        return .valid(size)
    }
}
