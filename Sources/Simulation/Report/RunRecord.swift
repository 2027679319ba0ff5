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
    public let load: Int
    /// The worker of the caller's proxy.
    public let worker: Int
    public let start: MonotonicTime
    public let nanoseconds: UInt64
    public let end: RequestEnd
    /// The backend it was given to; -1 when it came to none.
    public let backend: Int
    /// Of the answer; 0 when it left.
    public let status: Int
}

/// One request sent to an endpoint.
public struct AttemptRecord: Sendable {
    public let start: MonotonicTime
    /// `RunRecord.clusters`, and the index of the endpoint in it.
    public let cluster: Int
    public let endpoint: Int
    public let number: Int
    public let isProbe: Bool
    public let isPanic: Bool
    /// Nanoseconds past the instant at which the caller that asked first stopped waiting; 0: none.
    public let lateNanoseconds: UInt64
}

/// Something that happened to an endpoint, as one worker saw it.
public struct StandingRecord: Sendable {
    public let time: MonotonicTime
    public let cluster: Int
    public let event: EndpointEvent
    /// Endpoints of the cluster, and how many of them are not healthy after this.
    public let endpointCount: Int
    public let unhealthyCount: Int
}

/// What one worker did for one cluster.
public struct ClusterRecord: Sendable {
    /// Proxy, worker and cluster it is about.
    public internal(set) var proxy = ""
    public internal(set) var proxyIndex = 0
    public internal(set) var worker = 0
    public internal(set) var cluster = ""
    /// Names of the endpoints, by index.
    public internal(set) var endpoints: [String] = []
    /// Exchanges that came to the cluster.
    public internal(set) var received = 0
    /// Attempts, refused connections among them.
    public internal(set) var attempts = 0
    /// Attempts that reached an endpoint.
    public internal(set) var sent = 0
    public internal(set) var retries = 0
    public internal(set) var hedges = 0
    public internal(set) var refusals: [RetryRefusal: Int] = [:]
}

/// A whole run.
public struct RunRecord: Sendable {
    public internal(set) var seed: UInt64 = 0
    /// In the order in which they ended.
    public internal(set) var requests: [RequestRecord] = []
    public internal(set) var attempts: [AttemptRecord] = []
    public internal(set) var standings: [StandingRecord] = []
    public internal(set) var clusters: [ClusterRecord] = []
    /// Local replies by cause.
    public internal(set) var localReplies: [String: Int] = [:]
    /// When the last event was.
    public internal(set) var end = MonotonicTime(nanoseconds: 0)
    public internal(set) var eventCount = 0

    /// The record of nothing.
    public init() {}
}
