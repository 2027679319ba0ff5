// What happened in a run, as plain values: what the invariants are checked against and the reports
// are made of.

public import Time
public import Traffic

/// How a caller's request ended.
public enum RequestEnd: UInt8, Sendable {
    case succeeded
    case failed
    /// The caller left, or was still waiting when the run was over.
    case abandoned
}

/// One request of a caller.
public struct RequestRecord: Sendable {
    /// In the order in which they began.
    public let number: Int
    /// Which of the scenario's callers made it.
    public let load: Int
    /// The worker of the caller's proxy.
    public let worker: Int
    /// When it began.
    public let start: MonotonicTime
    /// From its beginning to its end.
    public let nanoseconds: UInt64
    /// How it ended.
    public let end: RequestEnd
    /// The backend it was given to; -1 when it came to none.
    public let backend: Int
    /// Of the answer; 0 when it left.
    public let status: Int
}

/// One request sent to an endpoint.
public struct AttemptRecord: Sendable {
    /// When it was sent.
    public let start: MonotonicTime
    /// An index of `RunRecord.clusters`.
    public let cluster: Int
    /// The endpoint's index in its cluster.
    public let endpoint: Int
    /// Which attempt of its exchange it is, from 1.
    public let number: Int
    /// Whether it asks if an ejected endpoint has recovered.
    public let isProbe: Bool
    /// Whether health was not asked for.
    public let isPanic: Bool
    /// Nanoseconds past the instant at which the caller that asked first stopped waiting; 0: none.
    public let lateNanoseconds: UInt64
}

/// Something that happened to an endpoint, as one worker saw it.
public struct StandingRecord: Sendable {
    /// When it happened.
    public let time: MonotonicTime
    /// An index of `RunRecord.clusters`.
    public let cluster: Int
    /// What happened, and to which endpoint.
    public let event: EndpointEvent
    /// Endpoints of the cluster.
    public let endpointCount: Int
    /// How many of them are not healthy after this.
    public let unhealthyCount: Int
}

/// What one worker did for one cluster.
public struct ClusterRecord: Sendable {
    /// The proxy's name.
    public internal(set) var proxy = ""
    /// Tells proxies of one name apart.
    public internal(set) var proxyIndex = 0
    /// The worker's index in its proxy.
    public internal(set) var worker = 0
    /// The cluster's name.
    public internal(set) var cluster = ""
    /// Names of the endpoints, by index.
    public internal(set) var endpoints: [String] = []
    /// Exchanges that came to the cluster.
    public internal(set) var received = 0
    /// Attempts, refused connections among them.
    public internal(set) var attempts = 0
    /// Attempts that reached an endpoint.
    public internal(set) var sent = 0
    /// Attempts after a failed one.
    public internal(set) var retries = 0
    /// Attempts beside a slow one.
    public internal(set) var hedges = 0
    /// Attempts that were not made, by reason.
    public internal(set) var refusals: [RetryRefusal: Int] = [:]
}

/// A whole run.
public struct RunRecord: Sendable {
    /// What chance followed from.
    public internal(set) var seed: UInt64 = 0
    /// In the order in which they ended.
    public internal(set) var requests: [RequestRecord] = []
    /// In the order in which they were sent.
    public internal(set) var attempts: [AttemptRecord] = []
    /// What happened to endpoints, in order.
    public internal(set) var standings: [StandingRecord] = []
    /// One for each worker and cluster it has.
    public internal(set) var clusters: [ClusterRecord] = []
    /// Local replies by cause.
    public internal(set) var localReplies: [String: Int] = [:]
    /// When the last event was.
    public internal(set) var end = MonotonicTime(nanoseconds: 0)
    /// What the run cost.
    public internal(set) var eventCount = 0

    /// The record of nothing.
    public init() {}
}
