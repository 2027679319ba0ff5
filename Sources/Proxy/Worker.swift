// One thread of the data plane with everything it owns.
//
// Made inside its thread and never leaves it; other threads post `WorkerMessage`s to its mailbox and
// get copied numbers back.

import Bytes
public import DNS
import HTTP
import HTTP2
public import MeshModel
public import Reactor
public import TLS
public import Telemetry
import Time
public import Traffic

/// What the control loop tells a worker.
public enum WorkerMessage: Sendable {
    /// Route by this from the next request on.
    case snapshot(MeshSnapshot)
    /// Resolve names of endpoints by this.
    case names(ResolverSettings)
    /// Use this certificate and trust for new connections.
    case identity(WorkerIdentity)
    /// Answer with `Connection: close` from now on; keep accepting.
    case startDrain
    /// Peers have had time to learn: stop accepting inbound and close idle connections.
    case closeIdle
    /// The grace period is over: end what still runs.
    case expire
    /// Count the latencies of these requests precisely, and of no others.
    case watch(Set<RequestSeriesKey>)
    /// Answer with the worker's numbers.
    case report(@Sendable (WorkerReport) -> Void)
    /// Answer with what is remembered of the exchanges with this request id or trace id.
    case explain(String, @Sendable ([SeenExchange]) -> Void)
    /// Leave the loop.
    case stop
}

/// Credentials and trust of the workload.
public struct WorkerIdentity: Sendable {
    let identity: TLSIdentity
    let trustBundle: [String]
    let trustDomain: TrustDomain
    let settings: TLSSettings

    /// See `TLSContext`.
    ///
    /// `settings` holds the ticket keys, which all workers of a process share: a peer that comes
    /// back meets another worker as likely as the same.
    public init(
        identity: TLSIdentity,
        trustBundle: [String],
        trustDomain: TrustDomain,
        settings: TLSSettings
    ) {
        self.identity = identity
        self.trustBundle = trustBundle
        self.trustDomain = trustDomain
        self.settings = settings
    }
}

/// Listening sockets of one worker, bound by the control loop.
public struct WorkerSockets: Sendable {
    let outbound: ListeningSocket?
    let inbound: ListeningSocket?
    let tcp: [ListeningSocket]

    /// At least one of them.
    ///
    /// `tcp`: those of `ProxyConfiguration.tcpListeners`, in that order.
    public init(
        outbound: ListeningSocket?,
        inbound: ListeningSocket?,
        tcp: [ListeningSocket] = []
    ) {
        self.outbound = outbound
        self.inbound = inbound
        self.tcp = tcp
    }
}

/// One thread of the data plane.
public final class Worker {
    let index: Int
    let settings: ProxyConfiguration
    let loop: EventLoop
    let metrics = WorkerMetrics()
    let httpLimits: HTTP.Limits
    let unmatchedSeries: RequestSeries
    let headTimeoutNanoseconds: UInt64
    let connectionIdleNanoseconds: UInt64
    /// See `ProxyLimits.restAfterNanoseconds`; shorter in tests.
    var restAfterNanoseconds = ProxyLimits.restAfterNanoseconds
    /// Decrypted bytes of the connection that is being read; empty between callbacks.
    let plaintext = ByteBuffer(capacity: ReactorLimits.receiveBytesMax + 4096)
    /// Scratch of local replies.
    let replyHead = ResponseHead()
    let replyBody = ByteBuffer()
    let replyTrailers = FieldBlock()
    /// Scratch of filters; empty between uses.
    let filterScratch = ByteBuffer()
    private(set) lazy var http2 = HTTP2Resources(worker: self, limits: settings.http2)
    /// Keeps the names of endpoints resolved; it knows no server before it is told.
    private(set) lazy var resolver = Resolver(
        loop: loop,
        settings: ResolverSettings(servers: [])
    )
    var random: FastRandom
    private(set) var serverTLS: TLSContext?
    private(set) var clientTLS: TLSContext?
    private(set) var isDraining = false
    private(set) var closesIdleConnections = false
    private var mesh: CompiledMesh?
    /// The exchanges that ended last.
    let trail = ExchangeTrail()
    /// Of the configuration in use; 0 before there is one.
    private(set) var snapshotVersion: UInt64 = 0
    private var listeners: [DownstreamListener] = []
    private(set) var connections: ContiguousArray<DownstreamConnection> = []
    private var reader: MailboxReader<WorkerMessage>?
    private var inboundConnections = 0
    private var runningExchanges = 0
    private var runningTunnels = 0
    private var overload: OverloadDetector?
    private var isShedding = false
    private var overloadTurn: UInt64 = 0
    private var ownAddresses: [SocketAddress] = []
    /// Servers that were seen to speak first.
    var learned = LearnedDestinations()
    /// What holds for destinations that no policy names.
    let passThroughPolicies = RoutePolicies(retry: .default, timeouts: .default)
    /// Where the workload runs.
    private(set) var locality = Locality.unknown
    /// What the workers of this process share.
    let shared: SharedTraffic
    /// What the mesh does not know.
    private(set) lazy var outside = DynamicClusters(worker: self, direction: .outbound)
    /// The application at the ports that were asked for.
    private(set) lazy var applicationPorts = DynamicClusters(worker: self, direction: .inbound)
    /// Asks the kernel where an intercepted connection was meant to go; tests have no NAT.
    var readDestination: (borrowing AcceptedSocket) -> InternetAddress? = {
        $0.originalDestination
    }
    private let logBuffer = ByteBuffer()
    private let writeLog: @Sendable ([UInt8]) -> Bool

