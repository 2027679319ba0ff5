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

    /// What an estimate of latency rests on.
    enum Basis: UInt8 {
        /// Nothing that was observed.
        case guess
        /// Answers.
        case answers
        /// The last that was seen of it was no answer.
        case penalty
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
    /// What the latency is taken from.
    var basis = Basis.guess
    /// It was tried for the request for which an endpoint is being picked.
    var isTried = false
    var use = Use.requests
    /// When it ceased to be used for requests; says nothing while it is.
    var outSince: UInt64 = 0
    /// Nearness of its locality; 0 is next.
    var tier: UInt8 = 0

    init(id: UInt32, now: UInt64) {
        self.id = id
        latency = LatencyEstimate(now: now)
    }

    /// The estimate is no guess.
    @inline(__always)
    var isMeasured: Bool { basis != .guess }

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
            if latency.isForgotten(at: now) { basis = .guess }
            latency.settle(at: now)
        }
        active &+= 1
    }

    @inline(__always)
    func finish(_ outcome: AttemptOutcome, _ nanoseconds: UInt64, at now: UInt64) {
        if active > 0 { active &-= 1 }
        if outcome == .success, basis == .answers {
            latency.add(Self.sample(nanoseconds), now: now)
        } else {
            finishRarely(outcome, nanoseconds, at: now)
        }
    }

    @inline(never)
    private func finishRarely(_ outcome: AttemptOutcome, _ nanoseconds: UInt64, at now: UInt64) {
        let sample = Self.sample(nanoseconds)
        // What began before the last that is known tells of the time before it.
        let isNews = now &- min(nanoseconds, now) >= latency.time
        switch outcome {
        case .success:
            // The first answer after a penalty ends it: the penalty was no latency of an answer.
            guard basis == .guess || isNews else { return latency.add(sample, now: now) }
            latency.replace(by: sample, now: now)
            basis = .answers
        case .failure:
            // A failure may be fast; the endpoint is none the better for it.
            take(max(sample, LatencyEstimate.start, latency.held), now)
            basis = .penalty
        case .outpaced:
            // A time that was cut short is the less worth the longer no answer comes.
            let grown = basis == .penalty && isNews ? latency.held * 2 : 0
            take(max(sample, min(grown, LatencyEstimate.outpacedMax)), now)
            basis = .penalty
        case .overload:
            take(max(sample, LatencyEstimate.overload), now)
            basis = .answers
        case .neutral: latency.hold(at: now)
        }
    }

    private func take(_ sample: Double, _ now: UInt64) {
        if basis == .guess {
            latency.replace(by: sample, now: now)
        } else {
            latency.add(sample, now: now)
        }
    }

    static func sample(_ nanoseconds: UInt64) -> Double {
        Double(Int64(truncatingIfNeeded: min(nanoseconds, 1 << 60)))
    }
}
