import Bytes
import HTTP
import Testing

@testable import Telemetry

@Suite("Prometheus text")
struct PrometheusTextTests {
    private func page(_ snapshot: MetricsSnapshot, samples: [MetricSample] = []) throws
        -> PrometheusPage
    {
        try PrometheusPage(text(snapshot, samples: samples))
    }

    private func text(_ snapshot: MetricsSnapshot, samples: [MetricSample] = []) -> String {
        let buffer = ByteBuffer()
        PrometheusText.append(snapshot, samples: samples, to: buffer)
        return buffer.string
    }

    @Test("Every counter and gauge of the catalogue is on the page, with help and type")
    func catalogueIsComplete() throws {
        let page = try page(WorkerMetrics().snapshot())
        for counter in ProxyCounter.allCases {
            #expect(page.types["\(counter.definition.name)"] == "counter")
            #expect("\(counter.definition.name)".hasSuffix("_total"))
        }
        for gauge in ProxyGauge.allCases {
            #expect(page.types["\(gauge.definition.name)"] == "gauge")
            #expect(!"\(gauge.definition.name)".hasSuffix("_total"))
        }
    }

    @Test("Counts show under their direction and label")
    func countsShow() throws {
        let metrics = WorkerMetrics()
        metrics.add(.connectionsAccepted, .inbound)
        metrics.add(.connectionsAccepted, .inbound, 2)
        metrics.add(.malformedRequests, .outbound, label: "bare_cr")
        metrics.add(.snapshotsApplied)
        metrics.adjust(.connectionsActive, .outbound, by: 3)
        metrics.adjust(.connectionsActive, .outbound, by: -4)
        let page = try page(metrics.snapshot())
        #expect(page.value("mesh_connections_accepted_total", ["direction": "inbound"]) == 3)
        #expect(page.value("mesh_connections_accepted_total", ["direction": "outbound"]) == 0)
        #expect(
            page.value(
                "mesh_malformed_requests_total",
                ["direction": "outbound", "reason": "bare_cr"]
            )
                == 1
        )
        #expect(page.value("mesh_snapshots_applied_total") == 1)
        #expect(page.value("mesh_connections_active", ["direction": "outbound"]) == -1)
    }

    @Test("A request shows in all four request metrics, histograms being cumulative")
    func requestShows() throws {
        let metrics = WorkerMetrics()
        let series = metrics.series(
            for: RequestSeriesKey(
                direction: .outbound,
                service: "orders.default",
                route: "orders/0",
                cluster: "orders-v1.default"
            )
        )
        series.record(
            method: .get,
            status: 200,
            duration: 3_000_000,
            requestBytes: 0,
            responseBytes: 1_024,
            flag: nil
        )
        series.record(
            method: .post,
            status: 503,
            duration: 40_000_000_000,
            requestBytes: 300,
            responseBytes: 17 << 20,
            flag: .noEndpoint
        )
        let page = try page(metrics.snapshot())
        let labels = [
            "direction": "outbound", "service": "orders.default", "route": "orders/0",
            "cluster": "orders-v1.default", "peer": "",
        ]
        func with(_ more: [String: String]) -> [String: String] {
            labels.merging(more) { $1 }
        }
        #expect(
            page.value(
                "http_requests_total",
                with(["method": "GET", "status": "200", "response_flags": ""])
            ) == 1
        )
        #expect(
            page.value(
                "http_requests_total",
                with(["method": "POST", "status": "503", "response_flags": "no_endpoint"])
            ) == 1
        )
        let duration = "http_request_duration_seconds"
        #expect(page.value(duration + "_bucket", with(["le": "0.002"])) == 0)
        #expect(page.value(duration + "_bucket", with(["le": "0.004"])) == 1)
        #expect(page.value(duration + "_bucket", with(["le": "32.768"])) == 1)
        #expect(page.value(duration + "_bucket", with(["le": "+Inf"])) == 2)
        #expect(page.value(duration + "_count", labels) == 2)
        #expect(page.value(duration + "_sum", labels) == 40.003)
        #expect(page.value("http_request_size_bytes_bucket", with(["le": "256"])) == 1)
        #expect(page.value("http_request_size_bytes_bucket", with(["le": "1024"])) == 2)
        #expect(page.value("http_response_size_bytes_bucket", with(["le": "256"])) == 0)
        #expect(page.value("http_response_size_bytes_bucket", with(["le": "1024"])) == 1)
        #expect(page.value("http_response_size_bytes_bucket", with(["le": "16777216"])) == 1)
        #expect(page.value("http_response_size_bytes_sum", labels) == Double(17 << 20 + 1_024))
    }

    @Test("Label values are escaped so that a parser reads back what was meant")
    func labelValuesAreEscaped() throws {
        let metrics = WorkerMetrics()
        let odd = "a\\b\"c\nd,e}f \u{00e9}"
        let key = RequestSeriesKey(direction: .inbound, service: odd)
        metrics.series(for: key).record(
            method: .get,
            status: 200,
            duration: 1,
            requestBytes: 0,
            responseBytes: 0,
            flag: nil
        )
        let page = try page(metrics.snapshot())
        #expect(page.order.contains { $0.labels["service"] == odd })
    }

    @Test("Samples of the caller follow, one header for several of one name")
    func samplesFollow() throws {
        let page = try page(
            MetricsSnapshot(),
            samples: [
                MetricSample(
                    "mesh_build",
                    "Always 1.",
                    labels: [("version", "1.2.3")],
                    value: 1
                ),
                MetricSample(
                    "mesh_certificate_expiry_seconds",
                    "Time of expiry.",
                    labels: [("use", "leaf")],
                    value: 1_795_000_000.5
                ),
                MetricSample(
                    "mesh_certificate_expiry_seconds",
                    "Time of expiry.",
                    labels: [("use", "root")],
                    value: .infinity
                ),
                MetricSample(
                    "mesh_rotations_total",
                    "Rotations.",
                    kind: .counter,
                    value: 3
                ),
            ]
        )
        #expect(page.value("mesh_build", ["version": "1.2.3"]) == 1)
        #expect(page.value("mesh_certificate_expiry_seconds", ["use": "leaf"]) == 1_795_000_000.5)
        #expect(page.value("mesh_certificate_expiry_seconds", ["use": "root"]) == .infinity)
        #expect(page.types["mesh_rotations_total"] == "counter")
    }

    @Test("The page is the same whatever the order in which things were first counted")
    func orderIsDeterministic() {
        let keys = (0..<20).map {
            RequestSeriesKey(direction: .outbound, service: "s\($0)", peer: "p")
        }
        func page(_ keys: [RequestSeriesKey], _ reasons: [StaticString]) -> String {
            let metrics = WorkerMetrics()
            for reason in reasons { metrics.add(.timeouts, .inbound, label: reason) }
            for key in keys {
                metrics.series(for: key).record(
                    method: .get,
                    status: 200,
                    duration: 1,
                    requestBytes: 1,
                    responseBytes: 1,
                    flag: nil
                )
            }
            return text(metrics.snapshot())
        }
        #expect(
            page(keys, ["connect", "idle", "request"])
                == page(keys.reversed(), ["request", "idle", "connect"])
        )
    }
}
