import MeshModel
import Reactor
import Telemetry
import Testing
import Time

@testable import Proxy

/// A snapshot replaces another while exchanges run.
struct SnapshotTests {
    private let get = "GET / HTTP/1.1\r\nHost: orders\r\n\r\n"
    private let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

    @Test("exchanges that run finish where they began; new ones go by the new snapshot")
    func runningFinish() throws {
        let bench = try ProxyBench()
        let old = try bench.application()
        let new = try bench.application()
        try bench.serve([old.socketAddress])
        let first = try bench.caller()
        first.write(get)
        let upstream = try bench.accepted(old)
        try bench.expect(upstream, receives: get)
        try bench.serve([new.socketAddress])
        let second = try bench.caller()
        try bench.exchange(second, get, { try bench.accepted(new) }, sees: get, answers: ok)
        upstream.write(ok)
        try bench.expect(first, receives: ok)
        // The old endpoint is gone: its connection is not kept.
        try bench.loop.until { upstream.isOver }
        try bench.exchange(first, get, { new.connections[0] }, sees: get, answers: ok)
        #expect(old.connections.count == 1 && new.connections.count == 1)
        try bench.finish()
    }

    @Test("idle connections of endpoints that are gone are closed; those of kept ones stay")
    func idle() throws {
        let bench = try ProxyBench()
        let applications = [try bench.application(), try bench.application()]
        try bench.serve(applications.map(\.socketAddress))
        let caller = try bench.caller()
        for _ in applications {
            try bench.exchange(
                caller,
                get,
                { try bench.reached(applications, by: get) },
                sees: get,
                answers: ok
            )
        }
        // Another bound makes it another cluster with the same endpoint.
        try bench.serve(
            [applications[1].socketAddress],
            limits: ClusterLimits(connections: 1)
        )
        try bench.loop.until { applications[0].connections[0].isOver }
        try bench.exchange(
            caller,
            get,
            { applications[1].connections[0] },
            sees: get,
            answers: ok
        )
        #expect(applications[1].connections.count == 1)
        let report = try bench.report()
        #expect(report.clusters.map(\.connections) == [1])
        #expect(report.clusters[0].endpoints.map(\.idle) == [1])
        try bench.finish()
    }

    @Test("a removed service is unknown for new requests, and a running one still gets its answer")
    func removedService() throws {
        let bench = try ProxyBench()
        let application = try bench.application()
        try bench.serve([application.socketAddress])
        let first = try bench.caller()
        first.write(get)
        let upstream = try bench.accepted(application)
        try bench.expect(upstream, receives: get)
        try bench.apply([], [])
        let second = try bench.caller()
        second.write(get)
        try bench.loop.until { second.text.hasSuffix("}\n") }
        #expect(statuses(second.text) == [404])
        upstream.write(ok)
        try bench.expect(first, receives: ok)
        try bench.finish()
    }

    @Test("a request that waits for a connection while its cluster is replaced still gets one")
    func waiting() throws {
        let bench = try ProxyBench()
        let application = try bench.application()
        let limits = ClusterLimits(connections: 1)
        try bench.serve([application.socketAddress], limits: limits)
        let first = try bench.caller()
        let second = try bench.caller()
        first.write(get)
        let upstream = try bench.accepted(application)
        try bench.expect(upstream, receives: get)
        second.write(get)
        try bench.loop.until { bench.metrics.value(.requestsPending, .outbound) == 1 }
        try bench.serve(
            [application.socketAddress],
            idleTimeout: .seconds(5),
            limits: limits
        )
        #expect(try bench.report().clusters[0].pendingRequests == 1)
        upstream.forget()
        upstream.write(ok)
        try bench.expect(first, receives: ok)
        try bench.expect(upstream, receives: get)
        upstream.write(ok)
        try bench.expect(second, receives: ok)
        try bench.finish()
    }

    @Test("a closing connection crosses a snapshot without making the new bound wrong")
    func closingConnection() throws {
        let bench = try ProxyBench()
        let application = try bench.application()
        try bench.serve([application.socketAddress])
        let caller = try bench.caller()
        // It closes after its answer, and lingers until the application closes too.
        try bench.exchange(
            caller,
            get,
            { try bench.accepted(application) },
            sees: get,
            answers: "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
            delivered: ok
        )
        #expect(try bench.report().clusters[0].connections == 1)
        try bench.serve([application.socketAddress], limits: ClusterLimits(connections: 7))
        #expect(try bench.report().clusters[0].connections == 1)
        application.connections[0].close()
        try bench.loop.until {
            bench.metrics.value(.upstreamConnectionsActive, .outbound) == 0
        }
        #expect(try bench.report().clusters[0].connections == 0)
        try bench.finish()
    }
}

