// What a decoder said about some bytes, as lines of text that can be compared.
//
// Shared by the unit tests and the fuzzer, so it does not use Testing.

import Bytes
import HTTP
import HTTP1

/// The events of one decoder over one input.
struct Transcript: Equatable {
    private(set) var lines: [String] = []
    private var body: [UInt8] = []

    /// Decodes requests from `pieces`, given to the decoder one after the other.
    static func requests(_ pieces: [[UInt8]], limits: Limits = Limits()) -> Transcript {
        let decoder = RequestDecoder(limits: limits)
        var transcript = Transcript()
        for piece in pieces {
            let span = piece.span
            var offset = 0
            do throws(HTTP1Error) {
                while true {
                    let event = try decoder.next(span, at: &offset)
                    if event == .head { transcript.add(decoder.head) }
                    transcript.add(event, span, decoder.trailers)
                    if event == .needMore { break }
                }
            } catch {
                transcript.add(error)
                return transcript
            }
            precondition(offset == span.count, "needMore must consume all input")
        }
        transcript.flush()
        if decoder.isIdle { transcript.lines.append("idle") }
        return transcript
    }

    /// Decodes responses to requests with `methods`, which ask for a WebSocket if `webSocket`; `closes`
    /// says that the connection ends then.
    static func responses(
        _ pieces: [[UInt8]],
        to methods: [HTTP.Method],
        limits: Limits = Limits(),
        closes: Bool = false,
        webSocket: Bool = false
    ) -> Transcript {
        let decoder = ResponseDecoder(limits: limits)
        var transcript = Transcript()
        var waiting = methods[...]
        if let method = waiting.popFirst() {
            decoder.expect(method: method, webSocket: webSocket)
        }
        do throws(HTTP1Error) {
            for piece in pieces {
                let span = piece.span
                var offset = 0
                while true {
                    let event = try decoder.next(span, at: &offset)
                    if event == .head { transcript.add(decoder.head) }
                    transcript.add(event, span, decoder.trailers)
                    if event == .needMore { break }
                    if case .end = event, let method = waiting.popFirst() {
                        decoder.expect(method: method, webSocket: webSocket)
                    }
                }
                precondition(offset == span.count, "needMore must consume all input")
            }
            if closes {
                let event = try decoder.endOfInput()
                let nothing: [UInt8] = []
                transcript.add(event, nothing.span, decoder.trailers)
            }
        } catch {
            transcript.add(error)
            return transcript
        }
        transcript.flush()
        if decoder.isIdle { transcript.lines.append("idle") }
        return transcript
    }

    private mutating func add(_ event: Event, _ input: Span<UInt8>, _ trailers: FieldBlock) {
        switch event {
        case .needMore, .head: return
        case .body(let range):
            precondition(!range.isEmpty, "an empty body event says nothing")
            body += input.extracting(range).array
        case .end(let hasTrailers):
            flush()
            lines.append(hasTrailers ? "end \(trailers.text)" : "end")
        }
    }

    private mutating func add(_ head: RequestHead) {
        let authority =
            head.hasAuthority
            ? "\(head.withHost { $0.string }):\(head.port.map { "\($0)" } ?? "-")" : "-"
        lines.append(
            "\(head.withMethod { $0.string }) \(head.withTarget { $0.string })"
                + " \(head.version.text) \(head.scheme.map { "\($0)" } ?? "-") \(authority)"
                + " \(head.bodyLength.text) \(head.wantsKeepAlive ? "keep" : "close")"
                + "\(head.expectsContinue ? " continue" : "") \(head.fields.text)"
        )
    }

    private mutating func add(_ head: ResponseHead) {
        lines.append(
            "\(head.status) \(head.withReason { $0.string }) \(head.version.text)"
                + " \(head.bodyLength.text) \(head.wantsKeepAlive ? "keep" : "close")"
                + " \(head.fields.text)"
        )
    }

    private mutating func add(_ error: HTTP1Error) {
        flush()
        // Not the payload: how much of a name was seen when a limit was hit depends on the split.
        lines.append("error \(error.reason)")
    }

    /// Pieces of a body depend on the split, their sum does not.
    private mutating func flush() {
        if !body.isEmpty { lines.append("body \(String(decoding: body, as: UTF8.self))") }
        body = []
    }
}

extension FieldBlock {
    /// `[Name: value; Name: value]` of what is not removed.
    var text: String {
        let lines = (0..<count).filter { !isRemoved(at: $0) }.map { index in
            "\(withName(at: index) { $0.string }): \(withValue(at: index) { $0.string })"
        }
        return "[\(lines.joined(separator: "; "))]"
    }
}

extension HTTPVersion {
    fileprivate var text: String {
        switch self {
        case .http10: "1.0"
        case .http11: "1.1"
        case .http2: "2"
        }
    }
}

extension BodyLength {
    fileprivate var text: String {
        switch self {
        case .none: "none"
        case .known(let count): "\(count)"
        case .chunked: "chunked"
        case .untilClose: "untilClose"
        }
    }
}

extension RequestDecoder {
    /// `next` over an array, which macros of tests can hold other than a span.
    func next(_ input: [UInt8], at offset: inout Int) throws(HTTP1Error) -> Event {
        try next(input.span, at: &offset)
    }
}

extension ResponseDecoder {
    /// `next` over an array, which macros of tests can hold other than a span.
    func next(_ input: [UInt8], at offset: inout Int) throws(HTTP1Error) -> Event {
        try next(input.span, at: &offset)
    }
}

/// Cuts `bytes` into pieces that have one to `longest` bytes.
func split(
    _ bytes: [UInt8],
    longest: Int,
    using random: inout some RandomNumberGenerator
) -> [[UInt8]] {
    var pieces: [[UInt8]] = []
    var rest = bytes[...]
    while !rest.isEmpty {
        let count = min(rest.count, Int.random(in: 1...longest, using: &random))
        pieces.append(Array(rest.prefix(count)))
        rest = rest.dropFirst(count)
    }
    return pieces
}

/// A generator whose every sequence can be had again from its seed (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }
}
