import Bytes
import MeshModel
import Reactor
import Telemetry
import Testing

@testable import Proxy

/// A caller that asks without end and reads no answer: what is held for it stays bounded.
struct UnreadAnswersTests {
    /// The mark, and the one answer that is being written when it is passed.
    private static let heldMax = ReactorLimits.congestedAboveBytes + 32_768

    @Test("pipelined requests whose local replies are not read are not answered without end")
    func localReplies() throws {
        let bench = try ProxyBench(accessLog: .off)
        try bench.apply([], [])
        try flood(bench, host: "unknown", requests: 40_000)
        try bench.finish()
    }

    @Test("pipelined requests whose forwarded answers are not read are not answered without end")
    func forwarded() throws {
        let bench = try ProxyBench(accessLog: .off)
        let application = try bench.application()
        let body = String(repeating: "x", count: 1_000)
        application.answerEach(with: "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + body)
        try bench.serve([application.socketAddress])
        try flood(bench, host: "orders", requests: 20_000)
        try bench.finish()
    }

    private func flood(_ bench: ProxyBench, host: String, requests: Int) throws {
        let caller = try bench.caller()
        let request = "GET / HTTP/1.1\r\nHost: \(host)\r\n\r\n"
        // Trace identifiers differ from answer to answer, its length does not.
        caller.write(request)
        try bench.loop.until { bench.metrics.requestCount(.outbound) == 1 }
        bench.loop.settle()
        let answerBytes = caller.receivedCount
        caller.forget()
        caller.onBytes = { _ in }
        caller.pauseReading()
        caller.write(String(repeating: request, count: requests))
        // Answers fill the kernel's buffers first; nothing moves after that.
        var heldMax = 0
        var answered: UInt64?
        while answered != bench.metrics.requestCount(.outbound) {
            answered = bench.metrics.requestCount(.outbound)
            bench.loop.settle()
            heldMax = max(heldMax, bench.worker.heldForCallers)
        }
        #expect(heldMax > 0 && heldMax <= Self.heldMax, "held \(heldMax)")
        #expect(bench.metrics.requestCount(.outbound) < requests)
        // Whoever reads again gets every answer.
        caller.resumeReading()
        try bench.loop.until("\(caller.receivedCount) of \(requests * answerBytes) bytes") {
            caller.receivedCount == requests * answerBytes
        }
    }
}

extension Worker {
    fileprivate var heldForCallers: Int {
        let connections =
            Mirror(reflecting: self).descendant("connections")
            as? ContiguousArray<DownstreamConnection> ?? []
        return connections.reduce(0) { $0 + $1.outstandingBytes }
    }
}
