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
    public let ejectionMax: Duration
    /// Endpoints set aside at once at most; one may be whenever there are two.
    public let ejectedMax: Share
    /// When fewer than this share of all endpoints are healthy, all are used.
    public let panicBelow: Share

    /// On, as in the field's experience: five in a row, 80 % over 10 s, 1.9 σ; half at most.
    ///
    /// Ejections are short, as a single request probes before traffic returns: even an endpoint that
    /// was long out is back within ten seconds of its recovery. That is why they end at 8 s: before it
    /// a probe may be lost that was sent just before the recovery, for `ejection` / 2 at most.
    public static let `default` = OutlierDetection()

    /// Makes a policy; traps when a part is out of range.
    public init(
        consecutiveFailures: Int? = 5,
        window: Duration = .seconds(10),
        successRateMin: Share? = Share(percent: 80),
        requestsMin: Int = 10,
        sigmaThousandths: Int? = 1_900,
        sigmaEndpointsMin: Int = 5,
        sigmaRequestsMin: Int = 100,
        ejection: Duration = .seconds(3),
        ejectionMax: Duration = .seconds(8),
        ejectedMax: Share = Share(percent: 50),
        panicBelow: Share = Share(percent: 50)
    ) {
        precondition(consecutiveFailures.map(Limits.consecutiveFailures.contains) ?? true)
        precondition(Limits.outlierWindow.contains(window) && window.isTimeLimit)
        precondition(Limits.sampleSize.contains(requestsMin))
        precondition(sigmaThousandths.map(Limits.sigmaThousandths.contains) ?? true)
        precondition(Limits.sampleSize.contains(sigmaEndpointsMin))
        precondition(Limits.sampleSize.contains(sigmaRequestsMin))
        precondition(ejection.isTimeLimit && ejectionMax.isTimeLimit && ejectionMax >= ejection)
        self.consecutiveFailures = consecutiveFailures
        self.window = window
        self.successRateMin = successRateMin
        self.requestsMin = requestsMin
        self.sigmaThousandths = sigmaThousandths
        self.sigmaEndpointsMin = sigmaEndpointsMin
        self.sigmaRequestsMin = sigmaRequestsMin
        self.ejection = ejection
        self.ejectionMax = ejectionMax
        self.ejectedMax = ejectedMax
        self.panicBelow = panicBelow
    }
}

/// Requests of the proxy's own that ask an endpoint whether it is well; opt-in.
public struct HealthCheck: Sendable, Equatable {
    /// What is asked.
    public enum Kind: Sendable, Equatable {
        /// GET of this path, perhaps with a query (`Syntax.requestTarget`); well when the status is in 200...399.
        case http(path: String)
        /// `grpc.health.v1.Health/Check` of this service ("" for the whole server).
        case grpc(service: String)
        /// A connection, with mTLS where the cluster has it.
        case tcp
    }

    /// What is asked.
    public let kind: Kind
    /// Between checks of an endpoint, with jitter of a fifth.
    public let interval: Duration
    /// Longest time for an answer.
    public let timeout: Duration
    /// Results in a row that make an endpoint unhealthy, 1...100.
    public let failuresMax: Int
    /// Results in a row that make it healthy again, 1...100.
    public let successesMin: Int

    /// Makes a check; traps when a part is out of range.
    public init(
        kind: Kind,
        interval: Duration = .seconds(5),
        timeout: Duration = .seconds(1),
        failuresMax: Int = 3,
        successesMin: Int = 2
    ) {
        if case .http(let path) = kind { precondition(Syntax.requestTarget.isValid(path)) }
        if case .grpc(let service) = kind {
            precondition(Syntax.grpcHealthService.isValid(service))
        }
        precondition(interval.isTimeLimit && timeout.isTimeLimit)
        precondition(Limits.healthCheckResults.contains(failuresMax))
        precondition(Limits.healthCheckResults.contains(successesMin))
        self.kind = kind
        self.interval = interval
        self.timeout = timeout
        self.failuresMax = failuresMax
        self.successesMin = successesMin
    }
}