    /// Runs a worker on the calling thread until it is told to stop.
    ///
    /// - Parameter writeLog: takes one finished log line; false when it was dropped. Any thread.
    public static func run(
        index: Int,
        settings: ProxyConfiguration,
        sockets: WorkerSockets,
        mailbox: Mailbox<WorkerMessage>,
        shared: SharedTraffic,
        writeLog: @escaping @Sendable ([UInt8]) -> Bool
    ) throws(ReactorError) {
        let worker = try Worker(
            index: index,
            settings: settings,
            shared: shared,
            writeLog: writeLog
        )
        worker.reader = try MailboxReader(loop: worker.loop, mailbox: mailbox) {
            [unowned worker] in worker.take($0)
        }
        try worker.listen(sockets)
        worker.loop.run()
        withExtendedLifetime(worker) {}
    }

    /// `loop`: one that others share, or nil for a loop of its own.
    init(
        index: Int,
        settings: ProxyConfiguration,
        shared: SharedTraffic,
        loop lent: EventLoop? = nil,
        writeLog: @escaping @Sendable ([UInt8]) -> Bool
    ) throws(ReactorError) {
        self.index = index
        self.settings = settings
        self.writeLog = writeLog
        self.shared = shared
        if let lent { loop = lent } else { loop = try EventLoop() }
        httpLimits = HTTP.Limits(
            startLineBytesMax: settings.limits.requestLineBytesMax,
            fieldSectionBytesMax: settings.limits.fieldSectionBytesMax,
            fieldCountMax: settings.limits.fieldCountMax
        )
        headTimeoutNanoseconds = settings.limits.headTimeout.nanoseconds
        connectionIdleNanoseconds = settings.limits.connectionIdle.nanoseconds
        random = FastRandom(seed: Clock.randomSeed())
        unmatchedSeries = metrics.series(
            for: RequestSeriesKey(direction: .outbound, service: "unknown")
        )
        metrics.set(.workers, 1)
    }

    func listen(_ sockets: WorkerSockets) throws(ReactorError) {
        let bound = [sockets.outbound, sockets.inbound].compactMap(\.self) + sockets.tcp
        ownAddresses = bound.compactMap { OriginalDestination($0.address)?.address }
        ownAddresses += [settings.admin, settings.dns.listen].compactMap(\.self)
        if let socket = sockets.outbound {
            listeners.append(
                try DownstreamListener(
                    worker: self,
                    socket: socket,
                    entry: .outbound,
                    isPlaintext: true
                )
            )
        }
        precondition(sockets.tcp.count == settings.tcpListeners.count)
        for (socket, listener) in zip(sockets.tcp, settings.tcpListeners) {
            let name = TCPServiceName(host: listener.service, port: listener.port)
            listeners.append(
                try DownstreamListener(
                    worker: self,
                    socket: socket,
                    entry: .service(name),
                    isPlaintext: true
                )
            )
        }
        if let socket = sockets.inbound {
            listeners.append(
                try DownstreamListener(
                    worker: self,
                    socket: socket,
                    entry: .inbound,
                    isPlaintext: settings.inbound?.plaintext ?? false
                )
            )
        }
    }

