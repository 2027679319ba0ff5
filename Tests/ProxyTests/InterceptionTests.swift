import MeshModel
import Reactor
import Telemetry
import Testing
import Time

@testable import Proxy

/// A worker whose outbound listener takes intercepted connections; the test says where they meant to
/// go.
private struct InterceptionBench {
    let bench: ProxyBench
    let application: Application
    /// Not a service of the mesh.
    let stranger: Application

    init(timeout: Duration = .seconds(60)) throws {
        bench = try ProxyBench(
            interception: .init(outbound: true, inbound: false),
            detection: DetectionSettings(timeout: timeout)
        )
        application = try bench.application()
        stranger = try bench.application()
    }

    static let virtual = SocketAddress(addressBytes: [240, 0, 0, 1], port: 80)

    func serve(
        _ kind: ServiceProtocol = .auto,
        unknown: UnknownDestinations = .pass
    ) throws {
        let service = VirtualService(
            name: "orders",
            hosts: ["orders"],
            port: 80,
            routes: [Route(name: "orders", backends: [WeightedCluster(cluster: "orders")])],
            protocol: kind,
            addresses: [Self.virtual.ipAddress]
        )
        try bench.apply(
            [service],
            [ProxyBench.cluster("orders", [application.socketAddress])],
            unknownDestinations: unknown
        )
    }

    func caller(to destination: SocketAddress) throws -> Peer {
        bench.worker.readDestination = { _ in
            InternetAddress(bytes: destination.addressBytes, port: destination.port)
        }
        return try bench.caller()
    }

    func detections(_ label: String) -> UInt64 {
        bench.metrics.value(.detections, .outbound, label: label)
    }

    func finish() throws {
        try bench.finish()
    }
}

struct InterceptionTests {
    private let get = "GET / HTTP/1.1\r\nHost: orders\r\n\r\n"
    private let strange = "GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"
    private let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

    @Test("HTTP to a virtual address is a request of its service")
    func http() throws {
        let bench = try InterceptionBench()
        try bench.serve()
        let caller = try bench.caller(to: InterceptionBench.virtual)
        try bench.bench.exchange(
            caller,
            get,
            { try bench.bench.accepted(bench.application) },
            sees: get,
            answers: ok
        )
        #expect(bench.detections("http1") == 1)
        #expect(bench.bench.metrics.requestCount(.outbound) == 1)
        // The next one on the connection is not detected again.
        bench.application.connections[0].forget()
        caller.write(get)
        try bench.bench.expect(bench.application.connections[0], receives: get)
        #expect(bench.detections("http1") == 1)
        try bench.finish()
    }

    @Test("a host that no service has goes where the connection was meant to go")
    func addressOfService() throws {
        let bench = try InterceptionBench()
        try bench.serve()
        for address in [InterceptionBench.virtual, bench.application.socketAddress] {
            let caller = try bench.caller(to: address)
            caller.write(strange)
            let upstream = try bench.bench.accepted(bench.application)
            try bench.bench.expect(upstream, receives: strange)
            upstream.forget()
            upstream.write(ok)
            try bench.bench.expect(caller, receives: ok)
        }
        #expect(bench.bench.log.count(of: #""service":"orders""#) == 2)
        try bench.finish()
    }

    @Test("other bytes to a service are a tunnel to it, every byte of them", arguments: [1, 4, 9])
    func opaque(pieces: Int) throws {
        let bench = try InterceptionBench()
        try bench.serve()
        let caller = try bench.caller(to: InterceptionBench.virtual)
        let text = "GETTING somewhere\r\n"
        for piece in stride(from: 0, to: text.count, by: pieces) {
            caller.write(String(text.dropFirst(piece).prefix(pieces)))
            bench.bench.loop.settle()
        }
        let upstream = try bench.bench.accepted(bench.application)
        try bench.bench.expect(upstream, receives: text)
        upstream.write("heard")
        try bench.bench.expect(caller, receives: "heard")
        #expect(bench.detections("opaque") == 1)
        #expect(bench.bench.metrics.requestCount(.outbound) == 0)
        try bench.finish()
    }

    @Test("a declared protocol is not asked for")
    func declared() throws {
        let bench = try InterceptionBench()
        try bench.serve(.tcp)
        let caller = try bench.caller(to: InterceptionBench.virtual)
        // Before the caller says a word.
        let upstream = try bench.bench.accepted(bench.application)
        caller.write(get)
        try bench.bench.expect(upstream, receives: get)
        #expect(bench.detections("declared") == 1)
        try bench.serve(.http1)
        let other = try bench.caller(to: InterceptionBench.virtual)
        other.write("\u{16}\u{3}\u{1}\r\n\r\n")
        try bench.bench.loop.until { other.text.hasPrefix("HTTP/1.1 400") }
        try bench.finish()
    }

