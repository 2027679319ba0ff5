internal import Bytes
internal import HTTP
internal import Time

/// What happened to one exchange so far, copied out of its worker.
public struct ExchangeStory: Sendable, Equatable {
    /// One attempt.
    public struct Attempt: Sendable, Equatable {
        /// IP and port; empty when it never got that far.
        public var endpoint: String
        /// The response's status; 0: there was none.
        public var status: Int
        /// Why it failed; empty when it did not.
        public var failure: String
        /// Since the exchange began.
        public var startedNanoseconds: UInt64
        /// To the response's head or the failure, of the last one to the exchange's end.
        public var durationNanoseconds: UInt64
        /// The backoff before it.
        public var waitedNanoseconds: UInt64
        /// What was special about it.
        public var traits: AttemptTraits
    }

    /// How far an exchange is that still runs.
    public struct Progress: Sendable, Equatable {
        /// What it does.
        public enum Step: String, Sendable, CaseIterable {
            case waitingForAddress, waitingForConnection, backoff, delayedByFault
            case sending, waitingForResponse, responding, tunnel
        }

        /// What it does now.
        public var step: Step
        /// Attempts begun, the running one included.
        public var attempts: Int
        /// Body bytes of the request that were sent on.
        public var requestBytes: UInt64
        /// Body bytes of the response that were passed on.
        public var responseBytes: UInt64

        /// A progress; see the properties.
        public init(step: Step, attempts: Int, requestBytes: UInt64, responseBytes: UInt64) {
            self.step = step
            self.attempts = attempts
            self.requestBytes = requestBytes
            self.responseBytes = responseBytes
        }
    }

    /// Nil: it has ended.
    public var progress: Progress?
    /// As the caller sent it, or as the proxy made it.
    public var requestID: String
    /// 32 hexadecimal digits.
    public var traceID: String
    /// As in metrics.
    public var method: String
    /// The host where it was kept, cut after 64 bytes; else empty.
    public var host: String
    /// The path without its query; cut after 128 bytes.
    public var path: String
    /// Nanoseconds between its end and the question.
    public var ageNanoseconds: UInt64
    /// From the request's head to the response's last byte, or until now.
    public var durationNanoseconds: UInt64
    /// From its beginning to its deadline; nil: it had none.
    public var limitNanoseconds: UInt64?
    /// Version of the configuration it was judged by; 0: a static file's, or none yet.
    public var version: UInt64
    /// The route's place among its service's; nil when none was taken.
    public var route: Int?
    /// What it was counted as.
    public var series: RequestSeriesKey
    /// 0: no response was sent.
    public var status: Int
    /// Why the proxy interfered.
    public var flag: String?
    /// The attempts that are told apart.
    public var attempts: [Attempt]
    /// All attempts.
    public var attemptCount: Int
    /// Why there was no further attempt after the last one failed.
    public var retryRefusal: String?
    /// Retries the cluster's callers had left then.
    public var budgetLeft: Int?
    /// The kind of policy that answered instead of an endpoint, and its name.
    public var denial: String?

    init(_ record: ExchangeRecord, _ text: [UInt8], now: MonotonicTime) {
        let started = MonotonicTime(nanoseconds: record.startedAt)
        let ended = MonotonicTime(nanoseconds: record.endedAt)
        let trace = ByteBuffer()
        trace.append(hex: record.traceIDHigh, digits: 16)
        trace.append(hex: record.traceIDLow, digits: 16)
        traceID = trace.string
        method = record.method.label.description
        (path, requestID, host) = ExchangeStory.texts(record, text)
        ageNanoseconds = now.nanoseconds(since: ended)
        durationNanoseconds = ended.nanoseconds(since: started)
        limitNanoseconds =
            record.deadline == .max
            ? nil : MonotonicTime(nanoseconds: record.deadline).nanoseconds(since: started)
        version = record.version
        route = record.route < 0 ? nil : Int(record.route)
        series = record.series?.key ?? .other(.outbound)
        status = Int(record.status)
        flag = record.flag?.label.description
        attempts = ExchangeStory.attempts(record)
        let details = record.details
        attemptCount = max(details?.attemptCount ?? 0, attempts.count)
        retryRefusal = details.flatMap { ExchangeStory.text($0.retryRefusal) }
        budgetLeft = retryRefusal == nil ? nil : details?.budgetLeft
        denial = details.flatMap { details in
            ExchangeStory.text(details.denialKind).map { kind in
                details.denialName.isEmpty ? kind : "\(kind) \(details.denialName)"
            }
        }
    }

    private static func attempts(_ record: ExchangeRecord) -> [Attempt] {
        let started = MonotonicTime(nanoseconds: record.startedAt)
        var notes = record.details?.attempts ?? []
        if notes.isEmpty {
            guard !record.endpoint.isEmpty else { return [] }
            notes = [.init(endpoint: record.endpoint, startedAt: record.startedAt)]
        }
        return notes.map { note in
            let from = MonotonicTime(nanoseconds: note.startedAt)
            // What was not told is what the caller got.
            let isOpen = note.endedAt == 0
            let end = MonotonicTime(nanoseconds: isOpen ? record.endedAt : note.endedAt)
            let flag = record.flag?.label.description
            return Attempt(
                endpoint: note.endpoint,
                status: !isOpen ? note.status : flag == nil ? Int(record.status) : 0,
                failure: isOpen ? flag ?? "" : note.failure.description,
                startedNanoseconds: from.nanoseconds(since: started),
                durationNanoseconds: end.nanoseconds(since: from),
                waitedNanoseconds: note.waitedNanoseconds,
                traits: note.traits
            )
        }
    }

    private static func texts(
        _ record: ExchangeRecord,
        _ text: [UInt8]
    ) -> (path: String, requestID: String, host: String) {
        func string(_ start: Int, _ count: Int) -> String {
            String(decoding: text[start..<start + count], as: UTF8.self)
        }
        let idStart = record.pathCount
        let hostStart = idStart + record.requestIDCount
        let rewritten = record.details.map(\.path)
        let path = rewritten.flatMap { $0.isEmpty ? nil : $0.string } ?? string(0, idStart)
        let host = string(hostStart, record.hostCount)
        guard record.requestIDHigh != 0 else {
            return (path, string(idStart, record.requestIDCount), host)
        }
        let uuid = ByteBuffer()
        uuid.append("00000000-0000-0000-0000-000000000000")
        uuid.setUUID(high: record.requestIDHigh, low: record.requestIDLow, at: 0)
        return (path, uuid.string, host)
    }

    private static func text(_ literal: StaticString) -> String? {
        literal.utf8CodeUnitCount == 0 ? nil : literal.description
    }
}
