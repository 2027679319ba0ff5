// The other end of nghttp2's callbacks. Each trampoline recovers the connection and calls one method;
// nothing is thrown across C, what fails is stored and looked at when nghttp2 has returned.

import Bytes
import CNGHTTP2

/// Makes the table of callbacks, the same for all connections.
func makeCallbacks() -> OpaquePointer {
    var table: OpaquePointer?
    precondition(nghttp2_session_callbacks_new(&table) == 0, "out of memory")
    guard let table else { preconditionFailure("out of memory") }
    nghttp2_session_callbacks_set_on_begin_headers_callback(table) { _, frame, user in
        with(user) { $0.beginHeaders(frame.unsafelyUnwrapped) }
    }
    nghttp2_session_callbacks_set_on_header_callback(table) {
        _,
        _,
        name,
        nameCount,
        value,
        valueCount,
        _,
        user in
        with(user) {
            $0.addField(
                UnsafeRawBufferPointer(start: name, count: nameCount),
                UnsafeRawBufferPointer(start: value, count: valueCount)
            )
        }
    }
    // nghttp2 would drop a field with bytes that must not be there; whoever sent it is not trusted
    // with the rest either (RFC 9113 §8.2.1).
    nghttp2_session_callbacks_set_on_invalid_header_callback(table) { _, _, _, _, _, _, _, user in
        with(user) { $0.refuseField() }
    }
    nghttp2_session_callbacks_set_on_frame_recv_callback(table) { _, frame, user in
        with(user) { $0.received(frame.unsafelyUnwrapped) }
    }
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(table) { _, _, _, user in
        with(user) { $0.receivedInvalid() }
    }
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(table) {
        _,
        _,
        number,
        bytes,
        count,
        user in
        with(user) { $0.receivedData(UnsafeRawBufferPointer(start: bytes, count: count), number) }
    }
    nghttp2_session_callbacks_set_on_stream_close_callback(table) { _, number, code, user in
        with(user) { $0.streamClosed(number, code) }
    }
    nghttp2_session_callbacks_set_on_frame_send_callback(table) { _, frame, user in
        with(user) { $0.sent(frame.unsafelyUnwrapped) }
    }
    nghttp2_session_callbacks_set_on_frame_not_send_callback(table) { _, frame, code, user in
        with(user) { $0.notSent(frame.unsafelyUnwrapped, code) }
    }
    nghttp2_session_callbacks_set_send_data_callback(table) { _, frame, header, count, _, user in
        with(user) { $0.writeData(frame.unsafelyUnwrapped, header.unsafelyUnwrapped, count) }
    }
    return table
}

/// What nghttp2 asks when it could send body bytes.
func makeDataProvider() -> nghttp2_data_provider {
    var provider = nghttp2_data_provider()
    provider.read_callback = { _, number, _, room, flags, _, user in
        with(user) { $0.offerData(number, room, flags.unsafelyUnwrapped) }
    }
    return provider
}

@inline(__always)
private func with<R>(
    _ user: UnsafeMutableRawPointer?,
    _ body: (HTTP2Connection) -> R
) -> R {
    Unmanaged<HTTP2Connection>.fromOpaque(user.unsafelyUnwrapped)._withUnsafeGuaranteedRef(body)
}

// Receiving.
extension HTTP2Connection {
    /// The stream that nghttp2 knows by this number, unless it was cut off.
    func stream(_ number: Int32) -> HTTP2Stream? {
        guard let pointer = nghttp2_session_get_stream_user_data(session, number) else {
            return nil
        }
        return Unmanaged<HTTP2Stream>.fromOpaque(pointer).takeUnretainedValue()
    }

    fileprivate func beginHeaders(_ frame: UnsafePointer<nghttp2_frame>) -> Int32 {
        let number = frame.pointee.hd.stream_id
        // RFC 9113 §8.4: a push that crossed our SETTINGS.
        guard frame.pointee.hd.type == FrameType.headers else {
            beginBlock(nil)
            return Int32(NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE.rawValue)
        }
        floods.countTakenHeaders()
        guard frame.pointee.headers.cat == NGHTTP2_HCAT_REQUEST else {
            beginBlock(stream(number))
            return 0
        }
        let stream = makeStream()
        attach(stream)
        stream.number = number
        let pointer = Unmanaged.passUnretained(stream).toOpaque()
        nghttp2_session_set_stream_user_data(session, number, pointer)
        beginRequest(stream)
        return 0
    }

    fileprivate func refuseField() -> Int32 {
        Int32(NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE.rawValue)
    }

    fileprivate func received(_ frame: UnsafePointer<nghttp2_frame>) -> Int32 {
        let header = frame.pointee.hd
        switch header.type {
        case FrameType.data:
            guard header.flags & 0x1 != 0, let stream = stream(header.stream_id) else { break }
            finishMessage(stream, hasTrailers: false)
        case FrameType.headers:
            endBlock(endsStream: header.flags & 0x1 != 0)
        case FrameType.reset:
            stream(header.stream_id)?.state.insert(.isReset)
        case FrameType.settings:
            if header.flags & 0x1 == 0 { noteSettings() }
        case FrameType.ping:
            if header.flags & 0x1 != 0 { notePong() }
        case FrameType.goAway:
            noteGoAway(code: frame.pointee.goaway.error_code)
        default: break
        }
        return 0
    }

    /// A frame that ends the connection, or makes nghttp2 reset or refuse its stream; `sent` sees
    /// which.
    fileprivate func receivedInvalid() -> Int32 {
        isSuspicious = true
        return 0
    }

