// Which endpoint of a cluster takes an attempt.
//
// It puts together what one endpoint's record says (latency, active attempts, weight), where
// endpoints are, and what outlier detection and health checks say of them. It sends nothing and
// reads no clock. Invariants:
// * An endpoint that is set aside is picked only as the one probe after its ejection, or in panic.
// * Endpoints to avoid are picked only when no other is left.
// * A choice costs the same for three endpoints as for ten thousand; what is kept for it is made
//   anew when the list or an endpoint's health changes, not per attempt.
// * An attempt that outlives a change of the list still counts where it was sent, and nowhere else.

public import MeshModel
public import Time

/// The endpoints of one cluster, as one worker sees them.
///
/// Worker-confined. An attempt calls `pick`, then `started` at once, then `finished`.
public final class EndpointSelector {
    let policy: LoadBalancing
    let outliers: OutlierDetection?
    let own: Locality

    /// The list; `records` are of the same order.
    var members: [EndpointMember] = []
    var records: ContiguousArray<EndpointRecord> = []
    var nextID: UInt32 = 0
    var candidates = CandidateSet(members: [], records: [], tiers: [], parts: [])
    /// Endpoints of the nearest tier when the choice is between two of them by latency or load and
    /// nothing else is to be considered: no tiers, weights, slow starts or probes; else 0.
    var plainCount: UInt64 = 0
    let isByLatency: Bool
    /// Whether health is not asked for.
    var isPanic = false
    /// One of each tier, in order of nearness; empty unless the algorithm takes turns.
    var turns: [TurnQueue] = []
    /// One of each nearness; empty unless the algorithm hashes.
    var tables: [HashTable] = []
    /// Until when some endpoint has less than its weight; 0: all have theirs.
    var rampsUntil: UInt64 = 0
    let rampNanoseconds: UInt64
    let rampMin: Double

    /// Active health of each endpoint; empty where nothing is checked.
    var checks: [ActiveHealth] = []
    /// That of a new endpoint.
    let freshChecks: ActiveHealth?
    var detector: OutlierDetector?
    /// When the detector has something to do.
    var dueAt = UInt64.max
    /// Endpoints that wait for their probe.
    var probesDue: [UInt32] = []
    /// What happened outside `finished`, until `advance` tells it.
    var untold: [EndpointEvent] = []
    var usableCount = 0

    var random: FastRandom

    /// A selector without endpoints: `update` brings them.
    ///
    /// `own` is where the proxy is. All choices follow from `seed` and the calls.
    public init(_ cluster: Cluster, own: Locality, seed: UInt64) {
        policy = cluster.balancing
        isByLatency = policy.algorithm == .peakEWMA
        outliers = cluster.outlierDetection
        freshChecks = cluster.healthCheck.map { ActiveHealth($0) }
        self.own = own
        rampNanoseconds = policy.slowStart?.window.nanoseconds ?? 0
        rampMin = policy.slowStart?.weightMin.fraction ?? 1
        random = FastRandom(seed: seed)
        let avoids = isByLatency
        detector = outliers.map { OutlierDetector($0, suspects: avoids, seed: seed ^ 0x5eed) }
    }

    /// Endpoints in the list.
    public var count: Int { records.count }

    /// Endpoints that are neither ejected nor failing their health checks.
    public var healthyCount: Int { usableCount }

    /// Whether `pick` finds an endpoint: a healthy one, one to probe, or any when there is panic and
    /// the policy has one.
    public var hasAvailable: Bool { !candidates.tiers.isEmpty || !probesDue.isEmpty }

    // MARK: An attempt

    /// The endpoint for an attempt; nil when there is none.
    ///
    /// `hash` is that of what the policy hashes, nil when the request has none or the algorithm
    /// does not hash. `tried` has the indexes of the endpoints that the request was sent to before, in
    /// that order: they are picked again only when no other can be, and then not the last.
    public func pick(
        hash: UInt64?,
        avoiding tried: ContiguousArray<Int>,
        now: MonotonicTime
    ) -> EndpointSelection? {
        if plainCount > 0, now.nanoseconds < dueAt, tried.isEmpty {
            // Also the application behind its sidecar: where one is alone, there is no choice.
            guard plainCount > 1 else { return selection(candidates.records[0]) }
            return selection(better(now.nanoseconds))
        }
        return pickRarely(hash, tried, now)
    }

