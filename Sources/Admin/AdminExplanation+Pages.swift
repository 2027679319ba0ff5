import MeshModel
import Telemetry

extension AdminExplanation {
    /// What happened and why, for people; ends with a line feed.
    var text: String {
        var lines: [(String, String)] = [
            ("request id", story.requestID), ("trace id", story.traceID),
            ("request", "\(story.method) \(authority)\(story.path)"),
            story.progress.map { ("running", running($0)) } ?? ("ended", ended),
            ("status", status),
        ]
        if let flag = story.flag { lines.append(("cut short", flag)) }
        lines.append(("deadline", deadline))
        if let denial = story.denial { lines.append(("denied by", denial)) }
        lines += story.attempts.enumerated().map { index, attempt in
            let isLast = index == story.attempts.count - 1
            return ("attempt \(index + 1)", attempt.text(isRunning: isLast && hasAttempt))
        }
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

    private func running(_ progress: ExchangeStory.Progress) -> String {
        let bytes =
            "\(progress.requestBytes) bytes of the request passed on, "
            + "\(progress.responseBytes) of the response"
        return "for \(milliseconds(story.durationNanoseconds)), "
            + "\(progress.step.text); \(bytes)"
    }

    private var status: String {
        if story.status != 0 { return "\(story.status)" }
        return story.progress == nil ? "none was sent" : "none yet"
    }

    private var deadline: String {
        guard let limit = story.limitNanoseconds else { return "none" }
        let text = "after \(milliseconds(limit))"
        return deadlineLeft.map { "\(text), \(milliseconds($0)) left" } ?? text
    }

    /// Nil when it has ended, or has no deadline.
    private var deadlineLeft: UInt64? {
        guard story.progress != nil, let limit = story.limitNanoseconds else { return nil }
        return limit - min(limit, story.durationNanoseconds)
    }

    /// Whether the last attempt is under way.
    private var hasAttempt: Bool {
        switch story.progress?.step {
        case nil, .backoff, .delayedByFault, .waitingForAddress: false
        case .waitingForConnection, .sending, .waitingForResponse, .responding, .tunnel: true
        }
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
            ("isRunning", .bool(story.progress != nil)),
            ("step", .optional(story.progress?.step.rawValue)),
            ("requestBytes", story.progress.map { .integer($0.requestBytes) } ?? .null),
            ("responseBytes", story.progress.map { .integer($0.responseBytes) } ?? .null),
            ("limitNanoseconds", story.limitNanoseconds.map { .integer($0) } ?? .null),
            ("deadlineLeftNanoseconds", deadlineLeft.map { .integer($0) } ?? .null),
            ("denial", .optional(story.denial)),
            ("attempts", .array(story.attempts.map(\.page))),
            ("attemptCount", .integer(max(story.attemptCount, story.progress?.attempts ?? 0))),
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

extension ExchangeStory.Progress.Step {
    fileprivate var text: String {
        switch self {
        case .waitingForAddress: "waiting for an endpoint's address"
        case .waitingForConnection: "waiting for a connection"
        case .backoff: "waiting for its next attempt"
        case .delayedByFault: "delayed on purpose"
        case .sending: "sending the request"
        case .waitingForResponse: "waiting for the response"
        case .responding: "passing the response on"
        case .tunnel: "a tunnel"
        }
    }
}

extension ExchangeStory.Attempt {
    fileprivate func text(isRunning: Bool) -> String {
        var parts = [endpoint.isEmpty ? "no endpoint" : endpoint]
        if waitedNanoseconds > 0 { parts.append("waited \(milliseconds(waitedNanoseconds))") }
        if status != 0 { parts.append("status \(status)") }
        if !failure.isEmpty { parts.append("failed: \(failure)") }
        let time = milliseconds(durationNanoseconds)
        parts.append(isRunning ? "for \(time) so far" : "after \(time)")
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
