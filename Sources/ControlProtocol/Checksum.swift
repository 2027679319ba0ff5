/// FNV-1a over 64 bits, written as 16 lower-case hex digits.
///
/// It guards against mix-ups and damaged files. It is no defence against an attacker: on the wire
/// TLS authenticates, and whoever can write a proxy's files owns that proxy.
public struct Checksum: Sendable, Hashable, CustomStringConvertible {
    /// The digest.
    public let value: UInt64

    /// The digest of `text`'s UTF-8.
    public init(of text: String) {
        var value = Self.offsetBasis
        for byte in text.utf8 { value = (value ^ UInt64(byte)) &* Self.prime }
        self.value = value
    }

    /// Nil unless `digits` is exactly 16 lower-case hex digits.
    public init?(_ digits: String) {
        guard digits.utf8.count == 16 else { return nil }
        var value: UInt64 = 0
        for byte in digits.utf8 {
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"):
                value = value << 4 | UInt64(byte - UInt8(ascii: "0"))
            case UInt8(ascii: "a")...UInt8(ascii: "f"):
                value = value << 4 | UInt64(byte - UInt8(ascii: "a") + 10)
            default: return nil
            }
        }
        self.value = value
    }

    /// 16 hex digits.
    public var description: String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 16 - digits.utf8.count) + digits
    }

    /// Both from draft-eastlake-fnv §5.
    private static let offsetBasis: UInt64 = 0xcbf2_9ce4_8422_2325
    private static let prime: UInt64 = 0x0000_0100_0000_01b3
}