    @Test("a server that speaks first is heard, and the next connection does not wait")
    func serverFirst() throws {
        let bench = try InterceptionBench()
        bench.application.onConnection = { $0.write("220 ready\r\n") }
        try bench.serve()
        let caller = try bench.caller(to: InterceptionBench.virtual)
        try bench.bench.expect(caller, receives: "220 ready\r\n")
        caller.write("GET / not HTTP any more")
        let upstream = try bench.bench.accepted(bench.application)
        try bench.bench.expect(upstream, receives: "GET / not HTTP any more")
        #expect(bench.detections("server_first") == 1)
        let next = try bench.caller(to: InterceptionBench.virtual)
        try bench.bench.expect(next, receives: "220 ready\r\n")
        #expect(bench.detections("learned") == 1)
        let lines = bench.bench.log.lines
        next.finish()
        try bench.bench.accepted(bench.application, 2).finish()
        try bench.bench.loop.until { bench.bench.log.lines.count > lines.count }
        #expect(bench.bench.log.count(of: #""detection":"learned""#) == 1)
        try bench.finish()
    }

    @Test("a server of HTTP that answers before it is asked is not remembered as opaque")
    func impatientServer() throws {
        let bench = try InterceptionBench()
        bench.application.onConnection = { $0.write("HTTP/1.1 408 Request Timeout\r\n\r\n") }
        try bench.serve()
        let caller = try bench.caller(to: InterceptionBench.virtual)
        try bench.bench.loop.until { caller.text.hasPrefix("HTTP/1.1 408") }
        bench.application.onConnection = nil
        let next = try bench.caller(to: InterceptionBench.virtual)
        next.write(get)
        try bench.bench.loop.until { bench.detections("http1") == 1 }
        try bench.finish()
    }

    @Test("a caller of HTTP that was silent for a while is HTTP; the other dial is not used")
    func lateRequest() throws {
        let bench = try InterceptionBench()
        try bench.serve()
        let caller = try bench.caller(to: InterceptionBench.virtual)
        let guess = try bench.bench.accepted(bench.application)
        caller.write(get)
        let upstream = try bench.bench.accepted(bench.application, 2)
        try bench.bench.expect(upstream, receives: get)
        upstream.write(ok)
        try bench.bench.expect(caller, receives: ok)
        try bench.bench.loop.until { guess.isOver }
        #expect(guess.received.isEmpty)
        #expect(bench.bench.metrics.endedConnections(.outbound) == 0)
        #expect(bench.bench.metrics.activeConnections == 0)
        try bench.finish()
    }

    @Test("after the time limit it is a tunnel, also behind the beginning of a method")
    func timeout() throws {
        let bench = try InterceptionBench(timeout: .milliseconds(80))
        try bench.serve()
        let silent = try bench.caller(to: InterceptionBench.virtual)
        try bench.bench.loop.until { bench.detections("timeout") == 1 }
        let slow = try bench.caller(to: InterceptionBench.virtual)
        slow.write("GE")
        try bench.bench.loop.until { bench.detections("timeout") == 2 }
        let upstream = try bench.bench.accepted(bench.application, 2)
        try bench.bench.expect(upstream, receives: "GE")
        slow.write("T / HTTP/1.1\r\n\r\n")
        try bench.bench.expect(upstream, receives: "GET / HTTP/1.1\r\n\r\n")
        silent.write("now")
        try bench.bench.expect(bench.application.connections[0], receives: "now")
        try bench.finish()
    }

    @Test("a caller that ends while nothing is clear is passed on with its end")
    func endsEarly() throws {
        let bench = try InterceptionBench()
        try bench.serve()
        let caller = try bench.caller(to: InterceptionBench.virtual)
        caller.write("GE")
        caller.endOutput()
        let upstream = try bench.bench.accepted(bench.application)
        try bench.bench.loop.until { upstream.hasEnded }
        #expect(upstream.text == "GE")
        upstream.write("what?")
        upstream.finish()
        try bench.bench.loop.until { caller.hasEnded }
        #expect(caller.text == "what?")
        try bench.finish()
    }

    @Test("a caller that leaves while nothing is clear leaves nothing behind")
    func leaves() throws {
        let bench = try InterceptionBench()
        try bench.serve()
        let caller = try bench.caller(to: InterceptionBench.virtual)
        let guess = try bench.bench.accepted(bench.application)
        caller.reset()
        try bench.bench.loop.until { guess.isOver }
        try bench.finish()
    }

    @Test("what the mesh does not know passes, as HTTP and as a tunnel, and is counted so")
    func unknownPasses() throws {
        let bench = try InterceptionBench()
        try bench.serve()
        let caller = try bench.caller(to: bench.stranger.socketAddress)
        try bench.bench.exchange(
            caller,
            strange,
            { try bench.bench.accepted(bench.stranger) },
            sees: strange,
            answers: ok
        )
        let other = try bench.caller(to: bench.stranger.socketAddress)
        other.write("\u{16}\u{3}\u{1}hello")
        let upstream = try bench.bench.accepted(bench.stranger, 2)
        try bench.bench.expect(upstream, receives: "\u{16}\u{3}\u{1}hello")
        other.endOutput()
        try bench.bench.loop.until { upstream.hasEnded }
        upstream.finish()
        try bench.bench.loop.until {
            bench.bench.metrics.endedConnections(.outbound, reason: "finished") == 1
        }
        #expect(bench.bench.log.count(of: #""service":"unknown""#) == 2)
        #expect(bench.bench.log.count(of: #""cluster":"passthrough""#) == 2)
        #expect(bench.application.connections.isEmpty)
        try bench.finish()
    }

