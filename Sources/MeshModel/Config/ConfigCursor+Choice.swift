// Values of several forms, and values that can be ruled out.

extension ConfigCursor {
    /// One of several forms: a word of `words`, or an object with exactly one field of `fields`.
    public func choice<T>(
        words: KeyValuePairs<String, T> = [:],
        fields: KeyValuePairs<String, (ConfigCursor) -> T?> = [:]
    ) -> T? {
        let allowed = (words.map { #""\#($0.key)""# } + fields.map { "{\"\($0.key)\": …}" })
            .joined(separator: ", ")
        switch node.value {
        case .string(let text) where !words.isEmpty:
            if let word = words.first(where: { $0.key == text }) { return word.value }
            report("unknown value", allowed: "one of " + allowed)
            return nil
        case .object(let members) where !fields.isEmpty:
            guard let object = object(fields: fields.map(\.key)) else { return nil }
            let present = fields.filter { object.cursor($0.key) != nil }
            guard present.count == 1, let chosen = present.first else {
                // A lone unknown field has been reported with its remedy already.
                if !present.isEmpty || members.isEmpty {
                    report("ambiguous", allowed: "exactly one of " + allowed)
                }
                return nil
            }
            return object.required(chosen.key, chosen.value)
        default:
            report("wrong type, \(node.kind)", allowed: "one of " + allowed)
            return nil
        }
    }
}

extension ObjectCursor {
    /// The value of field `name`, which may be ruled out with `none`; `value` when it is absent.
    ///
    /// The outer nil means that an error was reported, the inner one that there is none.
    public func switchable<T>(
        _ name: String,
        default value: @autoclosure () -> T?,
        _ decode: (ConfigCursor) -> T?
    ) -> T?? {
        guard let field = cursor(name) else { return .some(value()) }
        if case .string("none") = field.node.value { return .some(nil) }
        return decode(field).map { .some($0) }
    }
}

extension JSONWriter {
    /// Writes a field that is `none` when there is no value.
    mutating func field<T>(
        _ name: String,
        orNone value: T?,
        _ body: (inout JSONWriter, T) -> Void
    ) {
        guard let value else { return field(name, "none") }
        field(name) { body(&$0, value) }
    }

    /// Writes a field that holds a duration or is `none`.
    mutating func field(_ name: String, orNone value: Duration?) {
        guard let value else { return field(name, "none") }
        field(name, value)
    }

    /// Writes a field that holds a number or is `none`.
    mutating func field(_ name: String, orNone value: Int?) {
        guard let value else { return field(name, "none") }
        field(name, value)
    }

    /// Writes a field that holds a list of strings.
    mutating func field(_ name: String, strings: [String]) {
        field(name) { $0.array(strings) { $0.string($1) } }
    }

    /// Writes an object of one field, the form of a choice.
    mutating func choice(_ name: String, _ value: String) {
        object { $0.field(name, value) }
    }
}
