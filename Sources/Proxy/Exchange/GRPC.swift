// What the proxy must know of gRPC: how long a call may take, and how to say that it failed
// (PROTOCOL-HTTP2 of the gRPC project).

import Bytes
import HTTP
import HTTP2
import MeshModel
import Traffic

/// A status of gRPC for a failure of the proxy.
enum GRPCStatus: UInt64 {
    case cancelled = 1
    case unknown = 2
    case invalidArgument = 3
    case deadlineExceeded = 4
    case notFound = 5
    case alreadyExists = 6
    case permissionDenied = 7
    case resourceExhausted = 8
    case failedPrecondition = 9
    case aborted = 10
    case outOfRange = 11
    case unimplemented = 12
    case internalError = 13
    case unavailable = 14
    case dataLoss = 15
    case unauthenticated = 16

    init(_ failure: Failure) {
        self =
            switch failure {
            case .malformedRequest(let error):
                error.status == 431 || error.status == 414 ? .resourceExhausted : .internalError
            case .unknownService, .unknownDestination, .noRoute, .upgradeUnsupported: .unimplemented
            case .requestTimeout, .streamIdleTimeout, .tcpIdleTimeout, .deadlineExpired,
                .perTryTimeout:
                .deadlineExceeded
            case .rateLimited: .resourceExhausted
            case .sunset: .unimplemented
            case .injected(let abort): .init(abort: abort)
            case .downstreamClosed: .cancelled
            case .upstreamReset(let code): .init(reset: code)
            case .malformedResponse: .internalError
            // Whatever is worth another attempt, for clients that retry by themselves.
            case .requestHeadTimeout, .notConfigured, .noEndpoint, .unresolved, .overflow,
                .noIdentity, .connectFailed, .connectTimeout, .upstreamTLS, .upstreamClosed,
                .upstreamRefused,
                .upstreamProtocol, .drainExpired, .shed:
                .unavailable
            }
    }

    /// As clients map HTTP statuses (gRPC's http-grpc-status-mapping).
    private init(abort: Fault.Abort) {
        switch abort {
        case .grpc(let code): self = GRPCStatus(rawValue: UInt64(code)) ?? .unknown
        case .status(400): self = .internalError
        case .status(401): self = .unauthenticated
        case .status(403): self = .permissionDenied
        case .status(404): self = .unimplemented
        case .status(429), .status(502...504), .reset: self = .unavailable
        case .status: self = .unknown
        }
    }

    /// The code in a response's `grpc-status`; nil when there is none, or nothing of the kind.
    static func code(in fields: FieldBlock) -> Int? {
        guard let index = fields.firstIndex(of: .grpcStatus) else { return nil }
        return fields.withValue(at: index) { value in
            guard (1...2).contains(value.count) else { return nil }
            var code = 0
            for position in 0..<value.count {
                let digit = value[position] &- UInt8(ascii: "0")
                guard digit <= 9 else { return nil }
                code = code * 10 + Int(digit)
            }
            return code
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

    /// Whether a code says that the server failed, rather than that it refused what it was asked:
    /// UNKNOWN, DEADLINE_EXCEEDED, INTERNAL, UNAVAILABLE, DATA_LOSS.
    static func isFailure(code: Int) -> Bool {
        switch code {
        case 2, 4, 13, 14, 15: true
        default: false
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
