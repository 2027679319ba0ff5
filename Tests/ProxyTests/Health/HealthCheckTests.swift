import HTTP2
import MeshModel
import MeshTesting
import Reactor
import TLS
import Telemetry
import Testing
import Time
import Traffic

@testable import Proxy

/// Health checks over real sockets, every 20 ms.
struct HealthCheckTests {
    private let good = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    private let bad = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"

    // MARK: HTTP

    @Test("each check is a GET on a connection of its own, which closes when it is answered")
    func request() throws {
        let bench = try ProxyBench()
        let application = try bench.application()
        application.answerEach(with: good)
        try bench.check(.http(path: "/health"), [application.socketAddress])
        let first = try bench.accepted(application)
        let third = try bench.accepted(application, 3)
        try bench.loop.until { first.isOver && third.isOver }
        #expect(bench.checks("failure") == 0)
        #expect(try bench.isWell())
        application.onConnection = nil
        let count = application.connections.count
        let open = try bench.accepted(application, count + 1)
        try bench.loop.until { open.text.hasSuffix("\r\n\r\n") }
        let host = application.socketAddress
        #expect(
            open.text == "GET /health HTTP/1.1\r\nHost: \(host)\r\n"
                + "User-Agent: mesh-health-check\r\n\r\n"
        )
        try bench.finish()
    }

    @Test("an endpoint that fails its checks gets no requests until it passes them again")
    func outAndBack() throws {
        let bench = try ProxyBench()
        let sick = try bench.application()
        let other = try bench.application()
        sick.answerEach(with: bad)
        other.answerEach(with: good)
        try bench.check(.http(path: "/health"), [sick.socketAddress, other.socketAddress])
        try bench.loop.until("out") { try? !bench.isWell(0) }
        #expect(try bench.isWell(1))
        #expect(bench.metrics.value(.endpointEjections, .outbound, label: "health-check") == 1)
        #expect(bench.log.count(of: "endpoint ejected") == 1)
        var asked = 0
        sick.onConnection = { peer in
            peer.onReceived = { peer in
                guard peer.text.hasSuffix("\r\n\r\n") else { return }
                if !peer.text.hasPrefix("GET /health ") { asked += 1 }
                peer.write(bad)
            }
        }
        let caller = try bench.caller()
        for _ in 0..<20 {
            caller.forget()
            caller.write("GET / HTTP/1.1\r\nHost: orders\r\n\r\n")
            try bench.loop.until { caller.text.hasSuffix("ok") }
        }
        #expect(asked == 0)
        sick.answerEach(with: good)
        try bench.loop.until("back") { try? bench.isWell(0) }
        #expect(bench.metrics.value(.endpointRestorations, .outbound) == 1)
        try bench.finish()
    }

    @Test("one failure among successes changes nothing")
    func interrupted() throws {
        let bench = try ProxyBench()
        let application = try bench.application()
        var number = 0
        application.onConnection = { peer in
            peer.onReceived = { peer in
                number += 1
                peer.write(number % 2 == 0 ? bad : good)
            }
        }
        try bench.check(.http(path: "/"), [application.socketAddress])
        try bench.loop.until { bench.checks("failure") >= 5 }
        #expect(bench.metrics.total(.endpointEjections) == 0)
        #expect(try bench.isWell())
        try bench.finish()
    }

    @Test(
        "200 to 399 is well",
        arguments: [
            (200, true), (204, true), (302, true), (399, true), (400, false), (404, false),
            (500, false), (599, false),
        ]
    )
    func judgedByStatus(status: Int, isWell: Bool) throws {
        let bench = try ProxyBench()
        let application = try bench.application()
        application.answerEach(
            with:
                "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 \(status) X\r\nContent-Length: 0\r\n\r\n"
        )
        try bench.check(.http(path: "/"), [application.socketAddress])
        try bench.loop.until { bench.checks(isWell ? "success" : "failure") >= 2 }
        #expect(bench.checks(isWell ? "failure" : "success") == 0)
        #expect(try bench.isWell() == isWell)
        try bench.finish()
    }

    @Test(
        "no answer, half of one, or none of HTTP is a failure",
        arguments: [
            "", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhalf",
            "HTTP/1.1 100 Continue\r\n\r\n", "SSH-2.0-OpenSSH_9.9\r\n", "HTTP/1.1 999999 X\r\n\r\n",
        ]
    )
    func noAnswer(text: String) throws {
        let bench = try ProxyBench()
        let application = try bench.application()
        application.answerEach(with: text)
        try bench.check(
            .http(path: "/"),
            [application.socketAddress],
            timeout: .milliseconds(60)
        )
        try bench.loop.until("unwell") { try? !bench.isWell() }
        #expect(bench.checks("success") == 0)
        let first = application.connections[0]
        try bench.loop.until("gives up its connection") { first.isOver }
        try bench.finish()
    }

    @Test("an endpoint that hangs up, or where nobody listens, is unwell")
    func refused() throws {
        let bench = try ProxyBench()
        let application = try bench.application()
        application.onConnection = { $0.onReceived = { $0.close() } }
        let closed = try bench.closedPort()
        try bench.check(.http(path: "/"), [application.socketAddress, closed])
        try bench.loop.until("unwell") { try? !bench.isWell(0) && !bench.isWell(1) }
        try bench.finish()
    }

    @Test("of an endless page the head is enough")
    func endless() throws {
        let bench = try ProxyBench()
        let application = try bench.application()
        application.answerEach(
            with: "HTTP/1.1 200 OK\r\n\r\n" + String(repeating: "x", count: 100_000)
        )
        try bench.check(.http(path: "/"), [application.socketAddress])
        try bench.loop.until { bench.checks("success") >= 2 }
        #expect(bench.checks("failure") == 0)
        let first = application.connections[0]
        try bench.loop.until { first.isOver }
        try bench.finish()
    }

    @Test("a cluster whose bounds are reached is checked all the same")
    func bounds() throws {
        let bench = try ProxyBench()
        let application = try bench.application()
        try bench.check(
            .http(path: "/health"),
            [application.socketAddress],
            limits: ClusterLimits(connections: 1, pendingRequests: 0, requests: 1)
        )
        let caller = try bench.caller()
        application.onConnection = { peer in
            peer.onReceived = { peer in
                if peer.text.hasPrefix("GET /health ") { peer.write(good) }
            }
        }
        caller.write("GET /held HTTP/1.1\r\nHost: orders\r\n\r\n")
        try bench.loop.until { application.connections.contains { $0.text.contains("/held") } }
        let before = bench.checks("success")
        try bench.loop.until { bench.checks("success") >= before + 3 }
        #expect(try bench.isWell())
        let another = try bench.caller()
        another.write("GET / HTTP/1.1\r\nHost: orders\r\n\r\n")
        try bench.loop.until { another.text.hasSuffix("}\n") }
        #expect(ProxyTests.statuses(another.text) == [503])
        try bench.finish()
    }

    // MARK: HTTP/2 and gRPC

    @Test("a query arrives as it is written", arguments: ["/health?full=1&x=%2F", "/health?"])
    func query(path: String) throws {
        let bench = try ProxyBench()
        let application = try bench.application()
        try bench.check(.http(path: path), [application.socketAddress])
        let peer = try bench.accepted(application)
        try bench.loop.until { peer.text.hasSuffix("\r\n\r\n") }
        #expect(peer.text.hasPrefix("GET \(path) HTTP/1.1\r\n"))
        try bench.finish()
    }

    @Test(
        "a cluster of HTTP/2 is asked in it, with its query",
        arguments: ["/health", "/health?full=1"]
    )
    func http2(path: String) throws {
        let bench = try ProxyBench()
        let application = try bench.http2Application()
        application.answerEach()
        try bench.check(
            .http(path: path),
            [application.application.socketAddress],
            protocol: .http2
        )
        let request = try bench.request(application)
        try bench.loop.until { bench.checks("success") >= 2 }
        #expect(request.method == "GET" && request.target == path)
        #expect(application.ends.count >= 2)
        #expect(try bench.isWell())
        try bench.finish()
    }

    @Test("gRPC is asked for its service")
    func grpcRequest() throws {
        let bench = try ProxyBench()
        let application = try bench.http2Application()
        application.onEnd = { $0.onRequest = { answer($0, [8, 1]) } }
        try bench.check(
            .grpc(service: "shop.Orders"),
            [application.application.socketAddress]
        )
        let request = try bench.request(application)
        try bench.loop.until { bench.checks("success") >= 2 }
        #expect(bench.checks("failure") == 0)
        #expect(request.method == "POST")
        #expect(request.target == "/grpc.health.v1.Health/Check")
        #expect(request.requestLines.contains("content-type: application/grpc"))
        #expect(request.requestLines.contains("te: trailers"))
        #expect(request.body == [0, 0, 0, 0, 13, 0x0A, 11] + Array("shop.Orders".utf8))
        try bench.finish()
    }

    @Test("only SERVING with grpc-status 0 is well", arguments: 0..<7)
    func grpcFailures(number: Int) throws {
        let bench = try ProxyBench()
        let application = try bench.http2Application()
        application.onEnd = { end in
            end.onRequest = { stream in
                switch number {
                case 0: answer(stream, [8, 2])
                case 1: answer(stream, [8, 1], grpcStatus: "14")
                case 2: answer(stream, [8, 1], status: 503)
                // Without a message: UNIMPLEMENTED, with nothing but a head.
                case 3: stream.answer(200, [("grpc-status", "12")])
                case 4: answer(stream, [8])
                case 5: answer(stream, [UInt8](repeating: 8, count: 10_000))
                default: stream.reset(HTTP2ErrorCode.internalError)
                }
            }
        }
        try bench.check(.grpc(service: ""), [application.application.socketAddress])
        try bench.loop.until("unwell") { try? !bench.isWell() }
        #expect(bench.checks("success") == 0)
        try bench.finish()
    }

    @Test("an endpoint that speaks HTTP/1.1 does not serve gRPC")
    func grpcOverHTTP1() throws {
        let bench = try ProxyBench()
        let application = try bench.application()
        application.onConnection = { peer in
            peer.onReceived = { peer in
                peer.write("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
                peer.finish()
            }
        }
        try bench.check(.grpc(service: ""), [application.socketAddress])
        try bench.loop.until("unwell") { try? !bench.isWell() }
        try bench.finish()
    }

    // MARK: TCP

    @Test("a TCP check connects, says nothing and leaves")
    func tcp() throws {
        let bench = try ProxyBench()
        let application = try bench.application()
        let closed = try bench.closedPort()
        try bench.check(.tcp, [application.socketAddress, closed], protocol: .tcp)
        let third = try bench.accepted(application, 3)
        try bench.loop.until { third.isOver }
        #expect(application.connections.allSatisfy { $0.receivedCount == 0 })
        try bench.loop.until("unwell") { try? !bench.isWell(1) }
        #expect(try bench.isWell(0))
        try bench.finish()
    }

    // MARK: mTLS

    @Test("with mTLS only the identity that is meant is well", arguments: [true, false])
    func mutualTLS(isMeant: Bool) throws {
        for kind in [HealthCheck.Kind.tcp, .http(path: "/")] {
            let authority = TestAuthority()
            let bench = try ProxyBench()
            bench.worker.take(.identity(authority.workerIdentity(TwoHops.webPath)))
            let application = try bench.application()
            application.answerEach(with: good)
            application.serverTLS = try authority.serverTLS(
                isMeant ? TwoHops.ordersPath : "/ns/default/sa/thief"
            )
            try bench.check(
                kind,
                [application.socketAddress],
                security: .mutual([authority.id(TwoHops.ordersPath)])
            )
            try bench.loop.until { bench.checks(isMeant ? "success" : "failure") >= 2 }
            #expect(bench.checks(isMeant ? "failure" : "success") == 0)
            #expect(try bench.isWell() == isMeant)
            try bench.finish()
        }
    }

    @Test("a proxy without a certificate blames no endpoint")
    func noIdentity() throws {
        let authority = TestAuthority()
        let bench = try ProxyBench()
        let application = try bench.application()
        application.answerEach(with: good)
        application.serverTLS = try authority.serverTLS(TwoHops.ordersPath)
        try bench.check(
            .http(path: "/"),
            [application.socketAddress],
            security: .mutual([authority.id(TwoHops.ordersPath)])
        )
        let start = Clock.monotonic()
        try bench.loop.until { Clock.monotonic() > start + .milliseconds(200) }
        #expect(bench.checks("failure") == 0 && bench.checks("success") == 0)
        bench.worker.take(.identity(authority.workerIdentity(TwoHops.webPath)))
        try bench.loop.until { bench.checks("success") >= 2 }
        #expect(try bench.isWell())
        try bench.finish()
    }

    // MARK: Changes

    @Test("an endpoint that leaves is asked no more, one that stays keeps its result")
    func update() throws {
        let bench = try ProxyBench()
        let applications = try (0..<3).map { _ in try bench.application() }
        for application in applications { application.answerEach(with: good) }
        applications[1].answerEach(with: bad)
        let addresses = applications.map(\.socketAddress)
        try bench.check(.http(path: "/"), [addresses[0], addresses[1]])
        try bench.loop.until("unwell") { try? !bench.isWell(1) }
        try bench.check(.http(path: "/"), [addresses[1], addresses[2]])
        #expect(try !bench.isWell(0))
        #expect(try bench.isWell(1))
        bench.loop.settle()
        let count = applications[0].connections.count
        let before = bench.checks("failure")
        try bench.loop.until { bench.checks("failure") >= before + 3 }
        #expect(applications[0].connections.count == count)
        #expect(!applications[2].connections.isEmpty)
        applications[1].answerEach(with: good)
        try bench.loop.until("well") { try? bench.isWell(0) }
        try bench.finish()
    }

    @Test("a configuration without the cluster ends a check that is under way")
    func retired() throws {
        let bench = try ProxyBench()
        let silent = try bench.application()
        let http2 = try bench.http2Application()
        try bench.check(.http(path: "/"), [silent.socketAddress], timeout: .seconds(3600))
        let first = try bench.accepted(silent)
        try bench.loop.until { !first.text.isEmpty }
        let checker = WeakBox(try bench.checker())
        try bench.apply([], [])
        try bench.loop.until { first.isOver }
        bench.loop.settle()
        #expect(checker.value == nil)
        try bench.check(
            .grpc(service: ""),
            [http2.application.socketAddress],
            timeout: .seconds(3600)
        )
        _ = try bench.request(http2)
        try bench.apply([], [])
        try bench.loop.until { bench.metrics.total(.upstreamConnectionsActive) == 0 }
        #expect(bench.checks("failure") == 0)
        #expect(bench.loop.timers.count == 0)
        try bench.finish()
    }

    private func answer(
        _ stream: ScriptedStream,
        _ message: [UInt8],
        status: Int = 200,
        grpcStatus: String = "0"
    ) {
        stream.answer(status, [("content-type", "application/grpc")], ends: false)
        let count = message.count
        let frame = [0, 0, 0, UInt8(count >> 8), UInt8(count & 0xFF)] + message
        stream.sendBody(frame.span)
        stream.end(trailers: [("grpc-status", grpcStatus)])
    }
}

