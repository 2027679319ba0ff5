import Bytes
import MeshModel
import MeshTesting
import Reactor
import TLS
import Telemetry
import Testing
import Time

@testable import Proxy

/// Two workers on one loop: the caller's sidecar, mTLS, the service's sidecar, the service.
struct TwoHops {
    let authority: TestAuthority
    let web: ProxyBench
    let orders: ProxyBench
    let application: Application

    static let webPath = "/ns/default/sa/web"
    static let ordersPath = "/ns/default/sa/orders"

    init(
        serverPath: String = TwoHops.ordersPath,
        server: TestAuthority? = nil,
        client: TestAuthority? = nil
    ) throws {
        authority = TestAuthority()
        web = try ProxyBench()
        application = try web.application()
        orders = try ProxyBench(
            loop: web.loop,
            application: application.socketAddress,
            inboundTLS: true
        )
        try orders.apply([], [], inbound: InboundService(name: "orders.default"))
        orders.worker.take(.identity((server ?? authority).workerIdentity(serverPath)))
        web.worker.take(.identity((client ?? authority).workerIdentity(Self.webPath)))
        try serve()
    }

    func serve(
        timeouts: RouteTimeouts = .default,
        protocol: ServiceProtocol = .auto
    ) throws {
        try web.serve(
            [.loopback(port: orders.inboundPort)],
            timeouts: timeouts,
            security: .mutual([authority.id(Self.ordersPath)]),
            protocol: `protocol`
        )
    }

    func finish() throws {
        try web.finish(sharesLoop: true)
        try orders.finish()
    }
}

struct MutualTLSTests {
    private let get = "GET / HTTP/1.1\r\nHost: orders\r\n\r\n"
    private let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

    @Test("a request crosses both sidecars over mTLS; the service's side knows who called")
    func twoHops() throws {
        let hops = try TwoHops()
        let caller = try hops.web.caller()
        let request = "POST /a HTTP/1.1\r\nHost: orders\r\nContent-Length: 5\r\n\r\nhello"
        for _ in 0..<3 {
            try hops.web.exchange(
                caller,
                request,
                { try hops.web.accepted(hops.application) },
                sees: request,
                answers: ok
            )
        }
        #expect(hops.application.connections.count == 1)
        #expect(hops.web.metrics.value(.tlsHandshakes, .outbound) == 1)
        #expect(hops.orders.metrics.value(.tlsHandshakes, .inbound) == 1)
        #expect(hops.orders.metrics.requestCount(.inbound) == 3)
        let peer = "spiffe://mesh.test\(TwoHops.webPath)"
        #expect(hops.orders.log.count(of: peer) == 3)
        try hops.finish()
    }

    @Test("32 MiB in each direction at once cross both sidecars unchanged")
    func large() throws {
        let hops = try TwoHops()
        let caller = try hops.web.caller()
        let total = 32 << 20
        caller.write("POST / HTTP/1.1\r\nHost: orders\r\nContent-Length: \(total)\r\n\r\n")
        let upstream = try hops.web.accepted(hops.application)
        try hops.web.loop.until { upstream.text.hasSuffix("\r\n\r\n") }
        upstream.forget()
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        upstream.write(head)
        try hops.web.loop.until { caller.text.contains("\r\n\r\n") }
        caller.forget()
        var sent = 0
        func fill() {
            while sent < total, !caller.isCongested {
                caller.write(Pattern.bytes(sent, 131_072))
                sent += 131_072
            }
        }
        caller.onDrained = { _ in fill() }
        var got = 0
        var isEqual = true
        upstream.onBytes = { bytes in
            if !Pattern.matches(bytes, at: got) { isEqual = false }
            got += bytes.count
            // Echoed in the chunks it came in.
            upstream.write("\(String(bytes.count, radix: 16))\r\n")
            upstream.write(bytes.array)
            upstream.write("\r\n")
            if got == total { upstream.write("0\r\n\r\n") }
        }
        var echoed = ChunkedCheck()
        caller.onBytes = { echoed.take($0.array) }
        fill()
        try hops.web.loop.until { echoed.isComplete || caller.isOver }
        #expect(got == total && isEqual)
        #expect(echoed.count == total && echoed.isEqual)
        try hops.finish()
    }

