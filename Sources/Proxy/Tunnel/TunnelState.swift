// What a tunnel does next, as a pure state machine: told what happened, and when, it says what to do.
//
//   connecting ──► joined ──► over
//        │  ▲
//        └──┘ another endpoint; safe as long as no byte was sent
//
// Invariants:
// - `over` is entered once and never left
// - one side's end is passed on to the other, which may go on sending; both ended: over

import Time

/// One of the two connections of a tunnel.
enum TunnelSide {
    case downstream, upstream
}

/// The state of one tunnel.
struct TunnelState {
    enum Phase {
        case connecting, joined, over
    }

    /// What the end of a side's bytes asks for.
    enum Step: Equatable {
        case nothing
        /// Tell the other side.
        case endOutput(TunnelSide)
        /// Both sides have ended: close both.
        case finish
    }

    private(set) var phase = Phase.connecting
    /// Endpoints tried, the present one included.
    private(set) var attempts = 0
    /// When a byte moved last.
    private(set) var lastActivity: MonotonicTime
    private var downstreamEnded = false
    private var upstreamEnded = false

    init(now: MonotonicTime) { lastActivity = now }

    /// An endpoint is tried.
    mutating func attempt() {
        precondition(phase == .connecting)
        attempts += 1
    }

    /// The endpoint failed before a byte was sent to it; whether another is to be tried.
    func triesAgain(endpoints: Int) -> Bool {
        phase == .connecting && attempts < min(endpoints, ProxyLimits.connectAttemptsMax)
    }

    /// The upstream is ready.
    mutating func connected(now: MonotonicTime) {
        precondition(phase == .connecting)
        phase = .joined
        lastActivity = now
    }

    /// Bytes moved.
    mutating func moved(now: MonotonicTime) { lastActivity = now }

    /// `side` sends no more.
    ///
    /// While connecting, the caller's end is remembered for `connected`.
    mutating func ended(_ side: TunnelSide, now: MonotonicTime) -> Step {
        guard phase != .over, !hasEnded(side) else { return .nothing }
        lastActivity = now
        switch side {
        case .downstream: downstreamEnded = true
        case .upstream: upstreamEnded = true
        }
        guard phase == .joined else { return .nothing }
        return downstreamEnded && upstreamEnded
            ? .finish : .endOutput(side == .downstream ? .upstream : .downstream)
    }

    /// Whether `side` has sent everything.
    func hasEnded(_ side: TunnelSide) -> Bool {
        side == .downstream ? downstreamEnded : upstreamEnded
    }

    /// Enters `over`; false when it was there.
    mutating func end() -> Bool {
        guard phase != .over else { return false }
        phase = .over
        return true
    }

    /// When silence has lasted too long.
    func deadline(idleNanoseconds: UInt64) -> MonotonicTime {
        lastActivity.advanced(byNanoseconds: idleNanoseconds)
    }
}
