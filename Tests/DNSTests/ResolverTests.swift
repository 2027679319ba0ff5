import Bytes
import MeshModel
import Reactor
import Testing
import Time

@testable import DNS

/// A resolver, its servers and what its subscribers hear, on one loop.
private final class World {
    let loop: EventLoop
    let servers: [FakeServer]
    let resolver: Resolver
    var heard: [ResolvedName.State] = []

    init(
        servers count: Int = 1,
        listens: Bool = true,
        timeout: Duration = .seconds(5),
        attempts: Int = 2,
        search: [String] = [],
        hosts: String = "",
        bounds: TimeToLiveBounds = TimeToLiveBounds(leastPause: .milliseconds(20))
    ) throws {
        loop = try EventLoop()
        let loop = loop
        servers = try (0..<count).map { _ in try FakeServer.make(loop: loop, listens: listens) }
        resolver = Resolver(
            loop: loop,
            settings: ResolverSettings(
                servers: servers.map(\.address),
                search: search.compactMap { DomainName($0) },
                timeout: timeout,
                attempts: attempts,
                hosts: HostsFile(hosts),
                bounds: bounds
            )
        )
    }

    func subscribe(_ name: String) -> ResolvedName {
        resolver.subscribe(to: name) { [unowned self] in heard.append($0.state) }
    }

    /// The state of `name` once it is known.
    func resolve(_ text: String) throws -> ResolvedName.State {
        let name = subscribe(text)
        try loop.turnUntil { name.state != .pending && resolver.isIdle }
        return name.state
    }
}

private func addresses(_ texts: String...) -> ResolvedName.State {
    .addresses(texts.compactMap { IPAddress($0) })
}

struct ResolverTests {
    @Test("A and AAAA are asked at once, from different ports, with different ids")
    func bothFamilies() throws {
        let world = try World()
        let server = world.servers[0]
        // No answer to the first before the second is there.
        server.onQuery = { _ in
            guard server.queries.count == 2 else { return }
            for query in server.queries { query.reply(["192.0.2.1", "2001:db8::1"]) }
        }
        #expect(try world.resolve("web.example") == addresses("2001:db8::1", "192.0.2.1"))
        #expect(Set(server.queries.map(\.type)) == [.a, .aaaa])
        #expect(Set(server.queries.compactMap(\.source?.port)).count == 2)
        #expect(server.queries.allSatisfy { $0.message.extended?.datagramBytes == 1_232 })
        #expect(server.queries.allSatisfy { $0.message.header.flags == 0x0100 })
    }

    @Test("one family's addresses are told before the other family answers")
    func early() throws {
        let world = try World()
        world.servers[0].onQuery = { if $0.type == .a { $0.reply(["192.0.2.1"]) } }
        let name = world.subscribe("web.example")
        try world.loop.turnUntil { name.state != .pending }
        #expect(name.state == addresses("192.0.2.1"))
        #expect(world.heard == [addresses("192.0.2.1")])
    }

    @Test("a lost packet is sent again; ids and ports are new")
    func loss() throws {
        let world = try World(timeout: .milliseconds(50), attempts: 5)
        let server = world.servers[0]
        server.onQuery = { query in
            if server.queries(query.type).count > 1 { query.reply(["192.0.2.1"]) }
        }
        #expect(try world.resolve("web.example") == addresses("192.0.2.1"))
        let asked = server.queries(.a)
        try #require(asked.count > 1)
        #expect(asked[0].source != asked[1].source)
    }

    @Test("an answer that comes after the next attempt has begun is taken")
    func slow() throws {
        let world = try World(servers: 2, timeout: .milliseconds(50), attempts: 5)
        let (first, second) = (world.servers[0], world.servers[1])
        second.onQuery = { query in
            for late in first.queries where late.type == query.type { late.reply(["192.0.2.1"]) }
        }
        first.onQuery = { _ in }
        #expect(try world.resolve("web.example") == addresses("192.0.2.1"))
    }

