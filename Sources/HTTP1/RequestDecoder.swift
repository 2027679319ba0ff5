// Bytes in, requests out (RFC 9112).
//
// What it is: a pull parser without I/O. The caller lends what it received and asks `next` until it
// answers `needMore`; then all input is consumed. Pipelined requests follow one another.
// What it is not: lenient. Whatever two parsers could read in two ways is refused, since the next
// one behind us may read it the other way.
//
// Invariants:
// - the same bytes give the same events, however they are split
// - memory is bounded by `Limits`; a body is lent, never kept
// - after an error every further call throws that error

import Bytes
public import HTTP

/// Decodes the requests of one connection; worker-confined.
public final class RequestDecoder {
    private enum State {
        case start, fields, body, failed
    }

    /// The head of the current request: valid from its `.head` until the next request's first line.
    public let head: RequestHead
    /// Those of `head`, held here so that reading them takes no reference.
    private let fields: FieldBlock
    private let limits: Limits
    private let lines = LineReader()
    private let fieldReader: FieldSectionReader
    private let body: BodyReader
    private var state = State.start
    private var hasSkippedEmptyLine = false
    private var failure: HTTP1Error?

    /// Makes a decoder for a new connection.
    public init(limits: Limits = Limits()) {
        self.limits = limits
        let head = RequestHead()
        self.head = head
        fields = head.fields
        body = BodyReader(lines: lines, limits: limits)
        fieldReader = FieldSectionReader(
            lines: lines,
            isTrailer: false,
            bytesMax: limits.fieldSectionBytesMax,
            countMax: limits.fieldCountMax
        )
    }

    /// The trailers of the current request: valid from `.end(trailers: true)` until the next call.
    public var trailers: FieldBlock { body.trailers }

    /// Whether no byte of a request was received since the last one ended.
    public var isIdle: Bool { state == .start && !lines.isInsideLine }

    /// Whether all of a body was handed out, so that its end is the next event and needs no bytes.
    public var isAtBodyEnd: Bool { state == .body && body.isAtEnd }

    /// Finds the next event in `input` from `offset` on, and moves `offset` behind what it used.
    public func next(
        _ input: Span<UInt8>,
        at offset: inout Int
    ) throws(HTTP1Error) -> Event {
        do {
            return try advance(input, at: &offset)
        } catch {
            state = .failed
            failure = error
            throw error
        }
    }

    /// The WebSocket that the current head asks for does not come about: what follows is the next
    /// request.
    public func refuseWebSocket() {
        precondition(head.isWebSocket && state == .body, "no tunnel was asked for")
        body.begin(.none)
        state = .start
        hasSkippedEmptyLine = false
    }

    /// Gives memory back while the connection is idle; the last head is gone after it.
    public func releaseMemory() {
        precondition(isIdle, "a request is being decoded")
        head.release()
        trailers.release()
    }

    private func advance(
        _ input: Span<UInt8>,
        at offset: inout Int
    ) throws(HTTP1Error) -> Event {
        if state == .start {
            guard try readRequestLine(input, at: &offset) else { return .needMore }
            state = .fields
        }
        if state == .fields {
            guard try fieldReader.read(input, at: &offset, into: fields) else {
                return .needMore
            }
            try finishHead()
            body.begin(head.bodyLength)
            state = .body
            return .head
        }
        if state == .failed, let failure { throw failure }
        let event = try body.next(input, at: &offset)
        if case .end = event {
            state = .start
            hasSkippedEmptyLine = false
        }
        return event
    }

    private func readRequestLine(
        _ input: Span<UInt8>,
        at offset: inout Int
    ) throws(HTTP1Error) -> Bool {
        while true {
            let line = try lines.next(input, at: &offset, limit: limits.startLineBytesMax) { _ in
                .requestLineTooLong(limit: limits.startLineBytesMax)
            }
            switch line {
            case .needMore: return false
            case .input(let range):
                if range.isEmpty {
                    try skipEmptyLine()
                    continue
                }
                try parseRequestLine(input.extracting(range))
            case .pending:
                if lines.pending.isEmpty {
                    lines.finish()
                    try skipEmptyLine()
                    continue
                }
                try lines.pending.withSpan { (bytes) throws(HTTP1Error) in
                    try parseRequestLine(bytes)
                }
                lines.finish()
            }
            fieldReader.begin()
            return true
        }
    }

    /// RFC 9112 §2.2: one empty line before a request line, from clients that end a body with it.
    private func skipEmptyLine() throws(HTTP1Error) {
        guard !hasSkippedEmptyLine else { throw .malformedRequestLine }
        hasSkippedEmptyLine = true
    }

    /// `method SP request-target SP HTTP-version`, with exactly these spaces (RFC 9112 §3).
    private func parseRequestLine(_ line: Span<UInt8>) throws(HTTP1Error) {
        guard let space = line.firstIndex(of: 0x20), space > 0 else {
            throw .malformedRequestLine
        }
        let method = line.extracting(first: space)
        let known = Method(matching: method)
        // A known method is a token; any other must be looked at.
        guard known != .other || Grammar.tokenCount(method) == space else { throw .invalidMethod }
        guard let second = line.firstIndex(of: 0x20, from: space + 1) else {
            throw space + 1 < line.count ? .http09 : .malformedRequestLine
        }
        let target = line.extracting(space + 1..<second)
        guard !target.isEmpty else { throw .malformedRequestLine }
        let version = try RequestDecoder.version(
            line.extracting(second + 1..<line.count),
            method: method
        )
        head.clear()
        head.set(version: version)
        guard known != .connect else { throw .connectRefused }
        if version == .http11, target[0] == UInt8(ascii: "/") {
            guard Grammar.isTarget(target) else { throw .invalidTarget }
            return head.set(
                line: line,
                method: known,
                methodCount: space,
                targetCount: target.count
            )
        }
        if known == .other { head.set(method: method) } else { head.set(method: known) }
        try parseTarget(target)
    }

