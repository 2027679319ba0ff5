// The connections of one worker to one endpoint.
//
// Idle connections are a stack: the one used last is used next, so that the surplus ages and is
// closed. An exchange that finds none waits; it takes whichever comes first, a new connection or one
// that another exchange gives back.
//
// Invariants:
// - a connection is in exactly one of: dialing, leased, idle
// - as many dials are under way as exchanges wait, up to the cluster's bound on connections

import MeshModel
import Reactor
import Telemetry
import Time

/// What asking for a connection gave.
enum Lease {
    /// A connection is there.
    case ready(UpstreamStream)
    /// One is being made: `Exchange.upstreamReady` or `connectionFailed` follows.
    case waiting
    /// None can be had.
    case failed(Failure)
}

/// Pool of one endpoint.
///
/// Confined to its worker.
final class EndpointPool: TimerTarget {
    /// A cycle, broken when the pool is retired and empty.
    private(set) var owner: UpstreamCluster
    let endpoint: Endpoint
    let socketAddress: SocketAddress
    let addressText: String
    let worker: Worker
    private let address: InternetAddress
    private var idle: ContiguousArray<UpstreamConnection> = []
    private var waiters: ContiguousArray<Exchange> = []
    /// Those of the owner's `connectionCount` that are this pool's: also the closing ones.
    private var connections = 0
    private(set) var dialing = 0
    private(set) var leased = 0
    private(set) var isRetired = false
    private let sweep = Timer()
    private(set) var connectFailures: UInt64 = 0

    init(owner: UpstreamCluster, endpoint: Endpoint, address: SocketAddress) {
        self.owner = owner
        self.endpoint = endpoint
        worker = owner.worker
        socketAddress = address
        addressText = address.description
        self.address = InternetAddress(bytes: address.addressBytes, port: address.port)
        super.init()
    }

    var idleCount: Int { idle.count }
    var waitingCount: Int { waiters.count }
    var direction: Direction { owner.direction }

    /// Asks for a connection for `exchange`.
    func lease(for exchange: Exchange) -> Lease {
        while let connection = idle.popLast() {
            worker.metrics.adjust(.upstreamConnectionsIdle, direction, by: -1)
            if connection.isUsable {
                leased += 1
                worker.metrics.add(.upstreamReuses, direction)
                return .ready(connection.lease(to: exchange))
            }
            worker.metrics.add(.upstreamStale, direction)
            connection.abort()
        }
        let limits = owner.cluster.limits
        guard owner.pendingCount < limits.pendingRequests || limits.pendingRequests == 0 else {
            return .failed(.overflow(.pendingRequests))
        }
        if owner.connectionCount < limits.connections || owner.closeOneIdle() {
            if let failure = dial() { return .failed(failure) }
        } else if limits.pendingRequests == 0 || leased + dialing == 0 {
            return .failed(.overflow(.connections))
        }
        waiters.append(exchange)
        owner.pendingCount += 1
        worker.metrics.adjust(.requestsPending, direction, by: 1)
        return .waiting
    }

    /// Closes the connection that was unused for longest; false when there is none.
    func closeOldestIdle() -> Bool {
        guard let oldest = idle.first else { return false }
        idle.removeFirst()
        worker.metrics.adjust(.upstreamConnectionsIdle, direction, by: -1)
        leftCluster()
        oldest.giveWay()
        return true
    }

    /// `exchange` waits no longer.
    func withdraw(_ exchange: Exchange) {
        guard let index = waiters.firstIndex(where: { $0 === exchange }) else { return }
        waiters.remove(at: index)
        leftQueue()
    }

    /// Takes the pool over into a new snapshot's cluster.
    func move(to cluster: UpstreamCluster) {
        owner.connectionCount -= connections
        owner.pendingCount -= waiters.count
        owner = cluster
        cluster.connectionCount += connections
        cluster.pendingCount += waiters.count
    }

    /// The endpoint is no longer configured.
    func retire() {
        isRetired = true
        closeIdle()
        forgetIfEmpty()
    }

    /// Leaves the cluster when it is retired and nothing of it is left.
    func forgetIfEmpty() {
        guard isRetired, idle.isEmpty, waiters.isEmpty, leased + dialing == 0 else { return }
        loseTimer()
        owner.forget(self)
    }

    private func loseTimer() { worker.loop.timers.cancel(sweep) }

