import MeshModel
import Reactor
import Telemetry
import Testing

@testable import Proxy

/// A service that sends what no request of ours can have caused.
struct EarlyAnswerTests {
    private let get = "GET / HTTP/1.1\r\nHost: orders\r\n\r\n"
    private let empty = "HTTP/1.1 204 No Content\r\n\r\n"

    @Test("a second response for one request is not the answer to the next one in the queue")
    func splitResponseBeforeWaitingRequest() throws {
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
        // The response fills one receive, so that what follows is met with the connection in the
        // hands of the second caller, whose request is still to leave.
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 65494\r\n\r\n"
        let body = String(
            repeating: "x",
            count: ReactorLimits.receiveBytesMax - head.utf8.count
        )
        #expect(body.utf8.count == 65_494)
        upstream.write(head + body + "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        try bench.expect(first, receives: head + body)
        let next = try bench.accepted(application, 2)
        try bench.expect(next, receives: get)
        #expect(second.text.isEmpty)
        next.write(empty)
        try bench.expect(second, receives: empty)
        #expect(upstream.isOver)
        try bench.finish()
    }
}