    @Test("answers with another id, to another question, or that are none are not taken")
    func strange() throws {
        let world = try World()
        world.servers[0].onQuery = { query in
            let evil = "198.51.100.66"
            query.reply([evil]) { $0.header.id ^= 1 }
            query.reply([evil]) { $0.header.flags &= ~0x8000 }
            query.reply([evil]) { $0.questions = [] }
            query.reply([evil]) {
                $0.questions = [DNSQuestion(name: .root, type: query.type)]
            }
            query.reply([evil]) {
                $0.questions = [DNSQuestion(name: $0.questions[0].name, type: .any)]
            }
            query.reply([1, 2, 3])
            query.reply([])
            query.reply(["192.0.2.1"])
        }
        #expect(try world.resolve("web.example") == addresses("192.0.2.1"))
        #expect(world.heard == [addresses("192.0.2.1")])
        #expect(world.resolver.counts.strangeAnswers == 14)
    }

    @Test("who is not the server is not heard")
    func stranger() throws {
        let world = try World()
        let stranger = try FakeServer.make(loop: world.loop)
        world.servers[0].onQuery = { query in
            guard let source = query.source else { return }
            // It knows everything there is to know, and still is somebody else.
            stranger.send(query.answer(["198.51.100.66"]).span, to: source)
            query.reply(["192.0.2.1"])
        }
        #expect(try world.resolve("web.example") == addresses("192.0.2.1"))
        #expect(world.heard == [addresses("192.0.2.1")])
    }

    @Test("a flood of wrong answers moves the question to TCP, where nobody can join in")
    func flood() throws {
        let world = try World(timeout: .seconds(9))
        world.servers[0].onQuery = { query in
            if query.isStream { return query.reply(["192.0.2.1"]) }
            for id in 0..<UInt16(200) {
                query.reply(["198.51.100.66"]) { $0.header.id ^= id + 1 }
            }
        }
        #expect(try world.resolve("web.example") == addresses("192.0.2.1"))
        #expect(world.servers[0].queries.contains { $0.isStream })
    }

    @Test("a truncated answer is fetched over TCP")
    func truncation() throws {
        let world = try World()
        let many = (1...60).map { "192.0.2.\($0)" }
        world.servers[0].onQuery = { query in
            if query.isStream {
                query.reply(many)
            } else {
                query.reply { $0.header.flags |= DNSHeader.truncated }
            }
        }
        #expect(try world.resolve("web.example") == .addresses(many.compactMap { IPAddress($0) }))
        #expect(world.servers[0].queries(.a).map(\.isStream) == [false, true])
    }

    @Test("a server without TCP that truncates is a server that failed")
    func truncationWithoutTCP() throws {
        let world = try World(listens: false, attempts: 1)
        world.servers[0].onQuery = { query in
            query.reply { $0.header.flags |= DNSHeader.truncated }
        }
        #expect(try world.resolve("web.example") == .failed(.unreachable))
    }

    @Test("a server that does not know EDNS is asked without it")
    func withoutExtension() throws {
        let world = try World()
        world.servers[0].onQuery = { query in
            if query.message.extended == nil { return query.reply(["192.0.2.1"]) }
            query.reply(
                DNSMessage(header: DNSHeader(id: query.message.header.id, flags: 0x8181)).encoded
            )
        }
        #expect(try world.resolve("web.example") == addresses("192.0.2.1"))
    }

    @Test("after a server's failure the next one is asked", arguments: [2, 4, 5, 1] as [UInt16])
    func failover(_ code: UInt16) throws {
        let world = try World(servers: 2)
        world.servers[0].onQuery = { $0.reply(code: code) }
        world.servers[1].onQuery = { $0.reply(["192.0.2.1"]) }
        #expect(try world.resolve("web.example") == addresses("192.0.2.1"))
    }

    @Test("a malformed answer is the server's failure")
    func malformed() throws {
        let world = try World(servers: 2)
        world.servers[0].onQuery = { $0.reply($0.answer(["192.0.2.66"]) + [0]) }
        world.servers[1].onQuery = { $0.reply(["192.0.2.1"]) }
        #expect(try world.resolve("web.example") == addresses("192.0.2.1"))
    }

    @Test("a server that is not there is passed over at once")
    func nobody() throws {
        let world = try World(servers: 2, timeout: .seconds(9))
        world.servers[0].close()
        world.servers[1].onQuery = { $0.reply(["192.0.2.1"]) }
        #expect(try world.resolve("web.example") == addresses("192.0.2.1"))
    }

