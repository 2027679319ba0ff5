// What endpoints are used for: outlier detection, probes, active health checks.

import MeshModel
public import Time

extension EndpointSelector {
    /// A health check of endpoint `index` came out; says when that changed what it is used for.
    public func healthChecked(
        _ index: Int,
        isWell: Bool,
        now: MonotonicTime
    ) -> EndpointEvent? {
        guard checks.indices.contains(index), checks[index].record(isSuccess: isWell) else {
            return nil
        }
        let before = records[index].use
        settleUse(index, now)
        rebuild()
        switch (before, records[index].use) {
        case (.requests, .nothing): return .ejected(index, .healthCheck)
        case (.nothing, .requests):
            beginAnew(index, isMeasured: false, now.nanoseconds)
            return .restored(index)
        case (_, .probe): return .probing(index)
        default: return nil
        }
    }

    /// What is due by time: ends of ejections, rates judged anew; and what `pick` came upon.
    public func advance(now: MonotonicTime) -> [EndpointEvent] {
        if now.nanoseconds >= dueAt { turn(now) }
        guard !untold.isEmpty else { return [] }
        defer { untold = [] }
        return untold
    }

    /// When `advance` is to be called; nil while nothing waits for a time.
    ///
    /// Changes with every call; a time that has passed means at once.
    public var nextDue: MonotonicTime? {
        if !untold.isEmpty { return MonotonicTime(nanoseconds: 0) }
        return dueAt == .max ? nil : MonotonicTime(nanoseconds: dueAt)
    }

    /// Whether health changes with time alone, which it does not while nothing fails.
    public var isAwaitingTime: Bool { dueAt != .max }

    /// Lets the detector do what is due, and follows it.
    func turn(_ now: MonotonicTime) {
        let changes = withDetector { $0.advance(now: now) } ?? []
        for change in changes {
            switch change {
            case .ejected(let index, let ejection):
                settleUse(index, now)
                untold.append(.ejected(index, ejection.cause))
            case .probation(let index):
                settleUse(index, now)
                untold.append(.probing(index))
            }
        }
        noteDue()
        if !changes.isEmpty { rebuild() }
    }

    /// Has an outcome counted; says if that ejected the endpoint.
    @inline(never)
    func counted(
        _ index: Int,
        isFailure: Bool,
        _ latency: UInt64,
        _ now: MonotonicTime
    ) -> EndpointEvent? {
        let ejection =
            withDetector {
                $0.record(index, isFailure: isFailure, latencyNanoseconds: latency, now: now)
            } ?? nil
        noteDue()
        guard let ejection else { return nil }
        settleUse(index, now)
        rebuild()
        return .ejected(index, ejection.cause)
    }

    func beginProbe(_ index: Int, _ now: MonotonicTime) {
        withDetector { $0.beginProbe(index, now: now) }
        settleUse(index, now)
        noteDue()
    }

    func probed(
        _ index: Int,
        _ outcome: AttemptOutcome,
        _ now: MonotonicTime
    ) -> EndpointEvent? {
        // One that has too much to do is alive, and its latency keeps the load away.
        let succeeded: Bool? =
            switch outcome {
            case .success, .overload: true
            // One that was ejected has to answer before it gets requests again.
            case .failure, .outpaced: false
            case .neutral: nil
            }
        let result =
            withDetector { $0.endProbe(index, succeeded: succeeded, now: now) } ?? .none
        settleUse(index, now)
        noteDue()
        switch result {
        case .none: return nil
        case .ejected(let ejection):
            rebuild()
            return .ejected(index, ejection.cause)
        case .cleared:
            rebuild()
            return .cleared(index)
        case .restored:
            beginAnew(index, isMeasured: outcome == .overload, now.nanoseconds)
            rebuild()
            return records[index].use == .requests ? .restored(index) : nil
        }
    }

    /// Forgets the latency of a bad time, which a single answer to a probe does not replace.
    private func beginAnew(_ index: Int, isMeasured: Bool, _ now: UInt64) {
        records[index].basis = isMeasured ? .answers : .guess
        beginRamp(records[index], now)
    }

    /// Follows the detector and the health checks in what one endpoint is used for.
    private func settleUse(_ index: Int, _ now: MonotonicTime) {
        let use: EndpointRecord.Use =
            switch detector?.standing(index, now: now) ?? .healthy {
            case .healthy: .requests
            case .ejected, .probation(isProbing: true): .nothing
            case .probation(isProbing: false): .probe
            }
        let record = records[index]
        let settled = isWell(index) ? use : .nothing
        if record.use == .requests, settled != .requests { record.outSince = now.nanoseconds }
        record.use = settled
        probesDue.removeAll { $0 == UInt32(index) }
        if records[index].use == .probe { probesDue.append(UInt32(index)) }
        settlePlain()
    }

    /// Changes the detector in a copy of its own: were it changed in place, each counted success
    /// would pay for the check that nothing else changes it meanwhile.
    private func withDetector<Result>(_ body: (inout OutlierDetector) -> Result) -> Result? {
        guard var moved = detector else { return nil }
        // It stays the only owner of its arrays.
        detector = nil
        defer { detector = moved }
        return body(&moved)
    }

    private func isWell(_ index: Int) -> Bool { checks.isEmpty || checks[index].isWell }

    private func noteDue() { dueAt = detector?.nextDue?.nanoseconds ?? .max }

    /// Follows a new list: `kept` has the former index of each endpoint.
    func remapHealth(_ kept: [Int?], _ now: MonotonicTime) {
        let restored = withDetector { $0.remap(kept, now: now) } ?? []
        if let freshChecks { checks = kept.map { $0.map { checks[$0] } ?? freshChecks } }
        probesDue = []
        for index in records.indices { settleUse(index, now) }
        for index in restored {
            beginAnew(index, isMeasured: false, now.nanoseconds)
            untold.append(.restored(index))
        }
        noteDue()
    }

    /// What is known of endpoint `index` of the list.
    public func state(_ index: Int, now: MonotonicTime) -> EndpointState {
        let record = records[index]
        let standing = detector?.standing(index, now: now) ?? .healthy
        let counts = detector?.counts(index, now: now) ?? (successes: 0, failures: 0)
        let load = load(record, now.nanoseconds)
        let latency = record.expectedLatency(at: now.nanoseconds)
        let score: Double =
            switch policy.algorithm {
            case .peakEWMA: latency * (1 + load)
            case .leastRequest: load
            case .roundRobin, .random, .ringHash, .maglev: 0
            }
        var ejectedUntil: MonotonicTime?
        if case .ejected(let until) = standing { ejectedUntil = until }
        return EndpointState(
            standing: standing,
            isWell: isWell(index),
            active: Int(record.active),
            latencyNanoseconds: UInt64(latency),
            score: score,
            weight: Double(members[index].weight) * ramp(record, now.nanoseconds),
            ejections: detector?.ejections(index) ?? 0,
            ejectedUntil: ejectedUntil,
            outSince: record.use == .requests ? nil : MonotonicTime(nanoseconds: record.outSince),
            consecutiveFailures: detector?.consecutiveFailures(index) ?? 0,
            successes: counts.successes,
            failures: counts.failures,
            cause: isWell(index) ? detector?.cause(index) : .healthCheck
        )
    }
}
