// The strict decoding layer: decode is validate.
//
// A cursor stands at a value; reading it either gives a value in range or reports an error and gives
// nil. Decoders therefore read everything first and `guard` after, so that one pass over a document
// finds all errors. `ConfigDiagnostics.result` turns the reports into one throw.
//
// Strictness: an unknown field, a missing one, `null`, a wrong type, and a value out of range are
// errors; no value is converted to another type.

/// A place in a document being decoded.
public struct ConfigCursor {
    /// The value here.
    public let node: ConfigNode
    /// The way to it.
    public let path: ConfigPath
    /// Where errors go.
    public let diagnostics: ConfigDiagnostics

    /// Stands at `node`, the root unless `path` says otherwise.
    public init(_ node: ConfigNode, path: ConfigPath = .root, diagnostics: ConfigDiagnostics) {
        self.node = node
        self.path = path
        self.diagnostics = diagnostics
    }

    /// Reports an error about this value.
    public func report(_ problem: String, allowed: String? = nil) {
        report(problem, value: node.preview, allowed: allowed)
    }

    /// Reports an error about this place.
    public func report(
        _ problem: String,
        value: String?,
        allowed: String?,
        at position: ConfigPosition? = nil
    ) {
        diagnostics.report(
            ConfigError(
                file: diagnostics.file,
                position: position ?? node.position,
                path: path,
                problem: problem,
                value: value,
                allowed: allowed
            )
        )
    }

    /// A string that follows `syntax`.
    public func string(_ syntax: Syntax? = nil) -> String? {
        guard case .string(let text) = node.value else { return wrongType("a string") }
        guard let syntax else { return text }
        guard syntax.isValid(text) else {
            report("not valid", allowed: syntax.allowed)
            return nil
        }
        return text
    }

    /// `true` or `false`.
    public func bool() -> Bool? {
        guard case .bool(let value) = node.value else { return wrongType("true or false") }
        return value
    }

    /// An integer in `range`, written without fraction or exponent.
    public func integer<T: FixedWidthInteger>(in range: ClosedRange<T>) -> T? {
        let allowed = "an integer in \(range.lowerBound)...\(range.upperBound)"
        guard case .number(let text) = node.value else { return wrongType(allowed) }
        guard text.utf8.allSatisfy({ $0 == UInt8(ascii: "-") || isDigit($0) }) else {
            report("not an integer", allowed: allowed)
            return nil
        }
        // Digits that do not fit the type are out of range, too.
        guard let value = T(text), range.contains(value) else {
            report("out of range", allowed: allowed)
            return nil
        }
        return value
    }

    /// A Gateway API duration in `range`.
    public func duration(in range: ClosedRange<Duration> = Limits.timeout) -> Duration? {
        let allowed = "a duration like 1h30m, 10s or 500ms in \(describe(range))"
        guard case .string(let text) = node.value else { return wrongType(allowed) }
        guard let value = Duration(gatewayText: text) else {
            report("not a duration", allowed: allowed)
            return nil
        }
        guard range.contains(value) else {
            report("out of range", allowed: allowed)
            return nil
        }
        return value
    }

    /// One of the values of an enumeration, by its raw value.
    public func oneOf<T: RawRepresentable & CaseIterable>(
        _ type: T.Type
    ) -> T? where T.RawValue == String {
        let names = T.allCases.map(\.rawValue)
        guard case .string(let text) = node.value else {
            return wrongType("one of \(names.joined(separator: ", "))")
        }
        guard let value = T(rawValue: text) else {
            report("unknown value", allowed: suggestion(for: text, among: names))
            return nil
        }
        return value
    }

    /// A list whose length is in `count`, each element read by `decode`; nil when one of them fails.
    public func array<T>(
        count: ClosedRange<Int>,
        of decode: (ConfigCursor) -> T?
    ) -> [T]? {
        guard case .array(let elements) = node.value else { return wrongType("a list") }
        guard count.contains(elements.count) else {
            report(
                "wrong number of elements",
                allowed: "\(count.lowerBound)...\(count.upperBound) elements"
            )
            return nil
        }
        var values: [T] = []
        for (index, element) in elements.enumerated() {
            let cursor = ConfigCursor(element, path: path.index(index), diagnostics: diagnostics)
            if let value = decode(cursor) { values.append(value) }
        }
        return values.count == elements.count ? values : nil
    }

