import MeshModel
import Testing
import Time

@testable import Traffic

struct EndpointSelectorUpdateTests {
    @Test("what is known of an endpoint follows it to its new place")
    func keepsState() {
        let bench = SelectorBench(count: 3)
        bench.attempt(2, milliseconds: 77)
        let running = bench.selection(2)
        bench.selector.started(running, now: bench.now)
        bench.eject(1)
        let members = SelectorBench.members(3)
        bench.selector.update([members[2], members[1]], now: bench.now)

        let moved = bench.selector.state(0, now: bench.now)
        #expect(moved.latencyNanoseconds == 77_000_000)
        #expect(moved.active == 1)
        #expect(bench.selector.count == 2)
        #expect(bench.selector.healthyCount == 1)
        #expect(!bench.selector.state(1, now: bench.now).isHealthy)
    }

    @Test("an attempt that began before a change of the list ends where it was sent")
    func finishedAfterMove() {
        let bench = SelectorBench(count: 3)
        let attempts = (0..<3).map { bench.selection($0) }
        for attempt in attempts { bench.selector.started(attempt, now: bench.now) }
        let members = SelectorBench.members(5)
        // 0 leaves, 1 and 2 change places, 3 and 4 come.
        bench.selector.update(
            [members[2], members[3], members[1], members[4]],
            now: bench.now
        )
        for attempt in attempts { bench.finish(attempt, milliseconds: 50 + attempt.index) }

        let states = (0..<4).map { bench.selector.state($0, now: bench.now) }
        #expect(states.map(\.active) == [0, 0, 0, 0])
        #expect(states[0].latencyNanoseconds == 52_000_000)
        #expect(states[1].latencyNanoseconds == 30_000_000)
        #expect(states[2].latencyNanoseconds == 51_000_000)
        #expect(states.map(\.successes) == [1, 0, 1, 0])
    }

    @Test("an attempt at an endpoint that left and came back counts for neither")
    func leftAndCameBack() {
        let bench = SelectorBench(count: 2)
        let attempt = bench.selection(1)
        bench.selector.started(attempt, now: bench.now)
        bench.selector.update(SelectorBench.members(1), now: bench.now)
        bench.selector.update(SelectorBench.members(2), now: bench.now)
        let second = bench.selection(1)
        bench.selector.started(second, now: bench.now)
        #expect(bench.finish(attempt, .failure) == nil)
        #expect(bench.selector.state(1, now: bench.now).active == 1)
        #expect(bench.selector.state(1, now: bench.now).failures == 0)
    }

    @Test("events of attempts from before a change name the new index")
    func eventAfterMove() {
        let bench = SelectorBench(count: 3)
        let attempts = (0..<5).map { _ in bench.selection(2) }
        for attempt in attempts { bench.selector.started(attempt, now: bench.now) }
        let members = SelectorBench.members(3)
        bench.selector.update([members[2], members[0], members[1]], now: bench.now)
        let events = attempts.compactMap { bench.finish($0, .failure) }
        #expect(events == [.ejected(0, .consecutiveFailures(5))])
    }

    @Test("finishing twice, or without having started, never makes active negative")
    func finishedTwice() {
        let bench = SelectorBench(count: 1)
        let attempt = bench.selection(0)
        bench.finish(attempt)
        bench.selector.started(attempt, now: bench.now)
        bench.finish(attempt)
        bench.finish(attempt)
        #expect(bench.selector.state(0, now: bench.now).active == 0)
    }

    @Test("a key given twice is two endpoints, one of them new")
    func doubledKey() {
        let bench = SelectorBench(count: 1)
        bench.attempt(0, milliseconds: 70)
        let member = SelectorBench.members(1)[0]
        bench.selector.update([member, member], now: bench.now)
        #expect(bench.selector.count == 2)
        bench.eject(0)
        #expect(bench.selector.healthyCount == 1)
        bench.selector.update([member, member], now: bench.now)
        bench.selector.update([member], now: bench.now)
        #expect(bench.selector.count == 1)
    }

    @Test("a new endpoint is neither flooded nor left out, however fast the others are")
    func newcomers() {
        let bench = SelectorBench(count: 3)
        #expect(bench.selector.state(0, now: bench.now).latencyNanoseconds == 30_000_000)
        for (index, latency) in [3, 4, 900].enumerated() {
            bench.attempt(index, milliseconds: latency)
        }
        bench.selector.update(SelectorBench.members(4), now: bench.now)
        #expect(bench.selector.state(3, now: bench.now).latencyNanoseconds == 30_000_000)
        let shares = bench.load(seconds: 5) { _ in 4 }
        #expect(shares[3] > 0.25)
        #expect(shares[3] < 0.45)
    }

