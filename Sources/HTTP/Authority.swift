import Bytes

/// The parts of a `host[:port]` (RFC 9110 §7.2); what is not one has no value.
///
/// User information is refused (RFC 9110 §4.2.4), as is an empty host (§4.2.1). An empty port is the
/// default one (RFC 3986 §3.2.3).
public struct Authority: Equatable, Sendable {
    /// How many bytes at the start are the host, an IPv6 address with its brackets.
    public let hostCount: Int
    /// The port, 1...65,535, when there is one.
    public let port: UInt16?

    /// Splits `bytes`, or gives nil when they are no authority.
    public init?(_ bytes: Span<UInt8>) {
        guard let hostCount = Authority.hostCount(bytes) else { return nil }
        self.hostCount = hostCount
        guard hostCount + 1 < bytes.count else {
            guard hostCount == bytes.count || bytes[hostCount] == UInt8(ascii: ":") else {
                return nil
            }
            port = nil
            return
        }
        guard bytes[hostCount] == UInt8(ascii: ":"), bytes.count - hostCount - 1 <= 5 else {
            return nil
        }
        var number = 0
        for index in hostCount + 1..<bytes.count {
            guard bytes[index] >= 0x30, bytes[index] <= 0x39 else { return nil }
            number = number * 10 + Int(bytes[index] - 0x30)
        }
        guard number > 0, let port = UInt16(exactly: number) else { return nil }
        self.port = port
    }

    /// How many bytes the host at the start of `bytes` has, or nil when there is none.
    private static func hostCount(_ bytes: Span<UInt8>) -> Int? {
        guard !bytes.isEmpty else { return nil }
        if bytes[0] == UInt8(ascii: "[") { return literalCount(bytes) }
        var index = 0
        while let unusual = bytes.firstUnusualInName(from: index) {
            index = unusual + 1
            switch bytes[unusual] {
            case UInt8(ascii: ":"): return unusual > 0 ? unusual : nil
            case UInt8(ascii: "%"):
                guard index + 1 < bytes.count, isHexadecimal(bytes[index]),
                    isHexadecimal(bytes[index + 1])
                else { return nil }
                index += 2
            default: guard isRegisteredName(bytes[unusual]) else { return nil }
            }
        }
        return bytes.count
    }

    /// How many bytes `[…]` has: the shape of an IPv6 address; whoever dials it parses it.
    private static func literalCount(_ bytes: Span<UInt8>) -> Int? {
        guard let close = bytes.firstIndex(of: UInt8(ascii: "]")), close >= 3 else { return nil }
        var hasColon = false
        for index in 1..<close {
            let byte = bytes[index]
            if byte == UInt8(ascii: ":") { hasColon = true }
            guard isHexadecimal(byte) || byte == UInt8(ascii: ":") || byte == UInt8(ascii: ".")
            else { return nil }
        }
        return hasColon ? close + 1 : nil
    }

    /// unreserved and sub-delims of RFC 3986 §3.2.2: a registered name without percent-encoding.
    ///
    /// A set is two words of bits, one for each half of ASCII.
    @inline(__always)
    static func isRegisteredName(_ byte: UInt8) -> Bool {
        let word: UInt64 = byte < 64 ? 0x2BFF_7FD2_0000_0000 : 0x47FF_FFFE_87FF_FFFE
        return byte < 128 && (word &>> UInt64(byte & 63)) & 1 != 0
    }

    @inline(__always)
    private static func isHexadecimal(_ byte: UInt8) -> Bool {
        (byte >= 0x30 && byte <= 0x39) || ((byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x66)
    }
}
