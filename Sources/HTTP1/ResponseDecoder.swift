// Bytes in, responses out (RFC 9112); the invariants are those of RequestDecoder.swift.

import Bytes
public import HTTP

/// Decodes the responses of one upstream connection; worker-confined.
public final class ResponseDecoder {
    private enum State {
        case start, fields, body, failed
    }

    /// The head of the current response: valid from its `.head` until the next first line.
    public let head: ResponseHead
    /// Those of `head`, held here so that reading them takes no reference.
    private let fields: FieldBlock
    private let limits: Limits
    private let lines = LineReader()
    private let fieldReader: FieldSectionReader
    private let body: BodyReader
    private var state = State.start
    private var expected: Method?
    private var mayUpgrade = false
    private var interimCount = 0
    private var failure: HTTP1Error?

    /// Makes a decoder for a new connection.
    public init(limits: Limits = Limits()) {
        self.limits = limits
        let head = ResponseHead()
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

    /// The trailers of the current response: valid from `.end(trailers: true)` until the next call.
    public var trailers: FieldBlock { body.trailers }

    /// Whether no byte of a response was received since the last one ended.
    public var isIdle: Bool { state == .start && interimCount == 0 && !lines.isInsideLine }

    /// Announces that a request with this method was sent: its response comes next.
    ///
    /// Must be called before each response; the method decides whether there is a body. Bytes that
    /// come without it are an error, not the answer to whatever is sent next.
    ///
    /// `webSocket`: the request asked for one, so that 101 may come; the body is then a tunnel, which
    /// ends with the connection.
    public func expect(method: Method, webSocket: Bool = false) {
        precondition(isIdle && expected == nil, "the last response has not ended")
        expected = method
        mayUpgrade = webSocket
    }

    /// Finds the next event in `input` from `offset` on, and moves `offset` behind what it used.
    ///
    /// An interim response (1xx) is a `.head` that is followed by another `.head`, without `.end`.
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

    /// Says that the connection was closed after all input was given to `next`.
    ///
    /// Ends a body that is delimited by closing; `.needMore` when no response was expected.
    public func endOfInput() throws(HTTP1Error) -> Event {
        if let failure { throw failure }
        if state == .start, expected == nil, isIdle { return .needMore }
        guard state == .body, body.endsByClosing else {
            state = .failed
            failure = .truncated
            throw .truncated
        }
        finish()
        return .end(trailers: false)
    }

    /// Gives memory back while the connection is idle; the last head is gone after it.
    public func releaseMemory() {
        precondition(isIdle, "a response is being decoded")
        head.release()
        trailers.release()
    }

    private func advance(
        _ input: Span<UInt8>,
        at offset: inout Int
    ) throws(HTTP1Error) -> Event {
        if state == .start {
            guard try readStatusLine(input, at: &offset) else { return .needMore }
            state = .fields
        }
        if state == .fields {
            guard try fieldReader.read(input, at: &offset, into: fields) else {
                return .needMore
            }
            try finishHead()
            return .head
        }
        if state == .failed, let failure { throw failure }
        let event = try body.next(input, at: &offset)
        if case .end = event { finish() }
        return event
    }

    private func finish() {
        state = .start
        expected = nil
        interimCount = 0
    }

    private func readStatusLine(
        _ input: Span<UInt8>,
        at offset: inout Int
    ) throws(HTTP1Error) -> Bool {
        guard offset < input.count else { return false }
        guard expected != nil else { throw .unexpectedResponse }
        let line = try lines.next(input, at: &offset, limit: limits.startLineBytesMax) { _ in
            .statusLineTooLong(limit: limits.startLineBytesMax)
        }
        switch line {
        case .needMore: return false
        case .input(let range): try parseStatusLine(input.extracting(range))
        case .pending:
            try lines.pending.withSpan { (bytes) throws(HTTP1Error) in
                try parseStatusLine(bytes)
            }
            lines.finish()
        }
        fieldReader.begin()
        return true
    }

    /// `HTTP-version SP status-code SP [ reason-phrase ]` (RFC 9112 §4).
    ///
    /// The second space is required, also by us when we write; but enough servers leave it out with
    /// an empty reason, and no other reading of that line exists.
    private func parseStatusLine(_ line: Span<UInt8>) throws(HTTP1Error) {
        guard line.count >= 12, line[8] == 0x20, Grammar.isDigit(line[9]),
            Grammar.isDigit(line[10]), Grammar.isDigit(line[11]), line[9] != UInt8(ascii: "0"),
            line.count == 12 || line[12] == 0x20
        else { throw .malformedStatusLine }
        let version = line.extracting(first: 8)
        let status = (line[9] & 15, line[10] & 15, line[11] & 15)
        let code = Int(status.0) * 100 + Int(status.1) * 10 + Int(status.2)
        head.clear()
        if version.equals("HTTP/1.1") {
            head.set(version: .http11)
            if line.count > 12 { return head.set(status: code, line: line) }
        } else if version.equals("HTTP/1.0") {
            head.set(version: .http10)
        } else {
            throw .malformedStatusLine
        }
        head.set(status: code, reason: line.extracting(min(13, line.count)..<line.count))
    }

    private func finishHead() throws(HTTP1Error) {
        let framing = try Framing(fields, version: head.version)
        if head.status == 101 { return try finishUpgrade() }
        if head.isInterim { return try finishInterimHead(framing) }
        let length = bodyLength(framing)
        if head.status == 204 { fields.removeAll(.contentLength) }
        head.set(
            bodyLength: length,
            wantsKeepAlive: length != .untilClose && framing.keepsAlive(head.version)
        )
        body.begin(length)
        state = .body
    }

    private func finishInterimHead(_ framing: Framing) throws(HTTP1Error) {
        interimCount += 1
        guard interimCount <= limits.interimResponseCountMax else {
            throw .tooManyInterimResponses(limit: limits.interimResponseCountMax)
        }
        // RFC 9110 §8.6: must not be there, and a receiver that obeys it waits for a body.
        fields.removeAll(.contentLength)
        head.set(bodyLength: .none, wantsKeepAlive: framing.keepsAlive(head.version))
        state = .start
    }

    /// RFC 9110 §15.2.2: only to what was asked for.
    private func finishUpgrade() throws(HTTP1Error) {
        guard mayUpgrade, head.version == .http11,
            fields.hasToken("upgrade", in: .connection),
            fields.hasToken("websocket", in: .upgrade)
        else { throw .unexpectedUpgrade }
        // Neither has a meaning here (RFC 9110 §8.6, RFC 9112 §6.1).
        fields.removeAll(.contentLength)
        fields.removeAll(.transferEncoding)
        head.set(bodyLength: .untilClose, wantsKeepAlive: false)
        body.begin(.untilClose)
        state = .body
    }

    /// RFC 9112 §6.3, in its order.
    private func bodyLength(_ framing: Framing) -> BodyLength {
        if expected == .head || head.status == 204 || head.status == 304 { return .none }
        if expected == .connect, head.status < 300 { return .none }
        if framing.isChunked { return .chunked }
        if let count = framing.contentLength { return .known(count) }
        return .untilClose
    }
}