    /// An object all of whose fields are among `fields`.
    ///
    /// `unsupported` names fields that exist in a standard but not here yet; using one is an error
    /// that says so.
    public func object(fields: [String], unsupported: [String] = []) -> ObjectCursor? {
        guard case .object(let members) = node.value else { return wrongType("an object") }
        for member in members where !fields.contains(member.key) {
            let cursor = ConfigCursor(
                member.value,
                path: path.field(member.key),
                diagnostics: diagnostics
            )
            let isUnsupported = unsupported.contains(member.key)
            cursor.report(
                isUnsupported ? "not supported yet" : "unknown field",
                value: isUnsupported ? nil : member.key,
                allowed: suggestion(for: member.key, among: fields),
                at: member.keyPosition
            )
        }
        return ObjectCursor(cursor: self, fields: fields)
    }

    private func wrongType<T>(_ allowed: String) -> T? {
        report("wrong type, \(node.kind)", allowed: allowed)
        return nil
    }
}

/// An object being decoded.
public struct ObjectCursor {
    /// The object itself.
    public let cursor: ConfigCursor
    private let fields: [String]

    fileprivate init(cursor: ConfigCursor, fields: [String]) {
        self.cursor = cursor
        self.fields = fields
    }

    /// The field `name`, nil when it is absent; traps when it is not one of the known fields.
    public func cursor(_ name: String) -> ConfigCursor? {
        precondition(fields.contains(name), "\(name) is not declared")
        guard let node = cursor.node[name] else { return nil }
        return ConfigCursor(
            node,
            path: cursor.path.field(name),
            diagnostics: cursor.diagnostics
        )
    }

    /// The value of field `name`; its absence is reported.
    public func required<T>(_ name: String, _ decode: (ConfigCursor) -> T?) -> T? {
        guard let field = cursor(name) else {
            reportMissing(name)
            return nil
        }
        return decode(field)
    }

    /// The value of field `name`, or `value` when it is absent; nil when it was reported.
    public func optional<T>(
        _ name: String,
        default value: @autoclosure () -> T,
        _ decode: (ConfigCursor) -> T?
    ) -> T? {
        guard let field = cursor(name) else { return value() }
        return decode(field)
    }

    /// The value of field `name`; nil when it is absent, and also when it was reported, which
    /// `ConfigDiagnostics.result` then throws.
    public func ifPresent<T>(_ name: String, _ decode: (ConfigCursor) -> T?) -> T? {
        cursor(name).flatMap(decode)
    }

    /// Reports that field `name` is missing.
    public func reportMissing(_ name: String, because reason: String? = nil) {
        let position = cursor.node.position
        ConfigCursor(
            cursor.node,
            path: cursor.path.field(name),
            diagnostics: cursor.diagnostics
        ).report(
            "required but missing" + (reason.map { " \($0)" } ?? ""),
            value: nil,
            allowed: nil,
            at: position
        )
    }
}

/// "did you mean x? one of a, b, x", for an error about `name`; of many names the first are listed.
public func suggestion(for name: String, among names: [String]) -> String {
    guard !names.isEmpty else { return "none" }
    let listed = names.prefix(Limits.suggestionsMax).joined(separator: ", ")
    let more = names.count - Limits.suggestionsMax
    let list = "one of " + listed + (more > 0 ? " and \(more) more" : "")
    let nearest = names.map {
        (name: $0, distance: editDistance(name.lowercased(), $0.lowercased()))
    }
    .min { $0.distance < $1.distance }
    // A third of the letters wrong is still a slip, more is another word.
    guard let nearest, nearest.distance <= max(1, nearest.name.count / 3) else { return list }
    return "did you mean \(nearest.name)? \(list)"
}

/// Levenshtein distance; names past 64 characters are no slip of a short one.
private func editDistance(_ first: String, _ second: String) -> Int {
    let first = Array(first.utf8.prefix(64))
    let second = Array(second.utf8.prefix(64))
    var row = Array(0...second.count)
    for (index, byte) in first.enumerated() {
        var diagonal = row[0]
        row[0] = index + 1
        for column in second.indices {
            let replaced = diagonal + (byte == second[column] ? 0 : 1)
            diagonal = row[column + 1]
            row[column + 1] = min(replaced, row[column] + 1, diagonal + 1)
        }
    }
    return row[second.count]
}

private func describe(_ range: ClosedRange<Duration>) -> String {
    let bounds = [range.lowerBound, range.upperBound].map { $0.gatewayText ?? "\($0)" }
    return bounds.joined(separator: "...")
}

private func isDigit(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
}
