// The connections of one worker to one endpoint, in one protocol.
//
// HTTP/1.1 connections are leased whole; idle ones are a stack: the one used last is used next, so
// that the surplus ages and is closed. HTTP/2 connections are shared: each lease is a stream, and
// another connection is made only when those there have no room. An exchange that finds neither
// waits; it takes whichever comes first, a new connection or what another exchange gives back.
//
// Invariants:
// - a connection is in exactly one of: dialing, leased, idle, shared; or it is on its way out
// - the dials under way have room for all exchanges that wait, up to the cluster's bound on
//   connections

import MeshModel
import Reactor
import TLS
import Telemetry
import Time

/// What asking for a connection gave.
enum Lease {
    /// A connection is there.
    case ready(UpstreamStream)
    /// One is being made: `AttemptReceiver.upstreamReady` or `connectionFailed` follows.
    case waiting
    /// None can be had.
    case failed(Failure)
}

/// What asking for a place for a connection of one's own gave.
enum Admission {
    /// There is room: dial.
    case dial
    /// `Tunnel.mayDial` follows when there is.
    case wait
    case refuse(Failure)
}

/// What is spoken with an endpoint.
enum UpstreamProtocol {
    case http1, http2
    /// HTTP/2 if the peer knows it, which ALPN tells.
    case negotiated

    var offered: ALPNSet {
        switch self {
        case .http1: .http1
        case .http2: .http2
        case .negotiated: [.http2, .http1]
        }
    }
}

/// Pool of one endpoint.
///
/// Confined to its worker.
final class EndpointPool: TimerTarget {
    /// A cycle, broken when the pool is retired and empty.
    private(set) var owner: UpstreamCluster
    let socketAddress: SocketAddress
    let spoken: UpstreamProtocol
    /// The same endpoint in the other version: in HTTP/2 where the version is the caller's, in HTTP/1.1
    /// where it is negotiated, for what the endpoint does not take in HTTP/2.
    private var companion: EndpointPool?
    /// The pool that this one is the companion of; it outlives this one.
    private var principal: EndpointPool?
    /// Until when it is taken for granted that the endpoint does not know HTTP/2.
    private var lacksHTTP2Until: MonotonicTime?
    let addressText: String
    let worker: Worker
    let address: InternetAddress
    private var idle: ContiguousArray<UpstreamConnection> = []
    private var shared: ContiguousArray<UpstreamConnection> = []
    private var waiters: ContiguousArray<AttemptReceiver> = []
    /// Those that wait for room for a connection of their own.
    private var waitingTunnels: ContiguousArray<Tunnel> = []
    /// Connections that belong to tunnels; among `connections`.
    private var tunnels = 0
    /// Those of the owner's `connectionCount` that are this pool's: also the closing ones.
    private var connections = 0
    private(set) var dialing = 0
    private(set) var leased = 0
    private(set) var isRetired = false
    /// What the last connection turned out to be, where that is negotiated.
    private var isKnownExclusive = false
    /// Whether a connection has ever been HTTP/2.
    private var hasSpokenHTTP2 = false
    /// Streams a connection is taken to have room for before its peer says so: what the last one had.
    private(set) var streamsExpected = ProxyLimits.streamsPerConnection
    private let sweep = Timer()
    private(set) var connectFailures: UInt64 = 0

    init(owner: UpstreamCluster, address: SocketAddress, spoken: UpstreamProtocol) {
        self.owner = owner
        self.spoken = spoken
        worker = owner.worker
        socketAddress = address
        addressText = address.description
        self.address = InternetAddress(bytes: address.addressBytes, port: address.port)
        super.init()
    }

    var idleCount: Int { idle.count + shared.count { $0.isIdle } }
    /// Connections that serve an exchange, or several.
    var leasedCount: Int { leased + tunnels + shared.count { !$0.isIdle } }
    var waitingCount: Int { waiters.count + waitingTunnels.count }
    var direction: Direction { owner.direction }
    /// All pools of the endpoint: this one, and that of the other version.
    var all: ContiguousArray<EndpointPool> { companion.map { [self, $0] } ?? [self] }

