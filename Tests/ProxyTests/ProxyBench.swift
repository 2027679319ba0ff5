// A real worker between scripted applications and raw callers, all on one loop: one thread, so that
// what happens is decided by the test and not by a scheduler.

import Bytes
import HTTP2
import MeshModel
import MeshTesting
import Reactor
import Synchronization
import TLS
import Telemetry
import Testing
import Time
import Traffic

@testable import Proxy

/// The condition of `until` did not come true.
struct Stuck: Error, CustomStringConvertible {
    let description: String
}

/// Log lines of a worker.
final class LogSink: Sendable {
    private let stored = Mutex<[String]>([])
    var lines: [String] { stored.withLock { $0 } }
    func take(_ line: [UInt8]) -> Bool {
        stored.withLock { $0.append(String(decoding: line, as: UTF8.self)) }
        return true
    }
    func count(of text: String) -> Int { lines.count { $0.contains(text) } }
}

extension EventLoop {
    /// Turns until `condition` holds; at most 20 s, which only a failing test takes.
    func until(
        _ what: @autoclosure () -> String = "",
        at location: SourceLocation = #_sourceLocation,
        _ condition: () -> Bool
    ) throws {
        let deadline = Clock.monotonic() + .seconds(20)
        // What the test has just written leaves at the end of a turn: the first must not wait.
        var wait: Int32 = 0
        while !condition() {
            guard Clock.monotonic() < deadline else {
                throw Stuck(description: "\(location.fileName):\(location.line): \(what())")
            }
            turn(waitMillisecondsMax: wait)
            wait = 20
        }
    }

    /// Turns that let everything under way on loopback arrive, for "nothing happens".
    func settle() { for _ in 0..<30 { turn(waitMillisecondsMax: 0) } }
}

/// One worker with everything around it.
final class ProxyBench {
    let loop: EventLoop
    let worker: Worker
    let log = LogSink()
    let outboundPort: UInt16
    let inboundPort: UInt16
    /// Of the TCP listeners, in the order asked for.
    let tcpPorts: [UInt16]
    private var applications: [Application] = []
    private var refusingPorts: [RefusingPort] = []
    private var callers: [Peer] = []
    private var version: UInt64 = 0

    init(
        loop: EventLoop? = nil,
        limits: RequestLimits = .default,
        application: SocketAddress? = nil,
        inboundTLS: Bool = false,
        tcp: [(service: String, port: UInt16)] = [],
        interception: ProxyConfiguration.Interception? = nil,
        detection: DetectionSettings = .default,
        accessLog: AccessLogLevel = .all,
        http2: HTTP2Limits = .default
    ) throws {
        let loop = try loop ?? EventLoop()
        self.loop = loop
        let inbound = application.map {
            ProxyConfiguration.Inbound(
                listen: .loopback(port: 0),
                application: $0,
                plaintext: !inboundTLS
            )
        }
        let settings = try ProxyConfiguration(
            outbound: .loopback(port: 0),
            inbound: inbound,
            controller: .init(address: .loopback(port: 1)),
            dataDirectory: "/nonexistent",
            accessLog: accessLog,
            limits: limits,
            http2: http2,
            detection: detection,
            tcpListeners: tcp.map {
                .init(listen: .loopback(port: 0), service: $0.service, port: $0.port)
            },
            interception: interception
        )
        let log = log
        worker = try Worker(
            index: 0,
            settings: settings,
            shared: SharedTraffic(workers: 1),
            loop: loop
        ) { log.take($0) }
        let outboundSocket = try Self.listen()
        let inboundSocket = try inbound.map { _ in try Self.listen() }
        outboundPort = outboundSocket.address.port
        inboundPort = inboundSocket?.address.port ?? 0
        let tcpSockets = try tcp.map { _ in try Self.listen() }
        tcpPorts = tcpSockets.map(\.address.port)
        try worker.listen(
            WorkerSockets(outbound: outboundSocket, inbound: inboundSocket, tcp: tcpSockets)
        )
    }

