// One question to the servers: over UDP, again after a loss, over TCP when the answer does not fit.
//
// Each attempt has a socket, and so a random port, and a random id of its own, and hears its server
// only: who wants to answer in its place has 32 bits to guess (RFC 5452 §9). Sockets of earlier
// attempts stay open, so that a slow answer is not lost.

import Bytes
import MeshModel
import Reactor
import Time

/// How one question ended.
enum QueryResult {
    /// An answer to it; the id is the query's own.
    case answer([UInt8])
    /// None worth having; the last one that came, if any.
    case failed(ResolutionFailure, last: [UInt8]?)
}

/// One question under way.
///
/// Confined to its loop. `onEnd` is called once, unless it is cancelled, and never inside `init`
/// or `start`.
final class QueryExchange: TimerTarget {
    /// What is done with answers.
    enum Purpose {
        /// They are read: failures and malformed ones let the next server try.
        case resolving
        /// They are passed on, to a client that came over this.
        case forwarding(overStream: Bool)
    }

    fileprivate let loop: EventLoop
    private let servers: [SocketAddress]
    private let purpose: Purpose
    private let question: DNSQuestion
    /// The query without and, when this side made it, with EDNS; ids are set for each attempt.
    private let query: [UInt8]
    private let extendedQuery: [UInt8]?
    private let timeoutNanoseconds: UInt64
    private var plan: QueryPlan
    private var sockets: [QuerySocket] = []
    private var stream: QueryStream?
    private let timer = Timer()
    private var pendingFailure: Int?
    private var lastAnswer: [UInt8]?
    private var onEnd: ((QueryResult) -> Void)?
    /// Answers that were none: other ids, other questions, garbage.
    private(set) var strangeAnswers = 0

    /// Asks `question` for ourselves.
    convenience init(
        loop: EventLoop,
        settings: ResolverSettings,
        question: DNSQuestion,
        onEnd: @escaping (QueryResult) -> Void
    ) {
        var message = DNSMessage(
            header: DNSHeader(id: 0, flags: DNSHeader.recursionDesired),
            questions: [question]
        )
        let plain = message.encoded
        message.extended = ExtendedDNS(datagramBytes: UInt16(DNSLimits.datagramBytesMax))
        self.init(
            loop: loop,
            settings: settings,
            purpose: .resolving,
            question: question,
            query: plain,
            extendedQuery: message.encoded,
            onEnd: onEnd
        )
    }

    /// Passes on `query`, a whole message that asks `question`.
    convenience init(
        loop: EventLoop,
        settings: ResolverSettings,
        forwarding query: [UInt8],
        question: DNSQuestion,
        overStream: Bool,
        onEnd: @escaping (QueryResult) -> Void
    ) {
        self.init(
            loop: loop,
            settings: settings,
            purpose: .forwarding(overStream: overStream),
            question: question,
            query: query,
            extendedQuery: nil,
            onEnd: onEnd
        )
    }

    private init(
        loop: EventLoop,
        settings: ResolverSettings,
        purpose: Purpose,
        question: DNSQuestion,
        query: [UInt8],
        extendedQuery: [UInt8]?,
        onEnd: @escaping (QueryResult) -> Void
    ) {
        self.loop = loop
        servers = settings.servers
        self.purpose = purpose
        self.question = question
        self.query = query
        self.extendedQuery = extendedQuery
        self.onEnd = onEnd
        timeoutNanoseconds = settings.timeout.nanoseconds
        var isStream = false
        if case .forwarding(true) = purpose { isStream = true }
        plan = QueryPlan(
            servers: servers.count,
            attempts: settings.attempts,
            isStream: isStream,
            isExtended: extendedQuery != nil,
            followsTruncation: extendedQuery != nil
        )
        super.init()
    }

    /// Sends the first query.
    func start() { take(plan.start(), answer: nil, isStarting: true) }

    /// Stops; `onEnd` is not called.
    func cancel() {
        onEnd = nil
        close()
    }

    /// Whether one of its own sockets is bound to `address`.
    func owns(_ address: InternetAddress) -> Bool {
        sockets.contains { $0.localPort == address.port }
    }

    // MARK: From sockets

    fileprivate func received(_ bytes: Span<UInt8>, id: UInt16, server: Int) {
        guard onEnd != nil else { return }
        guard let opening = try? MessageOpening(bytes), opening.header.id == id,
            opening.header.isResponse, opening.header.opcode == 0, isOurs(opening)
        else {
            strangeAnswers += 1
            if strangeAnswers == DNSLimits.strangeAnswersMax {
                take(plan.spoofed(server), answer: nil)
            }
            return
        }
        let answer = bytes.array
        lastAnswer = answer
        take(plan.answered(by: server, worth(opening.header, bytes)), answer: answer)
    }

    fileprivate func unreachable(_ server: Int) {
        guard onEnd != nil else { return }
        take(plan.unreachable(server), answer: nil)
    }

    /// A server that could not read the query may not repeat it (RFC 6891 §7).
    private func isOurs(_ opening: MessageOpening) -> Bool {
        opening.question == question
            || opening.question == nil && opening.header.responseCode == .formatError
    }

