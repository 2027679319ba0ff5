import Bytes
import HTTP

/// Reads field lines up to the empty line, for heads and for trailers.
///
/// Bytes and lines are counted before they are kept, so a section over its limit is never stored.
final class FieldSectionReader {
    private let lines: LineReader
    private let isTrailer: Bool
    private let bytesMax: Int
    private let countMax: Int
    private var bytesUsed = 0

    init(lines: LineReader, isTrailer: Bool, bytesMax: Int, countMax: Int) {
        self.lines = lines
        self.isTrailer = isTrailer
        self.bytesMax = bytesMax
        self.countMax = countMax
    }

    /// Begins a new section.
    func begin() { bytesUsed = 0 }

    /// Appends complete lines to `fields`; true when the empty line was reached.
    func read(
        _ input: Span<UInt8>,
        at offset: inout Int,
        into fields: FieldBlock
    ) throws(HTTP1Error) -> Bool {
        while true {
            if !isTrailer, !lines.isInsideLine {
                let start = offset
                offset = fields.appendOrdinaryLines(
                    of: input,
                    from: start,
                    bytesMax: bytesMax - bytesUsed,
                    countMax: countMax
                )
                bytesUsed += offset - start
                if offset + 2 <= input.count, input[offset] == UInt8(ascii: "\r"),
                    input[offset + 1] == UInt8(ascii: "\n")
                {
                    offset += 2
                    return true
                }
            }
            // What is left is a line that is split, the last one too, or that wants a closer look.
            // Each line counts with its CRLF; the empty line that ends the section does not.
            let limit = max(0, bytesMax - bytesUsed - 2)
            let line = try lines.next(input, at: &offset, limit: limit) { tooLarge($0) }
            switch line {
            case .needMore: return false
            case .input(let range):
                if range.isEmpty { return true }
                // Taken with its CRLF, so that an ordinary line is stored by one copy.
                let whole = input.extracting(range.lowerBound..<range.upperBound + 2)
                try append(whole, to: fields)
            case .pending:
                if lines.pending.isEmpty {
                    lines.finish()
                    return true
                }
                lines.pending.append("\r\n")
                try lines.pending.withSpan { (whole) throws(HTTP1Error) in
                    try append(whole, to: fields)
                }
                lines.finish()
            }
        }
    }

    /// Checks one field line, which ends in CRLF and holds no other control byte but HTAB.
    private func append(_ line: Span<UInt8>, to fields: FieldBlock) throws(HTTP1Error) {
        let count = line.count - 2
        bytesUsed += line.count
        let nameCount = Grammar.tokenCount(line)
        guard nameCount > 0, nameCount < count, line[nameCount] == UInt8(ascii: ":") else {
            throw nameError(line.extracting(first: count), nameCount: nameCount)
        }
        let name = line.extracting(first: nameCount)
        let known = FieldName(matching: name)
        guard fields.count < countMax else { throw tooMany(name) }
        if isTrailer, known.isForbiddenInTrailers {
            throw .forbiddenTrailer(field: Grammar.fieldLabel(line))
        }
        // The common layout is the one we write ourselves: one space, and none at the end.
        if nameCount + 2 < count, line[nameCount + 1] == 0x20,
            !Grammar.isBlank(line[nameCount + 2]), !Grammar.isBlank(line[count - 1])
        {
            fields.append(line: line, nameCount: nameCount, known: known)
            return
        }
        let value = line.trimmed(nameCount + 1..<count)
        fields.append(known, name: name, value: line.extracting(value))
    }

    /// What is wrong with a line of which only the first `nameCount` bytes are a token.
    private func nameError(_ line: Span<UInt8>, nameCount: Int) -> HTTP1Error {
        guard nameCount < line.count else { return .missingColon }
        let byte = line[nameCount]
        // RFC 9112 §5.2: obsolete line folding, also before the first field (§2.2).
        if nameCount == 0, Grammar.isBlank(byte) { return .foldedField }
        if Grammar.isBlank(byte) {
            // RFC 9112 §5.1: a proxy that ignored this space would see another name than the next.
            let rest = line.trimmed(nameCount..<line.count)
            let isColon = !rest.isEmpty && line[rest.lowerBound] == UInt8(ascii: ":")
            return isColon ? .whitespaceBeforeColon : .invalidFieldName
        }
        return .invalidFieldName
    }

    private func tooLarge(_ line: Span<UInt8>) -> HTTP1Error {
        let field = Grammar.fieldLabel(line)
        return isTrailer
            ? .trailersTooLarge(field: field, limit: bytesMax)
            : .fieldSectionTooLarge(field: field, limit: bytesMax)
    }

    private func tooMany(_ name: Span<UInt8>) -> HTTP1Error {
        var field = Grammar.fieldLabel(name)
        if field.hasSuffix("..."), name.count <= 40 { field.removeLast(3) }
        return isTrailer
            ? .tooManyTrailers(field: field, limit: countMax)
            : .tooManyFields(field: field, limit: countMax)
    }
}
