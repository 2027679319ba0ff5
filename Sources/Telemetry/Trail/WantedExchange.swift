internal import Bytes
public import HTTP

/// The id that an exchange is asked for by, to look for it among many.
///
/// Means the same exchanges as `ExchangeTrail.find`, without making their texts.
public struct WantedExchange: Sendable {
    /// Without case, as UUIDs are written in both.
    private let bytes: [UInt8]
    /// What it is as a trace id.
    private let trace: (high: UInt64, low: UInt64)?
    /// What it is as a request id of the proxy's own.
    private let made: (high: UInt64, low: UInt64)?

    /// A request id or a trace id.
    public init(_ id: String) {
        let bytes = Array(id.lowercased().utf8)
        self.bytes = bytes
        trace = WantedExchange.pair(bytes)
        let dashes = [8, 13, 18, 23]
        let isUUID = bytes.count == 36 && dashes.allSatisfy { bytes[$0] == UInt8(ascii: "-") }
        made = isUUID ? WantedExchange.pair(bytes.filter { $0 != UInt8(ascii: "-") }) : nil
    }

    /// Whether it is the id of a request with this trace and these fields.
    public func isMeant(_ trace: borrowing TraceContext, _ fields: FieldBlock) -> Bool {
        if let wanted = self.trace, wanted == (trace.traceIDHigh, trace.traceIDLow) { return true }
        let own = trace.madeRequestID
        guard own.high == 0 else { return made.map { $0 == own } ?? false }
        guard let index = fields.firstIndex(of: .xRequestID) else { return false }
        return fields.withValue(at: index) { value in
            guard value.count == bytes.count else { return false }
            for position in bytes.indices where lowercased(value[position]) != bytes[position] {
                return false
            }
            return true
        }
    }

    private func lowercased(_ byte: UInt8) -> UInt8 {
        (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) ? byte | 0x20 : byte
    }

    /// Two numbers of 16 hexadecimal digits each.
    private static func pair(_ digits: [UInt8]) -> (high: UInt64, low: UInt64)? {
        guard digits.count == 32 else { return nil }
        var numbers: [UInt64] = [0, 0]
        for (index, digit) in digits.enumerated() {
            let value: UInt8
            switch digit {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = digit - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): value = digit - UInt8(ascii: "a") + 10
            default: return nil
            }
            numbers[index / 16] = numbers[index / 16] << 4 | UInt64(value)
        }
        return (numbers[0], numbers[1])
    }
}
