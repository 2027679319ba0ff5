// Peak EWMA, as Finagle's and Linkerd's: a sample above the estimate replaces it, so that trouble is
// seen at once; below it the estimate follows with a time constant of ten seconds.
//
// An estimate that is not fed falls towards zero, so that an endpoint which was slow is tried again: at
// first as if it were fed, after five seconds nine times as fast. At the first pace alone one that was
// twenty times as slow as its idle neighbours would wait half a minute after its recovery; so it waits
// eight seconds, and one that still is slow costs a request each eight.
// Whoever keeps it does not let it fall while attempts are under way: an endpoint that swallows
// requests would otherwise look better and better.

/// A latency that rises at once and falls slowly.
struct LatencyEstimate {
    private var nanoseconds: Double
    /// When `nanoseconds` was right.
    private(set) var time: UInt64

    /// Starts with a guess.
    init(nanoseconds: Double = Self.start, now: UInt64) {
        self.nanoseconds = nanoseconds
        time = now
    }

    /// As it was when last settled.
    var held: Double { nanoseconds }

    /// As it has fallen until `now`.
    @inline(__always)
    func value(at now: UInt64) -> Double {
        // A hundredth makes no difference to a choice, and most endpoints were asked just now.
        guard now &- time > Self.unnoticed, now > time else { return nanoseconds }
        return nanoseconds * Self.remembered(after: now - time)
    }

    /// Lets it fall until `now`.
    @inline(__always)
    mutating func settle(at now: UInt64) {
        guard now > time else { return }
        if now &- time > Self.unnoticed { nanoseconds *= Self.remembered(after: now - time) }
        time = now
    }

    /// It was not fed for so long that it says nothing of the endpoint any more.
    @inline(__always)
    func isForgotten(at now: UInt64) -> Bool {
        now &- time > Self.fallsFasterAfter && now > time
    }

    /// Goes on from `now` without having fallen.
    mutating func hold(at now: UInt64) { time = max(time, now) }

    /// Takes in the first observed latency, in place of a guess.
    mutating func replace(by sample: Double, now: UInt64) {
        nanoseconds = sample
        time = max(time, now)
    }

    /// Takes in an observed latency.
    @inline(__always)
    mutating func add(_ sample: Double, now: UInt64) {
        if sample >= nanoseconds {
            nanoseconds = sample
        } else if now > time {
            let kept = Self.kept(after: now - time)
            nanoseconds = sample + (nanoseconds - sample) * kept
        }
        time = max(time, now)
    }

    /// The part of an estimate that is left when it was not fed for so long.
    @inline(__always)
    static func remembered(after nanoseconds: UInt64) -> Double {
        if nanoseconds <= fallsFasterAfter { return kept(after: nanoseconds) }
        let faster = min(nanoseconds - fallsFasterAfter, .max / 16) * 8
        return kept(after: nanoseconds) * kept(after: faster)
    }

    /// The part of the past that counts after so long: e^(−t / 10 s), to within 1 % for 20 s.
    ///
    /// exp(−x) = exp(−x / 8)⁸, and a short series is enough for an eighth.
    @inline(__always)
    static func kept(after nanoseconds: UInt64) -> Double {
        // Far beyond, where the series is no longer exact, nothing is left either way.
        let eighth = Double(Int64(truncatingIfNeeded: nanoseconds & .max >> 1)) * perEighth
        let inverse = 1 + eighth * (1 + eighth * (0.5 + eighth * (1.0 / 6)))
        let square = inverse * inverse
        let fourth = square * square
        return 1 / (fourth * fourth)
    }

    /// What a latency nobody has measured is taken for; Linkerd's default.
    static let start: Double = 30_000_000
    /// What a refusal for overload counts as; Linkerd's.
    static let overload: Double = 5_000_000_000
    /// What attempts that were given up for a hedge add up to at most: it is forgotten within ten
    /// seconds beside neighbours that are a hundred times as fast.
    static let outpacedMax: Double = 500_000_000
    private static let perEighth = 1 / (8 * 10e9)
    private static let fallsFasterAfter: UInt64 = 5_000_000_000
    private static let unnoticed: UInt64 = 100_000_000
}
