import MeshModel

/// A JSON value that is written for people: indented, fields in the order they were given.
enum JSONPage {
    case null
    case bool(Bool)
    /// In JSON's own grammar.
    case number(String)
    case string(String)
    case array([JSONPage])
    case object([(name: String, value: JSONPage)])

    static func integer(_ value: some BinaryInteger) -> JSONPage { .number(String(value)) }

    static func optional(_ value: String?) -> JSONPage { value.map { .string($0) } ?? .null }

    /// What was parsed, without the places it stood at.
    init(_ node: ConfigNode) {
        self =
            switch node.value {
            case .null: .null
            case .bool(let value): .bool(value)
            case .number(let text): .number(text)
            case .string(let value): .string(value)
            case .array(let elements): .array(elements.map { JSONPage($0) })
            case .object(let members):
                .object(members.map { ($0.key, JSONPage($0.value)) })
            }
    }

    /// The text, two spaces per level, with a line feed at the end.
    var text: String {
        var text = ""
        append(to: &text, indent: "\n")
        return text + "\n"
    }

    private func append(to text: inout String, indent: String) {
        switch self {
        case .null: text += "null"
        case .bool(let value): text += value ? "true" : "false"
        case .number(let number): text += number
        case .string(let value): text += Self.quoted(value)
        case .array(let elements):
            Self.append(elements, "[", "]", to: &text, indent: indent) { text, element, inner in
                element.append(to: &text, indent: inner)
            }
        case .object(let fields):
            Self.append(fields, "{", "}", to: &text, indent: indent) { text, field, inner in
                text += Self.quoted(field.name) + ": "
                field.value.append(to: &text, indent: inner)
            }
        }
    }

    private static func append<Element>(
        _ elements: [Element],
        _ opening: String,
        _ closing: String,
        to text: inout String,
        indent: String,
        each: (inout String, Element, String) -> Void
    ) {
        text += opening
        let inner = indent + "  "
        for (index, element) in elements.enumerated() {
            text += index == 0 ? inner : "," + inner
            each(&text, element, inner)
        }
        text += elements.isEmpty ? closing : indent + closing
    }

    private static func quoted(_ value: String) -> String {
        var writer = JSONWriter()
        writer.string(value)
        return writer.text
    }
}
