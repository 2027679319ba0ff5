// Where a body ends, for requests and responses alike (RFC 9112 §6 and §7).

import Bytes
import HTTP

/// Walks over the bytes of one body after the other.
final class BodyReader {
    private enum State {
        /// Nothing is left of the message but its end event.
        case ended
        case fixed(remaining: UInt64)
        case untilClose
        case chunkSize
        case chunkData(remaining: UInt64)
        case chunkEnd
        case trailers
    }

    let trailers = FieldBlock()
    private let lines: LineReader
    private let trailerReader: FieldSectionReader
    private let extensionBytesMax: Int
    private var extensionBytes = 0
    private var state = State.ended

    init(lines: LineReader, limits: Limits) {
        self.lines = lines
        extensionBytesMax = limits.chunkExtensionBytesMax
        trailerReader = FieldSectionReader(
            lines: lines,
            isTrailer: true,
            bytesMax: limits.trailerBytesMax,
            countMax: limits.trailerCountMax
        )
    }

    /// Whether the body ends only with the connection.
    var endsByClosing: Bool { if case .untilClose = state { true } else { false } }

    /// Whether all of the body was handed out, so that only its end event is left.
    var isAtEnd: Bool { if case .ended = state { true } else { false } }

    /// Begins the body of a new message.
    func begin(_ length: BodyLength) {
        switch length {
        case .none: state = .ended
        case .known(let count): state = count == 0 ? .ended : .fixed(remaining: count)
        case .untilClose: state = .untilClose
        case .chunked:
            state = .chunkSize
            extensionBytes = 0
            trailers.clear()
            trailerReader.begin()
        }
    }

    /// The next piece of the body, or its end, after which `begin` must be called.
    func next(_ input: Span<UInt8>, at offset: inout Int) throws(HTTP1Error) -> Event {
        while true {
            switch state {
            case .ended: return .end(trailers: false)
            case .fixed(let remaining):
                guard offset < input.count else { return .needMore }
                let range = take(remaining, of: input, at: &offset)
                let left = remaining - UInt64(range.count)
                state = left == 0 ? .ended : .fixed(remaining: left)
                return .body(range)
            case .untilClose:
                guard offset < input.count else { return .needMore }
                return .body(take(UInt64(Int.max), of: input, at: &offset))
            case .chunkSize:
                guard let size = try readSize(input, at: &offset) else { return .needMore }
                state = size == 0 ? .trailers : .chunkData(remaining: size)
            case .chunkData(let remaining):
                guard offset < input.count else { return .needMore }
                let range = take(remaining, of: input, at: &offset)
                let left = remaining - UInt64(range.count)
                state = left == 0 ? .chunkEnd : .chunkData(remaining: left)
                return .body(range)
            case .chunkEnd:
                let line = try lines.next(input, at: &offset, limit: 0) { _ in .missingChunkEnd }
                if case .needMore = line { return .needMore }
                lines.finish()
                state = .chunkSize
            case .trailers:
                guard try trailerReader.read(input, at: &offset, into: trailers) else {
                    return .needMore
                }
                state = .ended
                return .end(trailers: trailers.count > 0)
            }
        }
    }

    private func take(
        _ remaining: UInt64,
        of input: Span<UInt8>,
        at offset: inout Int
    ) -> Range<Int> {
        let start = offset
        offset += Int(min(remaining, UInt64(input.count - offset)))
        return start..<offset
    }

    private func readSize(
        _ input: Span<UInt8>,
        at offset: inout Int
    ) throws(HTTP1Error) -> UInt64? {
        let limit = BodyReader.sizeDigitsMax + extensionBytesMax - extensionBytes
        let line = try lines.next(input, at: &offset, limit: limit) { tooLong($0) }
        switch line {
        case .needMore: return nil
        case .input(let range): return try parseSize(input.extracting(range))
        case .pending:
            let size = try lines.pending.withSpan { (bytes) throws(HTTP1Error) in
                try parseSize(bytes)
            }
            lines.finish()
            return size
        }
    }

    /// `chunk-size [chunk-ext]` of RFC 9112 §7.1; extensions are counted and dropped (§7.1.1).
    private func parseSize(_ line: Span<UInt8>) throws(HTTP1Error) -> UInt64 {
        var size: UInt64 = 0
        var digits = 0
        while digits < line.count, let digit = Grammar.hexValue(line[digits]) {
            guard digits < BodyReader.sizeDigitsMax else { throw .chunkSizeOverflow }
            size = size &<< 4 | digit
            digits += 1
        }
        guard digits > 0 else { throw .invalidChunkSize }
        guard size <= UInt64(Int64.max) else { throw .chunkSizeOverflow }
        if digits < line.count {
            let rest = line.trimmed(digits..<line.count)
            guard !rest.isEmpty, line[rest.lowerBound] == UInt8(ascii: ";") else {
                throw .invalidChunkSize
            }
            extensionBytes += line.count - digits
            guard extensionBytes <= extensionBytesMax else {
                throw .chunkExtensionsTooLong(limit: extensionBytesMax)
            }
        }
        return size
    }

    private func tooLong(_ line: Span<UInt8>) -> HTTP1Error {
        for index in 0...BodyReader.sizeDigitsMax where Grammar.hexValue(line[index]) == nil {
            return .chunkExtensionsTooLong(limit: extensionBytesMax)
        }
        return .chunkSizeOverflow
    }

    /// Digits of a 64-bit size: more of them, even zeros, serve nobody but an attacker.
    private static let sizeDigitsMax = 16
}
