// Header blocks, field by field, straight into the heads and trailers of their stream.
//
// nghttp2 has decoded HPACK and enforced RFC 9113 §8.2 and §8.3: which bytes names and values hold,
// which pseudo-header fields there are and where, no connection-specific fields, Content-Length
// against DATA. What is added here is what HTTP's types promise (RequestHead.swift) and what this
// proxy does not serve.

import Bytes
import CNGHTTP2
import HTTP

/// The header block that is being received; one at a time, as blocks are not interleaved.
struct HeaderBlock {
    enum Kind {
        case request, response, trailers
    }

    /// What was seen in it.
    struct Marks: OptionSet {
        let rawValue: UInt16

        static let hasAuthority = Marks(rawValue: 1 << 0)
        static let hasRegular = Marks(rawValue: 1 << 1)
        static let hasCookie = Marks(rawValue: 1 << 2)
        static let hasManyCookies = Marks(rawValue: 1 << 3)
        static let isConnect = Marks(rawValue: 1 << 4)
        static let hasProtocol = Marks(rawValue: 1 << 5)
        static let isWebSocket = Marks(rawValue: 1 << 6)
        static let expectsContinue = Marks(rawValue: 1 << 7)
        static let isFromHTTP1 = Marks(rawValue: 1 << 8)
    }

    /// Where the fields go, or nil when nobody wants them; the connection has it among its streams,
    /// and clears this before it goes.
    var wanting: Unmanaged<HTTP2Stream>?
    var stream: HTTP2Stream? { wanting?.takeUnretainedValue() }
    var kind = Kind.request
    var marks: Marks = []
    var bytes = 0
    var count = 0
    var contentLength: UInt64?
    /// What is wrong with the message.
    var malformed: StaticString?
    /// What to answer to a message that is sound but too large, or not served.
    var refusal: (status: Int, reason: StaticString)?
    /// How names of a message that was HTTP/1 were written.
    var names: OriginNames?
}

extension HTTP2Connection {
    func beginRequest(_ stream: HTTP2Stream) {
        begin(.request, stream)
        stream.requestHead.clear()
        stream.requestHead.set(version: .http2)
    }

    /// A response, trailers, or fields for a stream that was cut off.
    func beginBlock(_ stream: HTTP2Stream?) {
        guard let stream else { return begin(.trailers, nil) }
        if role == .server || stream.state.contains(.hasFinalHead) {
            begin(.trailers, stream)
            stream.trailers.clear()
        } else {
            begin(.response, stream)
            stream.responseHead.clear()
            stream.responseHead.set(version: .http2)
        }
    }

    private func begin(_ kind: HeaderBlock.Kind, _ stream: HTTP2Stream?) {
        block.wanting = stream.map { Unmanaged.passUnretained($0) }
        block.kind = kind
        block.marks = []
        block.bytes = 0
        block.count = 0
        block.contentLength = nil
        block.malformed = nil
        block.refusal = nil
        dropNames()
    }

    private func dropNames() {
        guard let names = block.names else { return }
        block.names = nil
        memory.give(names.pattern)
    }

