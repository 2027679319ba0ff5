// Which endpoint of a cluster takes an attempt.
//
// It puts together what one endpoint's record says (latency, active attempts, weight), where
// endpoints are, and what outlier detection and health checks say of them. It sends nothing and
// reads no clock. Invariants:
// * An endpoint that is set aside is picked only as the one probe after its ejection, or in panic.
// * The endpoint to avoid is picked only when no other is left.
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
    var candidates = CandidateSet(members: [], tiers: [], parts: [])
    /// Whether health is not asked for.
    var isPanic = false
    /// One of each tier, in order of nearness; empty unless the algorithm takes turns.
    var turns: [TurnQueue] = []
    /// One of each nearness; empty unless the algorithm hashes.
    var tables: [HashTable] = []
    /// Until when some endpoint has less than its weight.
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
        outliers = cluster.outlierDetection
        freshChecks = cluster.healthCheck.map { ActiveHealth($0) }
        self.own = own
        rampNanoseconds = policy.slowStart?.window.nanoseconds ?? 0
        rampMin = policy.slowStart?.weightMin.fraction ?? 1
        random = FastRandom(seed: seed)
        detector = outliers.map { OutlierDetector($0, seed: seed ^ 0x5eed) }
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
    /// does not hash. `avoiding` is the index of the endpoint where the last attempt failed: it is
    /// picked again only when no other can be.
    public func pick(hash: UInt64?, avoiding: Int?, now: MonotonicTime) -> EndpointSelection? {
        if now.nanoseconds >= dueAt { turn(now) }
        let avoided = avoiding.map { UInt32(truncatingIfNeeded: $0) } ?? Self.nobody
        if !probesDue.isEmpty, avoiding == nil || candidates.tiers.isEmpty {
            return probe(probesDue[0])
        }
        guard !candidates.tiers.isEmpty else { return nil }
        let index = choice(hash, avoided, now.nanoseconds)
        if index == avoided, let other = probesDue.first(where: { $0 != avoided }) {
            return probe(other)
        }
        let place = Int(index)
        return EndpointSelection(
            index: place,
            isProbe: false,
            isPanic: isPanic,
            id: records[place].id
        )
    }

    private func probe(_ index: UInt32) -> EndpointSelection {
        let place = Int(index)
        return EndpointSelection(
            index: place,
            isProbe: true,
            isPanic: false,
            id: records[place].id
        )
    }

    /// The attempt goes to its endpoint; from now on it counts as active.
    public func started(_ selection: EndpointSelection, now: MonotonicTime) {
        guard let index = place(of: selection) else { return }
        records[index].start(at: now.nanoseconds)
        if selection.isProbe { beginProbe(index, now) }
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
        guard let index = place(of: selection) else { return nil }
        records[index].finish(outcome, latencyNanoseconds, at: now.nanoseconds)
        if selection.isProbe { return probed(index, outcome, now) }
        switch outcome {
        case .success:
            _ = detector?.record(index, isFailure: false, now: now)
            return nil
        case .failure: return failed(index, now)
        case .overload, .neutral: return nil
        }
    }

    /// Where the endpoint of `selection` is now; nil when it has left the list.
    @inline(__always)
    private func place(of selection: EndpointSelection) -> Int? {
        if selection.index < records.count, records[selection.index].id == selection.id {
            return selection.index
        }
        return records.firstIndex { $0.id == selection.id }
    }

    // MARK: The choice

    @inline(__always)
    private func choice(_ hash: UInt64?, _ avoided: UInt32, _ now: UInt64) -> UInt32 {
        switch policy.algorithm {
        case .peakEWMA:
            candidates.plainCount > 1 && now >= rampsUntil
                ? better(avoided, now, byLatency: true)
                : betterWeighted(avoided, now, byLatency: true)
        case .leastRequest:
            candidates.plainCount > 1 && now >= rampsUntil
                ? better(avoided, now, byLatency: false)
                : betterWeighted(avoided, now, byLatency: false)
        case .roundRobin: next(avoided, now)
        case .random: anyone(avoided, now)
        case .ringHash, .maglev:
            hash.map { owner(of: $0, avoided) } ?? anyone(avoided, now)
        }
    }

    /// The better of two different endpoints, where all have the same weight and distance; there
    /// are two at least.
    @inline(__always)
    private func better(_ avoided: UInt32, _ now: UInt64, byLatency: Bool) -> UInt32 {
        let count = UInt64(candidates.plainCount)
        let bits = self.bits()
        let first = ((bits & 0xffff_ffff) &* count) &>> 32
        var second = ((bits &>> 32) &* (count - 1)) &>> 32
        if second >= first { second += 1 }
        let one = candidates.indexes[Int(first)]
        let other = candidates.indexes[Int(second)]
        if one == avoided { return other }
        if other == avoided { return one }
        return isBetter(other, one, now, byLatency) ? other : one
    }

    /// The same where weights, tiers or slow start matter.
    ///
    /// Weights decide how often an endpoint is drawn, not only what its load counts: were they but
    /// a factor of the cost, the heaviest would take everything while little is under way.
    private func betterWeighted(_ avoided: UInt32, _ now: UInt64, byLatency: Bool) -> UInt32 {
        let tier = tier(avoided)
        let one = draw(tier, avoided, now)
        var other = draw(tier, avoided, now)
        if other == one { other = draw(tier, avoided, now) }
        if other == one { return one }
        return isBetter(other, one, now, byLatency) ? other : one
    }

    /// Whether the first has less to do than the second: by latency × (1 + active attempts per
    /// weight), which is what Linkerd compares where weights are equal, or by the attempts alone.
    ///
    /// Attempts alone decide also where one of both has not been measured: it is taken for as fast as
    /// the other. A guess above the truth would leave it out, one below would make all turn to it.
    @inline(__always)
    private func isBetter(_ one: UInt32, _ other: UInt32, _ now: UInt64, _ byLatency: Bool) -> Bool
    {
        let first = records[Int(one)]
        let second = records[Int(other)]
        let loads = (load(first, now), load(second, now))
        guard byLatency, first.isMeasured, second.isMeasured else { return loads.0 < loads.1 }
        return first.expectedLatency(at: now) * (1 + loads.0)
            < second.expectedLatency(at: now) * (1 + loads.1)
    }

    /// Active attempts, per weight.
    @inline(__always)
    func load(_ record: EndpointRecord, _ now: UInt64) -> Double {
        let load = Double(Int(record.active)) * record.activeLoad
        return now < record.fullAt ? load / ramp(record, now) : load
    }

    /// A turn by weight.
    private func next(_ avoided: UInt32, _ now: UInt64) -> UInt32 {
        let tier = tier(avoided)
        let place = turns[tier].next(avoiding: avoided)
        let index = turns[tier].turns[place].index
        let record = records[Int(index)]
        turns[tier].postpone(place, by: record.activeLoad / ramp(record, now))
        return index
    }

    /// At random by weight.
    private func anyone(_ avoided: UInt32, _ now: UInt64) -> UInt32 {
        draw(tier(avoided), avoided, now)
    }

    /// The owner of a hash; its next owner when it cannot be used.
    private func owner(of hash: UInt64, _ avoided: UInt32) -> UInt32 {
        let hash = Hashing.mix(hash)
        // Other bits than the table's choice between neighbours needs, so both are even.
        var tier = candidates.tier(Hashing.mix(hash))
        if leavesNobody(tier, avoided) { tier = otherTier(tier) }
        let slice = candidates.tiers[tier]
        let isAlone = slice.count == 1
        let owner = tables[slice.nearness].owner(hash) {
            (isPanic || records[Int($0)].use == .requests) && ($0 != avoided || isAlone)
        }
        if let owner { return owner }
        let place = Int(hash % UInt64(slice.count))
        let index = candidates.indexes[slice.start + place]
        guard index == avoided, !isAlone else { return index }
        return candidates.indexes[slice.start + (place + 1) % slice.count]
    }

    /// A random candidate of a tier by weight; not `avoided` when there is another.
    private func draw(_ tier: Int, _ avoided: UInt32, _ now: UInt64) -> UInt32 {
        let slice = candidates.tiers[tier]
        var place = drawnPlace(slice)
        if now < rampsUntil {
            // One that starts slowly accepts only a part. It ends: the last draw stands.
            for _ in 0..<Self.drawsMax {
                let record = records[Int(candidates.indexes[slice.start + place])]
                if now >= record.fullAt || fraction() < ramp(record, now) { break }
                place = drawnPlace(slice)
            }
        }
        let index = candidates.indexes[slice.start + place]
        guard index == avoided, slice.count > 1 else { return index }
        // Any of the others, so that what the avoided one would have taken does not fall on one.
        place += 1 + Int(bits() % UInt64(slice.count - 1))
        return candidates.indexes[slice.start + place % slice.count]
    }

    private func drawnPlace(_ tier: CandidateSet.Tier) -> Int {
        let bits = self.bits() &>> 32
        if let weights = tier.weights { return weights.choice(UInt32(bits)) }
        return Int((bits &* UInt64(tier.count)) &>> 32)
    }

    /// The tier for a request, by chance where several take some.
    private func tier(_ avoided: UInt32) -> Int {
        let takesAll = candidates.tiers[0].limit == CandidateSet.everything
        let tier = takesAll ? 0 : candidates.tier(bits() &>> 32)
        return leavesNobody(tier, avoided) ? otherTier(tier) : tier
    }

    private func leavesNobody(_ tier: Int, _ avoided: UInt32) -> Bool {
        let slice = candidates.tiers[tier]
        return slice.count == 1 && candidates.indexes[slice.start] == avoided
            && candidates.tiers.count > 1
    }

    private func otherTier(_ tier: Int) -> Int { tier == 0 ? 1 : 0 }

    /// The part of its weight that an endpoint in slow start has: t / window, `weightMin` at least.
    @inline(__always)
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

    private func fraction() -> Double { Double(bits() &>> 11) * 0x1p-53 }

    /// No endpoint's index: lists are far shorter.
    static let nobody = UInt32.max
    /// With a weight of a tenth at least, all but 0.01 of draws are right after so many.
    private static let drawsMax = 32
}
