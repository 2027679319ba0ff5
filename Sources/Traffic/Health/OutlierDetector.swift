// Which endpoints of a cluster are set aside because of how they answered, and how they return.
//
//             failures in a row, rate, deviation              ejection over
//   healthy ──────────────────────────────────────► ejected ────────────────► probation
//      ▲                                               ▲                          │ one request
//      │                                               └──── failed, or late ─── probing
//      └──────────────────────────────── answered ───────────────────────────────┘
//
// Where balancing keeps away from what has failed, failures in a row may never come to be enough, nor
// a success come to end them. There a failure with nothing after it makes an endpoint a suspect, which
// is in probation too without having been ejected: soon where the failure cost its caller little, else
// after a third of an ejection. What little is known of it is soon out of date, so while its probes
// fail it waits for thirds of ejections.
//
// It counts; it neither picks endpoints nor reads a clock. Invariants:
// * At most `ejectedMax` of the endpoints are not healthy, but one may be as soon as there are two.
// * A single endpoint is always healthy: there is nothing better to use.
// * An ejection, its jitter included, never exceeds `ejectionMax`; so a recovered endpoint is probed
//   no later than that plus the patience with a probe that was under way when it recovered.
// * What an endpoint did before it was restored never ejects it again.
// * A success costs a few additions: no allocation, no loop over endpoints.

public import MeshModel
public import Time

/// Passive health of one cluster's endpoints, as one worker sees them.
///
/// Worker-confined; copies share what they count. Endpoints are indexes; `remap` follows a change of the list. Successes and
/// failures are counted in buckets of a tenth of the window, so the rates speak of the last 9 to 10
/// tenths. The time only goes forward.
public struct OutlierDetector {
    /// Something that time brought about.
    public enum Change: Sendable, Hashable {
        case ejected(Int, Ejection)
        /// The ejection is over: one request may probe it.
        case probation(Int)
    }

    private let policy: OutlierDetection
    private let bucketNanoseconds: UInt64
    private let consecutiveMax: UInt32
    /// Whether the last failure of an endpoint that gets no requests any more is followed by a probe.
    private let suspects: Bool
    private var random: FastRandom

    private var rows: ContiguousArray<Row> = []
    /// Number of the current bucket since the clock's start, where it lies in a row, when it ends.
    private var epoch: UInt64 = 0
    private var slot = 0
    private var bucketEnd: UInt64 = 0
    /// Until when the rates are judged at the end of each bucket: a window after the last failure.
    private var judgesUntil: UInt64 = 0
    private var judgesNext: UInt64 = .max
    /// The earliest end of an ejection or of the patience with a probe.
    private var earliestUntil: UInt64 = .max
    /// Endpoints that are not healthy.
    public private(set) var setAsideCount = 0

    /// Judges `count` endpoints by `policy`; the jitter follows from `seed`.
    ///
    /// `suspects`: balancing keeps away from an endpoint after one failure.
    public init(
        _ policy: OutlierDetection,
        count: Int = 0,
        suspects: Bool = false,
        seed: UInt64
    ) {
        self.policy = policy
        self.suspects = suspects
        bucketNanoseconds = policy.window.nanoseconds / UInt64(Row.bucketCount)
        consecutiveMax = policy.consecutiveFailures.map { UInt32($0) } ?? .max
        random = FastRandom(seed: seed)
        rows = ContiguousArray((0..<count).map { _ in Row() })
    }

    /// Endpoints.
    public var count: Int { rows.count }

    /// How many may be set aside at once.
    public var setAsideMax: Int {
        guard rows.count >= 2 else { return 0 }
        return max(1, rows.count * Int(policy.ejectedMax.millionths) / 1_000_000)
    }

    // MARK: Outcomes

    /// Counts a success if that takes no more than an addition; if not, `record` does.
    @inline(__always)
    func countSuccess(_ index: Int, now: MonotonicTime) -> Bool {
        guard now.nanoseconds < bucketEnd else { return false }
        // Also for those set aside: looking would cost more than the count, which the return clears.
        rows[index].countSuccess(epoch, slot)
        return true
    }

    /// Counts the outcome of a request that was no probe; an ejection when that was enough.
    ///
    /// `latencyNanoseconds`: how long the caller waited for a failure.
    public mutating func record(
        _ index: Int,
        isFailure: Bool,
        latencyNanoseconds: UInt64 = .max,
        now: MonotonicTime
    ) -> Ejection? {
        if now.nanoseconds >= bucketEnd { enterBucket(now) }
        if isFailure { return recordFailure(index, latencyNanoseconds, now) }
        rows[index].countSuccess(epoch, slot)
        return nil
    }