    /// One field; what it returns goes to nghttp2.
    func addField(_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Int32 {
        block.bytes += name.count + value.count + HTTP2Connection.fieldOverhead
        block.count += 1
        // Names from the HPACK table cost the sender a byte and us their length: past any excuse.
        guard block.bytes <= settings.oversizeFactor * limits.fieldSectionBytesMax,
            block.count <= settings.oversizeFactor * limits.fieldCountMax
        else {
            pendingError = .flood(.headerBytes)
            return Int32(NGHTTP2_ERR_CALLBACK_FAILURE.rawValue)
        }
        guard let wanting = block.wanting, block.refusal == nil, block.malformed == nil else {
            return 0
        }
        guard isWithinLimits() else { return 0 }
        // Not retained for each field: nothing of the owner's runs meanwhile.
        wanting._withUnsafeGuaranteedRef {
            add(Span(_unsafeBytes: name), Span(_unsafeBytes: value), to: $0)
        }
        return 0
    }

    @inline(__always)
    private func add(_ name: Span<UInt8>, _ value: Span<UInt8>, to stream: HTTP2Stream) {
        if name[0] == UInt8(ascii: ":") {
            if block.kind == .request {
                addRequestPseudoField(name, value, stream)
            } else {
                setStatus(value, stream)
            }
        } else {
            let isFirst = !block.marks.contains(.hasRegular)
            block.marks.insert(.hasRegular)
            let known = FieldName(matching: name)
            if known == .meshOrigin {
                if isFirst, trustsOrigin { readOrigin(value) }
            } else if block.kind == .trailers {
                addTrailer(known, name, value, stream)
            } else {
                addHeadField(known, name, value, stream)
            }
        }
    }

    private func isWithinLimits() -> Bool {
        let isTrailers = block.kind == .trailers
        if block.bytes > (isTrailers ? limits.trailerBytesMax : limits.fieldSectionBytesMax) {
            overflow(isTrailers ? "trailers_too_large" : "field_section_too_large")
            return false
        }
        if block.count > (isTrailers ? limits.trailerCountMax : limits.fieldCountMax) {
            overflow(isTrailers ? "too_many_trailers" : "too_many_fields")
            return false
        }
        return true
    }

    /// A request can be answered with 431; anything else only be reset.
    private func overflow(_ reason: StaticString) {
        if block.kind == .request {
            block.refusal = (431, reason)
        } else {
            block.malformed = reason
        }
    }

    private func addRequestPseudoField(
        _ name: Span<UInt8>,
        _ value: Span<UInt8>,
        _ stream: HTTP2Stream
    ) {
        let head = stream.requestHead
        if name.equals(":method") {
            let method = Method(matching: value)
            if method == .connect {
                block.marks.insert(.isConnect)
            } else if method == .other {
                head.set(method: value)
            } else {
                head.set(method: method)
            }
        } else if name.equals(":path") {
            setTarget(value, head)
        } else if name.equals(":authority") {
            setAuthority(value, head)
            // First of the fields, where HTTP/1.1 wants it (RFC 9110 §7.2).
            if block.malformed == nil { head.fields.append(.host, value) }
        } else if name.equals(":scheme") {
            if !value.matches("http"), !value.matches("https") {
                block.malformed = "unsupported_scheme"
            }
        } else if name.equals(":protocol") {
            block.marks.insert(.hasProtocol)
            if value.equals("websocket") { block.marks.insert(.isWebSocket) }
        }
    }

    /// Origin form or `*` (RFC 9113 §8.3.1), and nothing that HTTP/1.1 could not carry.
    private func setTarget(_ value: Span<UInt8>, _ head: RequestHead) {
        guard value.count <= limits.startLineBytesMax else {
            block.refusal = (414, "target_too_long")
            return
        }
        guard !value.isEmpty, value.firstInvalidInTarget() == nil,
            value[0] == UInt8(ascii: "/") || value.equals("*")
        else {
            block.malformed = "invalid_path"
            return
        }
        head.set(target: value)
    }

    private func setAuthority(_ value: Span<UInt8>, _ head: RequestHead) {
        guard let parts = Authority(value) else {
            block.malformed = "invalid_authority"
            return
        }
        head.set(authority: value, hostCount: parts.hostCount, port: parts.port)
        block.marks.insert(.hasAuthority)
    }

    private func setStatus(_ value: Span<UInt8>, _ stream: HTTP2Stream) {
        guard value.count == 3, let status = decimal(value), status >= 100 else {
            block.malformed = "invalid_status"
            return
        }
        stream.responseHead.set(status: Int(status))
    }

    private func addHeadField(
        _ known: FieldName,
        _ name: Span<UInt8>,
        _ value: Span<UInt8>,
        _ stream: HTTP2Stream
    ) {
        let isRequest = block.kind == .request
        switch known {
        case .host:
            if isRequest { return addHost(name, value, stream.requestHead) }
        case .contentLength:
            guard let count = decimal(value), block.contentLength == nil else {
                block.malformed = "invalid_content_length"
                return
            }
            block.contentLength = count
        case .cookie:
            if isRequest, block.marks.contains(.hasCookie) {
                block.marks.insert(.hasManyCookies)
            }
            block.marks.insert(.hasCookie)
        case .expect:
            if isRequest, value.matches("100-continue") { block.marks.insert(.expectsContinue) }
        case .other: break
        default:
            // RFC 9113 §8.2.2; nghttp2 has refused those that it lists.
            if known.isHopByHop {
                block.names?.skip()
                return
            }
        }
        if isRequest {
            append(known, name, value, to: stream.requestHead.fields)
        } else {
            append(known, name, value, to: stream.responseHead.fields)
        }
    }

    /// `:authority` and Host must name the same (RFC 9113 §8.3.1): one of them is routed by here, and
    /// the other may be what the service believes.
    private func addHost(_ name: Span<UInt8>, _ value: Span<UInt8>, _ head: RequestHead) {
        guard block.marks.contains(.hasAuthority) else {
            setAuthority(value, head)
            if block.malformed == nil { append(.host, name, value, to: head.fields) }
            return
        }
        if !head.withAuthority({ $0.matches(value) }) {
            block.malformed = "authority_differs_from_host"
        } else {
            // What was written in HTTP/1 has its Host in `:authority`; nothing else to restore.
            block.names?.skip()
        }
    }

    private func addTrailer(
        _ known: FieldName,
        _ name: Span<UInt8>,
        _ value: Span<UInt8>,
        _ stream: HTTP2Stream
    ) {
        // RFC 9110 §6.5.1 permits to drop what must not be a trailer.
        if known.isForbiddenInTrailers {
            block.names?.skip()
            return
        }
        append(known, name, value, to: stream.trailers)
    }

    /// Appends a field, its name as the application wrote it when that is known.
    private func append(
        _ known: FieldName,
        _ name: Span<UInt8>,
        _ value: Span<UInt8>,
        to fields: FieldBlock
    ) {
        guard block.names != nil else { return fields.append(known, name: name, value: value) }
        let scratch = memory.scratch
        scratch.clear()
        _ = scratch.appendUnsafe(minimum: name.count) { free in
            name.withUnsafeBytes { free.copyMemory(from: $0) }
            let text = free.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: UInt8.self)
            block.names?.restore(text, name.count)
            return name.count
        }
        scratch.withSpan { fields.append(known, name: $0, value: value) }
    }

