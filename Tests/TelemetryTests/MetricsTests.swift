import HTTP
import Testing

@testable import Telemetry

@Suite("Metrics of a worker")
struct MetricsTests {
    private let orders = RequestSeriesKey(
        direction: .outbound,
        service: "orders",
        route: "orders/0",
        cluster: "orders-v1"
    )

    private func record(_ series: RequestSeries, status: Int = 200, times: Int = 1) {
        for _ in 0..<times {
            series.record(
                method: .get,
                status: status,
                duration: 1_000_000,
                requestBytes: 10,
                responseBytes: 20,
                flag: nil
            )
        }
    }

    @Test("Names in the catalogue are unique and well-formed, helps are one plain line")
    func catalogueIsWellFormed() {
        let definitions =
            ProxyCounter.allCases.map(\.definition) + ProxyGauge.allCases.map(\.definition)
        #expect(Set(definitions.map { "\($0.name)" }).count == definitions.count)
        for definition in definitions {
            #expect("\(definition.name)".allSatisfy { $0.isLowercase || $0.isNumber || $0 == "_" })
            #expect(!"\(definition.help)".contains { $0 == "\n" || $0 == "\\" })
            #expect("\(definition.help)".hasSuffix("."))
        }
    }

    @Test("A key that comes back has the same series, so its counters go on")
    func seriesSurvive() {
        let metrics = WorkerMetrics()
        record(metrics.series(for: orders), times: 2)
        record(metrics.series(for: orders))
        #expect(metrics.snapshot().requests[orders]?.duration.count == 3)
        #expect(metrics.snapshot().requestCount(.outbound) == 3)
        #expect(metrics.snapshot().requestCount(.inbound) == 0)
    }

    @Test("Series that are held are never given up; over the bound, the shared one counts")
    func heldSeriesStay() {
        let metrics = WorkerMetrics()
        var held: [RequestSeries] = []
        // Two places are taken by the shared series.
        for index in 0..<TelemetryLimits.requestSeriesMax - 2 {
            let key = RequestSeriesKey(direction: .inbound, service: "web", peer: "\(index)")
            held.append(metrics.series(for: key))
        }
        let over = metrics.series(for: orders)
        #expect(over.key == .other(.outbound))
        record(over)
        #expect(metrics.snapshot().requests[.other(.outbound)]?.duration.count == 1)
        #expect(metrics.series(for: held[0].key) === held[0])
    }

    @Test("When all places are taken, series that nobody holds make room")
    func unheldSeriesMakeRoom() {
        let metrics = WorkerMetrics()
        let kept = metrics.series(for: orders)
        for index in 0..<2 * TelemetryLimits.requestSeriesMax {
            let key = RequestSeriesKey(direction: .inbound, service: "web", peer: "\(index)")
            #expect(metrics.series(for: key).key == key)
        }
        #expect(metrics.series(for: orders) === kept)
    }

    @Test("Outcomes over the bound are counted as other, and none is lost")
    func outcomesAreBounded() {
        let series = RequestSeries(key: orders)
        for status in 100...599 { record(series, status: status) }
        let outcomes = series.snapshot.outcomes
        #expect(outcomes.count == TelemetryLimits.outcomesPerSeriesMax)
        #expect(outcomes.values.reduce(0, +) == 500)
        #expect(outcomes[.overflow] == UInt64(500 - (TelemetryLimits.outcomesPerSeriesMax - 1)))
    }

    @Test(
        "Only real status codes become labels",
        arguments: [
            (0, "none"), (99, "other"), (100, "100"), (599, "599"), (600, "other"), (-1, "other"),
            (1 << 40, "other"),
        ]
    )
    func statusLabel(status: Int, label: String) {
        let outcome = RequestOutcome(method: .get, status: status, flag: nil)
        #expect(outcome.statusLabel == label)
    }

