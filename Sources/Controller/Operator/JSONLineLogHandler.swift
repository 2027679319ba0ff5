import Foundation
public import Logging

/// Writes each event as one JSON object on one line of standard error.
public struct JSONLineLogHandler: LogHandler {
    /// Fields of every line.
    public var metadata: Logger.Metadata = [:]
    /// Less important events are left out.
    public var logLevel: Logger.Level

    /// Writes events of `level` and above.
    public init(level: Logger.Level = .info) {
        logLevel = level
    }

    /// One field of every line.
    public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    /// Writes the line; a standard error that is gone is nobody's business any more.
    public func log(event: LogEvent) {
        try? FileHandle.standardError.write(
            contentsOf: Data(line(event, at: Date.now).utf8)
        )
    }

    func line(_ event: LogEvent, at time: Date) -> String {
        let style = Date.ISO8601FormatStyle(includingFractionalSeconds: true)
        var line = "{\"time\":\(quote(time.formatted(style)))"
        line += ",\"level\":\(quote(event.level.rawValue))"
        line += ",\"message\":\(quote("\(event.message)"))"
        let fields = metadata.merging(event.metadata ?? [:]) { $1 }
        for (key, value) in fields.sorted(by: { $0.key < $1.key }) {
            line += ",\(quote(key)):\(quote("\(value)"))"
        }
        return line + "}\n"
    }

    /// A JSON string: what peers sent may stand in it and must not break the line.
    private func quote(_ text: String) -> String {
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": quoted += "\\\""
            case "\\": quoted += "\\\\"
            case "\n": quoted += "\\n"
            case "\r": quoted += "\\r"
            case "\t": quoted += "\\t"
            case "\u{0}"..."\u{1f}", "\u{7f}"..."\u{9f}", "\u{2028}", "\u{2029}":
                let digits = String(scalar.value, radix: 16)
                quoted += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }
}