    @Test("a server that is another workload than the one meant gets nothing: 503, counted, logged")
    func wrongServer() throws {
        let hops = try TwoHops(serverPath: "/ns/default/sa/thief")
        let caller = try hops.web.caller()
        caller.write(get)
        try hops.web.loop.until { caller.text.hasSuffix("}\n") }
        #expect(statuses(caller.text) == [503])
        #expect(caller.text.contains("urn:mesh:problem:upstream_tls"))
        #expect(!caller.text.contains("thief"), "nothing internal in the reply")
        #expect(hops.web.metrics.value(.tlsFailures, .outbound, label: "wrong_identity") == 1)
        #expect(hops.web.log.count(of: "TLS failed") == 1)
        #expect(hops.web.log.count(of: "sa/thief") == 1)
        #expect(hops.application.connections.isEmpty)
        try hops.finish()
    }

    @Test("a caller of a foreign mesh is refused by the service's sidecar, counted and logged once")
    func foreignClient() throws {
        let hops = try TwoHops()
        // The same names, another authority.
        let foreign = TestAuthority()
        let context = try TLSContext(
            role: .client,
            identity: foreign.issue(TwoHops.webPath),
            trustBundle: hops.authority.trustBundle,
            trustDomain: hops.authority.trustDomain
        )
        let tls = try TLSConnection(
            context: context,
            applicationProtocols: .http1,
            expectedPeers: [hops.authority.id(TwoHops.ordersPath)]
        )
        let peer = try hops.orders.inboundCaller(tls: tls)
        peer.write(get)
        try hops.web.loop.until { peer.isOver }
        #expect(peer.received.isEmpty)
        #expect(hops.orders.metrics.value(.tlsFailures, .inbound, label: "untrusted") == 1)
        #expect(hops.orders.log.count(of: "TLS failed") == 1)
        #expect(hops.application.connections.isEmpty)
        try hops.finish()
    }

    @Test("plain text to the mTLS listener goes nowhere")
    func plaintextClient() throws {
        let hops = try TwoHops()
        let peer = try hops.orders.inboundCaller()
        peer.write(get)
        try hops.web.loop.until { peer.isOver }
        #expect(statuses(peer.text).isEmpty)
        #expect(hops.orders.metrics.value(.tlsFailures, .inbound) == 1)
        #expect(hops.application.connections.isEmpty)
        try hops.finish()
    }

    @Test("without an identity nothing is sent and nobody is let in")
    func noIdentity() throws {
        let authority = TestAuthority()
        let web = try ProxyBench()
        let application = try web.application()
        let orders = try ProxyBench(
            loop: web.loop,
            application: application.socketAddress,
            inboundTLS: true
        )
        try web.serve(
            [.loopback(port: orders.inboundPort)],
            security: .mutual([authority.id(TwoHops.ordersPath)])
        )
        let caller = try web.caller()
        caller.write(get)
        try web.loop.until { caller.text.hasSuffix("}\n") }
        #expect(statuses(caller.text) == [503])
        #expect(caller.text.contains("no_identity"))
        let peer = try orders.inboundCaller()
        try web.loop.until { peer.isOver }
        #expect(orders.metrics.value(.tlsFailures, .inbound, label: "no_identity") == 1)
        try web.finish(sharesLoop: true)
        try orders.finish()
    }

    @Test("after a rotation new connections use the new certificate, open ones live on")
    func rotation() throws {
        let hops = try TwoHops()
        // One exchange to a connection.
        try hops.serve(protocol: .http1)
        let caller = try hops.web.caller()
        let inside = hops.application
        try hops.web.exchange(
            caller,
            get,
            { try hops.web.accepted(inside) },
            sees: get,
            answers: ok
        )
        // The running exchange and the pooled connection both cross the rotation.
        caller.forget()
        inside.connections[0].forget()
        caller.write(get)
        try hops.web.expect(inside.connections[0], receives: get)
        for bench in [hops.web, hops.orders] {
            let path = bench === hops.web ? TwoHops.webPath : TwoHops.ordersPath
            bench.worker.take(.identity(hops.authority.workerIdentity(path)))
        }
        inside.connections[0].forget()
        inside.connections[0].write(ok)
        try hops.web.expect(caller, receives: ok)
        try hops.web.exchange(caller, get, { inside.connections[0] }, sees: get, answers: ok)
        #expect(hops.web.metrics.value(.tlsHandshakes, .outbound) == 1)
        // What the sidecars share is gone with its last exchange; the next needs a new handshake.
        for connection in hops.orders.worker.connections { connection.abort() }
        try hops.web.loop.until {
            hops.web.metrics.value(.upstreamConnectionsActive, .outbound) == 0
        }
        try hops.web.exchange(caller, get, { inside.connections[0] }, sees: get, answers: ok)
        #expect(hops.web.metrics.value(.tlsHandshakes, .outbound) == 2)
        #expect(hops.web.metrics.value(.certificatesApplied, .inbound) == 2)
        try hops.finish()
    }

