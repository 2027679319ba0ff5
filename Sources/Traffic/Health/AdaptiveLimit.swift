// How many requests may run at once, found out from how long they take.
//
// Envoy's gradient controller with the windows of Netflix' gradient2. While latency stays near the
// best, the limit grows by its root each window; when requests queue, latency grows and the limit
// shrinks by the ratio. The best latency is that of the best window: single requests differ for
// other reasons than load. Because even the best can become outdated, or was never seen without a
// queue, the limit dips to its half now and then and measures anew. (Envoy dips to three requests,
// which its users see as a burst of refusals.) Invariants:
// * The limit stays within `min` and `max`.
// * It grows only when it was used, so an idle night does not end in a limit that nobody has tried.
// * Nothing allocates; a sample costs a few additions.

public import MeshModel
public import Time

/// A bound on running requests that follows latency.
///
/// Worker-confined. The time only goes forward.
public struct AdaptiveLimit: Sendable {
    /// Requests that may run at once now.
    public var limit: Int { Int(isDipping ? dip : exact) }

    private let min: Double
    private let max: Double
    private var exact: Double
    /// Mean latency of the best window since the last dip; 0: none yet.
    private var best = 0.0
    private var window = Window()
    /// When the last dip began or, before the first, the first sample; nil: no sample yet.
    private var dippedAt: MonotonicTime?
    private var dipPeriodNanoseconds = Self.dipPeriodNanosecondsMin
    private var isDipping = false

    private struct Window: Sendable {
        var startedAt: MonotonicTime?
        var count = 0
        var dropped = 0
        var latencySum = 0.0
        var activePeak = 0
    }

    /// Starts at the policy's initial bound.
    public init(_ policy: AdaptiveConcurrency) {
        min = Double(policy.min)
        max = Double(policy.max)
        exact = Double(policy.initial)
    }

    /// The best latency known, for explanations; 0: none.
    public var bestLatencyNanoseconds: UInt64 { UInt64(best) }

    /// A request ended.
    ///
    /// - Parameters:
    ///   - latencyNanoseconds: How long it took; not looked at when it was dropped.
    ///   - active: Requests that ran at its end, itself included.
    ///   - isDropped: Whether it met overload: a timeout, 429, 503. Other failures are answers.
    public mutating func sample(
        latencyNanoseconds: UInt64,
        active: Int,
        isDropped: Bool,
        now: MonotonicTime
    ) {
        let dippedAt = self.dippedAt ?? now
        self.dippedAt = dippedAt
        // What began before the dip waited in the queue that the dip is to avoid.
        if isDipping, now.nanoseconds(since: dippedAt) < latencyNanoseconds { return }
        window.count += 1
        window.activePeak = Swift.max(window.activePeak, active)
        if isDropped {
            window.dropped += 1
        } else {
            window.latencySum += Double(latencyNanoseconds)
        }
        guard let startedAt = window.startedAt else {
            window.startedAt = now
            return
        }
        guard window.count >= Self.samplesMin else { return }
        // A window shorter than a request would judge the limit before last.
        let age = now.nanoseconds(since: startedAt)
        guard age >= Self.windowNanoseconds, Double(age) >= best else { return }
        endWindow(now)
    }

    private mutating func endWindow(_ now: MonotonicTime) {
        let ended = window
        window = Window()
        let answered = ended.count - ended.dropped
        let latency = answered > 0 ? Swift.max(ended.latencySum / Double(answered), 1) : 0
        if isDipping {
            // Replaced, not lowered: the service may have become slower for good.
            if answered > 0 { best = latency }
            isDipping = false
            return
        }
        if answered > 0, best == 0 || latency < best { best = latency }
        exact = Swift.min(Swift.max(next(ended, latency), min), max)
        if let dippedAt, now.nanoseconds(since: dippedAt) >= dipPeriodNanoseconds {
            isDipping = true
            dipPeriodNanoseconds = Swift.min(
                dipPeriodNanoseconds * 2,
                Self.dipPeriodNanosecondsMax
            )
            self.dippedAt = now
        }
    }

    private func next(_ ended: Window, _ latency: Double) -> Double {
        let ratio = latency > 0 ? Self.tolerance * best / latency : 1
        let gradient = Swift.min(Swift.max(ratio, Self.gradientMin), 1)
        if ended.dropped * Self.droppedShareMin >= ended.count {
            return exact * Swift.min(gradient, Self.droppedGradient)
        }
        let grown = exact * gradient + exact.squareRoot()
        let used = Double(2 * ended.activePeak)
        if used > exact { return grown }
        // Latency that rises while the limit is not the reason is no reason to go below its use.
        return Swift.min(exact, Swift.max(grown, used))
    }

    private var dip: Double { Swift.max(min, exact / 2) }

    /// Latency may be so many times the best: gradient2's tolerance; must be below 2, or a dip to a
    /// half would not come nearer to the truth.
    private static let tolerance = 1.5
    /// A window at most halves the limit.
    private static let gradientMin = 0.5
    /// One of so many samples dropped means overload, whatever the latency of the others.
    private static let droppedShareMin = 100
    private static let droppedGradient = 0.9
    private static let samplesMin = 10
    /// Envoy's interval of updates.
    private static let windowNanoseconds: UInt64 = 100_000_000
    /// Often at first, when the best may come from the rush of a start; then as rarely as Envoy.
    private static let dipPeriodNanosecondsMin: UInt64 = 1_000_000_000
    private static let dipPeriodNanosecondsMax: UInt64 = 60_000_000_000
}
