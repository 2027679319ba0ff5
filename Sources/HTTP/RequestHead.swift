// The head of a request, whatever version it came in.
//
// What it is: one byte store for method, target and authority, beside the fields. Filled by a
// decoder, edited by the proxy, read by an encoder, then reused for the next request.
//
// Invariants, which the decoders establish:
// - the target is in origin form (`/path?query`) or `*`; it holds visible ASCII only and no
//   fragment
// - a held request line is the last thing in the store, and says what method, target and version say
// - the authority, when there is one, is a valid `host[:port]`, equal to the one Host field

public import Bytes

/// The head of one request; reused from request to request and worker-confined.
public final class RequestHead {
    /// The header fields.
    public let fields = FieldBlock()
    @usableFromInline let store = ByteBuffer()
    /// The authority, and the host behind it when that had to be folded: kept over `clear()`, since
    /// the next request of a connection nearly always has the same.
    @usableFromInline let authorityStore = ByteBuffer()
    private var methodCode = Method.other
    private var versionCode = HTTPVersion.http11
    private var methodRange = 0..<0
    private var targetRange = 0..<0
    private var pathRange = 0..<0
    private var lineIsHeld = false
    private var authorityIsSet = false
    private var authorityCount = 0
    private var hostRange = 0..<0
    private var authorityPort: UInt16?
    private var length = BodyLength.none
    private var schemeCode: Scheme?
    private var expects100 = false
    private var keepAlive = true
    private var webSocket = false
    private var origin = HTTPVersion.http11

    /// Makes an empty head; nothing is allocated until the first request.
    public init() {}

    /// The method.
    public var method: Method { methodCode }

    /// The version the request was received in.
    public var version: HTTPVersion { versionCode }

    /// The version the application spoke: another one than `version` when a sidecar of the mesh
    /// carried an HTTP/1 request over HTTP/2.
    public var originVersion: HTTPVersion { origin }

    /// Whether the request asks for a WebSocket: `Upgrade: websocket` in HTTP/1.1 (RFC 6455 §4.1),
    /// extended CONNECT in HTTP/2 (RFC 8441 §4).
    ///
    /// Its body, and that of the response which accepts it, are then the two directions of a tunnel:
    /// `untilClose`, ended by each side for itself.
    public var isWebSocket: Bool { webSocket }

    /// How the end of the body is known.
    public var bodyLength: BodyLength { length }

    /// Whether the sender waits for `100 Continue` before it sends the body (RFC 9110 §10.1.1).
    public var expectsContinue: Bool { expects100 }

    /// Whether the sender wants the connection to stay open after this exchange.
    ///
    /// A request in HTTP/1.0 wants it only with `Connection: keep-alive`.
    public var wantsKeepAlive: Bool { keepAlive }

    /// The port the sender wrote in the authority, or nil.
    public var port: UInt16? { authorityIsSet ? authorityPort : nil }

    /// The scheme when the target came in absolute form, as clients of an explicit proxy send it.
    public var scheme: Scheme? { schemeCode }

    /// Whether the request names an authority; only HTTP/1.0 may leave it out.
    public var hasAuthority: Bool { authorityIsSet && authorityCount > 0 }

    /// Lends the method as it was written, also when it is `other`.
    @inlinable
    public func withMethod<R, E: Error>(_ body: (Span<UInt8>) throws(E) -> R) throws(E) -> R {
        try store.withSpan(range(of: .method), body)
    }

    /// Whether the whole request line is held as it was received, and so as HTTP/1.1 writes it.
    public var hasLine: Bool { lineIsHeld }

    /// Lends the request line without its CRLF; empty unless `hasLine`.
    @inlinable
    public func withLine<R, E: Error>(_ body: (Span<UInt8>) throws(E) -> R) throws(E) -> R {
        try store.withSpan(range(of: .line), body)
    }

    /// Lends path and query as they are forwarded.
    @inlinable
    public func withTarget<R, E: Error>(_ body: (Span<UInt8>) throws(E) -> R) throws(E) -> R {
        try store.withSpan(range(of: .target), body)
    }

