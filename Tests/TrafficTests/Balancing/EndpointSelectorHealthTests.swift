import MeshModel
import Testing
import Time

@testable import Traffic

struct EndpointSelectorHealthTests {
    // MARK: Ejection and probes

    @Test(
        "an ejected endpoint is not picked by anything",
        arguments:
            LoadBalancing.Algorithm.allCases
    )
    func ejected(_ algorithm: LoadBalancing.Algorithm) {
        let bench = SelectorBench(count: 3, algorithm)
        #expect(bench.eject(1) == .ejected(1, .consecutiveFailures(5)))
        #expect(bench.selector.healthyCount == 2)
        for number in 0..<500 {
            let picks = [
                bench.pick(), bench.pick(hash: UInt64(number)), bench.pick(avoiding: 0),
                bench.pick(hash: UInt64(number), avoiding: 2),
            ]
            #expect(picks.allSatisfy { $0.map { $0.index != 1 && !$0.isProbe } ?? false })
        }
    }

    @Test("after the ejection one request probes, and only one at a time")
    func singleProbe() throws {
        let bench = SelectorBench(count: 3)
        bench.eject(1)
        bench.pass(milliseconds: 4_000)
        #expect(bench.selector.advance(now: bench.now) == [.probing(1)])
        let probe = try #require(bench.pick())
        #expect(probe.index == 1)
        #expect(probe.isProbe)
        bench.selector.started(probe, now: bench.now)
        for _ in 0..<200 {
            let other = try #require(bench.pick())
            #expect(other.index != 1)
            bench.selector.started(other, now: bench.now)
        }
        #expect(bench.finish(probe) == .restored(1))
        #expect(bench.selector.healthyCount == 3)
        #expect(bench.shares(3_000)[1] > 0.2)
    }

    @Test("the first request after the ejection probes, also when no timer ran")
    func probeWithoutTimer() throws {
        let bench = SelectorBench(count: 3)
        bench.eject(1)
        let due = try #require(bench.selector.nextDue)
        #expect(due > bench.now)
        bench.pass(milliseconds: 4_000)
        #expect(try #require(bench.pick()).isProbe)
        // The timer is asked to tell what the pick found.
        let told = try #require(bench.selector.nextDue)
        #expect(told < bench.now)
        #expect(bench.selector.advance(now: bench.now) == [.probing(1)])
        #expect(bench.selector.advance(now: bench.now).isEmpty)
    }

    @Test("a retry does not probe while another endpoint is there")
    func retryDoesNotProbe() throws {
        let bench = SelectorBench(count: 3)
        bench.eject(1)
        bench.pass(milliseconds: 4_000)
        for _ in 0..<100 {
            let retry = try #require(bench.pick(avoiding: 0))
            #expect(retry.index == 2)
            #expect(!retry.isProbe)
        }
        #expect(try #require(bench.pick()).isProbe)
    }

    @Test("a retry probes rather than go back to the only other endpoint, which just failed")
    func retryProbesAtLast() throws {
        let bench = SelectorBench(count: 2)
        bench.eject(1)
        bench.pass(milliseconds: 4_000)
        let retry = try #require(bench.pick(avoiding: 0))
        #expect(retry.index == 1)
        #expect(retry.isProbe)
        bench.selector.started(retry, now: bench.now)
        #expect(bench.pick(avoiding: 0)?.index == 0)
    }

    @Test("a failed probe ejects again, for longer; the caller's leaving lets the next one probe")
    func failedProbe() throws {
        let bench = SelectorBench(count: 3)
        bench.eject(1)
        bench.pass(milliseconds: 4_000)
        let first = try #require(bench.pick())
        bench.selector.started(first, now: bench.now)
        #expect(bench.finish(first, .neutral) == nil)
        let second = try #require(bench.pick())
        #expect(second.isProbe)
        bench.selector.started(second, now: bench.now)
        #expect(bench.finish(second, .failure) == .ejected(1, .probe))
        bench.pass(milliseconds: 4_000)
        #expect(try #require(bench.pick()).index != 1)
        #expect(bench.selector.state(1, now: bench.now).ejections == 2)
    }

