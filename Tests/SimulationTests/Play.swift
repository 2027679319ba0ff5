import HTTP
import MeshModel
import Simulation
import Testing
import Time

/// What a seed plays, and what it must come to beside what holds for all plays.
struct Play {
    enum Kind: CaseIterable {
        /// A split over workers and updates.
        case split
        /// Everything fails at the end of a chain of services that all retry.
        case totalFailure
        /// One of three endpoints fails and recovers.
        case badEndpoint
        /// Any number of endpoints fails in any way.
        case manyBadEndpoints
        /// Callers leave.
        case leavingCallers
        /// A chain of services under a deadline.
        case deadline
        /// An endpoint that refuses what is too much, fast.
        case overload
    }

    /// Requests that share a schedule.
    struct Epoch {
        let weights: [UInt32]
        let holds: (RequestRecord) -> Bool
    }

    let kind: Kind
    let scenario: Scenario
    let snapshots: [MeshSnapshot]
    var changes: [ConfigurationChange] = []
    var budget: RetryBudget?
    var outliers: OutlierDetection?
    var propagates = false
    var hops = 1
    var epochs: [Epoch] = []
    /// What is broken of what this play is about.
    var check: (RunRecord) -> [String] = { _ in [] }

    func run(seed: UInt64) throws -> RunRecord {
        try Simulation(snapshots: snapshots, scenario: scenario, changes: changes, seed: seed).run()
    }

    /// The play of a seed.
    init(seed: UInt64) throws {
        var random = FastRandom(seed: seed)
        let kind = Kind.allCases[Int(seed % UInt64(Kind.allCases.count))]
        switch kind {
        case .split: self = try .split(&random)
        case .totalFailure: self = try .totalFailure(&random)
        case .badEndpoint: self = try .badEndpoint(&random)
        case .manyBadEndpoints: self = try .manyBadEndpoints(&random)
        case .leavingCallers: self = try .leavingCallers(&random)
        case .deadline: self = try .deadline(&random)
        case .overload: self = try .overload(&random)
        }
    }

    init(_ kind: Kind, _ scenario: Scenario, _ snapshots: [MeshSnapshot]) {
        self.kind = kind
        self.scenario = scenario
        self.snapshots = snapshots
    }
}

extension FastRandom {
    mutating func number(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &self) }

    mutating func chance(_ percent: Int) -> Bool { number(1...100) <= percent }

    mutating func milliseconds(_ range: ClosedRange<Int>) -> Duration {
        .milliseconds(number(range))
    }

    mutating func percent(_ range: ClosedRange<Int>) -> Share { Share(percent: number(range)) }

    mutating func serviceTime(_ range: ClosedRange<Int>) -> ServiceTime {
        let time = number(range)
        switch number(0...2) {
        case 0: return .constant(.milliseconds(time))
        case 1: return .exponential(mean: .milliseconds(time))
        default: return .lognormal(median: .milliseconds(time), p99: .milliseconds(time * 6))
        }
    }

    mutating func arrivals(_ perSecond: ClosedRange<Int>) -> CallerLoad.Arrivals {
        let rate = Double(number(perSecond))
        return chance(50) ? .poisson(perSecond: rate) : .fixed(perSecond: rate)
    }
}
