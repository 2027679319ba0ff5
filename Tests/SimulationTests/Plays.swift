import HTTP
import MeshModel
import Simulation
import Testing
import Time
import Traffic

// The kinds of plays: what is drawn for each, and what it must come to.

extension Play {
    static func split(_ random: inout FastRandom) throws -> Play {
        let weights = (0..<random.number(2...4)).map { _ in UInt32(random.number(1...100)) }
        let changed = weights.map { _ in UInt32(random.number(0...100)) }
        // Half of the updates leave the weights alone: then the schedule goes on over them.
        let after = random.chance(50) || changed.allSatisfy { $0 == 0 } ? weights : changed
        let workers = random.number(1...4)
        let duration = 7
        let load = CallerLoad(
            workload: try TestMesh.id(0),
            request: SimulatedRequest(host: "split"),
            arrivals: random.arrivals(160...190)
        )
        let scenario = Scenario(
            duration: .seconds(duration),
            workers: workers,
            callers: [load]
        )
        let change = random.milliseconds(500...6_500)
        let spread = random.milliseconds(1...200)
        var play = Play(.split, scenario, [try splitSnapshot(weights)])
        play.changes = [
            ConfigurationChange(at: change, spread: spread, snapshot: try splitSnapshot(after))
        ]
        if weights == after {
            play.epochs = [Epoch(weights: weights) { _ in true }]
        } else {
            let step = spread.nanoseconds / UInt64(workers)
            let isNew = { (request: RequestRecord) in
                let taken = change.nanoseconds + step * UInt64(request.worker)
                return request.start.nanoseconds >= taken
            }
            play.epochs = [
                Epoch(weights: weights) { !isNew($0) }, Epoch(weights: after, holds: isNew),
            ]
        }
        play.check = { record in
            record.requests.allSatisfy { $0.end == .succeeded } ? [] : ["a request failed"]
        }
        return play
    }

    private static func splitSnapshot(_ weights: [UInt32]) throws -> MeshSnapshot {
        try MeshSnapshot(
            version: 1,
            trustDomain: #require(TrustDomain("mesh.internal")),
            workload: try TestMesh.id(0),
            trustBundle: [],
            inbound: InboundService(name: "web.default"),
            services: [
                VirtualService(
                    name: "split.default",
                    hosts: ["split"],
                    port: 80,
                    routes: [
                        Route(
                            name: "split/0",
                            backends: weights.enumerated().map {
                                WeightedCluster(cluster: "v\($0).default", weight: $1)
                            }
                        )
                    ]
                )
            ],
            clusters: weights.indices.map { index in
                Cluster(
                    name: "v\(index).default",
                    security: .plaintext,
                    endpoints: [Endpoint(target: TestMesh.endpoint(index, 0))]
                )
            }
        )
    }

    /// Every hop of four retries, and nothing is answered at the end.
    static func totalFailure(_ random: inout FastRandom) throws -> Play {
        let hops = 4
        let budget = RetryBudget(
            share: random.percent(0...50),
            window: .seconds(random.number(1...10)),
            perSecond: random.number(0...5)
        )
        let retry = RetryPolicy(
            attempts: random.number(1...4),
            conditions: [.reset, .perTryTimeout],
            statuses: [500, 502, 503, 504],
            backoff: Backoff(base: .milliseconds(1), max: random.milliseconds(1...50)),
            hedge: random.chance(25) ? Hedge(delay: .milliseconds(20)) : nil
        )
        let mesh = TestMesh(
            services: hops,
            endpoints: random.number(1...3),
            retry: retry,
            request: .seconds(2),
            outliers: random.chance(70) ? .default : nil,
            budget: budget
        )
        let kinds: [EndpointFault.Kind] = [
            .errors(share: .all, status: 503, grpcCode: 14), .refuse, .crash,
        ]
        let fault = kinds[random.number(0...2)]
        let propagates = random.chance(75)
        let scenario = Scenario(
            duration: .seconds(3),
            workers: random.number(1...3),
            callers: [
                CallerLoad(
                    workload: try TestMesh.id(0),
                    request: SimulatedRequest(host: "s1"),
                    arrivals: random.arrivals(20...60)
                )
            ],
            applications: chain(hops, .constant(.milliseconds(2)), propagates: propagates),
            faults: [EndpointFault(service: TestMesh.name(hops), from: .zero, kind: fault)]
        )
        var play = Play(.totalFailure, scenario, try mesh.snapshots())
        play.budget = budget
        play.outliers = mesh.outliers
        play.propagates = propagates
        play.hops = hops
        play.check = { record in
            guard propagates else { return [] }
            let received = record.requests.count
            let sent = record.clusters.filter { $0.cluster == TestMesh.name(hops) }
                .reduce(0) { $0 + $1.sent }
            let allowed = Double(received) + budget.allowed(received, in: record.end)
            return Double(sent) <= allowed
                ? []
                : ["\(sent) requests reached the last service for \(received), \(allowed) may"]
        }
        return play
    }

