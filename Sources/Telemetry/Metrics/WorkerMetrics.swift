// The numbers of one worker.
//
// What it is: plain memory that only its worker touches, so counting is an addition without a lock
// or an atomic. What it is not: readable from another thread. The control loop asks through the
// worker's mailbox and gets a `MetricsSnapshot`, a copy.
//
// Invariants: counters never go down; nothing grows past `TelemetryLimits`.

/// All counters, gauges and request series of one worker.
///
/// Worker-confined.
public final class WorkerMetrics {
    private var counters = [128 of UInt64](repeating: 0)
    private var labelled = ContiguousArray<LabelledCounter>()
    private var gauges = [32 of Int64](repeating: 0)
    private var series: [RequestSeriesKey: RequestSeries] = [:]
    private var connections: [ConnectionSeriesKey: ConnectionSeries] = [:]
    private var watched: Set<RequestSeriesKey> = []

    /// Metrics that are all zero.
    public init() {
        precondition(2 * ProxyCounter.allCases.count <= counters.count)
        precondition(2 * ProxyGauge.allCases.count <= gauges.count)
        labelled = ContiguousArray(
            repeating: LabelledCounter(),
            count: 2 * ProxyCounter.allCases.count
        )
        for direction in Direction.allCases {
            let key = RequestSeriesKey.other(direction)
            series[key] = RequestSeries(key: key)
            let other = ConnectionSeriesKey.other(direction)
            connections[other] = ConnectionSeries(key: other)
        }
        set(.workers, 1)
    }

    /// Counts an event that has a direction.
    public func add(_ counter: ProxyCounter, _ direction: Direction, _ amount: UInt64 = 1) {
        assert(counter.definition.hasDirection && counter.definition.label == nil)
        counters[slot(counter.rawValue, direction)] &+= amount
    }

    /// Counts an event that has neither direction nor label.
    public func add(_ counter: ProxyCounter, _ amount: UInt64 = 1) {
        assert(!counter.definition.hasDirection && counter.definition.label == nil)
        counters[slot(counter.rawValue, .inbound)] &+= amount
    }

    /// Counts an event that has a direction and a label such as its reason.
    public func add(_ counter: ProxyCounter, _ direction: Direction, label: StaticString) {
        assert(counter.definition.hasDirection && counter.definition.label != nil)
        labelled[slot(counter.rawValue, direction)].add(1, label)
    }

    /// Moves a gauge that has a direction by `change`.
    public func adjust(_ gauge: ProxyGauge, _ direction: Direction, by change: Int64) {
        assert(gauge.definition.hasDirection)
        gauges[slot(gauge.rawValue, direction)] &+= change
    }

    /// Sets a gauge that has no direction.
    public func set(_ gauge: ProxyGauge, _ value: Int64) {
        assert(!gauge.definition.hasDirection)
        gauges[slot(gauge.rawValue, .inbound)] = value
    }

    /// The series of `key`: the one there is, so that its counters go on, or a new one.
    ///
    /// Not for the request path: it searches by name. Hold the result. When
    /// `TelemetryLimits.requestSeriesMax` is reached, series that nobody holds any more are given
    /// up; if there are none, the result is a shared series whose labels all say "other".
    public func series(for key: RequestSeriesKey) -> RequestSeries {
        if let known = series[key] { return known }
        if series.count >= TelemetryLimits.requestSeriesMax { dropUnheldSeries() }
        guard series.count < TelemetryLimits.requestSeriesMax else {
            return sharedSeries(key.direction)
        }
        let made = RequestSeries(key: key)
        made.watch(watched.contains(key))
        series[key] = made
        return made
    }

    /// Counts the durations of these series precisely from now on, and of no others.
    ///
    /// A canary is judged by them. A series that is watched no longer keeps its numbers.
    public func watch(_ keys: Set<RequestSeriesKey>) {
        for key in watched.subtracting(keys) { series[key]?.watch(false) }
        for key in keys { series[key]?.watch(true) }
        watched = keys
    }

    /// The series of opaque connections with `key`; as `series(for:)` of requests.
    public func series(for key: ConnectionSeriesKey) -> ConnectionSeries {
        if let known = connections[key] { return known }
        if connections.count >= TelemetryLimits.connectionSeriesMax { dropUnheldConnections() }
        guard connections.count < TelemetryLimits.connectionSeriesMax else {
            guard let shared = connections[.other(key.direction)] else {
                preconditionFailure("the shared series are made with the metrics")
            }
            return shared
        }
        let made = ConnectionSeries(key: key)
        connections[key] = made
        return made
    }

    /// A copy of every number.
    public func snapshot() -> MetricsSnapshot {
        var snapshot = MetricsSnapshot()
        for counter in ProxyCounter.allCases {
            for direction in directions(counter.definition) {
                let slot = slot(counter.rawValue, direction)
                if counter.definition.label == nil {
                    snapshot.counters[slot] = counters[slot]
                } else {
                    snapshot.labelled[slot] = labelled[slot].values
                }
            }
        }
        for gauge in ProxyGauge.allCases {
            for direction in directions(gauge.definition) {
                let slot = slot(gauge.rawValue, direction)
                snapshot.gauges[slot] = gauges[slot]
            }
        }
        snapshot.requests = series.mapValues(\.snapshot).filter { !$0.value.outcomes.isEmpty }
        snapshot.connections = connections.mapValues(\.snapshot).filter { $0.value.isUsed }
        return snapshot
    }

    private func sharedSeries(_ direction: Direction) -> RequestSeries {
        guard let shared = series[.other(direction)] else {
            preconditionFailure("the shared series are made with the metrics and never dropped")
        }
        return shared
    }

    private func dropUnheldConnections() {
        for key in Array(connections.keys) where key != .other(key.direction) {
            guard var candidate = connections.removeValue(forKey: key) else { continue }
            if !isKnownUniquelyReferenced(&candidate) { connections[key] = candidate }
        }
    }

    private func dropUnheldSeries() {
        for key in Array(series.keys) where key != .other(key.direction) {
            guard var candidate = series.removeValue(forKey: key) else { continue }
            if !isKnownUniquelyReferenced(&candidate) { series[key] = candidate }
        }
    }
}

/// The place of a metric: two per metric, the first one serves those without a direction.
func slot(_ metric: Int, _ direction: Direction) -> Int { metric * 2 + Int(direction.rawValue) }

/// The directions a metric is counted in; one stands for none.
func directions(_ definition: MetricDefinition) -> [Direction] {
    definition.hasDirection ? Direction.allCases : [.inbound]
}
