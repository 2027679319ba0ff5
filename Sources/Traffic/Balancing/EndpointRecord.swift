/// What is kept of an endpoint for each choice.
///
/// An object, not a value in an array: a number in an object is written without a check for
/// exclusive access and for sharing, which together cost more than the whole choice.
final class EndpointRecord {
    /// What it may be used for.
    enum Use: UInt8 {
        case requests
        /// Nothing: it was ejected, or a probe is under way.
        case nothing
        /// The next request, as its probe.
        case probe
    }

    let id: UInt32
    /// Its place in the list.
    var index: UInt32 = 0
    var active: UInt32 = 0
    var latency: LatencyEstimate
    /// What one active attempt weighs here: the mean weight of the endpoints through its own.
    var activeLoad = 1.0
    /// When slow start ends.
    var fullAt: UInt64 = 0
    /// It was tried for the request for which an endpoint is being picked.
    var isTried = false
    /// A latency was observed, the estimate is no guess.
    var isMeasured = false
    var use = Use.requests
    /// When it ceased to be used for requests; says nothing while it is.
    var outSince: UInt64 = 0
    /// Nearness of its locality; 0 is next.
    var tier: UInt8 = 0

    init(id: UInt32, now: UInt64) {
        self.id = id
        latency = LatencyEstimate(now: now)
    }

    /// Latency for a choice at `now`.
    ///
    /// Held while attempts are under way: one that gets no answer must not look better for it.
    @inline(__always)
    func expectedLatency(at now: UInt64) -> Double {
        active > 0 ? latency.held : latency.value(at: now)
    }

    @inline(__always)
    func start(at now: UInt64) {
        if active == 0 {
            // What was not asked for long is tried again because its estimate fell; did the first
            // answer only move the estimate, a recovered endpoint would wait once more after it.
            if latency.isForgotten(at: now) { isMeasured = false }
            latency.settle(at: now)
        }
        active &+= 1
    }

    @inline(__always)
    func finish(_ outcome: AttemptOutcome, _ nanoseconds: UInt64, at now: UInt64) {
        if active > 0 { active &-= 1 }
        var sample = Self.sample(nanoseconds)
        switch outcome {
        case .success: break
        // A failure may be fast; the endpoint is none the better for it.
        case .failure: sample = max(sample, LatencyEstimate.start, latency.held)
        case .overload: sample = max(sample, LatencyEstimate.overload)
        case .neutral:
            latency.hold(at: now)
            return
        }
        if isMeasured {
            latency.add(sample, now: now)
        } else {
            isMeasured = true
            latency.replace(by: sample, now: now)
        }
    }

    static func sample(_ nanoseconds: UInt64) -> Double {
        Double(Int64(truncatingIfNeeded: min(nanoseconds, 1 << 60)))
    }
}
