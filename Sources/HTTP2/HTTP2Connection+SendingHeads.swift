// Heads and trailers as lists of fields for nghttp2, which copies them and makes names lower case.

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
        let list = memory.fieldList
        list.clear()
        let origin = carriesOrigin && head.originVersion != .http2
        let skipped = head.isWebSocket ? skippedInTunnels : skippedInRequests
        let originCount = origin ? writeOrigin(head.fields, skipped) : 0
        list.add(":method", to: head.isWebSocket ? "CONNECT" : nil) { head.withMethod($0) }
        if head.isWebSocket { list.add(":protocol", to: "websocket") { _ in } }
        list.add(":scheme", to: settings.isSecure ? "https" : "http") { _ in }
        if head.hasAuthority { list.add(":authority", to: nil) { head.withAuthority($0) } }
        list.add(":path", to: nil) { head.withTarget($0) }
        if origin { addOrigin(originCount) }
        add(head.fields, skipped)
        var provider = memory.provider
        let pointer = Unmanaged.passUnretained(stream).toOpaque()
        let number = withUnsafePointer(to: &provider) {
            nghttp2_submit_request(
                session,
                nil,
                list.start,
                list.count,
                endsStream ? nil : $0,
                pointer
            )
        }
        precondition(number > 0, "canOpenStream was not asked")
        stream.number = number
        // RFC 9113 §5.1.1: they are never used again.
        if number == Int32.max { hasUsedLastNumber = true }
    }

    /// Sends a response head, interim or final.
    func sendHead(
        _ head: ResponseHead,
        on stream: HTTP2Stream,
        endsStream: Bool,
        carriesOrigin: Bool
    ) {
        let list = memory.fieldList
        list.clear()
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
        let originCount = origin ? writeOrigin(head.fields, skipped) : 0
        let scratch = memory.digits
        scratch.clear()
        scratch.append(decimal: UInt64(status))
        list.add(":status", to: nil) { scratch.withSpan($0) }
        if origin { addOrigin(originCount) }
        add(head.fields, skipped)
        if status < 200 {
            nghttp2_submit_headers(session, 0, stream.number, nil, list.start, list.count, nil)
            return
        }
        stream.state.insert(.hasFinalHead)
        if endsStream { stream.state.insert(.isSent) }
        var provider = memory.provider
        _ = withUnsafePointer(to: &provider) {
            nghttp2_submit_response(
                session,
                stream.number,
                list.start,
                list.count,
                endsStream ? nil : $0
            )
        }
    }

    /// Sends the trailers that wait behind the body.
    func submitTrailers(_ stream: HTTP2Stream) {
        stream.state.remove(.owesTrailers)
        guard let trailers = stream.outgoingTrailers else { return }
        let list = memory.fieldList
        list.clear()
        for index in 0..<trailers.count
        where !trailers.known(at: index).isForbiddenInTrailers {
            add(trailers, index)
        }
        nghttp2_submit_trailer(session, stream.number, list.start, list.count)
        trailers.clear()
    }

    /// Writes `mesh-origin` to the scratch space; returns its length.
    private func writeOrigin(_ fields: FieldBlock, _ skipped: FieldNameSet) -> Int {
        let scratch = memory.scratch
        scratch.clear()
        var pattern = OriginPattern(scratch)
        for index in 0..<fields.count where isSent(fields, index, skipped) {
            fields.withName(at: index) { pattern.add($0) }
        }
        pattern.end()
        return scratch.count
    }

    private func addOrigin(_ count: Int) {
        memory.fieldList.add("mesh-origin", to: nil) { memory.scratch.withSpan(0..<count, $0) }
    }

    private func add(_ fields: FieldBlock, _ skipped: FieldNameSet) {
        for index in 0..<fields.count where isSent(fields, index, skipped) { add(fields, index) }
    }

    /// Whether the field goes out: nothing that speaks of a connection (RFC 9113 §8.2.2).
    private func isSent(_ fields: FieldBlock, _ index: Int, _ skipped: FieldNameSet) -> Bool {
        guard !fields.isRemoved(at: index) else { return false }
        let known = fields.known(at: index)
        if skipped.contains(known) { return false }
        return known != .te || fields.valueMatches("trailers", at: index)
    }

    private func add(_ fields: FieldBlock, _ index: Int) {
        let flags = changing.contains(fields.known(at: index)) ? noIndex : 0
        fields.withName(at: index) { name in
            fields.withValue(at: index) { value in
                name.withUnsafeBytes { name in
                    value.withUnsafeBytes { memory.fieldList.add(name, $0, flags: flags) }
                }
            }
        }
    }
}

extension FieldList {
    /// Adds a field with a fixed name, and a fixed value or one that `lend` lends; it must not move
    /// before the list is submitted.
    fileprivate func add(
        _ name: StaticString,
        to fixed: StaticString?,
        _ lend: ((Span<UInt8>) -> Void) -> Void
    ) {
        let name = UnsafeRawBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount)
        if let fixed {
            let value = UnsafeRawBufferPointer(
                start: fixed.utf8Start,
                count: fixed.utf8CodeUnitCount
            )
            return add(name, value, flags: 0)
        }
        lend { value in value.withUnsafeBytes { add(name, $0, flags: 0) } }
    }
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
private let noIndex = UInt8(NGHTTP2_NV_FLAG_NO_INDEX.rawValue)