    @Test("an endpoint that hangs up with its handshake is a failed attempt: 503 after three")
    func hangsUpInHandshake() throws {
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
        application.onConnection = { $0.closesAfterFirstFlight = true }
        try bench.serve(
            [application.socketAddress],
            security: .mutual([authority.id(TwoHops.ordersPath)])
        )
        let caller = try bench.caller()
        caller.write(get)
        try bench.loop.until { caller.text.hasSuffix("}\n") || application.connections.count > 50 }
        #expect(statuses(caller.text) == [503])
        #expect(application.connections.count == 3)
        try bench.finish()
    }

    @Test("a response whose last bytes come with the end of TLS is whole, past a slow reader too")
    func endWithLastBytes() throws {
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
        try bench.serve(
            [application.socketAddress],
            security: .mutual([authority.id(TwoHops.ordersPath)])
        )
        let caller = try bench.caller()
        caller.write(get)
        let upstream = try bench.accepted(application)
        try bench.loop.until { upstream.text.hasSuffix("\r\n\r\n") }
        caller.pauseReading()
        upstream.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        // Up to just below the mark, so that the caller is congested in the middle of the last
        // receive, which brings the end too; its chunks of one byte are decoded one by one.
        let mark = ReactorLimits.congestedAboveBytes
        let piece = Array("2710\r\n".utf8) + Pattern.bytes(0, 10_000) + [13, 10]
        try bench.loop.until {
            if bench.worker.outstandingBytes < mark - 40_000 { upstream.write(piece) }
            return (mark - 40_000...mark - 10_000).contains(bench.worker.outstandingBytes)
        }
        upstream.write(Array(String(repeating: "1\r\nx\r\n", count: 9_000).utf8))
        upstream.write("0\r\n\r\n")
        upstream.finish()
        bench.loop.settle()
        var tail: [UInt8] = []
        caller.onBytes = { tail = Array((tail + $0.array.suffix(5)).suffix(5)) }
        caller.resumeReading()
        try bench.loop.until { tail.elementsEqual("0\r\n\r\n".utf8) || caller.isOver }
        #expect(tail.elementsEqual("0\r\n\r\n".utf8))
        try bench.finish()
    }
}

/// Takes a chunked body apart as it comes and compares its data with the pattern.
struct ChunkedCheck {
    private(set) var count = 0
    private(set) var isEqual = true
    private(set) var isComplete = false
    private var rest: [UInt8] = []
    private var inChunk = 0
    private var atEndOfChunk = false

    mutating func take(_ bytes: [UInt8]) {
        rest += bytes
        var at = 0
        defer { rest.removeFirst(at) }
        while at < rest.count, !isComplete {
            if inChunk > 0 {
                let part = min(inChunk, rest.count - at, 131_072)
                if Array(rest[at..<at + part]) != Pattern.bytes(count, part) { isEqual = false }
                count += part
                inChunk -= part
                at += part
                atEndOfChunk = inChunk == 0
                continue
            }
            if atEndOfChunk {
                guard rest.count - at >= 2 else { return }
                at += 2
                atEndOfChunk = false
                continue
            }
            guard let end = rest[at...].firstIndex(of: 10) else { return }
            let digits = String(decoding: rest[at..<end - 1], as: UTF8.self)
            guard let size = Int(digits, radix: 16) else {
                isEqual = false
                isComplete = true
                return
            }
            at = end + 1
            inChunk = size
            if size == 0 { isComplete = true }
        }
    }
}
