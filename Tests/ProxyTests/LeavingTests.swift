import MeshModel
import Reactor
import Telemetry
import Testing
import Time

@testable import Proxy

/// One of the two sides leaves before the end.
struct LeavingTests {
    private let get = "GET / HTTP/1.1\r\nHost: orders\r\n\r\n"

    private func bench() throws -> (ProxyBench, Application) {
        let bench = try ProxyBench()
        let application = try bench.application()
        try bench.serve([application.socketAddress])
        return (bench, application)
    }

    @Test(
        "a caller that leaves before or inside the response ends the work upstream at once",
        arguments: ["", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"],
        [true, false]
    )
    func caller(response: String, resets: Bool) throws {
        let (bench, application) = try bench()
        let caller = try bench.caller()
        caller.write(get)
        let upstream = try bench.accepted(application)
        try bench.expect(upstream, receives: get)
        upstream.write(response)
        try bench.loop.until { caller.received.count == response.utf8.count }
        if resets { caller.reset() } else { caller.abort() }
        try bench.loop.until { upstream.isOver }
        #expect(bench.metrics.value(.requestsActive, .outbound) == 0)
        #expect(bench.metrics.requestCount(.outbound) == 1)
        #expect(bench.log.count(of: "downstream_closed") == 1)
        try bench.finish()
    }

    @Test(
        "a caller that leaves is noticed also while its further requests are held back",
        arguments: [true, false]
    )
    func callerWithHeldRequests(resets: Bool) throws {
        let (bench, application) = try bench()
        let caller = try bench.caller()
        caller.write(get + get)
        let upstream = try bench.accepted(application)
        try bench.expect(upstream, receives: get)
        if resets { caller.reset() } else { caller.abort() }
        try bench.loop.until { upstream.isOver }
        #expect(bench.metrics.value(.requestsActive, .outbound) == 0)
        try bench.finish()
    }

    @Test("a caller that leaves is noticed also while its upload waits for a slow service")
    func callerWithHeldBody() throws {
        let (bench, application) = try bench()
        application.onConnection = { $0.pauseReading() }
        let caller = try bench.caller()
        caller.write("POST / HTTP/1.1\r\nHost: orders\r\nContent-Length: 1000000000\r\n\r\n")
        let block = [UInt8](repeating: 7, count: 65_536)
        while !caller.isCongested {
            caller.write(block)
            bench.loop.turn(waitMillisecondsMax: 0)
        }
        caller.reset()
        try bench.loop.until { bench.metrics.value(.connectionsActive, .outbound) == 0 }
        #expect(bench.metrics.value(.requestsActive, .outbound) == 0)
        #expect(bench.metrics.value(.upstreamConnectionsActive, .outbound) == 0)
        try bench.finish()
    }

    @Test("a caller that leaves while its request waits for a connection leaves the queue")
    func callerInQueue() throws {
        let bench = try ProxyBench()
        let application = try bench.application()
        try bench.serve([application.socketAddress], limits: ClusterLimits(connections: 1))
        let first = try bench.caller()
        first.write(get)
        let upstream = try bench.accepted(application)
        try bench.expect(upstream, receives: get)
        let second = try bench.caller()
        second.write(get)
        try bench.loop.until { bench.metrics.value(.requestsPending, .outbound) == 1 }
        second.abort()
        try bench.loop.until { bench.metrics.value(.requestsPending, .outbound) == 0 }
        upstream.forget()
        upstream.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        try bench.expect(first, receives: "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        #expect(upstream.text.isEmpty)
        try bench.finish()
    }
}
