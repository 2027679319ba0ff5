import MeshModel
import MeshTesting
import Reactor
import TLS
import Telemetry
import Testing
import Time

@testable import Proxy

/// The caller's sidecar with a listener for `db:5432`, mTLS, the service's sidecar, the service.
private struct TunnelHops {
    let authority = TestAuthority()
    let web: ProxyBench
    let db: ProxyBench
    let application: Application
    static let webPath = "/ns/default/sa/web"
    static let dbPath = "/ns/default/sa/db"

    init(serverPath: String = TunnelHops.dbPath) throws {
        web = try ProxyBench(tcp: [("db", 5_432)])
        application = try web.application()
        db = try ProxyBench(
            loop: web.loop,
            application: application.socketAddress,
            inboundTLS: true
        )
        try db.apply([], [], inbound: InboundService(name: "db.default", protocol: .tcp))
        db.worker.take(.identity(authority.workerIdentity(serverPath)))
        web.worker.take(.identity(authority.workerIdentity(Self.webPath)))
        try web.apply(
            [ProxyBench.service("db", port: 5_432, protocol: .tcp)],
            [
                ProxyBench.cluster(
                    "db",
                    [.loopback(port: db.inboundPort)],
                    security: .mutual([authority.id(Self.dbPath)])
                )
            ]
        )
    }

    func finish() throws {
        try web.finish(sharesLoop: true)
        try db.finish()
    }
}

struct TunnelTransportTests {
    @Test("half-close crosses mTLS in either order", arguments: [true, false])
    func halfClose(callerFirst: Bool) throws {
        let hops = try TunnelHops()
        let caller = try hops.web.tcpCaller()
        let server = try hops.web.accepted(hops.application)
        let (first, second) = callerFirst ? (caller, server) : (server, caller)
        first.write("last words")
        first.endOutput()
        try hops.web.loop.until { second.hasEnded }
        #expect(second.text == "last words")
        #expect(!first.isOver)
        second.write("an answer")
        second.endOutput()
        try hops.web.loop.until { first.hasEnded }
        #expect(first.text == "an answer")
        try hops.web.loop.until {
            hops.web.metrics.endedConnections(.outbound, reason: "finished") == 1
                && hops.db.metrics.endedConnections(.inbound, reason: "finished") == 1
        }
        let peer = "\"peer\":\"spiffe://mesh.test\(TunnelHops.webPath)\""
        #expect(hops.db.log.count(of: peer) == 1)
        let endpoint = "\"endpoint_peer\":\"spiffe://mesh.test\(TunnelHops.dbPath)\""
        #expect(hops.web.log.count(of: endpoint) == 1)
        try hops.finish()
    }

    @Test("a reset crosses mTLS as a reset", arguments: [true, false])
    func resets(byCaller: Bool) throws {
        let hops = try TunnelHops()
        let caller = try hops.web.tcpCaller()
        let server = try hops.web.accepted(hops.application)
        caller.write("x")
        try hops.web.expect(server, receives: "x")
        let (first, second) = byCaller ? (caller, server) : (server, caller)
        first.reset()
        try hops.web.loop.until { second.closed != nil }
        #expect(!second.hasEnded)
        try hops.finish()
    }

    @Test("a peer of another identity gets no byte; the caller gets a reset")
    func wrongIdentity() throws {
        let hops = try TunnelHops(serverPath: "/ns/default/sa/other")
        let caller = try hops.web.tcpCaller()
        caller.write("secret")
        try hops.web.loop.until { caller.closed != nil }
        #expect(!caller.hasEnded)
        #expect(hops.web.metrics.endedConnections(.outbound, reason: "upstream_tls") == 1)
        #expect(hops.application.connections.isEmpty)
        try hops.finish()
    }

    @Test("24 MiB both ways at once cross mTLS unchanged")
    func large() throws {
        let hops = try TunnelHops()
        let caller = try hops.web.tcpCaller()
        let server = try hops.web.accepted(hops.application)
        let total = 24 << 20
        func fill(_ peer: Peer) {
            var sent = 0
            func more() {
                while sent < total, !peer.isCongested {
                    peer.write(Pattern.bytes(sent, 131_072))
                    sent += 131_072
                }
                if sent == total { peer.endOutput() }
            }
            peer.onDrained = { _ in more() }
            more()
        }
        var got = [0, 0]
        var isEqual = true
        for (index, peer) in [caller, server].enumerated() {
            peer.onBytes = { bytes in
                if !Pattern.matches(bytes, at: got[index]) { isEqual = false }
                got[index] += bytes.count
            }
        }
        fill(caller)
        fill(server)
        try hops.web.loop.until { caller.hasEnded && server.hasEnded }
        #expect(got == [total, total])
        #expect(isEqual)
        try hops.finish()
    }

    @Test("without a certificate the caller gets a reset")
    func noIdentity() throws {
        let bench = try ProxyBench(tcp: [("db", 5_432)])
        try bench.apply(
            [ProxyBench.service("db", port: 5_432, protocol: .tcp)],
            [
                ProxyBench.cluster(
                    "db",
                    [bench.closedPort()],
                    security: .mutual([TestAuthority().id("/ns/default/sa/db")])
                )
            ]
        )
        let caller = try bench.tcpCaller()
        try bench.loop.until { caller.closed != nil }
        #expect(bench.metrics.endedConnections(.outbound, reason: "no_identity") == 1)
        try bench.finish()
    }
}