    private mutating func recordFailure(
        _ index: Int,
        _ latency: UInt64,
        _ now: MonotonicTime
    ) -> Ejection? {
        // A request begun before the ejection, or sent in panic, says nothing new.
        guard rows[index].phase == .healthy else { return nil }
        rows[index].countFailure(epoch, slot)
        judgesUntil = (now + policy.window).nanoseconds
        if judgesNext == .max { judgesNext = bucketEnd }
        if rows[index].consecutive >= consecutiveMax {
            return eject(index, .consecutiveFailures(Int(rows[index].consecutive)), now)
        }
        let (successes, requests) = rows[index].sum()
        if isTooLow(successes, requests) {
            return eject(index, .successRate(successes: successes, requests: requests), now)
        }
        if suspects { suspect(index, latency, now) }
        return nil
    }

    /// A healthy endpoint has failed: without an outcome after it a probe is due, the later the more
    /// often that happened of late.
    private mutating func suspect(_ index: Int, _ latency: UInt64, _ now: MonotonicTime) {
        let count = rested(rows[index].suspicions, index, now) + 1
        // A caller whose request is the probe waits as long again: a sixteenth of the time at most.
        let cheap = max(Self.suspicionMin, min(latency, .max / 32) * 16)
        let (grown, overflow) = cheap.multipliedReportingOverflow(by: UInt64(count))
        let wait = min(overflow ? .max : grown, ejectionNanoseconds(count, isSuspect: true))
        rows[index].suspectAt = now.advanced(byNanoseconds: wait).nanoseconds
        earliestUntil = min(earliestUntil, rows[index].suspectAt)
    }

    /// The time of a suspicion has come.
    private mutating func endSuspicion(
        _ index: Int,
        _ now: MonotonicTime,
        _ changes: inout [Change]
    ) {
        // It has answered since.
        guard rows[index].consecutive > 0 else { return rows[index].suspectAt = .max }
        // It waits until there is room among those set aside.
        guard setAsideCount < setAsideMax else { return suspect(index, .max, now) }
        setAsideCount += 1
        let suspicions = rested(rows[index].suspicions, index, now) + 1
        rows[index].suspicions = min(suspicions, Self.ejectionsMax)
        rows[index].suspectAt = .max
        rows[index].isSuspect = true
        rows[index].isUntold = true
        rows[index].phase = .probation
        changes.append(.probation(index))
    }

    private func isTooLow(_ successes: Int, _ requests: Int) -> Bool {
        guard requests >= policy.requestsMin, let rateMin = policy.successRateMin else {
            return false
        }
        return successes * 1_000_000 < requests * Int(rateMin.millionths)
    }

    // MARK: Probes

    /// What endpoint `index` may be used for.
    public func standing(_ index: Int, now: MonotonicTime) -> Standing {
        let row = rows[index]
        switch row.phase {
        case .healthy: return .healthy
        case .probation: return .probation(isProbing: false)
        case .probing: return .probation(isProbing: true)
        case .ejected:
            if now >= row.until { return .probation(isProbing: false) }
            return .ejected(until: row.until)
        }
    }

    /// A request is sent to an endpoint in probation; others keep away until it ends.
    public mutating func beginProbe(_ index: Int, now: MonotonicTime) {
        guard rows[index].phase != .healthy else { return }
        rows[index].phase = .probing
        // A probe that a black hole swallows would otherwise keep the endpoint out as long as its
        // caller waits, which may be for ever.
        rows[index].until = now.advanced(byNanoseconds: policy.ejection.nanoseconds / 2)
        earliestUntil = min(earliestUntil, rows[index].until.nanoseconds)
    }

    /// The probe of an endpoint ended: with an answer, with a failure, or (nil) without either.
    ///
    /// True means restored. After nil, as when the caller went away, the next request probes. A
    /// success restores even when it comes after patience has ended; a failure then counts no more.
    @discardableResult
    public mutating func endProbe(
        _ index: Int,
        succeeded: Bool?,
        now: MonotonicTime
    ) -> ProbeResult {
        switch (rows[index].phase, succeeded) {
        case (.healthy, let succeeded?):
            // Another probe was faster; then this was a request like others.
            return record(index, isFailure: !succeeded, now: now).map(ProbeResult.ejected) ?? .none
        case (.healthy, nil): return .none
        case (_, true?):
            let isUntold = rows[index].isUntold
            restore(index, now)
            return isUntold ? .cleared : .restored
        case (.probing, false?):
            return .ejected(ejectAgain(index, now))
        case (.probing, nil):
            rows[index].phase = .probation
            return .none
        case (.ejected, _), (.probation, _): return .none
        }
    }

