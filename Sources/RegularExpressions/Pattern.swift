// Regular expressions for routing: what a manifest says is compiled once, what a peer sends is
// matched in time linear in its length.
//
// What it is: RE2's syntax without what routing has no use for. Most patterns become a table with one
// row per state and one look-up per byte; the few whose table would be large are simulated state by
// state. What it is not: a backtracking engine. No input takes longer than
// `input bytes × PatternLimits.instructionsMax` steps, whatever the pattern.
//
// Invariants:
// - the whole input must match; `^` and `$` are allowed and usually change nothing
// - bytes are matched, not characters: a character beyond ASCII in the pattern is its UTF-8, `.` is
//   one byte other than a line feed, classes are of ASCII, and their complements hold all other bytes

/// A regular expression in RE2's syntax, without backtracking.
///
/// Immutable and shared by all workers.
public struct Pattern: Sendable, Hashable {
    /// As written.
    public let text: String
    private let matcher: PatternMatcher

    /// Compiles `text`; throws where and why it is no pattern, or that it is too large.
    public init(_ text: String) throws(PatternError) {
        try self.init(text, tableStatesMax: PatternLimits.tableStatesMax)
    }

    /// With 0 for `tableStatesMax` every pattern is simulated, for tests of that engine.
    init(_ text: String, tableStatesMax: Int) throws(PatternError) {
        var parser = PatternParser(text)
        let program = try PatternProgram(try parser.parse())
        self.text = text
        matcher = PatternMatcher(program, tableStatesMax: tableStatesMax)
    }

    /// Whether all of `input` matches; linear in its length.
    public func matches(_ input: Span<UInt8>) -> Bool {
        var steps = 0
        return matcher.matches(input, steps: &steps)
    }

    /// How many states were looked at to decide about `input`, for tests of the bound.
    func steps(_ input: Span<UInt8>) -> Int {
        var steps = 0
        _ = matcher.matches(input, steps: &steps)
        return steps
    }

    /// Whether matching is one look-up per byte.
    var isTable: Bool { matcher.isTable }

    /// Patterns are equal when they are written the same.
    public static func == (left: Pattern, right: Pattern) -> Bool { left.text == right.text }

    /// Hashes what is written.
    public func hash(into hasher: inout Hasher) { hasher.combine(text) }
}

/// How large a pattern may be.
public enum PatternLimits {
    /// Bytes of a pattern as written.
    public static let textBytesMax = 4_096
    /// Groups within groups.
    public static let nestingMax = 64
    /// Largest count in `{m,n}`, as in RE2.
    public static let repeatMax = 1_000
    /// Instructions after all repetitions are written out, and so the most steps per byte of input.
    ///
    /// A field section is 64 KiB, so that no match takes more than 0.3 s even then; an ordinary
    /// pattern has under a hundred instructions and takes one step per byte.
    public static let instructionsMax = 4_096
    /// States of a pattern that is compiled to a table.
    static let tableStatesMax = 256
    /// Entries of such a table, of two bytes each.
    static let tableEntriesMax = 16_384
    /// Instructions looked at before a table is given up.
    static let tableWorkMax = 200_000
}
