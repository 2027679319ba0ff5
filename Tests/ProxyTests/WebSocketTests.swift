import Bytes
import HTTP2
import MeshModel
import MeshTesting
import Reactor
import TLS
import Telemetry
import Testing
import Time

@testable import Proxy

/// WebSockets on every way through the mesh.
struct WebSocketTests {
    typealias Way = WebSocketBench.Way

    @Test("the answer to a key is that of RFC 6455 §1.3; keys are 16 bytes and never the same")
    func handshake() {
        #expect(WebSocketBench.answer(to: WebSocketBench.key) == WebSocketBench.accept)
        var random = FastRandom(seed: 1)
        var keys: Set<String> = []
        for _ in 0..<100 {
            let key = ByteBuffer()
            WebSocketHandshake.appendKey(to: key, generator: &random)
            #expect(key.count == 24)
            keys.insert(String(decoding: key.array, as: UTF8.self))
        }
        #expect(keys.count == 100)
    }

    @Test("an accepted WebSocket carries bytes both ways, as they come", arguments: Way.allCases)
    func accepted(way: Way) throws {
        let bench = try WebSocketBench(way)
        let (caller, server) = try bench.ask()
        let request = server.text
        #expect(request.hasPrefix("GET /chat HTTP/1.1\r\nHost: orders\r\n"))
        for (name, value) in [
            ("connection", "Upgrade"), ("upgrade", "websocket"), ("sec-websocket-version", "13"),
            ("sec-websocket-protocol", "chat, talk"),
        ] { #expect(field(name, in: request) == value) }
        let key = field("sec-websocket-key", in: request)
        #expect((key != WebSocketBench.key) == way.makesKeys)
        #expect(key?.utf8.count == 24)
        server.write(
            WebSocketBench.acceptance(of: request, fields: "Sec-WebSocket-Protocol: talk\r\n")
        )
        try bench.loop.until { caller.text.hasSuffix("\r\n\r\n") }
        #expect(caller.text.hasPrefix("HTTP/1.1 101 Switching Protocols\r\n"))
        for (name, value) in [
            ("connection", "Upgrade"), ("upgrade", "websocket"), ("sec-websocket-protocol", "talk"),
            ("sec-websocket-accept", WebSocketBench.accept),
        ] { #expect(field(name, in: caller.text) == value) }
        #expect(field("content-length", in: caller.text) == nil)
        #expect(field("transfer-encoding", in: caller.text) == nil)
        caller.forget()
        server.forget()
        for turn in 0..<3 {
            caller.write("\u{1}question \(turn)")
            try bench.web.expect(server, receives: "\u{1}question \(turn)")
            server.write("\u{1}answer \(turn)")
            try bench.web.expect(caller, receives: "\u{1}answer \(turn)")
            caller.forget()
            server.forget()
        }
        #expect(bench.web.metrics.value(.requestsActive, .outbound) == 1)
        try bench.finish()
    }

    @Test(
        "a refusal is an answer like any other, and the connections serve the next request",
        arguments: Way.allCases,
        [403, 426, 302]
    )
    func refused(way: Way, status: Int) throws {
        let bench = try WebSocketBench(way)
        let (caller, server) = try bench.ask()
        server.forget()
        let refusal = "HTTP/1.1 \(status) Not Here\r\nContent-Length: 2\r\n\r\nno"
        server.write(refusal)
        try bench.loop.until { caller.text.hasSuffix("\r\n\r\nno") }
        #expect(statuses(caller.text) == [status])
        let get = "GET / HTTP/1.1\r\nHost: orders\r\n\r\n"
        let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        try bench.web.exchange(caller, get, { server }, sees: get, answers: ok)
        #expect(bench.application.connections.count == 1)
        try bench.finish()
    }

    @Test(
        "a service that ignores the upgrade answers it; to HTTP/2 that must not look like consent"
    )
    func ignored() throws {
        for way in Way.allCases {
            let bench = try WebSocketBench(way)
            let (caller, server) = try bench.ask()
            server.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            try bench.loop.until { caller.text.hasSuffix("ok") || isReplied(caller) }
            #expect(statuses(caller.text) == [way == .http2Hop ? 502 : 200])
            try bench.finish()
        }
    }

    @Test("bytes sent before the answer wait for it", arguments: Way.allCases)
    func early(way: Way) throws {
        let bench = try WebSocketBench(way)
        let (caller, server) = try bench.ask(WebSocketBench.ask + "\u{1}one")
        caller.write("\u{1}two")
        bench.loop.settle()
        #expect(server.text.hasSuffix("\r\n\r\n"), "nothing before the acceptance")
        let request = server.text
        server.forget()
        server.write(WebSocketBench.acceptance(of: request) + "\u{1}hello")
        try bench.web.expect(server, receives: "\u{1}one\u{1}two")
        try bench.loop.until { caller.text.hasSuffix("\r\n\r\n\u{1}hello") }
        try bench.finish()
    }

    @Test("bytes sent before a refusal go nowhere, and end the connection", arguments: Way.allCases)
    func earlyRefused(way: Way) throws {
        for comesLater in [false, true] {
            let bench = try WebSocketBench(way)
            let smuggled = "GET /admin HTTP/1.1\r\nHost: orders\r\n\r\n"
            let (caller, server) = try bench.ask(
                WebSocketBench.ask + (comesLater ? "" : smuggled)
            )
            if comesLater { caller.write(smuggled) }
            bench.loop.settle()
            server.forget()
            server.write("HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno")
            try bench.loop.until { caller.isOver }
            #expect(statuses(caller.text) == [403])
            #expect(field("connection", in: caller.text) == "close")
            bench.loop.settle()
            #expect(server.text.isEmpty)
            try bench.finish()
        }
    }

    @Test(
        "one side ends, the other goes on until it ends too",
        arguments: Way.allCases,
        [true, false]
    )
    func halfClose(way: Way, callerFirst: Bool) throws {
        let bench = try WebSocketBench(way)
        let (caller, server) = try bench.open()
        let (first, second) = callerFirst ? (caller, server) : (server, caller)
        first.write("last words")
        first.endOutput()
        try bench.loop.until { second.hasEnded }
        #expect(second.text == "last words")
        #expect(!first.isOver)
        for turn in 0..<3 {
            second.write("still here \(turn)")
            try bench.web.expect(first, receives: "still here \(turn)")
            first.forget()
        }
        second.endOutput()
        try bench.loop.until { first.hasEnded }
        try bench.loop.until { bench.web.metrics.value(.requestsActive, .outbound) == 0 }
        try bench.finish()
    }

    @Test("4 MiB each way past slow readers arrive whole", arguments: Way.allCases)
    func backPressure(way: Way) throws {
        let bench = try WebSocketBench(way)
        let (caller, server) = try bench.open()
        for (sender, reader) in [(caller, server), (server, caller)] {
            try transfer(bench.loop, from: sender, to: reader)
        }
        try bench.finish()
    }

    private func transfer(_ loop: EventLoop, from sender: Peer, to reader: Peer) throws {
        let total = 4 << 20
        var sent = 0
        func fill() {
            while sent < total, !sender.isCongested {
                sender.write(Pattern.bytes(sent, 65_536))
                sent += 65_536
            }
        }
        sender.onDrained = { _ in fill() }
        var got = 0
        var isEqual = true
        reader.onBytes = { bytes in
            if !Pattern.matches(bytes, at: got) { isEqual = false }
            got += bytes.count
        }
        reader.pauseReading()
        fill()
        while got < total {
            loop.settle()
            let goal = min(got + (1 << 20), total)
            reader.resumeReading()
            try loop.until { got >= goal || reader.isOver }
            guard !reader.isOver else { break }
            reader.pauseReading()
        }
        reader.resumeReading()
        reader.onBytes = nil
        sender.onDrained = nil
        #expect(got == total && isEqual)
    }

    @Test(
        "a side that breaks off takes the other with it, at once",
        arguments: Way.allCases,
        [true, false]
    )
    func abort(way: Way, caller breaks: Bool) throws {
        let bench = try WebSocketBench(way)
        let (caller, server) = try bench.open()
        let (first, second) = breaks ? (caller, server) : (server, caller)
        first.reset()
        try bench.loop.until { second.isOver }
        #expect(!second.hasEnded, "a reset is not an end in good order")
        try bench.loop.until { bench.web.metrics.value(.requestsActive, .outbound) == 0 }
        try bench.finish()
    }

    @Test("TLS that is cut short is no end in good order")
    func truncated() throws {
        let hops = try TwoHops()
        let context = try TLSContext(
            role: .client,
            identity: hops.authority.issue(TwoHops.webPath),
            trustBundle: hops.authority.trustBundle,
            trustDomain: hops.authority.trustDomain
        )
        for saysSo in [true, false] {
            let caller = try hops.orders.inboundCaller(
                tls: try TLSConnection(
                    context: context,
                    applicationProtocols: .http1,
                    expectedPeers: [hops.authority.id(TwoHops.ordersPath)]
                )
            )
            caller.write(WebSocketBench.ask)
            let server = try hops.web.accepted(hops.application, saysSo ? 1 : 2)
            try hops.web.loop.until { server.text.hasSuffix("\r\n\r\n") }
            server.write(WebSocketBench.acceptance(of: server.text))
            try hops.web.loop.until { caller.text.hasSuffix("\r\n\r\n") }
            if saysSo { caller.finish() } else { caller.endOutput() }
            try hops.web.loop.until { server.isOver }
            #expect(server.hasEnded == saysSo)
            server.finish()
        }
        try hops.finish()
    }

    @Test("no time limit of the whole counts, silence does", arguments: Way.allCases)
    func timeLimits(way: Way) throws {
        let bench = try WebSocketBench(
            way,
            timeouts: RouteTimeouts(request: .seconds(1), streamIdle: .milliseconds(1_200))
        )
        let (caller, server) = try bench.open()
        try bench.loop.until { caller.isOver && server.isOver }
        #expect(bench.web.metrics.value(.timeouts, .outbound, label: "request") == 0)
        #expect(bench.web.metrics.value(.timeouts, .outbound, label: "stream_idle") == 1)
        try bench.finish()
    }

    @Test(
        "a draining proxy lets a WebSocket run until the grace period is over",
        arguments: [true, false]
    )
    func drain(overHTTP2: Bool) throws {
        for isFarSide in overHTTP2 ? [false, true] : [false] {
            let bench = try WebSocketBench(overHTTP2 ? .http2Hop : .oneHop)
            let (caller, server) = try bench.open()
            let worker = isFarSide ? bench.orders?.worker : bench.web.worker
            worker?.take(.startDrain)
            worker?.take(.closeIdle)
            bench.loop.settle()
            caller.write("ping")
            try bench.web.expect(server, receives: "ping")
            server.write("pong")
            try bench.web.expect(caller, receives: "pong")
            worker?.take(.expire)
            try bench.loop.until { caller.isOver && server.isOver }
            try bench.finish()
        }
    }

    @Test(
        "101 that is none is 502",
        arguments: [
            "HTTP/1.1 101 x\r\n\r\n",
            "HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
            "HTTP/1.0 101 x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
            "HTTP/1.1 101 x\r\nUpgrade: websocket\r\n\r\n",
        ]
    )
    func malformedAcceptance(answer: String) throws {
        for way in Way.allCases {
            let bench = try WebSocketBench(way)
            let (caller, server) = try bench.ask()
            server.write(answer)
            try bench.loop.until { isReplied(caller) }
            #expect(statuses(caller.text) == [502])
            try bench.loop.until { server.isOver }
            try bench.finish()
        }
    }

    @Test(
        "an acceptance of another key than the proxy's is 502",
        arguments: [
            "", "Sec-WebSocket-Accept: \(WebSocketBench.accept)\r\n", "Sec-WebSocket-Accept:\r\n",
        ]
    )
    func wrongKey(fields: String) throws {
        let bench = try WebSocketBench(.http2Hop)
        let (caller, server) = try bench.ask()
        server.write(
            "HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\(fields)\r\n"
        )
        try bench.loop.until { isReplied(caller) }
        #expect(statuses(caller.text) == [502])
        try bench.loop.until { server.isOver }
        try bench.finish()
    }

    @Test("an acceptance that says its answer twice is 502")
    func answerTwice() throws {
        let bench = try WebSocketBench(.http2Hop)
        let (caller, server) = try bench.ask()
        let answer = WebSocketBench.answer(to: field("sec-websocket-key", in: server.text) ?? "")
        server.write(
            WebSocketBench.acceptance(
                of: server.text,
                fields: "Sec-WebSocket-Accept: \(answer)\r\n"
            )
        )
        try bench.loop.until { isReplied(caller) }
        #expect(statuses(caller.text) == [502])
        try bench.finish()
    }
}

/// WebSockets where an end speaks HTTP/2 itself.
struct WebSocketOverHTTP2Tests {
    private func bench(
        protocol: ServiceProtocol = .http1
    ) throws -> (ProxyBench, Application, HTTP2Link) {
        let bench = try ProxyBench()
        let application = try bench.application()
        try bench.serve([application.socketAddress], protocol: `protocol`)
        return (bench, application, HTTP2Link(try bench.caller(), role: .client))
    }

    private func request(_ bench: ProxyBench, _ application: Application) throws -> Peer {
        let server = try bench.accepted(application)
        try bench.loop.until { server.text.hasSuffix("\r\n\r\n") }
        return server
    }

    @Test("extended CONNECT reaches a service of HTTP/1.1 as an upgrade (RFC 8441 §5)")
    func toHTTP1() throws {
        let (bench, application, caller) = try bench()
        let stream = caller.webSocket("/chat", [("sec-websocket-key", WebSocketBench.key)])
        let server = try request(bench, application)
        #expect(server.text.hasPrefix("GET /chat HTTP/1.1\r\n"))
        #expect(field("sec-websocket-version", in: server.text) == "13")
        #expect(field("sec-websocket-key", in: server.text) != WebSocketBench.key)
        server.write(WebSocketBench.acceptance(of: server.text))
        try bench.loop.until { stream.seen.statuses == [200] }
        #expect(!stream.seen.fields.lowercased().contains("sec-websocket-accept"))
        server.forget()
        stream.send("question")
        try bench.expect(server, receives: "question")
        server.write("answer")
        try bench.loop.until { stream.seen.body == "answer" }
        stream.end()
        try bench.loop.until { server.hasEnded }
        #expect(!stream.seen.isOver)
        server.write(", and more")
        try bench.loop.until { stream.seen.body == "answer, and more" }
        server.finish()
        try bench.loop.until { stream.seen.isComplete }
        try bench.finish()
    }

    @Test(
        "DATA that comes before the answer reaches no service of HTTP/1.1 before it, nor after a no"
    )
    func smuggling() throws {
        for accepts in [true, false] {
            let (bench, application, caller) = try bench()
            let stream = caller.webSocket()
            let smuggled = "GET /admin HTTP/1.1\r\nHost: orders\r\n\r\n"
            stream.send(smuggled)
            let server = try request(bench, application)
            stream.send(smuggled)
            bench.loop.settle()
            let seen = server.text
            #expect(!seen.contains("/admin"), "nothing before the answer")
            server.forget()
            if accepts {
                server.write(WebSocketBench.acceptance(of: seen))
                try bench.expect(server, receives: smuggled + smuggled)
            } else {
                server.write("HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\n")
                try bench.loop.until { stream.seen.statuses == [403] }
                stream.send(smuggled)
                server.write("no")
                try bench.loop.until { stream.seen.isOver }
                bench.loop.settle()
                #expect(server.text.isEmpty)
            }
            try bench.finish()
        }
    }

    @Test("an ordinary answer to extended CONNECT must not look like consent: 502")
    func ordinaryAnswer() throws {
        let (bench, application, caller) = try bench()
        let stream = caller.webSocket()
        let server = try request(bench, application)
        server.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        try bench.loop.until { stream.seen.isOver }
        #expect(stream.seen.statuses == [502])
        #expect(
            bench.metrics.value(.malformedResponses, .outbound, label: "websocket_not_accepted")
                == 1
        )
        try bench.finish()
    }

    @Test("a service that resets resets the stream, with CANCEL (RFC 8441 §5)")
    func reset() throws {
        let (bench, application, caller) = try bench()
        let stream = caller.webSocket()
        let server = try request(bench, application)
        server.write(WebSocketBench.acceptance(of: server.text))
        try bench.loop.until { stream.seen.statuses == [200] }
        server.reset()
        try bench.loop.until { stream.seen.isOver }
        #expect(stream.seen.resetCode == HTTP2ErrorCode.cancel)
        let second = caller.webSocket()
        let next = try bench.accepted(application, 2)
        try bench.loop.until { next.text.hasSuffix("\r\n\r\n") }
        next.write(WebSocketBench.acceptance(of: next.text))
        try bench.loop.until { second.seen.statuses == [200] }
        second.leave()
        try bench.loop.until { next.isOver }
        try bench.finish()
    }

    @Test("extended CONNECT at both ends passes as such, half-close too")
    func toHTTP2() throws {
        let bench = try ProxyBench()
        let application = try bench.application()
        var link: HTTP2Link?
        application.onConnection = { link = HTTP2Link($0, role: .server) }
        try bench.serve([application.socketAddress])
        let stream = HTTP2Link(try bench.caller(), role: .client).webSocket()
        try bench.loop.until { link?.accepted.first?.seen.request == "GET /chat" }
        guard let service = link?.accepted.first else { return }
        #expect(!service.seen.fields.lowercased().contains("sec-websocket"))
        stream.send("early")
        bench.loop.settle()
        #expect(service.seen.body.isEmpty)
        service.sendHead("101")
        try bench.loop.until { stream.seen.statuses == [200] && service.seen.body == "early" }
        stream.end()
        try bench.loop.until { service.seen.isComplete }
        service.send("still here")
        try bench.loop.until { stream.seen.body == "still here" }
        service.end()
        try bench.loop.until { stream.seen.isComplete }
        try bench.finish()
    }

    @Test("a service that leaves a tunnel after its half ended lets go of the caller too")
    func leftAfterItsHalf() throws {
        let bench = try ProxyBench()
        let application = try bench.application()
        var link: HTTP2Link?
        application.onConnection = { link = HTTP2Link($0, role: .server) }
        try bench.serve([application.socketAddress])
        let stream = HTTP2Link(try bench.caller(), role: .client).webSocket()
        try bench.loop.until { link?.accepted.first?.seen.request == "GET /chat" }
        guard let service = link?.accepted.first else { return }
        service.sendHead("101")
        service.end()
        try bench.loop.until { stream.seen.statuses == [200] && stream.seen.isComplete }
        // The stream is complete for the codec now, and free for the next request: what the caller of
        // the tunnel still sends must not come there.
        application.connections[0].reset()
        try bench.loop.until { stream.seen.resetCode == HTTP2ErrorCode.cancel }
        try bench.finish()
    }

    @Test("a peer without ENABLE_CONNECT_PROTOCOL is asked in HTTP/1.1, where that is allowed")
    func lacksExtendedConnect() throws {
        for isAllowed in [true, false] {
            let authority = TestAuthority()
            let bench = try ProxyBench()
            bench.worker.take(.identity(authority.workerIdentity(TwoHops.webPath)))
            let application = try bench.application()
            application.serverTLS = try TLSContext(
                role: .server,
                identity: authority.issue(TwoHops.ordersPath),
                trustBundle: authority.trustBundle,
                trustDomain: authority.trustDomain
            )
            application.protocols = [.http2, .http1]
            // An empty SETTINGS frame to whoever begins with the preface of HTTP/2.
            application.onConnection = { peer in
                peer.onReceived = { peer in
                    guard peer.text.hasPrefix("PRI"), peer.receivedCount >= 24 else { return }
                    peer.onReceived = nil
                    peer.write([0, 0, 0, 4, 0, 0, 0, 0, 0])
                }
            }
            try bench.serve(
                [application.socketAddress],
                security: .mutual([authority.id(TwoHops.ordersPath)]),
                protocol: isAllowed ? .auto : .http2
            )
            for turn in 0..<2 {
                let caller = try bench.caller()
                caller.write(WebSocketBench.ask)
                guard isAllowed else {
                    try bench.loop.until { isReplied(caller) }
                    #expect(statuses(caller.text) == [501])
                    #expect(caller.text.contains("upgrade_unsupported"))
                    continue
                }
                let server = try bench.accepted(application, 2 + turn)
                try bench.loop.until { server.text.hasSuffix("\r\n\r\n") }
                #expect(field("sec-websocket-key", in: server.text) == WebSocketBench.key)
                server.write(WebSocketBench.acceptance(of: server.text))
                try bench.loop.until { caller.text.hasSuffix("\r\n\r\n") }
                #expect(statuses(caller.text) == [101])
                #expect(try bench.report().clusters[0].endpoints.map(\.leased) == [turn + 1])
            }
            try bench.finish()
        }
    }
}

/// Whether a local reply is complete; in chunks when it came over HTTP/2.
private func isReplied(_ caller: Peer) -> Bool {
    caller.text.hasSuffix("}\n") || caller.text.hasSuffix("}\n\r\n0\r\n\r\n")
}
