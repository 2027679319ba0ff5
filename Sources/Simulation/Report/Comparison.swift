public import MeshModel

/// One scenario played twice: with the policy of the snapshots, and without any.
///
/// Without means: no retries, hedges or fallbacks, no ejection, no health checks, no limits but those
/// on numbers, endpoints in turn. Routes, weights and timeouts are the same.
public struct Comparison: Sendable, Equatable, Codable {
    /// What chance followed from, both times.
    public let seed: UInt64
    /// The run with the snapshots' policies.
    public let withPolicy: RunReport
    /// The run without any.
    public let withoutPolicy: RunReport

    /// Plays a scenario twice; callers do the same both times.
    public init(
        snapshots: [MeshSnapshot],
        scenario: Scenario,
        seed: UInt64
    ) throws(SimulationError) {
        func play(_ isBare: Bool) throws(SimulationError) -> RunReport {
            let simulation = try Simulation(
                snapshots: snapshots,
                scenario: scenario,
                seed: seed,
                isBare: isBare
            )
            return RunReport(simulation.run(), of: scenario)
        }
        self.seed = seed
        withPolicy = try play(false)
        withoutPolicy = try play(true)
    }
}
