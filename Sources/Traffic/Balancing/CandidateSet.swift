/// The endpoints that may be chosen, in tiers of nearness; made anew at each change of their use.
final class CandidateSet {
    struct Tier {
        /// Its first place in `records`.
        let start: Int
        /// Never 0.
        let count: Int
        /// Nearness of its locality.
        let nearness: Int
        /// It takes those of 2³² requests below this number that no nearer tier takes.
        let limit: UInt64
        /// Nil: all weights are equal.
        let weights: AliasTable?
    }

    /// The candidates, tier by tier.
    let records: ContiguousArray<EndpointRecord>
    /// Nearest first, none empty; those that take nothing too, as a retry may go there.
    let tiers: ContiguousArray<Tier>
    /// Endpoints of the first tier when it takes everything and all weights in it are equal, so that
    /// neither is to be considered; else 0.
    let plainCount: Int

    /// Candidates grouped by tier; `parts` says how much each tier takes.
    init(
        members: [EndpointMember],
        records all: ContiguousArray<EndpointRecord>,
        tiers groups: [[UInt32]],
        parts: [Double]
    ) {
        var records: ContiguousArray<EndpointRecord> = []
        var tiers: ContiguousArray<Tier> = []
        let last = parts.lastIndex { $0 > 0 } ?? 0
        var sum = 0.0
        for (nearness, group) in groups.enumerated() where !group.isEmpty {
            sum += parts[nearness]
            let weights = group.map { members[Int($0)].weight }
            tiers.append(
                Tier(
                    start: records.count,
                    count: group.count,
                    nearness: nearness,
                    limit: nearness >= last ? Self.everything : UInt64(min(sum, 1) * 0x1p32),
                    weights: weights.allSatisfy { $0 == weights[0] } ? nil : AliasTable(weights)
                )
            )
            records += group.map { all[Int($0)] }
        }
        self.records = records
        self.tiers = tiers
        guard let first = tiers.first, first.limit == Self.everything, first.weights == nil,
            // From one that is alone in its tier a retry goes to another tier.
            first.count > 1 || tiers.count == 1
        else {
            plainCount = 0
            return
        }
        plainCount = first.count
    }

    /// The place among `tiers` of the one that takes the request with these random bits.
    func tier(_ bits: UInt64) -> Int {
        let draw = bits & (Self.everything - 1)
        var place = 0
        while draw >= tiers[place].limit { place += 1 }
        return place
    }

    static let everything: UInt64 = 1 << 32
}
