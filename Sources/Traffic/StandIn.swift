public import MeshModel
public import Time
public import HTTP
public struct AdaptiveLimit { public init(_ policy: AdaptiveConcurrency) {}; public var limit: Int { 100 }; public mutating func sample(latencyNanoseconds: UInt64, active: Int, isDropped: Bool, now: MonotonicTime) {} }
public struct OverloadDetector { public init(_ policy: LoadShedding) {}; public mutating func turn(waitedNanoseconds: UInt64, now: MonotonicTime) {}; public func sheds(_ priority: Priority) -> Bool { false }; public var isShedding: Bool { false } }
public struct FaultDecision { public var delayNanoseconds: UInt64; public var abort: Fault.Abort? }
public struct CompiledFaults: Sendable { public init(_ faults: [Fault]) {}; public func decide(_ head: RequestHead, random: inout FastRandom) -> FaultDecision { FaultDecision(delayNanoseconds: 0, abort: nil) } }
