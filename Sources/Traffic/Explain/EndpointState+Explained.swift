// Where an endpoint stands, in words: for explanations and the admin port alike.

public import Time

extension EndpointState {
    /// `healthy`, `unwell`, `ejected`, `probation` or `probing`.
    public var standingLabel: String {
        switch standing {
        case .ejected: "ejected"
        case .probation(let isProbing): isProbing ? "probing" : "probation"
        case .healthy: isWell ? "healthy" : "unwell"
        }
    }

    /// Whole milliseconds until it may be probed; nil: it is not ejected.
    public func ejectedMilliseconds(now: MonotonicTime) -> UInt64? {
        ejectedUntil.map { $0.nanoseconds(since: now) / 1_000_000 }
    }

    /// Whole milliseconds since it is not used for requests; nil: it is.
    public func outMilliseconds(now: MonotonicTime) -> UInt64? {
        outSince.map { now.nanoseconds(since: $0) / 1_000_000 }
    }

    /// `healthy`, or since when it is out, why, and what brings it back.
    public func standingText(now: MonotonicTime) -> String {
        guard !isHealthy else { return standingLabel }
        var text = standingLabel
        if let out = outMilliseconds(now: now) { text += ", out for \(Self.seconds(out))" }
        if let cause { text += ": \(cause.explained)" }
        if isWell, ejections > 1 { text += "; ejected \(ejections) times in a row" }
        return text + "; " + wayBack(now: now)
    }

    private func wayBack(now: MonotonicTime) -> String {
        guard isWell else { return "back when its health checks succeed" }
        return switch standing {
        case .healthy: "back"
        case .probation(let isProbing):
            isProbing ? "one request probes it now" : "the next request probes it"
        case .ejected(let until):
            "one request probes it in \(Self.seconds(until.nanoseconds(since: now) / 1_000_000))"
        }
    }

    private static func seconds(_ milliseconds: UInt64) -> String {
        "\(milliseconds / 1_000).\(milliseconds % 1_000 / 100) s"
    }
}

extension EjectionCause {
    /// In words, with its numbers.
    public var explained: String {
        switch self {
        case .consecutiveFailures(let count): "\(count) failures in a row"
        case .successRate(let successes, let requests):
            "only \(successes) of \(requests) succeeded"
        case .deviation(let success, let threshold):
            "success of \(Self.percent(success)), below \(Self.percent(threshold)), far from the others"
        case .probe: "the request that probed it failed"
        case .healthCheck: "its health checks fail"
        }
    }

    private static func percent(_ millionths: Int) -> String {
        let tenths = (millionths + 500) / 1_000
        return "\(tenths / 10).\(tenths % 10) %"
    }
}

extension EndpointSelector {
    /// Whether too few endpoints are healthy, so that all are used.
    public var isInPanic: Bool { isPanic }
}
