import MeshModel
import MeshTesting
import Reactor
import TLS
import Telemetry
import Testing
import Time

@testable import Proxy

/// Every wait has an end.
///
/// The limits are short, and nothing here depends on how long it took.
struct TimeoutTests {
    private let get = "GET / HTTP/1.1\r\nHost: orders\r\n\r\n"
    private let brief = Duration.milliseconds(30)

    private func bench(
        _ timeouts: RouteTimeouts,
        limits: RequestLimits = .default
    ) throws -> (ProxyBench, Application) {
        let bench = try ProxyBench(limits: limits)
        let application = try bench.application()
        try bench.serve([application.socketAddress], timeouts: timeouts)
        return (bench, application)
    }

    @Test("a service that does not answer in the request's time costs a 504 and its connection")
    func request() throws {
        let (bench, application) = try bench(RouteTimeouts(request: brief))
        let caller = try bench.caller()
        caller.write(get)
        let upstream = try bench.accepted(application)
        try bench.loop.until { caller.text.hasSuffix("}\n") }
        #expect(statuses(caller.text) == [504])
        #expect(caller.text.contains("request_timeout"))
        try bench.loop.until { upstream.isOver }
        #expect(!caller.isOver)
        #expect(bench.metrics.value(.timeouts, .outbound, label: "request") == 1)
        try bench.finish()
    }

    @Test("a connection that rests without its buffers serves the next request like the first")
    func rest() throws {
        let (bench, application) = try bench(RouteTimeouts())
        bench.worker.restAfterNanoseconds = brief.nanoseconds
        let caller = try bench.caller()
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        for _ in 0..<3 {
            try bench.exchange(
                caller,
                get,
                { try bench.accepted(application) },
                sees: get,
                answers: answer
            )
            application.connections[0].forget()
            try bench.loop.until { bench.worker.connections.allSatisfy(\.isResting) }
        }
        #expect(!caller.isOver)
        try bench.finish()
    }

    @Test("a response that has begun when the request's time is over breaks off")
    func requestInResponse() throws {
        let (bench, application) = try bench(RouteTimeouts(request: brief))
        let caller = try bench.caller()
        caller.write(get)
        let upstream = try bench.accepted(application)
        upstream.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        try bench.loop.until { caller.isOver && upstream.isOver }
        #expect(caller.text.hasSuffix("abc"))
        try bench.finish()
    }

    @Test("silence on both sides for the idle time is a 504, and a moving exchange is no silence")
    func streamIdle() throws {
        let (bench, application) = try bench(RouteTimeouts(streamIdle: .milliseconds(100)))
        let caller = try bench.caller()
        caller.write("POST / HTTP/1.1\r\nHost: orders\r\nContent-Length: 1000000\r\n\r\n")
        let upstream = try bench.accepted(application)
        let start = Clock.monotonic()
        try bench.loop.until {
            caller.write("x")
            return Clock.monotonic() >= start + .milliseconds(300)
        }
        #expect(caller.text.isEmpty)
        try bench.loop.until { caller.isOver }
        #expect(statuses(caller.text) == [504])
        #expect(caller.text.contains("stream_idle_timeout"))
        #expect(upstream.isOver)
        #expect(bench.metrics.value(.timeouts, .outbound, label: "stream_idle") == 1)
        try bench.finish()
    }

    @Test("a caller that sends its head byte by byte gets a 408 at the head's time limit")
    func slowHead() throws {
        let (bench, application) = try bench(
            .default,
            limits: RequestLimits(headTimeout: .milliseconds(100))
        )
        let caller = try bench.caller()
        caller.write("GET / HTTP/1.1\r\nHost: orders\r\nX: ")
        try bench.loop.until {
            if !caller.isOver { caller.write("a") }
            return caller.isOver
        }
        #expect(statuses(caller.text) == [408])
        #expect(application.connections.isEmpty)
        #expect(bench.metrics.value(.timeouts, .outbound, label: "request_head") == 1)
        try bench.finish()
    }

    @Test("a connection without request is closed after its idle time, also between requests")
    func connectionIdle() throws {
        let (bench, application) = try bench(
            .default,
            limits: RequestLimits(connectionIdle: brief)
        )
        let silent = try bench.caller()
        try bench.loop.until { silent.isOver }
        let caller = try bench.caller()
        caller.write(get)
        let upstream = try bench.accepted(application)
        // While the exchange runs the connection is not idle.
        let start = Clock.monotonic()
        try bench.loop.until { Clock.monotonic() >= start + .milliseconds(90) }
        #expect(!caller.isOver)
        upstream.write("HTTP/1.1 204 No Content\r\n\r\n")
        try bench.loop.until { caller.isOver }
        #expect(caller.text == "HTTP/1.1 204 No Content\r\n\r\n")
        #expect(bench.metrics.value(.timeouts, .outbound, label: "connection_idle") == 2)
        try bench.finish()
    }

    @Test("connecting ends after its time, TLS included: 503 after three attempts")
    func connect() throws {
        let authority = TestAuthority()
        let bench = try ProxyBench()
        bench.worker.take(.identity(authority.workerIdentity("/ns/default/sa/web")))
        let application = try bench.application()
        try bench.serve(
            [application.socketAddress],
            security: .mutual([authority.id("/ns/default/sa/orders")]),
            connectTimeout: brief
        )
        let caller = try bench.caller()
        caller.write(get)
        try bench.loop.until { caller.text.hasSuffix("}\n") }
        #expect(statuses(caller.text) == [503])
        #expect(caller.text.contains("connect_timeout"))
        #expect(bench.metrics.value(.timeouts, .outbound, label: "connect") == 3)
        #expect(application.connections.count == 3)
        try bench.finish()
    }

    @Test("a peer that does not begin its handshake is closed at the head's time limit")
    func handshake() throws {
        let authority = TestAuthority()
        let bench = try ProxyBench(
            limits: RequestLimits(headTimeout: brief),
            application: .loopback(port: 1),
            inboundTLS: true
        )
        bench.worker.take(.identity(authority.workerIdentity("/ns/default/sa/web")))
        try bench.apply([], [])
        let caller = try bench.inboundCaller()
        try bench.loop.until { caller.isOver }
        #expect(caller.received.isEmpty)
        #expect(bench.metrics.value(.timeouts, .inbound, label: "handshake") == 1)
        try bench.finish()
    }
}

extension TestAuthority {
    /// What a worker is told of a workload at `path`.
    func workerIdentity(_ path: String) -> WorkerIdentity {
        WorkerIdentity(
            identity: issue(path),
            trustBundle: trustBundle,
            trustDomain: trustDomain,
            settings: TLSSettings()
        )
    }
}
