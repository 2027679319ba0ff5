import DNS
import HTTP1
import MeshModel
import TLS
import Telemetry
import Traffic

/// Why an exchange did not go as it should: side and kind.
///
/// `LocalReply` alone turns it into a status, a flag and a label.
enum Failure: Error {
    /// The request broke the protocol or a limit.
    case malformedRequest(Malformation)
    /// The head did not arrive in time.
    case requestHeadTimeout
    /// No such service; the host was `unknown` or has other ports.
    case unknownService(isWrongPort: Bool)
    /// The mesh does not know where an intercepted connection was meant to go, and may not pass it
    /// on: by policy, or because it would come back to this proxy.
    case unknownDestination(isOwn: Bool)
    /// The service exists, no route takes this request.
    case noRoute
    /// The proxy has no configuration yet.
    case notConfigured
    /// The cluster has no endpoint.
    case noEndpoint
    /// The names of the cluster's endpoints have no address.
    case unresolved(ResolutionFailure)
    /// A bound of the cluster was reached.
    case overflow(Bound)
    /// No identity yet, so no mTLS connection can be made.
    case noIdentity
    /// Connecting failed; `errno` is positive.
    case connectFailed(errno: Int32)
    /// Connecting, TLS included, took too long.
    case connectTimeout
    /// TLS with the endpoint failed.
    case upstreamTLS(TLSError)
    /// The endpoint closed or reset; `responseBytesReceived` tells whether its response had begun.
    case upstreamClosed(connectionWasReused: Bool)
    /// The endpoint reset the stream (RFC 9113 §7).
    case upstreamReset(code: UInt32)
    /// The endpoint did nothing with the request, and said so.
    case upstreamRefused
    /// The endpoint does not speak the protocol that is spoken to it.
    case upstreamProtocol
    /// The endpoint takes no WebSockets over HTTP/2.
    case upgradeUnsupported
    /// The endpoint's response broke the protocol.
    case malformedResponse(Malformation)
    /// The request's time limit passed.
    case requestTimeout
    /// It had passed before anything was sent.
    case deadlineExpired
    /// One attempt took longer than it may.
    case perTryTimeout
    /// A rate limit of the route or the service has no room.
    case rateLimited(RateLimitVerdict, by: SharedRateLimiter)
    /// The worker is too late with what it has.
    case shed
    /// Made on purpose.
    case injected(Fault.Abort)
    /// The route's version of the API has ended.
    case sunset
    /// Nothing moved for too long.
    case streamIdleTimeout
    /// No byte of an opaque connection moved for too long.
    case tcpIdleTimeout
    /// The caller left.
    case downstreamClosed
    /// The proxy is stopping and does not wait any longer.
    case drainExpired

    /// What can be full.
    enum Bound { case connections, pendingRequests, requests, concurrency }
}

/// What was wrong with a message, whichever version it came in.
struct Malformation {
    /// The answer to a refused request.
    let status: Int
    /// A stable label for metrics.
    let reason: StaticString
    /// One sentence for whoever sent it.
    let detail: String

    init(status: Int, reason: StaticString, detail: String) {
        self.status = status
        self.reason = reason
        self.detail = detail
    }

    /// A 101 that does not answer our key.
    static let notTheWebSocketAskedFor = Malformation(
        status: 502,
        reason: "websocket_accept_mismatch",
        detail: "The response is none to the WebSocket asked for."
    )

    /// A success that is not the WebSocket asked for, to a caller who would take it for that.
    static let ordinaryAnswerToWebSocket = Malformation(
        status: 502,
        reason: "websocket_not_accepted",
        detail: "The service answered a request for a WebSocket with something else."
    )

    init(_ error: HTTP1Error) {
        self.init(status: error.status, reason: error.reason, detail: error.detail)
    }
}

extension Failure {
    /// The proxy itself lacks something, whatever the endpoint.
    var isOwn: Bool {
        switch self {
        case .overflow, .noIdentity: true
        default: false
        }
    }

    /// What an attempt that ended so says of its endpoint.
    var outcome: AttemptOutcome {
        switch self {
        case .connectFailed, .connectTimeout, .upstreamTLS, .upstreamReset, .upstreamProtocol,
            .malformedResponse, .requestTimeout, .perTryTimeout:
            .failure
        // A pooled connection that its peer was about to close says nothing of the peer's health.
        case .upstreamClosed(let connectionWasReused): connectionWasReused ? .neutral : .failure
        // Nothing moved: the endpoint may be dead, or the caller may read nothing.
        case .streamIdleTimeout, .tcpIdleTimeout, .upstreamRefused, .upgradeUnsupported: .neutral
        // Nothing of this has to do with the endpoint.
        case .malformedRequest, .requestHeadTimeout, .unknownService, .unknownDestination,
            .noRoute, .notConfigured, .noEndpoint, .unresolved, .overflow, .noIdentity,
            .deadlineExpired, .rateLimited, .shed, .injected, .sunset, .downstreamClosed,
            .drainExpired:
            .neutral
        }
    }
}
