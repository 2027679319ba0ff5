// The half of WebSocket's handshake that HTTP/2 has no use for (RFC 8441 §5) and HTTP/1.1 asks for
// (RFC 6455 §4): a key in the request, and its hash in the response, which proves that the answer is
// one to this request. Where the two versions meet, the proxy is that end.

import Bytes
import HTTP
import TLS
import Telemetry
import Time

/// Makes keys and the answers to them.
enum WebSocketHandshake {
    /// Appends a key: 16 random bytes in Base64 (RFC 6455 §4.1).
    static func appendKey(to buffer: ByteBuffer, generator: inout FastRandom) {
        let bytes = ByteBuffer(capacity: 16)
        for _ in 0..<2 {
            let word = generator.next()
            for shift in 0..<8 {
                bytes.append(UInt8(truncatingIfNeeded: word >> UInt64(8 * shift)))
            }
        }
        bytes.withSpan { buffer.append(base64: $0) }
    }

    /// Appends what answers `key` (RFC 6455 §4.2.2).
    static func appendAccept(of key: Span<UInt8>, to buffer: ByteBuffer) {
        let text = ByteBuffer()
        text.append(key)
        text.append("258EAFA5-E914-47DA-95CA-C5AB0DC85B11")
        let hash = ByteBuffer(capacity: 20)
        Digest.appendSHA1(of: text, to: hash)
        hash.withSpan { buffer.append(base64: $0) }
    }

    /// Makes `response`, which came in HTTP/2, the answer to a request in HTTP/1.1.
    static func complete(_ response: ResponseHead, answering request: RequestHead) {
        let fields = response.fields
        fields.removeAll(.secWebSocketAccept)
        guard let index = request.fields.firstIndex(of: .secWebSocketKey) else { return }
        let accept = ByteBuffer()
        request.fields.withValue(at: index) { appendAccept(of: $0, to: accept) }
        fields.append(.secWebSocketAccept, accept)
    }

    /// Makes `request`, which came in HTTP/2, one in HTTP/1.1; returns what must answer its key.
    static func complete(_ request: RequestHead, generator: inout FastRandom) -> ByteBuffer {
        let fields = request.fields
        fields.removeAll(.secWebSocketKey)
        let key = ByteBuffer()
        appendKey(to: key, generator: &generator)
        fields.append(.secWebSocketKey, key)
        if !fields.contains(.secWebSocketVersion) { fields.append(.secWebSocketVersion, "13") }
        let accept = ByteBuffer()
        key.withSpan { appendAccept(of: $0, to: accept) }
        return accept
    }

    /// Whether `response` has the one answer to the key, which is then taken out of it.
    static func check(_ response: ResponseHead, _ accept: ByteBuffer) -> Bool {
        let fields = response.fields
        guard let index = fields.firstIndex(of: .secWebSocketAccept),
            fields.firstIndex(of: .secWebSocketAccept, from: index + 1) == nil,
            accept.withSpan({ accept in fields.withValue(at: index) { $0.equals(accept) } })
        else { return false }
        fields.removeAll(.secWebSocketAccept)
        return true
    }
}
