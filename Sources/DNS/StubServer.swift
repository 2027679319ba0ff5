// The DNS server for the application beside the proxy: services' names are answered from the
// snapshot, everything else is passed on to the machine's own servers and back.
//
// Invariants:
// - at most `DNSLimits.forwardsMax` queries are passed on at once; one more gets SERVFAIL
// - a query that comes from one of its own sockets is a loop and gets nothing

import Bytes
import MeshModel
public import Reactor
import Time

/// What the server has done since the start.
public struct StubCounts: Sendable, Equatable {
    /// Queries that were readable or not.
    public var queries: UInt64 = 0
    /// Those answered without asking anybody.
    public var answered: UInt64 = 0
    /// Those passed on.
    public var forwarded: UInt64 = 0
    /// Those passed on that got no answer.
    public var failed: UInt64 = 0
    /// Those refused because too many waited.
    public var overflows: UInt64 = 0

    /// Nothing yet.
    public init() {}
}

/// Answers an application's questions over UDP and TCP.
///
/// Confined to its loop. Lives until `stop`.
public final class StubServer {
    private let loop: EventLoop
    private let socket: StubSocket
    private let listener: StubListener
    private var names = ServiceNames()
    private var settings: ResolverSettings
    /// By who asks: a repeated query waits for the answer to the first.
    private var forwards: [StubClient: QueryExchange] = [:]
    private var nextStream: UInt64 = 0
    fileprivate var streams: [UInt64: StubStream] = [:]
    /// What it has done.
    public private(set) var counts = StubCounts()

    /// Binds `address` for both transports; with port 0 the kernel chooses one for both.
    ///
    /// - Throws: `ReactorError` naming the call that failed.
    public init(
        loop: EventLoop,
        address: InternetAddress,
        settings: ResolverSettings
    ) throws(ReactorError) {
        self.loop = loop
        self.settings = settings
        (socket, listener) = try Self.bind(loop, address)
        socket.server = self
        listener.server = self
    }

    private static func bind(
        _ loop: EventLoop,
        _ address: InternetAddress
    ) throws(ReactorError) -> (StubSocket, StubListener) {
        var attempts = 0
        while true {
            attempts += 1
            let socket = try StubSocket(loop: loop, address: address)
            do {
                let stream = try ListeningSocket(address: socket.localAddress, reusePort: false)
                return (socket, try StubListener(loop: loop, socket: stream))
            } catch {
                socket.close()
                // The port the kernel chose for UDP may be in use for TCP; the next one is not.
                guard address.port == 0, attempts < portAttemptsMax else { throw error }
            }
        }
    }

    private static let portAttemptsMax = 16

    /// Where it answers.
    public var address: InternetAddress { socket.localAddress }

    /// Queries passed on whose answer has not come.
    public var forwardsCount: Int { forwards.count }

    /// From now on these names are answered here.
    public func use(_ names: ServiceNames) { self.names = names }

    /// From now on queries are passed on by these settings.
    public func use(_ settings: ResolverSettings) { self.settings = settings }

    /// Closes everything.
    public func stop() {
        for exchange in forwards.values { exchange.cancel() }
        forwards = [:]
        for stream in streams.values { stream.abort() }
        streams = [:]
        listener.close()
        socket.close()
        listener.server = nil
        socket.server = nil
    }

    // MARK: From sockets

    fileprivate func received(_ query: Span<UInt8>, from source: InternetAddress) {
        guard !isLoop(source) else { return }
        let verdict = StubVerdict(query, isStream: false, names: names)
        judge(query, verdict, client: .datagram(source))
    }

    /// False when the query gets no answer.
    fileprivate func received(_ query: Span<UInt8>, on stream: StubStream) -> Bool {
        let verdict = StubVerdict(query, isStream: true, names: names)
        guard verdict != .ignore else { return false }
        judge(query, verdict, client: .stream(stream.id))
        return true
    }

    fileprivate func accept(_ accepted: consuming AcceptedSocket) {
        guard streams.count < DNSLimits.streamsMax else { return }
        nextStream += 1
        // A socket that cannot be watched is closed, and its client tries again.
        guard
            let stream = try? StubStream(
                loop: loop,
                accepted: accepted,
                id: nextStream,
                server: self
            )
        else { return }
        streams[nextStream] = stream
    }

    /// The stream is gone, and with it who waited there.
    fileprivate func ended(_ stream: StubStream) {
        streams[stream.id] = nil
        for (client, exchange) in forwards where client.peer == .stream(stream.id) {
            exchange.cancel()
            forwards[client] = nil
        }
    }

    // MARK: Answering

    private func judge(_ query: Span<UInt8>, _ verdict: StubVerdict, client: StubClient.Peer) {
        switch verdict {
        case .ignore: return
        case .reply(let bytes):
            counts.queries += 1
            counts.answered += 1
            reply(bytes, to: client)
        case .forward(let question):
            counts.queries += 1
            forward(query.array, question, client)
        }
    }

