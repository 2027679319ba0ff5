// The time that is left for an exchange, as it travels: `mesh-timeout` in HTTP, `grpc-timeout` in
// gRPC, both in gRPC's grammar (PROTOCOL-HTTP2 of the gRPC project): one to eight digits and a unit.
// Between machines travels a rest, not an instant: no two clocks have to agree.
//
// The application gets an instant instead, `mesh-deadline` in milliseconds of Unix time: it shares the
// proxy's clock, and can copy the field into its own requests however long it has worked meanwhile.

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

    /// The least time that any of the fields leaves; nil when none is readable.
    ///
    /// `wall` is asked for only when an instant has to be compared.
    public static func read(_ fields: FieldBlock, wall: () -> WallTime) -> UInt64? {
        guard fields.mayContain(names) else { return nil }
        var least: UInt64?
        var from = 0
        while let index = fields.firstIndex(in: names, from: from) {
            let time: UInt64? =
                fields.known(at: index) == .meshDeadline
                ? fields.withValue(at: index) { left(until: $0, wall: wall()) }
                : fields.withValue(at: index) { parse($0) }
            if let time { least = min(least ?? .max, time) }
            from = index + 1
        }
        return least
    }

    /// Removes our own fields where none of them is readable.
    ///
    /// The next hop shall not be told what this one does not understand. A malformed `grpc-timeout` is for the gRPC server to refuse.
    public static func removeOwn(from fields: FieldBlock) {
        fields.removeAll(in: FieldNameSet(.meshTimeout).with(.meshDeadline))
    }

    /// Whether any of the fields may be there.
    public static func isIn(_ fields: FieldBlock) -> Bool { fields.mayContain(names) }

    /// From now to an instant in milliseconds of Unix time; nil when it is no such number.
    static func left(until value: Span<UInt8>, wall: WallTime) -> UInt64? {
        guard (1...15).contains(value.count) else { return nil }
        var milliseconds: Int64 = 0
        for index in 0..<value.count {
            let digit = value[index] &- 0x30
            guard digit <= 9 else { return nil }
            milliseconds = milliseconds * 10 + Int64(digit)
        }
        let left = milliseconds - wall.unixNanoseconds / 1_000_000
        guard left > 0 else { return 0 }
        let (nanoseconds, overflow) = UInt64(left).multipliedReportingOverflow(by: 1_000_000)
        return overflow ? nanosecondsMax : min(nanoseconds, nanosecondsMax)
    }

    /// Writes what is left for the next hop: `grpc-timeout` where the caller had one, else
    /// `mesh-timeout`.
    ///
    /// `scratch` is cleared and used, here and below.
    public static func writeRest(_ nanoseconds: UInt64, to fields: FieldBlock, scratch: ByteBuffer)
    {
        let name: FieldName = fields.contains(.grpcTimeout) ? .grpcTimeout : .meshTimeout
        fields.removeAll(in: names)
        scratch.clear()
        append(nanoseconds: nanoseconds, to: scratch)
        fields.append(name, scratch)
    }

    /// Writes when the application's time is over, and to gRPC what is left of it.
    public static func writeInstant(
        _ nanoseconds: UInt64,
        wall: WallTime,
        to fields: FieldBlock,
        scratch: ByteBuffer
    ) {
        let isGRPC = fields.contains(.grpcTimeout)
        fields.removeAll(in: names)
        if isGRPC {
            scratch.clear()
            append(nanoseconds: nanoseconds, to: scratch)
            fields.append(.grpcTimeout, scratch)
        }
        let instant = wall.unixNanoseconds / 1_000_000 + Int64(clamping: nanoseconds / 1_000_000)
        fields.append(.meshDeadline, decimal: UInt64(clamping: instant))
    }

    private static let digitsMax: UInt64 = 99_999_999
    private static var names: FieldNameSet {
        FieldNameSet(.meshTimeout).with(.grpcTimeout).with(.meshDeadline)
    }
}
