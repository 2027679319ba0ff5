// One worker's view of a cluster: its endpoints' pools, which of them takes the next attempt, and its
// bounds.
//
// Invariants:
// - the pools are the selector's members, in the same order
// - `runningRequests` counts exchanges between `beginRequest` and `endRequest`
// - `connectionCount` and `pendingCount` are the sums over the pools, kept by the pools; those who
//   wait for a name's addresses count as pending too
// - `pools` are those of the addresses known now; a pool whose address has gone ends by itself

import HTTP
import MeshModel
import Reactor
import Telemetry
import Time
import Traffic

/// A cluster as one worker uses it.
///
/// Kept over a new snapshot when its configuration is the same.
final class UpstreamCluster: TimerTarget {
    let worker: Worker
    let cluster: Cluster
    let direction: Direction
    let connectTimeoutNanoseconds: UInt64
    let idleTimeoutNanoseconds: UInt64
    private(set) var pools: ContiguousArray<EndpointPool> = []
    /// Nil when all endpoints are literals.
    private var names: EndpointNames?
    let selector: EndpointSelector
    /// What all workers may spend on retries; nil: no bound but attempts.
    let budget: SharedRetryBudget?
    private var adaptiveLimit: AdaptiveLimit?
    private let isAdaptive: Bool
    private let hashSource: CompiledHashSource?
    /// The cluster of a later snapshot that has taken its endpoints over.
    private var successor: UpstreamCluster?
    /// Ends ejections, and judges endpoints that get no requests any more.
    private let healthTimer = Timer()
    /// Nil unless the cluster asks for checks.
    private var healthChecker: HealthChecker?
    private let leavesVersionToCaller: Bool
    private(set) var runningRequests = 0
    var connectionCount = 0
    var pendingCount = 0

    /// `reusing`: the pools of an earlier snapshot whose connections are still what is wanted.
    init(
        worker: Worker,
        cluster: Cluster,
        direction: Direction,
        reusing previous: UpstreamCluster?
    ) {
        self.worker = worker
        self.cluster = cluster
        self.direction = direction
        connectTimeoutNanoseconds = cluster.connectTimeout.nanoseconds
        idleTimeoutNanoseconds = cluster.idleTimeout.nanoseconds
        if let previous, previous.selects(as: cluster) {
            selector = previous.selector
        } else {
            selector = EndpointSelector(
                cluster,
                own: worker.locality,
                seed: worker.nextRandom()
            )
        }
        budget = cluster.retryBudget.map {
            worker.shared.budget("\(direction.label)/\(cluster.name)", $0)
        }
        hashSource = cluster.balancing.hash.map { CompiledHashSource($0) }
        isAdaptive = cluster.adaptiveConcurrency != nil
        adaptiveLimit = cluster.adaptiveConcurrency.map { AdaptiveLimit($0) }
        let keeps = previous?.cluster.security == cluster.security
        leavesVersionToCaller = cluster.security == .plaintext && cluster.protocol == .auto
        let spoken = Self.spoken(with: cluster)
        super.init()
        if cluster.endpoints.contains(where: { $0.address == nil }) {
            let names = EndpointNames(worker: worker, endpoints: cluster.endpoints) {
                [unowned self] in followNames()
            }
            names.onWaitedTooLong = { [unowned self] in endWait() }
            self.names = names
        }
        let members = self.members
        var before: [SocketAddress: EndpointPool] = [:]
        if keeps {
            for pool in previous?.pools ?? [] where pool.spoken == spoken {
                before[pool.socketAddress] = pool
            }
        }
        pools = ContiguousArray(
            members.map { member in
                guard let known = before[member.key] else {
                    return EndpointPool(owner: self, address: member.key, spoken: spoken)
                }
                known.move(to: self)
                return known
            }
        )
        selector.update(members, now: worker.loop.now)
        armHealthTimer()
        healthChecker = cluster.healthCheck.map { HealthChecker(of: self, by: $0) }
        healthChecker?.follow(pools)
    }

    /// Whether what is known of endpoints' health and speed is worth the same under `other`.
    private func selects(as other: Cluster) -> Bool {
        cluster.balancing == other.balancing && cluster.outlierDetection == other.outlierDetection
            && cluster.healthCheck == other.healthCheck
    }

    /// The endpoints known now; names stand for each of their addresses.
    private var members: [EndpointMember] {
        if let names { return names.members }
        var known: Set<SocketAddress> = []
        return cluster.endpoints.compactMap { endpoint in
            guard let address = endpoint.address, known.insert(address).inserted else { return nil }
            return EndpointMember(
                key: address,
                weight: endpoint.weight,
                locality: endpoint.locality
            )
        }
    }

    // MARK: Names of endpoints

