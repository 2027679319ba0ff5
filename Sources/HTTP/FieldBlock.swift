// The fields of one message, in order, in one block of bytes.
//
// What it is: a byte store in which every field line stands exactly as HTTP/1.1 writes it,
// `Name: value CRLF`, and a flat table of where each line begins. So forwarding unchanged fields is
// a copy of a few contiguous runs, not a walk over names and values. What it is not: a dictionary.
// Order, repetition and the sender's case are part of the message.
//
// Invariants:
// - the store is append-only between two `clear()`; a removed line keeps its bytes and is skipped
// - names are tokens and values hold no CR, LF or NUL: the decoders check what they append, and
//   whoever appends something else checks it before
// - `present` has the bit of every known name that was ever appended since `clear()`

public import Bytes

/// The ordered fields of one message.
///
/// Reused from message to message and worker-confined. Indices stay valid until `clear()`.
public final class FieldBlock {
    @usableFromInline let store = ByteBuffer()
    /// A `FieldLine` for each line; the mark of its owner is `removedBit`.
    private let table = WordArray()
    private var present: UInt64 = 0

    /// Makes an empty block; nothing is allocated until the first field.
    public init() {}

    /// Number of field lines, removed ones included; valid indices are `0..<count`.
    public var count: Int { table.count / 2 }

    /// Bytes of all lines, removed ones included.
    public var byteCount: Int { store.count }

    /// Becomes a copy of `other`, removed lines included.
    public func assign(from other: FieldBlock) {
        store.clear()
        other.store.withSpan { store.append($0) }
        table.clear()
        for record in 0..<other.count {
            table.append(other.table[record * 2], other.table[record * 2 + 1])
        }
        present = other.present
    }

    /// Drops all fields.
    ///
    /// Keeps the memory, unless an unusually large message made it grow.
    public func clear() {
        if store.capacity > FieldBlock.retainedBytesMax {
            store.release()
        } else {
            store.clear()
        }
        if table.capacity > FieldBlock.retainedBytesMax { table.release() } else { table.clear() }
        present = 0
    }

    /// Drops all fields and gives the memory back, for a connection that goes idle.
    public func release() {
        store.release()
        table.release()
        present = 0
    }

    /// Appends a field with any name; the caller vouches for the bytes.
    public func append(name: Span<UInt8>, value: Span<UInt8>) {
        append(FieldName(matching: name), name: name, value: value)
    }

    /// Appends a field whose name the caller has already recognised.
    public func append(_ known: FieldName, name: Span<UInt8>, value: Span<UInt8>) {
        let start = store.count
        store.appendLine(name: name, value: value)
        checkSize()
        insert(known, start: start, nameCount: name.count, valueCount: value.count)
    }

    /// Appends a whole line that already reads `Name: value CRLF`, the first `nameCount` bytes
    /// being the name.
    public func append(line: Span<UInt8>, nameCount: Int, known: FieldName) {
        precondition(nameCount > 0 && line.count >= nameCount + 4)
        let start = store.count
        store.append(line)
        checkSize()
        insert(known, start: start, nameCount: nameCount, valueCount: line.count - nameCount - 4)
    }

    /// Appends the lines of `input` that begin at `from`, as long as they are ordinary ones and the
    /// limits permit, and returns where the first other line begins.
    ///
    /// Ordinary is what `WordArray.appendOrdinaryLines` says. So nearly all heads are stored by one copy, and nothing doubtful comes in here.
    public func appendOrdinaryLines(
        of input: Span<UInt8>,
        from: Int,
        bytesMax: Int,
        countMax: Int
    ) -> Int {
        let (end, found) = table.appendOrdinaryLines(
            of: input,
            from: from,
            start: store.count,
            bytesMax: bytesMax,
            countMax: countMax,
            names: FieldName.index
        )
        present |= found
        if end > from { store.append(input.extracting(from..<end)) }
        checkSize()
        return end
    }

    /// Appends a known field; the caller vouches for the value.
    public func append(_ name: FieldName, _ value: Span<UInt8>) {
        let start = begin(name)
        store.append(value)
        end(name, start: start)
    }

    /// Appends a known field with a fixed value.
    public func append(_ name: FieldName, _ value: StaticString) {
        let start = begin(name)
        store.append(value)
        end(name, start: start)
    }

    /// Appends a known field whose value is what `value` holds; the caller vouches for the bytes.
    public func append(_ name: FieldName, _ value: ByteBuffer) {
        let start = begin(name)
        store.append(value)
        end(name, start: start)
    }