/// A drain in its three steps.
struct DrainTests {
    private let get = "GET / HTTP/1.1\r\nHost: web\r\n\r\n"
    private let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    private let last =
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"

    private func bench() throws -> (ProxyBench, Application) {
        // The application first: the worker is told where it is.
        let loop = try EventLoop()
        let application = try Application(loop: loop, socket: ProxyBench.listen())
        let bench = try ProxyBench(loop: loop, application: application.socketAddress)
        bench.adopt(application)
        try bench.apply([], [])
        return (bench, application)
    }

    @Test("while draining, inbound is accepted and served, and every answer says it is the last")
    func start() throws {
        let (bench, application) = try bench()
        let open = try bench.inboundCaller()
        try bench.exchange(
            open,
            get,
            { try bench.accepted(application) },
            sees: get,
            answers: ok
        )
        bench.worker.take(.startDrain)
        #expect(try bench.report().isDraining)
        let fresh = try bench.inboundCaller()
        for caller in [open, fresh] {
            try bench.exchange(
                caller,
                get,
                { application.connections[0] },
                sees: get,
                answers: ok,
                delivered: last
            )
            try bench.loop.until { caller.isOver }
        }
        try bench.finish()
    }

    @Test(
        "closing idle: used inbound connections end, running exchanges do not, nobody is let in"
    )
    func closeIdle() throws {
        let (bench, application) = try bench()
        let idle = try bench.inboundCaller()
        try bench.exchange(idle, get, { try bench.accepted(application) }, sees: get, answers: ok)
        // It has just connected and is about to ask.
        let fresh = try bench.inboundCaller()
        let busy = try bench.inboundCaller()
        let ownCall = try bench.caller()
        busy.write(get)
        let upstream = application.connections[0]
        try bench.expect(upstream, receives: get)
        bench.worker.take(.startDrain)
        bench.worker.take(.closeIdle)
        try bench.loop.until { idle.isOver }
        #expect(!busy.isOver)
        let late = try bench.inboundCaller()
        #expect(late.closed == .connectFailed(errno: 111))
        upstream.write(ok)
        try bench.expect(busy, receives: last)
        try bench.loop.until { busy.isOver }
        #expect(!fresh.isOver)
        #expect(try bench.report().awaitedConnections == 2)
        upstream.forget()
        fresh.write(get)
        let second = try bench.accepted(application)
        try bench.expect(second, receives: get)
        second.write(ok)
        try bench.expect(fresh, receives: last)
        try bench.loop.until { fresh.isOver }
        // The application may still call out, also on a connection it has open.
        #expect(!ownCall.isOver)
        ownCall.write("GET / HTTP/1.1\r\nHost: nobody\r\n\r\n")
        try bench.loop.until { ownCall.isOver }
        #expect(statuses(ownCall.text) == [404])
        #expect(field("connection", in: ownCall.text) == "close")
        try bench.finish()
    }

    @Test("an answer that had begun before the drain ends its connection without a word")
    func begunBefore() throws {
        let (bench, application) = try bench()
        let caller = try bench.inboundCaller()
        caller.write(get)
        let upstream = try bench.accepted(application)
        try bench.expect(upstream, receives: get)
        upstream.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no")
        try bench.loop.until { caller.text.hasSuffix("\r\no") }
        bench.worker.take(.startDrain)
        bench.worker.take(.closeIdle)
        upstream.write("k")
        try bench.loop.until { caller.isOver }
        #expect(caller.text == ok)
        #expect(caller.hasEnded)
        try bench.finish()
    }

    @Test("at the end of the grace period what waits gets a 503, and what has begun breaks off")
    func expire() throws {
        let (bench, application) = try bench()
        let waiting = try bench.inboundCaller()
        waiting.write(get)
        try bench.expect(try bench.accepted(application), receives: get)
        let begun = try bench.inboundCaller()
        begun.write(get)
        let upstream = try bench.accepted(application, 2)
        try bench.expect(upstream, receives: get)
        upstream.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no")
        try bench.loop.until { begun.text.hasSuffix("\r\no") }
        bench.worker.take(.startDrain)
        bench.worker.take(.expire)
        try bench.loop.until { waiting.isOver && begun.isOver }
        #expect(statuses(waiting.text) == [503])
        #expect(waiting.text.contains("urn:mesh:problem:draining"))
        #expect(begun.text.hasSuffix("\r\no"))
        try bench.loop.until { application.connections.allSatisfy(\.isOver) }
        try bench.finish()
    }
}