    static func listen() throws -> ListeningSocket {
        try ListeningSocket(
            address: InternetAddress(bytes: [127, 0, 0, 1], port: 0),
            reusePort: false
        )
    }

    // MARK: Around the worker

    func application() throws -> Application {
        let made = try Application(loop: loop, socket: Self.listen())
        applications.append(made)
        return made
    }

    /// Has `finish` end an application made before the worker.
    func adopt(_ application: Application) { applications.append(application) }

    /// An address where nobody listens while the bench lives.
    func closedPort() throws -> SocketAddress {
        let made = try RefusingPort()
        refusingPorts.append(made)
        return made.address
    }

    /// A connected caller of the outbound listener.
    func caller() throws -> Peer { try caller(port: outboundPort) }

    /// A connected caller of the inbound listener.
    func inboundCaller(tls: TLSConnection? = nil) throws -> Peer {
        try caller(port: inboundPort, tls: tls)
    }

    /// A connected caller of the `number`th TCP listener (from 0).
    func tcpCaller(_ number: Int = 0) throws -> Peer { try caller(port: tcpPorts[number]) }

    private func caller(port: UInt16, tls: TLSConnection? = nil) throws -> Peer {
        let peer = Peer(loop: loop, tls: tls)
        callers.append(peer)
        peer.connect(to: InternetAddress(bytes: [127, 0, 0, 1], port: port))
        try loop.until("caller connects") { peer.isReady || peer.isOver }
        return peer
    }

    /// The `number`th connection (from 1) that `application` accepted.
    func accepted(
        _ application: Application,
        _ number: Int = 1,
        at location: SourceLocation = #_sourceLocation
    ) throws -> Peer {
        try loop.until("connection \(number) to the application", at: location) {
            application.connections.count >= number
        }
        return application.connections[number - 1]
    }

    // MARK: Configuration

    /// The connection that `request` has reached, of whichever application.
    func reached(_ applications: [Application], by request: String) throws -> Peer {
        var found: Peer?
        try loop.until {
            found = applications.flatMap(\.connections).first {
                withoutTrace($0.text) == request
            }
            return found != nil
        }
        guard let found else { throw Stuck(description: "nobody was reached") }
        return found
    }

    /// A service of one route to one cluster.
    static func service(
        _ name: String = "orders",
        port: UInt16 = 80,
        timeouts: RouteTimeouts = .default,
        protocol: ServiceProtocol = .auto
    ) -> VirtualService {
        VirtualService(
            name: name,
            hosts: [name, "\(name).default"],
            port: port,
            routes: [
                Route(
                    name: name,
                    backends: [WeightedCluster(cluster: name)],
                    timeouts: timeouts
                )
            ],
            protocol: `protocol`
        )
    }

    static func cluster(
        _ name: String = "orders",
        _ endpoints: [SocketAddress],
        security: ClusterSecurity = .plaintext,
        connectTimeout: Duration = .seconds(10),
        idleTimeout: Duration = .seconds(600),
        limits: ClusterLimits = .default,
        protocol: ServiceProtocol = .auto,
        // In turn, so that a test knows which endpoint comes next.
        balancing: LoadBalancing = LoadBalancing(algorithm: .roundRobin)
    ) -> Cluster {
        Cluster(
            name: name,
            security: security,
            endpoints: endpoints.map { Endpoint(address: $0) },
            connectTimeout: connectTimeout,
            idleTimeout: idleTimeout,
            limits: limits,
            protocol: `protocol`,
            balancing: balancing
        )
    }

