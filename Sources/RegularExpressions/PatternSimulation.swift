// All states of the automaton at once, byte by byte: what decides for patterns without a table, and
// what tables are made with.

/// A set of instructions that can be emptied at once, with those to be looked at yet.
struct InstructionSet {
    private(set) var members: ContiguousArray<UInt16> = []
    private var marks: ContiguousArray<UInt32>
    private var mark: UInt32 = 1
    private var pending: ContiguousArray<UInt16> = []
    /// Instructions looked at since it was made.
    private(set) var work = 0

    init(count: Int) { marks = ContiguousArray(repeating: 0, count: count) }

    mutating func removeAll() {
        members.removeAll(keepingCapacity: true)
        mark += 1
        if mark == .max {
            for index in marks.indices { marks[index] = 0 }
            mark = 1
        }
    }

    /// Adds an instruction and all that follow from it without a byte; kept are those that take a
    /// byte, that wait for the end, and the last one.
    mutating func insert(
        _ first: UInt16,
        _ instructions: borrowing ContiguousArray<PatternInstruction>,
        isStart: Bool,
        isEnd: Bool
    ) {
        pending.append(first)
        while let index = pending.popLast() {
            work += 1
            guard marks[Int(index)] != mark else { continue }
            marks[Int(index)] = mark
            switch instructions[Int(index)] {
            case .bytes, .match: members.append(index)
            case .jump(let target): pending.append(target)
            case .split(let one, let other):
                pending.append(other)
                pending.append(one)
            case .start: if isStart { pending.append(index + 1) }
            case .end:
                members.append(index)
                if isEnd { pending.append(index + 1) }
            }
        }
    }
}

extension PatternProgram {
    /// The states after `byte`.
    func advance(_ from: borrowing InstructionSet, _ byte: UInt8, _ to: inout InstructionSet) {
        to.removeAll()
        for index in from.members {
            guard case .bytes(let set) = instructions[Int(index)], sets[Int(set)].contains(byte)
            else { continue }
            to.insert(index + 1, instructions, isStart: false, isEnd: false)
        }
    }

    /// Whether the input may end here.
    func accepts(
        _ members: ContiguousArray<UInt16>,
        isStart: Bool,
        _ scratch: inout InstructionSet
    ) -> Bool {
        scratch.removeAll()
        for index in members {
            scratch.insert(index, instructions, isStart: isStart, isEnd: true)
        }
        return scratch.members.contains { instructions[Int($0)] == .match }
    }

    /// Decides about all of `input`.
    func matches(_ input: Span<UInt8>, steps: inout Int) -> Bool {
        var current = InstructionSet(count: instructions.count)
        var next = InstructionSet(count: instructions.count)
        current.insert(0, instructions, isStart: true, isEnd: false)
        for index in 0..<input.count {
            advance(current, input[index], &next)
            swap(&current, &next)
            if current.members.isEmpty { break }
        }
        steps = current.work + next.work
        return accepts(current.members, isStart: input.isEmpty, &next)
    }
}
