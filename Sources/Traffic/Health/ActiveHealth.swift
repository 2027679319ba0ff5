// What the proxy's own checks say about one endpoint.

public import MeshModel
public import Time

/// Counts the results of health checks.
///
/// Worker-confined. An endpoint is well until checks fail: a new one would otherwise wait for its
/// first two checks, and all would be out at the start of a proxy.
public struct ActiveHealth: Sendable {
    /// Whether requests may be sent to it.
    public private(set) var isWell = true

    private let failuresMax: Int
    private let successesMin: Int
    /// Results in a row that contradict `isWell`.
    private var contradictions = 0

    /// Counts by the thresholds of `policy`.
    public init(_ policy: HealthCheck) {
        failuresMax = policy.failuresMax
        successesMin = policy.successesMin
    }

    /// Counts a check's result; true when `isWell` has changed by it.
    public mutating func record(isSuccess: Bool) -> Bool {
        guard isSuccess != isWell else {
            contradictions = 0
            return false
        }
        contradictions += 1
        guard contradictions >= (isWell ? failuresMax : successesMin) else { return false }
        isWell = isSuccess
        contradictions = 0
        return true
    }
}

extension HealthCheck {
    /// Until the first check: anything up to an interval, so that a list is not checked at once.
    public func firstDelayNanoseconds(random: inout FastRandom) -> UInt64 {
        random.next(upperBound: interval.nanoseconds + 1)
    }

    /// From the start of a check to the next: the interval, give or take a fifth.
    public func nextDelayNanoseconds(random: inout FastRandom) -> UInt64 {
        let fifth = interval.nanoseconds / 5
        return interval.nanoseconds - fifth + random.next(upperBound: fifth * 2 + 1)
    }
}
