internal import HTTP

/// Which side of the sidecar something happened on.
public enum Direction: UInt8, Sendable, CaseIterable {
    /// From a peer to the own application.
    case inbound
    /// From the own application to a peer.
    case outbound

    /// The label value.
    public var label: StaticString {
        switch self {
        case .inbound: "inbound"
        case .outbound: "outbound"
        }
    }
}

extension Method {
    /// The label value; a client chooses its method freely, so an unknown one is just "OTHER".
    var label: StaticString { self == .other ? "OTHER" : token }
}

/// Why an exchange did not simply carry the upstream's answer: the `response_flags` label and the
/// `flags` of an access log line.
public enum ResponseFlag: UInt8, Sendable, CaseIterable {
    /// The request broke the protocol or a limit.
    case malformedRequest
    /// No route matched.
    case noRoute
    /// The cluster has no endpoint that may be used.
    case noEndpoint
    /// A bound of the cluster or the proxy was reached.
    case overflow
    /// Policy refused the caller.
    case denied
    /// No connection to the endpoint could be made.
    case upstreamConnectFailure
    /// The connection to the endpoint was not made in time.
    case upstreamConnectTimeout
    /// TLS with the endpoint failed, its identity included.
    case upstreamTLSFailure
    /// The endpoint closed or reset before its response was complete.
    case upstreamReset
    /// The endpoint's response broke the protocol or a limit.
    case upstreamProtocolError
    /// The request's deadline passed.
    case requestTimeout
    /// Nothing moved on the exchange for too long.
    case idleTimeout
    /// The downstream left before the response was complete.
    case downstreamClosed
    /// The proxy was draining.
    case draining
    /// A rate limit had no room.
    case rateLimited
    /// The worker was overloaded.
    case shed
    /// The failure was made on purpose.
    case injected

    /// The label value.
    public var label: StaticString {
        switch self {
        case .malformedRequest: "malformed_request"
        case .noRoute: "no_route"
        case .noEndpoint: "no_endpoint"
        case .overflow: "overflow"
        case .denied: "denied"
        case .upstreamConnectFailure: "upstream_connect_failure"
        case .upstreamConnectTimeout: "upstream_connect_timeout"
        case .upstreamTLSFailure: "upstream_tls_failure"
        case .upstreamReset: "upstream_reset"
        case .upstreamProtocolError: "upstream_protocol_error"
        case .requestTimeout: "request_timeout"
        case .idleTimeout: "idle_timeout"
        case .downstreamClosed: "downstream_closed"
        case .draining: "draining"
        case .rateLimited: "rate_limited"
        case .shed: "shed"
        case .injected: "fault_injected"
        }
    }
}