    /// Asks for a connection for `receiver`.
    func lease(for receiver: AttemptReceiver) -> Lease {
        if let connection = connectionWithRoom() {
            worker.metrics.add(.upstreamReuses, direction)
            return .ready(take(connection, for: receiver))
        }
        let limits = owner.cluster.limits
        guard owner.pendingCount < limits.pendingRequests || limits.pendingRequests == 0 else {
            return .failed(.overflow(.pendingRequests))
        }
        if waiters.count >= dialing * roomPerDial {
            if owner.connectionCount < limits.connections || owner.closeOneIdle() {
                if let failure = dial() { return .failed(failure) }
            } else if limits.pendingRequests == 0 || isUnused {
                return .failed(.overflow(.connections))
            }
        }
        waiters.append(receiver)
        owner.pendingCount += 1
        worker.metrics.adjust(.requestsPending, direction, by: 1)
        return .waiting
    }

    /// Closes the connection that was unused for longest; false when there is none.
    func closeOldestIdle() -> Bool {
        if let companion, companion.closeOldestIdle() { return true }
        let oldest: UpstreamConnection
        if let first = idle.first {
            idle.removeFirst()
            oldest = first
        } else if let index = shared.firstIndex(where: { $0.isIdle }) {
            oldest = shared.remove(at: index)
        } else {
            return false
        }
        noteUsed(oldest)
        leftCluster()
        oldest.giveWay()
        return true
    }

    /// Asks for a place for a connection of `tunnel`'s own.
    func admit(_ tunnel: Tunnel) -> Admission {
        let limits = owner.cluster.limits
        if owner.connectionCount < limits.connections || owner.closeOneIdle() { return .dial }
        // Nobody here would leave a place.
        guard !isUnused else { return .refuse(.overflow(.connections)) }
        guard owner.pendingCount < limits.pendingRequests else {
            return .refuse(
                .overflow(limits.pendingRequests == 0 ? .connections : .pendingRequests)
            )
        }
        waitingTunnels.append(tunnel)
        owner.pendingCount += 1
        worker.metrics.adjust(.requestsPending, direction, by: 1)
        return .wait
    }

    /// `tunnel` waits no longer.
    func withdraw(_ tunnel: Tunnel) {
        guard let index = waitingTunnels.firstIndex(where: { $0 === tunnel }) else { return }
        waitingTunnels.remove(at: index)
        leftQueue()
    }

    /// A tunnel's connection takes a place in the cluster.
    func tunnelOpened() {
        tunnels += 1
        joinedCluster()
    }

    /// A tunnel's connection was not made; its place is free already.
    func tunnelDialFailed(_ failure: Failure) {
        connectFailures &+= 1
        worker.metrics.add(
            .upstreamConnectFailures,
            direction,
            label: LocalReply(failure).cause
        )
    }

    /// A tunnel's connection takes no place any more.
    func tunnelClosed() {
        tunnels -= 1
        connectionClosed()
    }

    /// `receiver` waits no longer.
    func withdraw(_ receiver: AttemptReceiver) {
        guard let index = waiters.firstIndex(where: { $0 === receiver }) else { return }
        waiters.remove(at: index)
        leftQueue()
    }

    /// The pool for an exchange whose application speaks HTTP/2, where that is left to it.
    func asHTTP2() -> EndpointPool {
        if let until = lacksHTTP2Until {
            if worker.loop.now < until { return self }
            lacksHTTP2Until = nil
        }
        return makeCompanion(.http2)
    }

    /// The pool for a WebSocket that this one's endpoint does not take; nil where no other version may
    /// be spoken.
    func forWebSockets() -> EndpointPool? {
        switch spoken {
        case .negotiated: makeCompanion(.http1)
        case .http2: principal
        case .http1: nil
        }
    }

    private func makeCompanion(_ spoken: UpstreamProtocol) -> EndpointPool {
        if let companion { return companion }
        let made = EndpointPool(owner: owner, address: socketAddress, spoken: spoken)
        made.principal = self
        made.isRetired = isRetired
        companion = made
        return made
    }

    /// Whether it holds connections to `address` in the protocol asked for.
    func leads(to address: SocketAddress, _ spoken: UpstreamProtocol) -> Bool {
        socketAddress == address && self.spoken == spoken
    }

    /// Whether both lead to the same endpoint.
    func isSameEndpoint(as other: EndpointPool?) -> Bool {
        self === other || companion != nil && companion === other
    }