    @Test("after one failure an endpoint is probed, and an answer brings it back at once")
    func suspect() throws {
        let bench = SelectorBench(count: 3)
        for index in 0..<3 { bench.attempt(index, milliseconds: 5) }
        #expect(bench.attempt(1, .failure, milliseconds: 250) == nil)
        #expect(bench.shares(500)[1] == 0)
        bench.pass(milliseconds: 1_201)
        #expect(bench.selector.advance(now: bench.now) == [.probing(1)])
        let probe = try #require(bench.pick())
        #expect(probe.isProbe && probe.index == 1)
        bench.selector.started(probe, now: bench.now)
        #expect(bench.shares(500)[1] == 0)
        bench.pass(milliseconds: 5)
        #expect(bench.finish(probe, milliseconds: 5) == .cleared(1))
        #expect(bench.load(seconds: 1) { _ in 5 }[1] > 0.25)
    }

    @Test("a suspect that fails its probe is ejected")
    func failedSuspect() throws {
        let bench = SelectorBench(count: 3)
        bench.attempt(1, .failure, milliseconds: 0)
        bench.pass(milliseconds: 10)
        let probe = try #require(bench.pick())
        #expect(probe.isProbe)
        bench.selector.started(probe, now: bench.now)
        #expect(bench.finish(probe, .failure, milliseconds: 250) == .ejected(1, .probe))
    }

    @Test(
        "algorithms that do not keep away after a failure suspect nobody",
        arguments:
            LoadBalancing.Algorithm.allCases.filter { $0 != .peakEWMA }
    )
    func noSuspects(_ algorithm: LoadBalancing.Algorithm) {
        let bench = SelectorBench(count: 3, algorithm)
        bench.attempt(1, .failure)
        bench.pass(milliseconds: 2_000)
        #expect(bench.selector.advance(now: bench.now).isEmpty)
        #expect(bench.selector.healthyCount == 3)
    }

    @Test("an endpoint that hedges outpace gets next to nothing, and is not ejected for it")
    func outpaced() {
        let bench = SelectorBench(count: 3)
        let shares = bench.load(
            seconds: 10,
            perMillisecond: 2,
            outcome: { $0 == 1 ? .outpaced : .success },
            milliseconds: { $0 == 1 ? 15 : 5 }
        )
        #expect(shares[1] < 0.01)
        #expect(bench.selector.healthyCount == 3)
    }

    @Test("an ejected endpoint is not restored by a probe that a hedge outpaced")
    func outpacedProbe() throws {
        let bench = SelectorBench(count: 3)
        bench.eject(1)
        bench.pass(milliseconds: 4_000)
        let probe = try #require(bench.pick())
        bench.selector.started(probe, now: bench.now)
        #expect(bench.finish(probe, .outpaced) == .ejected(1, .probe))
    }