    @Test("random changes of the list while requests run keep active, health and indexes right")
    func randomChanges() {
        var random = FastRandom(seed: 99)
        for algorithm in LoadBalancing.Algorithm.allCases {
            let bench = SelectorBench(count: 6, algorithm, seed: random.next())
            var keys = Array(0..<6)
            // The model: attempts under way, with the key they went to and its life.
            var running: [(selection: EndpointSelection, key: Int, life: Int)] = []
            var lives = [Int](repeating: 0, count: 20)
            for _ in 0..<1_000 {
                bench.pass(milliseconds: Int.random(in: 0...20, using: &random))
                switch Int.random(in: 0..<20, using: &random) {
                case 0:
                    let next = (0..<20).filter { _ in Bool.random(using: &random) }
                        .shuffled(using: &random)
                    for key in 0..<20 where keys.contains(key) && !next.contains(key) {
                        lives[key] += 1
                    }
                    keys = next
                    bench.selector.update(
                        keys.map { EndpointMember(key: SelectorBench.key($0)) },
                        now: bench.now
                    )
                case 1: _ = bench.selector.advance(now: bench.now)
                case 2..<10 where !running.isEmpty:
                    let at = Int.random(in: 0..<running.count, using: &random)
                    let one = running.remove(at: at)
                    let outcome = AttemptOutcome.allCases.randomElement(using: &random)
                    bench.finish(one.selection, outcome ?? .success, milliseconds: at)
                default:
                    let avoided =
                        Bool.random(using: &random)
                        ? nil : Int.random(in: 0..<20, using: &random)
                    guard let one = bench.pick(hash: random.next(), avoiding: avoided) else {
                        #expect(keys.isEmpty)
                        continue
                    }
                    bench.selector.started(one, now: bench.now)
                    running.append((one, keys[one.index], lives[keys[one.index]]))
                }
                for (index, key) in keys.enumerated() {
                    let expected = running.count { $0.key == key && $0.life == lives[key] }
                    #expect(bench.selector.state(index, now: bench.now).active == expected)
                }
                let healthy = keys.indices.count {
                    bench.selector.state($0, now: bench.now).isHealthy
                }
                #expect(bench.selector.healthyCount == healthy)
            }
        }
    }

    // MARK: Slow start

    @Test(
        "a new endpoint's share grows over its window",
        arguments: [
            LoadBalancing.Algorithm.peakEWMA, .leastRequest, .random, .roundRobin,
        ]
    )
    func slowStart(_ algorithm: LoadBalancing.Algorithm) {
        let slow = SlowStart(window: .seconds(10), weightMin: Share(percent: 10))
        let bench = SelectorBench(
            SelectorBench.members(3),
            balancing: SelectorBench.balancing(algorithm, slowStart: slow)
        )
        bench.selector.update(SelectorBench.members(4), now: bench.now)
        for (second, factor) in [(0, 0.1), (2, 0.2), (5, 0.5), (10, 1.0)] {
            let from = second == 0 ? 0 : [2: 2, 5: 3, 10: 5][second] ?? 0
            bench.pass(milliseconds: from * 1_000)
            let shares = bench.shares(20_000)
            #expect(shares[3].isNear(factor / (3 + factor), within: 0.12))
            let weight = bench.selector.state(3, now: bench.now).weight
            #expect(weight.isNear(factor, within: 0.001))
        }
    }

    @Test("the endpoints of the first list start at once; so does a list of nothing but new ones")
    func noSlowStartOfAll() {
        let bench = SelectorBench(
            SelectorBench.members(2),
            balancing: SelectorBench.balancing(
                .peakEWMA,
                slowStart: SlowStart(window: .seconds(10))
            )
        )
        #expect(bench.selector.state(0, now: bench.now).weight == 1)
        bench.selector.update(
            [EndpointMember(key: SelectorBench.key(8)), EndpointMember(key: SelectorBench.key(9))],
            now: bench.now
        )
        #expect(bench.selector.state(0, now: bench.now).weight == 1)
    }

    @Test("a list where all others left still serves from the one that starts slowly")
    func slowStartAlone() {
        let bench = SelectorBench(
            SelectorBench.members(1),
            balancing: SelectorBench.balancing(
                .random,
                slowStart: SlowStart(window: .seconds(10))
            )
        )
        bench.selector.update(SelectorBench.members(2), now: bench.now)
        bench.selector.update([SelectorBench.members(2)[1]], now: bench.now)
        #expect(bench.pick()?.index == 0)
    }

    // MARK: Size

    @Test("ten thousand endpoints are chosen from evenly and change while they are used")
    func tenThousand() {
        for algorithm in LoadBalancing.Algorithm.allCases {
            let bench = SelectorBench(count: 10_000, algorithm)
            var seen = Set<Int>()
            for number in 0..<20_000 {
                guard let one = bench.pick(hash: UInt64(number)) else { continue }
                seen.insert(one.index)
                bench.selector.started(one, now: bench.now)
                bench.finish(one)
            }
            // 20,000 throws into 10,000 boxes leave e⁻² of them empty; hashing leaves more.
            #expect(seen.count > (algorithm.hashes ? 7_500 : 8_500))
            bench.eject(5_000)
            #expect(bench.selector.healthyCount == 9_999)
            bench.selector.update(
                Array(SelectorBench.members(10_000).dropFirst()),
                now: bench.now
            )
            #expect(bench.selector.healthyCount == 9_998)
            #expect(!bench.selector.state(4_999, now: bench.now).isHealthy)
        }
    }
}