    /// Why `pick` found nothing; nil when `receiver` waits: `AttemptReceiver.resolved` or
    /// `unresolved` follows.
    func wait(_ receiver: AttemptReceiver) -> Failure? {
        guard let names else { return .noEndpoint }
        guard names.isPending else { return names.failure }
        guard pendingCount < cluster.limits.pendingRequests else {
            return .overflow(.pendingRequests)
        }
        names.wait(receiver, atMostNanoseconds: connectTimeoutNanoseconds)
        pendingCount += 1
        worker.metrics.adjust(.requestsPending, direction, by: 1)
        return nil
    }

    /// `receiver` waits no longer.
    func withdraw(_ receiver: AttemptReceiver) {
        guard let names, names.withdraw(receiver) else { return }
        leftQueue(1)
    }

    /// Why `pick` found nothing; nil when `tunnel` waits: `Tunnel.resolved` or `unresolved` follows.
    func wait(_ tunnel: Tunnel) -> Failure? {
        guard let names else { return .noEndpoint }
        guard names.isPending else { return names.failure }
        guard pendingCount < cluster.limits.pendingRequests else {
            return .overflow(.pendingRequests)
        }
        names.wait(tunnel, atMostNanoseconds: connectTimeoutNanoseconds)
        pendingCount += 1
        worker.metrics.adjust(.requestsPending, direction, by: 1)
        return nil
    }

    /// `tunnel` waits no longer.
    func withdraw(_ tunnel: Tunnel) {
        guard let names, names.withdraw(tunnel) else { return }
        leftQueue(1)
    }

    /// A name has other addresses: new ones get pools, and pools whose address is gone end with
    /// their exchanges.
    private func followNames() {
        guard let names else { return }
        let spoken = Self.spoken(with: cluster)
        let before = pools
        let members = names.members
        pools = ContiguousArray(
            members.map { member in
                before.first { $0.leads(to: member.key, spoken) }
                    ?? EndpointPool(owner: self, address: member.key, spoken: spoken)
            }
        )
        selector.update(members, now: worker.loop.now)
        healthChecker?.follow(pools)
        for pool in before where !pools.contains(where: { $0 === pool }) { pool.retire() }
        if !pools.isEmpty || !names.isPending { endWait() }
    }

    /// Those who wait go on with what there is.
    private func endWait() {
        guard let names else { return }
        let failure = names.failure
        let tunnels = names.takeWaitingTunnels()
        leftQueue(tunnels.count)
        for tunnel in tunnels {
            if pools.isEmpty { tunnel.unresolved(failure) } else { tunnel.resolved() }
        }
        for receiver in takeWaiters() {
            if pools.isEmpty { receiver.unresolved(failure) } else { receiver.resolved(in: self) }
        }
    }

    private func takeWaiters() -> ContiguousArray<AttemptReceiver> {
        guard let waiters = names?.takeWaiters() else { return [] }
        leftQueue(waiters.count)
        return waiters
    }

    private func leftQueue(_ count: Int) {
        pendingCount -= count
        worker.metrics.adjust(.requestsPending, direction, by: -Int64(count))
    }

    static func spoken(with cluster: Cluster) -> UpstreamProtocol {
        switch cluster.protocol {
        case .http1, .tcp: .http1
        case .http2: .http2
        case .auto: cluster.security == .plaintext ? .http1 : .negotiated
        }
    }

    /// What is known of the endpoints now, for explanations and reports.
    func observation(now: MonotonicTime) -> ObservedCluster {
        ObservedCluster(
            endpoints: zip(members, 0..<selector.count).map { member, index in
                (member, selector.state(index, now: now))
            },
            budgetLeft: budget?.left(now: now),
            isPanic: selector.isInPanic,
            adaptiveLimit: adaptiveLimit?.limit
        )
    }

    /// Whether its endpoints are names of which no address is known yet.
    var isResolving: Bool { pools.isEmpty && names?.isPending ?? false }

    /// Whether endpoints are chosen by a hash of the request.
    var hashes: Bool { hashSource != nil }

    /// The hash that keeps requests together; nil when the request has not what is hashed.
    func hash(_ head: RequestHead, _ caller: Caller?) -> UInt64? {
        guard let hashSource else { return nil }
        let address = caller?.addressBytes ?? []
        return hashSource.hash(head, address: address.span)
    }

    /// Whether nothing runs, waits or is connected.
    var isUnused: Bool { runningRequests == 0 && connectionCount == 0 && pendingCount == 0 }

    /// Takes an exchange in; the bound it exceeds when too many run.
    func beginRequest() -> Failure.Bound? {
        runningRequests += 1
        budget?.deposit(worker: worker.index, now: worker.loop.now)
        if runningRequests > cluster.limits.requests { return .requests }
        return isAdaptive && runningRequests > adaptiveLimit?.limit ?? .max ? .concurrency : nil
    }

