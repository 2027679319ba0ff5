/// Why a text is no pattern, and where.
public struct PatternError: Error, Hashable, CustomStringConvertible {
    /// What is wrong.
    public enum Reason: Hashable, Sendable {
        case empty, tooLong, tooLarge, tooNested
        case unclosedGroup, unopenedGroup, unknownGroup
        case unclosedClass, emptyRange, unknownClassName, characterInClass
        case nothingToRepeat, repeatedRepeat, repeatCount
        case unknownEscape, unfinishedEscape
    }

    /// What is wrong.
    public let reason: Reason
    /// The byte of the text at which it is, from 0.
    public let position: Int

    /// Makes an error.
    public init(_ reason: Reason, at position: Int) {
        self.reason = reason
        self.position = position
    }

    /// What is wrong, where, and what is allowed instead, as one line.
    public var description: String { "\(problem) at byte \(position) (allowed: \(allowed))" }

    /// What is wrong, in words.
    public var problem: String {
        switch reason {
        case .empty: "no pattern"
        case .tooLong: "too long a pattern"
        case .tooLarge: "a pattern that is too large once its repetitions are written out"
        case .tooNested: "too many groups within groups"
        case .unclosedGroup: "a group without its ')'"
        case .unopenedGroup: "a ')' without its group"
        case .unknownGroup: "an unknown kind of group"
        case .unclosedClass: "a class without its ']'"
        case .emptyRange: "a range whose end is before its start"
        case .unknownClassName: "an unknown name of a class"
        case .characterInClass: "a character beyond ASCII in a class"
        case .nothingToRepeat: "a repetition of nothing"
        case .repeatedRepeat: "a repetition of a repetition"
        case .repeatCount: "a bad count"
        case .unknownEscape: "an unknown escape"
        case .unfinishedEscape: "an escape that is cut off"
        }
    }

    /// What may stand there instead.
    public var allowed: String {
        switch reason {
        case .empty, .tooLong: "1...\(PatternLimits.textBytesMax) bytes"
        case .tooLarge: "\(PatternLimits.instructionsMax) instructions"
        case .tooNested: "\(PatternLimits.nestingMax)"
        case .unclosedGroup, .unopenedGroup: "'(' and ')' in pairs, '\\(' for the character"
        case .unknownGroup:
            "(…), (?:…), (?P<name>…), (?i), (?i:…), (?s), (?-i); nothing looks around"
        case .unclosedClass: "[…], '\\[' for the character"
        case .emptyRange: "a-z, '\\-' for the character"
        case .unknownClassName: "[:alpha:], [:digit:] and the others of POSIX"
        case .characterInClass: "ASCII; others as an alternation, (?:ä|ö)"
        case .nothingToRepeat: "something before *, +, ? or {}, '\\*' for the character"
        case .repeatedRepeat: "one of *, +, ?, {} and then '?'; groups for more, (?:a+)*"
        case .repeatCount: "{m}, {m,} or {m,n}, m <= n <= \(PatternLimits.repeatMax)"
        case .unknownEscape:
            "\\d \\w \\s \\D \\W \\S \\A \\z \\t \\n \\r \\f \\v \\a \\xHH \\x{H…}, "
                + "or punctuation"
        case .unfinishedEscape: "\\xHH or \\x{H…}, '\\\\' for the character"
        }
    }
}
