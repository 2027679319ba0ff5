// IP literals in pure Swift. `inet_pton` would need a C import in the one module that everything
// shares, and `inet_aton` forms (octal, short) are how address filters get fooled.

enum IPLiteral {
    /// 4 or 16 bytes; nil when `text` is no strict IPv4 or IPv6 literal.
    ///
    /// Zones (`%eth0`) are refused: they name an interface of one machine.
    static func parse(_ text: String) -> [UInt8]? {
        let utf8 = Array(text.utf8)
        guard utf8.count <= 45 else { return nil }
        return utf8.contains(colon) ? parseIPv6(utf8[...]) : parseIPv4(utf8[...])
    }

    /// IPv4 dotted; IPv6 by RFC 5952.
    static func format(_ bytes: [UInt8]) -> String {
        if bytes.count == 4 { return bytes.map(String.init).joined(separator: ".") }
        let groups = stride(from: 0, to: 16, by: 2).map {
            UInt16(bytes[$0]) << 8 | UInt16(bytes[$0 + 1])
        }
        let zeros = longestZeroRun(groups)
        let hex = { (part: ArraySlice<UInt16>) in
            part.map { String($0, radix: 16) }.joined(separator: ":")
        }
        // RFC 5952 §4.2.2: a single zero group is not shortened.
        guard zeros.count >= 2 else { return hex(groups[...]) }
        return hex(groups[..<zeros.lowerBound]) + "::" + hex(groups[zeros.upperBound...])
    }

    /// Four decimal octets without leading zeros: `010` is octal to some parsers.
    private static func parseIPv4(_ text: ArraySlice<UInt8>) -> [UInt8]? {
        let parts = text.split(separator: dot, omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var bytes: [UInt8] = []
        for part in parts {
            guard (1...3).contains(part.count), part.count == 1 || part.first != zero else {
                return nil
            }
            var value = 0
            for digit in part {
                guard (zero...UInt8(ascii: "9")).contains(digit) else { return nil }
                value = value * 10 + Int(digit - zero)
            }
            guard let byte = UInt8(exactly: value) else { return nil }
            bytes.append(byte)
        }
        return bytes
    }

    /// RFC 4291 §2.2: eight groups, one `::`, an IPv4 tail.
    private static func parseIPv6(_ text: ArraySlice<UInt8>) -> [UInt8]? {
        guard let gap = firstGap(text) else {
            guard let bytes = parseGroups(text), bytes.count == 16 else { return nil }
            return bytes
        }
        let head = text[..<gap]
        let tail = text[(gap + 2)...]
        guard firstGap(tail) == nil,
            let before = head.isEmpty ? [] : parseGroups(head), !head.contains(dot),
            let after = tail.isEmpty ? [] : parseGroups(tail),
            before.count + after.count <= 14  // `::` stands for at least one group
        else { return nil }
        return before + [UInt8](repeating: 0, count: 16 - before.count - after.count) + after
    }

    private static func firstGap(_ text: ArraySlice<UInt8>) -> Int? {
        text.indices.dropLast().first { text[$0] == colon && text[$0 + 1] == colon }
    }

    private static func parseGroups(_ text: ArraySlice<UInt8>) -> [UInt8]? {
        let parts = text.split(separator: colon, omittingEmptySubsequences: false)
        guard parts.count <= 8 else { return nil }
        var bytes: [UInt8] = []
        for (index, part) in parts.enumerated() {
            if index == parts.count - 1, part.contains(dot) {
                guard let tail = parseIPv4(part) else { return nil }
                bytes += tail
            } else {
                guard (1...4).contains(part.count) else { return nil }
                var value: UInt16 = 0
                for digit in part {
                    guard let nibble = hexadecimalValue(digit) else { return nil }
                    value = value << 4 | UInt16(nibble)
                }
                bytes += [UInt8(value >> 8), UInt8(truncatingIfNeeded: value)]
            }
        }
        return bytes
    }

    private static func longestZeroRun(_ groups: [UInt16]) -> Range<Int> {
        var best = 0..<0
        var start = 0
        for index in groups.indices {
            if groups[index] != 0 {
                start = index + 1
            } else if index + 1 - start > best.count {
                best = start..<(index + 1)
            }
        }
        return best
    }

    private static let dot = UInt8(ascii: ".")
    private static let colon = UInt8(ascii: ":")
    private static let zero = UInt8(ascii: "0")
}

/// The value of an ASCII hexadecimal digit.
func hexadecimalValue(_ digit: UInt8) -> UInt8? {
    switch digit {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): digit - UInt8(ascii: "A") + 10
    default: nil
    }
}