    private func forward(_ query: [UInt8], _ question: DNSQuestion, _ peer: StubClient.Peer) {
        let id = UInt16(query[0]) << 8 | UInt16(query[1])
        let flags = UInt16(query[2]) << 8 | UInt16(query[3])
        let header = DNSHeader(id: id, flags: flags)
        let client = StubClient(peer: peer, id: id, question: question)
        if forwards[client] != nil {
            // Over UDP the answer to the first one is on its way; over TCP each gets its own.
            guard case .stream = peer else { return }
            return reply(failure(header, question), to: peer)
        }
        guard forwards.count < DNSLimits.forwardsMax else {
            counts.overflows += 1
            return reply(failure(header, question), to: peer)
        }
        counts.forwarded += 1
        var isStream = false
        if case .stream = peer { isStream = true }
        let exchange = QueryExchange(
            loop: loop,
            settings: settings,
            forwarding: query,
            question: question,
            overStream: isStream
        ) { [unowned self] result in
            forwards[client] = nil
            switch result {
            case .answer(let bytes), .failed(_, let bytes?):
                reply(Self.answer(bytes, id: id), to: peer)
            case .failed(_, nil):
                counts.failed += 1
                reply(failure(header, question), to: peer)
            }
        }
        forwards[client] = exchange
        exchange.start()
    }

    private func failure(_ header: DNSHeader, _ question: DNSQuestion) -> [UInt8] {
        StubVerdict.refusal(of: header, question: question, code: .serverFailure)
    }

    private static func answer(_ bytes: [UInt8], id: UInt16) -> [UInt8] {
        var answer = bytes
        answer[0] = UInt8(id >> 8)
        answer[1] = UInt8(id & 0xFF)
        return answer
    }

    private func reply(_ bytes: [UInt8], to peer: StubClient.Peer) {
        switch peer {
        case .datagram(let source): socket.send(bytes.span, to: source)
        case .stream(let id): streams[id]?.reply(bytes)
        }
    }

    /// Whether a query comes from a socket by which this server asks another one.
    private func isLoop(_ source: InternetAddress) -> Bool {
        forwards.values.contains { $0.owns(source) }
    }
}

/// Who waits for an answer.
private struct StubClient: Hashable {
    enum Peer: Hashable {
        case datagram(InternetAddress)
        case stream(UInt64)
    }
    let peer: Peer
    let id: UInt16
    let question: DNSQuestion
}

private final class StubSocket: DatagramSocket {
    var server: StubServer?

    override func onDatagram(_ bytes: Span<UInt8>, from source: InternetAddress) {
        server?.received(bytes, from: source)
    }
}

private final class StubListener: Listener {
    var server: StubServer?

    override func onAccept(_ socket: consuming AcceptedSocket) { server?.accept(socket) }
}

/// One TCP connection of an application; queries may come before the answers to earlier ones
/// (RFC 7766 §6.2.1.1).
private final class StubStream: Connection {
    let id: UInt64
    private let server: StubServer
    private let input = ByteBuffer()
    private var waiting = 0
    private var hasEnded = false
    private let idleTimer = Timer()

    init(
        loop: EventLoop,
        accepted: consuming AcceptedSocket,
        id: UInt64,
        server: StubServer
    ) throws(ReactorError) {
        self.id = id
        self.server = server
        try super.init(loop: loop, accepted: accepted)
        armIdle()
    }

    func reply(_ bytes: [UInt8]) {
        let buffer = outputBuffer()
        buffer.append(word: UInt16(bytes.count))
        buffer.append(bytes)
        waiting -= 1
        armIdle()
        // Not at once: this may be inside the reading of a query.
        requestResume()
    }

    override func onData(_ bytes: Span<UInt8>) {
        input.append(bytes)
        takeQueries()
    }

    override func onResume() { takeQueries() }
    override func onRelieved() { takeQueries() }

    override func onEnd() {
        hasEnded = true
        takeQueries()
    }

    override func onClosed(_ reason: CloseReason) {
        loop.timers.cancel(idleTimer)
        server.ended(self)
    }

    override func onTimer(_ timer: Timer) {
        if timer === idleTimer { close() } else { super.onTimer(timer) }
    }

    private func takeQueries() {
        while !isClosing, waiting < DNSLimits.streamQueriesMax, !isCongested {
            guard let query = StreamFraming.takeMessage(from: input) else {
                if hasEnded, waiting == 0 { close() }
                return resumeReading()
            }
            armIdle()
            waiting += 1
            // What is no query ends the connection: nothing after it can be trusted to be one.
            guard server.received(query.span, on: self) else { return close() }
        }
        pauseReading()
    }

    private func armIdle() {
        loop.arm(idleTimer, afterNanoseconds: DNSLimits.streamIdleNanoseconds, target: self)
    }
}
