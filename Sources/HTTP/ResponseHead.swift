public import Bytes

/// The head of one response; reused from response to response and worker-confined.
public final class ResponseHead {
    /// The header fields.
    public let fields = FieldBlock()
    @usableFromInline let store = ByteBuffer()
    private var statusCode = 0
    private var versionCode = HTTPVersion.http11
    private var length = BodyLength.none
    private var keepAlive = true
    /// Where the reason begins in the store: behind the rest of a status line that is held.
    private var reasonStart = 0

    /// Makes an empty head; nothing is allocated until the first response.
    public init() {}

    /// The status code, 100...599 by the book, up to 999 by what is accepted (RFC 9110 §15).
    public var status: Int { statusCode }

    /// The version the response was received in.
    public var version: HTTPVersion { versionCode }

    /// How the end of the body is known.
    public var bodyLength: BodyLength { length }

    /// Whether the sender keeps the connection open after this response.
    public var wantsKeepAlive: Bool { keepAlive }

    /// Whether this is a 1xx response, after which another head follows; 101 is none of them, as it
    /// ends HTTP on its connection.
    public var isInterim: Bool { statusCode < 200 && statusCode != 101 }

    /// Lends the reason phrase as it was received; often empty, never trusted.
    @inlinable
    public func withReason<R, E: Error>(_ body: (Span<UInt8>) throws(E) -> R) throws(E) -> R {
        try store.withSpan(reasonRange, body)
    }

    /// Whether the whole status line is held as it was received, and so as HTTP/1.1 writes it.
    public var hasLine: Bool { reasonStart > 0 }

    /// Lends the status line without its CRLF; only the reason phrase unless `hasLine`.
    @inlinable
    public func withLine<R, E: Error>(_ body: (Span<UInt8>) throws(E) -> R) throws(E) -> R {
        try store.withSpan(body)
    }

    @usableFromInline var reasonRange: Range<Int> { reasonStart..<store.count }

    /// Makes the head empty for the next response.
    public func clear() {
        fields.clear()
        if store.capacity > ResponseHead.retainedBytesMax {
            store.release()
        } else {
            store.clear()
        }
        reset()
    }

    /// Makes the head empty and gives its memory back, for a connection that goes idle.
    public func release() {
        fields.release()
        store.release()
        reset()
    }

    /// Sets the status from a checked status line in HTTP/1.1, without its CRLF, that goes on
    /// unchanged: the version, a space, three digits, a space, and the reason phrase.
    public func set(status: Int, line: Span<UInt8>) {
        precondition(status >= 100 && status <= 999 && line.count >= ResponseHead.reasonOffset)
        statusCode = status
        store.clear()
        store.append(line)
        reasonStart = ResponseHead.reasonOffset
    }

    /// Sets status and reason phrase; the caller has checked the bytes.
    public func set(status: Int, reason: Span<UInt8>) {
        precondition(status >= 100 && status <= 999)
        statusCode = status
        store.clear()
        store.append(reason)
        reasonStart = 0
    }

    /// Sets the status and its standard reason phrase, for a response the proxy makes.
    public func set(status: Int) {
        precondition(status >= 100 && status <= 999)
        statusCode = status
        store.clear()
        store.append(ResponseHead.reason(of: status))
        reasonStart = 0
    }

    /// Sets the version it was received in.
    public func set(version: HTTPVersion) { versionCode = version }

    /// Sets what the fields say about the body and the connection.
    public func set(bodyLength: BodyLength, wantsKeepAlive: Bool) {
        length = bodyLength
        keepAlive = wantsKeepAlive
    }

    /// Number of bytes of memory the head keeps.
    public var capacity: Int { store.capacity + fields.capacity }

    /// The reason phrase of the registered status codes a proxy makes; empty for others.
    public static func reason(of status: Int) -> StaticString {
        switch status {
        case 100: "Continue"
        case 101: "Switching Protocols"
        case 200: "OK"
        case 204: "No Content"
        case 400: "Bad Request"
        case 401: "Unauthorized"
        case 403: "Forbidden"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 408: "Request Timeout"
        case 413: "Content Too Large"
        case 414: "URI Too Long"
        case 421: "Misdirected Request"
        case 429: "Too Many Requests"
        case 431: "Request Header Fields Too Large"
        case 500: "Internal Server Error"
        case 501: "Not Implemented"
        case 502: "Bad Gateway"
        case 503: "Service Unavailable"
        case 504: "Gateway Timeout"
        case 505: "HTTP Version Not Supported"
        default: ""
        }
    }

    private func reset() {
        statusCode = 0
        versionCode = .http11
        length = .none
        keepAlive = true
        reasonStart = 0
    }

    private static let retainedBytesMax = 1 << 10
    /// `HTTP/1.1 200 ` goes before the reason phrase.
    private static let reasonOffset = 13
}
