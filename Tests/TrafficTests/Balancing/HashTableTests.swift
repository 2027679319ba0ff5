import MeshModel
import Testing
import Time

@testable import Traffic

struct HashTableTests {
    enum Kind: CaseIterable { case ring, maglev }

    static func table(_ kind: Kind, _ members: [EndpointMember]) -> HashTable {
        let owners = members.enumerated().map { HashOwner(index: $0, $1) }
        return kind == .ring ? .ring(HashRing(owners)) : .maglev(MaglevTable(owners))
    }

    static func owners(_ table: HashTable, _ count: Int, without: Set<UInt32> = []) -> [Int] {
        var random = FastRandom(seed: 4)
        return (0..<count).map { _ in
            table.owner(random.next()) { !without.contains($0) }.map { Int($0) } ?? -1
        }
    }

    /// The part of `owners` that each of the first `count` indexes has.
    static func shares(_ owners: [Int], _ count: Int) -> [Double] {
        var counts = [Int](repeating: 0, count: count)
        for owner in owners { counts[owner] += 1 }
        return counts.map { Double($0) / Double(owners.count) }
    }

    @Test("shares are even", arguments: [(Kind.ring, 0.3), (.maglev, 0.2)])
    func even(_ kind: Kind, _ tolerance: Double) {
        for count in [2, 3, 10, 50] {
            let table = Self.table(kind, SelectorBench.members(count))
            for share in Self.shares(Self.owners(table, 20_000), count) {
                #expect(share.isNear(1 / Double(count), within: tolerance))
            }
        }
    }

    @Test("shares follow weights", arguments: Kind.allCases)
    func weighted(_ kind: Kind) {
        let table = Self.table(kind, SelectorBench.members(weights: [1, 4, 10, 5]))
        let shares = Self.shares(Self.owners(table, 20_000), 4)
        for (share, weight) in zip(shares, [1.0, 4, 10, 5]) {
            #expect(share.isNear(weight / 20, within: 0.2))
        }
    }

    @Test("extreme weights leave everyone something", arguments: Kind.allCases)
    func extremeWeights(_ kind: Kind) {
        let weights = [UInt32](repeating: 1, count: 50) + [1_000]
        let table = Self.table(kind, SelectorBench.members(weights: weights))
        let owners = Self.owners(table, 200_000)
        #expect(Set(owners).count == 51)
        #expect(owners.count { $0 == 50 } > 180_000)
    }

    @Test(
        "when one of ten leaves only its hashes move, and few others in Maglev's table",
        arguments: [(Kind.ring, 0.0), (.maglev, 0.05)]
    )
    func removal(_ kind: Kind, _ othersMax: Double) {
        let all = SelectorBench.members(10)
        var left = all
        left.remove(at: 4)
        let before = Self.owners(Self.table(kind, all), 20_000).map { all[$0].key }
        let after = Self.owners(Self.table(kind, left), 20_000).map { left[$0].key }
        let moved = zip(before, after).count { $0 != $1 && $0 != all[4].key }
        #expect(Double(moved) / 20_000 <= othersMax)
        // What it had spreads over all others.
        let heirs = zip(before, after).filter { $0.0 == all[4].key }.map(\.1)
        #expect(Set(heirs).count == 9)
    }

    @Test(
        "when one of a few leaves a ring only its hashes move, whatever their weights",
        arguments: [[1, 1, 2, 1], [1, 1], [1, 1, 1], [5, 4, 7, 6, 3, 5], [100, 120, 90]]
    )
    func removalOfFew(_ weights: [UInt32]) {
        let all = SelectorBench.members(weights: weights)
        let left = Array(all.dropLast())
        let before = Self.owners(Self.table(.ring, all), 20_000).map { all[$0].key }
        let after = Self.owners(Self.table(.ring, left), 20_000).map { left[$0].key }
        #expect(zip(before, after).allSatisfy { $0 == $1 || $0 == all[left.count].key })
    }

    @Test("when one cannot be used only its hashes move, and spread", arguments: Kind.allCases)
    func unusable(_ kind: Kind) {
        let table = Self.table(kind, SelectorBench.members(10))
        let before = Self.owners(table, 20_000)
        let after = Self.owners(table, 20_000, without: [4])
        #expect(zip(before, after).allSatisfy { $0 == $1 || ($0 == 4 && $1 != 4) })
        #expect(Set(zip(before, after).filter { $0.0 == 4 }.map(\.1)).count == 9)
    }

    @Test("the list's order does not matter", arguments: Kind.allCases)
    func order(_ kind: Kind) {
        let members = SelectorBench.members(20)
        let reversed = Array(members.reversed())
        let one = Self.owners(Self.table(kind, members), 5_000).map { members[$0].key }
        let other = Self.owners(Self.table(kind, reversed), 5_000).map { reversed[$0].key }
        #expect(one == other)
    }

    @Test(
        "a table of nobody, or of nobody who can be used, owns nothing",
        arguments: Kind.allCases
    )
    func nobody(_ kind: Kind) {
        #expect(Self.table(kind, []).owner(1) { _ in true } == nil)
        let table = Self.table(kind, SelectorBench.members(3))
        #expect(table.owner(.max) { _ in false } == nil)
        #expect(table.owner(0) { $0 == 2 } == 2)
        #expect(table.owner(.max) { $0 == 2 } == 2)
    }

    @Test("sizes are bounded: a ring of 256 points an endpoint, a table of a prime up to 65,537")
    func sizes() {
        #expect(HashRing.pointsPerOwner(of: 1) == 256)
        #expect(HashRing.pointsPerOwner(of: 512) == 256)
        #expect(HashRing.pointsPerOwner(of: 513) == 128)
        #expect(HashRing.pointsPerOwner(of: 10_000) == 8)
        #expect(HashRing.pointsPerOwner(of: 1_000_000) == 1)
        #expect(MaglevTable.size(owners: 1) == 1_021)
        #expect(MaglevTable.size(owners: 11) == 4_093)
        #expect(MaglevTable.size(owners: 10_000) == 65_537)
    }

    @Test("ten thousand owners fill both tables", arguments: Kind.allCases)
    func tenThousand(_ kind: Kind) {
        let table = Self.table(kind, SelectorBench.members(10_000))
        #expect(Set(Self.owners(table, 200_000)).count > 9_500)
    }
}
