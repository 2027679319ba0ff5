// The exchanges that ended last, kept to be asked about.
//
// What is noted of every exchange is noted once, at its end, into memory that is reused: no text is
// made, nothing is allocated, and names are the strings the configuration already holds. What only
// some exchanges have (failed attempts, a refusal, a rewritten path) is gathered in an
// `ExchangeDetails`, which goes along.
//
// Of the request only method, path, request id and, where a name does not tell it, host are kept: no
// query, no other field, and so no credential.

internal import Bytes
public import HTTP
public import Time

/// The recent exchanges of one worker; confined to it.
public final class ExchangeTrail {
    private let records: ContiguousArray<ExchangeRecord>
    /// A part of equal size for the texts of each record.
    private let texts: ByteBuffer
    private var next = 0
    private var spare: ContiguousArray<ExchangeDetails> = []

    /// A trail of the last `capacity` exchanges; all of its memory is taken now.
    public init(capacity: Int = TelemetryLimits.exchangesKept) {
        precondition(capacity > 0)
        records = ContiguousArray((0..<capacity).map { _ in ExchangeRecord() })
        texts = ByteBuffer(capacity: capacity * ExchangeTrail.textBytes)
        let zeros = [UInt8](repeating: 0, count: ExchangeTrail.textBytes)
        for _ in 0..<capacity { texts.append(zeros) }
    }

    /// Notes an exchange that has ended; `head` is its request's.
    ///
    /// - `status`: 0 when no response was sent.
    /// - `endpoint`: the last attempt's, empty when there was none; a text that its pool holds.
    /// - `route`: its place in the service's list, negative when none was taken.
    /// - `deadline`: `distantFuture` when there was none.
    /// - `details`: not to be used by the exchange any more.
    public func add(
        _ head: RequestHead,
        trace: borrowing TraceContext,
        series: RequestSeries,
        status: Int,
        flag: ResponseFlag?,
        endpoint: String,
        route: Int,
        version: UInt64,
        startedAt: MonotonicTime,
        deadline: MonotonicTime,
        now: MonotonicTime,
        details: ExchangeDetails?
    ) {
        let index = next
        next = index &+ 1 == records.count ? 0 : index &+ 1
        let record = records[index]
        record.traceIDHigh = trace.traceIDHigh
        record.traceIDLow = trace.traceIDLow
        (record.requestIDHigh, record.requestIDLow) = trace.madeRequestID
        record.startedAt = startedAt.nanoseconds
        record.endedAt = now.nanoseconds
        record.deadline = deadline.nanoseconds
        record.version = version
        record.route = Int32(truncatingIfNeeded: route)
        record.status = UInt16(truncatingIfNeeded: status)
        record.method = head.method
        record.flag = flag
        // Most exchanges of a proxy are of few series, and counting references costs 40 instructions.
        if record.series !== series { record.series = series }
        record.endpoint = endpoint
        let start = index &* ExchangeTrail.textBytes
        record.pathCount = head.withPath { keep($0, max: ExchangeTrail.pathBytesMax, at: start) }
        // The id that the proxy made is two numbers, and a service's name stands for its host.
        let hasHost = route >= 0 || series.key.direction == .inbound
        if details != nil || record.details != nil || record.requestIDHigh == 0 || !hasHost {
            addDetails(head, details, to: record, textAt: start)
        } else {
            record.requestIDCount = 0
            record.hostCount = 0
        }
    }

    private func addDetails(
        _ head: RequestHead,
        _ details: ExchangeDetails?,
        to record: ExchangeRecord,
        textAt start: Int
    ) {
        if let old = record.details, spare.count < ExchangeTrail.spareMax { spare.append(old) }
        record.details = details
        record.requestIDCount = 0
        let idStart = start + record.pathCount
        if record.requestIDHigh == 0, let index = head.fields.firstIndex(of: .xRequestID) {
            record.requestIDCount = head.fields.withValue(at: index) {
                keep($0, max: TelemetryLimits.requestIDBytesMax, at: idStart)
            }
        }
        let hostStart = idStart + record.requestIDCount
        record.hostCount = head.withHost {
            keep($0, max: ExchangeTrail.hostBytesMax, at: hostStart)
        }
    }

    /// Copies the first `max` of `bytes` at most; how many they were.
    @inline(__always)
    private func keep(_ bytes: Span<UInt8>, max: Int, at index: Int) -> Int {
        let bytes = bytes.count <= max ? bytes : bytes.extracting(first: max)
        texts.set(bytes, at: index)
        return bytes.count
    }

    /// Empty details for an exchange that has some.
    public func makeDetails() -> ExchangeDetails {
        guard let details = spare.popLast() else { return ExchangeDetails() }
        details.clear()
        return details
    }

    /// The exchanges whose request id or trace id is `id`, latest first.
    ///
    /// For the control path. Letters count without case, as UUIDs are written in both.
    public func find(_ id: String, now: MonotonicTime) -> [ExchangeStory] {
        let wanted = id.lowercased()
        let count = records.count
        let latest = (0..<count).lazy.map { (self.next + count - 1 - $0) % count }
        return Array(
            latest.filter { self.records[$0].endedAt != 0 }
                .map { ExchangeStory(self.records[$0], self.text(of: $0), now: now) }
                .filter { $0.requestID.lowercased() == wanted || $0.traceID == wanted }
                .prefix(TelemetryLimits.exchangesFoundMax)
        )
    }

    private func text(of index: Int) -> [UInt8] {
        let start = index * ExchangeTrail.textBytes
        return texts.withSpan(start..<start + ExchangeTrail.textBytes) { $0.array }
    }

    static let pathBytesMax = 128
    static let hostBytesMax = 64
    private static let textBytes =
        pathBytesMax + hostBytesMax + TelemetryLimits.requestIDBytesMax
    private static let spareMax = 16
}
