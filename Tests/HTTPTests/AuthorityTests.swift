import Testing

@testable import HTTP

@Suite struct AuthorityTests {
    private func parts(_ text: String) -> Authority? { Authority(Array(text.utf8).span) }

    @Test("registered names hold what RFC 3986 §3.2.2 allows, and no other byte")
    func registeredName() {
        let members = Set(
            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~!$&'()*+,;=".utf8
        )
        for byte in UInt8.min ... .max {
            #expect(Authority.isRegisteredName(byte) == members.contains(byte), "\(byte)")
        }
    }

    @Test func splitsHostAndPort() {
        #expect(parts("a")?.hostCount == 1)
        #expect(parts("a")?.port == nil)
        #expect(parts("a.example:8080")?.hostCount == 9)
        #expect(parts("a.example:8080")?.port == 8080)
        #expect(parts("[::1]:443")?.hostCount == 5)
        #expect(parts("[::1]:443")?.port == 443)
        #expect(parts("%41b")?.hostCount == 4)
    }

    @Test func anEmptyPortIsTheDefaultOne() {
        #expect(parts("a:")?.hostCount == 1)
        #expect(parts("a:")?.port == nil)
    }

    @Test(arguments: [
        "", ":80", "user@a", "a b", "a/b", "a:0", "a:65536", "a:123456", "a:8o", "a:-1", "a:1:2",
        "[::1", "[1]", "[]", "[g::]", "[::1]x", "%4", "%zz", "a\u{0}", "ä",
    ])
    func refuses(_ text: String) {
        #expect(parts(text) == nil)
    }
}
