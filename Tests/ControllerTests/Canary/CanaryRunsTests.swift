import Foundation
import MeshModel
import Testing
import Time
import Traffic

@testable import Controller

@Suite("Canary runs")
struct CanaryRunsTests {
    private let key = ObjectKey(name: "orders")
    private let date = Date(timeIntervalSince1970: 1_800_000_000)

    @Test("A run goes on over catalogs that leave its spec alone, and over restarts")
    func goesOn() throws {
        let catalog = try CanaryFixtures.catalog(Self.fast)
        var runs = CanaryRuns()
        #expect(runs.take(catalog.canaries, now: date) == [key])
        #expect(decide(&runs, second: 1) == [])
        #expect(decide(&runs, second: 2) == ["advanced"])
        #expect(runs.take(catalog.canaries, now: date) == [])
        #expect(runs.shares == [key: Share(percent: 50)])

        let text = try JSONEncoder().encode(runs.state)
        var restored = CanaryRuns(try JSONDecoder().decode(SavedCanaries.self, from: text))
        #expect(restored.take(catalog.canaries, now: date) == [])
        #expect(restored.state == runs.state)
        #expect(restored.shares == [key: Share(percent: 50)])
        #expect(restored.entries[key]?.events.map(\.action) == ["advanced"])
    }

    @Test("Another spec starts another run, whose number is another too")
    func startsAnew() throws {
        var runs = CanaryRuns()
        _ = runs.take(try CanaryFixtures.catalog(Self.fast).canaries, now: date)
        _ = try runs.obey(.promote, key, date: date)
        #expect(runs.isIdle)
        let next = try CanaryFixtures.catalog(Self.fast + "revision: b")
        #expect(runs.take(next.canaries, now: date) == [key])
        #expect(runs.entries[key]?.number == 2)
        #expect(runs.shares == [key: Share(percent: 10)])
        #expect(runs.entries[key]?.events == [])
    }

    @Test("A spec that changed while the controller was away starts anew, above all old numbers")
    func changedWhileAway() throws {
        var runs = CanaryRuns()
        _ = runs.take(try CanaryFixtures.catalog(Self.fast).canaries, now: date)
        _ = try runs.obey(.promote, key, date: date)
        var restored = CanaryRuns(runs.state)
        let next = try CanaryFixtures.catalog(Self.fast + "revision: b")
        #expect(restored.take(next.canaries, now: date) == [key])
        #expect(restored.entries[key]?.number == 2)
        #expect(restored.shares == [key: Share(percent: 10)])
    }

    @Test("A canary whose manifest is gone is forgotten")
    func removed() throws {
        var runs = CanaryRuns()
        _ = runs.take(try CanaryFixtures.catalog().canaries, now: date)
        #expect(runs.take([:], now: date) == [])
        #expect(runs.shares.isEmpty)
        #expect(runs.isIdle)
    }

