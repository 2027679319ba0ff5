/// A set of known field names, as bits: to find the few fields that matter in one pass.
public struct FieldNameSet: Equatable, Sendable {
    @usableFromInline let bits: UInt64

    @inlinable init(bits: UInt64) { self.bits = bits }

    /// The set of one name.
    @inlinable @inline(__always)
    public init(_ name: FieldName) { bits = 1 &<< UInt64(name.rawValue) }

    /// The set with one name more.
    @inlinable @inline(__always)
    public func with(_ name: FieldName) -> FieldNameSet {
        FieldNameSet(bits: bits | FieldNameSet(name).bits)
    }

    /// Whether the name is in the set.
    @inlinable @inline(__always)
    public func contains(_ name: FieldName) -> Bool { bits & FieldNameSet(name).bits != 0 }
}
