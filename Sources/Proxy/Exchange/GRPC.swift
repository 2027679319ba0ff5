// What the proxy must know of gRPC: how long a call may take, and how to say that it failed
// (PROTOCOL-HTTP2 of the gRPC project).

import Bytes
import HTTP
import HTTP2

/// The `grpc-timeout` field: at most eight digits and a unit.
enum GRPCTimeout {
    /// Nil when it is malformed, which the server has to judge.
    static func nanoseconds(_ value: Span<UInt8>) -> UInt64? {
        guard (2...9).contains(value.count) else { return nil }
        var number: UInt64 = 0
        for index in 0..<value.count - 1 {
            guard value[index] >= 0x30, value[index] <= 0x39 else { return nil }
            number = number * 10 + UInt64(value[index] - 0x30)
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
        // 99,999,999 hours are within 64 bits of nanoseconds; more than a year is none.
        return min(number * unit, 31_536_000_000_000_000)
    }

    /// The time in the finest unit that fits in eight digits.
    static func append(nanoseconds: UInt64, to buffer: ByteBuffer) {
        var number = nanoseconds
        let units: [(UInt64, UInt8)] = [
            (1_000, UInt8(ascii: "n")), (1_000, UInt8(ascii: "u")), (1_000, UInt8(ascii: "m")),
        ]
        for (factor, unit) in units {
            if number <= 99_999_999 {
                buffer.append(decimal: number)
                buffer.append(unit)
                return
            }
            number /= factor
        }
        buffer.append(decimal: number)
        buffer.append(UInt8(ascii: "S"))
    }
}

/// A status of gRPC for a failure of the proxy.
enum GRPCStatus: UInt64 {
    case cancelled = 1
    case deadlineExceeded = 4
    case permissionDenied = 7
    case resourceExhausted = 8
    case unimplemented = 12
    case internalError = 13
    case unavailable = 14

    init(_ failure: Failure) {
        self =
            switch failure {
            case .malformedRequest(let error):
                error.status == 431 || error.status == 414 ? .resourceExhausted : .internalError
            case .unknownService, .unknownDestination, .noRoute, .upgradeUnsupported: .unimplemented
            case .requestTimeout, .streamIdleTimeout, .tcpIdleTimeout: .deadlineExceeded
            case .downstreamClosed: .cancelled
            case .upstreamReset(let code): .init(reset: code)
            case .malformedResponse: .internalError
            // Whatever is worth another attempt, for clients that retry by themselves.
            case .requestHeadTimeout, .notConfigured, .noEndpoint, .unresolved, .overflow,
                .noIdentity, .connectFailed, .connectTimeout, .upstreamTLS, .upstreamClosed,
                .upstreamRefused,
                .upstreamProtocol, .drainExpired:
                .unavailable
            }
    }

    /// As clients map the codes of RST_STREAM.
    private init(reset code: UInt32) {
        self =
            switch code {
            case HTTP2ErrorCode.refusedStream: .unavailable
            case HTTP2ErrorCode.cancel: .cancelled
            case HTTP2ErrorCode.enhanceYourCalm: .resourceExhausted
            case HTTP2ErrorCode.inadequateSecurity: .permissionDenied
            default: .internalError
            }
    }

    /// Whether a `grpc-status` among `fields` says that the server failed, rather than that it was
    /// asked for something it refuses: UNKNOWN, DEADLINE_EXCEEDED, INTERNAL, UNAVAILABLE, DATA_LOSS.
    static func isFailure(_ fields: FieldBlock) -> Bool {
        guard let index = fields.firstIndex(of: .grpcStatus) else { return false }
        return fields.withValue(at: index) { value in
            switch value.count {
            case 1: value[0] == UInt8(ascii: "2") || value[0] == UInt8(ascii: "4")
            case 2:
                value[0] == UInt8(ascii: "1") && value[1] >= UInt8(ascii: "3")
                    && value[1] <= UInt8(ascii: "5")
            default: false
            }
        }
    }

    /// Whether the caller of this request understands a `grpc-status` and nothing else.
    static func isExpected(by head: RequestHead) -> Bool {
        guard let index = head.fields.firstIndex(of: .contentType) else { return false }
        let prefix: StaticString = "application/grpc"
        return head.fields.withValue(at: index) { value in
            let count = prefix.utf8CodeUnitCount
            guard value.count >= count, value.extracting(first: count).matches(prefix) else {
                return false
            }
            // Not `application/grpc-web`, which is another protocol.
            return value.count == count || value[count] == UInt8(ascii: "+")
                || value[count] == UInt8(ascii: ";")
        }
    }

    /// Appends `grpc-status` and `grpc-message`.
    func append(to fields: FieldBlock, detail: String) {
        fields.append(.grpcStatus, decimal: rawValue)
        let text = ByteBuffer()
        // Percent-encoded but for visible ASCII and space.
        for byte in detail.utf8 {
            if byte >= 0x20, byte <= 0x7E, byte != UInt8(ascii: "%") {
                text.append(byte)
            } else {
                text.append(UInt8(ascii: "%"))
                text.append(hex: UInt64(byte), digits: 2)
            }
        }
        fields.append(.grpcMessage, text)
    }
}
