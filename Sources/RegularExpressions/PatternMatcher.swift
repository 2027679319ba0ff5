// The table of a pattern: one row per state, one column per class of bytes that no part of the
// pattern tells apart. `/api/v[0-9]+/users/[^/]+` has 20 states and 13 classes: half a kilobyte.

/// A compiled pattern: a table where that is small, else the automaton.
final class PatternMatcher: Sendable {
    private let classes: ContiguousArray<UInt8>
    private let classCount: Int
    /// The state after each state and class; empty without table.
    private let table: ContiguousArray<UInt16>
    private let accepts: ContiguousArray<Bool>
    /// Kept where there is no table.
    private let program: PatternProgram?

    var isTable: Bool { program == nil }

    init(_ program: PatternProgram, tableStatesMax: Int) {
        let classes = PatternMatcher.classes(program.sets)
        self.classes = classes.ofByte
        classCount = classes.representatives.count
        var builder = TableBuilder(program, classes.representatives, statesMax: tableStatesMax)
        if builder.build() {
            table = builder.table
            accepts = builder.accepts
            self.program = nil
        } else {
            table = []
            accepts = []
            self.program = program
        }
    }

    func matches(_ input: Span<UInt8>, steps: inout Int) -> Bool {
        if let program { return program.matches(input, steps: &steps) }
        var state = startState
        let table = self.table
        let classes = self.classes
        for index in 0..<input.count {
            state = Int(table[state &* classCount &+ Int(classes[Int(input[index])])])
            if state == deadState {
                steps = index + 1
                return false
            }
        }
        steps = input.count
        return accepts[state]
    }

    /// Bytes that are in the same sets are one class.
    private static func classes(
        _ sets: ContiguousArray<ByteSet>
    ) -> (ofByte: ContiguousArray<UInt8>, representatives: [UInt8]) {
        var ofByte = ContiguousArray<Int>(repeating: 0, count: 256)
        /// Bytes of each class.
        var counts = [256]
        for set in sets {
            var inSet = [Int](repeating: 0, count: counts.count)
            let members = set.members
            for byte in members { inSet[ofByte[Int(byte)]] += 1 }
            // Where a class has members and others, the members get a number of their own.
            var renamed = [Int](repeating: -1, count: counts.count)
            for byte in members {
                let old = ofByte[Int(byte)]
                guard inSet[old] < counts[old] || renamed[old] >= 0 else { continue }
                if renamed[old] < 0 {
                    renamed[old] = counts.count
                    counts.append(0)
                }
                ofByte[Int(byte)] = renamed[old]
                counts[renamed[old]] += 1
            }
            for old in renamed.indices where renamed[old] >= 0 { counts[old] -= inSet[old] }
        }
        var representatives = [UInt8](repeating: 0, count: counts.count)
        for byte in 0..<256 { representatives[ofByte[byte]] = UInt8(byte) }
        return (ContiguousArray(ofByte.map { UInt8($0) }), representatives)
    }
}

private let deadState = 0
private let startState = 1

/// Finds the states a program can be in, with bounds on their number and on the work.
private struct TableBuilder {
    private(set) var table: ContiguousArray<UInt16> = []
    private(set) var accepts: ContiguousArray<Bool> = []
    private let program: PatternProgram
    private let representatives: [UInt8]
    private let statesMax: Int
    private var states: [ContiguousArray<UInt16>] = []
    private var numbers: [ContiguousArray<UInt16>: Int] = [:]
    private var current: InstructionSet
    private var next: InstructionSet
    /// Members of states looked at, which costs little each.
    private var looks = 0

    init(_ program: PatternProgram, _ representatives: [UInt8], statesMax: Int) {
        self.program = program
        self.representatives = representatives
        self.statesMax = min(statesMax, PatternLimits.tableEntriesMax / representatives.count)
        current = InstructionSet(count: program.instructions.count)
        next = InstructionSet(count: program.instructions.count)
    }

    /// False when the table would be too large.
    mutating func build() -> Bool {
        guard statesMax > startState else { return false }
        current.insert(0, program.instructions, isStart: true, isEnd: false)
        states = [[], current.members]
        // The start is no other state, even if its set is: `^` and an empty input know it.
        numbers[[]] = deadState
        accepts = [false, program.accepts(states[startState], isStart: true, &next)]
        var index = 0
        while index < states.count {
            for byte in representatives {
                guard let number = follow(index, byte) else { return false }
                table.append(UInt16(number))
            }
            index += 1
        }
        return true
    }

    private mutating func follow(_ index: Int, _ byte: UInt8) -> Int? {
        current.removeAll()
        for member in states[index] {
            guard case .bytes(let set) = program.instructions[Int(member)],
                program.sets[Int(set)].contains(byte)
            else { continue }
            current.insert(member + 1, program.instructions, isStart: false, isEnd: false)
        }
        looks += states[index].count
        guard current.work + next.work + looks / 4 <= PatternLimits.tableWorkMax else { return nil }
        // Most bytes lead nowhere.
        if current.members.isEmpty { return deadState }
        let set = ContiguousArray(current.members.sorted())
        if let known = numbers[set] { return known }
        guard states.count < statesMax else { return nil }
        states.append(set)
        numbers[set] = states.count - 1
        accepts.append(program.accepts(set, isStart: false, &next))
        return states.count - 1
    }
}