    /// The configuration in use, for what is asked off the request path.
    var compiledMesh: CompiledMesh? { mesh }

    // MARK: Messages

    func take(_ message: WorkerMessage) {
        switch message {
        case .snapshot(let snapshot): apply(snapshot)
        case .names(let settings): resolver.use(settings)
        case .identity(let identity): apply(identity)
        case .startDrain: startDrain()
        case .closeIdle: closeIdle()
        case .expire: expire()
        case .watch(let keys): metrics.watch(keys)
        case .report(let reply): reply(report())
        case .explain(let id, let reply): reply(seenExchanges(id))
        case .stop: loop.stop()
        }
    }

    private func apply(_ snapshot: MeshSnapshot) {
        if snapshot.inbound != mesh?.snapshot.inbound { applicationPorts.retireAll() }
        if snapshot.unknownDestinations == .refuse { outside.retireAll() }
        locality = snapshot.locality
        snapshotVersion = snapshot.version
        if snapshot.loadShedding != mesh?.snapshot.loadShedding || mesh == nil {
            overload = snapshot.loadShedding.map { OverloadDetector($0) }
        }
        let next = CompiledMesh(worker: self, snapshot: snapshot, previous: mesh)
        mesh?.retire(for: next)
        mesh = next
        metrics.add(.snapshotsApplied)
        metrics.set(.snapshotVersion, Int64(clamping: snapshot.version))
    }

    private func apply(_ identity: WorkerIdentity) {
        do {
            let server = try TLSContext(
                role: .server,
                identity: identity.identity,
                trustBundle: identity.trustBundle,
                trustDomain: identity.trustDomain,
                settings: identity.settings
            )
            let client = try TLSContext(
                role: .client,
                identity: identity.identity,
                trustBundle: identity.trustBundle,
                trustDomain: identity.trustDomain,
                settings: identity.settings
            )
            serverTLS = server
            clientTLS = client
            metrics.add(.certificatesApplied)
        } catch {
            // The earlier one stays in use.
            log(.error, "certificate refused", error.description)
        }
    }

    private func startDrain() {
        isDraining = true
        metrics.set(.draining, 1)
        for connection in connections { connection.drain() }
    }

    private func closeIdle() {
        closesIdleConnections = true
        for listener in listeners where listener.direction == .inbound { listener.close() }
        // The application's own connections stay: it may be about to send on one of them, and the
        // answer will say that the connection closes.
        for connection in connections where connection.direction == .inbound {
            connection.finishDrain()
        }
    }

    private func expire() {
        for listener in listeners { listener.close() }
        for connection in connections { connection.expireDrain() }
    }

    // MARK: For connections and exchanges

    /// Random bits; by way of a copy, as a generator lent from this object costs a check each time.
    func nextRandom() -> UInt64 {
        var generator = random
        let bits = generator.next()
        random = generator
        return bits
    }

    var connectionCount: Int { connections.count }

    /// Each listener has the bound for itself: peers cannot keep the application from calling out.
    func isFull(_ direction: Direction) -> Bool {
        let count =
            direction == .inbound ? inboundConnections : connections.count - inboundConnections
        return count >= settings.limits.connectionsMax
    }

    func add(_ connection: DownstreamConnection) {
        connection.registryIndex = connections.count
        if connection.direction == .inbound { inboundConnections += 1 }
        connections.append(connection)
        metrics.adjust(.connectionsActive, connection.direction, by: 1)
    }

    func remove(_ connection: DownstreamConnection) {
        let index = connection.registryIndex
        precondition(connections[index] === connection)
        if connection.direction == .inbound { inboundConnections -= 1 }
        metrics.adjust(.connectionsActive, connection.direction, by: -1)
        let last = connections.removeLast()
        guard last !== connection else { return }
        connections[index] = last
        last.registryIndex = index
    }

