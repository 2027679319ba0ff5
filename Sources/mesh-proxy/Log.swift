import Bytes
import ControlClient
import Telemetry
import Time

/// Log lines of the control loop.
///
/// Confined to its thread; workers hand over finished lines.
final class Log {
    private let buffer = ByteBuffer()

    func line(
        _ level: LogLevel,
        _ message: StaticString,
        _ fields: [(StaticString, String)] = []
    ) {
        buffer.clear()
        var line = LogLine(into: buffer, time: Clock.wall(), level: level, message: message)
        for (name, value) in fields { line.field(name, value) }
        line.finish()
        write(buffer.array)
    }

    /// A line of the controller's stream.
    func controlLine(
        _ level: ControlLogLevel,
        _ text: String,
        _ fields: [(name: String, value: String)]
    ) {
        let known: LogLevel =
            switch level {
            case .info: .info
            case .warning: .warning
            case .error: .error
            }
        let details = fields.map { "\($0.name)=\($0.value)" }.joined(separator: " ")
        var event: [(StaticString, String)] = [("event", text)]
        if !details.isEmpty { event.append(("details", details)) }
        line(known, "controller", event)
    }

    /// A finished line.
    func write(_ line: [UInt8]) { writeAll(2, line) }
}
