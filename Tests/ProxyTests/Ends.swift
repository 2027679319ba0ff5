// The two ends of an exchange, each in HTTP/1.1 or HTTP/2, so that one story can be told in all
// combinations.

import Bytes
import HTTP
import HTTP2
import Reactor
import Time

@testable import Proxy

/// What one end has received of a message.
struct Seen {
    /// Of the response's heads, interim ones too; of a request none.
    var statuses: [Int] = []
    /// The request's method and target.
    var request = ""
    /// The last head's field lines.
    var fields = ""
    var body = ""
    var trailers = ""
    var isComplete = false
    /// It broke off; in HTTP/2 with this code if the other side reset the stream.
    var isBroken = false
    var resetCode: UInt32?

    var isOver: Bool { isComplete || isBroken }

    /// What a peer in HTTP/1.1 has received so far.
    init(_ peer: Peer, isRequest: Bool, isHead: Bool = false) {
        // A service has been left when its connection ends, whatever it has received.
        defer { isBroken = peer.isOver && (isRequest || !isComplete) }
        var rest = Substring(peer.text)
        while let head = Seen.cut(&rest, at: "\r\n\r\n") {
            let lines = head.split(separator: "\r\n", maxSplits: 1)
            fields = lines.count > 1 ? lines[1] + "\r\n" : ""
            if isRequest {
                request = lines[0].split(separator: " ").prefix(2).joined(separator: " ")
            } else {
                statuses.append(Int(lines[0].dropFirst(9).prefix(3)) ?? 0)
                if statuses.last ?? 0 < 200 { continue }
            }
            takeBody(rest, String(head), isHead: isHead)
            return
        }
    }

    init() {}

    func value(_ name: String) -> String? { field(name, in: fields + "\r\n") }

    private mutating func takeBody(_ text: Substring, _ head: String, isHead: Bool) {
        var rest = text
        if isHead {
            isComplete = true
        } else if field("transfer-encoding", in: head) == "chunked" {
            while let line = Seen.cut(&rest, at: "\r\n"), let size = Int(line, radix: 16) {
                guard size > 0 else {
                    if rest.hasPrefix("\r\n") {
                        isComplete = true
                    } else if let lines = Seen.cut(&rest, at: "\r\n\r\n") {
                        trailers = lines + "\r\n"
                        isComplete = true
                    }
                    return
                }
                guard rest.utf8.count >= size + 2 else { return }
                body += String(rest.prefix(size))
                rest = rest.dropFirst(size + 1)
            }
        } else {
            body = String(rest)
            isComplete = rest.utf8.count >= Int(field("content-length", in: head) ?? "0") ?? 0
        }
    }

    private static func cut(_ text: inout Substring, at mark: String) -> Substring? {
        guard let range = text.firstRange(of: mark) else { return nil }
        defer { text = text[range.upperBound...] }
        return text[..<range.lowerBound]
    }
}

/// The lines of fields as HTTP/1.1 writes them.
func lines(_ fields: [(String, String)]) -> String {
    fields.map { "\($0): \($1)\r\n" }.joined()
}

/// One end's message to send and message to receive.
class End {
    var seen: Seen { Seen() }
    /// The head of the request or of the response; `length` nil means chunks where there are such.
    func sendHead(_ first: String, _ fields: [(String, String)], endsMessage: Bool) {}
    final func sendHead(_ first: String, _ fields: [(String, String)] = []) {
        sendHead(first, fields, endsMessage: false)
    }
    func send(_ text: String) {}
    func end(_ trailers: [(String, String)] = []) {}
    func leave() {}
}

/// An end in HTTP/1.1; `first` of a head is `GET /path`, or a status.
final class HTTP1End: End {
    private let peer: Peer
    private let isCaller: Bool
    private var isHead = false

    init(_ peer: Peer, isCaller: Bool) {
        self.peer = peer
        self.isCaller = isCaller
    }

    override var seen: Seen { Seen(peer, isRequest: !isCaller, isHead: isHead) }

    override func sendHead(_ first: String, _ fields: [(String, String)], endsMessage: Bool) {
        isHead = first.hasPrefix("HEAD ")
        let start = isCaller ? "\(first) HTTP/1.1\r\nHost: orders\r\n" : "HTTP/1.1 \(first) x\r\n"
        let hasChunks = !endsMessage && !first.hasPrefix("1")
        peer.write(
            start + lines(fields) + (hasChunks ? "Transfer-Encoding: chunked\r\n" : "") + "\r\n"
        )
    }

    override func send(_ text: String) {
        peer.write("\(String(text.utf8.count, radix: 16))\r\n\(text)\r\n")
    }

    override func end(_ trailers: [(String, String)]) {
        peer.write("0\r\n\(lines(trailers))\r\n")
    }

    override func leave() { peer.finish() }
}

/// An end in HTTP/2: one stream.
final class HTTP2End: End {
    private let link: HTTP2Link
    private let stream: HTTP2Link.Stream

