/// A failure made on purpose, before anything is sent to an endpoint.
public struct Fault: Sendable, Equatable {
    /// How a request fails.
    public enum Abort: Sendable, Equatable {
        /// A response with this status, 400...599; to gRPC callers its mapped code.
        case status(Int)
        /// A response with this gRPC code, 1...16; to others its mapped status.
        case grpc(Int)
        /// The caller's connection, or its stream, is reset.
        case reset
    }

    /// Requests it is for; empty: all of the route.
    public let matches: [RouteMatch]
    /// How many of them wait, and how long.
    public let delay: (share: Share, duration: Duration)?
    /// How many of them fail, and how.
    public let abort: (share: Share, kind: Abort)?

    /// Makes a fault; traps when a part is out of range.
    public init(
        matches: [RouteMatch] = [],
        delay: (share: Share, duration: Duration)? = nil,
        abort: (share: Share, kind: Abort)? = nil
    ) {
        precondition(matches.count <= Limits.policyMatchesMax)
        precondition(delay.map(\.duration.isTimeLimit) ?? true)
        switch abort?.kind {
        case .status(let status)?: precondition(Limits.retryStatus.contains(status))
        case .grpc(let code)?: precondition(Limits.grpcFailure.contains(code))
        case .reset?, nil: break
        }
        self.matches = matches
        self.delay = delay
        self.abort = abort
    }

    /// Whether the parts are equal; tuples have no synthesized conformance.
    public static func == (left: Fault, right: Fault) -> Bool {
        left.matches == right.matches
            && left.delay?.share == right.delay?.share
            && left.delay?.duration == right.delay?.duration
            && left.abort?.share == right.abort?.share
            && left.abort?.kind == right.abort?.kind
    }
}