    /// Lends the path, without `?` and query.
    @inlinable
    public func withPath<R, E: Error>(_ body: (Span<UInt8>) throws(E) -> R) throws(E) -> R {
        try store.withSpan(range(of: .path), body)
    }

    /// Lends `host[:port]` as the sender wrote it; empty without authority.
    @inlinable
    public func withAuthority<R, E: Error>(_ body: (Span<UInt8>) throws(E) -> R) throws(E) -> R {
        try authorityStore.withSpan(range(of: .authority), body)
    }

    /// Lends the host in lower case, an IPv6 address with its brackets; empty without authority.
    @inlinable
    public func withHost<R, E: Error>(_ body: (Span<UInt8>) throws(E) -> R) throws(E) -> R {
        try authorityStore.withSpan(range(of: .host), body)
    }

    /// Becomes a copy of `other`.
    public func assign(from other: RequestHead) {
        store.clear()
        other.store.withSpan { store.append($0) }
        authorityStore.clear()
        other.authorityStore.withSpan { authorityStore.append($0) }
        fields.assign(from: other.fields)
        methodCode = other.methodCode
        versionCode = other.versionCode
        methodRange = other.methodRange
        targetRange = other.targetRange
        pathRange = other.pathRange
        lineIsHeld = other.lineIsHeld
        authorityIsSet = other.authorityIsSet
        authorityCount = other.authorityCount
        hostRange = other.hostRange
        authorityPort = other.authorityPort
        length = other.length
        schemeCode = other.schemeCode
        expects100 = other.expects100
        keepAlive = other.keepAlive
        webSocket = other.webSocket
        origin = other.origin
    }

    /// Makes the head empty for the next request.
    public func clear() {
        fields.clear()
        if store.capacity > RequestHead.retainedBytesMax {
            store.release()
        } else {
            store.clear()
        }
        if authorityStore.capacity > RequestHead.retainedBytesMax { forgetAuthority() }
        reset()
    }

    /// Makes the head empty and gives its memory back, for a connection that goes idle.
    public func release() {
        fields.release()
        store.release()
        forgetAuthority()
        reset()
    }

    /// Sets method and target from a checked request line in HTTP/1.1, without its CRLF, that goes
    /// on unchanged: `methodCount` bytes, a space, `targetCount` bytes, which begin with `/`, and
    /// the version.
    public func set(
        line: Span<UInt8>,
        method: Method,
        methodCount: Int,
        targetCount: Int
    ) {
        precondition(methodCount > 0 && targetCount > 0)
        precondition(methodCount + targetCount + 2 < line.count)
        let start = store.count
        store.append(line)
        methodCode = method
        methodRange = start..<start + methodCount
        setTarget(methodRange.upperBound + 1..<methodRange.upperBound + 1 + targetCount)
        lineIsHeld = true
    }

    /// Sets the method by its token; the caller has checked that it is one.
    public func set(method token: Span<UInt8>) {
        methodCode = Method(matching: token)
        methodRange = append(token)
        lineIsHeld = false
    }

    /// Sets a method that has a token of its own, for a request the proxy makes.
    public func set(method: Method) {
        precondition(method != .other, "other has no token")
        methodCode = method
        let start = store.count
        store.append(method.token)
        methodRange = start..<store.count
        lineIsHeld = false
    }

    /// Sets path and query, or `*`; the caller has checked the bytes.
    ///
    /// An empty path, as in `http://host?query`, becomes `/` (RFC 9112 §3.2.1).
    public func set(target: Span<UInt8>) {
        let start = store.count
        if target.isEmpty || target[0] == UInt8(ascii: "?") { store.append(UInt8(ascii: "/")) }
        store.append(target)
        setTarget(start..<store.count)
    }

    private func setTarget(_ range: Range<Int>) {
        targetRange = range
        let pathCount = store.withSpan(range) { $0.firstIndex(of: UInt8(ascii: "?")) ?? $0.count }
        pathRange = range.lowerBound..<range.lowerBound + pathCount
        lineIsHeld = false
    }

