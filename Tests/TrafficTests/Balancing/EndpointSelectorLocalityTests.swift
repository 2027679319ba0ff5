import MeshModel
import Testing
import Time

@testable import Traffic

struct EndpointSelectorLocalityTests {
    static let own = Locality(region: "eu", zone: "a")

    /// Endpoints of the own zone, of another zone of the region, of another region.
    static func members(_ zone: Int, _ region: Int, _ elsewhere: Int) -> [EndpointMember] {
        let places =
            [Locality](repeating: own, count: zone)
            + [Locality](repeating: Locality(region: "eu", zone: "b"), count: region)
            + [Locality](repeating: Locality(region: "us", zone: "a"), count: elsewhere)
        return places.enumerated().map {
            EndpointMember(key: SelectorBench.key($0), locality: $1)
        }
    }

    static func bench(
        _ members: [EndpointMember],
        _ algorithm: LoadBalancing.Algorithm = .random,
        preference: LocalityPreference = .zoneThenRegion,
        own: Locality = Self.own
    ) -> SelectorBench {
        SelectorBench(
            members,
            balancing: LoadBalancing(
                algorithm: algorithm,
                hash: algorithm.hashes ? .path : nil,
                locality: preference
            ),
            outliers: OutlierDetection(panicBelow: .none),
            healthCheck: HealthCheck(kind: .tcp, failuresMax: 1, successesMin: 1),
            own: own
        )
    }

    static func makeUnwell(_ bench: SelectorBench, _ indexes: some Sequence<Int>) {
        for index in indexes {
            _ = bench.selector.healthChecked(index, isWell: false, now: bench.now)
        }
    }

    static func sum(_ shares: [Double], _ range: Range<Int>) -> Double {
        shares[range].reduce(0, +)
    }

    @Test(
        "the own zone takes all that its healthy share times 1.4 covers, the rest spills",
        arguments: [
            // Unwell of ten in the zone, of ten in the region; shares of zone, region, elsewhere.
            (0, 0, 1.0, 0.0), (2, 0, 1.0, 0.0), (3, 0, 0.98, 0.02), (5, 0, 0.7, 0.3),
            (9, 0, 0.14, 0.86), (10, 0, 0.0, 1.0), (9, 9, 0.14, 0.14), (10, 10, 0.0, 0.0),
        ]
    )
    func spill(_ zoneOut: Int, _ regionOut: Int, _ zone: Double, _ region: Double) {
        for algorithm in LoadBalancing.Algorithm.allCases {
            let bench = Self.bench(Self.members(10, 10, 10), algorithm)
            Self.makeUnwell(bench, 0..<zoneOut)
            Self.makeUnwell(bench, 10..<10 + regionOut)
            let shares = bench.shares(20_000)
            #expect(abs(Self.sum(shares, 0..<10) - zone) < 0.015)
            #expect(abs(Self.sum(shares, 10..<20) - region) < 0.015)
            #expect(abs(Self.sum(shares, 20..<30) - (1 - zone - region)) < 0.015)
        }
    }

    @Test("hashes of one caller stay at one endpoint also when a tier spills")
    func hashesSpill() {
        for algorithm in [LoadBalancing.Algorithm.ringHash, .maglev] {
            let bench = Self.bench(Self.members(10, 10, 0), algorithm)
            Self.makeUnwell(bench, 0..<5)
            var near = 0
            for hash in 0..<5_000 as Range<UInt64> {
                let index = bench.pick(hash: hash)?.index ?? .max
                #expect(bench.pick(hash: hash)?.index == index)
                if index < 10 { near += 1 }
            }
            #expect(abs(Double(near) / 5_000 - 0.7) < 0.03)
        }
    }

    struct Split {
        /// Healthy and all endpoints of each tier.
        let tiers: [(Int, Int)]
        let parts: [Double]
    }

    static let splits = [
        Split(tiers: [(4, 4)], parts: [1]),
        Split(tiers: [(0, 4)], parts: [0]),
        Split(tiers: [(0, 0)], parts: [0]),
        Split(tiers: [], parts: []),
        Split(tiers: [(1, 4), (4, 4)], parts: [0.35, 0.65]),
        Split(tiers: [(1, 4), (1, 4), (1, 4)], parts: [0.35, 0.35, 0.3]),
        Split(tiers: [(1, 10), (2, 10), (1, 10)], parts: [0.25, 0.5, 0.25]),
        Split(tiers: [(0, 0), (5, 10), (0, 0), (10, 10)], parts: [0, 0.7, 0, 0.3]),
    ]

    @Test("each tier takes what it covers, or its proportion where all cover too little")
    func split() {
        for split in Self.splits {
            let parts = LocalitySplit.parts(
                split.tiers.map { LocalitySplit.Tier(healthy: $0.0, all: $0.1) }
            )
            #expect(parts.count == split.parts.count)
            for (part, one) in zip(parts, split.parts) { #expect(abs(part - one) < 1e-9) }
        }
    }

    @Test("the region comes first where nothing is in the zone")
    func region() {
        let bench = Self.bench(Self.members(0, 2, 2))
        #expect(Self.sum(bench.shares(1_000), 0..<2) == 1)
    }

    @Test("a zone of the same name in another region is not the own zone")
    func sameZoneElsewhere() {
        let bench = Self.bench(Self.members(0, 1, 1))
        #expect(bench.shares(1_000) == [1, 0])
    }

    @Test(
        "without a known locality, or with none preferred, all are equal",
        arguments: [
            (LocalityPreference.none, own), (.zoneThenRegion, .unknown),
        ]
    )
    func noPreference(_ preference: LocalityPreference, _ own: Locality) {
        let bench = Self.bench(Self.members(1, 1, 1), preference: preference, own: own)
        for share in bench.shares(6_000) { #expect(share.isNear(1.0 / 3, within: 0.1)) }
    }

    @Test("a retry goes further away rather than back to the only near endpoint")
    func retryElsewhere() {
        for algorithm in LoadBalancing.Algorithm.allCases {
            let bench = Self.bench(Self.members(1, 2, 0), algorithm)
            for hash in 0..<100 as Range<UInt64> {
                #expect(bench.pick(hash: hash)?.index == 0)
                #expect(bench.pick(hash: hash, avoiding: 0)?.index != 0)
                #expect(bench.pick(avoiding: 0)?.index != 0)
            }
        }
    }

    @Test("in panic near is no better than far")
    func panic() {
        let bench = SelectorBench(
            Self.members(2, 2, 6),
            balancing: LoadBalancing(algorithm: .random),
            healthCheck: HealthCheck(kind: .tcp, failuresMax: 1),
            own: Self.own
        )
        Self.makeUnwell(bench, 4..<10)
        for share in bench.shares(20_000) { #expect(share.isNear(0.1, within: 0.15)) }
    }
}
