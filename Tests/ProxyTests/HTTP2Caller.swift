import Bytes
import HTTP
import HTTP2
import Reactor
import Time

@testable import Proxy

/// The calling end of an HTTP/2 connection in plain text, with prior knowledge.
final class HTTP2Caller {
    private let session: Session
    private let peer: Peer

    init(_ peer: Peer) {
        self.peer = peer
        session = Session(
            role: .client,
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

    /// Opens a stream that asks for a WebSocket.
    func openWebSocket(
        host: String = "orders",
        path: String = "/chat",
        _ fields: [(String, String)] = []
    ) -> Stream {
        let head = RequestHead()
        head.set(version: .http2)
        head.set(method: .get)
        head.set(target: Array(path.utf8).span)
        let authority = Array(host.utf8)
        head.set(authority: authority.span, hostCount: authority.count, port: nil)
        for (name, value) in fields {
            head.fields.append(name: Array(name.utf8).span, value: Array(value.utf8).span)
        }
        head.setWebSocket()
        let stream = Stream()
        session.open(stream, head: head, endsStream: false, carriesOrigin: false)
        flush()
        return stream
    }

    func send(_ text: String, on stream: Stream) {
        stream.sendBody(Array(text.utf8).span)
        flush()
    }

    func end(_ stream: Stream) {
        stream.sendEnd(trailers: nil)
        flush()
    }

    func reset(_ stream: Stream) {
        stream.reset(HTTP2ErrorCode.cancel)
        flush()
    }

    private func flush() {
        let output = ByteBuffer()
        while session.hasOutput, session.failure == nil {
            session.appendOutput(to: output, atMost: 1 << 20)
        }
        if !output.isEmpty { peer.write(output.array) }
    }

    /// One stream and what came on it.
    final class Stream: HTTP2Stream {
        private(set) var statuses: [Int] = []
        private(set) var fields = ""
        private(set) var body: [UInt8] = []
        private(set) var hasEnded = false
        private(set) var failure: HTTP2StreamFailure?

        var text: String { String(decoding: body, as: UTF8.self) }
        var isOver: Bool { hasEnded || failure != nil }

        override func onResponseHead() {
            statuses.append(responseHead.status)
            let lines = ByteBuffer()
            responseHead.fields.appendLines(to: lines)
            fields = String(decoding: lines.array, as: UTF8.self)
        }

        override func onBody(_ bytes: Span<UInt8>) { body += bytes.array }
        override func onEnd(hasTrailers: Bool) { hasEnded = true }
        override func onFailed(_ failure: HTTP2StreamFailure) { self.failure = failure }
    }

    private final class Session: HTTP2Connection {}
}
