import Controller
import Foundation
import MeshModel
import Testing

@Suite struct PolicyMutationTests {
    @Test("Any word changed in the policies' examples is refused, or compiles for every workload")
    func words() throws {
        let examples = try self.examples()
        let lines = examples.split(separator: "\n", omittingEmptySubsequences: false)
            .filter { !$0.drop { $0 == " " }.hasPrefix("#") }
        let values = lines.compactMap { line in
            line.firstIndex(of: ":").map { line[line.index(after: $0)...].drop { $0 == " " } }
        }.filter { !$0.isEmpty }
        let odd: [Substring] = [
            "0", "-1", "1.5", "none", "[]", "{}", "null", "true", "1000000000",
            "99999999999999999999",
            "100%", "0%", "0s", "24h", "1ms", "/", #""""#, #""*""#, "(", "a/b", "orders", "v2",
            "search", "grpc", "tcp", "Exact", "RegularExpression", "2026-02-30",
        ]
        var random = Mutations(seed: 4)
        var accepted = 0
        for _ in 0..<150 {
            var changed = lines
            for _ in 0..<Int.random(in: 1...2, using: &random) {
                mutate(&changed, values + odd, &random)
            }
            guard let catalog = try? Manifests.catalog(changed.joined(separator: "\n")) else {
                continue
            }
            accepted += 1
            for key in catalog.workloads.keys {
                let compiled = try catalog.compile(workload: key, version: 1, trustBundle: [])
                let snapshot = try #require(compiled)
                #expect(try MeshSnapshot.decode(json: snapshot.encode()) == snapshot)
            }
        }
        // Else nothing of the compiler was tried.
        #expect(accepted > 10)
    }

    private func mutate(
        _ lines: inout [Substring],
        _ values: [Substring],
        _ random: inout Mutations
    ) {
        let index = Int.random(in: lines.indices, using: &random)
        switch Int.random(in: 0..<4, using: &random) {
        case 0: lines.remove(at: index)
        case 1: lines.insert(lines[index], at: index)
        default:
            guard let colon = lines[index].firstIndex(of: ":"),
                let value = values.randomElement(using: &random)
            else { return }
            lines[index] = Substring(lines[index][...colon] + " " + value)
        }
    }

    private func examples() throws -> String {
        var directory = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        while directory.path != "/" {
            let candidate = directory.appendingPathComponent("mesh-config/policies").path
            if FileManager.default.fileExists(atPath: candidate) {
                return try ManifestFile.read(directory: candidate)
                    .map { String(decoding: $0.bytes, as: UTF8.self) }
                    .joined(separator: "\n---\n")
            }
            directory = directory.deletingLastPathComponent()
        }
        throw CocoaError(.fileNoSuchFile)
    }
}

/// SplitMix64, so that a failure comes again.
private struct Mutations: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}
