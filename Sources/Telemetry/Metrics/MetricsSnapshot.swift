/// The numbers of one or several workers at one moment: a value that may cross threads.
public struct MetricsSnapshot: Sendable, Equatable {
    /// By `slot`; only those that are counted without a label.
    var counters: [Int: UInt64] = [:]
    /// By `slot`, then by label value.
    var labelled: [Int: [String: UInt64]] = [:]
    /// By `slot`.
    var gauges: [Int: Int64] = [:]
    /// Series that have counted something.
    var requests: [RequestSeriesKey: RequestSeriesSnapshot] = [:]
    /// Series of opaque connections that have counted something.
    var connections: [ConnectionSeriesKey: ConnectionSeriesSnapshot] = [:]

    /// No numbers at all: where a merge begins.
    public init() {}

    /// Adds the numbers of another worker.
    public mutating func merge(_ other: MetricsSnapshot) {
        counters.merge(other.counters, uniquingKeysWith: &+)
        labelled.merge(other.labelled) { $0.merging($1, uniquingKeysWith: &+) }
        for gauge in ProxyGauge.allCases {
            for direction in directions(gauge.definition) {
                let slot = slot(gauge.rawValue, direction)
                guard let theirs = other.gauges[slot] else { continue }
                gauges[slot] =
                    gauges[slot].map { gauge.definition.merge.apply($0, theirs) } ?? theirs
            }
        }
        requests.merge(other.requests) { $0.merging($1) }
        connections.merge(other.connections) { $0.merging($1) }
    }

    /// The value of a counter without a label, over all directions.
    public func total(_ counter: ProxyCounter) -> UInt64 {
        Direction.allCases.reduce(0) { $0 &+ value(counter, $1) }
    }

    /// The value of a counter in one direction, over all label values.
    public func value(_ counter: ProxyCounter, _ direction: Direction) -> UInt64 {
        let slot = slot(counter.rawValue, direction)
        let labels = labelled[slot] ?? [:]
        return labels.values.reduce(counters[slot] ?? 0, &+)
    }

    /// The value of a counter in one direction under one label value.
    public func value(_ counter: ProxyCounter, _ direction: Direction, label: String) -> UInt64 {
        labelled[slot(counter.rawValue, direction)]?[label] ?? 0
    }

    /// The value of a gauge in one direction.
    public func value(_ gauge: ProxyGauge, _ direction: Direction) -> Int64 {
        gauges[slot(gauge.rawValue, direction)] ?? 0
    }

    /// The value of a gauge over all directions.
    public func total(_ gauge: ProxyGauge) -> Int64 {
        Direction.allCases.reduce(0) { $0 &+ value(gauge, $1) }
    }

    /// Opaque connections of one direction that have ended, for `reason` or for any.
    public func endedConnections(_ direction: Direction, reason: String? = nil) -> UInt64 {
        connections.lazy.filter { $0.key.direction == direction }
            .flatMap { $0.value.ends }
            .reduce(0) { reason == nil || $1.key == reason ? $0 &+ $1.value : $0 }
    }

    /// Opaque connections now open, in both directions.
    public var activeConnections: Int64 { connections.values.reduce(0) { $0 &+ $1.active } }

    /// Requests of one direction that have ended, to `service` or to any.
    public func requestCount(_ direction: Direction, service: String? = nil) -> UInt64 {
        requests.lazy.filter { $0.key.direction == direction }
            .filter { service == nil || $0.key.service == service }
            .reduce(0) { $0 &+ $1.value.duration.count }
    }
}

/// The numbers of one request series.
struct RequestSeriesSnapshot: Sendable, Equatable {
    var outcomes: [RequestOutcome: UInt64]
    var failedCalls: UInt64 = 0
    var duration: HistogramSnapshot
    /// Counts of `PreciseDurations`; none where there are no values.
    var precise: ContiguousArray<UInt64> = []
    var requestSize: HistogramSnapshot
    var responseSize: HistogramSnapshot

    func merging(_ other: RequestSeriesSnapshot) -> RequestSeriesSnapshot {
        RequestSeriesSnapshot(
            outcomes: outcomes.merging(other.outcomes, uniquingKeysWith: &+),
            failedCalls: failedCalls &+ other.failedCalls,
            duration: duration.merging(other.duration),
            precise: Self.sums(precise, other.precise),
            requestSize: requestSize.merging(other.requestSize),
            responseSize: responseSize.merging(other.responseSize)
        )
    }

    /// Each number of one and the other; none stands for zeros.
    private static func sums(
        _ one: ContiguousArray<UInt64>,
        _ other: ContiguousArray<UInt64>
    ) -> ContiguousArray<UInt64> {
        if one.isEmpty { return other }
        if other.isEmpty { return one }
        return ContiguousArray(zip(one, other).map { $0 &+ $1 })
    }
}

/// The numbers of one histogram: its counts per bucket, not cumulative, and its sum.
struct HistogramSnapshot: Sendable, Equatable {
    private(set) var counts: [UInt64]
    private(set) var sum: UInt64

    /// How many values were recorded.
    var count: UInt64 { counts.reduce(0, &+) }

    init(_ histogram: DurationHistogram) {
        counts = histogram.counts.indices.map { histogram.counts[$0] }
        sum = histogram.sum
    }

    init(_ histogram: SizeHistogram) {
        counts = histogram.counts.indices.map { histogram.counts[$0] }
        sum = histogram.sum
    }

    func merging(_ other: HistogramSnapshot) -> HistogramSnapshot {
        precondition(counts.count == other.counts.count)
        var merged = self
        for index in merged.counts.indices { merged.counts[index] &+= other.counts[index] }
        merged.sum &+= other.sum
        return merged
    }
}

extension MetricDefinition.Merge {
    fileprivate func apply(_ left: Int64, _ right: Int64) -> Int64 {
        switch self {
        case .sum: left &+ right
        case .minimum: min(left, right)
        case .maximum: max(left, right)
        }
    }
}
