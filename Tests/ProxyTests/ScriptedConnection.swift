import Bytes
import HTTP
import HTTP2
import Reactor
import TLS
import Testing
import Time

/// One stream of a scripted end, which keeps what came.
final class ScriptedStream: HTTP2Stream {
    private(set) var body: [UInt8] = []
    private(set) var bodyCount = 0
    private(set) var hasHead = false
    private(set) var interim: [Int] = []
    private(set) var hasEnded = false
    private(set) var trailerLines: [String] = []
    private(set) var failure: HTTP2StreamFailure?
    private(set) var isOver = false
    /// Takes body bytes instead of `body`.
    var onBytes: ((Span<UInt8>) -> Void)?
    var onRelief: (() -> Void)?

    override func onRequestHead() { hasHead = true }

    override func onResponseHead() {
        if responseHead.isInterim { return interim.append(responseHead.status) }
        hasHead = true
    }

    override func onBody(_ bytes: Span<UInt8>) {
        bodyCount += bytes.count
        if let onBytes { onBytes(bytes) } else { body += bytes.array }
    }

    override func onEnd(hasTrailers: Bool) {
        hasEnded = true
        if hasTrailers { trailerLines = trailers.scriptedLines }
    }

    override func onFailed(_ failure: HTTP2StreamFailure) { self.failure = failure }
    override func onRelieved() { onRelief?() }

    fileprivate func close() { isOver = true }

    // MARK: What was received

    var text: String { String(decoding: body, as: UTF8.self) }
    var status: Int { hasHead ? responseHead.status : 0 }
    var method: String { requestHead.withMethod { String(decoding: $0.array, as: UTF8.self) } }
    var target: String { requestHead.withTarget { String(decoding: $0.array, as: UTF8.self) } }
    var requestLines: [String] { requestHead.fields.scriptedLines }
    var responseLines: [String] { responseHead.fields.scriptedLines }
    /// The status and the body, once complete.
    var answer: String? { hasEnded ? "\(status) \(text)" : nil }
    var resetCode: UInt32? {
        if case .reset(let code) = failure { code } else { nil }
    }

    // MARK: What a server does

    func answer(
        _ status: Int,
        _ fields: [(String, String)] = [],
        body: String? = nil,
        trailers: [(String, String)] = [],
        ends: Bool = true
    ) {
        let head = ResponseHead()
        head.set(version: .http2)
        head.set(status: status)
        head.fields.append(scripted: fields)
        let isWhole = ends && body == nil && trailers.isEmpty && status >= 200
        sendHead(head, endsStream: isWhole, carriesOrigin: false)
        if let body { sendBody(Array(body.utf8).span) }
        guard ends, !isWhole, status >= 200 else { return }
        end(trailers: trailers)
    }

    func end(trailers: [(String, String)] = []) {
        let block = FieldBlock()
        block.append(scripted: trailers)
        sendEnd(trailers: trailers.isEmpty ? nil : block)
    }
}

/// A raw end of an HTTP/2 connection: the test opens or answers streams, and nothing happens by
/// itself but what the protocol demands.
final class ScriptedConnection: HTTP2Connection {
    let peer: Peer
    private(set) var streams: [ScriptedStream] = []
    private(set) var goAways: [UInt32] = []
    private(set) var pongs = 0
    private(set) var error: HTTP2Error?
    /// Whether it takes received bytes; without, the peer seems dead.
    var isDeaf = false
    /// Runs when a request is complete, before the end of the turn.
    var onRequest: ((ScriptedStream) -> Void)?

    init(_ peer: Peer, _ role: HTTP2Role, settings: HTTP2Settings = HTTP2Settings()) {
        self.peer = peer
        super.init(
            role: role,
            settings: settings,
            limits: Limits(),
            trustsOrigin: false,
            memory: HTTP2Memory(),
            now: Clock.monotonic()
        )
        peer.onBytes = { [weak self] in self?.take($0) }
        peer.onDrained = { [weak self] _ in self?.flush() }
        if role == .client { flush() }
    }

    override func makeStream() -> HTTP2Stream {
        let stream = ScriptedStream()
        streams.append(stream)
        return stream
    }

    override func onStreamClosed(_ stream: HTTP2Stream) { (stream as? ScriptedStream)?.close() }
    override func onGoAway(code: UInt32) { goAways.append(code) }
    override func onPong() { pongs += 1 }

