import Testing

@testable import RegularExpressions

struct PatternPropertyTests {
    /// Where matches of `node` that begin at `from` may end; the definition of each operator, with no
    /// thought for cost.
    private func ends(_ node: PatternNode, _ input: [UInt8], _ from: Set<Int>) -> Set<Int> {
        switch node {
        case .empty: return from
        case .bytes(let set):
            return Set(from.filter { $0 < input.count && set.contains(input[$0]) }.map { $0 + 1 })
        case .start: return from.filter { $0 == 0 }
        case .end: return from.filter { $0 == input.count }
        case .sequence(let parts): return parts.reduce(from) { ends($1, input, $0) }
        case .alternation(let branches):
            return branches.reduce(into: []) { $0.formUnion(ends($1, input, from)) }
        case .repetition(let part, let min, let max, _):
            var current = from
            for _ in 0..<min { current = ends(part, input, current) }
            var all = current
            for _ in 0..<((max ?? min + input.count + 1) - min) {
                current = ends(part, input, current)
                all.formUnion(current)
            }
            return all
        }
    }

    private func randomPattern(_ random: inout some RandomNumberGenerator, depth: Int) -> String {
        guard depth > 0 else {
            return ["a", "b", "c", ".", "[ab]", "[^a]", "\\w", "^", "$", ""].randomElement(
                using: &random
            ) ?? ""
        }
        func part() -> String { randomPattern(&random, depth: depth - 1) }
        switch Int.random(in: 0..<5, using: &random) {
        case 0: return part() + part() + part()
        case 1: return "(?:\(part())|\(part()))"
        case 2:
            return "(\(part()))"
                + (["*", "+", "?", "*?", "{2}", "{1,3}", "{2,}"].randomElement(using: &random) ?? "")
        case 3: return part()
        default: return part() + "(?i:\(part()))"
        }
    }

    @Test("random patterns mean on random inputs what their operators are defined to mean")
    func naive() throws {
        var random = SplitMix(state: 7)
        var matched = 0
        for _ in 0..<1_500 {
            let text = randomPattern(&random, depth: 4)
            guard !text.isEmpty else { continue }
            var parser = PatternParser(text)
            let tree = try parser.parse()
            let table = try Pattern(text)
            let simulated = try Pattern(text, tableStatesMax: 0)
            let literals = table.literals
            for _ in 0..<12 {
                let count = Int.random(in: 0..<8, using: &random)
                let input = (0..<count).map { _ in
                    Array("abcA".utf8).randomElement(using: &random) ?? 0
                }
                let expected = ends(tree, input, [0]).contains(input.count)
                matched += expected ? 1 : 0
                #expect(table.matches(input) == expected, "\(text) on \(input)")
                #expect(simulated.matches(input) == expected, "\(text) on \(input)")
                if expected { #expect(literals.hold(for: input), "\(literals) of \(text)") }
            }
        }
        #expect(matched > 2_000)
    }

    @Test(
        "patterns that cost a backtracking engine exponential time take steps linear in the input",
        arguments: [
            "(a*)*b", "(a|a)*b", "(a|aa)+b", "(.*)*(.*)*(.*)*b", "(a?){30}a{30}b",
            "((a+)+)+b", "(?:a|b|ab)*c", ".*.*.*.*.*.*.*b", ".*a.{12}b",
        ]
    )
    func attack(_ text: String) throws {
        for states in [0, 256] {
            let pattern = try Pattern(text, tableStatesMax: states)
            let short = [UInt8](repeating: UInt8(ascii: "a"), count: 1_000)
            let long = [UInt8](repeating: UInt8(ascii: "a"), count: 16_000)
            #expect(!pattern.matches(long))
            #expect(pattern.steps(long) <= pattern.steps(short) * 17)
            let perByte = pattern.isTable ? 1 : 400
            #expect(pattern.steps(long) <= long.count * perByte + 400)
        }
    }

    @Test("random texts are compiled or refused, never more")
    func anyText() {
        var random = SplitMix(state: 11)
        let alphabet = Array(#"ab()[]{}*+?|\^$.-,:?<>iPxdsw019é"#)
        var compiled = 0
        for _ in 0..<5_000 {
            let count = Int.random(in: 1..<12, using: &random)
            let text = String(
                (0..<count).map { _ in alphabet.randomElement(using: &random) ?? "a" }
            )
            do {
                _ = try Pattern(text)
                compiled += 1
            } catch {
                #expect((0...text.utf8.count).contains(error.position), "\(text)")
            }
        }
        #expect(compiled > 300)
    }
}

/// A generator whose sequence follows from its state.
private struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

extension PatternLiterals {
    /// Whether `input` has all that a match must have.
    fileprivate func hold(for input: [UInt8]) -> Bool {
        func contains(_ text: [UInt8]) -> Bool {
            input.indices.contains { input[$0...].starts(with: text) }
        }
        return (prefixes.isEmpty || prefixes.contains { input.starts(with: $0) })
            && inside.allSatisfy { list in list.contains(where: contains) }
    }
}