    private static func version(
        _ bytes: Span<UInt8>,
        method: Span<UInt8>
    ) throws(HTTP1Error) -> HTTPVersion {
        if bytes.equals("HTTP/1.1") { return .http11 }
        if bytes.equals("HTTP/1.0") { return .http10 }
        guard bytes.count == 8, bytes.extracting(first: 5).equals("HTTP/"),
            Grammar.isDigit(bytes[5]), bytes[6] == UInt8(ascii: "."), Grammar.isDigit(bytes[7])
        else { throw .malformedRequestLine }
        // RFC 9113 §3.4: the first line of the HTTP/2 preface was made to be refused here.
        throw method.equals("PRI") ? .http2Preface : .unsupportedVersion
    }

    /// The four forms of RFC 9112 §3.2, of which authority-form went with CONNECT.
    private func parseTarget(_ target: Span<UInt8>) throws(HTTP1Error) {
        guard Grammar.isTarget(target) else { throw .invalidTarget }
        if target[0] == UInt8(ascii: "/") {
            head.set(target: target)
        } else if target.equals("*") {
            guard head.method == .options else { throw .invalidTarget }
            head.set(target: target)
        } else {
            try parseAbsoluteForm(target)
        }
    }

    private func parseAbsoluteForm(_ target: Span<UInt8>) throws(HTTP1Error) {
        let scheme: Scheme
        if target.count > 7, target.extracting(first: 7).matches("http://") {
            scheme = .http
        } else if target.count > 8, target.extracting(first: 8).matches("https://") {
            scheme = .https
        } else {
            throw .invalidTarget
        }
        let start = scheme == .http ? 7 : 8
        var end = start
        while end < target.count, target[end] != UInt8(ascii: "/"),
            target[end] != UInt8(ascii: "?")
        {
            end += 1
        }
        let authority = target.extracting(start..<end)
        guard let parts = Authority(authority) else { throw .invalidHost }
        head.set(scheme: scheme)
        head.set(authority: authority, hostCount: parts.hostCount, port: parts.port)
        let rest = target.extracting(end..<target.count)
        if rest.isEmpty, head.method == .options {
            // RFC 9112 §3.2.4: the last proxy before the origin restores the asterisk.
            head.setAsteriskTarget()
        } else {
            head.set(target: rest)
        }
    }

    private func finishHead() throws(HTTP1Error) {
        let framing = try Framing(fields, version: head.version)
        try finishAuthority(hostIndex: framing.hostIndex)
        let length: BodyLength =
            if framing.isChunked {
                .chunked
            } else if let count = framing.contentLength {
                .known(count)
            } else {
                .none
            }
        head.set(
            bodyLength: length,
            expectsContinue: framing.expectsContinue,
            wantsKeepAlive: framing.keepsAlive(head.version)
        )
        if fields.contains(.upgrade), asksForWebSocket { head.setWebSocket() }
    }

    // RFC 6455 §4.1. Any other upgrade, and one that is not as it must be, is ignored, as a server
    // may do (RFC 9110 §7.8): what follows the head is then the next request.
    private var asksForWebSocket: Bool {
        guard head.method == .get, head.version == .http11, head.bodyLength == .none,
            fields.hasToken("upgrade", in: .connection),
            fields.hasToken("websocket", in: .upgrade),
            let key = fields.firstIndex(of: .secWebSocketKey),
            fields.firstIndex(of: .secWebSocketKey, from: key + 1) == nil
        else { return false }
        // 16 bytes in Base64.
        return fields.withValue(at: key) { $0.count == 24 }
    }

    private func finishAuthority(hostIndex: Int?) throws(HTTP1Error) {
        guard let hostIndex else {
            // RFC 9112 §3.2: an error in HTTP/1.1, unknown to HTTP/1.0.
            guard head.version == .http10 else { throw .missingHost }
            replaceHost()
            return
        }
        let isAbsolute = head.scheme != nil
        try fields.withValue(at: hostIndex) { (value) throws(HTTP1Error) in
            if !isAbsolute, head.setAuthority(ifUnchanged: value) { return }
            guard let parts = Authority(value) else { throw .invalidHost }
            if !isAbsolute {
                head.set(authority: value, hostCount: parts.hostCount, port: parts.port)
            }
        }
        if isAbsolute { replaceHost() }
    }

    /// RFC 9112 §3.2.2: a proxy ignores the Host beside an absolute-form target and sends the
    /// target's; without this the authority we route by and the one the service sees could differ.
    private func replaceHost() {
        guard head.hasAuthority else { return }
        fields.removeAll(.host)
        head.withAuthority { fields.append(.host, $0) }
    }
}
