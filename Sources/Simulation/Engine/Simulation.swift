// A mesh in virtual time, played from a seed.
//
// What it is: an event loop over a heap of events. Proxies decide with the code of `Traffic`, the same
// objects that the real proxy holds; what the proxy's exchange does around those decisions is mirrored
// in `Mesh/MirroredExchange.swift` and nowhere else.
// What it is not: a model of bytes. Heads, bodies, connections and flow control are not played; neither
// are mirrors, load shedding by a late event loop, and bounds on connections.
//
// Invariants:
// - one seed, one scenario and one set of snapshots give one record, on every machine
// - no event is earlier than the one before it
// - every exchange that began ends once

import Bytes
import HTTP
public import MeshModel
import Time
import Traffic

/// What a simulation cannot be made of.
public struct SimulationError: Error, Sendable, Equatable, CustomStringConvertible {
    /// For the scenario's author.
    public let description: String
}

/// A new snapshot for all proxies of a workload.
public struct ConfigurationChange: Sendable {
    /// When the first worker takes it up, from the start.
    public let at: Duration
    /// From the first worker that takes it up to the last.
    public let spread: Duration
    /// What it says.
    public let snapshot: MeshSnapshot

    /// Makes a change.
    public init(at: Duration, spread: Duration = .zero, snapshot: MeshSnapshot) {
        self.at = at
        self.spread = spread
        self.snapshot = snapshot
    }
}

/// One run; made, run once, and read.
public final class Simulation {
    let scenario: Scenario
    /// Without retries, ejections, health checks and limits, and in turn.
    let isBare: Bool
    let changes: [ConfigurationChange]
    var queue = EventQueue()
    var now = MonotonicTime(nanoseconds: 0)
    var proxies: ContiguousArray<SimulatedProxy> = []
    var workers: ContiguousArray<SimulatedWorker> = []
    var clusters: ContiguousArray<SimulatedCluster> = []
    var loads: ContiguousArray<SimulatedLoad> = []
    var exchanges: ContiguousArray<SimulatedExchange> = []
    var attempts: ContiguousArray<SimulatedAttempt> = []
    var freeExchanges: ContiguousArray<SimulatedExchange> = []
    var freeAttempts: ContiguousArray<SimulatedAttempt> = []
    var snapshots: [SPIFFEID: MeshSnapshot] = [:]
    var endpointProxies: [EndpointTarget: SimulatedProxy] = [:]
    var seeds: FastRandom
    var record = RunRecord()
    let delayNanoseconds: UInt64
    /// What travels is written and read here.
    let fields = FieldBlock()
    let scratch = ByteBuffer()
    /// Arrivals still to come, and exchanges of callers that run: both 0 means the play is over.
    var arrivalsPending = 0
    var exchangesRunning = 0
    var requestsBegun = 0
    private let giveUpAt: MonotonicTime

    /// Sets the stage; throws what does not fit together.
    ///
    /// - `snapshots`: of every workload that takes part.
    /// - `isBare`: the same mesh without retries, ejections, health checks and concurrency limits, its
    ///   endpoints used in turn.
    public init(
        snapshots: [MeshSnapshot],
        scenario: Scenario,
        changes: [ConfigurationChange] = [],
        seed: UInt64,
        isBare: Bool = false
    ) throws(SimulationError) {
        self.scenario = scenario
        self.changes = changes
        self.isBare = isBare
        seeds = FastRandom(seed: seed)
        delayNanoseconds = scenario.networkDelay.nanoseconds
        giveUpAt = Simulation.start + scenario.duration + Simulation.patience
        record.seed = seed
        for snapshot in snapshots { self.snapshots[snapshot.workload] = snapshot }
        try setStage()
    }

    /// Plays to the end.
    public func run() -> RunRecord {
        while let event = queue.next() {
            guard event.time <= giveUpAt else { break }
            precondition(event.time >= now)
            now = event.time
            record.eventCount += 1
            handle(event)
            if arrivalsPending == 0, exchangesRunning == 0 { break }
        }
        // Who still waits has waited long enough to be counted as failed.
        for exchange in exchanges where exchange.isRunning && exchange.parent == nil {
            abandon(exchange, counting: .failed)
        }
        record.end = now
        record.clusters = clusters.map(\.record)
        return record
    }

    private func handle(_ event: Event) {
        let subject = Int(event.subject)
        switch event.kind {
        case .arrival: arrive(loads[subject])
        case .attemptEnd, .applicationCalls, .perTryTimeout:
            let attempt = attempts[subject]
            if attempt.stamp == event.stamp { handle(event.kind, attempt) }
        case .retry, .hedge, .deadline, .cancel:
            let exchange = exchanges[subject]
            if exchange.stamp == event.stamp { handle(event.kind, exchange) }
        case .crash: cutOff(fault: subject)
        case .balancer: advance(clusters[subject])
        case .healthCheck: checkHealth(clusters[subject])
        case .configuration: configure(workers[subject], changes[Int(event.stamp)].snapshot)
        }
    }

    private func handle(_ kind: Event.Kind, _ attempt: SimulatedAttempt) {
        switch kind {
        case .attemptEnd: ended(attempt)
        case .applicationCalls: callNext(attempt)
        default: perTryTimedOut(attempt)
        }
    }

    private func handle(_ kind: Event.Kind, _ exchange: SimulatedExchange) {
        switch kind {
        case .retry: resume(exchange)
        case .hedge: hedge(exchange)
        case .deadline: deadlinePassed(exchange)
        default: abandon(exchange, counting: .abandoned)
        }
    }

