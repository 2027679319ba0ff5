// Text → tree. Recursion follows groups alone and is bounded by `PatternLimits.nestingMax`.

/// What a pattern is made of.
indirect enum PatternNode: Sendable {
    case empty
    case bytes(ByteSet)
    /// Start and end of the input.
    case start, end
    case sequence([PatternNode])
    case alternation([PatternNode])
    /// At least `min` times, at most `max`; nil: any number. Stands at `position` of the text.
    case repetition(PatternNode, min: Int, max: Int?, position: Int)
}

/// Reads a pattern.
struct PatternParser {
    private let text: [UInt8]
    private var index = 0
    private var depth = 0
    private var flags = Flags()

    private struct Flags {
        var ignoresCase = false
        var dotTakesLineFeed = false
    }

    init(_ text: String) { self.text = Array(text.utf8) }

    mutating func parse() throws(PatternError) -> PatternNode {
        guard !text.isEmpty else { throw PatternError(.empty, at: 0) }
        guard text.count <= PatternLimits.textBytesMax else {
            throw PatternError(.tooLong, at: PatternLimits.textBytesMax)
        }
        let node = try alternation()
        guard index == text.count else { throw PatternError(.unopenedGroup, at: index) }
        return node
    }

    /// Up to the end or the `)` of the group; flags set inside end with it.
    private mutating func alternation() throws(PatternError) -> PatternNode {
        let outer = flags
        defer { flags = outer }
        var branches: [PatternNode] = []
        while true {
            branches.append(try sequence())
            guard take("|") else { break }
        }
        return branches.count == 1 ? branches[0] : .alternation(branches)
    }

    private mutating func sequence() throws(PatternError) -> PatternNode {
        var parts: [PatternNode] = []
        while let byte = peek, byte != UInt8(ascii: "|"), byte != UInt8(ascii: ")") {
            let start = index
            guard try !repetitionIsNext() else { throw PatternError(.nothingToRepeat, at: start) }
            guard let atom = try atom() else { continue }
            parts.append(try repeated(atom))
        }
        return parts.count == 1 ? parts[0] : parts.isEmpty ? .empty : .sequence(parts)
    }