    @Test("a probe that outlives a change of the list is still the probe of its endpoint")
    func probeAcrossUpdate() throws {
        let bench = SelectorBench(count: 4)
        bench.eject(1)
        bench.pass(milliseconds: 4_000)
        let probe = try #require(bench.pick())
        bench.selector.started(probe, now: bench.now)
        let members = SelectorBench.members(4)
        bench.selector.update([members[3], members[0], members[1]], now: bench.now)
        for _ in 0..<50 { #expect(try #require(bench.pick()).index != 2) }
        #expect(bench.finish(probe) == .restored(2))
    }

    @Test("a probe whose endpoint has left changes nothing")
    func probeOfGone() throws {
        let bench = SelectorBench(count: 3)
        bench.eject(1)
        bench.pass(milliseconds: 4_000)
        let probe = try #require(bench.pick())
        bench.selector.started(probe, now: bench.now)
        let members = SelectorBench.members(3)
        bench.selector.update([members[0], members[2]], now: bench.now)
        #expect(bench.finish(probe) == nil)
        #expect(bench.selector.healthyCount == 2)
    }

    @Test("an answer of overload to a probe restores, and still attracts no load")
    func overloadedProbe() throws {
        let bench = SelectorBench(count: 3)
        for index in [0, 2] { bench.attempt(index) }
        bench.eject(1)
        bench.pass(milliseconds: 4_000)
        let probe = try #require(bench.pick())
        bench.selector.started(probe, now: bench.now)
        #expect(bench.finish(probe, .overload, milliseconds: 1) == .restored(1))
        #expect(bench.shares(1_000)[1] == 0)
    }

    @Test("a restored endpoint gets its fair share at once, but is not flooded")
    func restored() throws {
        let bench = SelectorBench(count: 3)
        for index in 0..<3 { bench.attempt(index, milliseconds: 5) }
        bench.eject(1)
        _ = bench.load(seconds: 4, outcome: { $0 == 1 ? .neutral : .success }) { _ in 5 }
        let probe = try #require(bench.pick())
        #expect(probe.isProbe)
        bench.selector.started(probe, now: bench.now)
        // Ten times faster than the others: a single sample does not prove it so.
        #expect(bench.finish(probe, milliseconds: 1) == .restored(1))
        let shares = bench.load(seconds: 1, perMillisecond: 3) { _ in 5 }
        #expect(shares[1] > 0.25)
        #expect(shares[1] < 0.42)
    }

    @Test("a restored endpoint starts slowly when the policy says so")
    func restoredSlowly() throws {
        let bench = SelectorBench(
            SelectorBench.members(3),
            balancing: SelectorBench.balancing(
                .roundRobin,
                slowStart: SlowStart(window: .seconds(10))
            )
        )
        bench.eject(1)
        bench.pass(milliseconds: 4_000)
        let probe = try #require(bench.pick())
        bench.selector.started(probe, now: bench.now)
        #expect(bench.finish(probe) == .restored(1))
        #expect(bench.shares(21_000)[1].isNear(1.0 / 21, within: 0.1))
    }

    @Test("client errors and refusals for overload never eject")
    func neverEjects() {
        let bench = SelectorBench(count: 2)
        for _ in 0..<1_000 {
            #expect(bench.attempt(0, .overload) == nil)
            #expect(bench.attempt(1, .neutral) == nil)
            bench.pass(milliseconds: 100)
            #expect(bench.selector.advance(now: bench.now).isEmpty)
        }
        #expect(bench.selector.healthyCount == 2)
    }

    // MARK: Panic

    @Test(
        "panic begins below the policy's share of healthy endpoints, not at it",
        arguments: [
            (4, 50, 2, false), (4, 50, 3, true), (3, 50, 1, false), (3, 50, 2, true),
            (10, 30, 7, false), (10, 30, 8, true), (4, 100, 1, true), (4, 0, 4, false),
            (1, 50, 1, true), (2, 50, 1, false),
        ]
    )
    func panic(_ count: Int, _ below: Int, _ unwell: Int, _ isPanic: Bool) {
        let bench = SelectorBench(
            SelectorBench.members(count),
            outliers: OutlierDetection(panicBelow: Share(percent: below)),
            healthCheck: HealthCheck(kind: .tcp, failuresMax: 1, successesMin: 1)
        )
        for index in 0..<unwell {
            #expect(
                bench.selector.healthChecked(index, isWell: false, now: bench.now)
                    == .ejected(index, .healthCheck)
            )
        }
        #expect(bench.selector.healthyCount == count - unwell)
        #expect(bench.selector.hasAvailable == (isPanic || unwell < count))
        let picks = (0..<400).map { _ in bench.pick() }
        if unwell == count, !isPanic {
            #expect(picks.allSatisfy { $0 == nil })
        } else {
            #expect(picks.allSatisfy { $0?.isPanic == isPanic })
            let indexes = Set(picks.compactMap(\.?.index))
            #expect(indexes == Set(isPanic ? 0..<count : unwell..<count))
        }
    }

