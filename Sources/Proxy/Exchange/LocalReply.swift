// The only place that turns a `Failure` into what the caller sees: status, problem+json (RFC 9457),
// response flag and metric label. Nothing internal: no addresses, no names of files, no certificates.

import Bytes
import TLS
import Telemetry
import Traffic

/// A response made by the proxy itself.
struct LocalReply {
    let status: Int
    /// Metric label and the last part of the problem's `type`.
    let cause: StaticString
    /// One sentence for the caller.
    let detail: String
    let flag: ResponseFlag
    /// Seconds for `Retry-After`, when waiting helps.
    var retryAfterSeconds: UInt64?

    init(
        _ status: Int,
        _ cause: StaticString,
        _ flag: ResponseFlag,
        _ detail: String,
        retryAfterSeconds: UInt64? = nil
    ) {
        self.status = status
        self.cause = cause
        self.flag = flag
        self.detail = detail
        self.retryAfterSeconds = retryAfterSeconds
    }

    init(_ failure: Failure) {
        self =
            switch failure {
            case .malformedRequest(let error):
                .init(error.status, error.reason, .malformedRequest, error.detail)
            case .requestHeadTimeout:
                .init(
                    408,
                    "request_head_timeout",
                    .requestTimeout,
                    "The request's head did not arrive in time."
                )
            case .unknownService(let isWrongPort):
                .init(
                    404,
                    isWrongPort ? "wrong_port" : "unknown_service",
                    .noRoute,
                    isWrongPort
                        ? "The service exists, but not on this port."
                        : "No service with this name is known to this workload. "
                            + "Is it listed under `uses`?"
                )
            case .unknownDestination(let isOwn):
                .init(
                    502,
                    isOwn ? "own_address" : "unknown_destination",
                    .noRoute,
                    isOwn
                        ? "The destination is the proxy itself."
                        : "The destination is no service of this workload, and others are refused."
                )
            case .noRoute:
                .init(404, "no_route", .noRoute, "No route of the service takes this request.")
            case .notConfigured:
                .init(
                    503,
                    "not_configured",
                    .noRoute,
                    "The proxy has no configuration yet.",
                    retryAfterSeconds: 1
                )
            case .noEndpoint:
                .init(
                    503,
                    "no_endpoint",
                    .noEndpoint,
                    "The service has no endpoint.",
                    retryAfterSeconds: 1
                )
            case .unresolved(let reason):
                .init(
                    503,
                    "dns",
                    .noEndpoint,
                    "The service's endpoint could not be resolved: \(reason).",
                    retryAfterSeconds: 1
                )
            case .overflow(let bound):
                .init(
                    503,
                    bound.cause,
                    .overflow,
                    "Too many \(bound.words) for this service.",
                    retryAfterSeconds: 1
                )
            case .noIdentity:
                .init(
                    503,
                    "no_identity",
                    .upstreamTLSFailure,
                    "The proxy has no certificate yet.",
                    retryAfterSeconds: 1
                )
            case .connectFailed:
                .init(
                    503,
                    "connect_failed",
                    .upstreamConnectFailure,
                    "No connection to the service could be made."
                )
            case .connectTimeout:
                .init(
                    503,
                    "connect_timeout",
                    .upstreamConnectTimeout,
                    "No connection to the service could be made in time."
                )
            case .upstreamTLS:
                .init(
                    503,
                    "upstream_tls",
                    .upstreamTLSFailure,
                    "The service could not be authenticated."
                )
            case .upstreamClosed:
                .init(
                    502,
                    "upstream_closed",
                    .upstreamReset,
                    "The service closed the connection before it answered."
                )
            case .upstreamReset:
                .init(
                    502,
                    "upstream_reset",
                    .upstreamReset,
                    "The service broke the request off."
                )
            case .upstreamRefused:
                .init(
                    503,
                    "upstream_refused",
                    .upstreamReset,
                    "The service refused the request without looking at it."
                )
            case .upstreamProtocol:
                .init(
                    502,
                    "upstream_protocol",
                    .upstreamProtocolError,
                    "The service does not speak the protocol it was spoken to in."
                )
            case .upgradeUnsupported:
                .init(
                    501,
                    "upgrade_unsupported",
                    .upstreamProtocolError,
                    "The service takes no WebSockets over HTTP/2."
                )
            case .malformedResponse:
                .init(
                    502,
                    "malformed_response",
                    .upstreamProtocolError,
                    "The service's response is not valid HTTP."
                )
            case .requestTimeout:
                .init(
                    504,
                    "request_timeout",
                    .requestTimeout,
                    "The service did not answer within the time limit of the request."
                )
            case .deadlineExpired:
                .init(
                    504,
                    "deadline_expired",
                    .requestTimeout,
                    "The caller's deadline had passed before the request could be sent on."
                )
            case .perTryTimeout:
                .init(
                    504,
                    "per_try_timeout",
                    .requestTimeout,
                    "No attempt was answered within the time limit of one attempt."
                )
            case .rateLimited(let verdict, _):
                .init(
                    429,
                    "rate_limited",
                    .rateLimited,
                    "Too many requests for a limit of this service.",
                    retryAfterSeconds: UInt64(verdict.retryAfterSeconds)
                )
            case .shed:
                .init(
                    503,
                    "overloaded",
                    .shed,
                    "The proxy is overloaded and serves what is more important first.",
                    retryAfterSeconds: 1
                )
            case .injected(let abort):
                .init(
                    abort.status,
                    "fault_injected",
                    .injected,
                    "The mesh was told to make this request fail."
                )
            case .sunset:
                .init(
                    410,
                    "sunset",
                    .denied,
                    "This version of the API has ended. See the Link field, if there is one."
                )
            case .streamIdleTimeout:
                .init(
                    504,
                    "stream_idle_timeout",
                    .idleTimeout,
                    "Neither side sent anything for too long."
                )
            case .tcpIdleTimeout:
                .init(
                    504,
                    "tcp_idle_timeout",
                    .idleTimeout,
                    "Neither side sent anything for too long."
                )
            case .downstreamClosed:
                .init(499, "downstream_closed", .downstreamClosed, "The caller left.")
            case .drainExpired:
                .init(
                    503,
                    "draining",
                    .draining,
                    "The proxy is stopping.",
                    retryAfterSeconds: 1
                )
            }
    }

