import Bytes
import HTTP
public import Telemetry

extension AdminEndpoint {
    static let explain = AdminEndpoint(
        method: .get,
        path: "/explain",
        summary: "why an exchange went as it did: ?request-id=ID or ?trace-id=ID, &format=json",
        answer: .explanation(explainPage)
    )
}

/// An exchange that runs or is remembered, and the decisions on it.
public struct AdminExplanation: Sendable {
    /// The worker that served it.
    public var worker: Int
    /// What happened.
    public var story: ExchangeStory
    /// The configuration in use now; nil before the first.
    public var currentVersion: UInt64?
    /// The decisions for people; nil when they were made by another configuration.
    public var decisionsText: String?
    /// The decisions as a JSON object.
    public var decisionsJSON: String?

    /// An explanation; see the properties.
    public init(
        worker: Int,
        story: ExchangeStory,
        currentVersion: UInt64?,
        decisionsText: String?,
        decisionsJSON: String?
    ) {
        self.worker = worker
        self.story = story
        self.currentVersion = currentVersion
        self.decisionsText = decisionsText
        self.decisionsJSON = decisionsJSON
    }
}

/// Which exchange is asked about, and in what form the answer is wanted.
struct ExplainQuestion: Sendable, Equatable {
    let id: String
    let wantsJSON: Bool

    static let usage = "say which: /explain?request-id=ID, or trace-id=ID; add &format=json"

    init(id: String, wantsJSON: Bool) {
        self.id = id
        self.wantsJSON = wantsJSON
    }

    /// Nil when no id is given, or one that no request can have.
    init?(_ head: RequestHead) {
        let target = head.withTarget { $0.string }
        guard let mark = target.firstIndex(of: "?") else { return nil }
        var id: String?
        var format: String?
        for part in target[target.index(after: mark)...].split(separator: "&") {
            let pair = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard pair.count == 2 else { continue }
            switch pair[0] {
            case "request-id", "trace-id": id = percentDecoded(pair[1])
            case "format": format = String(pair[1])
            default: continue
            }
        }
        guard let id, (1...TelemetryLimits.requestIDBytesMax).contains(id.utf8.count) else {
            return nil
        }
        self.id = id
        let accept = head.fields.firstIndex(of: .accept).map { index in
            head.fields.withValue(at: index) { $0.string }
        }
        wantsJSON = format.map { $0 == "json" } ?? (accept?.hasPrefix("application/json") ?? false)
    }
}

// The text with its percent signs read; nil when one of them stands for nothing. Ids are ASCII.
private func percentDecoded(_ text: Substring) -> String? {
    var bytes: [UInt8] = []
    var rest = text.utf8[...]
    while let byte = rest.popFirst() {
        guard byte == UInt8(ascii: "%") else {
            bytes.append(byte)
            continue
        }
        guard rest.count >= 2, let value = UInt8(String(Substring(rest.prefix(2))), radix: 16)
        else { return nil }
        bytes.append(value)
        rest = rest.dropFirst(2)
    }
    guard bytes.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else { return nil }
    return String(decoding: bytes, as: UTF8.self)
}

private func explainPage(
    _ question: ExplainQuestion,
    _ found: [AdminExplanation]
) -> AdminReply {
    guard !found.isEmpty else {
        return .problem(
            404,
            "no exchange with this id runs or is remembered; each worker keeps the last "
                + "\(TelemetryLimits.exchangesKept) exchanges that have ended"
        )
    }
    guard question.wantsJSON else {
        return .text(found.map(\.text).joined(separator: "\n"))
    }
    return .json(.array(found.map(\.page)))
}
