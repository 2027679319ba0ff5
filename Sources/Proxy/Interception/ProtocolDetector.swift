// What a connection's first bytes say: a pure state machine, told bytes, asked for a verdict.
//
// The rule is narrow on purpose. HTTP taken for opaque bytes still arrives where it was sent; opaque
// bytes taken for HTTP are answered with an error. So HTTP is only what can hardly be anything else:
//
// - the whole preface of HTTP/2 (RFC 9113 §3.4), 24 bytes
// - a method in capitals, a space, and the start of a request target (RFC 9112 §3): `/`, `* `, or
//   `http` in any case; what follows CONNECT has no such form and passes
//
// A ClientHello of TLS, NUL bytes of a database and everything else is opaque at its first byte that
// does not fit.

/// Tells HTTP of either version from other bytes.
struct ProtocolDetector {
    enum Verdict: Equatable {
        /// All bytes so far fit HTTP, and more are needed.
        case undecided
        case http1, http2
        case opaque
    }

    private enum Part: Equatable {
        case method
        /// Behind the method: this many bytes of the target have come.
        case target(Int)
        /// This many bytes of HTTP/2's preface have come.
        case preface(Int)
        case decided
    }

    /// Registered methods have at most 17 characters (IANA: UPDATEREDIRECTREF).
    static let methodBytesMax = 24
    private static let preface: [UInt8] = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)
    private static let scheme: [UInt8] = Array("http".utf8)
    private static let connect: [UInt8] = Array("CONNECT".utf8)

    private var part = Part.method
    private var methodBytes = 0
    private var mayBePreface = true
    private var mayBeConnect = true
    private var startsWithStar = false
    private(set) var verdict = Verdict.undecided

    /// Takes the next bytes; after a verdict nothing more is looked at.
    mutating func take(_ bytes: Span<UInt8>) -> Verdict {
        var index = 0
        while index < bytes.count, verdict == .undecided {
            take(bytes[index])
            index += 1
        }
        return verdict
    }

    private mutating func take(_ byte: UInt8) {
        switch part {
        case .method: takeMethod(byte)
        case .target(let count): takeTarget(byte, count)
        case .preface(let count):
            guard byte == Self.preface[count] else { return decide(.opaque) }
            part = .preface(count + 1)
            if count + 1 == Self.preface.count { decide(.http2) }
        case .decided: break
        }
    }

    private mutating func takeMethod(_ byte: UInt8) {
        if byte == 0x20 {
            guard methodBytes > 0 else { return decide(.opaque) }
            mayBeConnect = mayBeConnect && methodBytes == Self.connect.count
            // PRI is reserved and never a method (RFC 9113 §3.4).
            mayBePreface = mayBePreface && methodBytes == 3
            if mayBePreface {
                part = .preface(4)
            } else if mayBeConnect {
                decide(.http1)
            } else {
                part = .target(0)
            }
            return
        }
        guard Self.isMethod(byte), methodBytes < Self.methodBytesMax else {
            return decide(.opaque)
        }
        if methodBytes >= 3 || byte != Self.preface[methodBytes] { mayBePreface = false }
        if methodBytes >= Self.connect.count || byte != Self.connect[methodBytes] {
            mayBeConnect = false
        }
        methodBytes += 1
    }

    private mutating func takeTarget(_ byte: UInt8, _ count: Int) {
        if startsWithStar { return decide(byte == 0x20 ? .http1 : .opaque) }
        if count == 0, byte == UInt8(ascii: "/") { return decide(.http1) }
        if count == 0, byte == UInt8(ascii: "*") {
            startsWithStar = true
            return
        }
        guard byte | 0x20 == Self.scheme[count] else { return decide(.opaque) }
        part = .target(count + 1)
        if count + 1 == Self.scheme.count { decide(.http1) }
    }

    /// Of the characters of a token (RFC 9110 §5.6.2) those that methods have; `*3` and `$5` of Redis
    /// are tokens too.
    private static func isMethod(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
            || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_")
    }

    private mutating func decide(_ verdict: Verdict) {
        self.verdict = verdict
        part = .decided
    }

    /// Whether a server's first bytes are those of one that speaks HTTP: an answer nobody asked for
    /// (408 to a silent caller) or the SETTINGS that begin HTTP/2 (RFC 9113 §3.4).
    ///
    /// Such a connection is opaque, and its destination not.
    static func isHTTPServer(_ bytes: Span<UInt8>) -> Bool {
        let status = scheme
        if bytes.count >= 5 {
            var matches = true
            for index in 0..<4 where bytes[index] | 0x20 != status[index] { matches = false }
            if matches, bytes[4] == UInt8(ascii: "/") { return true }
        }
        guard bytes.count >= 9, bytes[3] == 4, bytes[4] == 0 else { return false }
        let length = Int(bytes[0]) << 16 | Int(bytes[1]) << 8 | Int(bytes[2])
        return length % 6 == 0 && bytes[5] | bytes[6] | bytes[7] | bytes[8] == 0
    }
}
