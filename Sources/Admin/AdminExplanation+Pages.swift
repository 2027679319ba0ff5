import MeshModel
import Telemetry

extension AdminExplanation {
    /// What happened and why, for people; ends with a line feed.
    var text: String {
        var lines: [(String, String)] = [
            ("request id", story.requestID), ("trace id", story.traceID),
            ("request", "\(story.method) \(authority)\(story.path)"),
            ("ended", ended),
            ("status", story.status == 0 ? "none was sent" : "\(story.status)"),
        ]
        if let flag = story.flag { lines.append(("cut short", flag)) }
        let limit = story.limitNanoseconds.map { "after \(milliseconds($0))" }
        lines.append(("deadline", limit ?? "none"))
        if let denial = story.denial { lines.append(("denied by", denial)) }
        lines += story.attempts.enumerated().map { ("attempt \($0 + 1)", $1.text) }
        let untold = story.attemptCount - story.attempts.count
        if untold > 0 { lines.append(("attempts", "and \(untold) more")) }
        if let refusal = story.retryRefusal {
            let left = story.budgetLeft.map { ", \($0) left in the budget" } ?? ""
            lines.append(("no retry", "\(refusal)\(left)"))
        }
        lines.append(("counted as", counted))
        lines.append(("worker", "\(worker)"))
        lines.append(("version", version))
        var text = ""
        for (label, value) in lines {
            let space = String(repeating: " ", count: max(1, 13 - label.count))
            text += "\(label)\(space)\(printable(value))\n"
        }
        if let decisionsText { text += "\nas decided now\n" + decisionsText }
        return text
    }

    /// A service's name stands for its host, which is kept only where it says more.
    private var authority: String { story.host.isEmpty ? story.series.service : story.host }

    private var ended: String {
        "\(seconds(story.ageNanoseconds)) s ago, after \(milliseconds(story.durationNanoseconds))"
    }

    private var counted: String {
        let key = story.series
        let parts = [
            "\(key.direction.label)", key.service, key.route, key.cluster, key.peer,
        ]
        return parts.filter { !$0.isEmpty }.joined(separator: " ")
    }

    private var version: String {
        guard let currentVersion, currentVersion != story.version else {
            return "\(story.version)"
        }
        return "\(story.version); it is \(currentVersion) now, so its decisions cannot be told"
    }

    /// The same as JSON.
    var page: JSONPage {
        var fields: [(name: String, value: JSONPage)] = [
            ("requestID", .string(story.requestID)), ("traceID", .string(story.traceID)),
            ("method", .string(story.method)), ("host", .string(story.host)),
            ("path", .string(story.path)), ("ageNanoseconds", .integer(story.ageNanoseconds)),
            ("durationNanoseconds", .integer(story.durationNanoseconds)),
            ("status", .integer(story.status)), ("flag", .optional(story.flag)),
            ("limitNanoseconds", story.limitNanoseconds.map { .integer($0) } ?? .null),
            ("denial", .optional(story.denial)),
            ("attempts", .array(story.attempts.map(\.page))),
            ("attemptCount", .integer(story.attemptCount)),
            ("retryRefusal", .optional(story.retryRefusal)),
            ("budgetLeft", story.budgetLeft.map { .integer($0) } ?? .null),
        ]
        let key = story.series
        fields += [
            ("direction", .string("\(key.direction.label)")), ("service", .string(key.service)),
            ("route", .string(key.route)), ("cluster", .string(key.cluster)),
            ("peer", .string(key.peer)), ("worker", .integer(worker)),
            ("version", .integer(story.version)),
            ("currentVersion", currentVersion.map { .integer($0) } ?? .null),
            ("decisions", decisions),
        ]
        return .object(fields)
    }

    private var decisions: JSONPage {
        guard let decisionsJSON, let node = try? ConfigNode.parse(json: decisionsJSON) else {
            return .null
        }
        return JSONPage(node)
    }
}

extension ExchangeStory.Attempt {
    fileprivate var text: String {
        var parts = [endpoint.isEmpty ? "no endpoint" : endpoint]
        if waitedNanoseconds > 0 { parts.append("waited \(milliseconds(waitedNanoseconds))") }
        if status != 0 { parts.append("status \(status)") }
        if !failure.isEmpty { parts.append("failed: \(failure)") }
        parts.append("after \(milliseconds(durationNanoseconds))")
        return (parts + traits.names).joined(separator: ", ")
    }

    fileprivate var page: JSONPage {
        .object([
            ("endpoint", .string(endpoint)), ("status", .integer(status)),
            ("failure", failure.isEmpty ? .null : .string(failure)),
            ("startedNanoseconds", .integer(startedNanoseconds)),
            ("durationNanoseconds", .integer(durationNanoseconds)),
            ("waitedNanoseconds", .integer(waitedNanoseconds)),
            ("traits", .array(traits.names.map { .string($0) })),
        ])
    }
}

extension AttemptTraits {
    fileprivate var names: [String] {
        let all: [(AttemptTraits, String)] = [
            (.hedge, "hedge"), (.probe, "probe"), (.panic, "panic"), (.fallback, "fallback"),
        ]
        return all.filter { contains($0.0) }.map(\.1)
    }
}

/// `12.345 ms`.
private func milliseconds(_ nanoseconds: UInt64) -> String {
    let microseconds = nanoseconds / 1_000
    return "\(microseconds / 1_000).\(String(microseconds % 1_000 + 1_000).dropFirst()) ms"
}

private func seconds(_ nanoseconds: UInt64) -> String {
    let tenths = nanoseconds / 100_000_000
    return "\(tenths / 10).\(tenths % 10)"
}

/// What a request brought must not make lines of its own, nor speak to the terminal.
private func printable(_ text: String) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
        let isControl = scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value)
        result.unicodeScalars.append(isControl ? "?" : scalar)
    }
    return result
}