    /// The endpoint answered HTTP/2 with something else, or hung up without a word.
    ///
    /// The latter counts only where HTTP/2 has never worked: so may a server end that restarts.
    func noteLacksHTTP2(hasAnswered: Bool) {
        guard hasAnswered || !hasSpokenHTTP2 else { return }
        principal?.lacksHTTP2Until = worker.loop.now.advanced(
            byNanoseconds: ProxyLimits.lacksHTTP2Nanoseconds
        )
    }

    /// The endpoint said how many streams it takes on a connection.
    func noteStreamsMax(_ count: Int) {
        hasSpokenHTTP2 = true
        streamsExpected = min(max(count, 1), ProxyLimits.streamsPerConnection)
    }

    /// Takes the pool over into a new snapshot's cluster.
    func move(to cluster: UpstreamCluster) {
        companion?.move(to: cluster)
        owner.connectionCount -= connections
        owner.pendingCount -= waitingCount
        owner = cluster
        cluster.connectionCount += connections
        cluster.pendingCount += waitingCount
    }

    /// The endpoint is no longer configured.
    func retire() {
        companion?.retire()
        isRetired = true
        closeIdle()
        forgetIfEmpty()
    }

    /// Whether nothing of it is left.
    var isEmpty: Bool {
        idle.isEmpty && shared.isEmpty && waitingCount == 0 && leased + dialing + tunnels == 0
            && companion == nil
    }

    /// Leaves the cluster when it is retired and nothing of it is left.
    func forgetIfEmpty() {
        guard isRetired, idle.isEmpty, shared.isEmpty, waitingCount == 0,
            leased + dialing + tunnels == 0
        else { return }
        worker.loop.timers.cancel(sweep)
        principal?.companion = nil
        principal?.forgetIfEmpty()
        guard companion == nil else { return }
        owner.forget(self)
    }

    /// Closes what nobody uses.
    func closeIdle() {
        let unused = idle + shared.filter { $0.isIdle }
        idle.removeAll()
        shared.removeAll { $0.isIdle }
        for connection in unused {
            noteUsed(connection)
            connection.finish()
        }
    }

    // MARK: From connections

