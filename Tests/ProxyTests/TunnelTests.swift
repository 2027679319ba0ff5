import MeshModel
import Reactor
import Telemetry
import Testing
import Time

@testable import Proxy

/// A worker with a listener for one opaque service, `db:5432`.
struct TunnelBench {
    let bench: ProxyBench
    let application: Application

    init(
        limits: RequestLimits = .default,
        accessLog: AccessLogLevel = .all
    ) throws {
        bench = try ProxyBench(limits: limits, tcp: [("db", 5_432)], accessLog: accessLog)
        application = try bench.application()
    }

    /// The service at `endpoints`, by default the application alone.
    func serve(
        _ endpoints: [SocketAddress]? = nil,
        timeouts: RouteTimeouts = .default,
        connectTimeout: Duration = .seconds(10),
        limits: ClusterLimits = .default
    ) throws {
        try bench.apply(
            [ProxyBench.service("db", port: 5_432, timeouts: timeouts, protocol: .tcp)],
            [
                ProxyBench.cluster(
                    "db",
                    endpoints ?? [application.socketAddress],
                    connectTimeout: connectTimeout,
                    limits: limits
                )
            ]
        )
    }

    /// A caller and the application's end of its tunnel.
    func pair(_ number: Int = 1) throws -> (caller: Peer, server: Peer) {
        let caller = try bench.tcpCaller()
        return (caller, try bench.accepted(application, number))
    }

    func ended(_ reason: String? = nil) -> UInt64 {
        bench.metrics.endedConnections(.outbound, reason: reason)
    }
}

