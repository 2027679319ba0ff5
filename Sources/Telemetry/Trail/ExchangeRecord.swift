internal import HTTP

/// What is noted of every exchange; see `ExchangeTrail`.
final class ExchangeRecord {
    var traceIDHigh: UInt64 = 0
    var traceIDLow: UInt64 = 0
    /// The request id when the proxy made it, else zeros.
    var requestIDHigh: UInt64 = 0
    var requestIDLow: UInt64 = 0
    var startedAt: UInt64 = 0
    /// 0: the record is new.
    var endedAt: UInt64 = 0
    var deadline: UInt64 = 0
    var version: UInt64 = 0
    var route: Int32 = -1
    var status: UInt16 = 0
    var method = Method.other
    var flag: ResponseFlag?
    var series: RequestSeries?
    var endpoint = ""
    var details: ExchangeDetails?
    /// Bytes of its texts, which the trail holds: path, then the caller's own request id, then host.
    var pathCount = 0
    var requestIDCount = 0
    var hostCount = 0

    init() {}
}
