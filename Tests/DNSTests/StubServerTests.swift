import Bytes
import MeshModel
import Reactor
import Testing
import Time

@testable import DNS

/// An application's end: a datagram socket or a TCP connection.
private final class DatagramClient: DatagramSocket {
    var answers: [DNSMessage] = []
    var raw: [[UInt8]] = []
    override func onDatagram(_ bytes: Span<UInt8>, from source: InternetAddress) {
        raw.append(bytes.array)
        if let message = try? DNSMessage(bytes) { answers.append(message) }
    }
}

private final class StreamClient: Connection {
    var answers: [DNSMessage] = []
    var isOver = false
    private let input = ByteBuffer()

    func ask(_ bytes: [UInt8]) {
        send([UInt8(bytes.count >> 8), UInt8(bytes.count & 0xFF)].span)
        send(bytes.span)
    }
    override func onData(_ bytes: Span<UInt8>) {
        input.append(bytes)
        while let bytes = StreamFraming.takeMessage(from: input) {
            if let message = try? DNSMessage(bytes.span) { answers.append(message) }
        }
    }
    override func onEnd() {
        isOver = true
        close()
    }
    override func onClosed(_ reason: CloseReason) { isOver = true }
}

private final class World {
    let loop: EventLoop
    let upstream: FakeServer
    let stub: StubServer
    let client: DatagramClient

    init(timeout: Duration = .seconds(5), attempts: Int = 1) throws {
        loop = try EventLoop()
        upstream = try FakeServer.make(loop: loop)
        stub = try StubServer(
            loop: loop,
            address: InternetAddress(bytes: [127, 0, 0, 1], port: 0),
            settings: ResolverSettings(
                servers: [upstream.address],
                timeout: timeout,
                attempts: attempts
            )
        )
        var names = ServiceNames()
        names.add(
            hosts: ["orders", "orders.default"],
            addresses: [try address("240.0.0.1"), try address("fd00::1")]
        )
        stub.use(names)
        client = try DatagramClient(loop: loop, peer: stub.address)
    }

    func ask(_ query: DNSMessage) throws -> DNSMessage {
        let before = client.answers.count
        client.send(query.encoded.span)
        try loop.turnUntil { client.answers.count > before }
        return client.answers[before]
    }
}

private func query(
    _ text: String,
    _ type: RecordType = .a,
    id: UInt16 = 7,
    extended: ExtendedDNS? = nil
) throws -> DNSMessage {
    DNSMessage(
        header: DNSHeader(id: id, flags: 0x0100),
        questions: [DNSQuestion(name: try name(text), type: type)],
        extended: extended
    )
}

struct StubServerTests {
    @Test("a service's names have its virtual addresses, in any case, with a short TTL")
    func services() throws {
        let world = try World()
        let answer = try world.ask(query("ORDERS.default", id: 0xABCD))
        #expect(answer.header.id == 0xABCD)
        #expect(answer.header.flags == 0x8580)
        #expect(answer.questions[0].name.description == "ORDERS.default")
        #expect(answer.answers.map(\.data) == [.address(try address("240.0.0.1"))])
        #expect(answer.answers[0].timeToLive == 5)
        let six = try world.ask(query("orders", .aaaa))
        #expect(six.answers.map(\.data) == [.address(try address("fd00::1"))])
        #expect(world.upstream.queries.isEmpty)
        #expect(world.stub.counts.answered == 2)
    }

    @Test("a type a service has not is no data for a short time, and no wrong name (RFC 2308)")
    func noData() throws {
        let world = try World()
        for type: UInt16 in [65, 16, 15, 33] {
            let answer = try world.ask(query("orders", RecordType(number: type)))
            #expect(answer.responseCode == .noError)
            #expect(answer.answers.isEmpty)
            guard case .zone(_, _, let minimum)? = answer.authorities.first?.data else {
                Issue.record("no SOA")
                return
            }
            #expect(minimum == 5)
        }
    }

    @Test("every other name is passed on, and its answer back unchanged but for the id")
    func forwarding() throws {
        let world = try World()
        var sent: [UInt8] = []
        world.upstream.onQuery = { query in
            sent = query.answer(["192.0.2.1"], secondsToLive: 77)
            query.reply(sent)
        }
        let asked = try query(
            "www.example.com",
            id: 0x0102,
            extended: ExtendedDNS(datagramBytes: 4_000)
        )
        let answer = try world.ask(asked)
        #expect(answer.header.id == 0x0102)
        #expect(world.client.raw[0].dropFirst(2) == sent.dropFirst(2))
        let passed = world.upstream.queries[0].message
        #expect(passed.questions == asked.questions)
        #expect(passed.extended == asked.extended)
        #expect(world.stub.forwardsCount == 0)
    }

