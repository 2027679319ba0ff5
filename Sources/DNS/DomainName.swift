/// A domain name in wire form: length-prefixed labels, the empty one last.
///
/// A value that exists is within the bounds of RFC 1035 §2.3.4. Case is kept and does not count when
/// names are compared (RFC 4343).
public struct DomainName: Sendable, Hashable {
    /// As it came, with the root's zero at the end.
    public let wire: [UInt8]
    private let folded: [UInt8]

    /// The root.
    public static let root = DomainName(checked: [0])

    /// Reads `orders.default` or `orders.default.`; nil when it is no host name.
    ///
    /// Letters, digits, `-` and `_` make a label.
    public init?(_ text: String) {
        var utf8 = Array(text.utf8)
        if utf8.last == UInt8(ascii: ".") { utf8.removeLast() }
        guard !utf8.isEmpty else { return nil }
        var wire: [UInt8] = []
        for label in utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false) {
            guard (1...DNSLimits.labelBytesMax).contains(label.count),
                label.allSatisfy(Self.isHostCharacter)
            else { return nil }
            wire.append(UInt8(label.count))
            wire += label
        }
        wire.append(0)
        guard wire.count <= DNSLimits.nameBytesMax else { return nil }
        self.init(checked: wire)
    }

    /// Labels that a decoder has checked, with the root's zero.
    init(checked wire: [UInt8]) {
        assert(wire.count <= DNSLimits.nameBytesMax && wire.last == 0)
        self.wire = wire
        // A length is at most 63, below every letter: folding all bytes alike changes none.
        folded = wire.map { (0x41...0x5A).contains($0) ? $0 | 0x20 : $0 }
    }

    /// Whether they name the same.
    public static func == (left: DomainName, right: DomainName) -> Bool {
        left.folded == right.folded
    }

    /// Hashes the name without its case.
    public func hash(into hasher: inout Hasher) { hasher.combine(folded) }

    /// This name below `domain`; nil when that is too long.
    public func appending(_ domain: DomainName) -> DomainName? {
        let joined = wire.dropLast() + domain.wire
        return joined.count <= DNSLimits.nameBytesMax ? DomainName(checked: Array(joined)) : nil
    }

    /// Whether it is `domain` or lies below it.
    public func isWithin(_ domain: DomainName) -> Bool {
        var index = 0
        while index < folded.count {
            if folded[index...].elementsEqual(domain.folded) { return true }
            index += 1 + Int(folded[index])
        }
        return false
    }

    private static func isHostCharacter(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
            true
        default: false
        }
    }
}

extension DomainName: CustomStringConvertible {
    /// `orders.default`, other bytes escaped as in RFC 1035 §5.1; the root is `.`.
    public var description: String {
        var labels: [String] = []
        var index = 0
        while index < wire.count, wire[index] > 0 {
            let length = Int(wire[index])
            labels.append(wire[(index + 1)..<(index + 1 + length)].map(Self.shown).joined())
            index += 1 + length
        }
        return labels.isEmpty ? "." : labels.joined(separator: ".")
    }

    private static func shown(_ byte: UInt8) -> String {
        if isHostCharacter(byte) { return String(Unicode.Scalar(byte)) }
        let digits = String(byte)
        return "\\" + String(repeating: "0", count: 3 - digits.count) + digits
    }
}
