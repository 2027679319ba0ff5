// Heads and trailers on their way out.
//
// nghttp2 is told that there is a head, decides when it goes and makes its frame, but knows none of its
// fields; those wait in the stream's `PendingHeads` and are encoded into that frame by
// `HeaderEncoder`.

import Bytes
import CNGHTTP2
import HTTP

extension HTTP2Connection {
    /// Opens the stream with a request.
    func submit(
        _ head: RequestHead,
        on stream: HTTP2Stream,
        endsStream: Bool,
        carriesOrigin: Bool
    ) {
        if head.isWebSocket { stream.state.insert(.isTunnel) }
        if head.method == .head { stream.state.insert(.isHead) }
        if endsStream { stream.state.insert(.isSent) }
        let origin = carriesOrigin && head.originVersion != .http2
        let skipped = head.isWebSocket ? skippedInTunnels : skippedInRequests
        let heads = stream.heads
        heads.begin()
        if head.isWebSocket {
            heads.add(PseudoField.method, "CONNECT")
            heads.add(PseudoField.protocol, "websocket")
        } else {
            head.withMethod { heads.add(PseudoField.method, $0) }
        }
        heads.add(PseudoField.scheme, settings.isSecure ? "https" : "http")
        if head.hasAuthority { head.withAuthority { heads.add(PseudoField.authority, $0) } }
        head.withTarget { heads.add(PseudoField.path, $0) }
        add(head.fields, skipped, to: heads, origin)
        let isSendable = heads.end()
        // nghttp2 wants to know of these two, as no body follows their answers.
        var field = methodField(
            head.isWebSocket ? "CONNECT" : head.method == .head ? "HEAD" : "GET"
        )
        var provider = memory.provider
        let pointer = Unmanaged.passUnretained(stream).toOpaque()
        let number = withUnsafePointer(to: &provider) {
            nghttp2_submit_request(session, nil, &field, 1, endsStream ? nil : $0, pointer)
        }
        precondition(number > 0, "canOpenStream was not asked")
        stream.number = number
        // RFC 9113 §5.1.1: they are never used again.
        if number == Int32.max { hasUsedLastNumber = true }
        if !isSendable { failUnsendable(stream) }
    }

    /// Sends a response head, interim or final.
    func sendHead(
        _ head: ResponseHead,
        on stream: HTTP2Stream,
        endsStream: Bool,
        carriesOrigin: Bool
    ) {
        // RFC 8441 §5: a WebSocket is accepted by 200, and Upgrade is none of HTTP/2's (RFC 9113
        // §8.6).
        let status =
            head.status == 101 && stream.state.contains(.isTunnel) ? 200 : head.status
        precondition(status != 101, "HTTP/2 switches no protocols")
        let origin = carriesOrigin && head.version != .http2
        // A refusal is a response like any other.
        let skipped =
            stream.state.contains(.isTunnel) && status < 300
            ? skippedInTunnels : skippedInResponses
        let scratch = memory.digits
        scratch.clear()
        scratch.append(decimal: UInt64(status))
        let heads = stream.heads
        heads.begin()
        scratch.withSpan { heads.add(PseudoField.status, $0) }
        add(head.fields, skipped, to: heads, origin)
        guard heads.end() else { return failUnsendable(stream) }
        if status < 200 {
            nghttp2_submit_headers(session, 0, stream.number, nil, nil, 0, nil)
            return
        }
        stream.state.insert(.hasFinalHead)
        if endsStream { stream.state.insert(.isSent) }
        var provider = memory.provider
        _ = withUnsafePointer(to: &provider) {
            nghttp2_submit_response(session, stream.number, nil, 0, endsStream ? nil : $0)
        }
    }

    /// Sends the trailers that wait behind the body.
    func submitTrailers(_ stream: HTTP2Stream) {
        stream.state.remove(.owesTrailers)
        guard let trailers = stream.outgoingTrailers else { return }
        let heads = stream.heads
        heads.begin()
        trailers.forEach { known, name, value in
            guard !known.isForbiddenInTrailers else { return }
            heads.add(known.rawValue, name: name, value, caching(of: known, value.count))
        }
        trailers.clear()
        guard heads.end() else { return failUnsendable(stream) }
        nghttp2_submit_trailer(session, stream.number, nil, 0)
    }

    /// Writes a HEADERS frame in the place of nghttp2's, which has the right flags and no fields.
    func writeHead(_ header: nghttp2_frame_hd, of stream: HTTP2Stream?, to buffer: ByteBuffer) {
        let start = buffer.count
        // The length is known at the end.
        appendFrameHeader(FrameType.headers, header.flags, header.stream_id, to: buffer)
        let encoder = headerEncoder()
        // What is cut off is not sent by nghttp2 either.
        encoder.begin(buffer)
        let isKnown = stream?.heads.takeFirst {
            encoder.encode($0, to: buffer)
            encoder.encode($1, to: buffer)
            encoder.encode($2, to: buffer)
        }
        guard isKnown == true else {
            buffer.truncate(to: start)
            pendingError = pendingError ?? .internalError
            return
        }
        let count = buffer.count - start - FrameHeader.byteCount
        if count <= HTTP2Connection.sentFrameBytesMax {
            setFrameLength(count, at: start, of: buffer)
        } else {
            splitHead(at: start, of: buffer, header.stream_id)
        }
    }

