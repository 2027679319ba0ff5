// The only growable byte container of the data plane.
//
// What it is: one heap block with a read cursor and a write cursor. Bytes are appended at the end
// and consumed from the front. Not thread-safe; confined to the worker that owns it.
//
// Invariants:
// - 0 <= start <= end <= capacity
// - every index a caller passes is relative to `start` and is checked against `count`, also in
//   release builds: bytes from a peer can make a bug visible, never exploitable.
//
// The small accessors are inlined into other modules, since a head needs hundreds of them and a call
// costs more than its work. Their storage is visible there for that; it is excluded from dynamic
// exclusivity checks (30 instructions each) because no access to it ever spans another one: these are
// plain numbers that are read or written at once, never passed `inout`.

/// A growable queue of bytes: append at the end, consume from the front.
///
/// Worker-confined. A lent `Span` is valid during the closure it is passed to.
public final class ByteBuffer {
    @usableFromInline @exclusivity(unchecked) var base: UnsafeMutableRawPointer?
    @usableFromInline @exclusivity(unchecked) var capacityBytes: Int
    @usableFromInline @exclusivity(unchecked) var start = 0
    @usableFromInline @exclusivity(unchecked) var end = 0

    /// Makes an empty buffer; nothing is allocated until the first byte unless `capacity` > 0.
    public init(capacity: Int = 0) {
        precondition(capacity >= 0)
        capacityBytes = capacity
        base =
            capacity > 0
            ? UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 16) : nil
    }

    deinit { base?.deallocate() }

    /// Bytes held and not yet consumed.
    @inlinable public var count: Int { end &- start }

    /// Whether nothing is held.
    @inlinable public var isEmpty: Bool { end == start }

    /// Bytes of memory the buffer keeps.
    @inlinable public var capacity: Int { capacityBytes }

    /// The byte at `index`, 0 being the first one not yet consumed.
    ///
    /// Traps when out of bounds.
    @inlinable
    public subscript(index: Int) -> UInt8 {
        precondition(index >= 0 && index < count)
        return base.unsafelyUnwrapped.load(fromByteOffset: start &+ index, as: UInt8.self)
    }

    /// Appends one byte.
    @inlinable
    public func append(_ byte: UInt8) {
        reserve(1)
        base.unsafelyUnwrapped.storeBytes(of: byte, toByteOffset: end, as: UInt8.self)
        end &+= 1
    }

    /// Appends a copy of `bytes`.
    public func append(_ bytes: Span<UInt8>) {
        bytes.withUnsafeBytes { copy($0) }
    }

    /// Appends the bytes of a literal.
    public func append(_ literal: StaticString) {
        copy(
            UnsafeRawBufferPointer(start: literal.utf8Start, count: literal.utf8CodeUnitCount)
        )
    }

    /// Appends CR and LF.
    @inlinable
    public func appendLineEnd() {
        reserve(2)
        let bytes = UInt16(littleEndian: 0x0A0D)
        base.unsafelyUnwrapped.storeBytes(of: bytes, toByteOffset: end, as: UInt16.self)
        end &+= 2
    }

    /// Appends `name: value` and CR LF.
    public func appendLine(name: Span<UInt8>, value: Span<UInt8>) {
        let nameCount = name.count
        let valueCount = value.count
        reserve(nameCount + valueCount + 4)
        var target = base.unsafelyUnwrapped + end
        name.withUnsafeBytes { name in
            if let source = name.baseAddress {
                target.copyMemory(from: source, byteCount: nameCount)
            }
        }
        target += nameCount
        target.storeBytes(of: UInt16(littleEndian: 0x203A), as: UInt16.self)
        target += 2
        value.withUnsafeBytes { value in
            if let source = value.baseAddress {
                target.copyMemory(from: source, byteCount: valueCount)
            }
        }
        (target + valueCount).storeBytes(of: UInt16(littleEndian: 0x0A0D), as: UInt16.self)
        end &+= nameCount &+ valueCount &+ 4
    }

    /// Appends a copy of an array.
    ///
    /// Not for the request path.
    public func append(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { append(rawBytes: $0) }
    }

    /// Appends the UTF-8 of a string.
    ///
    /// Not for the request path.
    public func append(_ string: String) {
        var string = string
        string.withUTF8 { append(rawBytes: UnsafeRawBufferPointer($0)) }
    }

    /// Appends what another buffer holds; that buffer keeps it.
    public func append(_ other: ByteBuffer) {
        precondition(other !== self)
        copy(other.readable)
    }

    /// Appends bytes `range` of another buffer.
    public func append(_ other: ByteBuffer, _ range: Range<Int>) {
        precondition(other !== self)
        precondition(range.lowerBound >= 0 && range.upperBound <= other.count)
        copy(UnsafeRawBufferPointer(rebasing: other.readable[range]))
    }

    /// Appends `value` in decimal.
    public func append(decimal value: UInt64) {
        reserve(20)
        var count = 1
        var bound: UInt64 = 10
        while value >= bound, count < 20 {
            count &+= 1
            bound = count == 20 ? .max : bound &* 10
        }
        // From the last digit to the first, so that all divisions are by a constant.
        let target = base.unsafelyUnwrapped + end
        var rest = value
        var index = count
        while index > 0 {
            index &-= 1
            let (quotient, digit) = rest.quotientAndRemainder(dividingBy: 10)
            target.storeBytes(
                of: UInt8(truncatingIfNeeded: 48 &+ digit),
                toByteOffset: index,
                as: UInt8.self
            )
            rest = quotient
        }
        end &+= count
    }

    /// Appends `value` in lower-case hexadecimal without leading zeros.
    public func append(hex value: UInt64) {
        let digits = value == 0 ? 1 : (67 - value.leadingZeroBitCount) / 4
        append(hex: value, digits: digits)
    }

    /// Appends the lowest `digits` (1...16) hexadecimal digits of `value`, with leading zeros.
    public func append(hex value: UInt64, digits: Int) {
        precondition(digits >= 1 && digits <= 16)
        reserve(digits)
        let target = base.unsafelyUnwrapped
        var shift = UInt64(digits - 1) * 4
        for _ in 0..<digits {
            let nibble = UInt8(truncatingIfNeeded: (value >> shift) & 0xF)
            target.storeBytes(
                of: nibble < 10 ? 48 + nibble : 87 + nibble,
                toByteOffset: end,
                as: UInt8.self
            )
            end += 1
            shift = shift &- 4
        }
    }

    /// Overwrites the byte at `index`.
    ///
    /// Traps when out of bounds.
    public func set(_ byte: UInt8, at index: Int) {
        precondition(index >= 0 && index < end - start)
        base.unsafelyUnwrapped.storeBytes(of: byte, toByteOffset: start + index, as: UInt8.self)
    }

    /// Overwrites the bytes from `index` on by `bytes`.
    ///
    /// Traps when out of bounds.
    public func set(_ bytes: Span<UInt8>, at index: Int) {
        let count = bytes.count
        precondition(index >= 0 && index <= end &- start && count <= end &- start &- index)
        guard count > 0 else { return }
        let target = base.unsafelyUnwrapped + (start &+ index)
        bytes.withUnsafeBytes { bytes in
            guard let source = bytes.baseAddress else { return }
            // It may be this buffer's own.
            target.copyMemory(from: source, byteCount: count)
        }
    }

    /// Drops the first `bytes` bytes.
    @inlinable
    public func consume(_ bytes: Int) {
        precondition(bytes >= 0 && bytes <= count)
        start &+= bytes
        if start == end {
            start = 0
            end = 0
        }
    }

    /// Drops bytes from the end so that `count` bytes remain.
    public func truncate(to count: Int) {
        precondition(count >= 0 && count <= end - start)
        end = start + count
    }

    /// Drops everything and keeps the memory.
    @inlinable
    public func clear() {
        start = 0
        end = 0
    }

    /// Drops everything and gives the memory back.
    public func release() {
        clear()
        base?.deallocate()
        base = nil
        capacityBytes = 0
    }

    /// Lends all held bytes.
    ///
    /// Inlined into other modules, as an unspecialised generic with a closure costs 70 instructions
    /// a call, and the fields of a head are read through here.
    @inlinable
    public func withSpan<R, E: Error>(_ body: (Span<UInt8>) throws(E) -> R) throws(E) -> R {
        let count = count
        return try body(Span(_unsafeStart: start(of: 0..<count), count: count))
    }

    /// Lends the bytes of `range`.
    ///
    /// Traps when out of bounds.
    @inlinable
    public func withSpan<R, E: Error>(
        _ range: Range<Int>,
        _ body: (Span<UInt8>) throws(E) -> R
    ) throws(E) -> R {
        try body(Span(_unsafeStart: start(of: range), count: range.count))
    }

    /// Where the bytes of `range` begin.
    ///
    /// Traps when out of bounds.
    @inlinable
    func start(of range: Range<Int>) -> UnsafePointer<UInt8> {
        precondition(range.lowerBound >= 0 && range.upperBound <= count)
        guard let base else { return emptyBytes }
        return UnsafePointer(
            (base + (start &+ range.lowerBound)).assumingMemoryBound(to: UInt8.self)
        )
    }

    /// Lends all held bytes as a pointer, for system calls and C codecs.
    ///
    /// Only modules without strict memory safety may call it.
    @unsafe @inlinable
    public func withUnsafeBytes<R, E: Error>(
        _ body: (UnsafeRawBufferPointer) throws(E) -> R
    ) throws(E) -> R {
        try body(readable)
    }

    /// Makes room for at least `minimum` bytes, lends the free space, and keeps as many bytes as
    /// `body` says it wrote.
    @unsafe @inlinable
    public func appendUnsafe<E: Error>(
        minimum: Int,
        _ body: (UnsafeMutableRawBufferPointer) throws(E) -> Int
    ) throws(E) -> Int {
        reserve(minimum)
        let free = UnsafeMutableRawBufferPointer(
            start: base.unsafelyUnwrapped + end,
            count: capacityBytes &- end
        )
        let written = try body(free)
        precondition(written >= 0 && written <= free.count)
        end &+= written
        return written
    }

    /// Appends a copy of raw bytes that must not overlap this buffer.
    @unsafe
    public func append(rawBytes: UnsafeRawBufferPointer) { copy(rawBytes) }

    @inline(__always)
    private func copy(_ bytes: UnsafeRawBufferPointer) {
        let count = bytes.count
        guard count > 0, let source = bytes.baseAddress else { return }
        reserve(count)
        (base.unsafelyUnwrapped + end).copyMemory(from: source, byteCount: count)
        end &+= count
    }

    /// What is held, as a `String`; invalid UTF-8 is repaired.
    ///
    /// For tests and logs.
    public var string: String { String(decoding: readable, as: UTF8.self) }

    /// What is held, as an array.
    ///
    /// For tests and the control path.
    public var array: [UInt8] { Array(readable) }

    @inlinable
    var readable: UnsafeRawBufferPointer {
        guard let base else { return UnsafeRawBufferPointer(start: nil, count: 0) }
        return UnsafeRawBufferPointer(start: base + start, count: end &- start)
    }

    /// Makes room for `more` bytes after `end`: by moving what is held to the front when at least
    /// half of the block is free there, else by doubling.
    @inlinable
    func reserve(_ more: Int) {
        if capacityBytes &- end >= more { return }
        grow(more)
    }

    @usableFromInline @inline(never)
    func grow(_ more: Int) {
        let held = end - start
        if let base, capacityBytes - held >= more, start >= capacityBytes / 2 {
            base.copyMemory(from: base + start, byteCount: held)
        } else {
            let wanted = max(capacityBytes * 2, held + more, 256)
            let block = UnsafeMutableRawPointer.allocate(byteCount: wanted, alignment: 16)
            if let base {
                block.copyMemory(from: base + start, byteCount: held)
                base.deallocate()
            }
            base = block
            capacityBytes = wanted
        }
        start = 0
        end = held
    }
}

/// What an empty span points at: `Span` wants a non-nil start.
@usableFromInline nonisolated(unsafe) let emptyBytes: UnsafePointer<UInt8> = {
    let byte = UnsafeMutablePointer<UInt8>.allocate(capacity: 1)
    byte.initialize(to: 0)
    return UnsafePointer(byte)
}()