    /// A dialed connection is ready.
    func connected(_ connection: UpstreamConnection) {
        dialing -= 1
        worker.metrics.add(.upstreamConnects, direction)
        isKnownExclusive = !connection.isShared
        offer(connection)
        // More may have waited than the connection has room for, if less than expected.
        dialForWaiters()
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
        // The dial was made for as many as it had room for; those who wait longest are told. Counted
        // before: who tries again here waits at the end of the queue, for a dial of its own.
        var untold = min(roomPerDial, waiters.count - dialing * roomPerDial)
        while untold > 0, let receiver = nextWaiter() {
            untold -= 1
            receiver.connectionFailed(failure)
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
        noteUsed(connection)
    }

    /// A stream of a shared connection ended, or its peer allows more of them.
    func roomChanged(_ connection: UpstreamConnection, isNowIdle: Bool) {
        guard shared.contains(where: { $0 === connection }) else { return }
        serveWaiters(from: connection)
        guard isNowIdle, connection.isIdle else { return }
        noteIdle(connection)
        if isRetired {
            sharedEnded(connection)
            connection.finish()
        }
    }

    /// A shared connection takes no new streams any more.
    func sharedEnded(_ connection: UpstreamConnection) {
        guard let index = shared.firstIndex(where: { $0 === connection }) else { return }
        shared.remove(at: index)
        noteUsed(connection)
        dialForWaiters()
        forgetIfEmpty()
    }

    /// A connection is gone for good; counted at the very end of its life.
    func connectionClosed() {
        leftCluster()
        dialForWaiters()
        forgetIfEmpty()
    }

    /// A connection takes no place in the cluster any more.
    func leftCluster() {
        connections -= 1
        owner.connectionCount -= 1
        worker.metrics.adjust(.upstreamConnectionsActive, direction, by: -1)
    }

    /// TLS for a connection to the endpoint; nil in plain text.
    func makeTLS(offering protocols: ALPNSet) throws(Failure) -> TLSConnection? {
        guard case .mutual(let identities) = owner.cluster.security else { return nil }
        guard let context = worker.clientTLS else { throw .noIdentity }
        do {
            return try TLSConnection(
                context: context,
                applicationProtocols: protocols,
                expectedPeers: identities,
                endpoint: socketAddress
            )
        } catch {
            throw .upstreamTLS(error)
        }
    }

    // MARK: Internals

    /// Whether no connection is or is about to be in use here.
    private var isUnused: Bool { leased + dialing + tunnels + shared.count == 0 }

    private func joinedCluster() {
        connections += 1
        owner.connectionCount += 1
        worker.metrics.adjust(.upstreamConnectionsActive, direction, by: 1)
    }

    /// How many exchanges a dial under way is expected to have room for.
    private var roomPerDial: Int {
        spoken == .http1 || isKnownExclusive ? 1 : streamsExpected
    }

    private func connectionWithRoom() -> UpstreamConnection? {
        // The oldest first, so that the surplus of an earlier peak falls idle.
        if spoken != .http1 {
            for connection in shared where connection.isUsable {
                noteUsed(connection)
                return connection
            }
        }
        while let connection = idle.popLast() {
            noteUsed(connection)
            if connection.isUsable { return connection }
            worker.metrics.add(.upstreamStale, direction)
            connection.abort()
        }
        return nil
    }

    private func take(
        _ connection: UpstreamConnection,
        for receiver: AttemptReceiver
    ) -> UpstreamStream {
        if !connection.isShared { leased += 1 }
        return connection.lease(to: receiver)
    }

    private func dial() -> Failure? {
        do {
            let connection = try UpstreamConnection(pool: self)
            dialing += 1
            joinedCluster()
            connection.dial(address, timeoutNanoseconds: owner.connectTimeoutNanoseconds)
            return nil
        } catch {
            return error
        }
    }

    private func dialForWaiters() {
        while waiters.count > dialing * roomPerDial,
            owner.connectionCount < owner.cluster.limits.connections
        {
            guard let failure = dial() else { continue }
            guard let receiver = nextWaiter() else { return }
            receiver.connectionFailed(failure)
        }
        while let tunnel = waitingTunnels.first,
            owner.connectionCount < owner.cluster.limits.connections
        {
            waitingTunnels.removeFirst()
            leftQueue()
            tunnel.mayDial()
        }
    }

    private func offer(_ connection: UpstreamConnection) {
        if connection.isShared {
            guard !isRetired || !waiters.isEmpty else { return connection.finish() }
            shared.append(connection)
            serveWaiters(from: connection)
            if connection.isIdle { noteIdle(connection) }
            return
        }
        guard connection.isUsable else {
            connection.abort()
            return dialForWaiters()
        }
        if owner.pendingCount > 0, let receiver = nextWaiter() {
            return receiver.upstreamReady(take(connection, for: receiver))
        }
        guard !isRetired, idle.count < ProxyLimits.idleConnectionsPerEndpointMax else {
            return connection.finish()
        }
        idle.append(connection)
        noteIdle(connection)
    }

    private func serveWaiters(from connection: UpstreamConnection) {
        while !waiters.isEmpty, connection.isUsable, let receiver = nextWaiter() {
            receiver.upstreamReady(take(connection, for: receiver))
        }
    }

    private func noteUsed(_ connection: UpstreamConnection) {
        guard connection.isNotedIdle else { return }
        connection.isNotedIdle = false
        worker.metrics.adjust(.upstreamConnectionsIdle, direction, by: -1)
    }

    private func noteIdle(_ connection: UpstreamConnection) {
        guard !connection.isNotedIdle else { return }
        connection.isNotedIdle = true
        connection.idleSince = worker.loop.now
        worker.metrics.adjust(.upstreamConnectionsIdle, direction, by: 1)
        if !sweep.isArmed { armSweep() }
    }

    private func nextWaiter() -> AttemptReceiver? {
        guard let receiver = waiters.first else { return nil }
        waiters.removeFirst()
        owner.pendingCount -= 1
        worker.metrics.adjust(.requestsPending, direction, by: -1)
        return receiver
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
        let old =
            idle.prefix { now.nanoseconds(since: $0.idleSince) >= limit }
            + shared.filter { $0.isIdle && now.nanoseconds(since: $0.idleSince) >= limit }
        for connection in old {
            idle.removeAll { $0 === connection }
            shared.removeAll { $0 === connection }
            noteUsed(connection)
            connection.finish()
        }
        if idleCount > 0 { armSweep() }
    }
}
