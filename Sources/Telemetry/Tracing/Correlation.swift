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
        // UUIDs and ULIDs have no other.
        guard var index = value.firstUnusualInName() else { return true }
        while index < value.count {
            guard isRequestIDByte(value[index]) else { return false }
            index += 1
        }
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
    /// The longest value, a `b3` of 32 + 1 + 16 + 1 + 1 + 1 + 16.
    private var bytes = [68 of UInt8](repeating: 0)
    private var count = 0

    mutating func clear() { count = 0 }

    mutating func append(_ byte: UInt8) {
        bytes[count] = byte
        count += 1
    }

    /// Appends 16 hexadecimal digits.
    mutating func append(hex value: UInt64) {
        var span = bytes.mutableSpan
        span.storeHex(value, at: count)
        count += 16
    }

    /// Appends the field `name` with this value.
    func append(to fields: FieldBlock, _ name: FieldName) {
        fields.append(name, bytes.span.extracting(0..<count))
    }
}
