// The time that is left for an exchange, as it travels: `mesh-timeout` in HTTP, `grpc-timeout` in
// gRPC, both in gRPC's grammar (PROTOCOL-HTTP2 of the gRPC project): one to eight digits and a unit.
// What travels is a rest, not an instant: no two machines' clocks have to agree.

public import Bytes
public import HTTP
public import Time

/// Reads and writes the time that is left.
public enum Deadline {
    /// More than this is no limit worth keeping: a year.
    public static let nanosecondsMax: UInt64 = 31_536_000_000_000_000

    /// Nanoseconds, at most `nanosecondsMax`; nil when `value` is malformed.
    ///
    /// 0 is a time that is over.
    public static func parse(_ value: Span<UInt8>) -> UInt64? {
        guard (2...9).contains(value.count) else { return nil }
        var number: UInt64 = 0
        for index in 0..<value.count - 1 {
            let digit = value[index] &- 0x30
            guard digit <= 9 else { return nil }
            number = number * 10 + UInt64(digit)
        }
        let unit: UInt64
        switch value[value.count - 1] {
        case UInt8(ascii: "H"): unit = 3_600_000_000_000
        case UInt8(ascii: "M"): unit = 60_000_000_000
        case UInt8(ascii: "S"): unit = 1_000_000_000
        case UInt8(ascii: "m"): unit = 1_000_000
        case UInt8(ascii: "u"): unit = 1_000
        case UInt8(ascii: "n"): unit = 1
        default: return nil
        }
        // Eight digits of hours are more than 64 bits of nanoseconds.
        let (product, overflow) = number.multipliedReportingOverflow(by: unit)
        return overflow ? nanosecondsMax : min(product, nanosecondsMax)
    }

    /// Appends the time in the finest unit that fits in eight digits, never more than it is.
    public static func append(nanoseconds: UInt64, to buffer: ByteBuffer) {
        var number = min(nanoseconds, nanosecondsMax)
        var unit = UInt8(ascii: "n")
        if number > digitsMax { (number, unit) = (number / 1_000, UInt8(ascii: "u")) }
        if number > digitsMax { (number, unit) = (number / 1_000, UInt8(ascii: "m")) }
        if number > digitsMax { (number, unit) = (number / 1_000, UInt8(ascii: "S")) }
        buffer.append(decimal: number)
        buffer.append(unit)
    }

    /// The least time that any `mesh-timeout` or `grpc-timeout` among `fields` leaves; nil when none
    /// is readable.
    public static func read(_ fields: FieldBlock) -> UInt64? {
        guard fields.mayContain(names) else { return nil }
        var least: UInt64?
        var from = 0
        while let index = fields.firstIndex(in: names, from: from) {
            if let time = fields.withValue(at: index, { parse($0) }) {
                least = min(least ?? .max, time)
            }
            from = index + 1
        }
        return least
    }

    /// Replaces `name`, one of the two, by the time from `now` to `deadline`; removes it when there
    /// is no limit.
    ///
    /// `scratch` is cleared and used.
    public static func write(
        _ name: FieldName,
        until deadline: MonotonicTime,
        now: MonotonicTime,
        to fields: FieldBlock,
        scratch: ByteBuffer
    ) {
        fields.removeAll(name)
        guard deadline != .distantFuture else { return }
        scratch.clear()
        append(nanoseconds: deadline.nanoseconds(since: now), to: scratch)
        fields.append(name, scratch)
    }

    private static let digitsMax: UInt64 = 99_999_999
    private static var names: FieldNameSet { FieldNameSet(.meshTimeout).with(.grpcTimeout) }
}
