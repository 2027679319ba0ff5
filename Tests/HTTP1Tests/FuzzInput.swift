// What the fuzzer in Tests/Fuzz/HTTP1 checks of one input; its corpus is replayed by CorpusTests.

import HTTP
import HTTP1

/// One input of the fuzzer: two bytes of settings, then what a peer sends.
struct FuzzInput {
    private let settings: UInt8
    private let seed: UInt8
    private let bytes: [UInt8]

    init(_ raw: [UInt8]) {
        settings = raw.first ?? 0
        seed = raw.dropFirst().first ?? 0
        bytes = Array(raw.dropFirst(2))
    }

    /// What is wrong with how the decoders treat the input, or nil.
    func problem() -> String? {
        let limits = settings & 1 == 0 ? Limits() : FuzzInput.tight
        let whole = decode([bytes], limits)
        var random = SeededGenerator(seed: UInt64(seed))
        let cut = bytes.isEmpty ? 0 : Int(seed) * bytes.count / 256
        let splits = [
            split(bytes, longest: 1 + Int(seed) % 40, using: &random),
            [Array(bytes[..<cut]), Array(bytes[cut...])],
            bytes.map { [$0] },
        ]
        for pieces in splits {
            let other = decode(pieces, limits)
            if other != whole {
                return "whole: \(whole.lines), in \(pieces.count) pieces: \(other.lines)"
            }
        }
        return isResponse ? nil : Forwarding.difference(bytes)
    }

    private var isResponse: Bool { settings & 2 != 0 }

    private func decode(_ pieces: [[UInt8]], _ limits: Limits) -> Transcript {
        guard isResponse else { return .requests(pieces, limits: limits) }
        let first: HTTP.Method = settings & 4 == 0 ? .get : .head
        return .responses(
            pieces,
            to: [first, .get, .head, .post],
            limits: limits,
            closes: settings & 8 != 0
        )
    }

    private static let tight = Limits(
        startLineBytesMax: 40,
        fieldSectionBytesMax: 60,
        fieldCountMax: 3,
        chunkExtensionBytesMax: 6,
        trailerBytesMax: 20,
        trailerCountMax: 2,
        interimResponseCountMax: 1
    )
}
