import HTTP2
import MeshModel
import Reactor
import Telemetry
import Testing
import Time

@testable import Proxy

/// Many exchanges on few upstream connections.
struct HTTP2PoolTests {
    private func bench(
        _ limits: ClusterLimits = .default,
        settings: HTTP2Settings = HTTP2Settings(),
        idleTimeout: Duration = .seconds(600),
        http2: HTTP2Limits = .default
    ) throws -> (ProxyBench, HTTP2Application) {
        let bench = try ProxyBench(http2: http2)
        let application = try bench.http2Application()
        application.settings = settings
        try bench.serve(
            [application.application.socketAddress],
            idleTimeout: idleTimeout,
            limits: limits,
            protocol: .http2
        )
        return (bench, application)
    }

    private func settings(streams: Int) -> HTTP2Settings {
        var settings = HTTP2Settings()
        settings.concurrentStreamsMax = streams
        return settings
    }

    @Test("exchanges of many callers share one connection")
    func shared() throws {
        let (bench, application) = try bench()
        let callers = try (0..<4).map { _ in try bench.http2Caller() }
        let sent = callers.flatMap { caller in (0..<10).map { _ in caller.request() } }
        _ = try bench.request(application, 40)
        for request in application.streams { request.answer(200, body: "ok") }
        application.ends[0].flush()
        #expect(try bench.answers(sent) == Array(repeating: "200 ok", count: 40))
        #expect(application.ends.count == 1)
        #expect(bench.metrics.value(.upstreamConnects, .outbound) == 1)
        #expect(bench.metrics.value(.upstreamConnectionsIdle, .outbound) == 1)
        try bench.finish()
    }

    @Test("the exchange above the bound on streams gets a second connection")
    func second() throws {
        let (bench, application) = try bench()
        let caller = try bench.http2Caller()
        let most = ProxyLimits.streamsPerConnection
        var sent = (0..<most).map { _ in caller.request() }
        _ = try bench.request(application, most)
        bench.loop.settle()
        #expect(application.ends.count == 1)
        sent.append(caller.request())
        _ = try bench.request(application, most + 1)
        #expect(application.ends.map(\.streams.count) == [most, 1])
        for end in application.ends {
            for request in end.streams { request.answer(200) }
            end.flush()
        }
        #expect(try bench.answers(sent).allSatisfy { $0 == "200 " })
        try bench.finish()
    }

    @Test("the peer's own bound on streams is kept, and those who wait go when streams end")
    func peersBound() throws {
        let (bench, application) = try bench(
            ClusterLimits(connections: 2),
            settings: settings(streams: 3)
        )
        let caller = try bench.http2Caller()
        let sent = (0..<10).map { _ in caller.request() }
        _ = try bench.request(application, 6)
        bench.loop.settle()
        #expect(application.ends.map(\.streams.count) == [3, 3])
        #expect(bench.metrics.value(.requestsPending, .outbound) == 4)
        application.ends[0].streams[1].answer(200, body: "ok")
        application.ends[0].flush()
        try bench.loop.until { application.ends[0].streams.count == 4 }
        for end in application.ends { end.onRequest = { $0.answer(200, body: "ok") } }
        for request in application.streams where !request.isOver {
            request.answer(200, body: "ok")
        }
        for end in application.ends { end.flush() }
        #expect(try bench.answers(sent) == Array(repeating: "200 ok", count: 10))
        #expect(bench.metrics.value(.requestsPending, .outbound) == 0)
        #expect(bench.metrics.value(.retries, .outbound) == 0)
        #expect(application.ends.allSatisfy { $0.error == nil })
        try bench.finish()
    }

    @Test("over the bounds on connections and waiting exchanges the refusal is immediate")
    func bounds() throws {
        let (bench, application) = try bench(
            ClusterLimits(connections: 1, pendingRequests: 2),
            settings: settings(streams: 2)
        )
        let caller = try bench.http2Caller()
        let first = (0..<2).map { _ in caller.request() }
        _ = try bench.request(application, 2)
        let more = (0..<3).map { _ in caller.request() }
        try bench.loop.until { more[2].hasEnded }
        #expect(more[2].status == 503 && more[2].text.contains("Too many"))
        #expect(more[0].status == 0 && more[1].status == 0)
        application.ends[0].onRequest = { $0.answer(200) }
        for request in application.streams { request.answer(200) }
        application.ends[0].flush()
        #expect(try bench.answers(first + more.prefix(2)).allSatisfy { $0 == "200 " })
        #expect(application.ends.count == 1)
        try bench.finish()
    }