    static func chain(
        _ hops: Int,
        _ serviceTime: ServiceTime,
        propagates: Bool
    ) -> [ApplicationBehaviour] {
        (1...hops).map { number in
            ApplicationBehaviour(
                service: TestMesh.name(number),
                serviceTime: serviceTime,
                calls: number == hops ? [] : [SimulatedRequest(host: "s\(number + 1)")],
                propagates: propagates
            )
        }
    }

    /// Any endpoints fail at any time; policies are drawn, too.
    static func manyBadEndpoints(_ random: inout FastRandom) throws -> Play {
        let endpoints = random.number(1...10)
        let outliers = OutlierDetection(
            consecutiveFailures: random.chance(80) ? random.number(1...6) : nil,
            window: .seconds(random.number(1...10)),
            successRateMin: random.chance(80) ? random.percent(10...99) : nil,
            requestsMin: random.number(1...20),
            sigmaThousandths: random.chance(80) ? random.number(500...3_000) : nil,
            sigmaEndpointsMin: random.number(2...5),
            sigmaRequestsMin: random.number(5...50),
            ejection: random.milliseconds(100...3_000),
            ejectionMax: random.milliseconds(3_000...8_000),
            ejectedMax: random.percent(0...100),
            panicBelow: random.percent(0...100)
        )
        let algorithms: [LoadBalancing.Algorithm] = [
            .peakEWMA, .leastRequest, .roundRobin, .random,
        ]
        let mesh = TestMesh(
            endpoints: endpoints,
            retry: RetryPolicy(
                attempts: random.number(0...3),
                conditions: [.reset, .perTryTimeout],
                statuses: [503],
                perTryTimeout: random.milliseconds(30...300)
            ),
            request: random.chance(50) ? .seconds(1) : nil,
            outliers: outliers,
            balancing: LoadBalancing(
                algorithm: algorithms[random.number(0...3)],
                slowStart: random.chance(30) ? SlowStart(window: .seconds(2)) : nil
            ),
            healthCheck: random.chance(30)
                ? HealthCheck(kind: .tcp, interval: random.milliseconds(200...1_000)) : nil
        )
        let faults = (0..<random.number(1...8)).map { _ in
            fault(&random, endpoint: random.number(0...endpoints - 1))
        }
        let scenario = Scenario(
            duration: .seconds(6),
            workers: random.number(1...2),
            callers: [
                CallerLoad(
                    workload: try TestMesh.id(0),
                    request: SimulatedRequest(host: "s1"),
                    arrivals: random.arrivals(60...140)
                )
            ],
            applications: [
                ApplicationBehaviour(
                    service: TestMesh.name(1),
                    serviceTime: random.serviceTime(2...10)
                )
            ],
            faults: faults
        )
        var play = Play(.manyBadEndpoints, scenario, try mesh.snapshots())
        play.budget = .default
        // Health checks may set any number aside.
        if mesh.healthCheck == nil { play.outliers = outliers }
        play.check = { record in
            // With a panic threshold there is always someone to ask.
            let none = record.localReplies["no_endpoint"] ?? 0
            guard outliers.panicBelow.millionths >= 1_000_000 / 11 || mesh.healthCheck == nil,
                none > 0, outliers.panicBelow != .none
            else { return [] }
            return ["\(none) requests found no endpoint"]
        }
        return play
    }

    private static func fault(_ random: inout FastRandom, endpoint: Int) -> EndpointFault {
        let kinds: [EndpointFault.Kind] = [
            .errors(share: random.percent(10...100), status: 503, grpcCode: 14),
            .errors(share: random.percent(10...100), status: 500, grpcCode: 13),
            .slow(factor: Double(random.number(2...50))), .blackHole, .refuse, .crash,
            .applicationDown,
            .overload(share: random.percent(10...100), retryAfter: .milliseconds(50)),
        ]
        let from = random.number(0...5_000)
        return EndpointFault(
            service: TestMesh.name(1),
            endpoint: TestMesh.endpoint(1, endpoint),
            from: .milliseconds(from),
            until: .milliseconds(from + random.number(10...4_000)),
            kind: kinds[random.number(0...kinds.count - 1)]
        )
    }

