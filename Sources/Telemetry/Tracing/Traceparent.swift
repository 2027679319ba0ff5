internal import Bytes
internal import HTTP

/// A parsed `traceparent`: W3C Trace Context §3.2.
struct Traceparent {
    let traceIDHigh: UInt64
    let traceIDLow: UInt64
    let parentID: UInt64
    let isSampled: Bool
    let isRandom: Bool

    /// Nil when the value must be ignored and a new trace begun.
    init?(_ value: Span<UInt8>) {
        // 2 version, 32 trace-id, 16 parent-id, 2 flags and three dashes.
        let size = 55
        guard value.count >= size, value[2] == dash, value[35] == dash, value[52] == dash,
            let version = value.hexByte(at: 0), version != 0xFF
        else { return nil }
        // §3.2.4: version 00 ends here; a later one may go on after another dash.
        guard value.count == size || (version > 0 && value[size] == dash) else { return nil }
        guard let high = value.lowercaseHex(at: 3), let low = value.lowercaseHex(at: 19),
            high | low != 0, let parent = value.lowercaseHex(at: 36), parent != 0,
            let flags = value.hexByte(at: 53)
        else { return nil }
        traceIDHigh = high
        traceIDLow = low
        parentID = parent
        isSampled = flags & 1 != 0
        isRandom = flags & 2 != 0
    }
}

private let dash = UInt8(ascii: "-")

extension Span where Element == UInt8 {
    /// The number that the two lower-case hexadecimal digits at `index` write; nil when one is none.
    fileprivate func hexByte(at index: Int) -> UInt8? {
        guard let high = hexDigit(self[index]), let low = hexDigit(self[index + 1]) else {
            return nil
        }
        return high &<< 4 | low
    }
}

private func hexDigit(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte &- UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): byte &- UInt8(ascii: "a") &+ 10
    default: nil
    }
}

/// Checks one `tracestate` line and adds its members to `members`; false when the whole state must
/// be dropped.
///
/// W3C Trace Context §3.3.1.1. The line's length needs no bound of its own: nothing is added to
/// it, and the head it stands in was bounded when it was read.
func countTracestateMembers(_ line: Span<UInt8>, into members: inout Int) -> Bool {
    var position = 0
    while let range = line.nextListMember(at: &position) {
        members += 1
        guard members <= TelemetryLimits.tracestateMembersMax,
            isTracestateMember(line.extracting(range))
        else { return false }
    }
    return true
}

private func isTracestateMember(_ member: Span<UInt8>) -> Bool {
    guard let equals = member.firstIndex(of: UInt8(ascii: "=")) else { return false }
    let valueCount = member.count - equals - 1
    guard (1...256).contains(equals), (1...256).contains(valueCount) else { return false }
    guard isLowerOrDigit(member[0]) else { return false }
    for index in 1..<equals where !isTracestateKeyByte(member[index]) { return false }
    for index in equals + 1..<member.count where !isTracestateValueByte(member[index]) {
        return false
    }
    return true
}

private func isLowerOrDigit(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
    default: false
    }
}

private func isTracestateKeyByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "*"), UInt8(ascii: "/"),
        UInt8(ascii: "@"):
        true
    default: isLowerOrDigit(byte)
    }
}

/// Printable ASCII without "," (which ends a member) and "=".
private func isTracestateValueByte(_ byte: UInt8) -> Bool {
    (0x20...0x7E).contains(byte) && byte != UInt8(ascii: "=")
}
