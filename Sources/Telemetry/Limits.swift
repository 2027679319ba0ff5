/// The bounds of this module; nothing here grows past them.
public enum TelemetryLimits {
    /// Request series per worker, the shared "other" series included.
    ///
    /// One series is about 500 bytes and 40 lines of `/metrics`, so 1,024 of them are half a
    /// megabyte and 40,000 lines: what a scrape every 15 s can bear.
    public static let requestSeriesMax = 1_024

    /// Series of opaque connections per worker, the shared "other" series included; 25 lines of
    /// `/metrics` each.
    public static let connectionSeriesMax = 512

    /// Distinct method, status and flag triples counted apart within one series.
    ///
    /// A service that answers ten statuses to five methods needs 50. Past the bound a request is
    /// counted with the method, status and flag "other".
    public static let outcomesPerSeriesMax = 64

    /// Distinct label values of one labelled counter; the next ones are counted as "other".
    public static let labelsPerCounterMax = 32

    /// Bytes of one log line, line feed included.
    ///
    /// Pipes take writes of up to 4,096 bytes (`PIPE_BUF`) as one piece, so lines of several
    /// threads never mix.
    public static let logLineBytesMax = 4_096

    /// Bytes of one text in a log line before escaping; what is over is cut.
    public static let logValueBytesMax = 1_024

    /// Members of `tracestate`: W3C Trace Context §3.3.1.1.
    public static let tracestateMembersMax = 32

    /// Bytes of all `baggage` fields together: W3C Baggage §3.3.2.
    public static let baggageBytesMax = 8_192

    /// Members of all `baggage` fields together: 180 is the limit of the first W3C Baggage drafts,
    /// which libraries still honour; the Recommendation asks for at least 64.
    public static let baggageMembersMax = 180

    /// Bytes of an `x-request-id` that is kept.
    public static let requestIDBytesMax = 128

    /// Ended exchanges that a worker remembers, about 800 bytes each: a quarter of a second at a
    /// thousand requests a second, minutes where a person tries things out.
    public static let exchangesKept = 256

    /// Exchanges told of one id; a client that repeats itself keeps its id.
    public static let exchangesFoundMax = 16
}
