import Foundation
import Simulation
import Testing

/// A thousand plays; one alone with `MESH_SIMULATION_SEED=17 swift test --filter SeedTests`.
@Suite struct SeedTests {
    static let groups = 20
    static let seedsPerGroup = 50

    static var single: UInt64? {
        ProcessInfo.processInfo.environment["MESH_SIMULATION_SEED"].flatMap(UInt64.init)
    }

    @Test("What must hold of traffic holds in every play", arguments: 0..<groups)
    func plays(group: Int) throws {
        if let seed = Self.single {
            if group == 0 { try check(seed) }
            return
        }
        for number in 0..<Self.seedsPerGroup {
            try check(UInt64(number * Self.groups + group))
        }
    }

    private func check(_ seed: UInt64) throws {
        let play = try Play(seed: seed)
        let record = try play.run(seed: seed)
        let broken = record.brokenInvariants(play) + play.check(record)
        for text in broken {
            Issue.record("seed \(seed) (\(play.kind)): \(text); MESH_SIMULATION_SEED=\(seed)")
        }
    }
}
