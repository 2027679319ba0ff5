import Bytes

extension Span where Element == UInt8 {
    /// The range of the next member of a comma-separated list at or after `position`, without the
    /// white space around it, or nil at the end; empty members are skipped (RFC 9110 §5.6.1.2).
    ///
    /// It does not know quoted strings: use it for lists of tokens only.
    public func nextListMember(at position: inout Int) -> Range<Int>? {
        while position < count {
            let comma = firstIndex(of: UInt8(ascii: ","), from: position) ?? count
            let range = trimmed(position..<comma)
            position = comma + 1
            if !range.isEmpty { return range }
        }
        return nil
    }

    /// `range` without the spaces and tabs at its ends.
    public func trimmed(_ range: Range<Int>) -> Range<Int> {
        var from = range.lowerBound
        var to = range.upperBound
        while from < to && isBlank(self[from]) { from += 1 }
        while to > from && isBlank(self[to - 1]) { to -= 1 }
        return from..<to
    }
}

@inline(__always)
private func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }
