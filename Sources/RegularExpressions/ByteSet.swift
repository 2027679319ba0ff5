/// A set of byte values: 256 bits.
struct ByteSet: Hashable, Sendable {
    private var a: UInt64 = 0
    private var b: UInt64 = 0
    private var c: UInt64 = 0
    private var d: UInt64 = 0

    /// The empty set.
    init() {}

    init(_ byte: UInt8) { insert(byte) }

    init(_ range: ClosedRange<UInt8>) { insert(range) }

    init(_ bytes: String.UTF8View) { for byte in bytes { insert(byte) } }

    var isEmpty: Bool { a | b | c | d == 0 }

    var count: Int {
        a.nonzeroBitCount + b.nonzeroBitCount + c.nonzeroBitCount + d.nonzeroBitCount
    }

    func contains(_ byte: UInt8) -> Bool {
        let bit: UInt64 = 1 &<< UInt64(byte & 63)
        return switch byte >> 6 {
        case 0: a & bit != 0
        case 1: b & bit != 0
        case 2: c & bit != 0
        default: d & bit != 0
        }
    }

    /// The bytes in it, ascending.
    var members: ContiguousArray<UInt8> {
        var bytes: ContiguousArray<UInt8> = []
        for (word, start) in [(a, 0), (b, 64), (c, 128), (d, 192)] {
            var rest = word
            while rest != 0 {
                bytes.append(UInt8(start + rest.trailingZeroBitCount))
                rest &= rest - 1
            }
        }
        return bytes
    }

    mutating func insert(_ byte: UInt8) {
        let bit: UInt64 = 1 &<< UInt64(byte & 63)
        switch byte >> 6 {
        case 0: a |= bit
        case 1: b |= bit
        case 2: c |= bit
        default: d |= bit
        }
    }

    mutating func insert(_ range: ClosedRange<UInt8>) { for byte in range { insert(byte) } }

    mutating func formUnion(_ other: ByteSet) {
        a |= other.a
        b |= other.b
        c |= other.c
        d |= other.d
    }

    /// All other bytes.
    var complement: ByteSet {
        var result = self
        result.a = ~a
        result.b = ~b
        result.c = ~c
        result.d = ~d
        return result
    }

    /// With both cases of each ASCII letter in it.
    var ignoringCase: ByteSet {
        var result = self
        for letter in UInt8(ascii: "a")...UInt8(ascii: "z") {
            let upper = letter - 0x20
            if contains(letter) { result.insert(upper) }
            if contains(upper) { result.insert(letter) }
        }
        return result
    }
}

extension ByteSet {
    static let digits = ByteSet(0x30...0x39)
    static let spaces = ByteSet("\t\n\u{0C}\r ".utf8)
    static let words: ByteSet = named("word") ?? ByteSet()
    static let all = ByteSet(0...255)
    static let allButLineFeed = ByteSet(0x0A).complement

    /// A class by its POSIX name.
    static func named(_ name: String) -> ByteSet? {
        switch name {
        case "alnum": union(0x30...0x39, 0x41...0x5A, 0x61...0x7A)
        case "alpha": union(0x41...0x5A, 0x61...0x7A)
        case "ascii": ByteSet(0...0x7F)
        case "blank": ByteSet("\t ".utf8)
        case "cntrl": union(0...0x1F, 0x7F...0x7F)
        case "digit": digits
        case "graph": ByteSet(0x21...0x7E)
        case "lower": ByteSet(0x61...0x7A)
        case "print": ByteSet(0x20...0x7E)
        case "punct": union(0x21...0x2F, 0x3A...0x40, 0x5B...0x60, 0x7B...0x7E)
        case "space": union(0x09...0x0D, 0x20...0x20)
        case "upper": ByteSet(0x41...0x5A)
        case "word": union(0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x5F...0x5F)
        case "xdigit": union(0x30...0x39, 0x41...0x46, 0x61...0x66)
        default: nil
        }
    }

    private static func union(_ ranges: ClosedRange<UInt8>...) -> ByteSet {
        var set = ByteSet()
        for range in ranges { set.insert(range) }
        return set
    }
}