    fileprivate init(_ link: HTTP2Link, _ stream: HTTP2Link.Stream) {
        self.link = link
        self.stream = stream
    }

    override var seen: Seen { stream.seen }

    override func sendHead(_ first: String, _ fields: [(String, String)], endsMessage: Bool) {
        link.sendHead(first, fields, endsMessage: endsMessage, on: stream)
    }

    override func send(_ text: String) {
        stream.sendBody(Array(text.utf8).span)
        link.flush()
    }

    override func end(_ trailers: [(String, String)] = []) {
        let block = FieldBlock()
        block.add(trailers)
        stream.sendEnd(trailers: trailers.isEmpty ? nil : block)
        link.flush()
    }

    override func leave() {
        stream.reset(HTTP2ErrorCode.cancel)
        link.flush()
    }
}

/// One side of an HTTP/2 connection in plain text, over a peer.
final class HTTP2Link {
    private let session: Session
    private let peer: Peer
    private let role: HTTP2Role

    init(_ peer: Peer, role: HTTP2Role) {
        self.peer = peer
        self.role = role
        session = Session(
            role: role,
            settings: HTTP2Settings(),
            limits: Limits(),
            trustsOrigin: false,
            memory: HTTP2Memory(),
            now: Clock.monotonic()
        )
        peer.onBytes = { [unowned self] bytes in
            _ = session.receive(bytes, now: Clock.monotonic())
            flush()
        }
        flush()
    }

    /// A stream to call on.
    func caller() -> End { HTTP2End(self, Stream()) }

    /// The ends of the streams that the other side opened.
    var accepted: [End] { session.accepted.map { HTTP2End(self, $0) } }

    /// A stream that asks for a WebSocket.
    func webSocket(_ path: String = "/chat", _ fields: [(String, String)] = []) -> End {
        let stream = Stream()
        open(stream, "GET", path, fields, endsMessage: false) { $0.setWebSocket() }
        return HTTP2End(self, stream)
    }

    private func open(
        _ stream: Stream,
        _ method: Substring,
        _ path: String,
        _ fields: [(String, String)],
        endsMessage: Bool,
        _ edit: (RequestHead) -> Void = { _ in }
    ) {
        let head = RequestHead()
        head.set(version: .http2)
        head.set(method: Array(method.utf8).span)
        head.set(target: Array(path.utf8).span)
        let authority = Array("orders".utf8)
        head.set(authority: authority.span, hostCount: authority.count, port: nil)
        head.fields.add(fields)
        edit(head)
        session.open(stream, head: head, endsStream: endsMessage, carriesOrigin: false)
        flush()
    }

    fileprivate func sendHead(
        _ first: String,
        _ fields: [(String, String)],
        endsMessage: Bool,
        on stream: Stream
    ) {
        if role == .client {
            let parts = first.split(separator: " ")
            open(stream, parts[0], String(parts[1]), fields, endsMessage: endsMessage)
        } else {
            let head = ResponseHead()
            head.set(version: .http2)
            head.set(status: Int(first) ?? 0)
            head.fields.add(fields)
            stream.sendHead(head, endsStream: endsMessage, carriesOrigin: false)
        }
        flush()
    }

    func flush() {
        let output = ByteBuffer()
        while session.hasOutput, session.failure == nil {
            session.appendOutput(to: output, atMost: 1 << 20)
        }
        if !output.isEmpty { peer.write(output.array) }
    }

    /// Keeps what came.
    fileprivate final class Stream: HTTP2Stream {
        private(set) var seen = Seen()

        override func onRequestHead() {
            seen.request = requestHead.withMethod { String(decoding: $0.array, as: UTF8.self) }
            seen.request +=
                " " + requestHead.withTarget { String(decoding: $0.array, as: UTF8.self) }
            seen.fields = requestHead.fields.text
        }

        override func onResponseHead() {
            seen.statuses.append(responseHead.status)
            seen.fields = responseHead.fields.text
        }

        override func onBody(_ bytes: Span<UInt8>) {
            seen.body += String(decoding: bytes.array, as: UTF8.self)
        }

        override func onEnd(hasTrailers: Bool) {
            if hasTrailers { seen.trailers = trailers.text }
            seen.isComplete = true
        }

        override func onFailed(_ failure: HTTP2StreamFailure) {
            seen.isBroken = true
            if case .reset(let code) = failure { seen.resetCode = code }
        }
    }

    private final class Session: HTTP2Connection {
        private(set) var accepted: [Stream] = []

        override func makeStream() -> HTTP2Stream {
            let stream = Stream()
            accepted.append(stream)
            return stream
        }
    }
}

extension FieldBlock {
    fileprivate func add(_ fields: [(String, String)]) {
        for (name, value) in fields {
            append(name: Array(name.utf8).span, value: Array(value.utf8).span)
        }
    }

    fileprivate var text: String {
        let buffer = ByteBuffer()
        appendLines(to: buffer)
        return String(decoding: buffer.array, as: UTF8.self)
    }
}