    /// Sets the target to `*`, which speaks of the server as a whole.
    public func setAsteriskTarget() {
        let start = store.count
        store.append("*")
        targetRange = start..<store.count
        pathRange = targetRange
        lineIsHeld = false
    }

    /// Sets the scheme of a target in absolute form.
    public func set(scheme: Scheme) { schemeCode = scheme }

    /// Sets the authority to that of the request before when it was written just so; false when it
    /// was not.
    ///
    /// A caller writes the same authority in request after request, and to compare it costs a tenth
    /// of looking at it anew.
    public func setAuthority(ifUnchanged authority: Span<UInt8>) -> Bool {
        let count = authorityCount
        guard count > 0, authority.count == count,
            authorityStore.withSpan(0..<count, { $0.equals(authority) })
        else { return false }
        authorityIsSet = true
        return true
    }

    /// Sets the authority from a checked `host[:port]` whose first `hostCount` bytes are the host.
    public func set(authority: Span<UInt8>, hostCount: Int, port: UInt16?) {
        precondition(hostCount >= 0 && hostCount <= authority.count)
        authorityStore.clear()
        authorityStore.append(authority)
        authorityCount = authority.count
        authorityPort = port
        authorityIsSet = true
        // Hosts are compared by everyone after us and without case (RFC 9110 §4.2.3), so the
        // folding is done once. Most senders write lower case, which needs no second copy.
        guard authority.extracting(first: hostCount).firstUppercase() != nil else {
            hostRange = 0..<hostCount
            return
        }
        for index in 0..<hostCount {
            let byte = authority[index]
            authorityStore.append(isUppercase(byte) ? byte | 0x20 : byte)
        }
        hostRange = authority.count..<authority.count + hostCount
    }

    private func forgetAuthority() {
        authorityStore.release()
        authorityCount = 0
        hostRange = 0..<0
        authorityPort = nil
        authorityIsSet = false
    }

    /// Sets the version, and that of the application to the same.
    public func set(version: HTTPVersion) {
        versionCode = version
        origin = version
    }

    /// Sets the version the application spoke, where a trusted peer says so.
    public func set(originVersion: HTTPVersion) { origin = originVersion }

    /// Makes the request one for a WebSocket: its body becomes a tunnel.
    public func setWebSocket() {
        webSocket = true
        length = .untilClose
    }

    /// Sets what the fields say about the body and the connection.
    public func set(bodyLength: BodyLength, expectsContinue: Bool, wantsKeepAlive: Bool) {
        precondition(bodyLength != .untilClose, "only a tunnel ends by closing: setWebSocket()")
        length = bodyLength
        expects100 = expectsContinue
        keepAlive = wantsKeepAlive
    }

    /// Number of bytes of memory the head keeps.
    public var capacity: Int { store.capacity + authorityStore.capacity + fields.capacity }

    /// What the inlined accessors read: a stored property that other modules can see costs them an
    /// exclusivity check.
    @usableFromInline enum Part { case method, line, target, path, authority, host }

    @usableFromInline
    func range(of part: Part) -> Range<Int> {
        switch part {
        case .method: methodRange
        case .target: targetRange
        case .path: pathRange
        case .line: lineIsHeld ? methodRange.lowerBound..<store.count : 0..<0
        case .authority: authorityIsSet ? 0..<authorityCount : 0..<0
        case .host: authorityIsSet ? hostRange : 0..<0
        }
    }

    private func append(_ bytes: Span<UInt8>) -> Range<Int> {
        let start = store.count
        store.append(bytes)
        return start..<store.count
    }

    private func reset() {
        methodCode = .other
        versionCode = .http11
        methodRange = 0..<0
        targetRange = 0..<0
        pathRange = 0..<0
        lineIsHeld = false
        authorityIsSet = false
        schemeCode = nil
        length = .none
        expects100 = false
        keepAlive = true
        webSocket = false
        origin = .http11
    }

    private static let retainedBytesMax = 2 << 10
}

@inline(__always)
private func isUppercase(_ byte: UInt8) -> Bool { byte >= 0x41 && byte <= 0x5A }