extension ProxyBench {
    /// One service `orders` at these endpoints, which are checked.
    fileprivate func check(
        _ kind: HealthCheck.Kind,
        _ endpoints: [SocketAddress],
        timeout: Duration = .seconds(10),
        security: ClusterSecurity = .plaintext,
        limits: ClusterLimits = .default,
        protocol: ServiceProtocol = .auto
    ) throws {
        let cluster = Cluster(
            name: "orders",
            security: security,
            endpoints: endpoints.map { Endpoint(address: $0) },
            limits: limits,
            protocol: `protocol`,
            outlierDetection: nil,
            healthCheck: HealthCheck(
                kind: kind,
                interval: .milliseconds(20),
                timeout: timeout,
                failuresMax: 2,
                successesMin: 2
            )
        )
        try apply([Self.service(protocol: `protocol` == .tcp ? .tcp : .auto)], [cluster])
    }

    /// What the selector makes of the checks' results.
    fileprivate func isWell(_ index: Int = 0) throws -> Bool {
        try cluster().selector.state(index, now: loop.now).isWell
    }

    private func cluster() throws -> UpstreamCluster {
        let mesh = Mirror(reflecting: worker).descendant("mesh") as? CompiledMesh
        return try #require(mesh?.clusters["orders"])
    }

    fileprivate func checker() throws -> HealthChecker {
        try #require(Mirror(reflecting: cluster()).descendant("healthChecker") as? HealthChecker)
    }

    fileprivate func checks(_ result: StaticString) -> UInt64 {
        metrics.value(.healthChecks, .outbound, label: "\(result)")
    }
}

extension EventLoop {
    /// Nil: not yet.
    fileprivate func until(
        _ what: String,
        at location: SourceLocation = #_sourceLocation,
        _ condition: () -> Bool?
    ) throws {
        try until(what, at: location) { condition() ?? false }
    }
}

extension TestAuthority {
    fileprivate func serverTLS(_ path: String) throws -> TLSContext {
        try TLSContext(
            role: .server,
            identity: issue(path),
            trustBundle: trustBundle,
            trustDomain: trustDomain
        )
    }
}