    @Test("panic ends when enough are healthy again")
    func panicEnds() {
        let bench = SelectorBench(
            SelectorBench.members(3),
            healthCheck: HealthCheck(kind: .tcp, failuresMax: 1, successesMin: 1)
        )
        for index in 0..<2 {
            _ = bench.selector.healthChecked(index, isWell: false, now: bench.now)
        }
        #expect(bench.pick()?.isPanic == true)
        #expect(
            bench.selector.healthChecked(0, isWell: true, now: bench.now) == .restored(0)
        )
        #expect(bench.pick()?.isPanic == false)
    }

    @Test("in panic the endpoint to avoid is avoided still, and hashes keep their owners")
    func panicAvoiding() {
        let bench = SelectorBench(count: 2, .ringHash)
        let check = SelectorBench(
            SelectorBench.members(2),
            balancing: SelectorBench.balancing(.ringHash),
            healthCheck: HealthCheck(kind: .tcp, failuresMax: 1, successesMin: 1)
        )
        for index in 0..<2 {
            _ = check.selector.healthChecked(index, isWell: false, now: check.now)
        }
        for hash in 0..<100 as Range<UInt64> {
            #expect(check.pick(hash: hash)?.index == bench.pick(hash: hash)?.index)
            #expect(check.pick(hash: hash, avoiding: 0)?.index == 1)
        }
    }

    // MARK: Health checks

    @Test("health checks need their results in a row, either way")
    func healthChecks() {
        let bench = SelectorBench(
            SelectorBench.members(3),
            outliers: nil,
            healthCheck: HealthCheck(kind: .tcp, failuresMax: 3, successesMin: 2)
        )
        func check(_ isWell: Bool) -> EndpointEvent? {
            bench.selector.healthChecked(0, isWell: isWell, now: bench.now)
        }
        #expect([false, false, true, false, false].allSatisfy { check($0) == nil })
        #expect(check(false) == .ejected(0, .healthCheck))
        #expect(bench.shares(500)[0] == 0)
        #expect(bench.selector.state(0, now: bench.now).cause == .healthCheck)
        #expect([true, false, true].allSatisfy { check($0) == nil })
        #expect(check(true) == .restored(0))
        #expect(bench.shares(500)[0] > 0.2)
    }

    @Test("an endpoint that is ejected and fails its health checks needs both to end")
    func bothReasons() {
        let bench = SelectorBench(
            SelectorBench.members(3),
            healthCheck: HealthCheck(kind: .tcp, failuresMax: 1, successesMin: 1)
        )
        bench.eject(0)
        #expect(bench.selector.healthChecked(0, isWell: false, now: bench.now) == nil)
        bench.pass(milliseconds: 4_000)
        _ = bench.selector.advance(now: bench.now)
        #expect(bench.pick()?.isProbe == false)
        #expect(bench.selector.healthChecked(0, isWell: true, now: bench.now) == .probing(0))
        #expect(bench.pick()?.isProbe == true)
    }

    @Test("results for no endpoint, or where no check is configured, are ignored")
    func strayResults() {
        let bench = SelectorBench(count: 2)
        #expect(bench.selector.healthChecked(0, isWell: false, now: bench.now) == nil)
        #expect(bench.selector.healthyCount == 2)
        let checked = SelectorBench(
            SelectorBench.members(1),
            healthCheck: HealthCheck(kind: .tcp, failuresMax: 1)
        )
        for index in [-1, 1, 99] {
            #expect(
                checked.selector.healthChecked(index, isWell: false, now: checked.now) == nil
            )
        }
    }

    // MARK: Together

    @Test("of three endpoints one swallows requests: it is out within two seconds, and stays out")
    func blackHoleIsEjected() {
        let bench = SelectorBench(count: 3)
        // Its callers give up after 300 ms, which is a failure.
        func second() -> Double {
            bench.load(
                seconds: 1,
                outcome: { $0 == 0 ? .failure : .success },
                milliseconds: { $0 == 0 ? 300 : 10 }
            )[0]
        }
        for _ in 0..<3 { bench.attempt(0, milliseconds: 10) }
        let shares = (0..<10).map { _ in second() }
        #expect(!bench.selector.state(0, now: bench.now).isHealthy)
        #expect(shares[0] < 0.2)
        // Two per cent with the probes and what was under way.
        #expect(shares[2...].allSatisfy { $0 <= 0.01 })
    }

    @Test("a recovered endpoint is back within ten seconds and takes its third again")
    func recovery() {
        let bench = SelectorBench(count: 3)
        bench.eject(0)
        let shares = (0..<10).map { _ in bench.load(seconds: 1) { _ in 10 }[0] }
        #expect(shares[0] == 0)
        let back = shares.firstIndex { $0 > 0.1 } ?? .max
        #expect(back < 5)
        #expect(shares.allSatisfy { $0 < 0.45 })
        #expect(shares[9].isNear(1.0 / 3, within: 0.15))
    }
}