    /// Makes HEADERS and CONTINUATION frames of a block that one frame can't hold.
    private func splitHead(at start: Int, of buffer: ByteBuffer, _ number: Int32) {
        let block = memory.takeBuffer()
        let most = HTTP2Connection.sentFrameBytesMax
        let first = start + FrameHeader.byteCount
        block.append(buffer, first + most..<buffer.count)
        buffer.truncate(to: first + most)
        setFrameLength(most, at: start, of: buffer)
        buffer.set(buffer[start + 4] & ~0x4, at: start + 4)
        while !block.isEmpty {
            let count = min(block.count, most)
            let next = buffer.count
            let isLast = count == block.count
            appendFrameHeader(FrameType.continuation, isLast ? 0x4 : 0, number, to: buffer)
            setFrameLength(count, at: next, of: buffer)
            buffer.append(block, 0..<count)
            block.consume(count)
        }
        memory.give(block)
    }

    private func appendFrameHeader(
        _ type: UInt8,
        _ flags: UInt8,
        _ number: Int32,
        to buffer: ByteBuffer
    ) {
        _ = buffer.appendUnsafe(minimum: FrameHeader.byteCount) { free in
            let first = UInt32(type) << 8 | UInt32(flags)
            free.storeBytes(of: first.bigEndian, toByteOffset: 1, as: UInt32.self)
            free.storeBytes(of: 0, as: UInt16.self)
            free.storeBytes(of: number.bigEndian, toByteOffset: 5, as: Int32.self)
            return FrameHeader.byteCount
        }
    }

    private func setFrameLength(_ count: Int, at start: Int, of buffer: ByteBuffer) {
        for index in 0..<3 {
            buffer.set(UInt8(truncatingIfNeeded: count >> (16 - index * 8)), at: start + index)
        }
    }

    private func failUnsendable(_ stream: HTTP2Stream) {
        stream.failure = .malformed(reason: "head_too_large_to_send")
        cut(stream, HTTP2ErrorCode.internalError)
    }

    /// Adds what goes out of these, nothing that speaks of a connection (RFC 9113 §8.2.2); with
    /// `origin` also how their names are written.
    private func add(
        _ fields: FieldBlock,
        _ skipped: FieldNameSet,
        to heads: PendingHeads,
        _ origin: Bool
    ) {
        guard origin else {
            fields.forEach { known, name, value in
                guard isSent(known, value, skipped) else { return }
                heads.add(known.rawValue, name: name, value, caching(of: known, value.count))
            }
            return
        }
        let scratch = memory.scratch
        scratch.clear()
        var pattern = OriginPattern(scratch)
        heads.beginRegular()
        fields.forEach { known, name, value in
            guard isSent(known, value, skipped) else { return }
            pattern.add(name)
            heads.add(known.rawValue, name: name, value, caching(of: known, value.count))
        }
        pattern.end()
        heads.beginOrigin()
        scratch.withSpan { heads.add(FieldName.meshOrigin.rawValue, $0) }
    }

    @inline(__always)
    private func isSent(_ known: FieldName, _ value: Span<UInt8>, _ skipped: FieldNameSet) -> Bool {
        if skipped.contains(known) { return false }
        return known != .te || value.matches("trailers")
    }

    /// As nghttp2 has it (RFC 7541 §7.1.3): secrets that can be guessed by the size of what is sent.
    private func caching(of name: FieldName, _ valueCount: Int) -> FieldCaching {
        guard special.contains(name) else { return .allowed }
        switch name {
        case .authorization: return .forbidden
        case .cookie: return valueCount < leastCookie ? .forbidden : .allowed
        default: return .useless
        }
    }

    /// What every peer takes in one frame (RFC 9113 §6.5.2).
    private static let sentFrameBytesMax = 16 << 10
}

extension PendingHeads {
    /// Adds a field that has a code.
    fileprivate func add(_ code: UInt8, _ value: Span<UInt8>) {
        add(code, name: value, value, .allowed)
    }

    fileprivate func add(_ code: UInt8, _ value: StaticString) {
        add(code, Span(_unsafeStart: value.utf8Start, count: value.utf8CodeUnitCount))
    }
}

/// The field by which nghttp2 knows a request's method.
private func methodField(_ method: StaticString) -> nghttp2_nv {
    let name: StaticString = ":method"
    return nghttp2_nv(
        name: UnsafeMutablePointer(mutating: name.utf8Start),
        value: UnsafeMutablePointer(mutating: method.utf8Start),
        namelen: name.utf8CodeUnitCount,
        valuelen: method.utf8CodeUnitCount,
        flags: unheldField
    )
}

private let hopByHop = FieldName.allCases.filter(\.isHopByHop)
    .reduce(FieldNameSet(.meshOrigin)) { $0.with($1) }
private let skippedInResponses = hopByHop
/// `:authority` says it.
private let skippedInRequests = hopByHop.with(.host)
/// RFC 8441 §5: nothing is hashed, nothing is framed.
private let skippedInTunnels = hopByHop.with(.host).with(.contentLength)
    .with(.secWebSocketKey).with(.secWebSocketAccept)

/// Fields whose value is another one each time: in the HPACK table they would only push out those that
/// come again.
private let changing = FieldNameSet(.traceparent).with(.tracestate).with(.b3).with(.xB3TraceID)
    .with(.xB3SpanID).with(.xB3ParentSpanID).with(.xRequestID).with(.grpcTimeout)
    .with(.idempotencyKey)
private let special = changing.with(.authorization).with(.cookie).with(.setCookie)
private let leastCookie = 20
/// Not copied, as it is a literal, and in no table.
private let unheldField = UInt8(
    NGHTTP2_NV_FLAG_NO_INDEX.rawValue | NGHTTP2_NV_FLAG_NO_COPY_NAME.rawValue
        | NGHTTP2_NV_FLAG_NO_COPY_VALUE.rawValue
)
