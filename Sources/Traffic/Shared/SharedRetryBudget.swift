// How many retries a cluster's callers may make.
//
// For every retry granted at time t, with w the window:
//
//     retries in (t − w, t], this one included
//         ≤ share × requests in (t − w, t] + perSecond × w
//
// where a request is what a caller sent, counted once whatever its attempts. Windows that end at a
// grant and do not overlap then bound any stretch of length T: retries ≤ share × requests +
// perSecond × (T + w), so a cluster whose endpoints all fail gets at most (1 + share) times what was
// asked of it, and the floor.
//
// Time is counted in periods of w / 10. Requests are summed over the last ten periods, the running
// one included, which reach back at most w; retries over the last eleven, which reach back at least
// w. So rounding only ever refuses.

public import MeshModel
import Synchronization
public import Time

/// The retry budget of one cluster over all workers.
public final class SharedRetryBudget: Sendable {
    /// What it obeys.
    public let policy: RetryBudget
    private let periodNanoseconds: UInt64
    /// Retries of the floor in a window, in millionths of a retry.
    private let floorMillionths: UInt64
    private let requests: ContiguousArray<RequestCounts>
    private let retries = Mutex(Retries())

    /// A budget for workers 0..<`workers`.
    public init(_ policy: RetryBudget, workers: Int) {
        precondition(workers > 0)
        self.policy = policy
        let window = policy.window.nanoseconds
        // Windows are whole milliseconds, so nothing is rounded.
        periodNanoseconds = window / UInt64(SharedRetryBudget.periods)
        floorMillionths = UInt64(policy.perSecond) * (window / 1_000)
        requests = ContiguousArray((0..<workers).map { _ in RequestCounts() })
    }

    /// Counts a request of `worker`, before its first attempt; called by that worker only.
    ///
    /// One load and one store on a cache line that no other worker writes.
    public func deposit(worker: Int, now: MonotonicTime) {
        requests[worker].add(period: period(now))
    }

    /// Takes one retry out of the budget; false when there is none left.
    ///
    /// Any worker. Rare, and so allowed to lock and to look at what every worker counted.
    public func withdraw(worker: Int, now: MonotonicTime) -> Bool {
        precondition(requests.indices.contains(worker))
        return retries.withLock { retries in
            // Another worker's turn of the loop may have begun later than this one's: its time counts.
            let last = max(period(now), retries.last)
            guard retries.sum(last: last) < allowed(last: last) else { return false }
            retries.add(period: last)
            return true
        }
    }

    /// Retries that could be made now.
    public func left(now: MonotonicTime) -> Int {
        retries.withLock { retries in
            let last = max(period(now), retries.last)
            let made = retries.sum(last: last)
            let allowed = allowed(last: last)
            return Int(clamping: allowed > made ? allowed - made : 0)
        }
    }

    /// The whole retries that the requests up to the period `last` and the floor allow in a window.
    private func allowed(last: UInt32) -> UInt64 {
        var count: UInt64 = 0
        for worker in requests.indices {
            count += requests[worker].sum(last: last, periods: SharedRetryBudget.periods)
        }
        return (UInt64(policy.share.millionths) * count + floorMillionths) / 1_000_000
    }

    /// 32 bits last thirteen years of the shortest periods; periods count from 1, as a slot's 0 is
    /// "never used".
    private func period(_ now: MonotonicTime) -> UInt32 {
        UInt32(truncatingIfNeeded: now.nanoseconds / periodNanoseconds &+ 1)
    }

    /// Retries granted, by period.
    private struct Retries {
        private var periods = InlineArray<16, UInt32>(repeating: 0)
        private var counts = InlineArray<16, UInt64>(repeating: 0)
        /// The newest period in which one was granted.
        private(set) var last: UInt32 = 0

        func sum(last: UInt32) -> UInt64 {
            var sum: UInt64 = 0
            for slot in 0..<16 where last - periods[slot] <= SharedRetryBudget.periods {
                sum += counts[slot]
            }
            return sum
        }

        mutating func add(period: UInt32) {
            let slot = Int(period % 16)
            if periods[slot] != period {
                periods[slot] = period
                counts[slot] = 0
            }
            counts[slot] += 1
            last = period
        }
    }

    /// Periods of a window.
    private static let periods: UInt32 = 10
}