    @Test("a caller that leaves while it waits for a stream leaves the queue")
    func leavesQueue() throws {
        let (bench, application) = try bench(
            ClusterLimits(connections: 1),
            settings: settings(streams: 1)
        )
        let caller = try bench.http2Caller()
        let first = caller.request()
        let request = try bench.request(application)
        let waiting = caller.request()
        try bench.loop.until { bench.metrics.value(.requestsPending, .outbound) == 1 }
        waiting.reset(HTTP2ErrorCode.cancel)
        caller.flush()
        try bench.loop.until { bench.metrics.value(.requestsPending, .outbound) == 0 }
        request.answer(200)
        application.ends[0].flush()
        #expect(try bench.answers([first]) == ["200 "])
        bench.loop.settle()
        #expect(application.streams.count == 1)
        try bench.finish()
    }

    @Test("when nobody listens, each of many exchanges fails after its three attempts")
    func nobodyListens() throws {
        let bench = try ProxyBench()
        try bench.serve([try bench.closedPort()], protocol: .http2)
        let caller = try bench.http2Caller()
        let sent = (0..<50).map { _ in caller.request() }
        #expect(try bench.answers(sent).allSatisfy { $0.hasPrefix("503 ") })
        // Dials are shared as connections are, the first two by all; the third attempts come apart,
        // as each waits a time of its own.
        #expect(bench.metrics.value(.upstreamConnectFailures, .outbound) <= 52)
        try bench.finish()
    }

    @Test("an unused connection is closed after the idle time, with GOAWAY")
    func idle() throws {
        let (bench, application) = try bench(idleTimeout: .milliseconds(40))
        application.answerEach()
        let caller = try bench.http2Caller()
        #expect(try bench.answers([caller.request()]) == ["200 ok"])
        try bench.loop.until { application.ends[0].peer.isOver }
        #expect(application.ends[0].goAways == [HTTP2ErrorCode.noError])
        #expect(bench.metrics.value(.upstreamConnectionsIdle, .outbound) == 0)
        #expect(try bench.answers([caller.request()]) == ["200 ok"])
        #expect(application.ends.count == 2)
        try bench.finish()
    }

    @Test("an endpoint that is no longer configured keeps its running streams and gets no new ones")
    func retired() throws {
        let (bench, application) = try bench()
        let other = try bench.http2Application()
        other.answerEach("other")
        let caller = try bench.http2Caller()
        let running = caller.request("POST", body: "a", ends: false)
        let request = try bench.request(application)
        try bench.loop.until { request.text == "a" }
        try bench.serve([other.application.socketAddress], protocol: .http2)
        #expect(try bench.answers([caller.request()]) == ["200 other"])
        running.sendBody(Array("b".utf8).span)
        running.sendEnd(trailers: nil)
        caller.flush()
        try bench.loop.until { request.hasEnded }
        #expect(request.text == "ab")
        request.answer(200, body: "ok")
        application.ends[0].flush()
        #expect(try bench.answers([running]) == ["200 ok"])
        try bench.loop.until { application.ends[0].peer.isOver }
        #expect(application.streams.count == 1)
        try bench.finish()
    }

    @Test("a snapshot that changes something else keeps connection and streams")
    func kept() throws {
        let (bench, application) = try bench()
        let caller = try bench.http2Caller()
        let running = caller.request()
        let request = try bench.request(application)
        try bench.serve(
            [application.application.socketAddress],
            timeouts: RouteTimeouts(request: .seconds(20)),
            limits: ClusterLimits(connections: 7),
            protocol: .http2
        )
        let next = caller.request()
        _ = try bench.request(application, 2)
        for request in application.streams { request.answer(200) }
        application.ends[0].flush()
        #expect(try bench.answers([running, next]) == ["200 ", "200 "])
        #expect(application.ends.count == 1)
        #expect(request.isOver)
        try bench.finish()
    }

    @Test("a connection whose peer is silent is asked, lives by its answer, and dies without")
    func keepAlive() throws {
        let (bench, application) = try bench(
            http2: HTTP2Limits(
                keepAliveInterval: .milliseconds(20),
                keepAliveTimeout: .milliseconds(40)
            )
        )
        let caller = try bench.http2Caller()
        let sent = caller.request()
        _ = try bench.request(application)
        // Some intervals with answers.
        let before = bench.loop.now
        try bench.loop.until { bench.loop.now.nanoseconds(since: before) > 200_000_000 }
        #expect(!application.ends[0].peer.isOver)
        #expect(application.ends[0].error == nil, "it is not asked too often")
        application.ends[0].isDeaf = true
        let failed = try bench.answers([sent])
        #expect(failed[0].hasPrefix("503 ") || failed[0].hasPrefix("502 "))
        try bench.loop.until { application.ends[0].peer.isOver }
        #expect(bench.metrics.value(.timeouts, .outbound, label: "keep_alive") == 1)
        application.answerEach()
        #expect(try bench.answers([caller.request()]) == ["200 ok"])
        try bench.finish()
    }
}
