// The page of `/metrics`: Prometheus text format 0.0.4.
//
// Control loop only; it allocates freely. The order is that of the catalogue, then of label values,
// so that two pages can be compared line by line.

public import Bytes

/// One metric whose value the caller knows: build, configuration, certificates, the process.
public struct MetricSample: Sendable {
    /// What Prometheus may do with the value.
    public enum Kind: Sendable {
        case counter, gauge
    }

    /// Name; samples of one name must follow each other and agree in help and kind.
    public let name: StaticString
    /// One line for the `HELP` comment.
    public let help: StaticString
    /// Counter or gauge.
    public let kind: Kind
    /// Names and values, in the order they are written.
    public let labels: [(name: StaticString, value: String)]
    /// The value.
    public let value: Double

    /// A sample; see the properties.
    public init(
        _ name: StaticString,
        _ help: StaticString,
        kind: Kind = .gauge,
        labels: [(name: StaticString, value: String)] = [],
        value: Double
    ) {
        self.name = name
        self.help = help
        self.kind = kind
        self.labels = labels
        self.value = value
    }
}

/// Renders metrics as Prometheus text.
public struct PrometheusText {
    /// The `Content-Type` of the page.
    public static let contentType: StaticString = "text/plain; version=0.0.4; charset=utf-8"

    private let page: ByteBuffer

    /// Appends the page of `snapshot` and `samples` to `buffer`.
    public static func append(
        _ snapshot: MetricsSnapshot,
        samples: [MetricSample] = [],
        to buffer: ByteBuffer
    ) {
        let text = PrometheusText(page: buffer)
        text.requests(snapshot)
        text.connections(snapshot)
        for counter in ProxyCounter.allCases { text.counter(counter, of: snapshot) }
        for gauge in ProxyGauge.allCases { text.gauge(gauge, of: snapshot) }
        text.samples(samples)
    }

    private func requests(_ snapshot: MetricsSnapshot) {
        let series = snapshot.requests.sorted { $0.key.sortKey < $1.key.sortKey }
        guard !series.isEmpty else { return }
        header(
            "http_requests_total",
            "HTTP requests whose exchange has ended.",
            kind: "counter"
        )
        for (key, numbers) in series {
            let outcomes = numbers.outcomes.sorted { $0.key.packed < $1.key.packed }
            for (outcome, count) in outcomes {
                let own: [(StaticString, String)] = [
                    ("method", outcome.methodLabel), ("status", outcome.statusLabel),
                    ("response_flags", outcome.flagLabel),
                ]
                line("http_requests_total", labels: key.labels + own) { $0.append(decimal: count) }
            }
        }
        histogram(
            "http_request_duration_seconds",
            "Time from a request's head to its response's end.",
            series.map { ($0.key.labels, $0.value.duration) },
            bound: { "\(DurationHistogram.bound($0))" },
            sum: { Double($0) / 1e9 }
        )
        histogram(
            "http_request_size_bytes",
            "Size of request bodies.",
            series.map { ($0.key.labels, $0.value.requestSize) },
            bound: { "\(SizeHistogram.bound($0))" },
            sum: { Double($0) }
        )
        histogram(
            "http_response_size_bytes",
            "Size of response bodies.",
            series.map { ($0.key.labels, $0.value.responseSize) },
            bound: { "\(SizeHistogram.bound($0))" },
            sum: { Double($0) }
        )
    }

    private func connections(_ snapshot: MetricsSnapshot) {
        let series = snapshot.connections.sorted { $0.key.sortKey < $1.key.sortKey }
        guard !series.isEmpty else { return }
        header("mesh_tcp_connections_total", "Opaque connections that have ended.", kind: "counter")
        for (key, numbers) in series {
            for (reason, count) in numbers.ends.sorted(by: { $0.key < $1.key }) {
                line("mesh_tcp_connections_total", labels: key.labels + [("reason", reason)]) {
                    $0.append(decimal: count)
                }
            }
        }
        header("mesh_tcp_connections_active", "Opaque connections now open.", kind: "gauge")
        for (key, numbers) in series {
            line("mesh_tcp_connections_active", labels: key.labels) {
                $0.append("\(numbers.active)")
            }
        }
        header(
            "mesh_tcp_received_bytes_total",
            "Bytes of opaque connections from the caller.",
            kind: "counter"
        )
        for (key, numbers) in series {
            line("mesh_tcp_received_bytes_total", labels: key.labels) {
                $0.append(decimal: numbers.received)
            }
        }
        header(
            "mesh_tcp_sent_bytes_total",
            "Bytes of opaque connections to the caller.",
            kind: "counter"
        )
        for (key, numbers) in series {
            line("mesh_tcp_sent_bytes_total", labels: key.labels) {
                $0.append(decimal: numbers.sent)
            }
        }
        histogram(
            "mesh_tcp_connection_duration_seconds",
            "Time from an opaque connection's start to its end.",
            series.map { ($0.key.labels, $0.value.duration) },
            bound: { "\(DurationHistogram.bound($0))" },
            sum: { Double($0) / 1e9 }
        )
    }