    @Test("where the unknown is refused, HTTP is told why, and others are reset")
    func unknownRefused() throws {
        let bench = try InterceptionBench()
        try bench.serve(unknown: .refuse)
        let caller = try bench.caller(to: bench.stranger.socketAddress)
        caller.write(strange)
        try bench.bench.loop.until { caller.text.contains("unknown_destination") }
        #expect(caller.text.hasPrefix("HTTP/1.1 502"))
        let other = try bench.caller(to: bench.stranger.socketAddress)
        other.write("\0\0")
        try bench.bench.loop.until { other.closed != nil }
        #expect(!other.hasEnded)
        #expect(
            bench.bench.metrics.endedConnections(.outbound, reason: "unknown_destination") == 1
        )
        // A service is reached whatever the address; without a port its host has the destination's.
        let known = try bench.caller(to: bench.stranger.socketAddress)
        known.write("GET / HTTP/1.1\r\nHost: orders:80\r\n\r\n")
        _ = try bench.bench.accepted(bench.application)
        let wrongPort = try bench.caller(to: bench.stranger.socketAddress)
        wrongPort.write(get)
        try bench.bench.loop.until { wrongPort.text.contains("unknown_destination") }
        #expect(bench.stranger.connections.isEmpty)
        try bench.finish()
    }

    @Test("the proxy does not connect to itself")
    func loop() throws {
        let bench = try InterceptionBench()
        try bench.serve()
        let own = SocketAddress.loopback(port: bench.bench.outboundPort)
        let caller = try bench.caller(to: own)
        caller.write("\0")
        try bench.bench.loop.until { caller.closed != nil }
        let http = try bench.caller(to: own)
        http.write(strange)
        try bench.bench.loop.until { http.text.contains("own_address") }
        #expect(bench.bench.metrics.value(.connectionsAccepted, .outbound) == 2)
        try bench.finish()
    }

    @Test("a connection that was not redirected is as without interception")
    func direct() throws {
        let bench = try InterceptionBench()
        try bench.serve()
        let caller = try bench.bench.caller()
        caller.write(strange)
        try bench.bench.loop.until { caller.text.hasPrefix("HTTP/1.1 404") }
        try bench.finish()
    }
}

struct InboundInterceptionTests {
    private let get = "GET / HTTP/1.1\r\nHost: orders\r\n\r\n"

    @Test("a peer reaches the application's port it meant, in what is declared there")
    func ports() throws {
        let loop = try EventLoop()
        let configured = try Application(loop: loop, socket: ProxyBench.listen())
        let bench = try ProxyBench(
            loop: loop,
            application: configured.socketAddress,
            interception: .init(outbound: false, inbound: true)
        )
        bench.adopt(configured)
        let web = try bench.application()
        let database = try bench.application()
        let port = database.socketAddress.port
        try bench.apply(
            [],
            [],
            inbound: InboundService(
                name: "orders",
                ports: [InboundPort(port: port, protocol: .tcp)]
            )
        )
        func meaning(_ port: UInt16, at last: UInt8 = 9) {
            bench.worker.readDestination = { _ in
                InternetAddress(bytes: [127, 0, 0, last], port: port)
            }
        }
        // A port that is not declared is reached at the address that was meant, and only there.
        meaning(web.socketAddress.port, at: 1)
        let caller = try bench.inboundCaller()
        caller.write(get)
        try bench.expect(bench.accepted(web), receives: get)
        meaning(web.socketAddress.port)
        let lost = try bench.inboundCaller()
        lost.write(get)
        try bench.loop.until { lost.text.hasPrefix("HTTP/1.1 503") }
        #expect(web.connections.count == 1)
        // A declared one is the application's, wherever that listens.
        meaning(port)
        let opaque = try bench.inboundCaller()
        opaque.write(get)
        try bench.expect(bench.accepted(database), receives: get)
        #expect(bench.metrics.activeConnections == 1)
        bench.worker.readDestination = { _ in nil }
        let direct = try bench.inboundCaller()
        direct.write(get)
        try bench.expect(bench.accepted(configured), receives: get)
        // The proxy's own listeners trust this machine: no peer reaches them through it.
        meaning(bench.outboundPort)
        let intruder = try bench.inboundCaller()
        intruder.write(get)
        try bench.loop.until { intruder.text.contains("own_address") }
        for peer in [caller, lost, opaque, direct] { peer.reset() }
        try bench.loop.until { bench.metrics.activeConnections == 0 }
        bench.worker.applicationPorts.retireAll()
        try bench.finish()
    }
}
