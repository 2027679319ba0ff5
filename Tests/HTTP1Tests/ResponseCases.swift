import HTTP
import Testing

/// Responses to requests with these methods, and what the decoder must say about them.
struct ResponseCase: CustomTestStringConvertible {
    var name: String
    var section: String
    var methods: [HTTP.Method]
    var closes: Bool
    var bytes: String
    var expected: [String]

    init(
        _ name: String,
        _ section: String,
        to methods: [HTTP.Method] = [.get],
        closes: Bool = false,
        _ bytes: String,
        _ expected: String...
    ) {
        self.name = name
        self.section = section
        self.methods = methods
        self.closes = closes
        self.bytes = bytes
        self.expected = expected
    }

    var testDescription: String { "\(name) (\(section))" }

    /// Latin-1, so that a case can hold any byte.
    var input: [UInt8] { bytes.unicodeScalars.map { UInt8($0.value) } }
}

private let ok = "HTTP/1.1 200 OK\r\n"

let responseCases: [ResponseCase] = [
    ResponseCase(
        "Content-Length",
        "RFC 9112 §6.2",
        ok + "Content-Length: 2\r\n\r\nhi",
        "200 OK 1.1 2 keep [Content-Length: 2]",
        "body hi",
        "end",
        "idle"
    ),
    ResponseCase(
        "chunks and trailers",
        "RFC 9112 §7.1",
        ok + "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nGrpc-Status: 0\r\n\r\n",
        "200 OK 1.1 chunked keep [Transfer-Encoding: chunked]",
        "body hi",
        "end [Grpc-Status: 0]",
        "idle"
    ),
    ResponseCase(
        "body that ends with the connection",
        "RFC 9112 §6.3 rule 8",
        closes: true,
        ok + "\r\nall of it",
        "200 OK 1.1 untilClose close []",
        "body all of it",
        "end",
        "idle"
    ),
    ResponseCase(
        "empty body that ends with the connection",
        "RFC 9112 §6.3 rule 8",
        closes: true,
        ok + "\r\n",
        "200 OK 1.1 untilClose close []",
        "end",
        "idle"
    ),
    ResponseCase(
        "empty reason",
        "RFC 9112 §4",
        "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n",
        "200  1.1 0 keep [Content-Length: 0]",
        "end",
        "idle"
    ),
    ResponseCase(
        "reason and its space left out",
        "RFC 9112 §4",
        "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
        "200  1.1 0 keep [Content-Length: 0]",
        "end",
        "idle"
    ),
    ResponseCase(
        "reason of any text",
        "RFC 9112 §4",
        "HTTP/1.1 404 Not \t\u{C3}\u{A9} here\r\nContent-Length: 0\r\n\r\n",
        "404 Not \t\u{E9} here 1.1 0 keep [Content-Length: 0]",
        "end",
        "idle"
    ),
    ResponseCase(
        "unknown status",
        "RFC 9110 §15",
        "HTTP/1.1 799 x\r\nContent-Length: 0\r\n\r\n",
        "799 x 1.1 0 keep [Content-Length: 0]",
        "end",
        "idle"
    ),
    ResponseCase(
        "HEAD has a length and no body",
        "RFC 9112 §6.3 rule 1",
        to: [.head, .get],
        ok + "Content-Length: 5\r\n\r\n" + ok + "Content-Length: 1\r\n\r\nx",
        "200 OK 1.1 none keep [Content-Length: 5]",
        "end",
        "200 OK 1.1 1 keep [Content-Length: 1]",
        "body x",
        "end",
        "idle"
    ),
    ResponseCase(
        "HEAD with Transfer-Encoding has no body",
        "RFC 9112 §6.3 rule 1",
        to: [.head],
        ok + "Transfer-Encoding: chunked\r\n\r\n",
        "200 OK 1.1 none keep [Transfer-Encoding: chunked]",
        "end",
        "idle"
    ),
    ResponseCase(
        "204 has no body and loses its length",
        "RFC 9110 §8.6",
        "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
        "204 No Content 1.1 none keep []",
        "end",
        "idle"
    ),
    ResponseCase(
        "304 has no body and keeps its length",
        "RFC 9110 §8.6",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
        "304 Not Modified 1.1 none keep [Content-Length: 5]",
        "end",
        "idle"
    ),
    ResponseCase(
        "100 before the response",
        "RFC 9110 §15.2.1",
        to: [.post],
        "HTTP/1.1 100 Continue\r\n\r\n" + ok + "Content-Length: 0\r\n\r\n",
        "100 Continue 1.1 none keep []",
        "200 OK 1.1 0 keep [Content-Length: 0]",
        "end",
        "idle"
    ),
    ResponseCase(
        "103 with fields, 102, then HEAD's response",
        "RFC 9110 §15.2",
        to: [.head],
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nContent-Length: 7\r\n\r\nHTTP/1.1 102 x\r\n\r\n"
            + ok + "\r\n",
        "103 Early Hints 1.1 none keep [Link: </a>]",
        "102 x 1.1 none keep []",
        "200 OK 1.1 none keep []",
        "end",
        "idle"
    ),
    ResponseCase(
        "Connection: close",
        "RFC 9112 §9.6",
        ok + "Connection: close\r\nContent-Length: 0\r\n\r\n",
        "200 OK 1.1 0 close [Connection: close; Content-Length: 0]",
        "end",
        "idle"
    ),
    ResponseCase(
        "HTTP/1.0 closes",
        "RFC 9112 §9.3",
        "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        "200 OK 1.0 0 close [Content-Length: 0]",
        "end",
        "idle"
    ),
    ResponseCase(
        "HTTP/1.0 with keep-alive",
        "RFC 9112 §9.3",
        "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
        "200 OK 1.0 0 keep [Connection: keep-alive; Content-Length: 0]",
        "end",
        "idle"
    ),
    ResponseCase("nothing yet", "RFC 9112 §2.1", "", "idle"),
    // What is refused.
    ResponseCase(
        "bytes without a request",
        "RFC 9112 §9.2",
        to: [],
        ok + "\r\n",
        "error unexpected_response"
    ),
    ResponseCase(
        "bytes behind the response",
        "RFC 9112 §9.2",
        ok + "Content-Length: 0\r\n\r\n" + ok + "Content-Length: 0\r\n\r\n",
        "200 OK 1.1 0 keep [Content-Length: 0]",
        "end",
        "error unexpected_response"
    ),
    ResponseCase(
        "bytes behind HEAD's response",
        "RFC 9112 §9.2",
        to: [.head],
        ok + "Content-Length: 2\r\n\r\nhi",
        "200 OK 1.1 none keep [Content-Length: 2]",
        "end",
        "error unexpected_response"
    ),
    ResponseCase(
        "empty line before the status line",
        "RFC 9112 §4",
        "\r\n" + ok + "\r\n",
        "error malformed_status_line"
    ),
    ResponseCase(
        "101 that nobody asked for",
        "RFC 9110 §15.2.2",
        "HTTP/1.1 101 Switching\r\n\r\n",
        "error unexpected_upgrade"
    ),
    ResponseCase(
        "two digits",
        "RFC 9112 §4",
        "HTTP/1.1 20 OK\r\n\r\n",
        "error malformed_status_line"
    ),
    ResponseCase(
        "four digits",
        "RFC 9112 §4",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "error malformed_status_line"
    ),
    ResponseCase(
        "status 099",
        "RFC 9110 §15",
        "HTTP/1.1 099 x\r\n\r\n",
        "error malformed_status_line"
    ),
    ResponseCase(
        "two spaces",
        "RFC 9112 §4",
        "HTTP/1.1  200 OK\r\n\r\n",
        "error malformed_status_line"
    ),
    ResponseCase(
        "HTTP/2.0",
        "RFC 9112 §2.3",
        "HTTP/2.0 200 OK\r\n\r\n",
        "error malformed_status_line"
    ),
    ResponseCase(
        "another protocol",
        "RFC 9112 §4",
        "SSH-2.0-OpenSSH_9.2\r\n",
        "error malformed_status_line"
    ),
    ResponseCase(
        "LF alone",
        "RFC 9112 §2.2",
        "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        "error bare_line_feed"
    ),
    ResponseCase(
        "NUL in the reason",
        "RFC 9112 §4",
        "HTTP/1.1 200 O\0K\r\n\r\n",
        "error control_byte"
    ),
    ResponseCase(
        "both lengths",
        "RFC 9112 §6.3 rule 3",
        ok + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
        "error content_length_with_transfer_encoding"
    ),
    ResponseCase(
        "two lengths",
        "RFC 9112 §6.3 rule 5",
        ok + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
        "error duplicate_content_length"
    ),
    ResponseCase(
        "Transfer-Encoding in HTTP/1.0",
        "RFC 9112 §6.1",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "error transfer_encoding_in_http_1_0"
    ),
    ResponseCase(
        "coding that is not chunked",
        "RFC 9112 §6.3 rule 4",
        ok + "Transfer-Encoding: gzip\r\n\r\nx",
        "error transfer_encoding_not_chunked"
    ),
    ResponseCase(
        "closed before the response",
        "RFC 9112 §8",
        closes: true,
        "",
        "error truncated"
    ),
    ResponseCase(
        "closed in the status line",
        "RFC 9112 §8",
        closes: true,
        "HTTP/1.1 2",
        "error truncated"
    ),
    ResponseCase(
        "closed in the head",
        "RFC 9112 §8",
        closes: true,
        ok,
        "error truncated"
    ),
    ResponseCase(
        "closed after an interim response",
        "RFC 9112 §8",
        closes: true,
        "HTTP/1.1 100 Continue\r\n\r\n",
        "100 Continue 1.1 none keep []",
        "error truncated"
    ),
    ResponseCase(
        "closed in a body of known length",
        "RFC 9112 §8",
        closes: true,
        ok + "Content-Length: 3\r\n\r\nab",
        "200 OK 1.1 3 keep [Content-Length: 3]",
        "body ab",
        "error truncated"
    ),
    ResponseCase(
        "closed in a chunk",
        "RFC 9112 §8",
        closes: true,
        ok + "Transfer-Encoding: chunked\r\n\r\n3\r\nab",
        "200 OK 1.1 chunked keep [Transfer-Encoding: chunked]",
        "body ab",
        "error truncated"
    ),
    ResponseCase(
        "closed before the last chunk",
        "RFC 9112 §8",
        closes: true,
        ok + "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n",
        "200 OK 1.1 chunked keep [Transfer-Encoding: chunked]",
        "body ab",
        "error truncated"
    ),
    ResponseCase(
        "closed while idle",
        "RFC 9112 §9.5",
        closes: true,
        ok + "Content-Length: 0\r\n\r\n",
        "200 OK 1.1 0 keep [Content-Length: 0]",
        "end",
        "idle"
    ),
]