    private func take(_ bytes: Span<UInt8>) {
        guard !isDeaf else { return }
        error = receive(bytes, now: Clock.monotonic())
        answerRequests()
        flush()
    }

    private var answered = 0

    private func answerRequests() {
        guard let onRequest else { return }
        while answered < streams.count, streams[answered].hasEnded || streams[answered].isOver {
            answered += 1
            if !streams[answered - 1].isOver { onRequest(streams[answered - 1]) }
        }
    }

    /// Writes what is to be sent.
    func flush() {
        while hasOutput, !peer.isCongested {
            let buffer = ByteBuffer()
            appendOutput(to: buffer, atMost: 65_536)
            if buffer.isEmpty { return }
            peer.write(buffer.array)
        }
    }

    /// Opens a stream with a request.
    @discardableResult
    func request(
        _ method: String = "GET",
        _ path: String = "/",
        authority: String = "orders",
        _ fields: [(String, String)] = [],
        body: String? = nil,
        trailers: [(String, String)] = [],
        ends: Bool = true
    ) -> ScriptedStream {
        let head = RequestHead()
        head.set(version: .http2)
        head.set(method: Array(method.utf8).span)
        head.set(target: Array(path.utf8).span)
        let bytes = Array(authority.utf8)
        guard let parts = Authority(bytes.span) else { preconditionFailure("no authority") }
        head.set(authority: bytes.span, hostCount: parts.hostCount, port: parts.port)
        head.fields.append(scripted: [("host", authority)] + fields)
        let stream = ScriptedStream()
        streams.append(stream)
        let isWhole = ends && body == nil && trailers.isEmpty
        open(stream, head: head, endsStream: isWhole, carriesOrigin: false)
        if let body { stream.sendBody(Array(body.utf8).span) }
        if ends, !isWhole { stream.end(trailers: trailers) }
        flush()
        return stream
    }
}

extension FieldBlock {
    fileprivate func append(scripted fields: [(String, String)]) {
        for (name, value) in fields {
            append(name: Array(name.utf8).span, value: Array(value.utf8).span)
        }
    }

    /// Without what the proxy adds of its own.
    fileprivate var scriptedLines: [String] {
        let buffer = ByteBuffer()
        appendLines(to: buffer)
        return String(decoding: buffer.array, as: UTF8.self)
            .split(separator: "\r\n").map(String.init)
            .filter { !$0.hasPrefix("traceparent:") && !$0.hasPrefix("x-request-id:") }
    }
}

/// The HTTP/2 connections of a scripted server.
final class HTTP2Application {
    let application: Application
    private(set) var ends: [ScriptedConnection] = []
    /// Settings of the connections that follow.
    var settings = HTTP2Settings()
    var onEnd: ((ScriptedConnection) -> Void)?

    init(_ application: Application) {
        self.application = application
        application.protocols = .http2
        application.onConnection = { [unowned self] peer in
            let end = ScriptedConnection(peer, .server, settings: settings)
            ends.append(end)
            onEnd?(end)
        }
    }

    /// Answers each request as soon as it is complete.
    func answerEach(_ body: String = "ok") {
        onEnd = { $0.onRequest = { $0.answer(200, body: body) } }
    }

    var streams: [ScriptedStream] { ends.flatMap(\.streams) }
}

extension ProxyBench {
    /// A caller of the outbound listener that speaks HTTP/2 from its first byte.
    func http2Caller(settings: HTTP2Settings = HTTP2Settings()) throws -> ScriptedConnection {
        ScriptedConnection(try caller(), .client, settings: settings)
    }

    func http2Application() throws -> HTTP2Application { HTTP2Application(try application()) }

    /// The `number`th request (from 1) that reached `application`, its head at least.
    func request(
        _ application: HTTP2Application,
        _ number: Int = 1,
        at location: SourceLocation = #_sourceLocation
    ) throws -> ScriptedStream {
        try loop.until("request \(number) at the application", at: location) {
            application.streams.count >= number
        }
        return application.streams[number - 1]
    }

    /// Turns until each of `streams` is answered in full; says how.
    func answers(
        _ streams: [ScriptedStream],
        at location: SourceLocation = #_sourceLocation
    ) throws -> [String] {
        try loop.until("answers", at: location) {
            streams.allSatisfy { $0.hasEnded || $0.failure != nil }
        }
        return streams.map { $0.answer ?? "\($0.failure, default: "-")" }
    }
}