    /// The exchange that `beginRequest` counted is over.
    func endRequest() {
        precondition(runningRequests > 0)
        runningRequests -= 1
    }

    /// The endpoint for the next attempt of an application that speaks `version`.
    ///
    /// `hash`: of what the request is to be kept together by; `avoiding`: the endpoints that were tried
    /// before, in that order, which are taken again only if there is no other.
    func pick(
        hash: UInt64?,
        avoiding tried: ContiguousArray<EndpointPool>,
        for version: HTTPVersion
    ) -> (pool: EndpointPool, selection: EndpointSelection)? {
        if let successor {
            return successor.pick(hash: hash, avoiding: tried, for: version)
        }
        var avoided: ContiguousArray<Int> = []
        if !tried.isEmpty {
            avoided = ContiguousArray(
                tried.compactMap { one in pools.firstIndex { $0.isSameEndpoint(as: one) } }
            )
        }
        let now = worker.loop.now
        guard let selection = selector.pick(hash: hash, avoiding: avoided, now: now),
            selection.index < pools.count
        else { return nil }
        selector.started(selection, now: now)
        let pool = pools[selection.index]
        return (leavesVersionToCaller && version == .http2 ? pool.asHTTP2() : pool, selection)
    }

    /// What became of an attempt at the endpoint that `pick` gave.
    func finished(
        _ selection: EndpointSelection,
        _ outcome: AttemptOutcome,
        latencyNanoseconds: UInt64
    ) {
        let now = worker.loop.now
        let event = selector.finished(
            selection,
            outcome,
            latencyNanoseconds: latencyNanoseconds,
            now: now
        )
        // What failed fast or was given up says nothing of how long work takes.
        if isAdaptive, outcome != .neutral {
            adaptiveLimit?.sample(
                latencyNanoseconds: latencyNanoseconds,
                active: runningRequests,
                isDropped: outcome == .failure || outcome == .overload,
                now: now
            )
        }
        if let event {
            note(event)
            armHealthTimer()
        } else if outcome == .failure || selector.isAwaitingTime && !healthTimer.isArmed {
            // A failure may make something due earlier than what the timer is armed for.
            armHealthTimer()
        }
    }

    /// What a health check of the endpoint at `index` found.
    func healthChecked(_ index: Int, isWell: Bool) {
        let now = worker.loop.now
        if let event = selector.healthChecked(index, isWell: isWell, now: now) {
            note(event, restoredBy: "health checks succeeded")
        }
        armHealthTimer()
    }

    private func note(_ event: EndpointEvent, restoredBy reason: StaticString = "probe succeeded") {
        switch event {
        case .ejected(let index, let cause):
            worker.metrics.add(.endpointEjections, direction, label: cause.label)
            worker.logEndpoint("endpoint ejected", cluster.name, address(index), cause.label)
        case .restored(let index):
            worker.metrics.add(.endpointRestorations, direction)
            worker.logEndpoint("endpoint restored", cluster.name, address(index), reason)
        case .probing, .cleared: break
        }
    }

    private func address(_ index: Int) -> String {
        index < pools.count ? pools[index].addressText : "?"
    }

    private func armHealthTimer() {
        guard pools.count > 1, let due = selector.nextDue else {
            if healthTimer.isArmed { worker.loop.timers.cancel(healthTimer) }
            return
        }
        worker.loop.timers.arm(healthTimer, at: due, target: self)
    }

    override func onTimer(_ timer: Timer) {
        for event in selector.advance(now: worker.loop.now) { note(event) }
        armHealthTimer()
    }

    /// Makes room below the bound on connections; false when all of them are in use.
    ///
    /// Without this an unused connection to one endpoint would keep all others from being reached.
    func closeOneIdle() -> Bool { pools.contains { $0.closeOldestIdle() } }

    /// A retired pool has nothing left to do.
    func forget(_ pool: EndpointPool) {
        // Its place stays until the last one goes, as the selector's indexes are places.
        guard pools.allSatisfy({ $0.owner !== self || $0.isRetired && $0.isEmpty }) else {
            return
        }
        pools = []
    }

    /// The cluster is not in the new snapshot: unused connections go, used ones end with their
    /// exchange.
    func retire(keeping kept: UpstreamCluster?) {
        names?.cancel()
        successor = kept
        if healthTimer.isArmed { worker.loop.timers.cancel(healthTimer) }
        healthChecker?.stop()
        let tunnels = names?.takeWaitingTunnels() ?? []
        leftQueue(tunnels.count)
        for tunnel in tunnels { tunnel.unresolved(.noEndpoint) }
        for receiver in takeWaiters() {
            if let kept { receiver.resolved(in: kept) } else { receiver.unresolved(.noEndpoint) }
        }
        for pool in pools where pool.owner === self {
            if let kept, kept.pools.contains(where: { $0 === pool }) { continue }
            pool.retire()
        }
    }
}