    private func readOrigin(_ value: Span<UInt8>) {
        let buffer = memory.takeBuffer()
        guard let names = OriginNames(value, buffer) else { return memory.give(buffer) }
        block.marks.insert(.isFromHTTP1)
        if buffer.isEmpty { memory.give(buffer) } else { block.names = names }
    }

    /// The block is complete and nghttp2 has found nothing wrong with it.
    func endBlock(endsStream: Bool) {
        guard let stream = block.stream else { return }
        block.wanting = nil
        dropNames()
        if let reason = block.malformed { return refuse(stream, reason) }
        switch block.kind {
        case .request: endRequest(stream, endsStream: endsStream)
        case .response: endResponse(stream, endsStream: endsStream)
        case .trailers:
            // nghttp2 refuses trailers that do not end the stream (RFC 9113 §8.1).
            finishMessage(stream, hasTrailers: stream.trailers.count > 0)
        }
    }

    private func endRequest(_ stream: HTTP2Stream, endsStream: Bool) {
        let head = stream.requestHead
        if block.refusal == nil { checkRequest(head) }
        if let reason = block.malformed { return refuse(stream, reason) }
        if let refusal = block.refusal {
            stream.state.insert(.isRefused)
            stream.state.insert(.discards)
            if endsStream { stream.state.insert(.hasEnded) }
            return stream.onRequestRefused(status: refusal.status, reason: refusal.reason)
        }
        if block.marks.contains(.hasManyCookies) { joinCookies(head.fields) }
        let length: BodyLength =
            if endsStream {
                .none
            } else if let count = block.contentLength {
                .known(count)
            } else {
                .chunked
            }
        head.set(
            bodyLength: length,
            expectsContinue: block.marks.contains(.expectsContinue),
            wantsKeepAlive: true
        )
        if block.marks.contains(.isWebSocket) {
            head.setWebSocket()
            stream.state.insert(.isTunnel)
        }
        if block.marks.contains(.isFromHTTP1) { head.set(originVersion: .http11) }
        if head.method == .head { stream.state.insert(.isHead) }
        stream.onRequestHead()
        // The owner may have reset the stream.
        if endsStream, !stream.state.contains(.isClosed) {
            finishMessage(stream, hasTrailers: false)
        }
    }