    @Test("Method and flag survive packing")
    func outcomeLabels() {
        for method in Method.allCases {
            for flag in ResponseFlag.allCases.map(Optional.some) + [nil] {
                let outcome = RequestOutcome(method: method, status: 404, flag: flag)
                #expect(outcome.methodLabel == "\(method.label)")
                #expect(outcome.flagLabel == (flag.map { "\($0.label)" } ?? ""))
                #expect(outcome.statusLabel == "404")
            }
        }
        #expect(RequestOutcome(method: .other, status: 200, flag: nil).methodLabel == "OTHER")
    }

    @Test("Labels over the bound are counted as other")
    func labelsAreBounded() {
        // StaticString can't be made at run time, so the literals are listed.
        let labels: [StaticString] = [
            "01", "02", "03", "04", "05", "06", "07", "08", "09", "10", "11", "12", "13", "14",
            "15", "16", "17", "18", "19", "20", "21", "22", "23", "24", "25", "26", "27", "28",
            "29", "30", "31", "32", "33",
        ]
        var counter = LabelledCounter()
        for label in labels { counter.add(1, label) }
        counter.add(5, "01")
        #expect(counter.values.count == TelemetryLimits.labelsPerCounterMax)
        #expect(counter.values["other"] == 2)
        #expect(counter.values["01"] == 6)
    }

    @Test("A merge adds counters, labels, gauges and series; versions take the oldest")
    func merge() {
        let left = WorkerMetrics()
        let right = WorkerMetrics()
        let other = RequestSeriesKey(direction: .inbound, service: "web")
        left.add(.retries, .outbound, label: "stale")
        right.add(.retries, .outbound, label: "stale")
        right.add(.retries, .outbound, label: "connect")
        left.add(.tlsHandshakes, .inbound, 4)
        right.add(.tlsHandshakes, .inbound, 5)
        left.adjust(.requestsActive, .inbound, by: 2)
        right.adjust(.requestsActive, .inbound, by: 3)
        left.set(.snapshotVersion, 7)
        right.set(.snapshotVersion, 6)
        right.set(.draining, 1)
        record(left.series(for: orders), times: 2)
        record(right.series(for: orders), status: 500)
        record(right.series(for: other))

        var merged = MetricsSnapshot()
        merged.merge(left.snapshot())
        merged.merge(right.snapshot())
        #expect(merged.value(.retries, .outbound, label: "stale") == 2)
        #expect(merged.value(.retries, .outbound) == 3)
        #expect(merged.total(.tlsHandshakes) == 9)
        #expect(merged.value(.requestsActive, .inbound) == 5)
        #expect(merged.total(.snapshotVersion) == 6)
        #expect(merged.total(.draining) == 1)
        #expect(merged.total(.workers) == 2)
        #expect(merged.requests[orders]?.duration.count == 3)
        #expect(merged.requests[orders]?.requestSize.sum == 30)
        #expect(merged.requests[orders]?.outcomes.count == 2)
        #expect(merged.requestCount(.inbound) == 1)
    }

    @Test("A merge does not depend on the order of the workers")
    func mergeCommutes() {
        let left = WorkerMetrics()
        let right = WorkerMetrics()
        left.add(.localReplies, .inbound, label: "no_route")
        left.set(.snapshotVersion, 1)
        right.set(.snapshotVersion, 2)
        record(left.series(for: orders))
        record(right.series(for: orders), status: 404)
        var forth = left.snapshot()
        forth.merge(right.snapshot())
        var back = right.snapshot()
        back.merge(left.snapshot())
        #expect(forth == back)
    }

    @Test("A snapshot is a copy: what is counted later does not change it")
    func snapshotIsACopy() {
        let metrics = WorkerMetrics()
        let before = metrics.snapshot()
        metrics.add(.connectionsAccepted, .inbound)
        record(metrics.series(for: orders))
        #expect(before.total(.connectionsAccepted) == 0)
        #expect(before.requests.isEmpty)
    }
}