    @Test("names below or beside a service's are not its names")
    func strangers() throws {
        let world = try World()
        world.upstream.onQuery = { $0.reply(code: 3) }
        for text in ["x.orders", "order", "orders.default.svc", "default"] {
            #expect(try world.ask(query(text)).responseCode == .nameError)
        }
        #expect(world.upstream.queries.count == 4)
    }

    @Test("what the upstream servers fail at is passed back; their silence is SERVFAIL")
    func failures() throws {
        let world = try World()
        world.upstream.onQuery = { $0.reply(code: 5) }
        #expect(try world.ask(query("a.example")).responseCode == .refused)
        world.stub.use(
            ResolverSettings(servers: [world.upstream.address], timeout: .milliseconds(50))
        )
        world.upstream.onQuery = { _ in }
        let answer = try world.ask(query("b.example", id: 99))
        #expect(answer.responseCode == .serverFailure)
        #expect(answer.header.id == 99)
        let asked = try query("b.example").questions
        #expect(answer.questions == asked)
        #expect(world.stub.counts.failed == 1)
        #expect(world.stub.forwardsCount == 0)
    }

    @Test("without an upstream server other names are SERVFAIL at once")
    func noUpstream() throws {
        let world = try World()
        world.stub.use(ResolverSettings(servers: []))
        #expect(try world.ask(query("a.example")).responseCode == .serverFailure)
        #expect(try world.ask(query("orders")).answers.count == 1)
    }

    @Test("a truncated answer goes back as it is, and TCP gets the whole one")
    func truncation() throws {
        let world = try World()
        let many = (1...200).map { "192.0.2.\($0)" }
        world.upstream.onQuery = { query in
            if query.isStream {
                query.reply(many)
            } else {
                query.reply { $0.header.flags |= DNSHeader.truncated }
            }
        }
        #expect(try world.ask(query("big.example")).header.isTruncated)
        let stream = StreamClient(loop: world.loop)
        stream.connect(to: world.stub.address)
        stream.ask(try query("big.example").encoded)
        try world.loop.turnUntil { !stream.answers.isEmpty }
        #expect(stream.answers[0].answers.count == 200)
    }

    @Test("queries on one TCP connection are answered as their answers come (RFC 7766)")
    func pipelining() throws {
        let world = try World()
        var held: [FakeServer.Query] = []
        world.upstream.onQuery = { held.append($0) }
        let stream = StreamClient(loop: world.loop)
        stream.connect(to: world.stub.address)
        let count = DNSLimits.streamQueriesMax
        for id in 0..<UInt16(count + 5) {
            stream.ask(try query("n\(id).example", id: id).encoded)
        }
        stream.ask(try query("orders", id: 1_000).encoded)
        try world.loop.turnUntil { held.count == count }
        stream.endOutput()
        for _ in 0..<5 { world.loop.turn(waitMillisecondsMax: 1) }
        // The rest is not read before there is room.
        #expect(held.count == count)
        world.upstream.onQuery = { $0.reply(["192.0.2.1"]) }
        for query in held.reversed() { query.reply(["192.0.2.1"]) }
        try world.loop.turnUntil { stream.isOver }
        #expect(Set(stream.answers.map(\.header.id)) == Set(0..<UInt16(count + 5)).union([1_000]))
    }

    @Test("a repeated query waits for the answer to the first")
    func repetition() throws {
        let world = try World()
        var held: [FakeServer.Query] = []
        world.upstream.onQuery = { held.append($0) }
        let asked = try query("a.example").encoded
        for _ in 0..<50 { world.client.send(asked.span) }
        try world.loop.turnUntil { world.stub.counts.queries == 50 && !held.isEmpty }
        #expect(world.stub.counts.forwarded == 1)
        held[0].reply(["192.0.2.1"])
        try world.loop.turnUntil { !world.client.answers.isEmpty }
        #expect(held.count == 1)
    }

    @Test("a flood of questions is bounded, and services are answered all the while")
    func flood() throws {
        let world = try World()
        world.upstream.onQuery = { _ in }
        var asked = 0
        while world.stub.counts.overflows == 0 {
            for _ in 0..<40 {
                world.client.send(
                    try query("n\(asked).example", id: UInt16(asked)).encoded.span
                )
                asked += 1
            }
            world.loop.turn(waitMillisecondsMax: 1)
            try #require(asked < 4 * DNSLimits.forwardsMax)
        }
        #expect(world.stub.forwardsCount == DNSLimits.forwardsMax)
        try world.loop.turnUntil { !world.client.answers.isEmpty }
        #expect(world.client.answers.allSatisfy { $0.responseCode == .serverFailure })
        world.client.answers = []
        world.client.send(try query("orders", id: 0xFFFF).encoded.span)
        try world.loop.turnUntil { world.client.answers.contains { $0.header.id == 0xFFFF } }
    }