    /// Appends the body: RFC 9457 problem details with status, cause and trace id.
    func appendProblem(to buffer: ByteBuffer, traceID: (UInt64, UInt64)) {
        buffer.append("{\"type\":\"urn:mesh:problem:")
        buffer.append(cause)
        buffer.append("\",\"title\":\"")
        buffer.append(cause)
        buffer.append("\",\"status\":")
        buffer.append(decimal: UInt64(status))
        buffer.append(",\"detail\":\"")
        appendEscaped(detail, to: buffer)
        buffer.append("\",\"trace_id\":\"")
        buffer.append(hex: traceID.0, digits: 16)
        buffer.append(hex: traceID.1, digits: 16)
        buffer.append("\"}\n")
    }

    private func appendEscaped(_ text: String, to buffer: ByteBuffer) {
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                buffer.append(UInt8(ascii: "\\"))
                buffer.append(byte)
            case 0..<0x20:
                buffer.append("\\u")
                buffer.append(hex: UInt64(byte), digits: 4)
            default: buffer.append(byte)
            }
        }
    }
}

extension Failure.Bound {
    fileprivate var cause: StaticString {
        switch self {
        case .connections: "too_many_connections"
        case .pendingRequests: "too_many_pending_requests"
        case .requests: "too_many_requests"
        case .concurrency: "concurrency_limit"
        }
    }

    fileprivate var words: String {
        switch self {
        case .connections: "connections are open"
        case .pendingRequests: "requests are waiting"
        case .requests: "requests are running"
        case .concurrency: "requests are running for what the service answers in time"
        }
    }
}