    @Test("Proxies count both sides on the divided routes, testers' excepted, until it is over")
    func watches() throws {
        let catalog = try CanaryFixtures.catalog("forceHeader: {name: x-canary, value: a}")
        var runs = CanaryRuns()
        _ = runs.take(catalog.canaries, now: date)
        let snapshot = try #require(
            try catalog.compile(workload: ObjectKey(name: "web"), version: 1, trustBundle: [])
        )
        let watches = runs.watches(in: snapshot, catalog)
        #expect(watches.map(\.name) == ["1/80/canary", "1/80/baseline"])
        #expect(watches.map(\.cluster) == ["orders-v2.default", "orders.default"])
        #expect(watches.map(\.service) == ["orders.default", "orders.default"])
        #expect(watches.map(\.routes) == [["orders"], ["orders"]])
        _ = try runs.obey(.abort, key, date: date)
        #expect(runs.watches(in: snapshot, catalog).isEmpty)
    }

    @Test("Numbers under the name of another run or side are left out")
    func foreignNames() throws {
        var runs = CanaryRuns()
        _ = runs.take(try CanaryFixtures.catalog(Self.fast).canaries, now: date)
        let names = [
            "2/80/canary", "1/80/other", "1/80", "x/80/canary", "", "///", "1/80/canary/",
            "1//canary/",
        ]
        for name in names { runs.record(try counts(5), watch: name) }
        #expect(runs.entries[key]?.run.state.window == CanaryWindow())
    }

    @Test("An operator's word about a canary that does not exist is told apart from a refusal")
    func words() throws {
        var runs = CanaryRuns()
        _ = runs.take(try CanaryFixtures.catalog().canaries, now: date)
        #expect(try runs.obey(.pause, ObjectKey(name: "other"), date: date) == nil)
        #expect(throws: CanaryRefusal.running) { try runs.obey(.resume, key, date: date) }
        #expect(try runs.obey(.pause, key, date: date)?.action == .paused)
        #expect(runs.entries[key]?.events.map(\.text) == ["by an operator: paused"])
    }

    @Test("The list of decisions is bounded, the newest stay")
    func events() throws {
        var runs = CanaryRuns()
        _ = runs.take(try CanaryFixtures.catalog().canaries, now: date)
        for _ in 0..<50 {
            _ = try runs.obey(.pause, key, date: date)
            _ = try runs.obey(.resume, key, date: date)
        }
        let events = try #require(runs.entries[key]?.events)
        #expect(events.count == CanaryRuns.eventsMax)
        #expect(events.last?.action == "resumed")
    }

    // MARK: Counters

    @Test("The first number is where counting begins, each next one adds what came since")
    func news() throws {
        var observed = ObservedTraffic()
        #expect(observed.observe([try watch("a")]))
        #expect(!observed.observe([try watch("a")]))
        #expect(observed.news(try count("a", 1_000)) == nil)
        #expect(observed.news(try count("a", 1_010))?.requests == 10)
        #expect(observed.news(try count("a", 1_010)) == CanaryCounts.none)
    }

    @Test("Numbers that went back and came again are not counted twice")
    func backwards() throws {
        var observed = ObservedTraffic()
        _ = observed.observe([try watch("a")])
        _ = observed.news(try count("a", 1_000))
        #expect(observed.news(try count("a", 400))?.requests == 0)
        #expect(observed.news(try count("a", 1_000))?.requests == 0)
        #expect(observed.news(try count("a", 1_001))?.requests == 1)
    }

    @Test("What was not asked for is not counted, and a name that left begins anew")
    func notAsked() throws {
        var observed = ObservedTraffic()
        #expect(observed.news(try count("a", 5)) == nil)
        _ = observed.observe([try watch("a")])
        _ = observed.news(try count("a", 5))
        #expect(observed.hasSeen(prefix: "a"))
        _ = observed.observe([])
        #expect(!observed.hasSeen(prefix: "a"))
        #expect(observed.news(try count("a", 50)) == nil)
        _ = observed.observe([try watch("a")])
        #expect(observed.news(try count("a", 50)) == nil)
        #expect(observed.news(try count("a", 51))?.requests == 1)
    }

    private static let fast = "steps: [\"10%\", \"50%\"]\ninterval: 1s\nminimumSample: 10\n"

    /// Good traffic on both sides, then what is decided.
    private func decide(_ runs: inout CanaryRuns, second: UInt64) -> [String] {
        guard let number = runs.entries[key]?.number, let counts = try? counts(50) else {
            return []
        }
        runs.record(counts, watch: "\(number)/80/canary")
        runs.record(counts, watch: "\(number)/80/baseline")
        let now = MonotonicTime(nanoseconds: second * 1_000_000_000)
        return runs.advance(now: now, date: date).map { $0.1.action.rawValue }
    }

    private func counts(_ requests: UInt64) throws -> CanaryCounts {
        var buckets = [UInt64](repeating: 0, count: CanaryCounts.bucketCount)
        buckets[3] = requests
        return try #require(
            CanaryCounts(
                requests: requests,
                failures: 0,
                buckets: buckets,
                nanoseconds: requests * 1_500_000
            )
        )
    }

    private func watch(_ name: String) throws -> TrafficWatch {
        try #require(TrafficWatch(name: name, service: "s", cluster: "c", routes: ["r"]))
    }

    private func count(_ name: String, _ requests: UInt64) throws -> TrafficCount {
        try #require(
            TrafficCount(
                name: name,
                requests: requests,
                failures: 0,
                nanoseconds: 0,
                buckets: [UInt64](repeating: 0, count: TrafficCount.bucketCount)
            )
        )
    }
}
