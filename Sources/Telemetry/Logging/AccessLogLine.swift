public import Bytes
public import HTTP
public import Time

/// What an access log line says of one exchange; see `append(to:…)`.
///
/// Names are the strings the configuration already holds, so filling it in copies no text.
public struct AccessLogLine {
    /// The request's method.
    public var method: Method
    /// 0 when no response was sent.
    public var status: Int
    /// From the request's head to the response's last byte.
    public var durationNanoseconds: UInt64
    /// Bytes of the request's body.
    public var requestBytes: UInt64
    /// Bytes of the response's body.
    public var responseBytes: UInt64
    /// The series it was counted in: direction, service, route, cluster, peer.
    public var series: RequestSeriesKey
    /// Address of the endpoint; empty when none was chosen.
    public var endpoint: String
    /// How often the request was sent again.
    public var retries: Int
    /// Why the proxy interfered, if it did.
    public var flag: ResponseFlag?
    /// The trace the exchange belongs to.
    public var trace: TraceContext

    /// A line; see the properties.
    public init(
        method: Method,
        status: Int,
        durationNanoseconds: UInt64,
        requestBytes: UInt64,
        responseBytes: UInt64,
        series: RequestSeriesKey,
        endpoint: String,
        retries: Int,
        flag: ResponseFlag?,
        trace: TraceContext
    ) {
        self.method = method
        self.status = status
        self.durationNanoseconds = durationNanoseconds
        self.requestBytes = requestBytes
        self.responseBytes = responseBytes
        self.series = series
        self.endpoint = endpoint
        self.retries = retries
        self.flag = flag
        self.trace = trace
    }

    /// Appends the line to `buffer`.
    ///
    /// `path` may carry its query, which is left out: queries hold tokens, mail addresses and
    /// session ids. `fields` are those written by `TraceContext.write(into:)`, which
    /// hold the request id.
    public func append(
        to buffer: ByteBuffer,
        time: WallTime,
        path: Span<UInt8>,
        fields: FieldBlock
    ) {
        var line = LogLine(
            into: buffer,
            time: time,
            level: level,
            message: "exchange"
        )
        line.field("direction", series.direction.label)
        line.field("method", method.label)
        let queryStart = path.firstIndex(of: UInt8(ascii: "?")) ?? path.count
        line.field("path", path.extracting(0..<queryStart))
        line.field("status", status)
        line.field("duration_ms", milliseconds: durationNanoseconds)
        line.field("request_bytes", requestBytes)
        line.field("response_bytes", responseBytes)
        line.field("service", series.service)
        if !series.route.isEmpty { line.field("route", series.route) }
        if !series.cluster.isEmpty { line.field("cluster", series.cluster) }
        if !endpoint.isEmpty { line.field("endpoint", endpoint) }
        if !series.peer.isEmpty { line.field("peer", series.peer) }
        if retries > 0 { line.field("retries", retries) }
        if let flag { line.field("flags", flag.label) }
        line.field(trace: trace)
        if let index = fields.firstIndex(of: .xRequestID) {
            fields.withValue(at: index) { line.field("request_id", $0) }
        }
        line.finish()
    }

    private var level: LogLevel {
        if status >= 500 { return .error }
        return flag == nil ? .info : .warning
    }
}
