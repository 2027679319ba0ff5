// Cuts the input into lines, across any split of it.
//
// What it is: the one place that decides what a line end is, so head, chunk sizes and trailers
// agree. A line that lies whole in the input is lent in place; only one that is split is copied.
//
// Invariants:
// - every input byte is looked at once by the search for the line end, however it is split; in a
//   head it was looked at once more, by the search for ordinary lines
// - `pending` never holds more than the limit of the line and one CR
// - the same bytes give the same lines and the same error, however they are split

import Bytes

/// Finds lines that end in CRLF.
final class LineReader {
    enum Line {
        /// The line is not complete; all input is consumed.
        case needMore
        /// The line is this range of the input, without its CRLF.
        case input(Range<Int>)
        /// The line is what `pending` holds; `finish()` it after use.
        case pending
    }

    let pending = ByteBuffer()
    private var pendingEndsInCR = false

    /// Whether the beginning of a line was kept.
    var isInsideLine: Bool { pendingEndsInCR || !pending.isEmpty }

    /// Finds the end of the line that starts at `offset`, or goes on in `pending`.
    ///
    /// A line with more than `limit` bytes without its CRLF throws what `tooLong` makes of its
    /// beginning.
    ///
    /// A lone LF is refused although RFC 9112 §2.2 permits to take it as a line end: a peer that
    /// does not, or that does so only in chunk lines, then sees another message than we do, and
    /// that disagreement is what request smuggling is made of.
    @inline(__always)
    func next(
        _ input: Span<UInt8>,
        at offset: inout Int,
        limit: Int,
        tooLong: (Span<UInt8>) -> HTTP1Error
    ) throws(HTTP1Error) -> Line {
        if isInsideLine { return try resume(input, at: &offset, limit: limit, tooLong: tooLong) }
        let start = offset
        let end = input.firstControl(from: start) ?? input.count
        if end - start > limit { throw tooLong(input.extracting(start..<end)) }
        guard end + 1 < input.count else {
            return try keep(input, at: &offset, end: end)
        }
        try checkLineEnd(input[end], input[end + 1])
        offset = end + 2
        return .input(start..<end)
    }

    /// Forgets the pending line and gives its memory back: lines are seldom split.
    func finish() {
        pending.release()
        pendingEndsInCR = false
    }

    /// Keeps the unfinished line that starts at `offset` and whose first control is at `end`.
    private func keep(
        _ input: Span<UInt8>,
        at offset: inout Int,
        end: Int
    ) throws(HTTP1Error) -> Line {
        if end < input.count {
            guard input[end] == UInt8(ascii: "\r") else { throw lineError(input[end]) }
            pendingEndsInCR = true
        }
        pending.append(input.extracting(offset..<end))
        offset = input.count
        return .needMore
    }

    private func resume(
        _ input: Span<UInt8>,
        at offset: inout Int,
        limit: Int,
        tooLong: (Span<UInt8>) -> HTTP1Error
    ) throws(HTTP1Error) -> Line {
        guard offset < input.count else { return .needMore }
        if pendingEndsInCR {
            try checkLineEnd(UInt8(ascii: "\r"), input[offset])
            offset += 1
            return .pending
        }
        let end = input.firstControl(from: offset) ?? input.count
        if pending.count + (end - offset) > limit {
            // What is kept of the line that is refused is bounded like any other.
            let room = limit + 1 - pending.count
            pending.append(input.extracting(offset..<offset + room))
            throw pending.withSpan(tooLong)
        }
        guard end + 1 < input.count else { return try keep(input, at: &offset, end: end) }
        try checkLineEnd(input[end], input[end + 1])
        pending.append(input.extracting(offset..<end))
        offset = end + 2
        return .pending
    }

    @inline(__always)
    private func checkLineEnd(_ first: UInt8, _ second: UInt8) throws(HTTP1Error) {
        guard first == UInt8(ascii: "\r") else { throw lineError(first) }
        guard second == UInt8(ascii: "\n") else { throw .bareCarriageReturn }
    }

    private func lineError(_ byte: UInt8) -> HTTP1Error {
        byte == UInt8(ascii: "\n") ? .bareLineFeed : .controlByte(byte)
    }
}
