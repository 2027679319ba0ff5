// One worker's view of a cluster: its endpoints' pools, its balancer and its bounds.
//
// Invariants:
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
final class UpstreamCluster {
    let worker: Worker
    let cluster: Cluster
    let direction: Direction
    let connectTimeoutNanoseconds: UInt64
    let idleTimeoutNanoseconds: UInt64
    private(set) var pools: ContiguousArray<EndpointPool> = []
    /// Nil when all endpoints are literals.
    private var names: EndpointNames?
    private var balancer: RoundRobinBalancer
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
        balancer = RoundRobinBalancer(offset: worker.index)
        let keeps = previous?.cluster.security == cluster.security
        leavesVersionToCaller = cluster.security == .plaintext && cluster.protocol == .auto
        let spoken = Self.spoken(with: cluster)
        if cluster.endpoints.contains(where: { $0.address == nil }) {
            let names = EndpointNames(worker: worker, endpoints: cluster.endpoints) {
                [unowned self] in followNames()
            }
            names.onWaitedTooLong = { [unowned self] in endWait() }
            self.names = names
        }
        let addresses = names?.addresses ?? cluster.endpoints.compactMap(\.address)
        for address in addresses {
            let known = keeps ? previous?.pools.first { $0.leads(to: address, spoken) } : nil
            known?.move(to: self)
            pools.append(
                known ?? EndpointPool(owner: self, address: address, spoken: spoken)
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
        pools = ContiguousArray(
            names.addresses.map { address in
                before.first { $0.leads(to: address, spoken) }
                    ?? EndpointPool(owner: self, address: address, spoken: spoken)
            }
        )
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

    private static func spoken(with cluster: Cluster) -> UpstreamProtocol {
        switch cluster.protocol {
        case .http1, .tcp: .http1
        case .http2: .http2
        case .auto: cluster.security == .plaintext ? .http1 : .negotiated
        }
    }

    /// Whether nothing runs, waits or is connected.
    var isUnused: Bool { runningRequests == 0 && connectionCount == 0 && pendingCount == 0 }

    /// Takes an exchange in; false when too many run.
    func beginRequest() -> Bool {
        runningRequests += 1
        guard runningRequests > cluster.limits.requests else { return true }
        return false
    }

    /// The exchange that `beginRequest` counted is over.
    func endRequest() {
        precondition(runningRequests > 0)
        runningRequests -= 1
    }

    /// The endpoint for the next attempt of an application that speaks `version`; another one than
    /// `previous` if there is any.
    func pick(avoiding previous: EndpointPool?, for version: HTTPVersion) -> EndpointPool? {
        let pools = pools
        var index = 0
        if pools.count > 1 {
            index =
                balancer.pick(
                    count: pools.count,
                    excluding: { pools[$0].isSameEndpoint(as: previous) }
                ) ?? 0
        } else if pools.isEmpty {
            return nil
        }
        let pool = pools[index]
        return leavesVersionToCaller && version == .http2 ? pool.asHTTP2() : pool
    }

    /// Makes room below the bound on connections; false when all of them are in use.
    ///
    /// Without this an unused connection to one endpoint would keep all others from being reached.
    func closeOneIdle() -> Bool { pools.contains { $0.closeOldestIdle() } }

    /// A retired pool has nothing left to do.
    func forget(_ pool: EndpointPool) { pools.removeAll { $0 === pool } }

    /// The cluster is not in the new snapshot: unused connections go, used ones end with their
    /// exchange.
    func retire(keeping kept: UpstreamCluster?) {
        names?.cancel()
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
