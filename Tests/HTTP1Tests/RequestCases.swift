// Requests, good and bad, each with the section that decides it.

import Testing

/// One input and what the decoder must say about it.
struct Case: CustomTestStringConvertible {
    var name: String
    var section: String
    var bytes: String
    var expected: [String]

    init(_ name: String, _ section: String, _ bytes: String, _ expected: String...) {
        self.name = name
        self.section = section
        self.bytes = bytes
        self.expected = expected
    }

    var testDescription: String { "\(name) (\(section))" }

    /// Latin-1, so that a case can hold any byte.
    var input: [UInt8] { bytes.unicodeScalars.map { UInt8($0.value) } }
}

private let get = "GET / HTTP/1.1\r\nHost: a\r\n"
private let post = "POST /p HTTP/1.1\r\nHost: a\r\n"
private let chunked = post + "Transfer-Encoding: chunked\r\n\r\n"
private let chunkedHead =
    "POST /p 1.1 - a:- chunked keep [Host: a; Transfer-Encoding: chunked]"
private let plainHead = "GET / 1.1 - a:- none keep [Host: a]"

let acceptedRequests: [Case] = [
    Case("smallest request", "RFC 9112 §3", get + "\r\n", plainHead, "end", "idle"),
    Case(
        "path, query and every delimiter stay as they are",
        "RFC 9112 §3.2.1",
        "GET /a/b;c=1/%2F?x=y&z=?/:@!$&'()*+,;= HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /a/b;c=1/%2F?x=y&z=?/:@!$&'()*+,;= 1.1 - a:- none keep [Host: a]",
        "end",
        "idle"
    ),
    Case(
        "absolute form",
        "RFC 9112 §3.2.2",
        "GET http://b.example:8080/x?y HTTP/1.1\r\nHost: b.example:8080\r\n\r\n",
        "GET /x?y 1.1 http b.example:8080 none keep [Host: b.example:8080]",
        "end",
        "idle"
    ),
    Case(
        "absolute form wins over another Host, which is replaced",
        "RFC 9112 §3.2.2",
        "GET http://b/x HTTP/1.1\r\nHost: evil\r\nA: 1\r\n\r\n",
        "GET /x 1.1 http b:- none keep [A: 1; Host: b]",
        "end",
        "idle"
    ),
    Case(
        "absolute form without path",
        "RFC 9112 §3.2.1",
        "GET HTTPS://B?q HTTP/1.1\r\nHost: b\r\n\r\n",
        "GET /?q 1.1 https b:- none keep [Host: B]",
        "end",
        "idle"
    ),
    Case(
        "absolute form of OPTIONS without path becomes the asterisk",
        "RFC 9112 §3.2.4",
        "OPTIONS http://b HTTP/1.1\r\nHost: b\r\n\r\n",
        "OPTIONS * 1.1 http b:- none keep [Host: b]",
        "end",
        "idle"
    ),
    Case(
        "asterisk form",
        "RFC 9112 §3.2.4",
        "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
        "OPTIONS * 1.1 - a:- none keep [Host: a]",
        "end",
        "idle"
    ),
    Case(
        "absolute form in HTTP/1.0 brings the Host along",
        "RFC 9112 §3.2.2",
        "GET http://b/ HTTP/1.0\r\n\r\n",
        "GET / 1.0 http b:- none close [Host: b]",
        "end",
        "idle"
    ),
    Case(
        "one empty line before the request line",
        "RFC 9112 §2.2",
        "\r\n" + get + "\r\n",
        plainHead,
        "end",
        "idle"
    ),
    Case(
        "one empty line between pipelined requests",
        "RFC 9112 §2.2",
        get + "\r\n\r\n" + get + "\r\n",
        plainHead,
        "end",
        plainHead,
        "end",
        "idle"
    ),
    Case(
        "names keep their case, values lose outer white space",
        "RFC 9112 §5",
        get + "x-ODD-case: \t v \t w \t\r\nEmpty:\r\nBlank: \t \r\nTight:v\r\nWide:  v\r\n\r\n",
        "GET / 1.1 - a:- none keep"
            + " [Host: a; x-ODD-case: v \t w; Empty: ; Blank: ; Tight: v; Wide: v]",
        "end",
        "idle"
    ),
    Case(
        "values may hold bytes above ASCII",
        "RFC 9110 §5.5",
        get + "X: \u{C3}\u{A9}\r\n\r\n",
        "GET / 1.1 - a:- none keep [Host: a; X: \u{E9}]",
        "end",
        "idle"
    ),
    Case(
        "every token character in a name",
        "RFC 9110 §5.6.2",
        get + "!#$%&'*+-.^_`|~09azAZ: v\r\n\r\n",
        "GET / 1.1 - a:- none keep [Host: a; !#$%&'*+-.^_`|~09azAZ: v]",
        "end",
        "idle"
    ),
    Case(
        "unknown method",
        "RFC 9110 §9.1",
        "M-SEARCH / HTTP/1.1\r\nHost: a\r\n\r\n",
        "M-SEARCH / 1.1 - a:- none keep [Host: a]",
        "end",
        "idle"
    ),
    Case(
        "methods are case-sensitive",
        "RFC 9110 §9.1",
        "connect / HTTP/1.1\r\nHost: a\r\n\r\n",
        "connect / 1.1 - a:- none keep [Host: a]",
        "end",
        "idle"
    ),
    Case(
        "host in upper case is folded for routing only",
        "RFC 9110 §4.2.3",
        "GET / HTTP/1.1\r\nHost: Orders.Default:80\r\n\r\n",
        "GET / 1.1 - orders.default:80 none keep [Host: Orders.Default:80]",
        "end",
        "idle"
    ),
    Case(
        "IPv6 host",
        "RFC 3986 §3.2.2",
        "GET / HTTP/1.1\r\nHost: [2001:DB8::1]:65535\r\n\r\n",
        "GET / 1.1 - [2001:db8::1]:65535 none keep [Host: [2001:DB8::1]:65535]",
        "end",
        "idle"
    ),
    Case(
        "empty port is the default",
        "RFC 3986 §3.2.3",
        "GET / HTTP/1.1\r\nHost: a:\r\n\r\n",
        "GET / 1.1 - a:- none keep [Host: a:]",
        "end",
        "idle"
    ),
    Case(
        "percent-encoded host",
        "RFC 3986 §3.2.2",
        "GET / HTTP/1.1\r\nHost: a%20b\r\n\r\n",
        "GET / 1.1 - a%20b:- none keep [Host: a%20b]",
        "end",
        "idle"
    ),
    Case(
        "Content-Length",
        "RFC 9112 §6.2",
        post + "Content-Length: 005\r\n\r\nhello",
        "POST /p 1.1 - a:- 5 keep [Host: a; Content-Length: 005]",
        "body hello",
        "end",
        "idle"
    ),
    Case(
        "Content-Length: 0",
        "RFC 9112 §6.2",
        post + "Content-Length: 0\r\n\r\n",
        "POST /p 1.1 - a:- 0 keep [Host: a; Content-Length: 0]",
        "end",
        "idle"
    ),
    Case(
        "POST without length has no body",
        "RFC 9112 §6.3 rule 7",
        post + "\r\n",
        "POST /p 1.1 - a:- none keep [Host: a]",
        "end",
        "idle"
    ),
    Case(
        "GET with a body",
        "RFC 9110 §9.3.1",
        get + "Content-Length: 1\r\n\r\nx" + get + "\r\n",
        "GET / 1.1 - a:- 1 keep [Host: a; Content-Length: 1]",
        "body x",
        "end",
        plainHead,
        "end",
        "idle"
    ),
    Case(
        "largest Content-Length, unfinished",
        "RFC 9110 §8.6",
        post + "Content-Length: 9223372036854775807\r\n\r\nab",
        "POST /p 1.1 - a:- 9223372036854775807 keep"
            + " [Host: a; Content-Length: 9223372036854775807]",
        "body ab"
    ),
    Case(
        "chunks",
        "RFC 9112 §7.1",
        chunked + "5\r\nhello\r\nA\r\n0123456789\r\n0\r\n\r\n",
        chunkedHead,
        "body hello0123456789",
        "end",
        "idle"
    ),
    Case(
        "chunk sizes in either case and with zeros",
        "RFC 9112 §7.1",
        chunked + "000a\r\n0123456789\r\n0B\r\n0123456789a\r\n000\r\n\r\n",
        chunkedHead,
        "body 01234567890123456789a",
        "end",
        "idle"
    ),
    Case(
        "chunk data may look like anything",
        "RFC 9112 §7.1",
        chunked + "7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n",
        chunkedHead,
        "body \r\n0\r\n\r\n",
        "end",
        "idle"
    ),
    Case(
        "chunk extensions are dropped",
        "RFC 9112 §7.1.1",
        chunked + "1;a\r\nx\r\n1 ; b=\"c;\"\t\r\ny\r\n0;last=1\r\n\r\n",
        chunkedHead,
        "body xy",
        "end",
        "idle"
    ),
    Case(
        "trailers",
        "RFC 9112 §7.1.2",
        chunked + "1\r\nx\r\n0\r\nGrpc-Status: 0\r\nChecksum:abc\r\n\r\n" + get + "\r\n",
        chunkedHead,
        "body x",
        "end [Grpc-Status: 0; Checksum: abc]",
        plainHead,
        "end",
        "idle"
    ),
    Case(
        "Transfer-Encoding without case",
        "RFC 9112 §7",
        post + "transfer-encoding: CHUNKED\r\n\r\n0\r\n\r\n",
        "POST /p 1.1 - a:- chunked keep [Host: a; transfer-encoding: CHUNKED]",
        "end",
        "idle"
    ),
    Case(
        "Connection: close",
        "RFC 9112 §9.6",
        get + "Connection: foo , CLOSE\r\n\r\n",
        "GET / 1.1 - a:- none close [Host: a; Connection: foo , CLOSE]",
        "end",
        "idle"
    ),
    Case(
        "close wins over keep-alive",
        "RFC 9112 §9.3",
        get + "Connection: keep-alive\r\nConnection: close\r\n\r\n",
        "GET / 1.1 - a:- none close [Host: a; Connection: keep-alive; Connection: close]",
        "end",
        "idle"
    ),
    Case(
        "HTTP/1.0 closes and needs no Host",
        "RFC 9112 §3.2, §9.3",
        "GET / HTTP/1.0\r\n\r\n",
        "GET / 1.0 - - none close []",
        "end",
        "idle"
    ),
    Case(
        "HTTP/1.0 with keep-alive",
        "RFC 9112 §9.3",
        "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
        "GET / 1.0 - - none keep [Connection: Keep-Alive]",
        "end",
        "idle"
    ),
    Case(
        "Expect: 100-continue",
        "RFC 9110 §10.1.1",
        post + "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\nx",
        "POST /p 1.1 - a:- 1 keep continue [Host: a; Expect: 100-Continue; Content-Length: 1]",
        "body x",
        "end",
        "idle"
    ),
    Case(
        "Expect is ignored in HTTP/1.0",
        "RFC 9110 §10.1.1",
        "POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx",
        "POST / 1.0 - - 1 close [Expect: 100-continue; Content-Length: 1]",
        "body x",
        "end",
        "idle"
    ),
    Case(
        "pipelining",
        "RFC 9112 §9.3.2",
        post + "Content-Length: 2\r\n\r\nab" + chunked + "1\r\nx\r\n0\r\n\r\n" + get + "\r\n",
        "POST /p 1.1 - a:- 2 keep [Host: a; Content-Length: 2]",
        "body ab",
        "end",
        chunkedHead,
        "body x",
        "end",
        plainHead,
        "end",
        "idle"
    ),
    Case("unfinished head", "RFC 9112 §8", get + "X: y\r\n"),
    Case("unfinished chunk", "RFC 9112 §8", chunked + "5\r\nhel", chunkedHead, "body hel"),
    Case("unfinished last chunk", "RFC 9112 §8", chunked + "0\r\n", chunkedHead),
    Case("nothing", "RFC 9112 §2.1", "", "idle"),
    Case("an empty line alone", "RFC 9112 §2.2", "\r\n", "idle"),
]