    private mutating func repetitionIsNext() throws(PatternError) -> Bool {
        switch peek {
        case UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: "?"): return true
        case UInt8(ascii: "{"):
            let start = index
            defer { index = start }
            return try counts() != nil
        default: return false
        }
    }

    private mutating func repeated(_ atom: PatternNode) throws(PatternError) -> PatternNode {
        let start = index
        let range: (min: Int, max: Int?)
        if take("*") {
            range = (0, nil)
        } else if take("+") {
            range = (1, nil)
        } else if take("?") {
            range = (0, 1)
        } else if peek == UInt8(ascii: "{"), let counted = try counts() {
            range = counted
        } else {
            return atom
        }
        // Lazy or not makes no difference to whether the whole input matches.
        _ = take("?")
        guard try !repetitionIsNext() else { throw PatternError(.repeatedRepeat, at: index) }
        return .repetition(atom, min: range.min, max: range.max, position: start)
    }

    /// `{m}`, `{m,}` or `{m,n}`; nil, and nothing taken, when it is anything else: then, as in RE2,
    /// the brace is a character.
    private mutating func counts() throws(PatternError) -> (min: Int, max: Int?)? {
        let start = index
        guard take("{"), let min = number() else {
            index = start
            return nil
        }
        var max: Int? = min
        if take(",") { max = number() }
        guard take("}") else {
            index = start
            return nil
        }
        guard min <= PatternLimits.repeatMax, (max ?? min) <= PatternLimits.repeatMax,
            min <= max ?? min
        else { throw PatternError(.repeatCount, at: start) }
        return (min, max)
    }

    /// Digits; whatever is beyond all counts is one more than the largest.
    private mutating func number() -> Int? {
        let start = index
        var value = 0
        while let byte = peek, ByteSet.digits.contains(byte) {
            value = Swift.min(value * 10 + Int(byte - 0x30), PatternLimits.repeatMax + 1)
            index += 1
        }
        return index > start ? value : nil
    }

    /// Nil: something that matches nothing and cannot be repeated, such as `(?i)`.
    private mutating func atom() throws(PatternError) -> PatternNode? {
        let byte = text[index]
        switch byte {
        case UInt8(ascii: "("): return try group()
        case UInt8(ascii: "["): return .bytes(try bracketClass())
        case UInt8(ascii: "\\"): return try escape()
        case UInt8(ascii: "."):
            index += 1
            return .bytes(flags.dotTakesLineFeed ? .all : .allButLineFeed)
        case UInt8(ascii: "^"):
            index += 1
            return .start
        case UInt8(ascii: "$"):
            index += 1
            return .end
        default: return literal()
        }
    }

    /// One character, in its UTF-8: `é+` repeats both of its bytes.
    private mutating func literal() -> PatternNode {
        let start = index
        index += 1
        while let byte = peek, byte & 0xC0 == 0x80, text[start] >= 0xC0 { index += 1 }
        return bytes(text[start..<index])
    }

    private func bytes(_ bytes: some Collection<UInt8>) -> PatternNode {
        let sets = bytes.map { PatternNode.bytes(folded(ByteSet($0))) }
        return sets.count == 1 ? sets[0] : .sequence(sets)
    }

    private func folded(_ set: ByteSet) -> ByteSet { flags.ignoresCase ? set.ignoringCase : set }

    private mutating func group() throws(PatternError) -> PatternNode? {
        let start = index
        index += 1
        var inner = flags
        if take("?") {
            if peek == UInt8(ascii: "P") || peek == UInt8(ascii: "<") {
                try groupName(start)
            } else if try groupFlags(start, &inner) {
                flags = inner
                return nil
            }
        }
        depth += 1
        guard depth <= PatternLimits.nestingMax else { throw PatternError(.tooNested, at: start) }
        let outer = flags
        flags = inner
        let node = try alternation()
        flags = outer
        depth -= 1
        guard take(")") else { throw PatternError(.unclosedGroup, at: start) }
        return node
    }

    /// `P<name>` or `<name>`.
    private mutating func groupName(_ start: Int) throws(PatternError) {
        _ = take("P")
        guard take("<") else { throw PatternError(.unknownGroup, at: start) }
        let first = index
        while let byte = peek, ByteSet.words.contains(byte) { index += 1 }
        guard index > first, take(">") else { throw PatternError(.unknownGroup, at: start) }
    }

    /// `i`, `s`, `-i` and so on; whether they are for the rest of the group around: `(?i)`, and not
    /// for a group of their own: `(?i:`.
    private mutating func groupFlags(
        _ start: Int,
        _ flags: inout Flags
    ) throws(PatternError) -> Bool {
        var value = true
        var isComplete = true
        while let byte = peek {
            index += 1
            switch byte {
            case UInt8(ascii: "i"): flags.ignoresCase = value
            case UInt8(ascii: "s"): flags.dotTakesLineFeed = value
            case UInt8(ascii: "-") where value:
                value = false
                isComplete = false
                continue
            case UInt8(ascii: ":") where isComplete: return false
            case UInt8(ascii: ")") where isComplete && index - start > 3: return true
            default: throw PatternError(.unknownGroup, at: start)
            }
            isComplete = true
        }
        throw PatternError(.unclosedGroup, at: start)
    }

    private mutating func escape() throws(PatternError) -> PatternNode {
        let start = index
        index += 1
        guard let byte = peek else { throw PatternError(.unfinishedEscape, at: start) }
        switch byte {
        case UInt8(ascii: "A"):
            index += 1
            return .start
        case UInt8(ascii: "z"):
            index += 1
            return .end
        default: break
        }
        if let set = classEscape() { return .bytes(set) }
        return bytes(String(try characterEscape(start)).utf8)
    }

    /// The set of `\d` and its like, behind the backslash.
    private mutating func classEscape() -> ByteSet? {
        let set: ByteSet
        switch peek {
        case UInt8(ascii: "d"): set = .digits
        case UInt8(ascii: "D"): set = ByteSet.digits.complement
        case UInt8(ascii: "w"): set = .words
        case UInt8(ascii: "W"): set = ByteSet.words.complement
        case UInt8(ascii: "s"): set = .spaces
        case UInt8(ascii: "S"): set = ByteSet.spaces.complement
        default: return nil
        }
        index += 1
        return set
    }

    private mutating func characterEscape(_ start: Int) throws(PatternError) -> Unicode.Scalar {
        guard let byte = peek else { throw PatternError(.unfinishedEscape, at: start) }
        index += 1
        switch byte {
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "f"): return "\u{0C}"
        case UInt8(ascii: "v"): return "\u{0B}"
        case UInt8(ascii: "a"): return "\u{07}"
        case UInt8(ascii: "x"): return try hexadecimal(start)
        default:
            // Letters and digits are kept for escapes to come, and `\1` is a back-reference.
            guard byte < 0x80, !(ByteSet.named("alnum") ?? ByteSet()).contains(byte) else {
                throw PatternError(.unknownEscape, at: start)
            }
            return Unicode.Scalar(byte)
        }
    }

    /// `HH` or `{H…}`.
    private mutating func hexadecimal(_ start: Int) throws(PatternError) -> Unicode.Scalar {
        let isBraced = take("{")
        var value: UInt32 = 0
        var digits = 0
        while digits < (isBraced ? 6 : 2), let byte = peek,
            let digit = Character(Unicode.Scalar(byte)).hexDigitValue
        {
            value = value * 16 + UInt32(digit)
            digits += 1
            index += 1
        }
        guard digits > 0, isBraced || digits == 2, !isBraced || take("}"),
            let scalar = Unicode.Scalar(value)
        else { throw PatternError(.unfinishedEscape, at: start) }
        return scalar
    }

    private mutating func bracketClass() throws(PatternError) -> ByteSet {
        let start = index
        index += 1
        let isComplement = take("^")
        var set = ByteSet()
        var isFirst = true
        while true {
            guard let byte = peek else { throw PatternError(.unclosedClass, at: start) }
            // As everywhere, `]` is a member when it comes first.
            if byte == UInt8(ascii: "]"), !isFirst { break }
            isFirst = false
            if let part = try classPart(start) {
                set.formUnion(part)
            } else {
                set.insert(try classRange(start))
            }
        }
        index += 1
        let full = folded(set)
        return isComplement ? full.complement : full
    }

    /// `[:name:]` or `\d`.
    private mutating func classPart(_ start: Int) throws(PatternError) -> ByteSet? {
        if peek == UInt8(ascii: "\\") {
            index += 1
            if let set = classEscape() { return set }
            index -= 1
            return nil
        }
        let from = index
        guard take("["), take(":") else {
            index = from
            return nil
        }
        let isComplement = take("^")
        let first = index
        while let byte = peek, byte >= 0x61, byte <= 0x7A { index += 1 }
        let name = String(decoding: text[first..<index], as: UTF8.self)
        guard take(":"), take("]") else {
            index = from
            return nil
        }
        guard let set = ByteSet.named(name) else { throw PatternError(.unknownClassName, at: from) }
        return isComplement ? set.complement : set
    }

    private mutating func classRange(_ start: Int) throws(PatternError) -> ClosedRange<UInt8> {
        let from = index
        let low = try classByte(start)
        guard peek == UInt8(ascii: "-"), index + 1 < text.count,
            text[index + 1] != UInt8(ascii: "]")
        else { return low...low }
        index += 1
        let high = try classByte(start)
        guard low <= high else { throw PatternError(.emptyRange, at: from) }
        return low...high
    }

    private mutating func classByte(_ start: Int) throws(PatternError) -> UInt8 {
        let from = index
        guard let byte = peek else { throw PatternError(.unclosedClass, at: start) }
        index += 1
        guard byte == UInt8(ascii: "\\") else {
            guard byte < 0x80 else { throw PatternError(.characterInClass, at: from) }
            return byte
        }
        let scalar = try characterEscape(from)
        guard scalar.isASCII else { throw PatternError(.characterInClass, at: from) }
        return UInt8(truncatingIfNeeded: scalar.value)
    }

    private var peek: UInt8? { index < text.count ? text[index] : nil }

    private mutating func take(_ scalar: Unicode.Scalar) -> Bool {
        guard let byte = peek, UInt32(byte) == scalar.value else { return false }
        index += 1
        return true
    }
}