    private func histogram(
        _ name: StaticString,
        _ help: StaticString,
        _ series: [(labels: [(StaticString, String)], numbers: HistogramSnapshot)],
        bound: (Int) -> String,
        sum: (UInt64) -> Double
    ) {
        header(name, help, kind: "histogram")
        for (labels, numbers) in series {
            var cumulative: UInt64 = 0
            for (index, count) in numbers.counts.enumerated() {
                cumulative &+= count
                let le = index < numbers.counts.count - 1 ? bound(index) : "+Inf"
                line(name, suffix: "_bucket", labels: labels + [("le", le)]) {
                    $0.append(decimal: cumulative)
                }
            }
            line(name, suffix: "_sum", labels: labels) { $0.append(Self.number(sum(numbers.sum))) }
            line(name, suffix: "_count", labels: labels) { $0.append(decimal: cumulative) }
        }
    }

    private func counter(_ counter: ProxyCounter, of snapshot: MetricsSnapshot) {
        let definition = counter.definition
        header(definition.name, definition.help, kind: "counter")
        for direction in directions(definition) {
            let labels = directionLabel(definition, direction)
            let slot = slot(counter.rawValue, direction)
            guard let name = definition.label else {
                let value = snapshot.counters[slot] ?? 0
                line(definition.name, labels: labels) { $0.append(decimal: value) }
                continue
            }
            let values = (snapshot.labelled[slot] ?? [:]).sorted { $0.key < $1.key }
            for (value, count) in values {
                line(definition.name, labels: labels + [(name, value)]) {
                    $0.append(decimal: count)
                }
            }
        }
    }

    private func gauge(_ gauge: ProxyGauge, of snapshot: MetricsSnapshot) {
        let definition = gauge.definition
        header(definition.name, definition.help, kind: "gauge")
        for direction in directions(definition) {
            let value = snapshot.value(gauge, direction)
            line(definition.name, labels: directionLabel(definition, direction)) {
                $0.append("\(value)")
            }
        }
    }

    private func samples(_ samples: [MetricSample]) {
        var previous = ""
        for sample in samples {
            if "\(sample.name)" != previous {
                header(
                    sample.name,
                    sample.help,
                    kind: sample.kind == .counter ? "counter" : "gauge"
                )
            }
            previous = "\(sample.name)"
            line(sample.name, labels: sample.labels) { $0.append(Self.number(sample.value)) }
        }
    }

    private func directionLabel(
        _ definition: MetricDefinition,
        _ direction: Direction
    ) -> [(StaticString, String)] {
        definition.hasDirection ? [("direction", "\(direction.label)")] : []
    }

    private func header(_ name: StaticString, _ help: StaticString, kind: StaticString) {
        page.append("# HELP ")
        page.append(name)
        page.append(" ")
        page.append(help)
        page.append("\n# TYPE ")
        page.append(name)
        page.append(" ")
        page.append(kind)
        page.append("\n")
    }

    private func line(
        _ name: StaticString,
        suffix: StaticString = "",
        labels: [(StaticString, String)],
        value: (ByteBuffer) -> Void
    ) {
        page.append(name)
        page.append(suffix)
        var separator: StaticString = "{"
        for (label, value) in labels {
            page.append(separator)
            page.append(label)
            page.append("=\"")
            appendEscaped(value)
            page.append("\"")
            separator = ","
        }
        page.append(labels.isEmpty ? " " : "} ")
        value(page)
        page.append("\n")
    }

    /// Only these three are escaped in a label value; everything else stands for itself.
    private func appendEscaped(_ value: String) {
        for byte in value.utf8 {
            switch byte {
            case UInt8(ascii: "\\"): page.append("\\\\")
            case UInt8(ascii: "\""): page.append("\\\"")
            case UInt8(ascii: "\n"): page.append("\\n")
            default: page.append(byte)
            }
        }
    }

    /// Whole numbers without a fraction, the rest as Swift writes them, which Go reads.
    private static func number(_ value: Double) -> String {
        if let whole = Int64(exactly: value) { return "\(whole)" }
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        return "\(value)"
    }
}

extension RequestSeriesKey {
    fileprivate var labels: [(StaticString, String)] {
        [
            ("direction", "\(direction.label)"), ("service", service), ("route", route),
            ("cluster", cluster), ("peer", peer),
        ]
    }

    fileprivate var sortKey: (UInt8, String, String, String, String) {
        (direction.rawValue, service, route, cluster, peer)
    }
}

extension ConnectionSeriesKey {
    fileprivate var labels: [(StaticString, String)] {
        [
            ("direction", "\(direction.label)"), ("service", service), ("cluster", cluster),
            ("peer", peer),
        ]
    }

    fileprivate var sortKey: (UInt8, String, String, String) {
        (direction.rawValue, service, cluster, peer)
    }
}
