import MeshModel
import Testing

@Suite struct DurationTextTests {
    @Test(
        "Gateway API durations are read and written in their shortest form (GEP-2257)",
        arguments: [
            ("1h", 3_600_000, "1h"), ("1h30m", 5_400_000, "1h30m"), ("500ms", 500, "500ms"),
            ("0s", 0, "0s"), ("0h0m0s0ms", 0, "0s"), ("90s", 90_000, "1m30s"),
            ("1s1500ms", 2_500, "2s500ms"), ("10ms5h", 18_000_010, "5h10ms"),
            ("99999h", 359_996_400_000, "99999h"), ("00010s", 10_000, "10s"),
        ]
    )
    func good(text: String, milliseconds: Int64, canonical: String) throws {
        let duration = try #require(Duration(gatewayText: text))
        #expect(duration == .milliseconds(milliseconds))
        #expect(duration.gatewayText == canonical)
        #expect(Duration(gatewayText: canonical) == duration)
    }

    @Test(
        "What is no Gateway API duration is refused",
        arguments: [
            "", "1", "s", "1.5h", "-1s", "+1s", "1 s", " 1s", "1s ", "100000s", "1d", "1us", "1S",
            "1h1m1s1ms1s", "1h30", "１s", "1s\u{0}",
        ]
    )
    func bad(text: String) {
        #expect(Duration(gatewayText: text) == nil)
    }

    @Test("A duration without Gateway API text says so")
    func unwritable() {
        #expect(Duration.microseconds(1).gatewayText == nil)
        #expect(Duration.seconds(-1).gatewayText == nil)
        #expect(Duration.seconds(100_000 * 3_600).gatewayText == nil)
        #expect(Duration.seconds(Int64.max).gatewayText == nil)
    }
}

@Suite struct SocketAddressTests {
    @Test(
        "Addresses are read and written in canonical form (RFC 5952)",
        arguments: [
            ("127.0.0.1:80", "127.0.0.1:80"), ("0.0.0.0:0", "0.0.0.0:0"),
            ("255.255.255.255:65535", "255.255.255.255:65535"), ("[::1]:8080", "[::1]:8080"),
            ("[::]:1", "[::]:1"), ("[2001:DB8:0:0:1:0:0:1]:443", "[2001:db8::1:0:0:1]:443"),
            ("[1:2:3:4:5:6:7:8]:9", "[1:2:3:4:5:6:7:8]:9"), ("[1::]:9", "[1::]:9"),
            ("[1:0:3:4:5:6:7:8]:9", "[1:0:3:4:5:6:7:8]:9"),
            ("[::ffff:10.0.0.1]:9", "[::ffff:a00:1]:9"), ("[fe80::0001]:9", "[fe80::1]:9"),
        ]
    )
    func good(text: String, canonical: String) throws {
        let address = try #require(SocketAddress(text))
        #expect(address.description == canonical)
        #expect(SocketAddress(canonical) == address)
        #expect(SocketAddress(address: address.address, port: address.port) == address)
    }

    @Test(
        "What is no address literal with a port is refused",
        arguments: [
            "", ":80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1",
            "127.0.0.1:080", "127.0.0.1:+8", "10.0.0.01:80", "010.0.0.1:80", "256.0.0.1:80",
            "1.2.3:80", "1.2.3.4.5:80", "1..2.3:80", "0x7f.0.0.1:80", "localhost:80", " 1.2.3.4:80",
            "::1:80", "[::1]", "[::1:80", "::1]:80", "[127.0.0.1]:80", "[1:2:3:4:5:6:7]:80",
            "[1:2:3:4:5:6:7:8:9]:80", "[1::2::3]:80", "[:::]:80", "[:1:2:3:4:5:6:7]:80",
            "[1:2:3:4:5:6:7:]:80", "[12345::]:80", "[g::]:80", "[fe80::1%eth0]:80",
            "[1:2:3:4:5:6:7::8]:80 ", "[::1.2.3]:80", "[1.2.3.4::]:80", "[::1.2.3.04]:80",
            "[1:2:3:4:5:6:7:1.2.3.4]:80",
        ]
    )
    func bad(text: String) {
        #expect(SocketAddress(text) == nil)
    }

