// A comparison as an SVG image: success rate and latency over time, with the policy and without.
//
// One file that stands for itself: no scripts, no fonts, no links. Colours follow the reader's theme where
// the viewer knows `prefers-color-scheme`; a renderer that does not shows the light one. The two runs
// differ in dash, too, for those who print or see no colours.

import MeshModel
import Time

extension Comparison {
    /// The image; `title` and whatever else comes from outside is escaped.
    public func svg(title: String, scenario: Scenario) -> String {
        var canvas = SVGCanvas()
        canvas.text(title, x: Layout.left, y: 30, class: "title")
        canvas.text(caption(scenario), x: Layout.left, y: 50, class: "small")
        drawLegend(&canvas)
        let seconds = Double(scenario.duration.nanoseconds) / 1e9
        let time = Axis(linear: 0...seconds, from: Layout.left, to: Layout.right)
        let success = Panel(top: 114, bottom: 284, name: "success rate (% of requests)")
        let latency = Panel(top: 336, bottom: 566, name: "latency of successes (log scale)")
        for panel in [success, latency] {
            drawFaults(scenario, panel, time, &canvas, named: panel.top == success.top)
        }
        drawSuccess(success, time, &canvas)
        drawLatency(latency, time, &canvas)
        for panel in [success, latency] { drawTimeAxis(panel, time, &canvas) }
        canvas.text(
            "time since the start (s)",
            x: (Layout.left + Layout.right) / 2,
            y: 604,
            class: "label middle"
        )
        return canvas.document(width: Layout.width, height: Layout.height, title: title)
    }

    private func caption(_ scenario: Scenario) -> String {
        func part(_ name: String, _ report: RunReport) -> String {
            let p99 = report.total.p99Milliseconds.map { timeText(milliseconds: $0) } ?? "none"
            return "\(name): \(percentText(report.total.successRate)) succeeded, p99 \(p99)"
        }
        return part("with policy", withPolicy) + " · " + part("without", withoutPolicy)
            + " · seed \(seed)"
    }

    // MARK: Parts

    private var runs: [(name: String, report: RunReport, class: String)] {
        [("without policy", withoutPolicy, "without"), ("with policy", withPolicy, "with")]
    }

    private func drawLegend(_ canvas: inout SVGCanvas) {
        var x = Layout.left
        func entry(_ text: String, _ style: String, _ canvas: inout SVGCanvas) {
            canvas.line(x1: x, y1: 72, x2: x + 30, y2: 72, class: style)
            canvas.text(text, x: x + 37, y: 76, class: "label")
            x += 52 + Double(text.count) * 6.6
        }
        entry("with policy", "series with", &canvas)
        entry("without policy", "series without", &canvas)
        entry("latency: thick p99, thin p50", "thin with", &canvas)
        canvas.rectangle(x: x, y: 65, width: 30, height: 14, class: "fault")
        canvas.text("fault", x: x + 37, y: 76, class: "label")
    }

    private func drawFaults(
        _ scenario: Scenario,
        _ panel: Panel,
        _ time: Axis,
        _ canvas: inout SVGCanvas,
        named: Bool
    ) {
        for (index, fault) in scenario.faults.enumerated() {
            let from = Double(fault.from.nanoseconds) / 1e9
            let until = min(fault.until.map { Double($0.nanoseconds) / 1e9 } ?? .infinity, time.end)
            guard from < until else { continue }
            canvas.rectangle(
                x: time.place(from),
                y: panel.top,
                width: time.place(until) - time.place(from),
                height: panel.bottom - panel.top,
                class: "fault"
            )
            // The names of a handful can be read; of more, the scenario itself tells.
            guard named, index < 6 else { continue }
            canvas.text(
                fault.label,
                x: time.place(from) + 4,
                y: panel.bottom - 8 - Double(index) * 13,
                class: "small"
            )
        }
    }

    private func drawSuccess(_ panel: Panel, _ time: Axis, _ canvas: inout SVGCanvas) {
        let values = runs.flatMap { $0.report.timeline.map(\.summary.successRate) }
        // From the next round number below the worst; a run without failures still has a scale.
        let worst = values.min() ?? 1
        let floor = [0.99, 0.95, 0.9, 0.8, 0.5].first { $0 <= worst } ?? 0
        let axis = Axis(linear: floor * 100...100, from: panel.bottom, to: panel.top)
        for tick in axis.ticks(about: 5) {
            canvas.line(
                x1: Layout.left,
                y1: axis.place(tick),
                x2: Layout.right,
                y2: axis.place(tick),
                class: "grid"
            )
            canvas.text(
                fixed(tick, digits: floor >= 0.99 ? 1 : 0),
                x: Layout.left - 8,
                y: axis.place(tick) + 4,
                class: "label end"
            )
        }
        canvas.text(panel.name, x: Layout.left, y: panel.top - 10, class: "name")
        for run in runs {
            canvas.polyline(
                run.report.timeline.map {
                    (time.place($0.seconds), axis.place($0.summary.successRate * 100))
                },
                class: "series \(run.class)"
            )
        }
    }

