/// Bounds of what a configuration may hold.
///
/// They stop a mistaken or hostile document from taking the process down; none of them is meant to
/// be met in normal use.
public enum Limits {
    /// Bytes of a JSON document; the largest frame of the control stream.
    public static let documentBytesMax = 16 * 1024 * 1024
    /// Nesting of lists and objects.
    ///
    /// The deepest valid snapshot nests 12; 64 leaves room and keeps
    /// the recursive parser far inside a 512 KiB thread stack.
    public static let documentDepthMax = 64
    /// Values in a document: about 100 MB of tree at the worst.
    public static let documentNodesMax = 1_000_000
    /// Errors reported of one document; the rest is counted.
    public static let errorsMax = 100
    /// Names listed as allowed in an error.
    public static let suggestionsMax = 50
    /// Characters of an offending value shown in an error.
    public static let previewCharactersMax = 80

    /// Bytes of a name (service, route, cluster); a DNS name's bound, RFC 1035 §2.3.4.
    public static let nameBytesMax = 253
    /// Bytes of a path in a route's match; Gateway API `HTTPPathMatch`.
    public static let pathBytesMax = 1_024
    /// Bytes of a header value in a route's match; Gateway API `HTTPHeaderMatch`.
    public static let headerValueBytesMax = 4_096
    /// Bytes of a method; longer than any registered one.
    public static let methodBytesMax = 32
    /// Bytes of a file's path; Linux' PATH_MAX.
    public static let filePathBytesMax = 4_096
    /// Bytes of one PEM certificate; large RSA roots take about 3 KiB.
    public static let certificateBytesMax = 16_384

    /// Services one workload may call.
    public static let servicesMax = 10_000
    /// Clusters of a snapshot.
    public static let clustersMax = 10_000
    /// Endpoints of a cluster.
    public static let endpointsMax = 10_000
    /// Host names of a service.
    public static let hostsMax = 64
    /// Routes of a service.
    public static let routesMax = 10_000
    /// Weighted backends of a route; Gateway API allows 16.
    public static let backendsMax = 64
    /// Header conditions of a route; Gateway API `HTTPRouteMatch`.
    public static let headersMax = 16
    /// Identities the server side of a cluster may have.
    public static let identitiesMax = 64
    /// Virtual addresses of a service; one of each family is usual.
    public static let addressesMax = 16
    /// Ports of an application whose protocol is known.
    public static let inboundPortsMax = 64
    /// Opaque listeners of a proxy, each a socket for each worker.
    public static let tcpListenersMax = 256
    /// Name servers; resolv.conf allows 3.
    public static let nameServersMax = 8
    /// Roots in a trust bundle: the current one, and the next and the last during a rotation; the
    /// rest is room for federated domains.
    public static let trustBundleMax = 32

    /// Conditions on a route's query; Gateway API `HTTPRouteMatch`.
    public static let queryParametersMax = 16
    /// Bytes of a query parameter's name; Gateway API `HTTPQueryParamMatch`.
    public static let queryNameBytesMax = 256
    /// Bytes of a query parameter's value; Gateway API `HTTPQueryParamMatch`.
    public static let queryValueBytesMax = 1_024
    /// Bytes of a link to documentation; longer than any browser's address bar shows.
    public static let linkBytesMax = 2_048
    /// Origins, methods or fields that a CORS policy lists; Gateway API allows 64.
    public static let corsListMax = 64
    /// Matches of a policy that is for a part of the requests.
    public static let policyMatchesMax = 64
    /// Fields a header modifier names; Gateway API allows 16 of each kind.
    public static let modifiedHeadersMax = 48
    /// Copies of a request.
    public static let mirrorsMax = 4
    /// Faults of a route.
    public static let faultsMax = 8
    /// Rate limits of a route or a service.
    public static let rateLimitsMax = 16
    /// Priority rules of a service.
    public static let prioritiesMax = 64
    /// Bytes of a canned response.
    public static let fallbackBodyBytesMax = 16_384

