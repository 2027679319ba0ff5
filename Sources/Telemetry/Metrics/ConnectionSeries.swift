// What is counted of opaque connections: one object for each direction, service, cluster and peer.
//
// Held by the route or the connection it counts for, as `RequestSeries`. Bytes are counted while they
// move, since an opaque connection may live for months.

/// What the opaque connections of one series have in common.
public struct ConnectionSeriesKey: Sendable, Hashable {
    /// Side of the sidecar.
    public let direction: Direction
    /// Name of the service connected to; "unknown" when it is none of the mesh.
    public let service: String
    /// Name of the cluster the connection went to; empty when it never got that far.
    public let cluster: String
    /// SPIFFE ID of the caller, for inbound connections; empty when it has none.
    public let peer: String

    /// A key; see the properties.
    public init(direction: Direction, service: String, cluster: String = "", peer: String = "") {
        self.direction = direction
        self.service = service
        self.cluster = cluster
        self.peer = peer
    }

    /// The key of everything that is over the bound on series.
    static func other(_ direction: Direction) -> ConnectionSeriesKey {
        ConnectionSeriesKey(
            direction: direction,
            service: "other",
            cluster: "other",
            peer: "other"
        )
    }
}

/// The numbers of one kind of opaque connection, confined to its worker.
public final class ConnectionSeries {
    /// What its connections have in common.
    public let key: ConnectionSeriesKey

    private var ends = LabelledCounter()
    private var active: Int64 = 0
    private var receivedBytes: UInt64 = 0
    private var sentBytes: UInt64 = 0
    private var duration = DurationHistogram()

    init(key: ConnectionSeriesKey) { self.key = key }

    /// A connection came; `closed` follows.
    public func opened() { active += 1 }

    /// The caller sent this many bytes, which were passed on.
    public func received(_ bytes: Int) { receivedBytes &+= UInt64(bytes) }

    /// The caller was sent this many bytes.
    public func sent(_ bytes: Int) { sentBytes &+= UInt64(bytes) }

    /// A connection is over, and why.
    public func closed(reason: StaticString, duration nanoseconds: UInt64) {
        active -= 1
        ends.add(1, reason)
        duration.record(nanoseconds: nanoseconds)
    }

    /// A copy of the numbers.
    var snapshot: ConnectionSeriesSnapshot {
        ConnectionSeriesSnapshot(
            ends: ends.values,
            active: active,
            received: receivedBytes,
            sent: sentBytes,
            duration: HistogramSnapshot(duration)
        )
    }
}

/// The numbers of one connection series.
struct ConnectionSeriesSnapshot: Sendable, Equatable {
    /// By reason.
    var ends: [String: UInt64]
    var active: Int64
    var received: UInt64
    var sent: UInt64
    var duration: HistogramSnapshot

    /// Whether it has counted anything.
    var isUsed: Bool { active != 0 || !ends.isEmpty }

    func merging(_ other: ConnectionSeriesSnapshot) -> ConnectionSeriesSnapshot {
        ConnectionSeriesSnapshot(
            ends: ends.merging(other.ends, uniquingKeysWith: &+),
            active: active &+ other.active,
            received: received &+ other.received,
            sent: sent &+ other.sent,
            duration: duration.merging(other.duration)
        )
    }
}
