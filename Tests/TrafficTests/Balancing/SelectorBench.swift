import MeshModel
import Time

@testable import Traffic

/// A selector under a moved clock, and what the tests do with it.
final class SelectorBench {
    let selector: EndpointSelector
    var now = MonotonicTime(nanoseconds: 1_000_000_000_000)

    init(
        _ members: [EndpointMember],
        balancing: LoadBalancing = .default,
        outliers: OutlierDetection? = .default,
        healthCheck: HealthCheck? = nil,
        own: Locality = .unknown,
        seed: UInt64 = 1
    ) {
        let cluster = Cluster(
            name: "orders.default",
            security: .plaintext,
            endpoints: [],
            balancing: balancing,
            outlierDetection: outliers,
            healthCheck: healthCheck
        )
        selector = EndpointSelector(cluster, own: own, seed: seed)
        selector.update(members, now: now)
    }

    convenience init(
        count: Int,
        _ algorithm: LoadBalancing.Algorithm = .peakEWMA,
        outliers: OutlierDetection? = .default,
        seed: UInt64 = 1
    ) {
        self.init(
            Self.members(count),
            balancing: Self.balancing(algorithm),
            outliers: outliers,
            seed: seed
        )
    }

    static func balancing(
        _ algorithm: LoadBalancing.Algorithm,
        slowStart: SlowStart? = nil
    ) -> LoadBalancing {
        LoadBalancing(
            algorithm: algorithm,
            hash: algorithm.hashes ? .path : nil,
            slowStart: slowStart
        )
    }

    static func key(_ number: Int) -> SocketAddress {
        SocketAddress(
            addressBytes: [10, UInt8(number >> 16), UInt8(number >> 8 & 255), UInt8(number & 255)],
            port: 8080
        )
    }

    static func members(_ count: Int) -> [EndpointMember] {
        (0..<count).map { EndpointMember(key: key($0)) }
    }

    static func members(weights: [UInt32]) -> [EndpointMember] {
        weights.enumerated().map { EndpointMember(key: key($0), weight: $1) }
    }

    func pass(milliseconds: Int) {
        now = now.advanced(byNanoseconds: UInt64(milliseconds) * 1_000_000)
    }

    func pick(hash: UInt64? = nil, avoiding: Int? = nil) -> EndpointSelection? {
        pick(hash: hash, afterTrying: avoiding.map { [$0] } ?? [])
    }

    func pick(
        hash: UInt64? = nil,
        afterTrying tried: ContiguousArray<Int>
    ) -> EndpointSelection? {
        selector.pick(hash: hash, avoiding: tried, now: now)
    }

    /// Begins an attempt at `index`, whatever the algorithm would choose.
    func selection(_ index: Int, isProbe: Bool = false) -> EndpointSelection {
        EndpointSelection(
            index: index,
            isProbe: isProbe,
            isPanic: false,
            id: selector.records[index].id
        )
    }

    @discardableResult
    func finish(
        _ selection: EndpointSelection,
        _ outcome: AttemptOutcome = .success,
        milliseconds: Int = 10
    ) -> EndpointEvent? {
        selector.finished(
            selection,
            outcome,
            latencyNanoseconds: UInt64(milliseconds) * 1_000_000,
            now: now
        )
    }

    /// A whole attempt at `index` that takes no time of the clock.
    @discardableResult
    func attempt(
        _ index: Int,
        _ outcome: AttemptOutcome = .success,
        milliseconds: Int = 10
    ) -> EndpointEvent? {
        let selection = selection(index)
        selector.started(selection, now: now)
        return finish(selection, outcome, milliseconds: milliseconds)
    }

    /// Fails `index` until it is ejected.
    @discardableResult
    func eject(_ index: Int) -> EndpointEvent? {
        for _ in 0..<5 {
            if let event = attempt(index, .failure) { return event }
        }
        return nil
    }

    /// How often each of the endpoints is picked in `picks` picks that are never started.
    func shares(_ picks: Int, avoiding: Int? = nil) -> [Double] {
        var counts = [Int](repeating: 0, count: selector.count)
        for _ in 0..<picks {
            if let selection = pick(avoiding: avoiding) { counts[selection.index] += 1 }
        }
        return counts.map { Double($0) / Double(picks) }
    }

    /// Shares of one request a millisecond for `seconds`, each endpoint answering after its latency.
    func load(
        seconds: Int,
        perMillisecond: Int = 1,
        outcome: (Int) -> AttemptOutcome = { _ in .success },
        milliseconds: (Int) -> Int
    ) -> [Double] {
        var running: [(end: Int, EndpointSelection, start: Int)] = []
        var counts = [Int](repeating: 0, count: selector.count)
        for tick in 0..<seconds * 1_000 {
            let ended = running.filter { $0.end <= tick }
            running.removeAll { $0.end <= tick }
            for one in ended {
                finish(one.1, outcome(one.1.index), milliseconds: tick - one.start)
            }
            _ = selector.advance(now: now)
            for _ in 0..<perMillisecond {
                guard let selection = pick() else { continue }
                selector.started(selection, now: now)
                counts[selection.index] += 1
                running.append((tick + milliseconds(selection.index), selection, tick))
            }
            pass(milliseconds: 1)
        }
        for one in running { finish(one.1, .neutral) }
        let sum = Double(counts.reduce(0, +))
        return counts.map { Double($0) / sum }
    }
}

extension Double {
    /// Whether it is within `part` of `other`, which is not 0.
    func isNear(_ other: Double, within part: Double) -> Bool {
        abs(self - other) <= abs(other) * part
    }
}
