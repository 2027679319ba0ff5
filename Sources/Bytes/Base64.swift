extension ByteBuffer {
    /// Appends `bytes` in Base64 with padding (RFC 4648 §4).
    public func append(base64 bytes: Span<UInt8>) {
        var index = 0
        while index + 2 < bytes.count {
            append(
                group: UInt32(bytes[index]) << 16 | UInt32(bytes[index + 1]) << 8
                    | UInt32(bytes[index + 2]),
                digits: 4
            )
            index += 3
        }
        switch bytes.count - index {
        case 1: append(group: UInt32(bytes[index]) << 16, digits: 2)
        case 2: append(group: UInt32(bytes[index]) << 16 | UInt32(bytes[index + 1]) << 8, digits: 3)
        default: break
        }
    }

    /// Appends four characters for 24 bits: `digits` that say something, then padding.
    private func append(group: UInt32, digits: Int) {
        for digit in 0..<4 {
            append(
                digit < digits
                    ? base64Digit(group >> UInt32(18 - 6 * digit) & 63) : UInt8(ascii: "=")
            )
        }
    }
}

private func base64Digit(_ value: UInt32) -> UInt8 {
    let value = UInt8(truncatingIfNeeded: value)
    return switch value {
    case 0..<26: UInt8(ascii: "A") + value
    case 26..<52: UInt8(ascii: "a") + (value - 26)
    case 52..<62: UInt8(ascii: "0") + (value - 52)
    case 62: UInt8(ascii: "+")
    default: UInt8(ascii: "/")
    }
}