    private func checkRequest(_ head: RequestHead) {
        if block.marks.contains(.isConnect) {
            // RFC 8441 §4: the target is that of the WebSocket. Its method in HTTP/1.1 is GET, which
            // is what routes and logs shall see.
            guard block.marks.contains(.isWebSocket), block.contentLength == nil else {
                block.refusal = (501, "connect_refused")
                return
            }
            head.set(method: .get)
        }
        if head.withTarget({ $0.equals("*") }), head.method != .options {
            block.malformed = "invalid_path"
        }
        if !head.hasAuthority { block.malformed = "missing_authority" }
    }

    private func endResponse(_ stream: HTTP2Stream, endsStream: Bool) {
        let head = stream.responseHead
        if head.isInterim {
            stream.interimCount += 1
            // nghttp2 refuses one that ends the stream, and 101.
            guard stream.interimCount <= limits.interimResponseCountMax else {
                return refuse(stream, "too_many_interim_responses")
            }
            head.set(bodyLength: .none, wantsKeepAlive: true)
            return stream.onResponseHead()
        }
        stream.state.insert(.hasFinalHead)
        let hasNoBody = stream.state.contains(.isHead) || head.status == 204 || head.status == 304
        let length: BodyLength =
            if hasNoBody {
                .none
            } else if stream.state.contains(.isTunnel), head.status < 300 {
                .untilClose
            } else if endsStream {
                .known(0)
            } else if let count = block.contentLength {
                .known(count)
            } else {
                .chunked
            }
        head.set(bodyLength: length, wantsKeepAlive: true)
        stream.onResponseHead()
        if endsStream, !stream.state.contains(.isClosed) {
            finishMessage(stream, hasTrailers: false)
        }
    }

    /// RFC 9113 §8.2.3: crumbs become one field before they reach a version that knows only one.
    private func joinCookies(_ fields: FieldBlock) {
        let scratch = memory.scratch
        scratch.clear()
        var from = 0
        while let index = fields.firstIndex(of: .cookie, from: from) {
            if !scratch.isEmpty { scratch.append("; ") }
            fields.withValue(at: index) { scratch.append($0) }
            from = index + 1
        }
        fields.removeAll(.cookie)
        scratch.withSpan { fields.append(.cookie, $0) }
    }

    private func decimal(_ digits: Span<UInt8>) -> UInt64? {
        guard !digits.isEmpty, digits.count <= 19 else { return nil }
        var value: UInt64 = 0
        for index in 0..<digits.count {
            let byte = digits[index]
            guard byte >= 0x30, byte <= 0x39 else { return nil }
            value = value &* 10 &+ UInt64(byte &- 0x30)
        }
        return value <= UInt64(Int64.max) ? value : nil
    }

    /// What a field line costs beside its text in HTTP/1.1: `: ` and CRLF.
    private static let fieldOverhead = 4
}