    func apply(
        _ services: [VirtualService],
        _ clusters: [Cluster],
        inbound: InboundService = InboundService(name: "web"),
        trustDomain: String = "mesh.test",
        unknownDestinations: UnknownDestinations = .pass
    ) throws {
        guard let domain = TrustDomain(trustDomain),
            let workload = SPIFFEID(trustDomain: domain, path: "/ns/default/sa/web")
        else { throw Stuck(description: "bad trust domain") }
        version += 1
        worker.take(
            .snapshot(
                try MeshSnapshot(
                    version: version,
                    trustDomain: domain,
                    workload: workload,
                    trustBundle: [],
                    inbound: inbound,
                    services: services,
                    clusters: clusters,
                    unknownDestinations: unknownDestinations
                )
            )
        )
    }

    /// One service `orders` at these endpoints.
    func serve(
        _ endpoints: [SocketAddress],
        timeouts: RouteTimeouts = .default,
        security: ClusterSecurity = .plaintext,
        connectTimeout: Duration = .seconds(10),
        idleTimeout: Duration = .seconds(600),
        limits: ClusterLimits = .default,
        protocol: ServiceProtocol = .auto
    ) throws {
        try apply(
            [Self.service(timeouts: timeouts)],
            [
                Self.cluster(
                    "orders",
                    endpoints,
                    security: security,
                    connectTimeout: connectTimeout,
                    idleTimeout: idleTimeout,
                    limits: limits,
                    protocol: `protocol`
                )
            ]
        )
    }

    // MARK: Numbers

    func report() throws -> WorkerReport {
        let reply = ReportBox()
        worker.take(.report { reply.set($0) })
        guard let report = reply.value else { throw Stuck(description: "no report") }
        return report
    }

    var metrics: MetricsSnapshot { worker.metrics.snapshot() }

    // MARK: Expectations

    /// Turns until `peer` has received `expected` and nothing else, traces left out.
    func expect(
        _ peer: Peer,
        receives expected: String,
        at location: SourceLocation = #_sourceLocation
    ) throws {
        do {
            try loop.until(at: location) {
                peer.isOver || withoutTrace(peer.text).utf8.count >= expected.utf8.count
            }
        } catch {
            // The comparison below says more.
        }
        #expect(withoutTrace(peer.text) == expected, sourceLocation: location)
    }

    /// Sends `request` on `caller`, has `upstream` see `forwarded`, answer, and the caller get it.
    func exchange(
        _ caller: Peer,
        _ request: String,
        _ upstream: () throws -> Peer,
        sees forwarded: String,
        answers response: String,
        delivered: String? = nil,
        at location: SourceLocation = #_sourceLocation
    ) throws {
        caller.forget()
        caller.write(request)
        let peer = try upstream()
        try expect(peer, receives: forwarded, at: location)
        peer.forget()
        peer.write(response)
        try expect(caller, receives: delivered ?? response, at: location)
    }

    /// Ends the test: everybody leaves, and nothing may be left behind.
    func finish(
        sharesLoop: Bool = false,
        at location: SourceLocation = #_sourceLocation
    ) throws {
        let leaks = watchedObjects()
        // With a reset: an end would wait behind what a paused worker has not read.
        for caller in callers { caller.reset() }
        try loop.until("callers are forgotten", at: location) { worker.connectionCount == 0 }
        let before = try report()
        #expect(before.runningExchanges == 0, sourceLocation: location)
        for cluster in before.clusters {
            #expect(cluster.runningRequests == 0, sourceLocation: location)
            #expect(cluster.pendingRequests == 0, sourceLocation: location)
        }
        try apply([], [], unknownDestinations: .refuse)
        for application in applications {
            for peer in application.connections { peer.abort() }
        }
        try loop.until("upstream connections end", at: location) {
            metrics.total(.upstreamConnectionsActive) == 0
        }
        let numbers = metrics
        for gauge in [
            ProxyGauge.connectionsActive, .requestsActive, .upstreamConnectionsIdle,
            .requestsPending,
        ] {
            #expect(numbers.total(gauge) == 0, "\(gauge)", sourceLocation: location)
        }
        #expect(numbers.activeConnections == 0, sourceLocation: location)
        callers.removeAll()
        loop.turn(waitMillisecondsMax: 0)
        if !sharesLoop {
            #expect(loop.timers.count == armedSweeps, "timers left", sourceLocation: location)
        }
        let leaked = leaks.compactMap(\.value)
        #expect(leaked.isEmpty, sourceLocation: location)
        for application in applications { application.close() }
        worker.take(.expire)
        loop.turn(waitMillisecondsMax: 0)
    }