let refusedRequests: [Case] = [
    // Line ends.
    Case(
        "LF instead of CRLF",
        "RFC 9112 §2.2",
        "GET / HTTP/1.1\nHost: a\n\n",
        "error bare_line_feed"
    ),
    Case(
        "LF ends a field line",
        "RFC 9112 §2.2",
        get + "X: y\nZ: 1\r\n\r\n",
        "error bare_line_feed"
    ),
    Case("LF ends the head", "RFC 9112 §2.2", get + "\n", "error bare_line_feed"),
    Case("LF before the request", "RFC 9112 §2.2", "\n" + get + "\r\n", "error bare_line_feed"),
    Case(
        "bare CR in a value",
        "RFC 9112 §2.2",
        get + "X: a\rb\r\n\r\n",
        "error bare_carriage_return"
    ),
    Case("CR CR LF", "RFC 9112 §2.2", get + "X: a\r\r\n\r\n", "error bare_carriage_return"),
    Case(
        "bare CR in the request line",
        "RFC 9112 §2.2",
        "GET /\rx HTTP/1.1\r\n",
        "error bare_carriage_return"
    ),
    Case(
        "two empty lines before",
        "RFC 9112 §2.2",
        "\r\n\r\n" + get + "\r\n",
        "error malformed_request_line"
    ),
    // Request line.
    Case("no spaces", "RFC 9112 §3", "GET\r\n\r\n", "error malformed_request_line"),
    Case("leading space", "RFC 9112 §3", " GET / HTTP/1.1\r\n\r\n", "error malformed_request_line"),
    Case(
        "two spaces before the target",
        "RFC 9112 §3",
        "GET  / HTTP/1.1\r\n\r\n",
        "error malformed_request_line"
    ),
    Case(
        "two spaces after the target",
        "RFC 9112 §3",
        "GET /  HTTP/1.1\r\n\r\n",
        "error malformed_request_line"
    ),
    Case(
        "trailing space",
        "RFC 9112 §3",
        "GET / HTTP/1.1 \r\n\r\n",
        "error malformed_request_line"
    ),
    Case(
        "tab as separator",
        "RFC 9112 §3",
        "GET\t/\tHTTP/1.1\r\n\r\n",
        "error malformed_request_line"
    ),
    Case(
        "space in the target",
        "RFC 9112 §3.2",
        "GET /a b HTTP/1.1\r\n\r\n",
        "error malformed_request_line"
    ),
    Case(
        "method that is no token",
        "RFC 9110 §9.1",
        "G(T / HTTP/1.1\r\n\r\n",
        "error invalid_method"
    ),
    Case(
        "target with a fragment",
        "RFC 9112 §3.2",
        "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n",
        "error invalid_target"
    ),
    Case(
        "target above ASCII",
        "RFC 3986 §2",
        "GET /\u{E9} HTTP/1.1\r\nHost: a\r\n\r\n",
        "error invalid_target"
    ),
    Case(
        "target with a tab",
        "RFC 9112 §3.2",
        "GET /a\tb HTTP/1.1\r\nHost: a\r\n\r\n",
        "error invalid_target"
    ),
    Case(
        "target with NUL",
        "RFC 9112 §3.2",
        "GET /a\0b HTTP/1.1\r\nHost: a\r\n\r\n",
        "error control_byte"
    ),
    Case(
        "target with DEL",
        "RFC 9112 §3.2",
        "GET /a\u{7F} HTTP/1.1\r\nHost: a\r\n\r\n",
        "error control_byte"
    ),
    Case(
        "relative target",
        "RFC 9112 §3.2",
        "GET index HTTP/1.1\r\nHost: a\r\n\r\n",
        "error invalid_target"
    ),
    Case(
        "authority form without CONNECT",
        "RFC 9112 §3.2.3",
        "GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n",
        "error invalid_target"
    ),
    Case(
        "asterisk form without OPTIONS",
        "RFC 9112 §3.2.4",
        "GET * HTTP/1.1\r\nHost: a\r\n\r\n",
        "error invalid_target"
    ),
    Case(
        "CONNECT",
        "RFC 9110 §9.3.6",
        "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n",
        "error connect_refused"
    ),
    Case(
        "other scheme",
        "RFC 9112 §3.2.2",
        "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "error invalid_target"
    ),
    Case(
        "absolute form without host",
        "RFC 9110 §4.2.1",
        "GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n",
        "error invalid_host"
    ),
    Case(
        "scheme alone",
        "RFC 9110 §4.2.1",
        "GET http:// HTTP/1.1\r\nHost: a\r\n\r\n",
        "error invalid_target"
    ),
    Case(
        "user information",
        "RFC 9110 §4.2.4",
        "GET http://u:p@a/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "error invalid_host"
    ),
    Case("HTTP/0.9", "RFC 9112 §3", "GET /\r\n", "error http_0_9"),
    Case(
        "HTTP/1.2",
        "RFC 9112 §2.3",
        "GET / HTTP/1.2\r\nHost: a\r\n\r\n",
        "error unsupported_version"
    ),
    Case(
        "HTTP/2.0 in plain words",
        "RFC 9112 §2.3",
        "GET / HTTP/2.0\r\nHost: a\r\n\r\n",
        "error unsupported_version"
    ),
    Case(
        "HTTP/2 preface",
        "RFC 9113 §3.4",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "error http2_preface"
    ),
    Case(
        "version in lower case",
        "RFC 9112 §2.3",
        "GET / http/1.1\r\nHost: a\r\n\r\n",
        "error malformed_request_line"
    ),
    Case(
        "version with two digits",
        "RFC 9112 §2.3",
        "GET / HTTP/1.10\r\nHost: a\r\n\r\n",
        "error malformed_request_line"
    ),
    Case(
        "version without digits",
        "RFC 9112 §2.3",
        "GET / HTTP/a.b\r\nHost: a\r\n\r\n",
        "error malformed_request_line"
    ),
    Case("a TLS hello", "RFC 8446 §5.1", "\u{16}\u{3}\u{1}\u{2}\0\u{1}", "error control_byte"),
    // Fields.
    Case("no colon", "RFC 9112 §5", get + "Broken\r\n\r\n", "error missing_colon"),
    Case("empty name", "RFC 9112 §5", get + ": v\r\n\r\n", "error invalid_field_name"),
    Case(
        "space before the colon",
        "RFC 9112 §5.1",
        get + "X : v\r\n\r\n",
        "error whitespace_before_colon"
    ),
    Case(
        "tab before the colon of a framing field",
        "RFC 9112 §5.1",
        get + "Transfer-Encoding\t: chunked\r\n\r\n",
        "error whitespace_before_colon"
    ),
    Case(
        "space inside the name",
        "RFC 9112 §5.1",
        get + "X y: v\r\n\r\n",
        "error invalid_field_name"
    ),
    Case(
        "delimiter inside the name",
        "RFC 9110 §5.1",
        get + "X(y): v\r\n\r\n",
        "error invalid_field_name"
    ),
    Case(
        "name above ASCII",
        "RFC 9110 §5.1",
        get + "X\u{E9}: v\r\n\r\n",
        "error invalid_field_name"
    ),
    Case("folded value", "RFC 9112 §5.2", get + "X: a\r\n b\r\n\r\n", "error folded_field"),
    Case(
        "folded with a tab",
        "RFC 9112 §5.2",
        get + "X: a\r\n\tb: c\r\n\r\n",
        "error folded_field"
    ),
    Case(
        "white space before the first field",
        "RFC 9112 §2.2",
        "GET / HTTP/1.1\r\n Host: a\r\n\r\n",
        "error folded_field"
    ),
    Case("NUL in a value", "RFC 9110 §5.5", get + "X: a\0b\r\n\r\n", "error control_byte"),
    Case(
        "vertical tab in a value",
        "RFC 9110 §5.5",
        get + "X: a\u{B}b\r\n\r\n",
        "error control_byte"
    ),
    Case("DEL in a value", "RFC 9110 §5.5", get + "X: \u{7F}\r\n\r\n", "error control_byte"),
    // Host.
    Case("no Host", "RFC 9112 §3.2", "GET / HTTP/1.1\r\n\r\n", "error missing_host"),
    Case(
        "no Host beside absolute form",
        "RFC 9112 §3.2",
        "GET http://a/ HTTP/1.1\r\n\r\n",
        "error missing_host"
    ),
    Case("two Hosts", "RFC 9112 §3.2", get + "Host: b\r\n\r\n", "error duplicate_host"),
    Case("two equal Hosts", "RFC 9112 §3.2", get + "host: a\r\n\r\n", "error duplicate_host"),
    Case(
        "two Hosts in HTTP/1.0",
        "RFC 9112 §3.2",
        "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n",
        "error duplicate_host"
    ),
    Case("empty Host", "RFC 9110 §7.2", "GET / HTTP/1.1\r\nHost:\r\n\r\n", "error invalid_host"),
    Case(
        "port alone",
        "RFC 9110 §7.2",
        "GET / HTTP/1.1\r\nHost: :80\r\n\r\n",
        "error invalid_host"
    ),
    Case(
        "Host with a path",
        "RFC 9110 §7.2",
        "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
        "error invalid_host"
    ),
    Case(
        "Host with user information",
        "RFC 9110 §7.2",
        "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n",
        "error invalid_host"
    ),
    Case(
        "Host with a space",
        "RFC 9110 §7.2",
        "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        "error invalid_host"
    ),
    Case("port 0", "RFC 9110 §7.2", "GET / HTTP/1.1\r\nHost: a:0\r\n\r\n", "error invalid_host"),
    Case(
        "port 65536",
        "RFC 9110 §7.2",
        "GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n",
        "error invalid_host"
    ),
    Case(
        "port with six digits",
        "RFC 9110 §7.2",
        "GET / HTTP/1.1\r\nHost: a:000080\r\n\r\n",
        "error invalid_host"
    ),
    Case(
        "port that is no number",
        "RFC 9110 §7.2",
        "GET / HTTP/1.1\r\nHost: a:8x\r\n\r\n",
        "error invalid_host"
    ),
    Case(
        "two ports",
        "RFC 9110 §7.2",
        "GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n",
        "error invalid_host"
    ),
    Case(
        "open bracket",
        "RFC 3986 §3.2.2",
        "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n",
        "error invalid_host"
    ),
    Case(
        "brackets without address",
        "RFC 3986 §3.2.2",
        "GET / HTTP/1.1\r\nHost: [ab]\r\n\r\n",
        "error invalid_host"
    ),
    Case(
        "text behind brackets",
        "RFC 3986 §3.2.2",
        "GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n",
        "error invalid_host"
    ),
    Case(
        "broken percent-encoding in Host",
        "RFC 3986 §2.1",
        "GET / HTTP/1.1\r\nHost: a%2\r\n\r\n",
        "error invalid_host"
    ),
    Case(
        "invalid Host beside a good absolute form",
        "RFC 9112 §3.2",
        "GET http://a/ HTTP/1.1\r\nHost: a/b\r\n\r\n",
        "error invalid_host"
    ),
    // Framing: the smuggling suite.
    Case(
        "CL.TE",
        "RFC 9112 §6.1",
        post + "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG",
        "error content_length_with_transfer_encoding"
    ),
    Case(
        "TE.CL",
        "RFC 9112 §6.1",
        post + "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
        "error content_length_with_transfer_encoding"
    ),
    Case(
        "TE.TE, second unknown",
        "RFC 9112 §6.1",
        post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n",
        "error transfer_encoding_not_chunked"
    ),
    Case(
        "TE.TE, twice chunked",
        "RFC 9112 §6.1",
        post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "error transfer_encoding_not_chunked"
    ),
    Case(
        "TE.TE, first unknown",
        "RFC 9112 §6.1",
        post + "Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n\r\n",
        "error transfer_encoding_not_chunked"
    ),
    Case(
        "chunked twice in one list",
        "RFC 9112 §6.1",
        post + "Transfer-Encoding: chunked, chunked\r\n\r\n",
        "error transfer_encoding_not_chunked"
    ),
    Case(
        "another coding before chunked",
        "RFC 9112 §6.1",
        post + "Transfer-Encoding: gzip, chunked\r\n\r\n",
        "error unsupported_transfer_encoding"
    ),
    Case(
        "chunked not at the end",
        "RFC 9112 §6.3 rule 4",
        post + "Transfer-Encoding: chunked, gzip\r\n\r\n",
        "error transfer_encoding_not_chunked"
    ),
    Case(
        "identity",
        "RFC 9112 §7",
        post + "Transfer-Encoding: identity\r\n\r\n",
        "error transfer_encoding_not_chunked"
    ),
    Case(
        "empty Transfer-Encoding",
        "RFC 9112 §6.1",
        post + "Transfer-Encoding:\r\n\r\n",
        "error transfer_encoding_not_chunked"
    ),
    Case(
        "empty member before chunked",
        "RFC 9110 §5.6.1",
        post + "Transfer-Encoding: , chunked\r\n\r\n",
        "error transfer_encoding_not_chunked"
    ),
    Case(
        "xchunked",
        "RFC 9112 §7",
        post + "Transfer-Encoding: xchunked\r\n\r\n",
        "error transfer_encoding_not_chunked"
    ),
    Case(
        "quoted chunked",
        "RFC 9112 §7",
        post + "Transfer-Encoding: \"chunked\"\r\n\r\n",
        "error transfer_encoding_not_chunked"
    ),
    Case(
        "chunked with a parameter",
        "RFC 9112 §7",
        post + "Transfer-Encoding: chunked;q=1\r\n\r\n",
        "error transfer_encoding_not_chunked"
    ),
    Case(
        "vertical tab before chunked",
        "RFC 9110 §5.5",
        post + "Transfer-Encoding: \u{B}chunked\r\n\r\n",
        "error control_byte"
    ),
    Case(
        "folded chunked",
        "RFC 9112 §5.2",
        post + "Transfer-Encoding:\r\n chunked\r\n\r\n",
        "error folded_field"
    ),
    Case(
        "name with an underscore is another name, and the body another request",
        "RFC 9112 §6.1",
        post + "Transfer_Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /p 1.1 - a:- none keep [Host: a; Transfer_Encoding: chunked]",
        "end",
        "error malformed_request_line"
    ),
    Case(
        "Transfer-Encoding in HTTP/1.0",
        "RFC 9112 §6.1",
        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "error transfer_encoding_in_http_1_0"
    ),
    Case(
        "two different Content-Lengths",
        "RFC 9112 §6.3 rule 5",
        post + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "error duplicate_content_length"
    ),
    Case(
        "two equal Content-Lengths",
        "RFC 9112 §6.3 rule 5",
        post + "Content-Length: 1\r\ncontent-length: 1\r\n\r\na",
        "error duplicate_content_length"
    ),
    Case(
        "list of equal Content-Lengths",
        "RFC 9110 §8.6",
        post + "Content-Length: 1, 1\r\n\r\na",
        "error invalid_content_length"
    ),
    Case(
        "Content-Length with a sign",
        "RFC 9110 §8.6",
        post + "Content-Length: +1\r\n\r\na",
        "error invalid_content_length"
    ),
    Case(
        "negative Content-Length",
        "RFC 9110 §8.6",
        post + "Content-Length: -1\r\n\r\na",
        "error invalid_content_length"
    ),
    Case(
        "hexadecimal Content-Length",
        "RFC 9110 §8.6",
        post + "Content-Length: 0x1\r\n\r\na",
        "error invalid_content_length"
    ),
    Case(
        "Content-Length with a fraction",
        "RFC 9110 §8.6",
        post + "Content-Length: 1.0\r\n\r\na",
        "error invalid_content_length"
    ),
    Case(
        "Content-Length with an inner space",
        "RFC 9110 §8.6",
        post + "Content-Length: 1 2\r\n\r\n",
        "error invalid_content_length"
    ),
    Case(
        "empty Content-Length",
        "RFC 9110 §8.6",
        post + "Content-Length:\r\n\r\n",
        "error invalid_content_length"
    ),
    Case(
        "Content-Length of 2^63",
        "RFC 9110 §8.6",
        post + "Content-Length: 9223372036854775808\r\n\r\n",
        "error invalid_content_length"
    ),
    Case(
        "Content-Length of 2^64",
        "RFC 9110 §8.6",
        post + "Content-Length: 18446744073709551616\r\n\r\n",
        "error invalid_content_length"
    ),
    Case(
        "Content-Length of 2^64 + 1 with zeros",
        "RFC 9110 §8.6",
        post + "Content-Length: 00018446744073709551617\r\n\r\n",
        "error invalid_content_length"
    ),
    // Chunks.
    Case(
        "no chunk size",
        "RFC 9112 §7.1",
        chunked + "\r\n",
        chunkedHead,
        "error invalid_chunk_size"
    ),
    Case(
        "chunk size that is no number",
        "RFC 9112 §7.1",
        chunked + "x\r\n",
        chunkedHead,
        "error invalid_chunk_size"
    ),
    Case(
        "chunk size with 0x",
        "RFC 9112 §7.1",
        chunked + "0x1\r\na\r\n",
        chunkedHead,
        "error invalid_chunk_size"
    ),
    Case(
        "chunk size with a sign",
        "RFC 9112 §7.1",
        chunked + "+1\r\na\r\n",
        chunkedHead,
        "error invalid_chunk_size"
    ),
    Case(
        "space before the chunk size",
        "RFC 9112 §7.1",
        chunked + " 1\r\na\r\n",
        chunkedHead,
        "error invalid_chunk_size"
    ),
    Case(
        "space behind the chunk size",
        "RFC 9112 §7.1",
        chunked + "1 \r\na\r\n",
        chunkedHead,
        "error invalid_chunk_size"
    ),
    Case(
        "text behind the chunk size",
        "RFC 9112 §7.1",
        chunked + "1 a\r\na\r\n",
        chunkedHead,
        "error invalid_chunk_size"
    ),
    Case(
        "chunk size of 2^63",
        "RFC 9112 §7.1",
        chunked + "8000000000000000\r\n",
        chunkedHead,
        "error chunk_size_overflow"
    ),
    Case(
        "chunk size of 17 digits",
        "RFC 9112 §7.1",
        chunked + "10000000000000000\r\n",
        chunkedHead,
        "error chunk_size_overflow"
    ),
    Case(
        "chunk size that wraps to 1",
        "RFC 9112 §7.1",
        chunked + "00000000000000001\r\na\r\n",
        chunkedHead,
        "error chunk_size_overflow"
    ),
    Case(
        "LF behind the chunk size",
        "RFC 9112 §7.1",
        chunked + "1\na\r\n0\r\n\r\n",
        chunkedHead,
        "error bare_line_feed"
    ),
    Case(
        "LF inside a chunk extension",
        "RFC 9112 §7.1.1",
        chunked + "1;a\nb\r\nx\r\n0\r\n\r\n",
        chunkedHead,
        "error bare_line_feed"
    ),
    Case(
        "CR inside a chunk extension",
        "RFC 9112 §7.1.1",
        chunked + "1;a\rb\r\nx\r\n0\r\n\r\n",
        chunkedHead,
        "error bare_carriage_return"
    ),
    Case(
        "NUL inside a chunk extension",
        "RFC 9112 §7.1.1",
        chunked + "1;a\0\r\nx\r\n0\r\n\r\n",
        chunkedHead,
        "error control_byte"
    ),
    Case(
        "chunk data too long",
        "RFC 9112 §7.1",
        chunked + "1\r\nab\r\n",
        chunkedHead,
        "body a",
        "error missing_chunk_end"
    ),
    Case(
        "LF behind chunk data",
        "RFC 9112 §7.1",
        chunked + "1\r\na\n0\r\n\r\n",
        chunkedHead,
        "body a",
        "error bare_line_feed"
    ),
    Case(
        "CR alone behind chunk data",
        "RFC 9112 §7.1",
        chunked + "1\r\na\r0\r\n\r\n",
        chunkedHead,
        "body a",
        "error bare_carriage_return"
    ),
    Case(
        "LF ends the trailers",
        "RFC 9112 §7.1.2",
        chunked + "0\r\n\n",
        chunkedHead,
        "error bare_line_feed"
    ),
    Case(
        "Content-Length as trailer",
        "RFC 9110 §6.5.1",
        chunked + "0\r\nContent-Length: 1\r\n\r\n",
        chunkedHead,
        "error forbidden_trailer"
    ),
    Case(
        "Host as trailer",
        "RFC 9110 §6.5.1",
        chunked + "0\r\nhost: b\r\n\r\n",
        chunkedHead,
        "error forbidden_trailer"
    ),
    Case(
        "Transfer-Encoding as trailer",
        "RFC 9110 §6.5.1",
        chunked + "0\r\nTransfer-Encoding: chunked\r\n\r\n",
        chunkedHead,
        "error forbidden_trailer"
    ),
    Case(
        "Authorization as trailer",
        "RFC 9110 §6.5.1",
        chunked + "0\r\nAuthorization: x\r\n\r\n",
        chunkedHead,
        "error forbidden_trailer"
    ),
    Case(
        "Connection as trailer",
        "RFC 9110 §7.6.1",
        chunked + "0\r\nConnection: close\r\n\r\n",
        chunkedHead,
        "error forbidden_trailer"
    ),
    Case(
        "folded trailer",
        "RFC 9112 §5.2",
        chunked + "0\r\nX: y\r\n z\r\n\r\n",
        chunkedHead,
        "error folded_field"
    ),
    Case(
        "junk behind a complete request",
        "RFC 9112 §9.3.2",
        get + "\r\nxyz\r\n\r\n",
        plainHead,
        "end",
        "error malformed_request_line"
    ),
]