    // MARK: Callers

    private func arrive(_ load: SimulatedLoad) {
        arrivalsPending -= 1
        let choice = load.random.next()
        let proxy = load.proxies[Int(choice >> 32) % load.proxies.count]
        let worker = proxy.workers[Int(choice & 0xFFFF) % proxy.workers.count]
        let leavesAfter = load.leavesAfter()
        scheduleArrival(load, after: load.gapNanoseconds())
        var received = Received()
        received.timeoutNanoseconds = load.load.timeout?.nanoseconds
        let exchange = begin(worker, call: load.call, received, load: load.index, parent: nil)
        if let leavesAfter, let exchange {
            let time = now.advanced(byNanoseconds: leavesAfter)
            queue.add(Event(.cancel, at: time, subject: exchange.id, stamp: exchange.stamp))
        }
    }

    /// A caller's request has ended: the next of a closed loop may come.
    func callerIsFree(_ index: Int) {
        let load = loads[index]
        guard case .closed(_, let thinkTime) = load.load.arrivals else { return }
        scheduleArrival(load, after: thinkTime.nanoseconds)
    }

    func scheduleArrival(_ load: SimulatedLoad, after gap: UInt64?) {
        guard let gap else { return }
        let time = now.advanced(byNanoseconds: gap)
        guard time < load.until, load.started < SimulationLimits.requestsMax else { return }
        load.started += 1
        arrivalsPending += 1
        queue.add(Event(.arrival, at: time, subject: load.index))
    }

    // MARK: Faults

    /// What runs at a crashed endpoint is cut off, and its connections are gone.
    private func cutOff(fault: Int) {
        for attempt in attempts
        where attempt.isRunning && attempt.proxy.application?.has(fault: fault) == true {
            let reused = attempt.exchange.cluster.hasConnection[attempt.selection.index]
            attempt.result = .reset(connectionWasReused: reused)
            ended(attempt)
        }
        for cluster in clusters {
            for (index, proxy) in cluster.endpoints.enumerated()
            where proxy.application?.has(fault: fault) == true {
                cluster.hasConnection[index] = false
            }
        }
    }

    // MARK: Health of endpoints

    private func advance(_ cluster: SimulatedCluster) {
        if cluster.timerAt > now { return }
        cluster.timerAt = .distantFuture
        for event in cluster.selector.advance(now: now) { note(event, cluster) }
        armTimer(cluster)
    }

    /// Sees that the selector is called when it is due, as the proxy's timer does.
    func armTimer(_ cluster: SimulatedCluster) {
        guard let due = cluster.selector.nextDue, due < cluster.timerAt else { return }
        cluster.timerAt = max(due, now)
        queue.add(Event(.balancer, at: cluster.timerAt, subject: cluster.id))
    }

    func note(_ event: EndpointEvent, _ cluster: SimulatedCluster) {
        let count = cluster.selector.count
        record.standings.append(
            StandingRecord(
                time: now,
                cluster: cluster.id,
                event: event,
                endpointCount: count,
                unhealthyCount: count - cluster.selector.healthyCount
            )
        )
    }

    private func checkHealth(_ cluster: SimulatedCluster) {
        guard let check = cluster.cluster.healthCheck else { return }
        for (index, proxy) in cluster.endpoints.enumerated() {
            let isWell = proxy.application?.isWell(at: now, within: check.timeout) ?? true
            if let event = cluster.selector.healthChecked(index, isWell: isWell, now: now) {
                note(event, cluster)
            }
        }
        armTimer(cluster)
        let next = cluster.jittered(check.interval.nanoseconds)
        let time = now.advanced(byNanoseconds: next)
        queue.add(Event(.healthCheck, at: time, subject: cluster.id))
    }

    /// Nobody waits longer than this past the scenario's end.
    private static let patience: Duration = .seconds(30)
    static let start = MonotonicTime(nanoseconds: 0)
}

/// A load while it is played.
final class SimulatedLoad {
    let index: Int
    let load: CallerLoad
    let proxies: [SimulatedProxy]
    let call: Int
    let until: MonotonicTime
    var random: FastRandom
    var started = 0

    init(
        index: Int,
        load: CallerLoad,
        proxies: [SimulatedProxy],
        call: Int,
        until: MonotonicTime,
        seed: UInt64
    ) {
        self.index = index
        self.load = load
        self.proxies = proxies
        self.call = call
        self.until = until
        random = FastRandom(seed: seed)
    }

    /// Until the next request of an open load; nil for a closed one.
    func gapNanoseconds() -> UInt64? {
        switch load.arrivals {
        case .poisson(let rate): UInt64(exponentialSample(&random) / rate * 1e9)
        case .fixed(let rate): UInt64(1e9 / rate)
        case .closed: nil
        }
    }

    /// When the next caller leaves; nil when it stays.
    func leavesAfter() -> UInt64? {
        guard let leaving = load.leaving else { return nil }
        let leaves = uniform(&random) < leaving.share.fraction
        let after = leaving.after.sample(&random)
        return leaves ? after : nil
    }
}

extension String {
    /// Whether this is a cluster of `service`: itself, a port or a subset of it.
    func isSame(service: String) -> Bool {
        guard hasPrefix(service) else { return false }
        guard let next = dropFirst(service.count).first else { return true }
        return next == "/" || next == ":"
    }
}
