// The choice where more than latency and load is to be considered: turns, chance, hashes, weights,
// distance, slow start.

import MeshModel

extension EndpointSelector {
    /// One of the candidates, of which there are some; `avoided` when it is the only one.
    func choice(_ hash: UInt64?, _ avoided: UInt32, _ now: UInt64) -> EndpointRecord {
        switch policy.algorithm {
        case .peakEWMA, .leastRequest: betterWeighted(avoided, now)
        case .roundRobin: next(avoided, now)
        case .random: draw(tier(avoided), avoided, now)
        case .ringHash, .maglev:
            hash.map { owner(of: $0, avoided) } ?? draw(tier(avoided), avoided, now)
        }
    }

    /// The better of two by latency and load.
    ///
    /// Weights decide how often an endpoint is drawn, not only what its load counts: were they but
    /// a factor of the cost, the heaviest would take everything while little is under way.
    private func betterWeighted(_ avoided: UInt32, _ now: UInt64) -> EndpointRecord {
        let tier = tier(avoided)
        let one = draw(tier, avoided, now)
        var other = draw(tier, avoided, now)
        if other === one { other = draw(tier, avoided, now) }
        if other === one { return one }
        return isBetter(other, one, now) ? other : one
    }

    /// A turn by weight.
    private func next(_ avoided: UInt32, _ now: UInt64) -> EndpointRecord {
        let tier = tier(avoided)
        let place = turns[tier].next(avoiding: avoided)
        let record = records[Int(turns[tier].turns[place].index)]
        turns[tier].postpone(place, by: record.activeLoad / ramp(record, now))
        return record
    }

    /// The owner of a hash; its next owner when it cannot be used.
    private func owner(of hash: UInt64, _ avoided: UInt32) -> EndpointRecord {
        let hash = Hashing.mix(hash)
        // Other bits than the table's choice between neighbours needs, so both are even.
        let tier = tier(Hashing.mix(hash), avoided)
        let slice = candidates.tiers[tier]
        let isAlone = slice.count == 1
        let owner = tables[slice.nearness].owner(hash) {
            (isPanic || records[Int($0)].use == .requests) && ($0 != avoided || isAlone)
        }
        if let owner { return records[Int(owner)] }
        let place = Int(hash % UInt64(slice.count))
        let record = candidates.records[slice.start + place]
        guard record.index == avoided, !isAlone else { return record }
        return candidates.records[slice.start + (place + 1) % slice.count]
    }

    /// A random candidate of a tier by weight; not `avoided` when there is another.
    private func draw(_ tier: Int, _ avoided: UInt32, _ now: UInt64) -> EndpointRecord {
        let slice = candidates.tiers[tier]
        var place = drawnPlace(slice)
        if now < rampsUntil {
            // One that starts slowly accepts only a part. It ends: the last draw stands.
            for _ in 0..<Self.drawsMax {
                let record = candidates.records[slice.start + place]
                if now >= record.fullAt || fraction() < ramp(record, now) { break }
                place = drawnPlace(slice)
            }
        }
        let record = candidates.records[slice.start + place]
        guard record.index == avoided, slice.count > 1 else { return record }
        // Any of the others, so that what the avoided one would have taken does not fall on one.
        place += 1 + Int(bits() % UInt64(slice.count - 1))
        return candidates.records[slice.start + place % slice.count]
    }

    private func drawnPlace(_ tier: CandidateSet.Tier) -> Int {
        let bits = self.bits() &>> 32
        if let weights = tier.weights { return weights.choice(UInt32(bits)) }
        return Int((bits &* UInt64(tier.count)) &>> 32)
    }

    /// The tier for a request, by chance where several take some.
    private func tier(_ avoided: UInt32) -> Int {
        let takesAll = candidates.tiers[0].limit == CandidateSet.everything
        return tier(takesAll ? 0 : bits() &>> 32, avoided)
    }

    /// The tier for these bits; another one when only `avoided` is in it.
    private func tier(_ bits: UInt64, _ avoided: UInt32) -> Int {
        let tier = candidates.tier(bits)
        let slice = candidates.tiers[tier]
        guard slice.count == 1, candidates.records[slice.start].index == avoided,
            candidates.tiers.count > 1
        else { return tier }
        return tier == 0 ? 1 : 0
    }

    private func fraction() -> Double { Double(bits() &>> 11) * 0x1p-53 }

    /// With a weight of a tenth at least, all but 3 % of draws are right after so many.
    private static let drawsMax = 32
}
