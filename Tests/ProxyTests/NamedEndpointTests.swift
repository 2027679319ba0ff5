import DNS
import MeshModel
import Reactor
import Telemetry
import Testing

@testable import Proxy

/// A name server with one answer for every name.
private final class NameServer: DatagramSocket {
    var addresses: [IPAddress] = []
    var holdsBack = false
    private var held: [(message: DNSMessage, source: InternetAddress)] = []

    var settings: ResolverSettings {
        ResolverSettings(
            servers: [
                SocketAddress(addressBytes: localAddress.bytes, port: localAddress.port)
            ],
            bounds: TimeToLiveBounds(
                least: .milliseconds(10),
                most: .milliseconds(10),
                mostNegative: .milliseconds(10)
            )
        )
    }

    func release() {
        holdsBack = false
        for (message, source) in held { answer(message, to: source) }
        held = []
    }

    override func onDatagram(_ bytes: Span<UInt8>, from source: InternetAddress) {
        guard let message = try? DNSMessage(bytes) else { return }
        if holdsBack { held.append((message, source)) } else { answer(message, to: source) }
    }

    private func answer(_ message: DNSMessage, to source: InternetAddress) {
        let question = message.questions[0]
        let records = addresses.filter { _ in question.type == .a }.map {
            DNSRecord(name: question.name, type: .a, timeToLive: 0, data: .address($0))
        }
        let answer = DNSMessage(
            header: DNSHeader(id: message.header.id, flags: 0x8180),
            questions: [question],
            answers: records
        )
        send(answer.encoded.span, to: source)
    }
}

private let get = "GET / HTTP/1.1\r\nHost: orders\r\n\r\n"
private let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

private final class World {
    let bench: ProxyBench
    let server: NameServer
    /// The same port at two addresses.
    let applications: [Application]
    let addresses: [IPAddress]

    init() throws {
        bench = try ProxyBench()
        let loop = bench.loop
        let anywhere = InternetAddress(bytes: [127, 0, 0, 1], port: 0)
        server = try NameServer(loop: loop, address: anywhere)
        let first = try bench.application()
        let socket = try ListeningSocket(
            address: InternetAddress(bytes: [127, 0, 0, 2], port: first.address.port),
            reusePort: false
        )
        let second = try Application(loop: loop, socket: socket)
        bench.adopt(second)
        applications = [first, second]
        addresses = [IPAddress(bytes: [127, 0, 0, 1]), IPAddress(bytes: [127, 0, 0, 2])]
        bench.worker.take(.names(server.settings))
    }

    func serve(limits: ClusterLimits = .default, connectTimeout: Duration = .seconds(10)) throws {
        let port = applications[0].address.port
        try bench.apply(
            [ProxyBench.service()],
            [
                Cluster(
                    name: "orders",
                    security: .plaintext,
                    endpoints: [Endpoint(target: .name("orders.example", port: port))],
                    connectTimeout: connectTimeout,
                    limits: limits,
                    // Else the better of the two might be the same one each time.
                    balancing: LoadBalancing(algorithm: .roundRobin)
                )
            ]
        )
    }

    func waitUntilResolved(_ expected: [IPAddress]) throws {
        let port = applications[0].address.port
        let texts = expected.map {
            SocketAddress(addressBytes: $0.bytes, port: port).description
        }
        try bench.loop.until("resolved") {
            (try? bench.report().clusters[0].endpoints.map(\.address)) == texts
        }
    }

    func finish() throws {
        bench.worker.resolver.stop()
        server.close()
        try bench.finish()
    }
}

struct NamedEndpointTests {
    @Test("a request that comes before the first answer waits for it")
    func waiting() throws {
        let world = try World()
        let bench = world.bench
        world.server.holdsBack = true
        world.server.addresses = [world.addresses[0]]
        try world.serve()
        let caller = try bench.caller()
        caller.write(get)
        try bench.loop.until { bench.metrics.total(.requestsPending) == 1 }
        world.server.release()
        let upstream = try bench.accepted(world.applications[0])
        try bench.expect(upstream, receives: get)
        upstream.write(ok)
        try bench.expect(caller, receives: ok)
        try world.finish()
    }

