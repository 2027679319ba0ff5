// A new list of endpoints, and what choices are made from.

import MeshModel
public import Time

extension EndpointSelector {
    /// Takes a new list; indexes are its places from now on.
    ///
    /// An endpoint whose key was in the former list keeps what is known of it. A new one starts
    /// slowly if the policy says so; not when all are new.
    public func update(_ members: [EndpointMember], now: MonotonicTime) {
        var former: [SocketAddress: Int] = [:]
        for (index, member) in self.members.enumerated() { former[member.key] = index }
        // Of a key given twice the first has the past, the others are new.
        let kept = members.map { former.removeValue(forKey: $0.key) }
        let isFirst = !kept.contains { $0 != nil }
        records = ContiguousArray(
            kept.map { index in
                if let index { return records[index] }
                nextID &+= 1
                let record = EndpointRecord(id: nextID, now: now.nanoseconds)
                if !isFirst { beginRamp(record, now.nanoseconds) }
                return record
            }
        )
        self.members = members
        placeMembers()
        remapHealth(kept, now)
        rebuild()
    }

    /// Lets an endpoint start with a part of its weight.
    func beginRamp(_ record: EndpointRecord, _ now: UInt64) {
        guard rampNanoseconds > 0 else { return }
        record.fullAt = now &+ rampNanoseconds
        rampsUntil = max(rampsUntil, record.fullAt)
        settlePlain()
    }

    /// What depends on the list alone: relative weights, nearness, tables of hashes.
    private func placeMembers() {
        let mean = members.reduce(0.0) { $0 + Double($1.weight) } / Double(max(members.count, 1))
        for (index, member) in members.enumerated() {
            records[index].index = UInt32(index)
            records[index].activeLoad = mean / Double(member.weight)
            records[index].tier = UInt8(nearness(member.locality))
        }
        guard policy.algorithm.hashes else { return }
        var owners = [[HashOwner]](repeating: [], count: Self.tierCount)
        for (index, member) in members.enumerated() {
            owners[Int(records[index].tier)].append(HashOwner(index: index, member))
        }
        tables = owners.map {
            policy.algorithm == .maglev ? .maglev(MaglevTable($0)) : .ring(HashRing($0))
        }
    }

    /// 0 in the same zone, 1 in the same region, 2 elsewhere.
    private func nearness(_ locality: Locality) -> Int {
        guard policy.locality == .zoneThenRegion else { return 0 }
        // Zones of one name in two regions are two zones.
        if own.region != locality.region { return 2 }
        if own.zone == locality.zone, !own.zone.isEmpty { return 0 }
        return own.region.isEmpty ? 2 : 1
    }

    /// Makes the candidates anew, after a change of the list or of what endpoints are used for.
    func rebuild() {
        var split = [LocalitySplit.Tier](
            repeating: LocalitySplit.Tier(healthy: 0, all: 0),
            count: Self.tierCount
        )
        usableCount = 0
        for record in records {
            split[Int(record.tier)].all += 1
            guard record.use == .requests else { continue }
            split[Int(record.tier)].healthy += 1
            usableCount += 1
        }
        let panicBelow = (outliers ?? .default).panicBelow.millionths
        isPanic = usableCount * 1_000_000 < records.count * Int(panicBelow)
        var groups = [[UInt32]](repeating: [], count: Self.tierCount)
        for (index, record) in records.enumerated() where isPanic || record.use == .requests {
            groups[Int(record.tier)].append(UInt32(index))
        }
        candidates = CandidateSet(
            members: members,
            records: records,
            tiers: groups,
            parts: isPanic ? LocalitySplit.partsInPanic(split) : LocalitySplit.parts(split)
        )
        if policy.algorithm == .roundRobin { rebuildTurns() }
        settlePlain()
    }

    /// Decides whether choices take the short way, after a change of what they must consider.
    func settlePlain() {
        let isTwoChoices = policy.algorithm == .peakEWMA || policy.algorithm == .leastRequest
        let isPlain = isTwoChoices && probesDue.isEmpty && rampsUntil == 0
        plainCount = isPlain ? UInt64(candidates.plainCount) : 0
    }

    /// Everyone's first turn is at random within its interval, so workers do not move in step.
    private func rebuildTurns() {
        turns = candidates.tiers.map { tier in
            TurnQueue(
                ContiguousArray(
                    candidates.records[tier.start..<tier.start + tier.count].map { record in
                        let interval = record.activeLoad
                        let due = interval * Double(bits() &>> 11) * 0x1p-53
                        return TurnQueue.Turn(due: due, index: record.index)
                    }
                )
            )
        }
    }

    /// Same zone, same region, elsewhere.
    private static let tierCount = 3
}
