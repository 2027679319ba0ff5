/// Writes compact JSON.
///
/// Deterministic: fields appear in the order they are written and every string has one spelling, so
/// equal values give equal bytes and checksums hold.
public struct JSONWriter {
    /// The text so far.
    public private(set) var text = ""
    private var needsComma = false

    /// Starts empty.
    public init() {}

    /// The JSON of `node`.
    public static func text(_ node: ConfigNode) -> String {
        var writer = JSONWriter()
        writer.write(node)
        return writer.text
    }

    /// Writes an object whose fields `body` writes with `field`.
    public mutating func object(_ body: (inout JSONWriter) -> Void) {
        enclose("{", "}", body)
    }

    /// Writes a list of `elements`, each written by `body`.
    public mutating func array<S: Sequence>(
        _ elements: S,
        _ body: (inout JSONWriter, S.Element) -> Void
    ) {
        enclose("[", "]") { writer in
            for element in elements { body(&writer, element) }
        }
    }

    /// Writes a field's name and lets `body` write its value.
    public mutating func field(_ name: String, _ body: (inout JSONWriter) -> Void) {
        separate()
        quote(name)
        text += ":"
        needsComma = false
        body(&self)
        needsComma = true
    }

    /// Writes a field that holds a string.
    public mutating func field(_ name: String, _ value: String) {
        field(name) { $0.string(value) }
    }

    /// Writes a field that holds a number.
    public mutating func field(_ name: String, _ value: some BinaryInteger) {
        field(name) { $0.number(value) }
    }

    /// Writes a field that holds a boolean.
    public mutating func field(_ name: String, _ value: Bool) {
        field(name) { $0.literal(value ? "true" : "false") }
    }

    /// Writes a string.
    public mutating func string(_ value: String) {
        separate()
        quote(value)
    }

    /// Writes a number.
    public mutating func number(_ value: some BinaryInteger) {
        literal(String(value))
    }

    private mutating func write(_ node: ConfigNode) {
        switch node.value {
        case .null: literal("null")
        case .bool(let value): literal(value ? "true" : "false")
        case .number(let value): literal(value)
        case .string(let value): string(value)
        case .array(let elements): array(elements) { $0.write($1) }
        case .object(let members):
            object { writer in
                for member in members { writer.field(member.key) { $0.write(member.value) } }
            }
        }
    }

    private mutating func literal(_ value: String) {
        separate()
        text += value
    }

    private mutating func enclose(
        _ opening: String,
        _ closing: String,
        _ body: (inout JSONWriter) -> Void
    ) {
        separate()
        text += opening
        needsComma = false
        body(&self)
        text += closing
        needsComma = true
    }

    private mutating func separate() {
        if needsComma { text += "," }
        needsComma = true
    }

    /// Only what RFC 8259 §7 demands is escaped; the rest stays UTF-8.
    private mutating func quote(_ value: String) {
        text += "\""
        for scalar in value.unicodeScalars {
            switch scalar {
            case "\"": text += "\\\""
            case "\\": text += "\\\\"
            case "\n": text += "\\n"
            case "\r": text += "\\r"
            case "\t": text += "\\t"
            case "\u{0}"..<"\u{20}":
                text += (scalar.value < 16 ? "\\u000" : "\\u00") + String(scalar.value, radix: 16)
            default: text.unicodeScalars.append(scalar)
            }
        }
        text += "\""
    }
}
