// Failures made on purpose: for which requests, and how often.

public import HTTP
public import MeshModel
public import Time

/// What is done to a request before anything of it is sent to an endpoint.
public struct FaultDecision: Sendable, Equatable {
    /// How long it waits first; 0: not at all.
    public let delayNanoseconds: UInt64
    /// How it fails after that; nil: it does not.
    public let abort: Fault.Abort?

    /// Nothing.
    public static let none = FaultDecision(delayNanoseconds: 0, abort: nil)

    /// Makes a decision.
    public init(delayNanoseconds: UInt64, abort: Fault.Abort?) {
        self.delayNanoseconds = delayNanoseconds
        self.abort = abort
    }
}

/// The faults of one route, compiled when a snapshot arrives.
public struct CompiledFaults: Sendable {
    private struct Compiled: Sendable {
        let matcher: RequestMatcher
        let delayMillionths: UInt32
        let delayNanoseconds: UInt64
        let abortMillionths: UInt32
        let abort: Fault.Abort?
    }

    private let faults: ContiguousArray<Compiled>

    /// Compiles `faults`.
    public init(_ faults: [Fault]) {
        self.faults = ContiguousArray(
            faults.map { fault in
                Compiled(
                    matcher: RequestMatcher(fault.matches),
                    delayMillionths: fault.delay?.share.millionths ?? 0,
                    delayNanoseconds: fault.delay?.duration.nanoseconds ?? 0,
                    abortMillionths: fault.abort?.share.millionths ?? 0,
                    abort: fault.abort?.kind
                )
            }
        )
    }

    /// Whether there is none: asked first.
    public var isEmpty: Bool { faults.isEmpty }

    /// What happens to `head`: the first fault that it matches decides, and no other.
    ///
    /// So a fault's share is that of the requests it matches, whatever follows it. Delay and abort
    /// are drawn independently: of half delayed and half aborted a quarter is both.
    public func decide(_ head: RequestHead, random: inout FastRandom) -> FaultDecision {
        for fault in faults where fault.matcher.matches(head) {
            let isDelayed = random.next(upperBound: Self.whole) < fault.delayMillionths
            let isAborted = random.next(upperBound: Self.whole) < fault.abortMillionths
            return FaultDecision(
                delayNanoseconds: isDelayed ? fault.delayNanoseconds : 0,
                abort: isAborted ? fault.abort : nil
            )
        }
        return .none
    }

    private static let whole: UInt32 = 1_000_000
}
