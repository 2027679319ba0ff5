// Whether a worker is too late with everything, and who then goes first.
//
// CoDel (RFC 8289): not how long a queue is says whether it is bad, but whether its wait never goes
// below a target during an interval. A burst makes a long queue that empties; overload makes a
// standing one. The queue here is what the kernel holds for a worker, and the wait is that of the
// oldest thing a turn of the loop reads. Where CoDel drops packets ever faster, this refuses ever
// more important requests, and later takes them back one level at a time.

public import MeshModel
public import Time

/// Decides from the wait of each turn's input which requests a worker refuses.
///
/// Worker-confined. The time only goes forward.
public struct OverloadDetector: Sendable {
    /// How many of the priorities are refused, from the least important: 0 to 3.
    public private(set) var level = 0

    private let targetNanoseconds: UInt64
    private let intervalNanoseconds: UInt64
    /// Since when every turn was late, or every turn was early; nil: the last one was not.
    private var lateSince: MonotonicTime?
    /// The wait when that began, to see whether what is refused already helps.
    private var lateNanoseconds: UInt64 = 0
    private var earlySince: MonotonicTime?
    private var lastTurnAt: MonotonicTime?

    /// Starts without overload.
    public init(_ policy: LoadShedding) {
        targetNanoseconds = policy.target.nanoseconds
        intervalNanoseconds = policy.interval.nanoseconds
    }

    /// Whether a request of this priority is refused now.
    public func sheds(_ priority: Priority) -> Bool { priority.rank < level }

    /// A turn of the loop begins, and its input has waited for this long at most.
    ///
    /// Late is a wait of at least the target, early one below its half. What lies between changes
    /// nothing, so that a worker at the edge does not go back and forth.
    public mutating func turn(waitedNanoseconds: UInt64, now: MonotonicTime) {
        let pause = lastTurnAt.map { now.nanoseconds(since: $0) } ?? 0
        lastTurnAt = now
        if waitedNanoseconds >= targetNanoseconds {
            earlySince = nil
            turnLate(waitedNanoseconds, now)
        } else if waitedNanoseconds < targetNanoseconds / 2 {
            lateSince = nil
            // The loop slept, as there was nothing to do: no overload of before is left.
            if pause >= intervalNanoseconds { level = 0 }
            turnEarly(now)
        } else {
            lateSince = nil
            earlySince = nil
        }
    }

    private mutating func turnLate(_ waitedNanoseconds: UInt64, _ now: MonotonicTime) {
        guard let since = lateSince else {
            lateSince = now
            lateNanoseconds = waitedNanoseconds
            return
        }
        // RFC 8289 §4.3: the next measure comes sooner the more have not been enough. `level` is
        // the highest at most, so the patience is never below half of the interval.
        let patience = Double(intervalNanoseconds) / Double(level + 1).squareRoot()
        guard Double(now.nanoseconds(since: since)) >= patience else { return }
        // A backlog that shrinks by an eighth is being caught up with: refusing more would hit the
        // important for what is over. Not so before anything is refused: then it is chance.
        let isCatchingUp = waitedNanoseconds < lateNanoseconds - lateNanoseconds / 8
        if level == 0 || !isCatchingUp { level = min(level + 1, Priority.allCases.count) }
        lateSince = now
        lateNanoseconds = waitedNanoseconds
    }

    private mutating func turnEarly(_ now: MonotonicTime) {
        guard level > 0 else { return }
        guard let since = earlySince else {
            earlySince = now
            return
        }
        guard now.nanoseconds(since: since) >= intervalNanoseconds else { return }
        level -= 1
        earlySince = now
    }
}
