// The fields that travel beside the trace: `baggage` and `x-request-id`.

internal import Bytes
internal import HTTP

/// Whether `baggage` is within bounds and may go on; its content is the application's.
///
/// Over a bound it is dropped whole: W3C Baggage §3.3.2 allows dropping members, and half of an
/// application's context is worse than none.
func hasBaggageWithinBounds(_ fields: FieldBlock) -> Bool {
    var bytes = 0
    var members = 0
    var next = fields.firstIndex(of: .baggage)
    while let index = next {
        fields.withValue(at: index) { line in
            bytes += line.count
            var position = 0
            while line.nextListMember(at: &position) != nil { members += 1 }
        }
        next = fields.firstIndex(of: .baggage, from: index + 1)
        // The comma that would join the lines.
        if next != nil { bytes += 1 }
    }
    return bytes <= TelemetryLimits.baggageBytesMax
        && members <= TelemetryLimits.baggageMembersMax
}

/// Whether there is exactly one `x-request-id` and it may be kept.
///
/// The value ends up in logs and error bodies, so only bytes that need no quoting anywhere are
/// allowed: letters, digits and `-._~:/+=@`.
func hasOneGoodRequestID(_ fields: FieldBlock) -> Bool {
    guard let index = fields.onlyIndex(of: .xRequestID) else { return false }
    return fields.withValue(at: index) { value in
        guard (1...TelemetryLimits.requestIDBytesMax).contains(value.count) else { return false }
        for index in 0..<value.count where !isRequestIDByte(value[index]) { return false }
        return true
    }
}

private func isRequestIDByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."),
        UInt8(ascii: "_"), UInt8(ascii: "~"), UInt8(ascii: ":"), UInt8(ascii: "/"),
        UInt8(ascii: "+"), UInt8(ascii: "="), UInt8(ascii: "@"):
        true
    default: false
    }
}

extension FieldBlock {
    /// The index of the field with this name when there is exactly one.
    func onlyIndex(of name: FieldName) -> Int? {
        guard let index = firstIndex(of: name), firstIndex(of: name, from: index + 1) == nil
        else { return nil }
        return index
    }
}

/// A short field value built on the stack.
struct FieldText {
    /// 72 bytes hold the longest value, a `b3` of 32 + 1 + 16 + 1 + 1 + 1 + 16 = 68.
    private var bytes = [72 of UInt8](repeating: 0)
    private var count = 0

    mutating func clear() { count = 0 }

    mutating func append(_ byte: UInt8) {
        bytes[count] = byte
        count += 1
    }

    /// Appends the lowest `digits` hexadecimal digits of `value`.
    mutating func append(hex value: UInt64, digits: Int) {
        var left = value
        var index = count + digits
        count = index
        for _ in 0..<digits {
            index &-= 1
            let nibble = UInt8(truncatingIfNeeded: left & 0xF)
            bytes[index] = nibble < 10 ? 48 &+ nibble : 87 &+ nibble
            left &>>= 4
        }
    }

    func append(to fields: FieldBlock, _ name: FieldName) {
        fields.append(name, bytes.span.extracting(0..<count))
    }
}