    @Test("a server that is its own upstream does not ask itself again and again")
    func loops() throws {
        let world = try World(timeout: .milliseconds(50), attempts: 2)
        let own = world.stub.address
        world.stub.use(
            ResolverSettings(
                servers: [SocketAddress(addressBytes: own.bytes, port: own.port)],
                timeout: .milliseconds(50)
            )
        )
        #expect(try world.ask(query("a.example")).responseCode == .serverFailure)
        #expect(world.stub.counts.forwarded == 1)
    }

    @Test("what is no query gets no answer, so that no two servers answer each other")
    func silence() throws {
        let world = try World()
        var response = try query("orders")
        response.header.flags |= 0x8000
        for bytes in [[], [1], Array(repeating: 0xFF, count: 11), response.encoded] {
            world.client.send(bytes.span)
        }
        // Datagrams stay in order here: the answer to the last is the first.
        #expect(try world.ask(query("orders", id: 5)).header.id == 5)
        #expect(world.client.raw.count == 1)
    }

    @Test("what cannot be read is a format error")
    func unreadable() throws {
        let world = try World()
        let good = try query("orders").encoded
        var two = try query("orders")
        two.questions += two.questions
        var answered = try query("orders")
        answered.answers = [DNSRecord(name: .root, type: .a, timeToLive: 1, data: .other)]
        var bad = [good + [0], Array(good.dropLast()), two.encoded, answered.encoded]
        bad.append(Array(good[..<12]) + [0xC0, 12, 0, 1, 0, 1])
        for bytes in bad {
            let before = world.client.answers.count
            world.client.send(bytes.span)
            try world.loop.turnUntil { world.client.answers.count > before }
            #expect(world.client.answers[before].responseCode == .formatError)
            #expect(world.client.answers[before].header.id == 7)
        }
    }

    @Test("other kinds of queries are not implemented, other versions of EDNS are said to be bad")
    func unknown() throws {
        let world = try World()
        var update = try query("orders")
        update.header.flags |= 5 << 11
        #expect(try world.ask(update).responseCode == .notImplemented)
        let next = ExtendedDNS(datagramBytes: 1_232, version: 1)
        let answer = try world.ask(query("orders", extended: next))
        #expect(answer.responseCode == .badVersion)
        #expect(answer.answers.isEmpty)
    }

    @Test("an answer that does not fit says so, and TCP has it whole")
    func bigService() throws {
        let world = try World()
        var names = ServiceNames()
        names.add(
            hosts: ["big"],
            addresses: try (0..<60).map { try address("240.0.1.\($0)") }
        )
        world.stub.use(names)
        let short = try world.ask(query("big"))
        #expect(short.header.isTruncated && short.answers.isEmpty)
        let roomy = try world.ask(query("big", extended: ExtendedDNS(datagramBytes: 4_096)))
        #expect(roomy.answers.count == 60)
        #expect(world.client.raw.allSatisfy { $0.count <= DNSLimits.datagramBytesMax })
        let stream = StreamClient(loop: world.loop)
        stream.connect(to: world.stub.address)
        stream.ask(try query("big").encoded)
        try world.loop.turnUntil { !stream.answers.isEmpty }
        #expect(stream.answers[0].answers.count == 60)
    }

    @Test("a TCP connection that sends no query is closed; its neighbours are not")
    func badStream() throws {
        let world = try World()
        let good = StreamClient(loop: world.loop)
        let bad = StreamClient(loop: world.loop)
        good.connect(to: world.stub.address)
        bad.connect(to: world.stub.address)
        bad.ask([1, 2, 3])
        try world.loop.turnUntil { bad.isOver }
        good.ask(try query("orders").encoded)
        try world.loop.turnUntil { good.answers.count == 1 }
    }

    @Test("TCP connections are bounded; one more is closed")
    func manyStreams() throws {
        let world = try World()
        let streams = (0...DNSLimits.streamsMax).map { _ in StreamClient(loop: world.loop) }
        for stream in streams { stream.connect(to: world.stub.address) }
        try world.loop.turnUntil { streams.contains(where: \.isOver) }
        #expect(streams.count(where: \.isOver) == 1)
        world.stub.stop()
        try world.loop.turnUntil { streams.allSatisfy(\.isOver) }
    }

    @Test("who leaves takes the waiting queries along")
    func leaving() throws {
        let world = try World()
        world.upstream.onQuery = { _ in }
        let stream = StreamClient(loop: world.loop)
        stream.connect(to: world.stub.address)
        stream.ask(try query("a.example").encoded)
        try world.loop.turnUntil { world.stub.forwardsCount == 1 }
        stream.reset()
        try world.loop.turnUntil { world.stub.forwardsCount == 0 }
    }
}
