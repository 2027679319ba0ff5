// Requests for WebSockets and answers to them, good, ignored and refused.

import HTTP

private let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
private let start = "GET /chat HTTP/1.1\r\nHost: a\r\n"
private let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n"
/// What follows the head: within an ignored upgrade it must be the next request.
private let next = "GET /next HTTP/1.1\r\nHost: a\r\n\r\n"
private let nextHead = "GET /next 1.1 - a:- none keep [Host: a]"
private let keyText = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="

let webSocketRequests: [Case] = [
    Case(
        "the head, then a tunnel without end",
        "RFC 6455 §4.1",
        start + upgrade + key + "Sec-WebSocket-Version: 13\r\n\r\n\u{81}\u{0}" + next,
        "GET /chat 1.1 - a:- untilClose keep [Host: a; Connection: Upgrade; Upgrade: websocket; "
            + "\(keyText); Sec-WebSocket-Version: 13]",
        "body \u{FFFD}\u{0}" + next
    ),
    Case(
        "tokens in lists and in any case",
        "RFC 9110 §7.8",
        start + "Connection: keep-alive , uPgRaDe\r\nUpgrade: foo/1, WebSocket\r\n" + key + "\r\n",
        "GET /chat 1.1 - a:- untilClose keep [Host: a; Connection: keep-alive , uPgRaDe; "
            + "Upgrade: foo/1, WebSocket; \(keyText)]"
    ),
]

/// Upgrades that do not come about: the request is served as it stands, and no byte of the next one
/// is taken for the tunnel's.
let ignoredUpgrades: [Case] = [
    ignored("of another protocol", "Connection: Upgrade\r\nUpgrade: foo/2\r\n" + key),
    ignored(
        "to h2c",
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
    ),
    ignored("without Connection", "Upgrade: websocket\r\n" + key),
    ignored(
        "with a Connection that names something like it",
        "Connection: Upgrade-Insecure\r\nUpgrade: websocket\r\n" + key
    ),
    ignored("without Upgrade", "Connection: Upgrade\r\n" + key),
    ignored("to a longer name", "Connection: Upgrade\r\nUpgrade: websockets\r\n" + key),
    ignored("to a shorter name", "Connection: Upgrade\r\nUpgrade: websocke\r\n" + key),
    ignored("to a version of it", "Connection: Upgrade\r\nUpgrade: websocket/13\r\n" + key),
    ignored("to a quoted name", "Connection: Upgrade\r\nUpgrade: \"websocket\"\r\n" + key),
    ignored("without key", upgrade),
    ignored("with a short key", upgrade + "Sec-WebSocket-Key: dGhl\r\n"),
    ignored("with an empty key", upgrade + "Sec-WebSocket-Key:\r\n"),
    ignored("with two keys", upgrade + key + key),
    ignored("with an empty body", upgrade + key + "Content-Length: 0\r\n", length: "0"),
    ignored("by HEAD", upgrade + key, method: "HEAD"),
    ignored("by OPTIONS", upgrade + key, method: "OPTIONS"),
    ignored("by a method of lower case", upgrade + key, method: "get"),
    ignored("in HTTP/1.0", upgrade + key, version: "1.0", fate: "close"),
    ignored("with a body", upgrade + key + "Content-Length: 5\r\n", length: "5", body: "hello"),
    ignored(
        "by POST",
        upgrade + key + "Content-Length: 5\r\n",
        method: "POST",
        length: "5",
        body: "hello"
    ),
    ignored(
        "with chunks",
        upgrade + key + "Transfer-Encoding: chunked\r\n",
        length: "chunked",
        body: "5\r\nhello\r\n0\r\n\r\n"
    ),
]

let refusedUpgrades: [Case] = [
    refused(
        "with two framings",
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "content_length_with_transfer_encoding"
    ),
    refused(
        "with two lengths",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "duplicate_content_length"
    ),
    refused(
        "with an unknown coding",
        "Transfer-Encoding: websocket\r\n",
        "transfer_encoding_not_chunked"
    ),
    refused("with a folded value", "Upgrade:\r\n websocket\r\n", "folded_field"),
    refused("with space before the colon", "Upgrade : websocket\r\n", "whitespace_before_colon"),
    refused("with a bare CR", "X: a\rUpgrade: websocket\r\n", "bare_carriage_return"),
    refused("with a bare LF", "X: a\nUpgrade: websocket\r\n", "bare_line_feed"),
    refused("with NUL in the key", "Sec-WebSocket-Key: \u{0}\r\n", "control_byte"),
    refused("with two hosts", "Host: b\r\n", "duplicate_host"),
    Case(
        "a tunnel that HTTP/1.1 asks for by CONNECT",
        "RFC 9110 §9.3.6",
        "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n" + upgrade + key + "\r\n",
        "error connect_refused"
    ),
]