    /// Callers leave at all times, and nothing else happens.
    static func leavingCallers(_ random: inout FastRandom) throws -> Play {
        let mesh = TestMesh(
            services: random.number(1...3),
            retry: RetryPolicy(conditions: [.reset, .perTryTimeout], statuses: [503]),
            balancing: LoadBalancing(algorithm: random.chance(50) ? .peakEWMA : .roundRobin)
        )
        let time = random.number(5...40)
        func load(_ share: Share) throws -> CallerLoad {
            CallerLoad(
                workload: try TestMesh.id(0),
                request: SimulatedRequest(host: "s1"),
                arrivals: random.arrivals(30...120),
                leaving: (share, after: .exponential(mean: .milliseconds(time)))
            )
        }
        let scenario = Scenario(
            duration: .seconds(3),
            workers: random.number(1...3),
            callers: [try load(random.percent(20...100)), try load(.none)],
            applications: chain(mesh.services, .constant(.milliseconds(time)), propagates: true)
        )
        var play = Play(.leavingCallers, scenario, try mesh.snapshots())
        play.budget = .default
        play.outliers = .default
        play.propagates = true
        play.hops = mesh.services
        play.check = { record in
            var broken: [String] = []
            if !record.standings.isEmpty { broken.append("an endpoint was set aside") }
            if record.clusters.contains(where: { $0.retries > 0 || !$0.refusals.isEmpty }) {
                broken.append("a retry was made, or thought of")
            }
            if record.requests.contains(where: { $0.end == .failed }) {
                broken.append("a request failed")
            }
            if record.requests.contains(where: { $0.load == 1 && $0.end != .succeeded }) {
                broken.append("a request whose caller stayed was not answered")
            }
            return broken
        }
        return play
    }

    /// A chain under a deadline, whose last service is slow or silent.
    static func deadline(_ random: inout FastRandom) throws -> Play {
        let hops = random.number(1...4)
        let mesh = TestMesh(
            services: hops,
            retry: RetryPolicy(
                attempts: random.number(1...4),
                conditions: [.perTryTimeout, .reset],
                statuses: [503],
                backoff: Backoff(base: .milliseconds(10), max: random.milliseconds(10...400)),
                perTryTimeout: random.chance(70) ? random.milliseconds(20...150) : nil,
                hedge: random.chance(30) ? Hedge(delay: .milliseconds(30)) : nil,
                retryAfterMax: .seconds(5)
            ),
            request: random.chance(50) ? random.milliseconds(100...400) : nil
        )
        let kinds: [EndpointFault.Kind] = [
            .blackHole, .slow(factor: 40), .errors(share: .all, status: 503, grpcCode: 14), .refuse,
            .overload(share: .all, retryAfter: .milliseconds(200)),
        ]
        let scenario = Scenario(
            duration: .seconds(4),
            workers: random.number(1...2),
            networkDelay: random.milliseconds(0...3),
            callers: [
                CallerLoad(
                    workload: try TestMesh.id(0),
                    request: SimulatedRequest(host: "s1"),
                    arrivals: random.arrivals(20...70),
                    timeout: random.milliseconds(50...300)
                )
            ],
            applications: chain(hops, random.serviceTime(2...20), propagates: true),
            faults: [
                EndpointFault(
                    service: TestMesh.name(hops),
                    from: .seconds(1),
                    until: .seconds(3),
                    kind: kinds[random.number(0...kinds.count - 1)]
                )
            ]
        )
        var play = Play(.deadline, scenario, try mesh.snapshots())
        play.budget = .default
        play.outliers = .default
        play.propagates = true
        play.hops = hops
        play.check = { record in
            let longest = scenario.callers[0].timeout?.nanoseconds ?? .max
            return record.requests.contains { $0.nanoseconds > longest }
                ? ["a caller waited longer than its deadline"] : []
        }
        return play
    }

    /// One of three endpoints refuses with 429, faster than the others answer.
    static func overload(_ random: inout FastRandom) throws -> Play {
        let mesh = TestMesh(retry: RetryPolicy(statuses: [429]))
        let scenario = Scenario(
            duration: .seconds(6),
            workers: random.number(1...2),
            callers: [
                CallerLoad(
                    workload: try TestMesh.id(0),
                    request: SimulatedRequest(host: "s1"),
                    arrivals: random.arrivals(60...150)
                )
            ],
            applications: [
                ApplicationBehaviour(
                    service: TestMesh.name(1),
                    serviceTime: random.serviceTime(5...30)
                )
            ],
            faults: [
                EndpointFault(
                    service: TestMesh.name(1),
                    endpoint: TestMesh.endpoint(1, 1),
                    from: .seconds(1),
                    kind: .overload(share: .all, retryAfter: nil)
                )
            ]
        )
        var play = Play(.overload, scenario, try mesh.snapshots())
        play.budget = .default
        play.outliers = .default
        play.check = { record in
            var broken: [String] = []
            if !record.standings.isEmpty { broken.append("an overloaded endpoint was set aside") }
            let late = record.attempts.filter { $0.start >= .seconds(2) }
            let share = Double(late.filter { $0.endpoint == 1 }.count) / Double(late.count)
            if share > 0.05 {
                broken.append("an endpoint that refuses attracts \(share) of the requests")
            }
            return broken
        }
        return play
    }
}
