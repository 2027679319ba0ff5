// A comparison as a table for a terminal.

import HTTP

extension Comparison {
    /// Lines of columns: what callers saw, then what the proxies did.
    public func table(of scenario: Scenario) -> String {
        var rows = [["", "WITH POLICY", "WITHOUT"]]
        rows += Self.rows(withPolicy.total, withoutPolicy.total)
        if scenario.callers.count > 1 {
            for (index, load) in scenario.callers.enumerated() {
                let name = "\(load.request.method.token) \(load.request.host)\(load.request.path)"
                rows.append(["", "", ""])
                rows.append(["\(index + 1): \(name)", "", ""])
                rows += Self.rows(withPolicy.loads[index], withoutPolicy.loads[index])
            }
        }
        rows.append(["", "", ""])
        rows += upstreamRows()
        rows += repliesRows()
        return columns(rows) + "\nseed \(seed)"
    }

    private static func rows(_ with: RunSummary, _ without: RunSummary) -> [[String]] {
        func row(_ name: String, _ value: (RunSummary) -> String) -> [String] {
            [name, value(with), value(without)]
        }
        var rows = [
            row("requests") { "\($0.requests)" },
            row("success rate") { percentText($0.successRate) },
            row("failed") { "\($0.failed)" },
        ]
        if with.abandoned + without.abandoned > 0 {
            rows.append(row("left by callers") { "\($0.abandoned)" })
        }
        func latency(_ value: Double?) -> String {
            value.map { timeText(milliseconds: $0) } ?? "-"
        }
        rows.append(row("latency p50") { latency($0.p50Milliseconds) })
        rows.append(row("latency p99") { latency($0.p99Milliseconds) })
        return rows
    }

    /// For each proxy and cluster of either run, what went up.
    private func upstreamRows() -> [[String]] {
        var names: [[String]] = []
        for upstream in withPolicy.upstream + withoutPolicy.upstream {
            let name = [upstream.proxy, upstream.cluster]
            if upstream.received > 0, !names.contains(name) { names.append(name) }
        }
        return names.flatMap { name -> [[String]] in
            let found = [withPolicy, withoutPolicy].map { report in
                report.upstream.first { [$0.proxy, $0.cluster] == name }
            }
            func row(_ text: String, _ value: (UpstreamSummary) -> Int) -> [String] {
                [text] + found.map { $0.map { "\(value($0))" } ?? "-" }
            }
            let title = "\(name[0]) to \(name[1])"
            var rows = [row("\(title): requests", \.received), row("  sent upstream", \.sent)]
            let isUsed = { (value: (UpstreamSummary) -> Int) in
                found.contains { ($0.map(value) ?? 0) > 0 }
            }
            if isUsed(\.retries) { rows.append(row("  retries", \.retries)) }
            if isUsed(\.hedges) { rows.append(row("  hedges", \.hedges)) }
            if isUsed(\.ejections) {
                rows.append(row("  ejections, of each worker", \.ejections))
                rows.append(row("  returns", \.restorations))
            }
            return rows
        }
    }

    private func repliesRows() -> [[String]] {
        let causes = Set(withPolicy.localReplies.keys).union(withoutPolicy.localReplies.keys)
        return causes.sorted().map { cause in
            [
                "local replies: \(cause)", "\(withPolicy.localReplies[cause] ?? 0)",
                "\(withoutPolicy.localReplies[cause] ?? 0)",
            ]
        }
    }

    private func columns(_ rows: [[String]]) -> String {
        let widths = (0..<3).map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in
            let first = row[0] + String(repeating: " ", count: widths[0] - row[0].count)
            let rest = row.indices.dropFirst().map { column in
                String(repeating: " ", count: widths[column] - row[column].count) + row[column]
            }
            var line = ([first] + rest).joined(separator: "  ")
            while line.hasSuffix(" ") { line.removeLast() }
            return line
        }
        .joined(separator: "\n")
    }
}