struct TunnelTests {
    @Test("bytes cross a declared TCP service both ways, in order")
    func both() throws {
        let tunnel = try TunnelBench()
        try tunnel.serve()
        let (caller, server) = try tunnel.pair()
        caller.write("\0\u{1}question")
        try tunnel.bench.expect(server, receives: "\0\u{1}question")
        server.write("answer")
        try tunnel.bench.expect(caller, receives: "answer")
        caller.finish()
        try tunnel.bench.loop.until { server.hasEnded }
        server.finish()
        try tunnel.bench.loop.until { tunnel.ended("finished") == 1 }
        let line = tunnel.bench.log.lines.first { $0.contains("\"connection\"") } ?? ""
        for part in [
            #""service":"db""#, #""cluster":"db""#, #""received_bytes":10"#, #""sent_bytes":6"#,
            #""reason":"finished""#, #""endpoint":"\#(tunnel.application.socketAddress)""#,
        ] { #expect(line.contains(part), "\(part) in \(line)") }
        try tunnel.bench.finish()
    }

    @Test("a server that speaks first is heard before the caller says a word")
    func serverFirst() throws {
        let tunnel = try TunnelBench()
        tunnel.application.onConnection = { $0.write("220 ready\r\n") }
        try tunnel.serve()
        let (caller, server) = try tunnel.pair()
        try tunnel.bench.expect(caller, receives: "220 ready\r\n")
        caller.write("HELO\r\n")
        try tunnel.bench.expect(server, receives: "HELO\r\n")
        try tunnel.bench.finish()
    }

    @Test("HTTP on a declared TCP service is not looked at")
    func http() throws {
        let tunnel = try TunnelBench()
        try tunnel.serve()
        let (caller, server) = try tunnel.pair()
        let text = "GET / HTTP/9.9\r\nHost: else\r\nHost: twice\r\n\r\n"
        caller.write(text)
        try tunnel.bench.expect(server, receives: text)
        #expect(tunnel.bench.metrics.requestCount(.outbound) == 0)
        try tunnel.bench.finish()
    }

    @Test("the caller ends first: the server sees it, and may answer for as long as it likes")
    func callerEndsFirst() throws {
        let tunnel = try TunnelBench()
        try tunnel.serve()
        let (caller, server) = try tunnel.pair()
        caller.write("all of it")
        caller.endOutput()
        try tunnel.bench.loop.until { server.hasEnded }
        #expect(server.text == "all of it")
        #expect(!caller.isOver)
        for part in ["one ", "two ", "three"] {
            server.write(part)
            try tunnel.bench.loop.until { caller.text.hasSuffix(part) }
        }
        server.endOutput()
        try tunnel.bench.loop.until { caller.hasEnded }
        #expect(caller.text == "one two three")
        try tunnel.bench.loop.until { tunnel.ended("finished") == 1 }
        try tunnel.bench.finish()
    }

    @Test("the server ends first: the caller sees it, and may go on sending")
    func serverEndsFirst() throws {
        let tunnel = try TunnelBench()
        try tunnel.serve()
        let (caller, server) = try tunnel.pair()
        server.write("bye")
        server.endOutput()
        try tunnel.bench.loop.until { caller.hasEnded }
        #expect(caller.text == "bye")
        #expect(!server.isOver)
        caller.write("one more thing")
        try tunnel.bench.expect(server, receives: "one more thing")
        caller.endOutput()
        try tunnel.bench.loop.until { server.hasEnded }
        try tunnel.bench.loop.until { tunnel.ended("finished") == 1 }
        try tunnel.bench.finish()
    }

    @Test("a caller that sends and ends before the server is connected loses nothing")
    func endsAtOnce() throws {
        let tunnel = try TunnelBench()
        try tunnel.serve()
        let caller = try tunnel.bench.tcpCaller()
        caller.write("short")
        caller.endOutput()
        let server = try tunnel.bench.accepted(tunnel.application)
        try tunnel.bench.loop.until { server.hasEnded }
        #expect(server.text == "short")
        server.write("heard")
        server.finish()
        try tunnel.bench.loop.until { caller.isOver }
        #expect(caller.text == "heard" && caller.hasEnded)
        try tunnel.bench.finish()
    }

    @Test("a reset of either side reaches the other as a reset", arguments: [true, false])
    func resets(byCaller: Bool) throws {
        let tunnel = try TunnelBench()
        try tunnel.serve()
        let (caller, server) = try tunnel.pair()
        caller.write("x")
        try tunnel.bench.expect(server, receives: "x")
        let (first, second) = byCaller ? (caller, server) : (server, caller)
        first.reset()
        try tunnel.bench.loop.until { second.closed != nil }
        #expect(!second.hasEnded)
        guard case .failed? = second.closed else {
            Issue.record("\(String(describing: second.closed)) is no reset")
            return
        }
        #expect(tunnel.ended(byCaller ? "downstream_closed" : "upstream_reset") == 1)
        try tunnel.bench.finish()
    }

    @Test("an unknown service, a wrong port, no endpoint, no configuration: a reset that says why")
    func refusals() throws {
        let tunnel = try TunnelBench()
        func refused(_ reason: String) throws {
            let caller = try tunnel.bench.tcpCaller()
            try tunnel.bench.loop.until { caller.closed != nil }
            #expect(!caller.hasEnded, "\(reason)")
            try tunnel.bench.loop.until("\(reason) counted") { tunnel.ended(reason) == 1 }
            #expect(tunnel.bench.log.count(of: "\"reason\":\"\(reason)\"") == 1)
        }
        try refused("not_configured")
        try tunnel.bench.apply([], [])
        try refused("unknown_service")
        try tunnel.bench.apply(
            [ProxyBench.service("db", port: 1)],
            [ProxyBench.cluster("db", [tunnel.application.socketAddress])]
        )
        try refused("wrong_port")
        try tunnel.serve([])
        try refused("no_endpoint")
        try tunnel.serve([tunnel.bench.closedPort()])
        try refused("connect_failed")
        #expect(tunnel.application.connections.isEmpty)
        try tunnel.bench.finish()
    }

    @Test("an endpoint that refuses is passed over: the caller notices nothing")
    func failover() throws {
        let tunnel = try TunnelBench()
        let address = tunnel.application.socketAddress
        try tunnel.serve([tunnel.bench.closedPort(), address])
        for number in 1...6 {
            let (caller, server) = try tunnel.pair(number)
            caller.write("\(number)")
            try tunnel.bench.expect(server, receives: "\(number)")
        }
        #expect(tunnel.bench.metrics.value(.retries, .outbound, label: "connect_failed") > 0)
        try tunnel.bench.finish()
    }

    @Test("no more endpoints are tried than there are, or than the bound")
    func failoverEnds() throws {
        let tunnel = try TunnelBench()
        let closed = try (0..<5).map { _ in try tunnel.bench.closedPort() }
        try tunnel.serve(closed)
        let caller = try tunnel.bench.tcpCaller()
        try tunnel.bench.loop.until { caller.closed != nil }
        try tunnel.bench.loop.until { tunnel.ended("connect_failed") == 1 }
        let failures = tunnel.bench.metrics.value(.upstreamConnectFailures, .outbound)
        #expect(failures == UInt64(ProxyLimits.connectAttemptsMax))
        try tunnel.bench.finish()
    }

    @Test("connections spread over the endpoints in turn")
    func balance() throws {
        let tunnel = try TunnelBench()
        let others = try (0..<2).map { _ in try tunnel.bench.application() }
        let all = [tunnel.application] + others
        try tunnel.serve(all.map(\.socketAddress))
        for _ in 0..<6 { _ = try tunnel.bench.tcpCaller() }
        try tunnel.bench.loop.until { all.allSatisfy { $0.connections.count == 2 } }
        try tunnel.bench.finish()
    }

    @Test("the weights of the service's route choose the cluster")
    func weights() throws {
        let tunnel = try TunnelBench()
        let other = try tunnel.bench.application()
        let service = VirtualService(
            name: "db",
            hosts: ["db"],
            port: 5_432,
            routes: [
                Route(
                    name: "db",
                    backends: [
                        WeightedCluster(cluster: "old", weight: 3),
                        WeightedCluster(cluster: "new", weight: 1),
                    ]
                )
            ],
            protocol: .tcp
        )
        try tunnel.bench.apply(
            [service],
            [
                ProxyBench.cluster("old", [tunnel.application.socketAddress]),
                ProxyBench.cluster("new", [other.socketAddress]),
            ]
        )
        for _ in 0..<8 { _ = try tunnel.bench.tcpCaller() }
        try tunnel.bench.loop.until {
            tunnel.application.connections.count + other.connections.count == 8
        }
        #expect(tunnel.application.connections.count == 6)
        try tunnel.bench.finish()
    }
}
