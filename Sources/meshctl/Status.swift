import ArgumentParser
import Controller
import Foundation

struct Status: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show the connected proxies and whether they are up to date."
    )

    @OptionGroup var controller: ControllerOptions

    @Flag(help: "Print JSON.")
    var json = false

    func run() async throws {
        let status: StatusReport = try await controller.client.get("/v1/status")
        if json {
            Terminal.print(String(decoding: try JSON.encoder.encode(status), as: UTF8.self))
        } else {
            Terminal.print(render(status, now: Date.now))
        }
    }

    private func render(_ status: StatusReport, now: Date) -> String {
        var lines = [
            "trust domain \(status.trustDomain), issuer until \(status.issuerNotAfter.formatted(.iso8601)), "
                + "root until \(status.rootNotAfter.formatted(.iso8601)), "
                + "\(status.unusedTokens) unused join tokens"
        ]
        for error in status.manifestErrors { lines.append("manifests not taken up: \(error)") }
        let rows = status.proxies.map { row($0, now: now) }
        lines += Table.render(
            ["PROXY", "WORKLOAD", "PHASE", "ACKED", "CURRENT", "AGE", "CERTIFICATE", "REFUSED"],
            rows
        )
        return lines.joined(separator: "\n")
    }

    private func row(_ proxy: ProxyReport, now: Date) -> [String] {
        [
            proxy.instance, proxy.workload, proxy.phase,
            proxy.acknowledgedVersion.map { "\($0)" } ?? "-",
            proxy.currentVersion.map { "\($0)" } ?? "-",
            proxy.acknowledgedAt.map { age(now.timeIntervalSince($0)) } ?? "-",
            age(proxy.certificateNotAfter.timeIntervalSince(now)),
            proxy.refusedReason ?? "",
        ]
    }

    /// The two largest units: `3d4h`, `5m2s`.
    private func age(_ seconds: TimeInterval) -> String {
        guard seconds >= 0 else { return "expired" }
        let whole = Int(min(seconds, 1e12))
        let (days, hours) = (whole / 86_400, whole / 3600 % 24)
        let (minutes, rest) = (whole / 60 % 60, whole % 60)
        if days > 0 { return "\(days)d\(hours)h" }
        if hours > 0 { return "\(hours)h\(minutes)m" }
        return minutes > 0 ? "\(minutes)m\(rest)s" : "\(rest)s"
    }
}

/// Columns as wide as their widest cell.
enum Table {
    static func render(_ header: [String], _ rows: [[String]]) -> [String] {
        let all = [header] + rows
        let widths = header.indices.map { column in all.map { $0[column].count }.max() ?? 0 }
        return all.map { row in
            let cells = zip(row, widths).map { cell, width in
                cell + String(repeating: " ", count: width - cell.count)
            }
            var line = cells.joined(separator: "  ")
            while line.hasSuffix(" ") { line.removeLast() }
            return line
        }
    }
}
