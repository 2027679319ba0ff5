// When an endpoint that answers badly is set aside, and how it comes back.

/// Passive health of a cluster's endpoints, judged by each worker from what it sees.
public struct OutlierDetection: Sendable, Equatable {
    /// Failures in a row that eject, `Limits.consecutiveFailures`; nil: not judged by that.
    public let consecutiveFailures: Int?
    /// The window of both rates, `Limits.outlierWindow`.
    public let window: Duration
    /// An endpoint whose successes in `window` are below this share is ejected; nil: not judged.
    public let successRateMin: Share?
    /// Requests in `window` below which no rate is judged.
    public let requestsMin: Int
    /// Standard deviations below the mean of all success rates that eject, in thousandths; nil: not
    /// judged.
    ///
    /// Needs `sigmaEndpointsMin` endpoints with `sigmaRequestsMin` requests each.
    public let sigmaThousandths: Int?
    /// Endpoints with enough requests below which deviations mean nothing.
    public let sigmaEndpointsMin: Int
    /// Requests of an endpoint in `window` below which its rate is not compared.
    public let sigmaRequestsMin: Int
    /// Ejection lasts this times how often in a row it was ejected, with jitter of a fifth.
    ///
    /// A window of health makes up for one.
    public let ejection: Duration
    /// No ejection is longer, its jitter included; at least `ejection`.