    /// Statuses of a redirect; Gateway API `HTTPRequestRedirectFilter`.
    public static let redirectStatuses = [301, 302, 303, 307, 308]
    /// Statuses of a canned response.
    public static let fallbackStatus: ClosedRange<Int> = 200...599
    /// A moment in Unix seconds, up to the year 9999, which RFC 3339 ends with.
    public static let unixSeconds: ClosedRange<Int64> = 0...253_402_300_799
    /// Attempts after the first; more is a storm.
    public static let retries: ClosedRange<Int> = 0...10
    /// Additional attempts of a hedge.
    public static let hedges: ClosedRange<Int> = 1...3
    /// Statuses that stand for a failure.
    public static let retryStatus: ClosedRange<Int> = 400...599
    /// gRPC's codes but OK.
    public static let grpcFailure: ClosedRange<Int> = 1...16
    /// Bytes of request kept for a retry; 0: requests with a body are not repeated.
    public static let replayBytes: ClosedRange<Int> = 0...1_048_576
    /// A backoff's base and cap.
    public static let backoff: ClosedRange<Duration> = .milliseconds(1)...(.seconds(60))
    /// Window of a retry budget.
    public static let budgetWindow: ClosedRange<Duration> = .seconds(1)...(.seconds(60))
    /// Retries per second that no budget refuses.
    public static let budgetFloor: ClosedRange<Int> = 0...10_000
    /// Failures in a row.
    public static let consecutiveFailures: ClosedRange<Int> = 1...1_000
    /// Window of an endpoint's rates.
    public static let outlierWindow: ClosedRange<Duration> = .seconds(1)...(.seconds(300))
    /// Requests or endpoints a statement needs.
    public static let sampleSize: ClosedRange<Int> = 1...1_000_000
    /// Standard deviations in thousandths.
    public static let sigmaThousandths: ClosedRange<Int> = 100...10_000
    /// Results in a row of active health checks.
    public static let healthCheckResults: ClosedRange<Int> = 1...100
    /// Tokens of a bucket.
    public static let rate: ClosedRange<Int> = 1...100_000_000
    /// An endpoint's weight.
    public static let endpointWeight: ClosedRange<Int> = 1...10_000
    /// Life of a cookie that keeps a caller on a backend; browsers cap it at 400 days.
    public static let cookieLifetime: ClosedRange<Duration> =
        .seconds(1)...(.seconds(400 * 24 * 3600))

    /// A backend's weight; Gateway API `HTTPBackendRef`.
    public static let weight: ClosedRange<Int> = 0...1_000_000
    /// A listening port; 0 lets the kernel choose.
    public static let listenPort: ClosedRange<Int> = 0...65_535
    /// A port to connect to.
    public static let port: ClosedRange<Int> = 1...65_535
    /// A bound on connections or requests.
    public static let concurrency: ClosedRange<Int> = 1...1_000_000
    /// A bound on waiting requests; 0 refuses at once.
    public static let queue: ClosedRange<Int> = 0...1_000_000
    /// A time limit: GEP-2257 counts whole milliseconds; past a day it is a mistake.
    public static let timeout: ClosedRange<Duration> = .milliseconds(1)...(.seconds(24 * 3600))

    /// Worker threads of a proxy.
    public static let workers: ClosedRange<Int> = 1...256
    /// Parts of a drain; 0 skips one.
    public static let drain: ClosedRange<Duration> = .zero...(.seconds(24 * 3600))
    /// Bound on a request line, in bytes.
    public static let requestLineBytes: ClosedRange<Int> = 256...65_536
    /// Bound on all fields of a head, in bytes.
    public static let fieldSectionBytes: ClosedRange<Int> = 1_024...1_048_576
    /// Bound on the number of fields of a head.
    public static let fieldCount: ClosedRange<Int> = 8...1_024

    /// Streams of an HTTP/2 connection; more than ports of a machine is a mistake.
    public static let concurrentStreams: ClosedRange<Int> = 1...65_535
    /// Window of an HTTP/2 stream; smaller than the protocol's own start cannot be told a peer in
    /// time, larger than 16 MiB is what one stalled stream would hold.
    public static let streamWindow: ClosedRange<Int> = 65_535...16_777_216
    /// Window of an HTTP/2 connection, and what it holds; the protocol ends at 2^31 − 1.
    public static let connectionWindow: ClosedRange<Int> = 65_535...1_073_741_824
    /// Bytes of an HPACK table; 0: no table.
    public static let headerTableBytes: ClosedRange<Int> = 0...65_536
    /// Time over which frames that a peer may abuse are counted.
    public static let floodWindow: ClosedRange<Duration> = .seconds(1)...(.seconds(600))
    /// Allowed frames of such a kind in that time.
    public static let floodAllowance: ClosedRange<Int> = 1...1_000_000
    /// CONTINUATION frames of one header block; 1024 of 16 KiB are 16 MiB.
    public static let continuations: ClosedRange<Int> = 0...1_024
    /// Time for a connection's first bytes; past a minute the caller has long given up.
    public static let detectionTimeout: ClosedRange<Duration> = .milliseconds(1)...(.seconds(60))
}
