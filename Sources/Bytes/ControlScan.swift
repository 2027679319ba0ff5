// One pass that finds the end of a line and proves that nothing unprintable stands before it.
//
// A text protocol's line ends at a control byte (CR), and no control byte but HTAB may stand inside.
// So a search for "the first control byte" does the work of memchr and of a validation loop at once.

extension Span where Element == UInt8 {
    /// The index of the first byte at or after `from` that is a control (0x00...0x1F or 0x7F) other
    /// than HTAB, or nil. Traps when `from` > `count`.
    public func firstControl(from: Int = 0) -> Int? {
        precondition(from >= 0 && from <= count)
        return self.withUnsafeBytes { (raw: UnsafeRawBufferPointer) -> Int? in
            guard let base = raw.baseAddress else { return nil }
            var index = from
            while index &+ 16 <= raw.count {
                let block = base.loadUnaligned(fromByteOffset: index, as: SIMD16<UInt8>.self)
                // Shifted by 0x20 the two ranges of controls become the low end of signed order:
                // a plain "< 0x20" and "== 0x7F" costs one compare more but reads as what it is.
                let hit = ((block .< 0x20) .& (block .!= 0x09)) .| (block .== 0x7F)
                if any(hit) {
                    while !isControl(raw[index]) { index &+= 1 }
                    return index
                }
                index &+= 16
            }
            while index < raw.count {
                if isControl(raw[index]) { return index }
                index &+= 1
            }
            return nil
        }
    }
}

@inline(__always)
private func isControl(_ byte: UInt8) -> Bool {
    (byte < 0x20 && byte != 0x09) || byte == 0x7F
}
