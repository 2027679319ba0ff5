import Bytes
import HTTP
import HTTP2
import Time

extension MonotonicTime {
    static let start = MonotonicTime(nanoseconds: 1_000_000_000)
}

/// A stream that writes down what happens to it.
final class RecordedStream: HTTP2Stream {
    var events: [String] = []
    var body: [UInt8] = []
    var bodyLength: BodyLength?
    var onHead: ((RecordedStream) -> Void)?
    var onBytes: ((RecordedStream) -> Void)?
    var onMessageEnd: ((RecordedStream) -> Void)?
    var onRelief: ((RecordedStream) -> Void)?
    private(set) var isOver = false

    private func note(_ event: String) {
        precondition(!isOver, "called back after onStreamClosed")
        events.append(event)
    }

    override func onRequestHead() {
        bodyLength = requestHead.bodyLength
        let method = requestHead.withMethod { $0.string }
        let target = requestHead.withTarget { $0.string }
        note("\(method) \(target)")
        onHead?(self)
    }

    override func onRequestRefused(status: Int, reason: StaticString) {
        note("refused \(status) \(reason)")
        onHead?(self)
    }

    override func onResponseHead() {
        bodyLength = responseHead.bodyLength
        note("\(responseHead.status)")
        onHead?(self)
    }

    override func onBody(_ bytes: Span<UInt8>) {
        precondition(!isOver, "called back after onStreamClosed")
        if events.last != "body" { note("body") }
        body += bytes.array
        onBytes?(self)
    }

    override func onEnd(hasTrailers: Bool) {
        note(hasTrailers ? "end with trailers" : "end")
        onMessageEnd?(self)
    }

    override func onFailed(_ failure: HTTP2StreamFailure) { note("failed: \(failure)") }

    override func onRelieved() {
        note("relieved")
        onRelief?(self)
    }

    func close() {
        note("closed")
        isOver = true
    }

    /// The request's fields, as lines.
    var requestLines: [String] { lines(requestHead.fields) }
    var responseLines: [String] { lines(responseHead.fields) }
    var trailerLines: [String] { lines(trailers) }

    private func lines(_ fields: FieldBlock) -> [String] {
        let buffer = ByteBuffer()
        fields.appendLines(to: buffer)
        return buffer.string.split(separator: "\r\n").map(String.init)
    }
}

/// A connection that keeps its streams for the test.
final class RecordedConnection: HTTP2Connection {
    var streams: [RecordedStream] = []
    var events: [String] = []
    var prepare: ((RecordedStream) -> Void)?
    private var isOver = false

    init(
        _ role: HTTP2Role,
        settings: HTTP2Settings = HTTP2Settings(),
        limits: Limits = Limits(),
        trustsOrigin: Bool = false,
        memory: HTTP2Memory = HTTP2Memory()
    ) {
        super.init(
            role: role,
            settings: settings,
            limits: limits,
            trustsOrigin: trustsOrigin,
            memory: memory,
            now: .start
        )
    }

    override func makeStream() -> HTTP2Stream {
        let stream = RecordedStream()
        prepare?(stream)
        streams.append(stream)
        return stream
    }

    override func onStreamClosed(_ stream: HTTP2Stream) {
        (stream as? RecordedStream)?.close()
    }

    override func onGoAway(code: UInt32) { events.append("goaway \(code)") }
    override func onPeerSettings() { events.append("settings") }
    override func onPong() { events.append("pong") }

    /// Opens a stream with a request made of lines.
    func open(
        _ method: String = "GET",
        path: String = "/",
        authority: String = "a.example",
        _ fields: [(String, String)] = [],
        endsStream: Bool = true,
        carriesOrigin: Bool = false,
        edit: (RequestHead) -> Void = { _ in }
    ) -> RecordedStream {
        let head = RequestHead()
        head.set(version: .http2)
        head.set(method: Array(method.utf8).span)
        head.set(target: Array(path.utf8).span)
        let bytes = Array(authority.utf8)
        guard let parts = Authority(bytes.span) else { preconditionFailure("no authority") }
        head.set(authority: bytes.span, hostCount: parts.hostCount, port: parts.port)
        for (name, value) in [("Host", authority)] + fields {
            head.fields.append(name: Array(name.utf8).span, value: Array(value.utf8).span)
        }
        edit(head)
        let stream = RecordedStream()
        prepare?(stream)
        streams.append(stream)
        open(stream, head: head, endsStream: endsStream, carriesOrigin: carriesOrigin)
        return stream
    }

    /// Takes bytes in pieces of this size.
    @discardableResult
    func receive(
        _ bytes: [UInt8],
        by size: Int = .max,
        now: MonotonicTime = .start
    ) -> HTTP2Error? {
        var offset = 0
        var error: HTTP2Error?
        while offset < bytes.count {
            let count = min(size, bytes.count - offset)
            error = receive(bytes.span.extracting(offset..<offset + count), now: now)
            offset += count
        }
        return error
    }

    /// Takes all output.
    func takeOutput(atMost bytes: Int = .max) -> [UInt8] {
        let buffer = ByteBuffer()
        while hasOutput, buffer.count < bytes {
            let before = buffer.count
            appendOutput(to: buffer, atMost: bytes)
            if buffer.count == before, failure != nil { break }
        }
        return buffer.array
    }

    func takeFrames() -> [ReceivedFrame] { ReceivedFrame.all(takeOutput()) }
}

extension HTTP2Stream {
    func answer(
        _ status: Int = 200,
        _ fields: [(String, String)] = [],
        body: [UInt8]? = nil,
        trailers: [(String, String)] = [],
        ends: Bool = true,
        version: HTTPVersion = .http2,
        carriesOrigin: Bool = false
    ) {
        let head = ResponseHead()
        head.set(version: version)
        head.set(status: status)
        for (name, value) in fields {
            head.fields.append(name: Array(name.utf8).span, value: Array(value.utf8).span)
        }
        let isEmpty = body == nil && trailers.isEmpty
        sendHead(head, endsStream: ends && isEmpty && status >= 200, carriesOrigin: carriesOrigin)
        if let body { sendBody(body.span) }
        guard ends, !isEmpty else { return }
        let block = FieldBlock()
        for (name, value) in trailers {
            block.append(name: Array(name.utf8).span, value: Array(value.utf8).span)
        }
        sendEnd(trailers: trailers.isEmpty ? nil : block)
    }
}

/// A client and a server with nothing but buffers between them.
struct Link {
    let client: RecordedConnection
    let server: RecordedConnection

    init(
        settings: HTTP2Settings = HTTP2Settings(),
        limits: Limits = Limits(),
        trustsOrigin: Bool = false
    ) {
        let memory = HTTP2Memory()
        client = RecordedConnection(
            .client,
            settings: settings,
            limits: limits,
            trustsOrigin: trustsOrigin,
            memory: memory
        )
        server = RecordedConnection(
            .server,
            settings: settings,
            limits: limits,
            trustsOrigin: trustsOrigin,
            memory: memory
        )
    }

    /// Carries bytes both ways until there are none; in pieces of `size`, at most `room` at a time.
    func run(by size: Int = .max, room: Int = .max) {
        while client.hasOutput || server.hasOutput {
            server.receive(client.takeOutput(atMost: room), by: size)
            client.receive(server.takeOutput(atMost: room), by: size)
            if client.failure != nil || server.failure != nil { return }
        }
    }
}