    /// Appends a known field with a decimal number.
    public func append(_ name: FieldName, decimal value: UInt64) {
        let start = begin(name)
        store.append(decimal: value)
        end(name, start: start)
    }

    /// Appends a whole line `Name: value CRLF` made of a literal, whose first `nameCount` bytes are
    /// the name, and returns where its value begins in the block, for `setHex` and `setUUID`.
    ///
    /// A line of fixed layout is so written by one copy, and its digits in place.
    public func append(line: StaticString, nameCount: Int, known: FieldName) -> Int {
        precondition(nameCount > 0 && line.utf8CodeUnitCount >= nameCount + 4)
        let start = store.count
        store.append(line)
        checkSize()
        let valueCount = line.utf8CodeUnitCount - nameCount - 4
        insert(known, start: start, nameCount: nameCount, valueCount: valueCount)
        return start + nameCount + 2
    }

    /// Writes 16 lower-case hexadecimal digits at `index` of the block, over a part of the value of
    /// a line that was appended as a literal.
    public func setHex(_ value: UInt64, at index: Int) { store.setHex(value, at: index) }

    /// Writes the 36 characters of a UUID at `index` of the block, over a part of the value of a
    /// line that was appended as a literal.
    public func setUUID(high: UInt64, low: UInt64, at index: Int) {
        store.setUUID(high: high, low: low, at: index)
    }

    /// Which known name the field at `index` has.
    public func known(at index: Int) -> FieldName {
        // Only raw values of names are ever stored.
        FieldName(rawValue: UInt8(truncatingIfNeeded: table[index * 2 + 1])) ?? .other
    }

    /// Whether the field at `index` was removed.
    public func isRemoved(at index: Int) -> Bool {
        table[index * 2 + 1] & FieldBlock.removedBit != 0
    }

    /// Removes the field at `index`; other indices stay as they are.
    public func remove(at index: Int) { table[index * 2 + 1] |= FieldBlock.removedBit }

    /// Removes every field with this known name.
    public func removeAll(_ name: FieldName) {
        precondition(name != .other, "other is not one name")
        guard present & (1 &<< UInt64(name.rawValue)) != 0 else { return }
        var from = 0
        while let index = firstIndex(of: name, from: from) {
            remove(at: index)
            from = index + 1
        }
        present &= ~(1 &<< UInt64(name.rawValue))
    }

    /// The first field with this known name that is not removed, at or after `from`.
    public func firstIndex(of name: FieldName, from: Int = 0) -> Int? {
        precondition(name != .other, "other is not one name")
        guard present & (1 &<< UInt64(name.rawValue)) != 0 else { return nil }
        let wanted = UInt64(name.rawValue)
        // Name and removal in one comparison.
        return table.firstRecord(from: from) { $0 & 0xFFFF == wanted }
    }

    /// Whether a field whose known name is in `names` was appended and not removed with all of its
    /// name: the cheap question before a search.
    public func mayContain(_ names: FieldNameSet) -> Bool { present & names.bits != 0 }

    /// The first field whose known name is in `names` and that is not removed, at or after `from`.
    public func firstIndex(in names: FieldNameSet, from: Int = 0) -> Int? {
        guard present & names.bits != 0 else { return nil }
        return table.firstRecord(from: from) { kind in
            kind & FieldBlock.removedBit == 0 && names.bits &>> (kind & 0x3F) & 1 != 0
        }
    }

    /// Removes every field whose known name is in `names`.
    public func removeAll(in names: FieldNameSet) {
        guard present & names.bits != 0 else { return }
        var from = 0
        while let index = firstIndex(in: names, from: from) {
            remove(at: index)
            from = index + 1
        }
        present &= ~names.bits
    }

    /// The first field with this name, compared without case, that is not removed.
    public func firstIndex(named name: Span<UInt8>, from: Int = 0) -> Int? {
        var index = from
        while index < count {
            if !isRemoved(at: index) && withName(at: index, { $0.matches(name) }) {
                return index
            }
            index += 1
        }
        return nil
    }

    /// Whether a field with this known name is there and not removed.
    public func contains(_ name: FieldName) -> Bool { firstIndex(of: name) != nil }

    /// Lends the name of the field at `index`, in the sender's case.
    @inlinable
    public func withName<R, E: Error>(
        at index: Int,
        _ body: (Span<UInt8>) throws(E) -> R
    ) throws(E) -> R {
        try store.withSpan(nameRange(at: index), body)
    }