    @Test("traffic follows the addresses: a running exchange ends where it is, idle ones go")
    func following() throws {
        let world = try World()
        let bench = world.bench
        world.server.addresses = [world.addresses[0]]
        try world.serve()
        try world.waitUntilResolved([world.addresses[0]])
        let (first, second) = (try bench.caller(), try bench.caller())
        first.write(get)
        let running = try bench.accepted(world.applications[0])
        try bench.expect(running, receives: get)
        world.server.addresses = [world.addresses[1]]
        try world.waitUntilResolved([world.addresses[1]])
        try bench.exchange(
            second,
            get,
            { try bench.accepted(world.applications[1]) },
            sees: get,
            answers: ok
        )
        running.write(ok)
        try bench.expect(first, receives: ok)
        try bench.loop.until { running.isOver }
        #expect(world.applications[0].connections.count == 1)
        try world.finish()
    }

    @Test("every address of a name is an endpoint; one that stays keeps its connections")
    func severalAddresses() throws {
        let world = try World()
        let bench = world.bench
        world.server.addresses = [world.addresses[0]]
        try world.serve()
        let caller = try bench.caller()
        try bench.exchange(
            caller,
            get,
            { try bench.accepted(world.applications[0]) },
            sees: get,
            answers: ok
        )
        world.server.addresses = world.addresses
        try world.waitUntilResolved(world.addresses)
        // Turns begin anywhere once the list has changed: in three, each has had one.
        for _ in 0..<3 {
            try bench.exchange(
                caller,
                get,
                { try bench.reached(world.applications, by: get) },
                sees: get,
                answers: ok
            )
        }
        #expect(world.applications.map(\.connections.count) == [1, 1])
        try world.finish()
    }

    @Test("a name without address is a 503 that says dns")
    func noAddress() throws {
        let world = try World()
        try world.serve()
        let caller = try world.bench.caller()
        caller.write(get)
        try world.bench.loop.until { caller.text.hasSuffix("}\n") }
        #expect(caller.text.hasPrefix("HTTP/1.1 503 "))
        #expect(caller.text.contains("urn:mesh:problem:dns"))
        #expect(caller.text.contains("the name has no address"))
        #expect(world.bench.metrics.value(.localReplies, .outbound, label: "dns") == 1)
        try world.finish()
    }

    @Test("nobody waits for a name longer than for a connection")
    func waitingTooLong() throws {
        let world = try World()
        world.server.holdsBack = true
        try world.serve(connectTimeout: .milliseconds(50))
        let caller = try world.bench.caller()
        caller.write(get)
        try world.bench.loop.until { caller.text.hasSuffix("}\n") }
        #expect(caller.text.contains("urn:mesh:problem:dns"))
        try world.finish()
    }

    @Test("those who wait are bounded like those who wait for a connection")
    func bounded() throws {
        let world = try World()
        world.server.holdsBack = true
        try world.serve(limits: ClusterLimits(pendingRequests: 1))
        let (first, second) = (try world.bench.caller(), try world.bench.caller())
        first.write(get)
        try world.bench.loop.until { world.bench.metrics.total(.requestsPending) == 1 }
        second.write(get)
        try world.bench.loop.until { second.text.hasSuffix("}\n") }
        #expect(second.text.contains("too_many_pending"))
        // Who leaves waits no longer.
        first.reset()
        try world.bench.loop.until { world.bench.metrics.total(.requestsPending) == 0 }
        try world.finish()
    }

    @Test("who waits while a new snapshot comes goes on with the new cluster")
    func snapshotMeanwhile() throws {
        let world = try World()
        let bench = world.bench
        world.server.holdsBack = true
        world.server.addresses = [world.addresses[0]]
        try world.serve()
        let caller = try bench.caller()
        caller.write(get)
        try bench.loop.until { bench.metrics.total(.requestsPending) == 1 }
        try world.serve(limits: ClusterLimits(connections: 7))
        #expect(bench.metrics.total(.requestsPending) == 1)
        world.server.release()
        let upstream = try bench.accepted(world.applications[0])
        try bench.expect(upstream, receives: get)
        upstream.write(ok)
        try bench.expect(caller, receives: ok)
        try world.finish()
    }

    @Test("who waits when the service is removed gets its answer at once")
    func removedMeanwhile() throws {
        let world = try World()
        world.server.holdsBack = true
        try world.serve()
        let caller = try world.bench.caller()
        caller.write(get)
        try world.bench.loop.until { world.bench.metrics.total(.requestsPending) == 1 }
        try world.bench.apply([], [])
        try world.bench.loop.until { caller.text.hasSuffix("}\n") }
        #expect(caller.text.contains("no_endpoint"))
        try world.finish()
    }
}