    @inline(never)
    private func pickRarely(
        _ hash: UInt64?,
        _ tried: ContiguousArray<Int>,
        _ now: MonotonicTime
    ) -> EndpointSelection? {
        if now.nanoseconds >= dueAt { turn(now) }
        if rampsUntil != 0, now.nanoseconds >= rampsUntil {
            rampsUntil = 0
            settlePlain()
        }
        if tried.isEmpty, let due = probesDue.first {
            return selection(records[Int(due)], isProbe: true)
        }
        for index in tried where records.indices.contains(index) { records[index].isTried = true }
        defer {
            for index in tried where records.indices.contains(index) {
                records[index].isTried = false
            }
        }
        if candidates.records.allSatisfy(\.isTried) {
            if let due = probesDue.first(where: { !records[Int($0)].isTried }) ?? probesDue.first,
                candidates.tiers.isEmpty || !records[Int(due)].isTried
            {
                return selection(records[Int(due)], isProbe: true)
            }
            for record in candidates.records where Int(record.index) != tried.last {
                record.isTried = false
            }
        }
        guard !candidates.tiers.isEmpty else { return nil }
        return selection(choice(hash, now.nanoseconds))
    }

    @inline(__always)
    private func selection(_ record: EndpointRecord, isProbe: Bool = false) -> EndpointSelection {
        EndpointSelection(
            index: Int(record.index),
            isProbe: isProbe,
            isPanic: isPanic && !isProbe,
            id: record.id
        )
    }

    /// The attempt goes to its endpoint; from now on it counts as active.
    public func started(_ selection: EndpointSelection, now: MonotonicTime) {
        guard let record = record(of: selection) else { return }
        record.start(at: now.nanoseconds)
        if selection.isProbe { beginProbe(Int(record.index), now) }
    }

    /// The attempt is over; says when that changed what its endpoint is used for.
    ///
    /// `latencyNanoseconds` is the time until the response's head, or until the failure.
    public func finished(
        _ selection: EndpointSelection,
        _ outcome: AttemptOutcome,
        latencyNanoseconds: UInt64,
        now: MonotonicTime
    ) -> EndpointEvent? {
        guard let record = record(of: selection) else { return nil }
        let index = Int(record.index)
        record.finish(outcome, latencyNanoseconds, at: now.nanoseconds)
        if selection.isProbe { return probed(index, outcome, now) }
        switch outcome {
        case .success:
            if detector?.countSuccess(index, now: now) != false { return nil }
            return counted(index, isFailure: false, latencyNanoseconds, now)
        case .failure: return counted(index, isFailure: true, latencyNanoseconds, now)
        case .overload, .outpaced, .neutral: return nil
        }
    }

    /// The record of the endpoint of `selection`; nil when it has left the list.
    @inline(__always)
    private func record(of selection: EndpointSelection) -> EndpointRecord? {
        if selection.index < records.count {
            let record = records[selection.index]
            if record.id == selection.id { return record }
        }
        return records.first { $0.id == selection.id }
    }

    /// The better of two different endpoints, where nothing but latency and active attempts tells
    /// them apart; there are two at least.
    @inline(__always)
    private func better(_ now: UInt64) -> EndpointRecord {
        let bits = self.bits()
        let first = ((bits & 0xffff_ffff) &* plainCount) &>> 32
        var second = ((bits &>> 32) &* (plainCount &- 1)) &>> 32
        if second >= first { second &+= 1 }
        let one = candidates.records[Int(first)]
        let other = candidates.records[Int(second)]
        return isBetter(other, one, now) ? other : one
    }

    /// Whether the first has less to do than the second: by latency × (1 + active attempts per
    /// weight), which is what Linkerd compares where weights are equal, or by the attempts alone.
    ///
    /// Attempts alone decide also where one of both has not been measured: it is taken for as fast as
    /// the other. A guess above the truth would leave it out, one below would make all turn to it.
    @inline(__always)
    func isBetter(_ one: EndpointRecord, _ other: EndpointRecord, _ now: UInt64) -> Bool {
        let oneLoad = load(one, now)
        let otherLoad = load(other, now)
        guard isByLatency, one.isMeasured, other.isMeasured else { return oneLoad < otherLoad }
        return one.expectedLatency(at: now) * (1 + oneLoad)
            < other.expectedLatency(at: now) * (1 + otherLoad)
    }

    /// Active attempts, per weight.
    @inline(__always)
    func load(_ record: EndpointRecord, _ now: UInt64) -> Double {
        let load = Double(Int(record.active)) * record.activeLoad
        return now < record.fullAt ? load / ramp(record, now) : load
    }

    /// The part of its weight that an endpoint in slow start has: t / window, `weightMin` at least.
    func ramp(_ record: EndpointRecord, _ now: UInt64) -> Double {
        guard now < record.fullAt else { return 1 }
        let left = Double(record.fullAt - now) / Double(rampNanoseconds)
        return max(rampMin, 1 - left)
    }

    /// Random bits; by way of a copy, which spares the check for exclusive access.
    @inline(__always)
    func bits() -> UInt64 {
        var generator = random
        let bits = generator.next()
        random = generator
        return bits
    }
}
