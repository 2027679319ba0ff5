import Bytes
import Telemetry
import Time

/// Log lines of the control loop. Confined to its thread; workers hand over finished lines.
final class Log {
    private let buffer = ByteBuffer()

    func line(
        _ level: LogLevel, _ message: StaticString, _ fields: [(StaticString, String)] = []
    ) {
        buffer.clear()
        var line = LogLine(into: buffer, time: Clock.wall(), level: level, message: message)
        for (name, value) in fields { line.field(name, value) }
        line.finish()
        write(buffer.array)
    }

    /// A finished line.
    func write(_ line: [UInt8]) { writeAll(2, line) }
}
