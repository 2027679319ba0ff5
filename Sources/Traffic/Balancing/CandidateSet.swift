/// The endpoints that may be chosen, in tiers of nearness; made anew at each change of their use.
struct CandidateSet {
    struct Tier {
        /// Its first place in `indexes`.
        let start: Int
        /// Never 0.
        let count: Int
        /// Nearness of its locality.
        let nearness: Int
        /// Of 2³² requests those below this number that no nearer tier takes; the last tier's is
        /// 2³².
        let limit: UInt64
        /// Nil: all weights are equal.
        let weights: AliasTable?
    }

    /// The candidates' indexes, tier by tier.
    let indexes: ContiguousArray<UInt32>
    /// Nearest first; only those that take requests.
    let tiers: ContiguousArray<Tier>
    /// Neither weights nor tiers are to be considered.
    let isPlain: Bool

    static let empty = CandidateSet(members: [], tiers: [], parts: [])

    /// Candidates grouped by tier; `parts` says how much each tier takes.
    init(members: [EndpointMember], tiers groups: [[UInt32]], parts: [Double]) {
        var indexes: ContiguousArray<UInt32> = []
        var tiers: ContiguousArray<Tier> = []
        let last = parts.lastIndex { $0 > 0 }
        var sum = 0.0
        for (nearness, group) in groups.enumerated() where parts[nearness] > 0 {
            sum += parts[nearness]
            let weights = group.map { members[Int($0)].weight }
            tiers.append(
                Tier(
                    start: indexes.count,
                    count: group.count,
                    nearness: nearness,
                    limit: nearness == last ? 1 << 32 : UInt64(min(sum, 1) * 0x1p32),
                    weights: weights.allSatisfy { $0 == weights[0] } ? nil : AliasTable(weights)
                )
            )
            indexes += group
        }
        self.indexes = indexes
        self.tiers = tiers
        isPlain = tiers.count == 1 && tiers[0].weights == nil
    }

    /// The place among `tiers` of the one that takes the request with these random bits.
    @inline(__always)
    func tier(_ bits: UInt64) -> Int {
        if tiers.count == 1 { return 0 }
        let draw = bits & 0xffff_ffff
        var place = 0
        while draw >= tiers[place].limit { place += 1 }
        return place
    }
}
