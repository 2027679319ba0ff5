import MeshModel
import Simulation
import Testing
import Time
import Traffic

// One endpoint of three is bad for some seconds.

extension Play {
    static func badEndpoint(_ random: inout FastRandom) throws -> Play {
        let time = random.number(3...10)
        let algorithms: [LoadBalancing.Algorithm] = [
            .peakEWMA, .peakEWMA, .leastRequest, .roundRobin,
        ]
        let mesh = TestMesh(
            retry: RetryPolicy(
                conditions: [.reset, .perTryTimeout],
                statuses: [503],
                perTryTimeout: .milliseconds(time * 12)
            ),
            balancing: LoadBalancing(algorithm: algorithms[random.number(0...3)])
        )
        let kinds: [EndpointFault.Kind] = [
            .errors(share: .all, status: 503, grpcCode: 14), .slow(factor: 20), .blackHole, .refuse,
            .crash, .applicationDown,
        ]
        let kind = kinds[random.number(0...kinds.count - 1)]
        let from = Duration.milliseconds(random.number(1_500...2_500))
        let until = from + random.milliseconds(3_000...7_000)
        let scenario = Scenario(
            duration: until + .seconds(10),
            workers: random.number(1...2),
            callers: [
                CallerLoad(
                    workload: try TestMesh.id(0),
                    request: SimulatedRequest(host: "s1"),
                    arrivals: random.arrivals(70...110)
                )
            ],
            applications: [
                ApplicationBehaviour(
                    service: TestMesh.name(1),
                    serviceTime: random.chance(50)
                        ? .constant(.milliseconds(time))
                        : .exponential(mean: .milliseconds(time))
                )
            ],
            faults: [
                EndpointFault(
                    service: TestMesh.name(1),
                    endpoint: TestMesh.endpoint(1, 0),
                    from: from,
                    until: until,
                    kind: kind
                )
            ]
        )
        var play = Play(.badEndpoint, scenario, try mesh.snapshots())
        play.budget = .default
        play.outliers = .default
        play.check = { BadEndpoint($0, from: from, until: until).broken() }
        return play
    }
}

/// What callers and endpoints see of endpoint 0's bad time.
struct BadEndpoint {
    let record: RunRecord
    let from: MonotonicTime
    let until: MonotonicTime

    init(_ record: RunRecord, from: Duration, until: Duration) {
        self.record = record
        self.from = MonotonicTime(nanoseconds: from.nanoseconds)
        self.until = MonotonicTime(nanoseconds: until.nanoseconds)
    }

    func broken() -> [String] {
        var broken: [String] = []
        let failures = failureShare(from: from + .seconds(1), to: until)
        if failures >= 0.01 { broken.append("\(failures) of the requests fail after a second") }
        let use = share(from: from + .seconds(2), to: until)
        // A fifth of what the others have: what is only slow still answers now and then.
        if use > 1 / 15 {
            broken.append("the bad endpoint still has \(use) of the requests after 2 s")
        }
        broken += absence() + herd()
        return broken
    }

    private func failureShare(from: MonotonicTime, to: MonotonicTime) -> Double {
        let requests = record.requests.filter { $0.start >= from && $0.start < to }
        return Double(requests.filter { $0.end == .failed }.count) / Double(max(requests.count, 1))
    }

    private func share(from: MonotonicTime, to: MonotonicTime) -> Double {
        let attempts = record.attempts.filter { $0.start >= from && $0.start < to }
        let own = attempts.filter { $0.endpoint == 0 && !$0.isProbe }.count
        return Double(own) / Double(max(attempts.count, 1))
    }

    /// Within ten seconds of its recovery the endpoint serves again, and no worker keeps it out.
    private func absence() -> [String] {
        let back = until + .seconds(10)
        let served = record.attempts.filter {
            $0.start >= until && $0.start < back && $0.endpoint == 0 && !$0.isProbe
        }
        var broken: [String] = []
        if served.count < 5 {
            broken.append("the endpoint has \(served.count) requests in 10 s after its recovery")
        }
        for (cluster, standings) in Dictionary(grouping: record.standings, by: \.cluster) {
            guard let last = standings.last(where: { $0.time <= back }) else { continue }
            if last.unhealthyCount > 0 {
                let worker = record.clusters[cluster].worker
                broken.append("worker \(worker) keeps the endpoint out 10 s after its recovery")
            }
        }
        return broken
    }

    /// In no 100 ms after its return the endpoint gets more than it can bear: of the choice of two
    /// out of three an endpoint has 2/3 at most, however good it looks.
    private func herd() -> [String] {
        let late = record.attempts.filter { $0.start >= until }
        var start = 0
        for (index, attempt) in late.enumerated() {
            while attempt.start.nanoseconds - late[start].start.nanoseconds > 100_000_000 {
                start += 1
            }
            let window = late[start...index]
            let count = window.filter { $0.endpoint == 0 }.count
            // Chance: three deviations above 2/3 of them.
            let fair = Double(window.count) * 2 / 3
            if Double(count) > fair + 3 * (fair / 3).squareRoot() + 2 {
                return ["\(count) of \(window.count) requests within 100 ms of a return"]
            }
        }
        return []
    }
}
