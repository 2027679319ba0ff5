// What of `grpc.health.v1` a health check needs: one message each way, both of one field.

import Bytes

/// Messages of the gRPC health checking protocol.
enum GRPCHealth {
    static let path: StaticString = "/grpc.health.v1.Health/Check"

    /// Appends a `HealthCheckRequest` with gRPC's frame around it.
    static func appendRequest(service: String, to buffer: ByteBuffer) {
        // Syntax keeps names short of 128 × 128 bytes; the length of the field takes one or two.
        let name = Array(service.utf8)
        precondition(name.count < 1 << 14)
        let field = ByteBuffer()
        if !name.isEmpty {
            field.append(0x0A)
            if name.count < 0x80 {
                field.append(UInt8(name.count))
            } else {
                field.append(UInt8(name.count & 0x7F) | 0x80)
                field.append(UInt8(name.count >> 7))
            }
            field.append(name.span)
        }
        // Not compressed; the length in four bytes, most significant first.
        for byte in [0, 0, 0, UInt8(field.count >> 8), UInt8(field.count & 0xFF)] {
            buffer.append(byte)
        }
        buffer.append(field)
    }

    /// Whether `bytes` are a `HealthCheckResponse`, in its frame, that says `SERVING`.
    ///
    /// Fields of a later version are passed over; whatever is malformed is not `SERVING`.
    static func isServing(_ bytes: Span<UInt8>) -> Bool {
        guard bytes.count >= 5, bytes[0] == 0, bytes[1] == 0, bytes[2] == 0,
            Int(bytes[3]) << 8 | Int(bytes[4]) == bytes.count - 5
        else { return false }
        var offset = 5
        // Absent means 0, `UNKNOWN`; of several the last counts.
        var status: UInt64 = 0
        while offset < bytes.count {
            guard let tag = varint(bytes, &offset), tag >> 3 > 0 else { return false }
            if tag == 1 << 3 {
                guard let value = varint(bytes, &offset) else { return false }
                status = value
            } else if tag >> 3 == 1 || !skip(tag & 7, bytes, &offset) {
                return false
            }
        }
        return status == 1
    }

    private static func varint(_ bytes: Span<UInt8>, _ offset: inout Int) -> UInt64? {
        var value: UInt64 = 0
        for shift in stride(from: 0 as UInt64, to: 64, by: 7) {
            guard offset < bytes.count else { return nil }
            let byte = bytes[offset]
            offset += 1
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return value }
        }
        return nil
    }

    /// Passes over a field's value by protobuf's kinds; false when it is cut off or of none.
    private static func skip(_ kind: UInt64, _ bytes: Span<UInt8>, _ offset: inout Int) -> Bool {
        let count: UInt64
        switch kind {
        case 0: return varint(bytes, &offset) != nil
        case 1: count = 8
        case 5: count = 4
        case 2:
            guard let length = varint(bytes, &offset) else { return false }
            count = length
        default: return false
        }
        guard count <= UInt64(bytes.count - offset) else { return false }
        offset += Int(count)
        return true
    }
}
