// A run in numbers: for tables, JSON and the plot.

import MeshModel
import Time
import Traffic

/// What a whole run came to, or one load of it.
public struct RunSummary: Sendable, Equatable, Codable {
    /// All of them.
    public let requests: Int
    /// Requests that were answered, if only with a mistake of the caller's.
    public let succeeded: Int
    /// Requests answered with 5xx, 429 or a gRPC error, and those that were never answered.
    public let failed: Int
    /// Requests whose callers left.
    public let abandoned: Int
    /// Of those that were answered or failed; 1 when there are none.
    public let successRate: Double
    /// Latency of successes; nil when there are none.
    public let p50Milliseconds: Double?
    /// The same for the slowest hundredth.
    public let p99Milliseconds: Double?

    /// Counts requests.
    public init(_ requests: some Sequence<RequestRecord>) {
        var counts = [0, 0, 0]
        var latencies: [UInt64] = []
        for request in requests {
            counts[Int(request.end.rawValue)] += 1
            if request.end == .succeeded { latencies.append(request.nanoseconds) }
        }
        latencies.sort()
        self.requests = counts.reduce(0, +)
        succeeded = counts[Int(RequestEnd.succeeded.rawValue)]
        failed = counts[Int(RequestEnd.failed.rawValue)]
        abandoned = counts[Int(RequestEnd.abandoned.rawValue)]
        let judged = succeeded + failed
        successRate = judged == 0 ? 1 : Double(succeeded) / Double(judged)
        p50Milliseconds = percentile(latencies, 0.5)
        p99Milliseconds = percentile(latencies, 0.99)
    }
}

/// What the proxies of one workload, or of one endpoint, did for one cluster.
public struct UpstreamSummary: Sendable, Equatable, Codable {
    /// The caller's service, or the endpoint's place.
    public let proxy: String
    /// Whom it called.
    public let cluster: String
    /// Exchanges that came to the cluster.
    public let received: Int
    /// Requests that reached an endpoint.
    public let sent: Int
    /// Attempts after a failed one.
    public let retries: Int
    /// Attempts beside a slow one.
    public let hedges: Int
    /// Retries that were not made, by reason.
    public let refused: [String: Int]
    /// Endpoints set aside, each counted once for each worker.
    public let ejections: Int
    /// Endpoints taken back, counted alike.
    public let restorations: Int
}

/// What callers saw in a part of the run; requests count where they began.
public struct TimelinePoint: Sendable, Equatable, Codable {
    /// Middle of the part, from the start.
    public let seconds: Double
    /// What came of the requests that began in it.
    public let summary: RunSummary
}

/// One run, counted.
public struct RunReport: Sendable, Equatable, Codable {
    /// All requests of all callers.
    public let total: RunSummary
    /// In the order of the scenario's callers.
    public let loads: [RunSummary]
    /// One for each proxy's name and cluster.
    public let upstream: [UpstreamSummary]
    /// Local replies by cause.
    public let localReplies: [String: Int]
    /// Parts of the run without a request are left out.
    public let timeline: [TimelinePoint]

    /// Counts a run of a scenario.
    public init(_ record: RunRecord, of scenario: Scenario) {
        total = RunSummary(record.requests)
        loads = scenario.callers.indices.map { load in
            RunSummary(record.requests.lazy.filter { $0.load == load })
        }
        localReplies = record.localReplies
        upstream = Self.upstream(record)
        timeline = Self.timeline(record, scenario)
    }

    private static func upstream(_ record: RunRecord) -> [UpstreamSummary] {
        var ejections = [Int](repeating: 0, count: record.clusters.count)
        var restorations = ejections
        for standing in record.standings {
            switch standing.event {
            case .ejected: ejections[standing.cluster] += 1
            case .restored: restorations[standing.cluster] += 1
            case .probing, .cleared: break
            }
        }
        var groups: [(key: [String], members: [Int])] = []
        var places: [[String]: Int] = [:]
        for (index, cluster) in record.clusters.enumerated() {
            let key = [cluster.proxy, cluster.cluster]
            if let place = places[key] {
                groups[place].members.append(index)
            } else {
                places[key] = groups.count
                groups.append((key, [index]))
            }
        }
        return groups.map { key, members in
            func sum(_ part: (ClusterRecord) -> Int) -> Int {
                members.reduce(0) { $0 + part(record.clusters[$1]) }
            }
            var refused: [String: Int] = [:]
            for member in members {
                for (refusal, count) in record.clusters[member].refusals {
                    refused["\(refusal.label)", default: 0] += count
                }
            }
            return UpstreamSummary(
                proxy: key[0],
                cluster: key[1],
                received: sum(\.received),
                sent: sum(\.sent),
                retries: sum(\.retries),
                hedges: sum(\.hedges),
                refused: refused,
                ejections: members.reduce(0) { $0 + ejections[$1] },
                restorations: members.reduce(0) { $0 + restorations[$1] }
            )
        }
    }

    private static func timeline(_ record: RunRecord, _ scenario: Scenario) -> [TimelinePoint] {
        let width = partNanoseconds(scenario.duration)
        let count = Int((scenario.duration.nanoseconds + width - 1) / width)
        var parts = [[RequestRecord]](repeating: [], count: count)
        for request in record.requests {
            parts[min(Int(request.start.nanoseconds / width), count - 1)].append(request)
        }
        return parts.enumerated().compactMap { index, requests in
            guard !requests.isEmpty else { return nil }
            return TimelinePoint(
                seconds: (Double(index) + 0.5) * Double(width) / 1e9,
                summary: RunSummary(requests)
            )
        }
    }

    /// About fifty parts, of a length one can say: 1, 2 or 5 and zeros.
    static func partNanoseconds(_ duration: Duration) -> UInt64 {
        var width: UInt64 = 1_000_000
        var step = 0
        while duration.nanoseconds / width > 60 {
            width = step % 3 == 1 ? width / 2 * 5 : width * 2
            step += 1
        }
        return width
    }
}

/// The smallest value that so many are not above; nil of none.
private func percentile(_ sorted: [UInt64], _ share: Double) -> Double? {
    guard !sorted.isEmpty else { return nil }
    let rank = Int((Double(sorted.count) * share).rounded(.up))
    return Double(sorted[max(rank, 1) - 1]) / 1e6
}