    @Test("Random IPv6 addresses survive being written and read")
    func randomRoundTrip() {
        var generator = SplitMix64(seed: 3)
        for _ in 0..<2_000 {
            let bytes = (0..<16).map { _ in
                Bool.random(using: &generator) ? 0 : UInt8.random(in: 0...255, using: &generator)
            }
            let address = SocketAddress(addressBytes: bytes, port: 1)
            #expect(SocketAddress(address.description) == address)
        }
    }

    @Test(
        "An address knows what it cannot stand for",
        arguments: [
            ("127.0.0.1", [true, false, false]), ("::1", [true, false, false]),
            ("0.0.0.0", [false, true, false]), ("::", [false, true, false]),
            ("223.255.255.255", [false, false, false]), ("224.0.0.0", [false, false, true]),
            ("239.255.255.255", [false, false, true]), ("240.0.0.0", [false, false, false]),
            ("ff02::1", [false, false, true]), ("fe80::1", [false, false, false]),
            ("0.0.0.1", [false, false, false]), ("::2", [false, false, false]),
        ]
    )
    func kinds(text: String, expected: [Bool]) throws {
        let address = try #require(IPAddress(text))
        #expect([address.isLoopback, address.isUnspecified, address.isMulticast] == expected)
        #expect(address.description == text)
        #expect(SocketAddress(address: text, port: 1)?.ipAddress == address)
    }

    @Test("What is no IP literal is no address", arguments: ["", "a", "1.2.3", "::1%lo", "[::1]"])
    func noAddress(text: String) {
        #expect(IPAddress(text) == nil)
    }

    @Test("Loopback is 127.0.0.0/8 and ::1 alone")
    func loopback() throws {
        for text in ["127.0.0.1", "127.9.9.9", "::1"] {
            #expect(try #require(SocketAddress(address: text, port: 1)).isLoopback)
        }
        for text in ["10.0.0.1", "0.0.0.0", "::", "::2", "1::1"] {
            #expect(try !#require(SocketAddress(address: text, port: 1)).isLoopback)
        }
    }
}

@Suite struct SyntaxTests {
    @Test(
        "Hosts are lower-case names or address literals",
        arguments: ["orders", "a-b.c1", "orders.default.svc.cluster.local", "10.0.0.1", "[::1]"]
    )
    func goodHost(text: String) {
        #expect(Syntax.host.isValid(text))
    }

    @Test(
        "What cannot stand in Host is refused",
        arguments: [
            "", ".", "a.", ".a", "a..b", "Orders", "a_b", "-a", "a-", "a b", "a:80", "*.a", "é",
            "1.2.3", "10.0.0.01", "::1", "[::1", "[0::1]", "[10.0.0.1]",
            String(repeating: "a", count: 64), String(repeating: "a.", count: 127) + "aa",
        ]
    )
    func badHost(text: String) {
        #expect(!Syntax.host.isValid(text))
    }

    @Test("Paths are in normal form", arguments: ["/", "/a", "/a/b.c", "/a/", "/~x/%20", "/..a"])
    func goodPath(text: String) {
        #expect(Syntax.path.isValid(text))
        #expect(Syntax.pathPrefix.isValid(text) == (text != "/a/"))
    }

    @Test(
        "Paths that a server may read in another way are refused",
        arguments: [
            "", "a", "/a?b", "/a#b", "/a b", "//", "/a//b", "/./a", "/a/..", "/%2fa", "/%2Fa",
            "/a%00", "/é", "/a\u{7f}",
        ]
    )
    func badPath(text: String) {
        #expect(!Syntax.path.isValid(text))
    }
}
