// How the proxy stops (FIELD: readiness first, inbound keeps accepting while peers learn, outbound
// never refuses):
//
//   begin     readiness fails, every response says `Connection: close`
//   +5 s      inbound stops accepting, idle connections close, the application is told to stop
//   no exchange, no caller about to send its first one (waited for 1 s) and no application left,
//   or the grace period is over: the workers stop
//
// A state machine with the time as argument; it returns what to do.

import Time

/// The phases of a stop.
struct Drain {
    /// What the supervisor has to do.
    enum Action: Equatable {
        /// Post `.closeIdle`, tell the application to stop.
        case closeIdle
        /// Post `.expire`, kill the application.
        case expire
        /// Stop the workers and exit.
        case stop
    }

    private enum Phase { case announcing, closing, expired, stopped }

    private var phase = Phase.announcing
    private let closesAt: MonotonicTime
    private let expiresAt: MonotonicTime
    private static let expiryNanoseconds: UInt64 = 1_000_000_000
    private static let awaitNanoseconds: UInt64 = 1_000_000_000

    /// Begins at `now`.
    ///
    /// `propagation` is zero when nobody needs to learn: the application is gone.
    init(now: MonotonicTime, propagation: Duration, gracePeriod: Duration) {
        closesAt = now + min(propagation, gracePeriod)
        expiresAt = now + gracePeriod
    }

    /// What is due at `now`, given what still runs.
    mutating func advance(
        now: MonotonicTime,
        exchanges: Int,
        connections: Int,
        awaited: Int,
        applicationRuns: Bool
    ) -> [Action] {
        var actions: [Action] = []
        if phase == .announcing, now >= closesAt {
            phase = .closing
            actions.append(.closeIdle)
            // What closes idle connections now shows in the next call's numbers.
            return actions
        }
        // A caller that connected just before the listener closed is sending its request; on a
        // fresh connection it would not be sent again elsewhere.
        let isAwaited = awaited > 0 && now < closesAt.advanced(byNanoseconds: Self.awaitNanoseconds)
        if phase == .closing, exchanges == 0, !isAwaited, !applicationRuns {
            phase = .stopped
            return [.stop]
        }
        if phase == .closing, now >= expiresAt {
            phase = .expired
            return [.expire]
        }
        if phase == .expired,
            connections == 0 || now >= expiresAt.advanced(byNanoseconds: Self.expiryNanoseconds)
        {
            phase = .stopped
            return [.stop]
        }
        return actions
    }
}
