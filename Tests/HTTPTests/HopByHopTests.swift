import HTTP
import Testing

struct HopByHopTests {
    private func forwarded(_ fields: (String, String)...) -> String {
        let block = block(fields)
        block.removeHopByHop()
        return block.written
    }

    @Test("the fields of one connection end here (RFC 9110 §7.6.1)")
    func fixedSet() {
        #expect(
            forwarded(
                ("Connection", "keep-alive"),
                ("Keep-Alive", "timeout=5"),
                ("Proxy-Connection", "close"),
                ("TE", "gzip"),
                ("Transfer-Encoding", "chunked"),
                ("Upgrade", "h2c"),
                ("HTTP2-Settings", "x"),
                ("Proxy-Authenticate", "Basic"),
                ("Proxy-Authorization", "Basic c2VjcmV0"),
                ("A", "1")
            ) == "A: 1\r\n"
        )
    }

    @Test("what Connection nominates ends here, in any case and on every line")
    func nominated() {
        #expect(
            forwarded(
                ("X-Hop", "1"),
                ("connection", "close, x-hop,Y"),
                ("y", "2"),
                ("x-HOP", "3"),
                ("Connection", "z"),
                ("Z", "4"),
                ("W", "5")
            ) == "W: 5\r\n"
        )
    }

    @Test(
        "a caller cannot strip what every recipient must see",
        arguments: [
            "Host", "Content-Length", "traceparent", "X-Forwarded-For", "Authorization", "Cookie",
            "X-Request-Id", "Content-Type", "Via", "X-Forwarded-Client-Cert",
        ]
    )
    func endToEnd(name: String) {
        #expect(forwarded((name, "v"), ("Connection", name)) == "\(name): v\r\n")
    }

    @Test("TE is renewed only when it accepts trailers (RFC 9110 §10.1.4)")
    func te() {
        #expect(forwarded(("te", "Trailers"), ("Connection", "TE")) == "TE: trailers\r\n")
        #expect(forwarded(("TE", "gzip;q=0.5"), ("TE", "deflate, trailers")) == "TE: trailers\r\n")
        #expect(forwarded(("TE", "trailersx")) == "")
    }

    @Test("a block without such fields stays as it is")
    func untouched() {
        #expect(forwarded(("A", "1"), ("Host", "h")) == "A: 1\r\nHost: h\r\n")
    }
}
