// What is counted of requests: one object for each direction, service, route, cluster and peer.
//
// It is made when a snapshot is applied (outbound) or a peer has shown its identity (inbound), and
// held by the route or connection it counts for, so that nothing is looked up by name while a
// request runs.

internal import Bytes
public import HTTP

/// What the requests of one series have in common.
public struct RequestSeriesKey: Sendable, Hashable {
    /// Side of the sidecar.
    public let direction: Direction
    /// Name of the called service.
    public let service: String
    /// Name of the route, empty for inbound requests.
    public let route: String
    /// Name of the cluster the request went to, empty when it never got that far.
    public let cluster: String
    /// SPIFFE ID of the caller, for inbound requests; empty when it has none.
    public let peer: String

    /// A key; see the properties.
    public init(
        direction: Direction,
        service: String,
        route: String = "",
        cluster: String = "",
        peer: String = ""
    ) {
        self.direction = direction
        self.service = service
        self.route = route
        self.cluster = cluster
        self.peer = peer
    }

    /// The key of everything that is over the bound on series.
    static func other(_ direction: Direction) -> RequestSeriesKey {
        RequestSeriesKey(
            direction: direction,
            service: "other",
            route: "other",
            cluster: "other",
            peer: "other"
        )
    }
}

/// How a request ended, packed: the labels `method`, `status` and `response_flags`.
struct RequestOutcome: Sendable, Hashable {
    /// method << 24 | flag << 16 | status; 0xFF in the flag's place means none.
    let packed: UInt32

    /// A status outside 100...599 becomes 0 when nothing was sent, else 1.
    init(method: Method, status: Int, flag: ResponseFlag?) {
        let status = (100...599).contains(status) ? UInt32(status) : status == 0 ? 0 : 1
        packed = UInt32(method.rawValue) << 24 | UInt32(flag?.rawValue ?? 0xFF) << 16 | status
    }

    /// Where requests are counted once a series holds too many different outcomes.
    static let overflow = RequestOutcome(method: .other, status: -1, flag: nil)

    var methodLabel: String {
        Method(rawValue: UInt8(packed >> 24)).map { "\($0.label)" } ?? "OTHER"
    }

    /// Three digits; "none" when no response was sent; "other" for a number that is no status.
    var statusLabel: String {
        switch packed & 0xFFFF {
        case 0: "none"
        case 1: "other"
        case let status: String(status)
        }
    }

    /// Empty when the upstream's response was simply passed on.
    var flagLabel: String {
        ResponseFlag(rawValue: UInt8(packed >> 16 & 0xFF)).map { "\($0.label)" } ?? ""
    }
}

/// The counters and histograms of one kind of request, confined to its worker.
public final class RequestSeries {
    /// What its requests have in common.
    public let key: RequestSeriesKey

    /// Records of a count and the packed outcome it belongs to.
    private let outcomes = WordArray()
    /// Calls that failed though their status does not say so; not shown, only watched.
    private var failedCalls: UInt64 = 0
    private var duration = DurationHistogram()
    // Empty unless somebody watches, which spares most series the memory; not shown.
    private var precise = PreciseDurations()
    private var isWatched = false
    private var requestSize = SizeHistogram()
    private var responseSize = SizeHistogram()

    init(key: RequestSeriesKey) { self.key = key }

    /// Whether durations are counted precisely, too, from now on; what was counted so stays.
    func watch(_ isWatched: Bool) { self.isWatched = isWatched }

    /// Counts one finished exchange.
    ///
    /// `status` is 0 when no response was sent; the sizes are those of the bodies. `hasFailedCall`
    /// tells that a response says in another way than by its status that it failed, as gRPC does.
    public func record(
        method: Method,
        status: Int,
        duration nanoseconds: UInt64,
        requestBytes: UInt64,
        responseBytes: UInt64,
        flag: ResponseFlag?,
        hasFailedCall: Bool = false
    ) {
        if hasFailedCall { failedCalls &+= 1 }
        count(RequestOutcome(method: method, status: status, flag: flag).packed)
        duration.record(nanoseconds: nanoseconds)
        if isWatched { precise.record(nanoseconds: nanoseconds) }
        requestSize.record(bytes: requestBytes)
        responseSize.record(bytes: responseBytes)
    }

    /// A series sees few outcomes, the usual one first: a search of a handful of neighbours.
    private func count(_ packed: UInt32) {
        if let record = outcomes.firstRecord(from: 0, where: { $0 == UInt64(packed) }) {
            outcomes[record * 2] &+= 1
            return
        }
        // One place is kept for the overflow.
        if outcomes.count / 2 >= TelemetryLimits.outcomesPerSeriesMax - 1,
            packed != RequestOutcome.overflow.packed
        {
            count(RequestOutcome.overflow.packed)
        } else {
            outcomes.append(1, UInt64(packed))
        }
    }

    /// A copy of the numbers.
    var snapshot: RequestSeriesSnapshot {
        RequestSeriesSnapshot(
            outcomes: Dictionary(
                (0..<outcomes.count / 2).map { record in
                    (
                        RequestOutcome(packed: UInt32(outcomes[record * 2 + 1])),
                        outcomes[record * 2]
                    )
                },
                uniquingKeysWith: +
            ),
            failedCalls: failedCalls,
            duration: HistogramSnapshot(duration),
            precise: precise.counts,
            requestSize: HistogramSnapshot(requestSize),
            responseSize: HistogramSnapshot(responseSize)
        )
    }
}

extension RequestOutcome {
    fileprivate init(packed: UInt32) { self.packed = packed }
}