    /// Lends the value of the field at `index`, without surrounding white space.
    @inlinable
    public func withValue<R, E: Error>(
        at index: Int,
        _ body: (Span<UInt8>) throws(E) -> R
    ) throws(E) -> R {
        try store.withSpan(valueRange(at: index), body)
    }

    /// Lends name and value of each field that is not removed, in order.
    ///
    /// Inlined, and one look at the table per field: encoders of other versions read every field of
    /// every head through here.
    @inlinable
    public func forEach(_ body: (FieldName, Span<UInt8>, Span<UInt8>) -> Void) {
        var index = 0
        while let line = keptLine(from: &index) {
            let name = FieldName(rawValue: UInt8(truncatingIfNeeded: line.kind)) ?? .other
            store.withSpan(line.nameRange) { text in
                store.withSpan(line.valueRange) { body(name, text, $0) }
            }
        }
    }

    /// The first line at or after `index` that is not removed; moves `index` behind it.
    @usableFromInline
    func keptLine(from index: inout Int) -> FieldLine? {
        while index < table.count / 2 {
            let kind = table[index * 2 + 1]
            index += 1
            if kind & FieldBlock.removedBit == 0 {
                return FieldLine(place: table[index * 2 - 2], kind: kind)
            }
        }
        return nil
    }

    /// Whether the value at `index` is exactly `literal`.
    public func valueEquals(_ literal: StaticString, at index: Int) -> Bool {
        withValue(at: index) { $0.equals(literal) }
    }

    /// Whether the value at `index` is `literal` when letters are compared without case.
    public func valueMatches(_ literal: StaticString, at index: Int) -> Bool {
        withValue(at: index) { $0.matches(literal) }
    }

    /// Whether a comma-separated list, over all lines of `name`, has this member, without case.
    public func hasToken(_ token: StaticString, in name: FieldName) -> Bool {
        var from = 0
        while let index = firstIndex(of: name, from: from) {
            let isMember = withValue(at: index) { value in
                var position = 0
                while let range = value.nextListMember(at: &position) {
                    if value.extracting(range).matches(token) { return true }
                }
                return false
            }
            if isMember { return true }
            from = index + 1
        }
        return false
    }

    /// Appends the lines of all fields that are not removed to `buffer`.
    public func appendLines(to buffer: ByteBuffer) {
        var from = 0
        var index = 0
        while let removed = table.firstRecord(
            from: index,
            where: { $0 & FieldBlock.removedBit != 0 }
        ) {
            let entry = entry(removed)
            if entry.start > from { buffer.append(store, from..<entry.start) }
            from = entry.end
            index = removed + 1
        }
        if store.count > from { buffer.append(store, from..<store.count) }
    }

    /// Number of bytes of memory the block keeps.
    public var capacity: Int {
        store.capacity + table.capacity
    }

    @usableFromInline
    func nameRange(at index: Int) -> Range<Int> { entry(index).nameRange }

    @usableFromInline
    func valueRange(at index: Int) -> Range<Int> { entry(index).valueRange }

    private func entry(_ index: Int) -> FieldLine {
        FieldLine(place: table[index * 2], kind: table[index * 2 + 1])
    }

    private func begin(_ name: FieldName) -> Int {
        precondition(name != .other, "other has no spelling")
        let start = store.count
        store.append(name.spelling)
        store.append(": ")
        return start
    }

    private func end(_ name: FieldName, start: Int) {
        let nameCount = name.spelling.utf8CodeUnitCount
        let valueCount = store.count - start - nameCount - 2
        add(name, start: start, nameCount: nameCount, valueCount: valueCount)
    }

    private func add(_ name: FieldName, start: Int, nameCount: Int, valueCount: Int) {
        store.appendLineEnd()
        checkSize()
        insert(name, start: start, nameCount: nameCount, valueCount: valueCount)
    }

    private func insert(_ name: FieldName, start: Int, nameCount: Int, valueCount: Int) {
        let line = FieldLine(
            start: start,
            nameCount: nameCount,
            valueCount: valueCount,
            name: name.rawValue
        )
        table.append(line.place, line.kind)
        present |= 1 &<< UInt64(name.rawValue)
    }

    /// Positions are kept in 32 bits.
    private func checkSize() { precondition(store.count <= UInt32.max) }

    /// What a block keeps over `clear()`: holds an ordinary head; a rare large one is given back.
    private static let retainedBytesMax = 8 << 10
    /// Stands above the eight bits of the name.
    private static let removedBit: UInt64 = 0x100
}