    private func worth(_ header: DNSHeader, _ bytes: Span<UInt8>) -> QueryPlan.Answer {
        if case .forwarding = purpose {
            // Another server may do better; if not, the client gets this very answer.
            return header.responseCode == .serverFailure || header.responseCode == .refused
                ? .failure(.serverFailed(header.responseCode)) : .usable
        }
        if header.responseCode == .formatError { return .formatError }
        if header.isTruncated { return .truncated }
        guard let message = try? DNSMessage(bytes) else { return .failure(.malformedAnswer) }
        switch message.responseCode {
        case .noError, .nameError: return .usable
        case let code: return .failure(.serverFailed(code))
        }
    }

    // MARK: Steps

    override func onTimer(_ timer: Timer) {
        guard onEnd != nil else { return }
        if let server = pendingFailure {
            pendingFailure = nil
            return take(server < 0 ? .fail(.noServers) : plan.unreachable(server), answer: nil)
        }
        take(plan.timedOut(), answer: nil)
    }

    private func take(_ step: QueryPlan.Step, answer: [UInt8]?, isStarting: Bool = false) {
        switch step {
        case .wait: return
        case .ask(let server, let way): ask(server, way)
        case .accept: end(answer.map { .answer($0) } ?? .failed(.malformedAnswer, last: nil))
        case .fail(let failure):
            // Callers are not called back before `start` returns.
            if isStarting { return failSoon(-1) }
            end(.failed(failure, last: lastAnswer))
        }
    }

    private func ask(_ server: Int, _ way: QueryPlan.Way) {
        let id = UInt16(truncatingIfNeeded: Clock.randomSeed())
        var message = way.isExtended ? extendedQuery ?? query : query
        message[0] = UInt8(id >> 8)
        message[1] = UInt8(id & 0xFF)
        let address = InternetAddress(
            bytes: servers[server].addressBytes,
            port: servers[server].port
        )
        loop.arm(timer, afterNanoseconds: timeoutNanoseconds, target: self)
        if way.isStream {
            stream?.abort()
            let next = QueryStream(exchange: self, id: id, server: server, message: message)
            stream = next
            next.connect(to: address)
            return
        }
        do {
            let socket = try QuerySocket(
                exchange: self,
                id: id,
                server: server,
                address: address
            )
            sockets.append(socket)
            if !socket.send(message.span) { failSoon(server) }
        } catch {
            failSoon(server)
        }
    }

    /// In the next turn, since a step must not end inside another.
    private func failSoon(_ server: Int) {
        pendingFailure = server
        loop.arm(timer, afterNanoseconds: 0, target: self)
    }

    private func end(_ result: QueryResult) {
        let callback = onEnd
        onEnd = nil
        close()
        callback?(result)
    }

    private func close() {
        loop.timers.cancel(timer)
        for socket in sockets { socket.close() }
        sockets = []
        stream?.abort()
        stream = nil
    }
}

/// One attempt over UDP.
private final class QuerySocket: DatagramSocket {
    private let exchange: QueryExchange
    private let id: UInt16
    private let server: Int
    private let peer: InternetAddress
    private(set) var localPort: UInt16 = 0

    init(
        exchange: QueryExchange,
        id: UInt16,
        server: Int,
        address: InternetAddress
    ) throws(ReactorError) {
        self.exchange = exchange
        self.id = id
        self.server = server
        peer = address
        try super.init(loop: exchange.loop, peer: address)
        localPort = localAddress.port
    }

    override func onDatagram(_ bytes: Span<UInt8>, from source: InternetAddress) {
        guard source == peer else { return }
        exchange.received(bytes, id: id, server: server)
    }

    override func onRefused(errno: Int32) { exchange.unreachable(server) }
}

/// One attempt over TCP; RFC 7766.
private final class QueryStream: Connection {
    private let exchange: QueryExchange
    private let id: UInt16
    private let server: Int
    private let message: [UInt8]
    private let input = ByteBuffer()

    init(exchange: QueryExchange, id: UInt16, server: Int, message: [UInt8]) {
        self.exchange = exchange
        self.id = id
        self.server = server
        self.message = message
        super.init(loop: exchange.loop)
    }

    override func onConnected() {
        let buffer = outputBuffer()
        buffer.append(word: UInt16(message.count))
        buffer.append(message)
    }

    override func onData(_ bytes: Span<UInt8>) {
        input.append(bytes)
        while !isClosing, let message = StreamFraming.takeMessage(from: input) {
            exchange.received(message.span, id: id, server: server)
        }
    }

    override func onEnd() { exchange.unreachable(server) }
    override func onClosed(_ reason: CloseReason) {
        if reason != .local { exchange.unreachable(server) }
    }
}

/// Messages over TCP have their length before them; RFC 1035 §4.2.2.
enum StreamFraming {
    /// The next whole message, taken out of `input`; nil when it has not all arrived.
    static func takeMessage(from input: ByteBuffer) -> [UInt8]? {
        guard input.count >= 2 else { return nil }
        let length = Int(input[0]) << 8 | Int(input[1])
        guard input.count >= 2 + length else { return nil }
        let message = input.withSpan(2..<(2 + length)) { $0.array }
        input.consume(2 + length)
        return message
    }
}
