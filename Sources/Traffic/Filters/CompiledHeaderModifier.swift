public import HTTP
public import MeshModel

/// A route's changes of the fields of requests or responses, compiled.
public struct CompiledHeaderModifier: Sendable {
    private let removed: ContiguousArray<FieldKey>
    private let set: ContiguousArray<CompiledField>
    private let added: ContiguousArray<CompiledField>

    /// Compiles `modifier`; of several entries of one kind for a field the first counts (Gateway API
    /// `HTTPHeaderFilter`).
    public init(_ modifier: HeaderModifier) {
        removed = ContiguousArray(firstOfEach(modifier.remove.map { FieldKey($0.lowercased()) }))
        set = ContiguousArray(CompiledHeaderModifier.lines(modifier.set))
        added = ContiguousArray(CompiledHeaderModifier.lines(modifier.add))
    }

    /// Removes, then sets, then adds.
    ///
    /// An added field is a line of its own behind those of the sender, which is the same as a member
    /// more in a list (RFC 9110 §5.3), and right for Set-Cookie too.
    public func apply(to fields: FieldBlock) {
        for key in removed { key.removeAll(from: fields) }
        for field in set {
            field.key.removeAll(from: fields)
            field.append(to: fields)
        }
        for field in added { field.append(to: fields) }
    }

    private static func lines(_ fields: [HeaderModifier.Field]) -> [CompiledField] {
        var seen: Set<String> = []
        return fields.filter { seen.insert($0.name.lowercased()).inserted }
            .map { CompiledField($0.name, $0.value) }
    }
}

private func firstOfEach(_ keys: [FieldKey]) -> [FieldKey] {
    var seen: Set<FieldKey> = []
    return keys.filter { seen.insert($0).inserted }
}
