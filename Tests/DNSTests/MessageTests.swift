import Bytes
import MeshModel
import Testing

@testable import DNS

func name(_ text: String) throws -> DomainName { try #require(DomainName(text)) }

func decode(_ bytes: [UInt8]) throws(DNSMessageError) -> DNSMessage {
    try DNSMessage(bytes.span)
}

func address(_ text: String) throws -> IPAddress { try #require(IPAddress(text)) }

/// A header by hand: id 0x1234, flags, counts.
private func header(_ counts: [UInt8], flags: [UInt8] = [0x81, 0x80]) -> [UInt8] {
    [0x12, 0x34] + flags + counts.flatMap { [0, $0] }
}

private let labelA: [UInt8] = [1, 0x61]
private let question: [UInt8] = labelA + [0, 0, 1, 0, 1]

struct MessageTests {
    static func sample() throws -> DNSMessage {
        let asked = try name("web.example.com")
        return DNSMessage(
            header: DNSHeader(id: 0xBEEF, flags: 0x8180),
            questions: [DNSQuestion(name: asked, type: .a)],
            answers: [
                DNSRecord(
                    name: asked,
                    type: .cname,
                    timeToLive: 300,
                    data: .alias(try name("cdn.example.net"))
                ),
                DNSRecord(
                    name: try name("cdn.example.net"),
                    type: .a,
                    timeToLive: 60,
                    data: .address(try address("192.0.2.7"))
                ),
                DNSRecord(
                    name: try name("cdn.example.net"),
                    type: .aaaa,
                    timeToLive: 0,
                    data: .address(try address("2001:db8::7"))
                ),
            ],
            authorities: [
                DNSRecord(
                    name: try name("example.net"),
                    type: .soa,
                    timeToLive: 900,
                    data: .zone(
                        primary: try name("ns.example.net"),
                        mailbox: try name("admin.example.net"),
                        minimum: 30
                    )
                )
            ],
            additionals: [
                DNSRecord(name: asked, type: RecordType(number: 16), timeToLive: 1, data: .other)
            ],
            extended: ExtendedDNS(datagramBytes: 1_232, responseCodeHigh: 1, version: 0)
        )
    }

    @Test("a message survives encoding and decoding")
    func roundTrip() throws {
        let message = try Self.sample()
        #expect(try decode(message.encoded) == message)
        #expect(message.responseCode == .badVersion)
    }

    @Test("a message cut anywhere is an error, and so is one with a byte more")
    func everyLength() throws {
        let bytes = try Self.sample().encoded
        for length in bytes.indices {
            #expect(throws: DNSMessageError.self, "\(length)") {
                _ = try decode(Array(bytes[..<length]))
            }
        }
        #expect(throws: DNSMessageError.trailingBytes) { _ = try decode((bytes + [0])) }
    }

    @Test("a name is read through pointers to earlier names (RFC 1035 §4.1.4)")
    func compression() throws {
        // The question a.bc; then x → bc at 14, as an alias of a.bc at 12.
        let bytes =
            header([1, 1, 0, 0]) + [1, 0x61, 2, 0x62, 0x63, 0, 0, 1, 0, 1]
            + [0xC0, 12, 0, 5, 0, 1, 0, 0, 0, 9, 0, 4, 1, 0x78, 0xC0, 14]
        let message = try decode(bytes)
        #expect(message.answers[0].name == (try name("a.bc")))
        #expect(message.answers[0].data == .alias(try name("x.bc")))
    }

    @Test("case is kept and does not count (RFC 4343)")
    func letterCase() throws {
        let mixed = try name("WeB.Example.COM")
        #expect(mixed == (try name("web.example.com.")))
        #expect(mixed.hashValue == (try name("web.example.com")).hashValue)
        #expect(mixed.description == "WeB.Example.COM")
    }

    static let malformedCases: [(String, [UInt8], DNSMessageError)] = [
        ("nothing", [], .endsEarly),
        ("half a header", [0x12, 0x34, 0x81], .endsEarly),
        ("a question that is not there", header([1, 0, 0, 0]), .endsEarly),
        (
            "a pointer to itself", header([1, 0, 0, 0]) + [0xC0, 12, 0, 1, 0, 1],
            .pointerNotBackwards
        ),
        (
            "a pointer forwards", header([1, 0, 0, 0]) + [0xC0, 14, 0, 0, 0, 1],
            .pointerNotBackwards
        ),
        (
            "a pointer into the header", header([1, 0, 0, 0]) + [0xC0, 4, 0, 1, 0, 1],
            .pointerNotBackwards
        ),
        (
            "two pointers at each other",
            header([2, 0, 0, 0]) + [0xC0, 18, 0, 1, 0, 1, 0xC0, 12, 0, 1, 0, 1],
            .pointerNotBackwards
        ),
        (
            "labels that run into their own pointer",
            header([1, 0, 0, 0]) + [1, 0x61, 0xC0, 12, 0, 1, 0, 1], .pointerNotBackwards
        ),
        (
            "labels at a pointer's target that run into the pointer",
            header([1, 1, 0, 0]) + [1, 0x61, 0, 0, 1, 9, 1] + [0xC0, 17], .pointerNotBackwards
        ),
        ("half a pointer", header([1, 0, 0, 0]) + [0xC0], .endsEarly),
        (
            "a label of the reserved kind 01", header([1, 0, 0, 0]) + [0x41, 0, 0, 1, 0, 1],
            .reservedLabel
        ),
        (
            "a label of the reserved kind 10", header([1, 0, 0, 0]) + [0x81, 0, 0, 1, 0, 1],
            .reservedLabel
        ),
        (
            "a name of 256 bytes",
            header([1, 0, 0, 0])
                + (0..<3).flatMap { _ in [63] + [UInt8](repeating: 0x61, count: 63) }
                + [62] + [UInt8](repeating: 0x61, count: 62) + [1, 0x62, 0, 0, 1, 0, 1],
            .nameTooLong
        ),
        (
            "counts no message can have", header([1, 0, 0, 0]).dropLast(2) + [0xFF, 0xFF],
            .tooManyRecords
        ),
        (
            "an A record of five bytes",
            header([0, 1, 0, 0]) + [0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 5, 1, 2, 3, 4, 5],
            .badAddressLength
        ),
        (
            "an AAAA record of four bytes",
            header([0, 1, 0, 0]) + [0, 0, 28, 0, 1, 0, 0, 0, 0, 0, 4, 1, 2, 3, 4],
            .badAddressLength
        ),
        (
            "an alias shorter than its data",
            header([0, 1, 0, 0]) + [0, 0, 5, 0, 1, 0, 0, 0, 0, 0, 4, 1, 0x61, 0, 9],
            .badDataLength
        ),
        (
            "an alias longer than its data",
            header([0, 1, 0, 0]) + [0, 0, 5, 0, 1, 0, 0, 0, 0, 0, 2, 1, 0x61, 0],
            .badDataLength
        ),
        (
            "an SOA cut in its numbers",
            header([0, 0, 1, 0]) + [0, 0, 6, 0, 1, 0, 0, 0, 0, 0, 4, 0, 0, 1, 2], .badDataLength
        ),
        (
            "data past the message",
            header([0, 1, 0, 0]) + [0, 0, 16, 0, 1, 0, 0, 0, 0, 0, 9, 1], .endsEarly
        ),
        (
            "an OPT record as an answer",
            header([0, 1, 0, 0]) + [0, 0, 41, 4, 0xD0, 0, 0, 0, 0, 0, 0], .misplacedOption
        ),
        (
            "an OPT record that is not at the root",
            header([0, 0, 0, 1]) + labelA + [0, 0, 41, 4, 0xD0, 0, 0, 0, 0, 0, 0],
            .misplacedOption
        ),
        (
            "two OPT records",
            header([0, 0, 0, 2]) + [0, 0, 41, 4, 0xD0, 0, 0, 0, 0, 0, 0]
                + [0, 0, 41, 4, 0xD0, 0, 0, 0, 0, 0, 0], .misplacedOption
        ),
    ]

    @Test("what breaks a rule is named", arguments: malformedCases.indices)
    func malformed(_ index: Int) throws {
        let (what, bytes, expected) = Self.malformedCases[index]
        #expect(throws: expected, "\(what)") { _ = try decode(bytes) }
    }

    @Test("a chain of pointers is followed to its bound and no further")
    func manyPointers() throws {
        // The root at 12, then pointers each to the one before.
        func message(_ pointers: Int) -> [UInt8] {
            var bytes = header([1, 0, 0, 0]) + [0, 0, 1, 0, 1]
            var data: [UInt8] = []
            var target = 12
            // The data of a record of unknown type holds the chain.
            let start = 12 + 5 + 11
            for index in 0..<pointers {
                data += [0xC0 | UInt8(target >> 8), UInt8(target & 0xFF)]
                target = start + index * 2
            }
            bytes[7] = 2
            bytes += [0, 0, 16, 0, 1, 0, 0, 0, 0, UInt8(data.count >> 8), UInt8(data.count & 0xFF)]
            bytes += data
            bytes += [0xC0 | UInt8(target >> 8), UInt8(target & 0xFF)]
            return bytes + [0, 16, 0, 1, 0, 0, 0, 0, 0, 0]
        }
        let within = try decode(message(DNSLimits.pointersMax - 1))
        #expect(within.answers[1].name == .root)
        #expect(throws: DNSMessageError.tooManyPointers) {
            _ = try decode(message(DNSLimits.pointersMax))
        }
    }

    @Test("a TTL with its sign bit is zero (RFC 2181 §8)")
    func negativeTimeToLive() throws {
        let bytes = header([0, 1, 0, 0]) + [0, 0, 1, 0, 1, 0x80, 0, 0, 9, 0, 4, 1, 2, 3, 4]
        #expect(try decode(bytes).answers[0].timeToLive == 0)
    }

    @Test("an address of another class is no address")
    func otherClass() throws {
        let bytes = header([0, 1, 0, 0]) + [0, 0, 1, 0, 3, 0, 0, 0, 9, 0, 2, 1, 2]
        #expect(try decode(bytes).answers[0].data == .other)
    }

    @Test("random damage to a message never traps")
    func damage() throws {
        let bytes = try Self.sample().encoded
        var random = SystemRandomNumberGenerator()
        for _ in 0..<20_000 {
            var damaged = bytes
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                damaged[Int.random(in: bytes.indices, using: &random)] = .random(
                    in: 0...255,
                    using: &random
                )
            }
            guard let message = try? decode(damaged) else { continue }
            // Unknown data is not kept, so what is written is shorter, and reads the same.
            #expect(try decode(message.encoded).questions == message.questions)
        }
    }
}