    /// What came of a probe.
    public enum ProbeResult: Sendable, Hashable {
        case none
        case restored
        /// It was no more than suspected, and has answered.
        case cleared
        case ejected(Ejection)
    }

    // MARK: Time

    /// When `advance` has something to do; nil while nothing fails.
    public var nextDue: MonotonicTime? {
        let due = min(earliestUntil, judgesNext)
        return due == .max ? nil : MonotonicTime(nanoseconds: due)
    }

    /// Ends ejections that are over, and judges the rates once in a tenth of the window.
    ///
    /// Costs a pass over the endpoints when something is due, else two comparisons.
    public mutating func advance(now: MonotonicTime) -> [Change] {
        var changes: [Change] = []
        if now.nanoseconds >= earliestUntil { endWaits(now, &changes) }
        if now.nanoseconds >= judgesNext { judge(now, &changes) }
        return changes
    }

    private mutating func endWaits(_ now: MonotonicTime, _ changes: inout [Change]) {
        earliestUntil = .max
        for index in rows.indices {
            switch rows[index].phase {
            case .probation: break
            case .healthy:
                if now.nanoseconds >= rows[index].suspectAt { endSuspicion(index, now, &changes) }
                if rows[index].phase == .healthy {
                    earliestUntil = min(earliestUntil, rows[index].suspectAt)
                }
            case .ejected where now >= rows[index].until:
                rows[index].phase = .probation
                changes.append(.probation(index))
            case .probing where now >= rows[index].until:
                changes.append(.ejected(index, ejectAgain(index, now)))
            case .ejected, .probing:
                earliestUntil = min(earliestUntil, rows[index].until.nanoseconds)
            }
        }
    }

    private mutating func judge(_ now: MonotonicTime, _ changes: inout [Change]) {
        if now.nanoseconds >= bucketEnd { enterBucket(now) }
        judgesNext = bucketEnd <= judgesUntil ? bucketEnd : .max
        let deviation = judgeRates(now, &changes)
        guard let threshold = deviation.threshold(policy) else { return }
        for index in rows.indices where rows[index].phase == .healthy {
            let (successes, requests) = rows[index].sum()
            guard requests >= policy.sigmaRequestsMin else { continue }
            let rate = Double(successes) / Double(requests)
            guard rate < threshold else { continue }
            let cause = EjectionCause.deviation(
                success: Int(rate * 1_000_000),
                threshold: Int(threshold * 1_000_000)
            )
            if let ejection = eject(index, cause, now) { changes.append(.ejected(index, ejection)) }
        }
    }

    /// A rate may fall without a failure being its moment: when old successes leave the window.
    private mutating func judgeRates(
        _ now: MonotonicTime,
        _ changes: inout [Change]
    ) -> SuccessDeviation {
        var deviation = SuccessDeviation()
        for index in rows.indices where rows[index].phase == .healthy {
            rows[index].roll(epoch)
            let (successes, requests) = rows[index].sum()
            if isTooLow(successes, requests) {
                let cause = EjectionCause.successRate(successes: successes, requests: requests)
                if let ejection = eject(index, cause, now) {
                    changes.append(.ejected(index, ejection))
                    continue
                }
            }
            if requests >= policy.sigmaRequestsMin {
                deviation.add(Double(successes) / Double(requests))
            }
        }
        return deviation
    }

    private mutating func enterBucket(_ now: MonotonicTime) {
        epoch = now.nanoseconds / bucketNanoseconds
        slot = Int(epoch % UInt64(Row.bucketCount))
        let (end, overflow) = (epoch + 1).multipliedReportingOverflow(by: bucketNanoseconds)
        bucketEnd = overflow ? .max : end
    }

    // MARK: Ejection and return

