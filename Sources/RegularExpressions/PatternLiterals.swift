// What every match of a pattern must contain, so that many patterns can be told apart before any of
// them runs: RE2's prefilter.
//
// What it is: one walk over the tree that joins neighbouring parts to texts as long as these are few.
// What it is not: exact. The texts are necessary, not sufficient; a pattern without any, or with too
// many, has none and must always be tried.

/// Texts of which every match of a pattern has one.
public struct PatternLiterals: Sendable, Hashable {
    /// Every match begins with one of these; empty: nothing is known.
    public let prefixes: [[UInt8]]
    /// Of each of these lists, every match has one text somewhere; none is empty.
    public let inside: [[[UInt8]]]
}

extension Pattern {
    /// What every match must contain, worked out anew.
    public var literals: PatternLiterals {
        var parser = PatternParser(text)
        guard let node = try? parser.parse() else {
            preconditionFailure("the text of a pattern is one")
        }
        let facts = LiteralFacts(node)
        return PatternLiterals(
            prefixes: facts.prefixes,
            inside: facts.inside
        )
    }
}

extension PatternLimits {
    /// Texts of which a match has one.
    static let literalChoicesMax = 8
    /// Bytes of a text; what is longer is known by two.
    static let literalBytesMax = 128
    /// Lists of texts inside of a match; those behind are not looked at.
    static let literalListsMax = 16
}

/// What is known of all matches of a part.
///
/// Each is true of more than the part matches: `^` and `$` are taken for nothing.
private struct LiteralFacts {
    /// All matches are among these; nil: unknown.
    var texts: [[UInt8]]?
    /// Every match begins with one of these, none of which is empty; empty: unknown.
    var prefixes: [[UInt8]] = []
    /// Of each list every match has one inside.
    var inside: [[[UInt8]]] = []

    /// Nothing is known.
    init() {}

    init(_ node: PatternNode) {
        switch node {
        case .empty, .start, .end: self.init(texts: [[]])
        case .bytes(let set):
            let areFew = (1...PatternLimits.literalChoicesMax).contains(set.count)
            if areFew { self.init(texts: set.members.map { [$0] }) } else { self.init() }
        case .sequence(let parts): self.init(sequence: parts)
        case .alternation(let branches): self.init(branches)
        case .repetition(let part, let min, let max, _): self.init(part, min: min, max: max)
        }
    }

    private init(texts: [[UInt8]]) {
        self.texts = texts
        if !texts.contains([]) { prefixes = texts }
    }

    private init(sequence parts: [PatternNode]) {
        var run = LiteralRun()
        for part in parts { run.append(LiteralFacts(part)) }
        self = run.end()
    }

    private init(_ branches: [PatternNode]) {
        let facts = branches.map { LiteralFacts($0) }
        if let all = union(facts.map(\.texts)) {
            self.init(texts: all)
            return
        }
        self.init()
        prefixes = union(facts.map { $0.prefixes.isEmpty ? nil : $0.prefixes }) ?? []
        if let best = union(facts.map(\.best)) { inside = [best] }
    }

    private init(_ part: PatternNode, min: Int, max: Int?) {
        let facts = LiteralFacts(part)
        if min == 0 {
            let all = max == 1 ? union([facts.texts, [[]]]) : nil
            if let all { self.init(texts: all) } else { self.init() }
            return
        }
        var run = LiteralRun()
        // What all of a repetition must have is in its first two.
        for _ in 0..<Swift.min(min, PatternLimits.literalBytesMax) { run.append(facts) }
        if min != max || min > PatternLimits.literalBytesMax { run.append(LiteralFacts()) }
        self = run.end()
    }

    /// The list that says most: the longest shortest text.
    private var best: [[UInt8]]? {
        var lists = inside
        if !prefixes.isEmpty { lists.append(prefixes) }
        return lists.max { ($0.map(\.count).min() ?? 0) < ($1.map(\.count).min() ?? 0) }
    }
}

/// The texts of a sequence so far.
private struct LiteralRun {
    private var texts: [[UInt8]] = [[]]
    private var isWhole = true
    private var facts = LiteralFacts()

    mutating func append(_ part: LiteralFacts) {
        if let next = part.texts {
            if join(next) { return }
            cut()
            texts = next
            return
        }
        if !part.prefixes.isEmpty, !join(part.prefixes) { add(part.prefixes) }
        cut()
        for list in part.inside { add(list) }
    }

    mutating func end() -> LiteralFacts {
        if isWhole { facts.texts = texts }
        cut()
        return facts
    }

    /// What comes behind does not follow the texts at once.
    private mutating func cut() {
        if !texts.contains([]) {
            if isWhole { facts.prefixes = texts } else { add(texts) }
        }
        isWhole = false
        texts = [[]]
    }

    private mutating func add(_ list: [[UInt8]]) {
        guard facts.inside.count < PatternLimits.literalListsMax else { return }
        facts.inside.append(list)
    }

    /// Appends each of `next` to each text; false, and nothing done, when that is too much.
    private mutating func join(_ next: [[UInt8]]) -> Bool {
        let longest = { (list: [[UInt8]]) in list.map(\.count).max() ?? 0 }
        guard texts.count * next.count <= PatternLimits.literalChoicesMax,
            longest(texts) + longest(next) <= PatternLimits.literalBytesMax
        else { return false }
        if next.count == 1 {
            for index in texts.indices { texts[index] += next[0] }
        } else {
            texts = texts.flatMap { text in next.map { text + $0 } }
        }
        return true
    }
}

/// All texts of all lists; nil where one is unknown or there are too many.
private func union(_ lists: [[[UInt8]]?]) -> [[UInt8]]? {
    var all: [[UInt8]] = []
    for list in lists {
        guard let list else { return nil }
        for text in list where !all.contains(text) { all.append(text) }
        guard all.count <= PatternLimits.literalChoicesMax else { return nil }
    }
    return all
}
