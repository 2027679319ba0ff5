import MeshModel
import Testing
import Time

@testable import Traffic

struct EndpointSelectorTests {
    // MARK: Equal endpoints

    @Test("equal endpoints get equal shares", arguments: LoadBalancing.Algorithm.allCases)
    func equalShares(_ algorithm: LoadBalancing.Algorithm) {
        let bench = SelectorBench(count: 4, algorithm)
        for share in bench.shares(20_000) { #expect(share.isNear(0.25, within: 0.05)) }
    }

    @Test(
        "a single endpoint is picked, also when it is to be avoided",
        arguments: LoadBalancing.Algorithm.allCases
    )
    func single(_ algorithm: LoadBalancing.Algorithm) {
        let bench = SelectorBench(count: 1, algorithm)
        #expect(bench.pick()?.index == 0)
        #expect(bench.pick(hash: 7)?.index == 0)
        #expect(bench.pick(avoiding: 0)?.index == 0)
        #expect(bench.pick(hash: 7, avoiding: 0)?.index == 0)
    }

    @Test("no endpoints: nothing to pick", arguments: LoadBalancing.Algorithm.allCases)
    func none(_ algorithm: LoadBalancing.Algorithm) {
        let bench = SelectorBench(count: 0, algorithm)
        #expect(bench.pick() == nil)
        #expect(bench.pick(hash: 7, avoiding: 0) == nil)
        #expect(!bench.selector.hasAvailable)
        #expect(bench.selector.healthyCount == 0)
        bench.selector.update(SelectorBench.members(2), now: bench.now)
        #expect(bench.selector.hasAvailable)
        bench.selector.update([], now: bench.now)
        #expect(bench.pick() == nil)
    }

    @Test("the same seed and calls give the same choices")
    func deterministic() {
        func run(_ seed: UInt64) -> [Int] {
            let bench = SelectorBench(count: 10, seed: seed)
            return (0..<100).compactMap { _ in bench.pick()?.index }
        }
        #expect(run(7) == run(7))
        #expect(run(7) != run(8))
    }

    @Test("weights are shares", arguments: LoadBalancing.Algorithm.allCases)
    func weights(_ algorithm: LoadBalancing.Algorithm) {
        let bench = SelectorBench(
            SelectorBench.members(weights: [1, 2, 5]),
            balancing: SelectorBench.balancing(algorithm)
        )
        let shares = bench.shares(40_000)
        for (share, weight) in zip(shares, [1.0, 2, 5]) {
            #expect(share.isNear(weight / 8, within: 0.06))
        }
    }

    @Test("what is under way counts by weight: busy endpoints of unequal weight share alike")
    func weightsUnderLoad() {
        for algorithm in [LoadBalancing.Algorithm.peakEWMA, .leastRequest] {
            let bench = SelectorBench(
                SelectorBench.members(weights: [1, 3]),
                balancing: SelectorBench.balancing(algorithm)
            )
            let shares = bench.load(seconds: 4, perMillisecond: 4) { _ in 20 }
            #expect(shares[1].isNear(0.75, within: 0.05))
        }
    }

    // MARK: Avoiding

    @Test(
        "the endpoint to avoid is not picked while there is another",
        arguments: LoadBalancing.Algorithm.allCases
    )
    func avoiding(_ algorithm: LoadBalancing.Algorithm) {
        for members in [
            SelectorBench.members(2), SelectorBench.members(5),
            SelectorBench.members(weights: [1, 10_000]), SelectorBench.members(weights: [9, 3, 5]),
        ] {
            let bench = SelectorBench(members, balancing: SelectorBench.balancing(algorithm))
            for round in 0..<500 {
                let avoided = round % members.count
                #expect(bench.pick(avoiding: avoided)?.index != avoided)
                #expect(bench.pick(hash: UInt64(round), avoiding: avoided)?.index != avoided)
            }
        }
    }

    @Test(
        "of the endpoints that were tried none is picked while there is another",
        arguments: LoadBalancing.Algorithm.allCases
    )
    func avoidingSeveral(_ algorithm: LoadBalancing.Algorithm) {
        for members in [
            SelectorBench.members(3), SelectorBench.members(6),
            SelectorBench.members(weights: [1, 10_000, 10_000]),
            SelectorBench.members(weights: [9, 3, 5, 1, 1]),
        ] {
            let bench = SelectorBench(members, balancing: SelectorBench.balancing(algorithm))
            var random = FastRandom(seed: 3)
            for round in 0..<500 {
                let order = members.indices.shuffled(using: &random)
                let tried = ContiguousArray(order.prefix(1 + round % (members.count - 1)))
                for hash in [nil, UInt64(round)] {
                    let picked = bench.pick(hash: hash, afterTrying: tried)
                    #expect(picked.map { !tried.contains($0.index) } ?? false)
                }
            }
        }
    }

    @Test(
        "when all were tried any is picked but the last",
        arguments: LoadBalancing.Algorithm.allCases
    )
    func avoidingAll(_ algorithm: LoadBalancing.Algorithm) {
        let bench = SelectorBench(count: 3, algorithm)
        var counts = [0, 0, 0]
        for round in 0..<300 {
            let picked = bench.pick(hash: UInt64(round), afterTrying: [1, 0, 1, 2])
            if let picked { counts[picked.index] += 1 }
        }
        #expect(counts[0] > 0 && counts[1] > 0 && counts[2] == 0)
        // What was avoided once is not avoided for ever.
        #expect(bench.shares(3_000).allSatisfy { $0 > 0.2 } || algorithm.hashes)
    }

    @Test("a hash goes on to its next owner with each try, the one it has when they are ejected")
    func avoidingKeepsOwners() throws {
        for algorithm in [LoadBalancing.Algorithm.ringHash, .maglev] {
            let bench = SelectorBench(count: 6, algorithm)
            for hash in UInt64(0)..<50 {
                var tried: ContiguousArray<Int> = []
                for _ in 0..<3 {
                    tried.append(try #require(bench.pick(hash: hash, afterTrying: tried)).index)
                }
                let other = SelectorBench(count: 6, algorithm)
                other.eject(tried[0])
                #expect(other.pick(hash: hash)?.index == tried[1])
                other.eject(tried[1])
                #expect(other.pick(hash: hash)?.index == tried[2])
            }
        }
    }

    @Test("what the avoided endpoint would have taken spreads over the others")
    func avoidingSpreads() {
        for algorithm in [LoadBalancing.Algorithm.peakEWMA, .random, .leastRequest] {
            let shares = SelectorBench(count: 5, algorithm).shares(20_000, avoiding: 2)
            #expect(shares[2] == 0)
            for index in [0, 1, 3, 4] { #expect(shares[index].isNear(0.25, within: 0.3)) }
        }
    }

    @Test("an index to avoid that is no endpoint's changes nothing")
    func avoidingNobody() {
        let bench = SelectorBench(count: 3)
        for index in [-1, 3, Int.max, Int.min] { #expect(bench.pick(avoiding: index) != nil) }
    }

    // MARK: Two choices

    @Test("an endpoint twenty times slower gets a small share")
    func slowEndpoint() {
        let shares = SelectorBench(count: 3).load(seconds: 10, perMillisecond: 2) {
            $0 == 1 ? 100 : 5
        }
        #expect(shares[1] < 0.03)
        #expect(shares[1] > 0)
        #expect(shares[0].isNear(shares[2], within: 0.1))
    }

    @Test("an endpoint that was slow is tried again within a minute, and returns")
    func slowEndpointReturns() {
        let bench = SelectorBench(count: 3)
        bench.attempt(0, milliseconds: 100)
        let before = bench.load(seconds: 1) { _ in 5 }
        #expect(before[0] < 0.05)
        _ = bench.load(seconds: 60) { _ in 5 }
        let after = bench.load(seconds: 5) { _ in 5 }
        #expect(after[0].isNear(1.0 / 3, within: 0.2))
    }

    @Test("by least request a slow endpoint gets less, as more is under way there")
    func slowEndpointLeastRequest() {
        let bench = SelectorBench(count: 3, .leastRequest)
        let shares = bench.load(seconds: 10, perMillisecond: 2) { $0 == 1 ? 100 : 5 }
        #expect(shares[1] < 0.1)
    }

    @Test("fast refusals for overload attract no load")
    func refusals() {
        let bench = SelectorBench(count: 3)
        let shares = bench.load(
            seconds: 10,
            outcome: { $0 == 0 ? .overload : .success },
            milliseconds: { $0 == 0 ? 1 : 20 }
        )
        #expect(shares[0] < 0.01)
        #expect(bench.selector.state(0, now: bench.now).isHealthy)
    }

    @Test("fast failures attract no load either")
    func fastFailures() {
        let bench = SelectorBench(count: 3, outliers: nil)
        for index in 0..<3 { bench.attempt(index, milliseconds: 5) }
        let shares = bench.load(
            seconds: 2,
            outcome: { $0 == 0 ? .failure : .success },
            milliseconds: { $0 == 0 ? 1 : 5 }
        )
        #expect(shares[0] < 0.02)
    }

    @Test("an endpoint that swallows requests does not look better for it")
    func blackHole() {
        let bench = SelectorBench(count: 3, outliers: nil)
        let shares = bench.load(seconds: 20) { $0 == 0 ? 1_000_000 : 10 }
        #expect(shares[0] < 0.01)
    }

    @Test("what callers gave up is no sample")
    func neutral() {
        let bench = SelectorBench(count: 2)
        bench.attempt(0, milliseconds: 5)
        let before = bench.selector.state(0, now: bench.now).latencyNanoseconds
        bench.attempt(0, .neutral, milliseconds: 60_000)
        let after = bench.selector.state(0, now: bench.now)
        #expect(after.latencyNanoseconds == before)
        #expect(after.active == 0)
        #expect(after.failures == 0)
    }

    // MARK: Turns

    @Test("round robin takes each once before one twice")
    func roundRobin() {
        let bench = SelectorBench(count: 7, .roundRobin)
        let first = (0..<7).compactMap { _ in bench.pick()?.index }
        #expect(Set(first).count == 7)
        #expect((0..<7).compactMap { _ in bench.pick()?.index } == first)
    }

    @Test("weighted turns are exact and smooth")
    func smoothTurns() {
        let bench = SelectorBench(
            SelectorBench.members(weights: [5, 1, 1]),
            balancing: SelectorBench.balancing(.roundRobin)
        )
        let picks = (0..<700).compactMap { _ in bench.pick()?.index }
        for index in 0..<3 {
            let expected = index == 0 ? 500 : 100
            #expect(abs(picks.count { $0 == index } - expected) <= 1)
        }
        // Never more than six of the heavy one in a row, as two light turns may coincide.
        let longest = picks.split { $0 != 0 }.map(\.count).max() ?? 0
        #expect((3...6).contains(longest))
    }

    @Test("two selectors do not take turns in step")
    func turnsOutOfStep() {
        func order(_ seed: UInt64) -> [Int] {
            let bench = SelectorBench(count: 8, .roundRobin, seed: seed)
            return (0..<8).compactMap { _ in bench.pick()?.index }
        }
        #expect(order(1) != order(2))
    }
}