    /// Sets a healthy endpoint aside, unless too many are; then the next failure asks again.
    private mutating func eject(
        _ index: Int,
        _ cause: EjectionCause,
        _ now: MonotonicTime
    ) -> Ejection? {
        guard setAsideCount < setAsideMax else { return nil }
        setAsideCount += 1
        rows[index].isSuspect = false
        rows[index].ejections = rested(rows[index].ejections, index, now)
        return beginEjection(index, cause, now)
    }

    /// What is left of a count: each window of health makes up for one.
    private func rested(_ count: UInt32, _ index: Int, _ now: MonotonicTime) -> UInt32 {
        let windows = now.nanoseconds(since: rows[index].restoredAt) / policy.window.nanoseconds
        return count - UInt32(min(windows, UInt64(count)))
    }

    private mutating func ejectAgain(_ index: Int, _ now: MonotonicTime) -> Ejection {
        beginEjection(index, .probe, now)
    }

    private mutating func beginEjection(
        _ index: Int,
        _ cause: EjectionCause,
        _ now: MonotonicTime
    ) -> Ejection {
        rows[index].ejections = min(rows[index].ejections + 1, Self.ejectionsMax)
        let count = rows[index].ejections
        let isSuspect = rows[index].isSuspect
        if isSuspect {
            rows[index].suspicions = min(rows[index].suspicions + 1, Self.ejectionsMax)
        }
        let length = ejectionNanoseconds(
            isSuspect ? rows[index].suspicions : count,
            isSuspect: isSuspect
        )
        let until = now.advanced(byNanoseconds: length)
        rows[index].phase = .ejected
        rows[index].isUntold = false
        rows[index].suspectAt = .max
        rows[index].until = until
        rows[index].cause = cause
        earliestUntil = min(earliestUntil, until.nanoseconds)
        return Ejection(cause: cause, until: until, count: Int(count))
    }

    /// `ejection`, or a third of it, × `count` with a jitter of a fifth either way, `ejectionMax` at most with it.
    ///
    /// Capped before the jitter: after it, half of all long ejections would end together.
    private mutating func ejectionNanoseconds(_ count: UInt32, isSuspect: Bool) -> UInt64 {
        let (grown, overflow) = (policy.ejection.nanoseconds / (isSuspect ? 3 : 1))
            .multipliedReportingOverflow(by: UInt64(count))
        let cap = policy.ejectionMax.nanoseconds / 6 * 5
        let fifth = (overflow ? cap : min(grown, cap)) / 5
        return fifth * 4 + random.next(upperBound: fifth * 2 + 1)
    }

    private mutating func restore(_ index: Int, _ now: MonotonicTime) {
        setAsideCount -= 1
        rows[index].restart(at: now)
    }

    /// Follows a new list of endpoints: `kept[new]` is the former index, nil for one not known.
    ///
    /// Returns the (new) indexes that were restored because too many of the shorter list would be
    /// set aside: those whose ejection would have ended first. No former index may occur twice.
    @discardableResult
    public mutating func remap(_ kept: [Int?], now: MonotonicTime) -> [Int] {
        rows = ContiguousArray(kept.map { $0.map { rows[$0] } ?? Row() })
        setAsideCount = rows.count { $0.phase != .healthy }
        guard setAsideCount > setAsideMax else { return [] }
        let returning = rows.indices.filter { rows[$0].phase != .healthy }
            .sorted { (rows[$0].until, $0) < (rows[$1].until, $1) }
            .prefix(setAsideCount - setAsideMax)
        for index in returning { restore(index, now) }
        return Array(returning)
    }

    // MARK: For explanations

    /// Successes and failures of `index` in the window.
    public func counts(_ index: Int, now: MonotonicTime) -> (successes: Int, failures: Int) {
        let current = max(epoch, now.nanoseconds / bucketNanoseconds)
        let (successes, requests) = rows[index].sum(at: current)
        return (successes, requests - successes)
    }

    /// Failures of `index` since its last success.
    public func consecutiveFailures(_ index: Int) -> Int { Int(rows[index].consecutive) }

    /// Ejections of `index` in a row, as of its last one.
    public func ejections(_ index: Int) -> Int { Int(rows[index].ejections) }

    /// Why `index` was last set aside; nil: it never was.
    public func cause(_ index: Int) -> EjectionCause? { rows[index].cause }

    /// The count stops growing here; the length of an ejection has long before.
    private static let ejectionsMax: UInt32 = 1_000_000
    /// The least time from a failure to the probe that it makes due.
    private static let suspicionMin: UInt64 = 10_000_000
}