    func caller(
        _ direction: Direction,
        identity: SPIFFEID?,
        destination: OriginalDestination?,
        address: InternetAddress?
    ) -> Caller {
        guard direction == .inbound else {
            return Caller(
                direction: direction,
                identity: identity,
                series: nil,
                destination: destination,
                address: address
            )
        }
        let key = RequestSeriesKey(
            direction: .inbound,
            service: mesh?.snapshot.inbound.name ?? "unknown",
            peer: identity?.description ?? ""
        )
        return Caller(
            direction: direction,
            identity: identity,
            series: metrics.series(for: key),
            destination: destination,
            address: address
        )
    }

    func resolve(
        _ head: RequestHead,
        _ direction: Direction,
        _ destination: OriginalDestination?
    ) throws(Failure) -> ExchangeRoute {
        guard let mesh else { throw .notConfigured }
        switch direction {
        case .outbound:
            if let target = try mesh.resolveOutbound(head, destination) { return target }
            guard let destination else { throw .unknownService(isWrongPort: false) }
            return try passThrough(destination, mesh).route
        case .inbound:
            guard let destination else { return try mesh.resolveInbound() }
            return try application(at: destination, mesh).route
        }
    }

    /// Whether the last turn took so long that shedding is to be asked about.
    var isLate: Bool { loop.lastTurnNanoseconds > 0 || isShedding }

    /// Whether a request of this priority is refused for the sake of more important ones.
    func sheds(_ priority: Priority, _ direction: Direction) -> Bool {
        if overloadTurn != loop.turns {
            overloadTurn = loop.turns
            overload?.turn(waitedNanoseconds: loop.lastTurnNanoseconds, now: loop.now)
            isShedding = overload?.level ?? 0 > 0
        }
        guard overload?.sheds(priority) ?? false else { return false }
        metrics.add(.shed, direction, label: priority.label)
        return true
    }

    /// For what is told in dates; read anew each time, as it is rarely needed.
    var wallTime: WallTime { Clock.wall() }

    /// Begins an answer by policy in the scratch of local replies; its body is `replyBody`.
    func prepareAnswer(status: Int) -> ResponseHead {
        replyHead.clear()
        replyBody.clear()
        replyHead.set(status: status)
        replyHead.set(
            bodyLength: status == 204 ? .none : .known(0),
            wantsKeepAlive: true
        )
        return replyHead
    }

    /// Puts a canned response into the scratch of local replies.
    func prepare(_ answer: FallbackResponse) {
        let response = prepareAnswer(status: answer.status)
        replyBody.append(answer.body)
        if answer.status != 204, answer.status != 304 {
            response.set(bodyLength: .known(UInt64(replyBody.count)), wantsKeepAlive: true)
        } else {
            replyBody.clear()
        }
        filterScratch.clear()
        filterScratch.append(answer.contentType)
        response.fields.append(.contentType, filterScratch)
    }

    func exchangeStarted(_ direction: Direction) {
        loop.noteWork()
        runningExchanges += 1
        metrics.adjust(.requestsActive, direction, by: 1)
    }

    func exchangeEnded(_ direction: Direction) {
        runningExchanges -= 1
        metrics.adjust(.requestsActive, direction, by: -1)
    }

    /// Where a connection's bytes go.
    func resolve(
        _ destination: TunnelDestination,
        _ caller: Caller?
    ) throws(Failure) -> TunnelTarget {
        guard let mesh else { throw .notConfigured }
        switch destination {
        case .service(let name): return try mesh.resolveTunnel(name)
        case .original(let original):
            if let target = try mesh.resolveTunnel(original) { return target }
            return TunnelTarget(
                cluster: try passThrough(original, mesh).cluster,
                series: metrics.series(for: Self.passThroughConnections),
                timeouts: .default
            )
        case .application(let original):
            return try mesh.resolveInboundTunnel(
                peer: caller?.identity?.description ?? "",
                application: try original.map { original throws(Failure) in
                    try application(at: original, mesh).cluster
                },
                timeouts: mesh.snapshot.inbound.timeouts
            )
        }
    }

    /// Where connections are counted that lead nowhere.
    func unmatchedConnections(_ direction: Direction) -> ConnectionSeries {
        metrics.series(for: ConnectionSeriesKey(direction: direction, service: "unknown"))
    }