    private func drawLatency(_ panel: Panel, _ time: Axis, _ canvas: inout SVGCanvas) {
        let points = runs.flatMap(\.report.timeline).flatMap {
            [$0.summary.p50Milliseconds, $0.summary.p99Milliseconds].compactMap(\.self)
        }
        canvas.text(panel.name, x: Layout.left, y: panel.top - 10, class: "name")
        guard let least = points.min(), let most = points.max(), least > 0 else { return }
        let axis = Axis(decades: least...most, from: panel.bottom, to: panel.top)
        for tick in axis.decades {
            canvas.line(
                x1: Layout.left,
                y1: axis.place(tick),
                x2: Layout.right,
                y2: axis.place(tick),
                class: "grid"
            )
            canvas.text(
                timeText(milliseconds: tick),
                x: Layout.left - 8,
                y: axis.place(tick) + 4,
                class: "label end"
            )
        }
        for run in runs {
            let parts = [(\RunSummary.p50Milliseconds, "thin"), (\.p99Milliseconds, "series")]
            for (part, style) in parts {
                canvas.polyline(
                    run.report.timeline.compactMap { point in
                        point.summary[keyPath: part].map {
                            (time.place(point.seconds), axis.place($0))
                        }
                    },
                    class: "\(style) \(run.class)"
                )
            }
        }
    }

    private func drawTimeAxis(_ panel: Panel, _ time: Axis, _ canvas: inout SVGCanvas) {
        canvas.line(
            x1: Layout.left,
            y1: panel.bottom,
            x2: Layout.right,
            y2: panel.bottom,
            class: "axis"
        )
        for tick in time.ticks(about: 10) {
            let x = time.place(tick)
            canvas.line(x1: x, y1: panel.bottom, x2: x, y2: panel.bottom + 5, class: "axis")
            canvas.text(
                fixed(tick, digits: time.end < 5 ? 1 : 0),
                x: x,
                y: panel.bottom + 20,
                class: "label middle"
            )
        }
    }
}

extension EndpointFault {
    /// `errors 100% at 10.0.0.1:80`.
    fileprivate var label: String {
        let what: String
        switch kind {
        case .errors(let share, let status, _): what = "\(status) for \(share)"
        case .slow(let factor): what = "\(fixed(factor, digits: 0)) × slower"
        case .blackHole: what = "no answer"
        case .refuse: what = "connections refused"
        case .crash: what = "crashed"
        case .applicationDown: what = "application down"
        case .overload(let share, _): what = "429 for \(share)"
        }
        return "\(what) at \(endpoint.map(\.description) ?? "all of \(service)")"
    }
}

private enum Layout {
    static let width = 900.0
    static let height = 620.0
    static let left = 70.0
    static let right = 880.0
}

private struct Panel {
    let top: Double
    let bottom: Double
    let name: String
}

/// From a value to its place in the image.
private struct Axis {
    let start: Double
    let end: Double
    private let from: Double
    private let to: Double
    private let isLogarithmic: Bool

    init(linear range: ClosedRange<Double>, from: Double, to: Double) {
        (start, end) = (range.lowerBound, range.upperBound)
        (self.from, self.to) = (from, to)
        isLogarithmic = false
    }

    /// Whole powers of ten around `range`.
    init(decades range: ClosedRange<Double>, from: Double, to: Double) {
        var low = 0.001
        while low * 10 <= range.lowerBound { low *= 10 }
        var high = low * 10
        while high < range.upperBound { high *= 10 }
        (start, end) = (low, high)
        (self.from, self.to) = (from, to)
        isLogarithmic = true
    }

    func place(_ value: Double) -> Double {
        let part =
            isLogarithmic
            ? logarithm(value / start) / logarithm(end / start) : (value - start) / (end - start)
        return from + part * (to - from)
    }

    var decades: [Double] {
        var ticks = [start]
        while let last = ticks.last, last * 10 <= end * 1.001 { ticks.append(last * 10) }
        return ticks
    }

    /// Multiples of 1, 2 or 5 and zeros.
    func ticks(about count: Double) -> [Double] {
        let wanted = (end - start) / count
        var step = 0.001
        var index = 0
        while step < wanted {
            step *= index % 3 == 1 ? 2.5 : 2
            index += 1
        }
        var ticks: [Double] = []
        var number = (start / step).rounded(.up)
        while number * step <= end * (1 + 1e-9) {
            ticks.append(number * step)
            number += 1
        }
        return ticks
    }
}