    /// Closes what nobody uses.
    func closeIdle() {
        let connections = idle
        idle.removeAll()
        worker.metrics.adjust(
            .upstreamConnectionsIdle,
            direction,
            by: -Int64(connections.count)
        )
        for connection in connections { connection.finish() }
    }

    // MARK: From connections

    /// A dialed connection is ready.
    func connected(_ connection: UpstreamConnection) {
        dialing -= 1
        worker.metrics.add(.upstreamConnects, direction)
        offer(connection)
    }

    /// A dial failed before the connection was ready.
    func dialFailed(_ failure: Failure) {
        dialing -= 1
        leftCluster()
        connectFailures &+= 1
        worker.metrics.add(
            .upstreamConnectFailures,
            direction,
            label: LocalReply(failure).cause
        )
        // Each dial was made for one waiting exchange; the one that waits longest is told.
        if waiters.count > dialing, let exchange = waiters.first {
            waiters.removeFirst()
            leftQueue()
            exchange.connectionFailed(failure)
        }
        dialForWaiters()
        forgetIfEmpty()
    }

    /// An exchange is done with a connection that can serve another.
    func giveBack(_ connection: UpstreamConnection) {
        leased -= 1
        offer(connection)
    }

    /// A leased connection ended with its exchange; those who wait need another.
    func leaseEnded() {
        leased -= 1
        dialForWaiters()
    }

    /// An idle connection was closed by its peer or a failure.
    func idleEnded(_ connection: UpstreamConnection) {
        guard let index = idle.firstIndex(where: { $0 === connection }) else { return }
        idle.remove(at: index)
        worker.metrics.adjust(.upstreamConnectionsIdle, direction, by: -1)
    }

    /// A connection is gone for good; counted at the very end of its life.
    func connectionClosed() {
        leftCluster()
        dialForWaiters()
        forgetIfEmpty()
    }

    // MARK: Internals

    private func dial() -> Failure? {
        do {
            let connection = try UpstreamConnection(pool: self)
            dialing += 1
            connections += 1
            owner.connectionCount += 1
            worker.metrics.adjust(.upstreamConnectionsActive, direction, by: 1)
            connection.dial(address, timeoutNanoseconds: owner.connectTimeoutNanoseconds)
            return nil
        } catch {
            return error
        }
    }

    private func dialForWaiters() {
        while waiters.count > dialing,
            owner.connectionCount < owner.cluster.limits.connections
        {
            guard let failure = dial() else { continue }
            guard let exchange = waiters.first else { return }
            waiters.removeFirst()
            leftQueue()
            exchange.connectionFailed(failure)
        }
    }

    private func offer(_ connection: UpstreamConnection) {
        guard connection.isUsable else {
            connection.abort()
            return dialForWaiters()
        }
        if let exchange = waiters.first {
            waiters.removeFirst()
            leftQueue()
            leased += 1
            return exchange.upstreamReady(connection.lease(to: exchange))
        }
        guard !isRetired, idle.count < ProxyLimits.idleConnectionsPerEndpointMax else {
            return connection.finish()
        }
        connection.idleSince = worker.loop.now
        idle.append(connection)
        worker.metrics.adjust(.upstreamConnectionsIdle, direction, by: 1)
        if !sweep.isArmed { armSweep() }
    }

    /// A connection takes no place in the cluster any more.
    func leftCluster() {
        connections -= 1
        owner.connectionCount -= 1
        worker.metrics.adjust(.upstreamConnectionsActive, direction, by: -1)
    }

    private func leftQueue() {
        owner.pendingCount -= 1
        worker.metrics.adjust(.requestsPending, direction, by: -1)
    }

    private func armSweep() {
        let period = min(owner.idleTimeoutNanoseconds, ProxyLimits.idleSweepNanoseconds)
        worker.loop.arm(sweep, afterNanoseconds: period, target: self)
    }

    override func onTimer(_ timer: Timer) {
        // The stack is ordered by age: the oldest lies at the bottom.
        let limit = owner.idleTimeoutNanoseconds
        let now = worker.loop.now
        let old = idle.prefix { now.nanoseconds(since: $0.idleSince) >= limit }
        if !old.isEmpty {
            idle.removeFirst(old.count)
            worker.metrics.adjust(.upstreamConnectionsIdle, direction, by: -Int64(old.count))
            for connection in old { connection.finish() }
        }
        if !idle.isEmpty { armSweep() }
    }
}
