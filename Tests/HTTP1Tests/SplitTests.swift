import HTTP
import HTTP1
import Testing

/// The same bytes give the same events and the same error, however they arrive.
struct SplitTests {
    private static let tight = Limits(
        startLineBytesMax: 40,
        fieldSectionBytesMax: 60,
        fieldCountMax: 3,
        chunkExtensionBytesMax: 6,
        trailerBytesMax: 20,
        trailerCountMax: 2
    )

    @Test(
        "any two pieces, and single bytes, of a request of the table",
        arguments: acceptedRequests + refusedRequests
    )
    func requestTable(_ one: Case) {
        let input = one.input
        for limits in [Limits(), SplitTests.tight] {
            let whole = Transcript.requests([input], limits: limits)
            #expect(Transcript.requests(input.map { [$0] }, limits: limits) == whole)
            for cut in input.indices {
                let pieces = [Array(input[..<cut]), Array(input[cut...])]
                #expect(Transcript.requests(pieces, limits: limits) == whole, "cut at \(cut)")
            }
        }
    }

    @Test("any two pieces, and single bytes, of a response of the table", arguments: responseCases)
    func responseTable(_ one: ResponseCase) {
        let input = one.input
        for limits in [Limits(), SplitTests.tight] {
            func decode(_ pieces: [[UInt8]]) -> Transcript {
                Transcript.responses(pieces, to: one.methods, limits: limits, closes: one.closes)
            }
            let whole = decode([input])
            #expect(decode(input.map { [$0] }) == whole)
            for cut in input.indices {
                #expect(decode([Array(input[..<cut]), Array(input[cut...])]) == whole, "\(cut)")
            }
        }
    }

    @Test("random pieces of random pipelined requests", arguments: UInt64(1)...60)
    func generatedRequests(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var generator = MessageGenerator(random: SeededGenerator(seed: ~seed))
        let input = generator.requests(count: Int.random(in: 1...6, using: &random))
        let whole = Transcript.requests([input])
        #expect(whole.lines.last == "idle", "a generated request is good: \(whole.lines)")
        for longest in [1, 3, 16, 100] {
            let pieces = split(input, longest: longest, using: &random)
            #expect(Transcript.requests(pieces) == whole, "longest \(longest)")
        }
        // The same with one byte changed: refused or not, always alike.
        for _ in 0..<20 {
            var broken = input
            broken[Int.random(in: 0..<broken.count, using: &random)] =
                UInt8.random(in: .min ... .max, using: &random)
            let whole = Transcript.requests([broken])
            let pieces = split(broken, longest: 7, using: &random)
            #expect(Transcript.requests(pieces) == whole)
        }
    }

    @Test("random pieces of random responses", arguments: UInt64(1)...60)
    func generatedResponses(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var generator = MessageGenerator(random: SeededGenerator(seed: ~seed))
        let (input, methods) = generator.responses(count: Int.random(in: 1...6, using: &random))
        let whole = Transcript.responses([input], to: methods)
        #expect(whole.lines.last == "idle", "a generated response is good: \(whole.lines)")
        for longest in [1, 3, 16, 100] {
            let pieces = split(input, longest: longest, using: &random)
            #expect(Transcript.responses(pieces, to: methods) == whole, "longest \(longest)")
        }
        for _ in 0..<20 {
            var broken = input
            broken[Int.random(in: 0..<broken.count, using: &random)] =
                UInt8.random(in: .min ... .max, using: &random)
            let whole = Transcript.responses([broken], to: methods)
            let pieces = split(broken, longest: 7, using: &random)
            #expect(Transcript.responses(pieces, to: methods) == whole)
        }
    }
}
