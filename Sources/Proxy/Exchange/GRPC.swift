// What the proxy must know of gRPC: how long a call may take, and how to say that it failed
// (PROTOCOL-HTTP2 of the gRPC project).

import Bytes
import HTTP
import HTTP2
import Traffic

/// The `grpc-timeout` field: at most eight digits and a unit.
enum GRPCTimeout {
    /// Nil when it is malformed, which the server has to judge.
    static func nanoseconds(_ value: Span<UInt8>) -> UInt64? { Deadline.parse(value) }

    /// The time in the finest unit that fits in eight digits.
    static func append(nanoseconds: UInt64, to buffer: ByteBuffer) {
        Deadline.append(nanoseconds: nanoseconds, to: buffer)
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