    /// What is spoken at `destination` according to the snapshot.
    func declaredProtocol(of destination: OriginalDestination) -> ServiceProtocol {
        mesh?.declaredProtocol(of: destination) ?? .auto
    }

    /// What the application speaks at the port of `destination`, or at the one configured.
    func inboundProtocol(at destination: OriginalDestination?) -> ServiceProtocol {
        mesh?.snapshot.inbound.protocol(at: destination?.address.port) ?? .auto
    }

    /// Whether a connection to `address` would come back to this proxy.
    func isOwn(_ address: SocketAddress) -> Bool { ownAddresses.contains { $0.takes(address) } }

    /// Whether this proxy listens on `port` at any address.
    func isOwnPort(_ port: UInt16) -> Bool { ownAddresses.contains { $0.port == port } }

    func tunnelStarted() { runningTunnels += 1 }

    func tunnelEnded() { runningTunnels -= 1 }

    // MARK: Logs

    func logsConnection(hasFailed: Bool) -> Bool {
        switch settings.accessLog {
        case .off: false
        case .errors: hasFailed
        case .all: true
        }
    }

    func logConnection(_ line: ConnectionLogLine) {
        logBuffer.clear()
        line.append(to: logBuffer, time: Clock.wall())
        writeLogBuffer()
    }

    func logsExchange(status: Int, hasFailed: Bool) -> Bool {
        switch settings.accessLog {
        case .off: false
        case .errors: hasFailed || status >= 500
        case .all: true
        }
    }

    func logExchange(_ line: AccessLogLine, head: RequestHead) {
        logBuffer.clear()
        head.withTarget {
            line.append(to: logBuffer, time: Clock.wall(), path: $0, fields: head.fields)
        }
        writeLogBuffer()
    }

    func log(_ level: LogLevel, _ message: StaticString, _ reason: String) {
        logBuffer.clear()
        var line = LogLine(into: logBuffer, time: Clock.wall(), level: level, message: message)
        line.field("worker", index)
        line.field("reason", reason)
        line.finish()
        writeLogBuffer()
    }

    /// One line for each endpoint that was set aside or came back.
    func logEndpoint(
        _ message: StaticString,
        _ cluster: String,
        _ endpoint: String,
        _ reason: StaticString
    ) {
        logBuffer.clear()
        var line = LogLine(into: logBuffer, time: Clock.wall(), level: .warning, message: message)
        line.field("worker", index)
        line.field("cluster", cluster)
        line.field("endpoint", endpoint)
        line.field("reason", reason)
        line.finish()
        writeLogBuffer()
    }

    /// One line for each refused handshake: who, which side, why.
    func logTLSFailure(_ error: TLSError, direction: Direction, peer: String) {
        logBuffer.clear()
        var line = LogLine(
            into: logBuffer,
            time: Clock.wall(),
            level: .warning,
            message: "TLS failed"
        )
        line.field("direction", direction.label)
        line.field("peer", peer)
        line.field("reason", error.description)
        line.finish()
        writeLogBuffer()
    }

    /// One line for each HTTP/2 connection that had to be ended.
    func logHTTP2Error(_ error: HTTP2Error, direction: Direction, peer: String) {
        logBuffer.clear()
        var line = LogLine(
            into: logBuffer,
            time: Clock.wall(),
            level: .warning,
            message: "HTTP/2 connection ended"
        )
        line.field("direction", direction.label)
        line.field("peer", peer)
        line.field("reason", error.reason)
        line.finish()
        writeLogBuffer()
    }

    private func writeLogBuffer() {
        if !writeLog(logBuffer.array) { metrics.add(.logLinesDropped) }
    }

    // MARK: Numbers

    private func report() -> WorkerReport {
        WorkerReport(
            worker: index,
            now: loop.now,
            metrics: metrics.snapshot(),
            runningExchanges: runningExchanges + runningTunnels,
            connections: connections.count,
            awaitedConnections: connections.count { $0.awaitsFirstRequest },
            snapshotVersion: mesh?.snapshot.version,
            hasIdentity: serverTLS != nil,
            isDraining: isDraining,
            clusters: mesh.map { WorkerReport.Cluster.all(of: $0, now: loop.now) } ?? []
        )
    }
}