    @Test("when no server answers the name has failed, and is asked for again")
    func silence() throws {
        let world = try World(timeout: .milliseconds(20))
        let server = world.servers[0]
        server.onQuery = { _ in }
        let name = world.subscribe("web.example")
        try world.loop.turnUntil { name.state == .failed(.timedOut) }
        server.onQuery = { $0.reply(["192.0.2.1"]) }
        try world.loop.turnUntil { name.state == addresses("192.0.2.1") }
    }

    @Test("without servers names fail at once")
    func noServers() throws {
        let world = try World(servers: 0)
        #expect(try world.resolve("web.example") == .failed(.noServers))
    }

    @Test("a name that is not there is asked for once as long as that holds")
    func absence() throws {
        let world = try World()
        let server = world.servers[0]
        server.onQuery = { query in
            query.reply(code: 3) {
                $0.authorities = [
                    DNSRecord(
                        name: .root,
                        type: .soa,
                        timeToLive: 60,
                        data: .zone(primary: .root, mailbox: .root, minimum: 60)
                    )
                ]
            }
        }
        #expect(try world.resolve("web.example") == .failed(.noAddress))
        #expect(try world.resolve("web.example") == .failed(.noAddress))
        #expect(server.queries.count == 2)
    }

    @Test("when the TTL has passed the name is asked for again; subscribers hear of changes only")
    func refresh() throws {
        let bounds = TimeToLiveBounds(
            least: .milliseconds(20),
            most: .milliseconds(20),
            mostNegative: .milliseconds(20)
        )
        let world = try World(bounds: bounds)
        let server = world.servers[0]
        var current = "192.0.2.1"
        server.onQuery = { $0.reply([current]) }
        let name = world.subscribe("web.example")
        try world.loop.turnUntil { server.queries.count >= 6 }
        #expect(world.heard == [addresses("192.0.2.1")])
        current = "192.0.2.2"
        try world.loop.turnUntil { name.state == addresses("192.0.2.2") }
        #expect(world.heard == [addresses("192.0.2.1"), addresses("192.0.2.2")])
    }

    @Test("addresses stay in force while servers are silent, for as long as configured")
    func stale() throws {
        let bounds = TimeToLiveBounds(
            least: .milliseconds(10),
            most: .milliseconds(10),
            mostNegative: .milliseconds(10),
            leastPause: .milliseconds(5),
            mostPause: .milliseconds(5),
            stale: .seconds(2)
        )
        let world = try World(timeout: .milliseconds(10), bounds: bounds)
        let server = world.servers[0]
        server.onQuery = { $0.reply(["192.0.2.1"]) }
        let name = world.subscribe("web.example")
        try world.loop.turnUntil { name.state == addresses("192.0.2.1") }
        server.onQuery = { _ in }
        let asked = server.queries.count
        try world.loop.turnUntil { server.queries.count >= asked + 12 }
        #expect(name.state == addresses("192.0.2.1"))
        try world.loop.turnUntil { name.state == .failed(.timedOut) }
    }

    @Test("equal names are asked for once, and every subscriber hears")
    func coalescing() throws {
        let world = try World()
        world.servers[0].onQuery = { $0.reply(["192.0.2.1"]) }
        let first = world.subscribe("web.example")
        let second = world.subscribe("WEB.example")
        try world.loop.turnUntil { first.state != .pending && world.resolver.isIdle }
        #expect(second.state == addresses("192.0.2.1"))
        #expect(world.heard == [addresses("192.0.2.1"), addresses("192.0.2.1")])
        #expect(world.servers[0].queries.count == 2)
        // A later one finds it known.
        #expect(world.subscribe("web.example").state == addresses("192.0.2.1"))
    }

