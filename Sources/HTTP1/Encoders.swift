// Heads and body framing as HTTP/1.1 writes them.
//
// The fields of a head are trusted here: decoders checked those that were received, and whoever
// adds one vouches for it. What is *not* taken from the fields is framing and the connection's
// fate: `Connection` and `Transfer-Encoding` are written from the arguments only.

public import Bytes
public import HTTP

/// Writes request heads.
public enum RequestEncoder {
    /// Appends a request head in HTTP/1.1.
    ///
    /// `extra` holds complete field lines, each with its CRLF, that go last. The fields must be
    /// without `Connection` and `Transfer-Encoding`, see `FieldBlock.removeHopByHop`.
    public static func appendHead(
        _ head: RequestHead,
        bodyLength: BodyLength,
        closes: Bool = false,
        extra: ByteBuffer? = nil,
        to buffer: ByteBuffer
    ) {
        precondition(
            bodyLength != .untilClose || head.isWebSocket,
            "only a tunnel ends by closing"
        )
        if head.hasLine {
            head.withLine { buffer.append($0) }
            buffer.appendLineEnd()
        } else {
            head.withMethod { buffer.append($0) }
            buffer.append(UInt8(ascii: " "))
            head.withTarget { buffer.append($0) }
            buffer.append(" HTTP/1.1\r\n")
        }
        head.fields.appendLines(to: buffer)
        appendFraming(bodyLength, of: head.fields, to: buffer)
        if head.isWebSocket {
            buffer.append("Connection: Upgrade\r\nUpgrade: websocket\r\n")
            if let extra { buffer.append(extra) }
            return buffer.appendLineEnd()
        }
        // RFC 9110 §10.1.4: TE is announced as a field of this connection.
        switch (closes, head.fields.contains(.te)) {
        case (false, false): break
        case (false, true): buffer.append("Connection: TE\r\n")
        case (true, false): buffer.append("Connection: close\r\n")
        case (true, true): buffer.append("Connection: close, TE\r\n")
        }
        if let extra { buffer.append(extra) }
        buffer.appendLineEnd()
    }
}

/// Writes response heads.
public enum ResponseEncoder {
    /// How a body is framed towards a peer of this version: HTTP/1.0 knows no chunks (RFC 9112 §7).
    public static func framing(of bodyLength: BodyLength, to peer: HTTPVersion) -> BodyLength {
        bodyLength == .chunked && peer == .http10 ? .untilClose : bodyLength
    }

    /// Appends a response head and returns how the body must be framed.
    ///
    /// The connection must be closed after the response when `closes` is set or `.untilClose` comes
    /// back. Requirements on the fields and `extra` are those of `RequestEncoder.appendHead`.
    @discardableResult
    public static func appendHead(
        _ head: ResponseHead,
        bodyLength: BodyLength,
        to peer: HTTPVersion,
        closes: Bool = false,
        extra: ByteBuffer? = nil,
        to buffer: ByteBuffer
    ) -> BodyLength {
        let framing = framing(of: bodyLength, to: peer)
        if head.hasLine {
            head.withLine { buffer.append($0) }
        } else {
            // RFC 9110 §2.5: the version is our own, also towards HTTP/1.0.
            buffer.append("HTTP/1.1 ")
            buffer.append(decimal: UInt64(head.status))
            buffer.append(UInt8(ascii: " "))
            head.withReason { buffer.append($0) }
        }
        buffer.appendLineEnd()
        head.fields.appendLines(to: buffer)
        appendFraming(framing, of: head.fields, to: buffer)
        if head.status == 101 {
            buffer.append("Connection: Upgrade\r\nUpgrade: websocket\r\n")
        } else if closes || framing == .untilClose {
            buffer.append("Connection: close\r\n")
        } else if peer == .http10 {
            // RFC 9112 §9.3: HTTP/1.0 closes unless told otherwise.
            buffer.append("Connection: keep-alive\r\n")
        }
        if let extra { buffer.append(extra) }
        buffer.appendLineEnd()
        return framing
    }

    /// Appends an interim response without fields, such as `100 Continue`.
    public static func appendContinue(to buffer: ByteBuffer) {
        buffer.append("HTTP/1.1 100 Continue\r\n\r\n")
    }
}

/// Writes the chunked coding (RFC 9112 §7.1).
public enum ChunkEncoder {
    /// Bytes that a chunk of any size adds to its data at most: 16 digits and two CRLF.
    public static let overheadBytesMax = 20

    /// Appends what goes before `count` bytes of data; `count` must not be 0, which ends the body.
    public static func appendChunkHeader(_ count: Int, to buffer: ByteBuffer) {
        precondition(count > 0, "an empty chunk ends the body")
        buffer.append(hex: UInt64(count))
        buffer.appendLineEnd()
    }

    /// Appends what goes after the data of a chunk.
    public static func appendChunkEnd(to buffer: ByteBuffer) { buffer.appendLineEnd() }

    /// Appends the end of the body, with trailers when there are any.
    public static func appendLastChunk(trailers: FieldBlock? = nil, to buffer: ByteBuffer) {
        buffer.append("0\r\n")
        trailers?.appendLines(to: buffer)
        buffer.appendLineEnd()
    }
}

/// Appends the framing field that `fields` do not hold already.
private func appendFraming(
    _ bodyLength: BodyLength,
    of fields: FieldBlock,
    to buffer: ByteBuffer
) {
    // Two framings, or one that was the previous hop's, would be smuggling by our own hand.
    precondition(!fields.contains(.transferEncoding), "Transfer-Encoding was not removed")
    precondition(!fields.contains(.connection), "Connection was not removed")
    switch bodyLength {
    case .none, .untilClose: break
    case .known(let count):
        guard !fields.contains(.contentLength) else { return }
        buffer.append("Content-Length: ")
        buffer.append(decimal: count)
        buffer.appendLineEnd()
    case .chunked:
        precondition(!fields.contains(.contentLength), "Content-Length with a chunked body")
        buffer.append("Transfer-Encoding: chunked\r\n")
    }
}
