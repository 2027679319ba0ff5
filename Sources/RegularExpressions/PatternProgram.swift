// Tree → instructions: Thompson's construction, repetitions written out.

/// One instruction; those without a target go on to the next one.
enum PatternInstruction: Sendable, Hashable {
    /// Takes one byte of a set.
    case bytes(set: UInt16)
    case split(UInt16, UInt16)
    case jump(UInt16)
    /// Go on only at the start of the input, and only at its end.
    case start, end
    /// All before it matched.
    case match
}

/// A pattern as a non-deterministic automaton; instruction 0 is where it begins.
struct PatternProgram: Sendable {
    private(set) var instructions: ContiguousArray<PatternInstruction> = []
    private(set) var sets: ContiguousArray<ByteSet> = []
    private var indexes: [ByteSet: UInt16] = [:]
    private var work = 0

    init(_ node: PatternNode) throws(PatternError) {
        try append(node, position: 0)
        try append(.match, position: 0)
    }

    private mutating func append(_ node: PatternNode, position: Int) throws(PatternError) {
        // Also what makes no instruction takes time to be written out: (((){1000}){1000}){1000}.
        work += 1
        guard work <= PatternLimits.instructionsMax * 4 else {
            throw PatternError(.tooLarge, at: position)
        }
        switch node {
        case .empty: break
        case .bytes(let set): try append(.bytes(set: index(of: set)), position: position)
        case .start: try append(PatternInstruction.start, position: position)
        case .end: try append(PatternInstruction.end, position: position)
        case .sequence(let parts):
            for part in parts { try append(part, position: position) }
        case .alternation(let branches): try append(branches: branches, position)
        case .repetition(let part, let min, let max, let at):
            try append(part, min: min, max: max, at)
        }
    }

    private mutating func append(
        branches: [PatternNode],
        _ position: Int
    ) throws(PatternError) {
        var ends: [Int] = []
        for (number, branch) in branches.enumerated() {
            guard number < branches.count - 1 else {
                try append(branch, position: position)
                break
            }
            let split = instructions.count
            try append(.jump(0), position: position)
            try append(branch, position: position)
            ends.append(instructions.count)
            try append(.jump(0), position: position)
            instructions[split] = .split(UInt16(split + 1), next)
        }
        for end in ends { instructions[end] = .jump(next) }
    }

    private mutating func append(
        _ part: PatternNode,
        min: Int,
        max: Int?,
        _ position: Int
    ) throws(PatternError) {
        var last = next
        for _ in 0..<min {
            last = next
            try append(part, position: position)
        }
        guard let max else {
            if min > 0 {
                try append(.split(last, next + 1), position: position)
            } else {
                let split = instructions.count
                try append(.jump(0), position: position)
                try append(part, position: position)
                try append(.jump(UInt16(split)), position: position)
                instructions[split] = .split(UInt16(split + 1), next)
            }
            return
        }
        var splits: [Int] = []
        for _ in min..<max {
            splits.append(instructions.count)
            try append(.jump(0), position: position)
            try append(part, position: position)
        }
        for split in splits { instructions[split] = .split(UInt16(split + 1), next) }
    }

    private mutating func append(
        _ instruction: PatternInstruction,
        position: Int
    ) throws(PatternError) {
        guard instructions.count < PatternLimits.instructionsMax else {
            throw PatternError(.tooLarge, at: position)
        }
        instructions.append(instruction)
    }

    private var next: UInt16 { UInt16(instructions.count) }

    private mutating func index(of set: ByteSet) -> UInt16 {
        if let known = indexes[set] { return known }
        let index = UInt16(sets.count)
        sets.append(set)
        indexes[set] = index
        return index
    }
}
