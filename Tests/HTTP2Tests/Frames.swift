/// Writes raw frames, right and wrong ones, with HPACK literals only.
enum Frames {
    static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)
    static let emptySettings = frame(type: 4)
    static let settingsAcknowledgement = frame(type: 4, flags: 1)
    /// What a client begins with.
    static let hello = preface + emptySettings

    static func frame(
        type: UInt8,
        flags: UInt8 = 0,
        stream: UInt32 = 0,
        _ payload: [UInt8] = [],
        length: Int? = nil
    ) -> [UInt8] {
        let length = length ?? payload.count
        return [UInt8(length >> 16 & 255), UInt8(length >> 8 & 255), UInt8(length & 255)]
            + [type, flags] + word(stream) + payload
    }

    static func word(_ value: UInt32) -> [UInt8] {
        [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: value >> $0) }
    }

    /// A literal field without indexing and without Huffman coding (RFC 7541 §6.2.2).
    static func literal(_ name: [UInt8], _ value: [UInt8]) -> [UInt8] {
        [0] + integer(name.count, prefix: 7) + name + integer(value.count, prefix: 7) + value
    }

    static func literal(_ name: String, _ value: String) -> [UInt8] {
        literal(Array(name.utf8), Array(value.utf8))
    }

    /// An integer of HPACK whose first byte has `prefix` bits (RFC 7541 §5.1).
    static func integer(_ value: Int, prefix: Int, first: UInt8 = 0) -> [UInt8] {
        let most = 1 << prefix - 1
        guard value >= most else { return [first | UInt8(value)] }
        var bytes = [first | UInt8(most)]
        var rest = value - most
        while rest >= 128 {
            bytes.append(UInt8(rest & 127 | 128))
            rest >>= 7
        }
        return bytes + [UInt8(rest)]
    }

    static func block(_ fields: [(String, String)]) -> [UInt8] {
        fields.flatMap { literal($0.0, $0.1) }
    }

    static func headers(
        _ fields: [(String, String)],
        stream: UInt32 = 1,
        endsStream: Bool = true
    ) -> [UInt8] {
        headers(block: block(fields), stream: stream, endsStream: endsStream)
    }

    static func headers(
        block: [UInt8],
        stream: UInt32 = 1,
        endsStream: Bool = true,
        endsHeaders: Bool = true
    ) -> [UInt8] {
        frame(
            type: 1,
            flags: (endsStream ? 1 : 0) | (endsHeaders ? 4 : 0),
            stream: stream,
            block
        )
    }

    static func continuation(_ block: [UInt8], stream: UInt32 = 1, ends: Bool = true) -> [UInt8] {
        frame(type: 9, flags: ends ? 4 : 0, stream: stream, block)
    }

    static func data(
        _ bytes: [UInt8] = [],
        stream: UInt32 = 1,
        endsStream: Bool = false
    ) -> [UInt8] {
        frame(type: 0, flags: endsStream ? 1 : 0, stream: stream, bytes)
    }

    static func reset(_ code: UInt32, stream: UInt32 = 1) -> [UInt8] {
        frame(type: 3, stream: stream, word(code))
    }

    static func windowUpdate(_ increment: UInt32, stream: UInt32 = 0) -> [UInt8] {
        frame(type: 8, stream: stream, word(increment))
    }

    static func ping(isAnswer: Bool = false) -> [UInt8] {
        frame(type: 6, flags: isAnswer ? 1 : 0, Array(repeating: 7, count: 8))
    }

    static func goAway(last: UInt32, _ code: UInt32) -> [UInt8] {
        frame(type: 7, word(last) + word(code))
    }

    static func settings(_ entries: [(UInt16, UInt32)]) -> [UInt8] {
        frame(
            type: 4,
            entries.flatMap { [UInt8($0.0 >> 8), UInt8($0.0 & 255)] + word($0.1) }
        )
    }

    static func request(
        _ method: String = "GET",
        path: String = "/",
        authority: String? = "a.example",
        scheme: String = "http"
    ) -> [(String, String)] {
        request(method, path: path, authority: authority, scheme: scheme, [])
    }

    static func request(_ more: [(String, String)]) -> [(String, String)] {
        request("GET", more)
    }

    static func request(
        _ method: String,
        _ more: [(String, String)]
    ) -> [(String, String)] {
        request(method, path: "/", more)
    }

    static func request(
        authority: String?,
        _ more: [(String, String)]
    ) -> [(String, String)] {
        request("GET", authority: authority, more)
    }

    /// The fields every request has.
    static func request(
        _ method: String = "GET",
        path: String = "/",
        authority: String? = "a.example",
        scheme: String = "http",
        _ more: [(String, String)]
    ) -> [(String, String)] {
        var fields = [(":method", method), (":scheme", scheme), (":path", path)]
        if let authority { fields.append((":authority", authority)) }
        return fields + more
    }
}

/// A frame as it was received.
struct ReceivedFrame: Equatable {
    var type: UInt8
    var flags: UInt8
    var stream: UInt32
    var payload: [UInt8]

    /// The frames that `bytes` consist of, after the preface if there is one.
    static func all(_ bytes: [UInt8]) -> [ReceivedFrame] {
        var rest = bytes[...]
        if rest.starts(with: Frames.preface) { rest = rest.dropFirst(Frames.preface.count) }
        var frames: [ReceivedFrame] = []
        while rest.count >= 9 {
            let header = Array(rest.prefix(9))
            let length = Int(header[0]) << 16 | Int(header[1]) << 8 | Int(header[2])
            let payload = Array(rest.dropFirst(9).prefix(length))
            guard payload.count == length else { break }
            frames.append(
                ReceivedFrame(
                    type: header[3],
                    flags: header[4],
                    stream: number(header[5..<9]) & 0x7FFF_FFFF,
                    payload: payload
                )
            )
            rest = rest.dropFirst(9 + length)
        }
        precondition(rest.isEmpty, "a frame was split")
        return frames
    }

    static func number(_ bytes: some Sequence<UInt8>) -> UInt32 {
        bytes.reduce(0) { $0 << 8 | UInt32($1) }
    }

    /// Of RST_STREAM; of GOAWAY.
    var resetCode: UInt32? { type == 3 ? ReceivedFrame.number(payload) : nil }
    var goAwayCode: UInt32? { type == 7 ? ReceivedFrame.number(payload[4..<8]) : nil }
}