    @Test("a cancelled subscription hears nothing, also when another one cancels it meanwhile")
    func cancelling() throws {
        let world = try World()
        world.servers[0].onQuery = { $0.reply(["192.0.2.1"]) }
        var second: ResolvedName?
        var heard = 0
        let first = world.resolver.subscribe(to: "web.example") { _ in second?.cancel() }
        second = world.resolver.subscribe(to: "web.example") { _ in heard += 1 }
        let third = world.subscribe("web.example")
        third.cancel()
        try world.loop.turnUntil { first.state != .pending && world.resolver.isIdle }
        #expect(heard == 0)
        #expect(world.heard.isEmpty)
    }

    @Test("short names are looked for in the search domains in order")
    func search() throws {
        let world = try World(search: ["a.example", "b.example"])
        let server = world.servers[0]
        server.onQuery = { query in
            if query.name == "web.b.example" {
                query.reply(["192.0.2.1"])
            } else {
                query.reply(code: 3)
            }
        }
        #expect(try world.resolve("web") == addresses("192.0.2.1"))
        #expect(server.queries(.a).map(\.name) == ["web.a.example", "web.b.example"])
    }

    @Test("a search domain that fails is not skipped: the name could be there")
    func failedSearch() throws {
        let world = try World(search: ["a.example", "b.example"])
        world.servers[0].onQuery = { query in
            if query.name == "web.a.example" {
                query.reply(code: 2)
            } else {
                query.reply(["192.0.2.1"])
            }
        }
        #expect(try world.resolve("web") == .failed(.serverFailed(.serverFailure)))
    }

    @Test("literals, names in hosts and localhost need no server")
    func withoutAsking() throws {
        let world = try World(hosts: "192.0.2.9 web\n192.0.2.8 web")
        #expect(world.subscribe("192.0.2.7").state == addresses("192.0.2.7"))
        #expect(world.subscribe("::1").state == addresses("::1"))
        #expect(world.subscribe("web").state == addresses("192.0.2.9", "192.0.2.8"))
        #expect(world.subscribe("localhost").state == addresses("127.0.0.1"))
        #expect(world.subscribe("not a name").state == .failed(.badName))
        world.loop.turn(waitMillisecondsMax: 0)
        #expect(world.servers[0].queries.isEmpty)
    }

    @Test("new settings are in force at once; what is known holds until there is an answer")
    func newSettings() throws {
        let world = try World(servers: 2)
        world.servers[0].onQuery = { $0.reply(["192.0.2.1"]) }
        world.servers[1].onQuery = { $0.reply(["192.0.2.2"]) }
        let name = world.subscribe("web.example")
        try world.loop.turnUntil { name.state != .pending && world.resolver.isIdle }
        world.resolver.use(ResolverSettings(servers: [world.servers[1].address]))
        #expect(name.state == addresses("192.0.2.1"))
        try world.loop.turnUntil { name.state == addresses("192.0.2.2") }
        world.resolver.use(ResolverSettings(servers: [], hosts: HostsFile("192.0.2.3 web.example")))
        #expect(name.state == addresses("192.0.2.3"))
    }

    @Test("a bounded number of names is asked for at once, and all of them in the end")
    func bounded() throws {
        let world = try World()
        let server = world.servers[0]
        var held: [FakeServer.Query] = []
        server.onQuery = { held.append($0) }
        let names = (0..<(DNSLimits.lookupsMax + 40)).map { world.subscribe("n\($0).example") }
        try world.loop.turnUntil { held.count == DNSLimits.lookupsMax * 2 }
        for _ in 0..<3 { world.loop.turn(waitMillisecondsMax: 1) }
        #expect(held.count == DNSLimits.lookupsMax * 2)
        server.onQuery = { $0.reply(["192.0.2.1"]) }
        for query in held { query.reply(["192.0.2.1"]) }
        try world.loop.turnUntil { names.allSatisfy { $0.state == addresses("192.0.2.1") } }
    }

    @Test("stopping in the middle of questions calls nobody back")
    func stopping() throws {
        let world = try World()
        world.servers[0].onQuery = { query in
            world.resolver.stop()
            query.reply(["192.0.2.1"])
        }
        _ = world.subscribe("web.example")
        try world.loop.turnUntil { !world.servers[0].queries.isEmpty }
        for _ in 0..<3 { world.loop.turn(waitMillisecondsMax: 1) }
        #expect(world.heard.isEmpty)
        #expect(world.resolver.nameCount == 0)
    }
}
