import Bytes
import HTTP

/// A configured field name, recognised once: known names are found by one byte.
struct FieldKey: Sendable, Hashable {
    let known: FieldName
    private let name: ContiguousArray<UInt8>

    /// Any case.
    init(_ name: String) {
        let bytes = ContiguousArray(name.utf8)
        self.name = bytes
        known = FieldName(matching: bytes.span)
    }

    /// The first field of this name that is not removed, at or after `from`.
    func firstIndex(in fields: FieldBlock, from: Int = 0) -> Int? {
        known == .other
            ? fields.firstIndex(named: name.span, from: from)
            : fields.firstIndex(of: known, from: from)
    }

    /// Removes every field of this name.
    func removeAll(from fields: FieldBlock) {
        guard known == .other else { return fields.removeAll(known) }
        var from = 0
        while let index = fields.firstIndex(named: name.span, from: from) {
            fields.remove(at: index)
            from = index + 1
        }
    }

    /// Appends a field of this name, as it was written in the configuration.
    func append(_ value: Span<UInt8>, to fields: FieldBlock) {
        fields.append(known, name: name.span, value: value)
    }
}

/// A field line of the configuration, written once.
struct CompiledField: Sendable {
    let key: FieldKey
    private let line: ContiguousArray<UInt8>
    private let nameCount: Int

    /// A line of these; the caller has checked that the bytes are those of a name and a value.
    init(_ name: String, _ value: String) {
        key = FieldKey(name)
        line = ContiguousArray("\(name): \(value)\r\n".utf8)
        nameCount = name.utf8.count
    }

    func append(to fields: FieldBlock) {
        fields.append(line: line.span, nameCount: nameCount, known: key.known)
    }
}
