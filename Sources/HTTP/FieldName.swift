import Bytes

/// The field names the proxy looks at, so that the request path compares one byte, not text.
///
/// To add one: a case, its spelling, and whether it is hop-by-hop or end-to-end.
public enum FieldName: UInt8, Sendable, CaseIterable {
    /// Any name that is not listed here.
    case other
    // Routing and framing.
    case host, contentLength, transferEncoding, trailer, expect
    // Fields of one connection.
    case connection, keepAlive, te, upgrade, proxyConnection, proxyAuthenticate
    case proxyAuthorization, http2Settings
    // Tracing.
    case traceparent, tracestate, b3, xB3TraceID, xB3SpanID, xB3ParentSpanID, xB3Sampled, xB3Flags
    case baggage, xRequestID
    // Who called, and through whom.
    case forwarded, xForwardedFor, xForwardedProto, xForwardedHost, xForwardedClientCert, via
    // What policies, local replies and metrics look at.
    case authorization, cookie, setCookie, cacheControl, contentType, contentEncoding
    case date, server, userAgent, accept, retryAfter, location
    case idempotencyKey, grpcTimeout, grpcStatus, grpcMessage, grpcRetryPushback
    case secWebSocketKey, secWebSocketAccept, secWebSocketVersion
    // From sidecar to sidecar: the version the application spoke, see HTTP2.
    case meshOrigin
    // From layer to layer of the mesh: the time left, the same as an instant for the application beside
    // the proxy, and the number of the attempt.
    case meshTimeout, meshDeadline, meshAttempt

    /// Recognises `name` without case (RFC 9110 §5.1); anything unknown is `other`.
    public init(matching name: Span<UInt8>) {
        self = FieldName(rawValue: FieldName.index.value(of: name)) ?? .other
    }

    /// The name as the proxy writes it when it adds the field; empty for `other`.
    public var spelling: StaticString {
        switch self {
        case .other: ""
        case .host: "Host"
        case .contentLength: "Content-Length"
        case .transferEncoding: "Transfer-Encoding"
        case .trailer: "Trailer"
        case .expect: "Expect"
        case .connection: "Connection"
        case .keepAlive: "Keep-Alive"
        case .te: "TE"
        case .upgrade: "Upgrade"
        case .proxyConnection: "Proxy-Connection"
        case .proxyAuthenticate: "Proxy-Authenticate"
        case .proxyAuthorization: "Proxy-Authorization"
        case .http2Settings: "HTTP2-Settings"
        case .traceparent: "traceparent"
        case .tracestate: "tracestate"
        case .b3: "b3"
        case .xB3TraceID: "X-B3-TraceId"
        case .xB3SpanID: "X-B3-SpanId"
        case .xB3ParentSpanID: "X-B3-ParentSpanId"
        case .xB3Sampled: "X-B3-Sampled"
        case .xB3Flags: "X-B3-Flags"
        case .baggage: "baggage"
        case .xRequestID: "X-Request-Id"
        case .forwarded: "Forwarded"
        case .xForwardedFor: "X-Forwarded-For"
        case .xForwardedProto: "X-Forwarded-Proto"
        case .xForwardedHost: "X-Forwarded-Host"
        case .xForwardedClientCert: "X-Forwarded-Client-Cert"
        case .via: "Via"
        case .authorization: "Authorization"
        case .cookie: "Cookie"
        case .setCookie: "Set-Cookie"
        case .cacheControl: "Cache-Control"
        case .contentType: "Content-Type"
        case .contentEncoding: "Content-Encoding"
        case .date: "Date"
        case .server: "Server"
        case .userAgent: "User-Agent"
        case .accept: "Accept"
        case .retryAfter: "Retry-After"
        case .location: "Location"
        case .idempotencyKey: "Idempotency-Key"
        case .grpcTimeout: "grpc-timeout"
        case .grpcStatus: "grpc-status"
        case .grpcMessage: "grpc-message"
        case .grpcRetryPushback: "grpc-retry-pushback-ms"
        case .secWebSocketKey: "Sec-WebSocket-Key"
        case .secWebSocketAccept: "Sec-WebSocket-Accept"
        case .secWebSocketVersion: "Sec-WebSocket-Version"
        case .meshOrigin: "mesh-origin"
        case .meshTimeout: "mesh-timeout"
        case .meshDeadline: "mesh-deadline"
        case .meshAttempt: "mesh-attempt"
        }
    }

    /// Whether the field speaks about one connection only and ends there (RFC 9110 §7.6.1).
    ///
    /// `te` is not listed: `TE: trailers` is renewed hop by hop, see `FieldBlock.removeHopByHop`.
    /// Proxy-Authenticate and Proxy-Authorization are: they are addressed to the proxy (RFC 9110
    /// §11.7), and the credentials of `http_proxy=http://user:secret@…` must not reach a service.
    public var isHopByHop: Bool { FieldName.hopByHop.contains(self) }

    static var hopByHop: FieldNameSet {
        FieldNameSet(.connection).with(.keepAlive).with(.upgrade).with(.proxyConnection)
            .with(.proxyAuthenticate).with(.proxyAuthorization).with(.http2Settings)
            .with(.transferEncoding).with(.meshOrigin)
    }

    /// Whether a trailer with this name is not let through (RFC 9110 §6.5.1).
    ///
    /// A receiver that merges trailers into the head would frame, route, authenticate or decode by it
    /// after the decision was made.
    public var isForbiddenInTrailers: Bool {
        switch self {
        case .host, .contentLength, .trailer, .expect, .te, .authorization, .cookie,
            .contentType, .contentEncoding, .cacheControl, .forwarded, .xForwardedFor,
            .xForwardedProto, .xForwardedHost, .xForwardedClientCert, .meshTimeout,
            .meshDeadline, .meshAttempt:
            true
        default: isHopByHop
        }
    }

    /// Finds a name by its bytes; asked for once per head, since each access to it is a call.
    static let index = NameIndex(
        allCases.filter { $0 != .other }.map { (name: $0.spelling, value: $0.rawValue) }
    )
}