struct DomainNameTests {
    @Test("labels of 63 bytes and names of 255 are the longest (RFC 1035 §2.3.4)")
    func lengths() throws {
        let label = String(repeating: "a", count: 63)
        #expect(DomainName(label) != nil)
        #expect(DomainName(label + "a") == nil)
        let longest = [label, label, label, String(repeating: "a", count: 61)].joined(
            separator: "."
        )
        #expect(try name(longest).wire.count == 255)
        #expect(DomainName(longest + "a") == nil)
        #expect(try name(longest).appending(try name("b")) == nil)
    }

    @Test(
        "what is no host name is refused",
        arguments: ["", ".", "a..b", ".a", "a b", "a/b", "a\u{e9}", "*.a", "a..", "\0"]
    )
    func refused(_ text: String) { #expect(DomainName(text) == nil) }

    @Test("a name below a domain is within it, one that only ends alike is not")
    func within() throws {
        #expect(try name("a.B.c").isWithin(try name("b.C")))
        #expect(try name("b.c").isWithin(try name("b.c")))
        #expect(try !name("ab.c").isWithin(try name("b.c")))
        #expect(try name("b.c").isWithin(.root))
    }

    @Test("bytes that are no host characters are shown escaped (RFC 1035 §5.1)")
    func escapes() throws {
        #expect(DomainName(checked: [3, 0x61, 0x2E, 7, 0]).description == "a\\046\\007")
        #expect(DomainName.root.description == ".")
    }
}