    /// The pool of the local application stays, and may look through its connections once more; and
    /// clusters of several endpoints judge them for a while.
    private var armedSweeps: Int {
        let mesh = Mirror(reflecting: worker).descendant("mesh") as? CompiledMesh
        let clusters = (mesh?.clusters.values.map(\.self) ?? [])
        return (mesh?.application?.pools ?? []).count { isArmed("sweep", of: $0) }
            + clusters.count { isArmed("healthTimer", of: $0) }
    }

    private func isArmed(_ timer: String, of owner: AnyObject) -> Bool {
        (Mirror(reflecting: owner).descendant(timer) as? Timer)?.isArmed ?? false
    }

    /// Everything that must be gone once its connection is, held weakly.
    private func watchedObjects() -> [WeakBox] {
        let connections =
            Mirror(reflecting: worker).descendant("connections")
            as? ContiguousArray<DownstreamConnection> ?? []
        var boxes = connections.map { WeakBox($0) }
        for connection in connections {
            guard
                let driver = Mirror(reflecting: connection).descendant("driver")
                    as? DownstreamDriver
            else { continue }
            boxes.append(WeakBox(driver))
            if let session = Mirror(reflecting: driver).descendant("session") as? HTTP2Connection {
                boxes.append(WeakBox(session))
            }
            if let exchange = Mirror(reflecting: driver).descendant("exchange") as? Exchange {
                boxes.append(WeakBox(exchange))
            }
        }
        let mesh = Mirror(reflecting: worker).descendant("mesh") as? CompiledMesh
        for cluster in mesh?.clusters.values.map(\.self) ?? [] {
            for pool in cluster.pools.flatMap(\.all) {
                boxes.append(WeakBox(pool))
                for kind in ["idle", "shared"] {
                    let connections =
                        Mirror(reflecting: pool).descendant(kind)
                        as? ContiguousArray<UpstreamConnection> ?? []
                    boxes += connections.map { WeakBox($0) }
                }
            }
        }
        return boxes
    }
}

final class WeakBox {
    weak var value: AnyObject?
    init(_ value: AnyObject) { self.value = value }
}

/// Takes a report out of its callback.
private final class ReportBox: Sendable {
    private let stored = Mutex<WorkerReport?>(nil)
    var value: WorkerReport? { stored.withLock { $0 } }
    func set(_ report: WorkerReport) { stored.withLock { $0 = report } }
}

/// What the proxy adds of its own to every request differs from run to run.
func withoutTrace(_ text: String) -> String {
    let bytes = Array(text.utf8)
    var kept: [UInt8] = []
    var start = 0
    while start < bytes.count {
        let end = (bytes[start...].firstIndex(of: 10) ?? bytes.count - 1) + 1
        let line = bytes[start..<end]
        let name = String(decoding: line.prefix { $0 != 0x3A }, as: UTF8.self)
        if name.lowercased() != "traceparent", name.lowercased() != "x-request-id" { kept += line }
        start = end
    }
    return String(decoding: kept, as: UTF8.self)
}

/// The value of a field in a head, in any case of the name.
func field(_ name: String, in text: String) -> String? {
    for line in text.split(separator: "\r\n", omittingEmptySubsequences: false) {
        if line.isEmpty { return nil }
        guard let colon = line.firstIndex(of: ":") else { continue }
        if line[..<colon].lowercased() == name {
            return String(line[line.index(after: colon)...].drop { $0 == " " })
        }
    }
    return nil
}
