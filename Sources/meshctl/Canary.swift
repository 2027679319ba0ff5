import ArgumentParser
import Controller
import Foundation

struct Canary: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Watch canaries that run themselves, and overrule them.",
        subcommands: [
            Show.self, Pause.self, Resume.self, Promote.self, Abort.self,
        ]
    )

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "status",
            abstract: "Show step, share, both sides' numbers, and the last decision."
        )

        @OptionGroup var controller: ControllerOptions

        @Option(help: "Only canaries of this namespace.")
        var namespace: String?

        @Flag(help: "Print JSON.")
        var json = false

        @Argument(help: "Only the canary of this name.")
        var name: String?

        func run() async throws {
            let all: [CanaryReport] = try await controller.client.get("/v1/canaries")
            let chosen = all.filter {
                (name ?? $0.name) == $0.name && (namespace ?? $0.namespace) == $0.namespace
            }
            if chosen.isEmpty, let name {
                throw Failure(description: "there is no Canary \(name) in force")
            }
            if json { return Terminal.print(try encode(chosen)) }
            guard !chosen.isEmpty else { return Terminal.print("no canaries") }
            Terminal.print(chosen.map(CanaryText.render).joined(separator: "\n\n"))
        }
    }

    /// What the commands that say a word have in common.
    struct Options: ParsableArguments {
        @OptionGroup var controller: ControllerOptions

        @Option(help: "Namespace of the canary.")
        var namespace = "default"

        @Flag(help: "Print JSON.")
        var json = false

        @Argument(help: "Name of a Canary manifest.")
        var name: String

        func say(_ word: CanaryWord) async throws {
            let report: CanaryReport = try await controller.client.post(
                "/v1/canaries",
                CanaryRequest(name: name, namespace: namespace, word: word)
            )
            Terminal.print(json ? try encode(report) : CanaryText.render(report))
        }
    }

    struct Pause: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Keep the share as it is and judge nothing until resumed."
        )
        @OptionGroup var options: Options
        func run() async throws { try await options.say(.pause) }
    }

    struct Resume: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Go on in the same step."
        )
        @OptionGroup var options: Options
        func run() async throws { try await options.say(.resume) }
    }

    struct Promote: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Give the canary all of the traffic now."
        )
        @OptionGroup var options: Options
        func run() async throws { try await options.say(.promote) }
    }

    struct Abort: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Give the baseline all of the traffic now."
        )
        @OptionGroup var options: Options
        func run() async throws { try await options.say(.abort) }
    }
}

private func encode(_ value: some Encodable) throws -> String {
    String(decoding: try JSON.encoder.encode(value), as: UTF8.self)
}

/// A canary as people read it.
private enum CanaryText {
    static func render(_ report: CanaryReport) -> String {
        var lines = [
            "\(report.name).\(report.namespace): \(phase(report)), "
                + "step \(report.step) of \(report.stepCount), "
                + "\(percent(report.share)) of \(report.service), \(report.proxies) proxies report"
        ]
        lines += Table.render(
            ["", "SERVICE", "REQUESTS", "FAILURES", "SUCCESS", "P50", "P99"],
            [side("canary", report.canary), side("baseline", report.baseline)]
        )
        if let judgement = report.judgement { lines.append("judged: \(judgement)") }
        if let seconds = report.heldSeconds {
            lines.append("held for \(whole(seconds)) s: no decision yet")
        } else if let seconds = report.secondsToJudgement {
            lines.append("next judgement in \(whole(seconds)) s")
        }
        for event in report.events.suffix(5) {
            lines.append("\(event.time.formatted(.iso8601)) \(event.text)")
        }
        return lines.joined(separator: "\n")
    }

    private static func phase(_ report: CanaryReport) -> String {
        report.phase == "rolledBack" ? "rolled back" : report.phase
    }

    private static func side(_ name: String, _ side: CanaryReport.Side) -> [String] {
        [
            name, side.service, "\(side.requests)", "\(side.failures)",
            side.successRate.map(percent) ?? "-", side.p50Milliseconds.map(milliseconds) ?? "-",
            side.p99Milliseconds.map(milliseconds) ?? "-",
        ]
    }

    /// Cut, not rounded: only all of them are 100 %.
    private static func percent(_ share: Double) -> String {
        let hundredths = ((share * 10_000 + 1e-6).rounded(.down)) / 100
        return "\(hundredths.formatted(.number.locale(Locale(identifier: "en")))) %"
    }

    private static func milliseconds(_ value: Double) -> String {
        let rounded = (value * 10).rounded() / 10
        return "\(rounded.formatted(.number.grouping(.never).locale(Locale(identifier: "en")))) ms"
    }

    private static func whole(_ seconds: Double) -> Int { Int(min(seconds.rounded(.up), 1e12)) }
}
