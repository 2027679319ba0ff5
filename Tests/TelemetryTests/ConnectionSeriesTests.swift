import Bytes
import Testing

@testable import Telemetry

@Suite("Series of opaque connections")
struct ConnectionSeriesTests {
    private func key(_ service: String) -> ConnectionSeriesKey {
        ConnectionSeriesKey(direction: .outbound, service: service, cluster: "c", peer: "")
    }

    @Test("Workers' series are added up, by reason")
    func merge() {
        var merged = MetricsSnapshot()
        for count in 1...2 {
            let metrics = WorkerMetrics()
            let series = metrics.series(for: key("db"))
            for _ in 0..<count {
                series.opened()
                series.received(10)
                series.sent(3)
                series.closed(reason: "finished", duration: 1_000_000)
            }
            series.opened()
            merged.merge(metrics.snapshot())
        }
        #expect(merged.endedConnections(.outbound) == 3)
        #expect(merged.endedConnections(.outbound, reason: "finished") == 3)
        #expect(merged.endedConnections(.outbound, reason: "overflow") == 0)
        #expect(merged.endedConnections(.inbound) == 0)
        #expect(merged.activeConnections == 2)
        let page = ByteBuffer()
        PrometheusText.append(merged, to: page)
        let text = String(decoding: page.array, as: UTF8.self)
        let labels = #"direction="outbound",service="db",cluster="c",peer="""#
        for line in [
            #"mesh_tcp_connections_total{\#(labels),reason="finished"} 3"#,
            "mesh_tcp_connections_active{\(labels)} 2",
            "mesh_tcp_received_bytes_total{\(labels)} 30",
            "mesh_tcp_sent_bytes_total{\(labels)} 9",
            "mesh_tcp_connection_duration_seconds_count{\(labels)} 3",
        ] { #expect(text.contains(line + "\n"), "\(line)") }
    }

    @Test("A series nobody has used makes no line")
    func unused() {
        let metrics = WorkerMetrics()
        _ = metrics.series(for: key("db"))
        let page = ByteBuffer()
        PrometheusText.append(metrics.snapshot(), to: page)
        #expect(!String(decoding: page.array, as: UTF8.self).contains("mesh_tcp_"))
    }

    @Test("Over the bound connections share a series; series nobody holds make room")
    func bound() {
        let metrics = WorkerMetrics()
        let count = TelemetryLimits.connectionSeriesMax
        let held = (0..<count).map { metrics.series(for: key("\($0)")) }
        #expect(held.last?.key == .other(.outbound))
        #expect(metrics.series(for: key("0")) === held[0])
        let other = WorkerMetrics()
        for index in 0..<count { _ = other.series(for: key("\(index)")) }
        #expect(other.series(for: key("new")).key == key("new"))
    }
}