    fileprivate func receivedData(_ bytes: UnsafeRawBufferPointer, _ number: Int32) -> Int32 {
        if let stream = stream(number) {
            deliver(bytes, to: stream)
        } else {
            nghttp2_session_consume_connection(session, bytes.count)
        }
        return 0
    }

    fileprivate func streamClosed(_ number: Int32, _ code: UInt32) -> Int32 {
        guard let stream = stream(number) else { return 0 }
        if block.stream === stream { block.wanting = nil }
        stream.state.insert(.isClosed)
        let isComplete =
            stream.state.contains(.hasEnded) || stream.state.contains(.owesEnd)
        if let failure = failure(of: stream, code, isComplete) {
            stream.failure = failure
            dropHeld(stream)
            stream.state.remove(.owesEnd)
        } else if isComplete {
            floods.countUsefulStream()
        }
        dropOutgoing(stream)
        attend(stream)
        return 0
    }

    private func failure(
        of stream: HTTP2Stream,
        _ code: UInt32,
        _ isComplete: Bool
    ) -> HTTP2StreamFailure? {
        if stream.state.contains(.isReset) {
            if code == HTTP2ErrorCode.refusedStream { return .refused }
            // RFC 9113 §8.1: the server has answered and does not want the rest of the request.
            if code == HTTP2ErrorCode.noError, isComplete, role == .client { return nil }
            return .reset(code: code)
        }
        switch code {
        case HTTP2ErrorCode.noError: return nil
        case HTTP2ErrorCode.refusedStream: return .refused
        case HTTP2ErrorCode.flowControlError: return .malformed(reason: "flow_control")
        case HTTP2ErrorCode.internalError: return .malformed(reason: "internal_error")
        default: return .malformed(reason: "invalid_message")
        }
    }
}

// Sending.
extension HTTP2Connection {
    fileprivate func sent(_ frame: UnsafePointer<nghttp2_frame>) -> Int32 {
        let header = frame.pointee.hd
        switch header.type {
        case FrameType.data, FrameType.headers:
            floods.countSentMessageFrame()
            let stream = stream(header.stream_id)
            if header.type == FrameType.headers, let output {
                writeHead(header, of: stream, to: output)
            }
            guard header.flags & 0x1 != 0, let stream else { break }
            stream.state.insert(.hasSentEnd)
            if stream.state.contains(.discards), !stream.state.contains(.hasEnded) {
                cut(stream, HTTP2ErrorCode.noError)
            }
        case FrameType.reset:
            // What the owner cut off is known here without user data.
            let isKnown = nghttp2_session_find_stream(session, header.stream_id) != nil
            if !isKnown || stream(header.stream_id) != nil { countProvokedReset() }
        case FrameType.goAway:
            let code = frame.pointee.goaway.error_code
            if code != HTTP2ErrorCode.noError {
                hasSentGoAway = true
                pendingError = pendingError ?? .protocolError(code: code)
            }
        default: break
        }
        return 0
    }

    /// A head that will not be sent, as its stream is ending.
    fileprivate func notSent(_ frame: UnsafePointer<nghttp2_frame>, _ code: Int32) -> Int32 {
        let header = frame.pointee.hd
        guard header.type == FrameType.headers, let stream = stream(header.stream_id) else {
            return 0
        }
        _ = stream.heads.takeFirst { _, _, _ in }
        return 0
    }

    /// How many body bytes of the stream can go into a frame, and whether they are the last.
    fileprivate func offerData(
        _ number: Int32,
        _ room: Int,
        _ flags: UnsafeMutablePointer<UInt32>
    ) -> Int {
        guard let stream = stream(number) else {
            return Int(NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE.rawValue)
        }
        let waiting = stream.outstandingBytes
        if waiting <= room {
            if stream.state.contains(.isSent) {
                flags.pointee |= NGHTTP2_DATA_FLAG_EOF.rawValue
                if stream.state.contains(.owesTrailers) {
                    flags.pointee |= NGHTTP2_DATA_FLAG_NO_END_STREAM.rawValue
                    submitTrailers(stream)
                }
            } else if waiting == 0 {
                stream.state.insert(.isDeferred)
                return Int(NGHTTP2_ERR_DEFERRED.rawValue)
            }
        }
        flags.pointee |= NGHTTP2_DATA_FLAG_NO_COPY.rawValue
        return min(waiting, room)
    }

    /// Writes a DATA frame, its payload straight from where the owner's bytes wait.
    fileprivate func writeData(
        _ frame: UnsafeMutablePointer<nghttp2_frame>,
        _ header: UnsafePointer<UInt8>,
        _ count: Int
    ) -> Int32 {
        guard let output, let stream = stream(frame.pointee.hd.stream_id) else {
            return Int32(NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE.rawValue)
        }
        // Nothing before the trailers: nghttp2 would send an empty frame.
        if count == 0, frame.pointee.hd.flags & 0x1 == 0 { return 0 }
        output.append(
            rawBytes: UnsafeRawBufferPointer(start: header, count: FrameHeader.byteCount)
        )
        if let outgoing = stream.outgoing {
            output.append(outgoing, 0..<count)
            outgoing.consume(count)
            if stream.state.contains(.isCongested), outgoing.count < settings.relievedBytes {
                attend(stream)
            }
            if outgoing.isEmpty { dropOutgoing(stream) }
        }
        return output.count < outputMax ? 0 : Int32(NGHTTP2_ERR_PAUSE.rawValue)
    }
}