private func ignored(
    _ name: String,
    _ fields: String,
    method: String = "GET",
    version: String = "1.1",
    length: String = "none",
    fate: String = "keep",
    body: String = ""
) -> Case {
    let list = fields.split(separator: "\r\n").map { line in
        line.hasSuffix(":") ? "\(line) " : String(line)
    }
    let head =
        "\(method) /chat \(version) - a:- \(length) \(fate) "
        + "[\((["Host: a"] + list).joined(separator: "; "))]"
    var one = Case(
        "an upgrade \(name)",
        "RFC 9110 §7.8",
        "\(method) /chat HTTP/\(version)\r\nHost: a\r\n" + fields + "\r\n" + body + next
    )
    one.expected = [head] + (body.isEmpty ? [] : ["body hello"]) + ["end", nextHead, "end", "idle"]
    return one
}

private func refused(_ name: String, _ fields: String, _ reason: String) -> Case {
    Case(
        "an upgrade \(name)",
        "RFC 9112 §5, §6",
        start + upgrade + key + fields + "\r\n" + next,
        "error \(reason)"
    )
}

private let accepted = "HTTP/1.1 101 Switching Protocols\r\n"
private let acceptedHead = "101 Switching Protocols 1.1 untilClose close"

/// Answers to a request for a WebSocket.
let webSocketResponses: [ResponseCase] = [
    ResponseCase(
        "accepted, then bytes to the end of the connection",
        "RFC 6455 §4.2.2",
        to: [.get, .get],
        closes: true,
        accepted + upgrade + "\r\n\u{1}HTTP/1.1 200 OK\r\n\r\n",
        "\(acceptedHead) [Connection: Upgrade; Upgrade: websocket]",
        "body \u{1}HTTP/1.1 200 OK\r\n\r\n",
        "end",
        "idle"
    ),
    ResponseCase(
        "a length of the tunnel is meaningless",
        "RFC 9110 §8.6",
        accepted + upgrade + "Content-Length: 2\r\n\r\nabcd",
        "\(acceptedHead) [Connection: Upgrade; Upgrade: websocket]",
        "body abcd"
    ),
    ResponseCase(
        "a coding of the tunnel is meaningless",
        "RFC 9112 §6.1",
        accepted + upgrade + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "\(acceptedHead) [Connection: Upgrade; Upgrade: websocket]",
        "body 0\r\n\r\n"
    ),
    ResponseCase(
        "a second 101 is a byte of the tunnel as any other",
        "RFC 9110 §15.2.2",
        accepted + upgrade + "\r\n" + accepted + upgrade + "\r\n",
        "\(acceptedHead) [Connection: Upgrade; Upgrade: websocket]",
        "body " + accepted + upgrade + "\r\n"
    ),
    ResponseCase(
        "interim responses may come before",
        "RFC 9110 §15.2",
        "HTTP/1.1 103 Early\r\n\r\n" + accepted + upgrade + "\r\n",
        "103 Early 1.1 none keep []",
        "\(acceptedHead) [Connection: Upgrade; Upgrade: websocket]"
    ),
    ResponseCase(
        "refused, and the next response",
        "RFC 6455 §4.2.2",
        to: [.get, .get],
        "HTTP/1.1 426 No\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\nno"
            + "HTTP/1.1 204 x\r\n\r\n",
        "426 No 1.1 2 keep [Upgrade: websocket; Content-Length: 2]",
        "body no",
        "end",
        "204 x 1.1 none keep []",
        "end",
        "idle"
    ),
    ResponseCase(
        "to another protocol",
        "RFC 9110 §15.2.2",
        accepted + "Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
        "error unexpected_upgrade"
    ),
    ResponseCase(
        "to none",
        "RFC 9110 §15.2.2",
        accepted + "Connection: Upgrade\r\n\r\n",
        "error unexpected_upgrade"
    ),
    ResponseCase(
        "without Connection",
        "RFC 9110 §7.8",
        accepted + "Upgrade: websocket\r\n\r\n",
        "error unexpected_upgrade"
    ),
    ResponseCase(
        "in HTTP/1.0",
        "RFC 9110 §7.8",
        "HTTP/1.0 101 x\r\n" + upgrade + "\r\n",
        "error unexpected_upgrade"
    ),
    ResponseCase(
        "with two framings",
        "RFC 9112 §6.3",
        accepted + upgrade + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
        "error content_length_with_transfer_encoding"
    ),
]
