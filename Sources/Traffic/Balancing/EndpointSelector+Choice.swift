// The choice where more than latency and load is to be considered: turns, chance, hashes, weights,
// distance, slow start.

import MeshModel

extension EndpointSelector {
    /// One of the candidates, of which there are some; one that was tried when all were.
    func choice(_ hash: UInt64?, _ now: UInt64) -> EndpointRecord {
        switch policy.algorithm {
        case .peakEWMA, .leastRequest: betterWeighted(now)
        case .roundRobin: next(now)
        case .random: draw(tier(), now)
        case .ringHash, .maglev: hash.map { owner(of: $0) } ?? draw(tier(), now)
        }
    }

    /// The better of two by latency and load.
    ///
    /// Weights decide how often an endpoint is drawn, not only what its load counts: were they but
    /// a factor of the cost, the heaviest would take everything while little is under way.
    private func betterWeighted(_ now: UInt64) -> EndpointRecord {
        let tier = tier()
        let one = draw(tier, now)
        var other = draw(tier, now)
        if other === one { other = draw(tier, now) }
        if other === one { return one }
        return isBetter(other, one, now) ? other : one
    }

    /// A turn by weight.
    private func next(_ now: UInt64) -> EndpointRecord {
        let tier = tier()
        let place = turns[tier].next { !records[Int($0)].isTried }
        let record = records[Int(turns[tier].turns[place].index)]
        turns[tier].postpone(place, by: record.activeLoad / ramp(record, now))
        return record
    }

    /// The owner of a hash; its next owner when it cannot be used.
    private func owner(of hash: UInt64) -> EndpointRecord {
        let hash = Hashing.mix(hash)
        // Other bits than the table's choice between neighbours needs, so both are even.
        let tier = tier(Hashing.mix(hash))
        let slice = candidates.tiers[tier]
        let isAlone = slice.count == 1
        let owner = tables[slice.nearness].owner(hash) {
            let record = records[Int($0)]
            return (isPanic || record.use == .requests) && (!record.isTried || isAlone)
        }
        if let owner { return records[Int(owner)] }
        return untried(in: slice, from: Int(hash % UInt64(slice.count)))
    }

    /// A random candidate of a tier by weight; not one that was tried when there is another.
    private func draw(_ tier: Int, _ now: UInt64) -> EndpointRecord {
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
        guard record.isTried, slice.count > 1 else { return record }
        // Any of the others, so that what those tried would have taken does not fall on one.
        for _ in 0..<Self.drawsMax {
            let other = candidates.records[slice.start + Int(bits() % UInt64(slice.count))]
            if !other.isTried { return other }
        }
        return untried(in: slice, from: place)
    }

    /// The next candidate of a tier that was not tried; the one at `place` when all were.
    private func untried(in slice: CandidateSet.Tier, from place: Int) -> EndpointRecord {
        for step in 0..<slice.count {
            let record = candidates.records[slice.start + (place + step) % slice.count]
            if !record.isTried { return record }
        }
        return candidates.records[slice.start + place]
    }

    private func drawnPlace(_ tier: CandidateSet.Tier) -> Int {
        let bits = self.bits() &>> 32
        if let weights = tier.weights { return weights.choice(UInt32(bits)) }
        return Int((bits &* UInt64(tier.count)) &>> 32)
    }

    /// The tier for a request, by chance where several take some.
    private func tier() -> Int {
        let takesAll = candidates.tiers[0].limit == CandidateSet.everything
        return tier(takesAll ? 0 : bits() &>> 32)
    }

    /// The tier for these bits; the nearest with an endpoint that was not tried when all in it were.
    private func tier(_ bits: UInt64) -> Int {
        let tier = candidates.tier(bits)
        guard isTried(candidates.tiers[tier]) else { return tier }
        return candidates.tiers.firstIndex { !isTried($0) } ?? tier
    }

    /// Whether all candidates of a tier were; it ends at the first that was not.
    private func isTried(_ slice: CandidateSet.Tier) -> Bool {
        candidates.records[slice.start..<slice.start + slice.count].allSatisfy(\.isTried)
    }

    private func fraction() -> Double { Double(bits() &>> 11) * 0x1p-53 }

    /// With a weight of a tenth at least, all but 3 % of draws are right after so many.
    private static let drawsMax = 32
}