struct TunnelLimitTests {
    private static let heldMax =
        ReactorLimits.congestedAboveBytes
        + ReactorLimits.receivesPerTurnMax * (ReactorLimits.receiveBytesMax + 64)

    @Test("a reader that stops, stops the sender; every byte arrives", arguments: [true, false])
    func backPressure(toServer: Bool) throws {
        let tunnel = try TunnelBench()
        try tunnel.serve()
        let (caller, server) = try tunnel.pair()
        let (sender, reader) = toServer ? (caller, server) : (server, caller)
        reader.pauseReading()
        let total = 48 << 20
        var sent = 0
        func more() {
            while sent < total, !sender.isCongested {
                sender.write(Pattern.bytes(sent, 65_536))
                sent += 65_536
            }
            if sent == total { sender.endOutput() }
        }
        sender.onDrained = { _ in more() }
        more()
        try tunnel.bench.loop.until { sender.isCongested }
        tunnel.bench.loop.settle()
        #expect(sent < total, "the sender was never stopped")
        let counter: ProxyCounter = toServer ? .downstreamBytesReceived : .upstreamBytesReceived
        let gone: ProxyCounter = toServer ? .upstreamBytesSent : .downstreamBytesSent
        let metrics = tunnel.bench.metrics
        let held = metrics.value(counter, .outbound) - metrics.value(gone, .outbound)
        #expect(held <= UInt64(Self.heldMax))
        var got = 0
        var isEqual = true
        reader.onBytes = { bytes in
            if !Pattern.matches(bytes, at: got) { isEqual = false }
            got += bytes.count
        }
        reader.resumeReading()
        try tunnel.bench.loop.until { reader.hasEnded }
        #expect(got == total)
        #expect(isEqual)
        try tunnel.bench.finish()
    }

    @Test("silence beyond the limit is a reset of both, in the middle or at half-close")
    func idle() throws {
        let tunnel = try TunnelBench()
        try tunnel.serve(timeouts: RouteTimeouts(tcpIdle: .milliseconds(80)))
        for (number, isHalfClosed) in [false, true].enumerated() {
            let (caller, server) = try tunnel.pair(number + 1)
            caller.write("x")
            if isHalfClosed { caller.endOutput() }
            try tunnel.bench.expect(server, receives: "x")
            try tunnel.bench.loop.until { caller.closed != nil && server.closed != nil }
            #expect(tunnel.ended("tcp_idle_timeout") == UInt64(number + 1))
        }
        try tunnel.bench.finish()
    }

    @Test("over the cluster's bound a connection waits for one to end, or is refused")
    func limits() throws {
        let tunnel = try TunnelBench()
        try tunnel.serve(limits: ClusterLimits(connections: 1, pendingRequests: 1))
        let (first, server) = try tunnel.pair()
        let second = try tunnel.bench.tcpCaller()
        try tunnel.bench.loop.until {
            tunnel.bench.metrics.total(.requestsPending) == 1
        }
        let third = try tunnel.bench.tcpCaller()
        try tunnel.bench.loop.until { third.closed != nil }
        #expect(tunnel.ended("too_many_pending_requests") == 1)
        first.finish()
        server.finish()
        let next = try tunnel.bench.accepted(tunnel.application, 2)
        second.write("my turn")
        try tunnel.bench.expect(next, receives: "my turn")
        try tunnel.bench.finish()
    }

    @Test("who waits for longer than a connect may take is refused; nobody waits without a queue")
    func waiting() throws {
        let tunnel = try TunnelBench()
        try tunnel.serve(
            connectTimeout: .milliseconds(80),
            limits: ClusterLimits(connections: 1, pendingRequests: 1)
        )
        _ = try tunnel.pair()
        let second = try tunnel.bench.tcpCaller()
        try tunnel.bench.loop.until { second.closed != nil }
        #expect(tunnel.ended("too_many_connections") == 1)
        #expect(tunnel.bench.metrics.total(.requestsPending) == 0)
        try tunnel.serve(limits: ClusterLimits(connections: 1, pendingRequests: 0))
        let third = try tunnel.bench.tcpCaller()
        try tunnel.bench.loop.until { third.closed != nil }
        #expect(tunnel.ended("too_many_connections") == 2)
        try tunnel.bench.finish()
    }

    @Test("a new snapshot without the service leaves its connections alone")
    func snapshot() throws {
        let tunnel = try TunnelBench()
        try tunnel.serve()
        let (caller, server) = try tunnel.pair()
        try tunnel.bench.apply([], [])
        caller.write("still here")
        try tunnel.bench.expect(server, receives: "still here")
        try tunnel.serve()
        try tunnel.bench.finish()
    }

    @Test("a drain waits for tunnels and resets them when its time is over")
    func drain() throws {
        let tunnel = try TunnelBench()
        try tunnel.serve()
        let (caller, server) = try tunnel.pair()
        tunnel.bench.worker.take(.startDrain)
        tunnel.bench.worker.take(.closeIdle)
        caller.write("go on")
        try tunnel.bench.expect(server, receives: "go on")
        #expect(try tunnel.bench.report().runningExchanges == 1)
        tunnel.bench.worker.take(.expire)
        try tunnel.bench.loop.until { caller.closed != nil && server.closed != nil }
        #expect(tunnel.ended("draining") == 1)
        #expect(try tunnel.bench.report().runningExchanges == 0)
        try tunnel.bench.finish()
    }
}
