public import Bytes
public import Time

/// What an access log line says of one opaque connection; written when it ends.
public struct ConnectionLogLine {
    /// The series it was counted in: direction, service, cluster, peer.
    public var series: ConnectionSeriesKey
    /// Where an intercepted connection meant to go; empty for one that was made to a listener.
    public var destination: String
    /// Address of the endpoint; empty when none was chosen.
    public var endpoint: String
    /// SPIFFE ID the endpoint proved; empty without mTLS.
    public var endpointPeer: String
    /// How it was known not to be HTTP.
    public var detection: StaticString
    /// From its first byte or, when declared, its acceptance.
    public var durationNanoseconds: UInt64
    /// Bytes from the caller that were passed on.
    public var receivedBytes: UInt64
    /// Bytes sent to the caller.
    public var sentBytes: UInt64
    /// Endpoints tried before the last one.
    public var retries: Int
    /// Why it ended; the label of the metric.
    public var reason: StaticString
    /// Whether it ended otherwise than by both sides saying so.
    public var hasFailed: Bool

    /// A line; see the properties.
    public init(
        series: ConnectionSeriesKey,
        destination: String,
        endpoint: String,
        endpointPeer: String,
        detection: StaticString,
        durationNanoseconds: UInt64,
        receivedBytes: UInt64,
        sentBytes: UInt64,
        retries: Int,
        reason: StaticString,
        hasFailed: Bool
    ) {
        self.series = series
        self.destination = destination
        self.endpoint = endpoint
        self.endpointPeer = endpointPeer
        self.detection = detection
        self.durationNanoseconds = durationNanoseconds
        self.receivedBytes = receivedBytes
        self.sentBytes = sentBytes
        self.retries = retries
        self.reason = reason
        self.hasFailed = hasFailed
    }

    /// Appends the line to `buffer`.
    public func append(to buffer: ByteBuffer, time: WallTime) {
        var line = LogLine(
            into: buffer,
            time: time,
            level: hasFailed ? .warning : .info,
            message: "connection"
        )
        line.field("direction", series.direction.label)
        line.field("service", series.service)
        if !series.cluster.isEmpty { line.field("cluster", series.cluster) }
        if !destination.isEmpty { line.field("destination", destination) }
        if !endpoint.isEmpty { line.field("endpoint", endpoint) }
        if !endpointPeer.isEmpty { line.field("endpoint_peer", endpointPeer) }
        if !series.peer.isEmpty { line.field("peer", series.peer) }
        line.field("detection", detection)
        line.field("duration_ms", milliseconds: durationNanoseconds)
        line.field("received_bytes", receivedBytes)
        line.field("sent_bytes", sentBytes)
        if retries > 0 { line.field("retries", retries) }
        line.field("reason", reason)
        line.finish()
    }
}
