// One JSON object per line: {"time":…,"level":…,"message":…, fields}.
//
// What it is: the only way the proxy writes a log line, so that every line is valid JSON whatever a
// peer sent, and bounded. What it is not: a logger; the owner of stderr takes the finished bytes.
//
// Invariants: a line is one line (control characters are escaped), at most
// `TelemetryLimits.logLineBytesMax` long; a field that would make it longer is left out and
// `"truncated":true` says so.

public import Bytes
public import Time

/// How bad it is.
public enum LogLevel: Sendable, CaseIterable {
    case info, warning, error

    var text: StaticString {
        switch self {
        case .info: "info"
        case .warning: "warning"
        case .error: "error"
        }
    }
}

/// Builds one log line at the end of a buffer.
///
/// Allocates nothing once the buffer is large enough. Field names are literals that need no
/// escaping. End it with `finish()`, which nothing can follow.
public struct LogLine: ~Copyable {
    private let buffer: ByteBuffer
    private let start: Int
    private var isTruncated = false

    /// Begins a line after what `buffer` holds.
    public init(
        into buffer: ByteBuffer,
        time: WallTime,
        level: LogLevel,
        message: StaticString
    ) {
        self.buffer = buffer
        start = buffer.count
        buffer.append("{\"time\":\"")
        time.appendRFC3339(to: buffer)
        buffer.append("\",\"level\":\"")
        buffer.append(level.text)
        buffer.append("\",\"message\":")
        message.withUTF8Buffer { text in
            appendJSONString(
                unsafe text.span,
                limit: TelemetryLimits.logValueBytesMax,
                to: buffer
            )
        }
    }

    /// Adds text from a peer or a name from the configuration.
    public mutating func field(_ name: StaticString, _ value: Span<UInt8>) {
        let mark = begin(name)
        appendJSONString(value, limit: TelemetryLimits.logValueBytesMax, to: buffer)
        keepIfWithinBound(mark)
    }

    /// Adds text.
    public mutating func field(_ name: StaticString, _ value: String) {
        field(name, value.utf8Span.span)
    }

    /// Adds a text known when the program was built.
    public mutating func field(_ name: StaticString, _ value: StaticString) {
        let mark = begin(name)
        value.withUTF8Buffer { text in
            appendJSONString(
                unsafe text.span,
                limit: TelemetryLimits.logValueBytesMax,
                to: buffer
            )
        }
        keepIfWithinBound(mark)
    }

    /// Adds a number.
    public mutating func field(_ name: StaticString, _ value: UInt64) {
        let mark = begin(name)
        buffer.append(decimal: value)
        keepIfWithinBound(mark)
    }

    /// Adds a number.
    public mutating func field(_ name: StaticString, _ value: Int) {
        let mark = begin(name)
        if value < 0 { buffer.append("-") }
        buffer.append(decimal: UInt64(value.magnitude))
        keepIfWithinBound(mark)
    }

    /// Adds a truth value.
    public mutating func field(_ name: StaticString, _ value: Bool) {
        let mark = begin(name)
        buffer.append(value ? "true" : "false")
        keepIfWithinBound(mark)
    }

    /// Adds a duration in milliseconds with three decimals; `name` ends in `_ms`.
    public mutating func field(_ name: StaticString, milliseconds nanoseconds: UInt64) {
        let mark = begin(name)
        let microseconds = nanoseconds / 1_000
        buffer.append(decimal: microseconds / 1_000)
        buffer.append(".")
        buffer.append(decimal: microseconds % 1_000, digits: 3)
        keepIfWithinBound(mark)
    }

    /// Adds `trace_id` and `span_id`.
    public mutating func field(trace context: TraceContext) {
        let mark = begin("trace_id")
        buffer.append("\"")
        context.appendTraceID(to: buffer)
        buffer.append("\",\"span_id\":\"")
        buffer.append(hex: context.spanID, digits: 16)
        buffer.append("\"")
        keepIfWithinBound(mark)
    }

    /// Ends the line with a line feed.
    public consuming func finish() {
        if isTruncated { buffer.append(Self.truncation) }
        buffer.append("}\n")
    }

    private func begin(_ name: StaticString) -> Int {
        let mark = buffer.count
        buffer.append(",\"")
        buffer.append(name)
        buffer.append("\":")
        return mark
    }

    private mutating func keepIfWithinBound(_ mark: Int) {
        let ending = Self.truncation.utf8CodeUnitCount + 2
        guard buffer.count - start + ending > TelemetryLimits.logLineBytesMax else { return }
        buffer.truncate(to: mark)
        isTruncated = true
    }

    private static let truncation: StaticString = ",\"truncated\":true"
}
