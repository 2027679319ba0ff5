"""Malformed requests: the right status, the connection closed, counted by reason, not forwarded."""

from harness.app import Closed
from harness.case import EndToEndCase
from harness.client import RawClient, request, tls_context
from localmesh.waiting import eventually


def get(*lines):
    return "\r\n".join(["GET / HTTP/1.1", *lines, "", ""]).encode("latin-1")


#: (reason, status, bytes). The reason is the label of mesh_malformed_requests_total.
CASES = [
    ("bare_line_feed", 400, b"GET / HTTP/1.1\nHost: orders\n\n"),
    ("bare_line_feed", 400, b"GET / HTTP/1.1\r\nHost: orders\nX: y\r\n\r\n"),
    ("bare_carriage_return", 400, b"GET / HTTP/1.1\r\nHost: orders\r\nX: a\rb\r\n\r\n"),
    ("control_byte", 400, get("Host: orders", "X: a\0b")),
    ("control_byte", 400, get("Host: orders", "X: a\x07b")),
    ("malformed_request_line", 400, b"GET  / HTTP/1.1\r\nHost: orders\r\n\r\n"),
    ("invalid_method", 400, b"GE(T / HTTP/1.1\r\nHost: orders\r\n\r\n"),
    ("invalid_target", 400, b"GET /a#b HTTP/1.1\r\nHost: orders\r\n\r\n"),
    ("invalid_target", 400, b"GET orders HTTP/1.1\r\nHost: orders\r\n\r\n"),
    ("connect_refused", 501, b"CONNECT orders:80 HTTP/1.1\r\nHost: orders\r\n\r\n"),
    ("http_0_9", 505, b"GET /\r\n"),
    ("unsupported_version", 505, b"GET / HTTP/2.0\r\nHost: orders\r\n\r\n"),
    ("missing_colon", 400, get("Host: orders", "nonsense")),
    ("invalid_field_name", 400, get("Host: orders", "X(Y: 1")),
    ("invalid_field_name", 400, get("Host: orders", ": 1")),
    ("whitespace_before_colon", 400, get("Host: orders", "Content-Length : 1")),
    ("folded_field", 400, get("Host: orders", "X: a", " b")),
    ("folded_field", 400, get("Host: orders", "X: a", "\tb")),
    ("missing_host", 400, get("X: a")),
    ("duplicate_host", 400, get("Host: orders", "Host: orders")),
    ("invalid_host", 400, get("Host: or ders")),
    ("invalid_host", 400, get("Host: orders:99999")),
    ("invalid_host", 400, get("Host: user@orders")),
    ("duplicate_content_length", 400, get("Host: orders", "Content-Length: 1", "Content-Length: 2")),
    ("duplicate_content_length", 400, get("Host: orders", "Content-Length: 1", "Content-Length: 1")),
    *[("invalid_content_length", 400, get("Host: orders", f"Content-Length: {value}"))
      for value in ("+1", "-1", "0x1", "1 1", "1,1", "", "9" * 30)],
    ("content_length_with_transfer_encoding", 400,
     get("Host: orders", "Content-Length: 3", "Transfer-Encoding: chunked") + b"0\r\n\r\n"),
    # Without a final "chunked" the end of the body cannot be known (RFC 9112 §6.3); with one, the
    # codings before it are merely none of ours (§6.1).
    *[("transfer_encoding_not_chunked", 400, get("Host: orders", f"Transfer-Encoding: {value}"))
      for value in ("gzip", "chunked, chunked", "chunked, identity", "xchunked", "chunked;q=1")],
    ("unsupported_transfer_encoding", 501, get("Host: orders", "Transfer-Encoding: gzip, chunked")),
    ("transfer_encoding_in_http_1_0", 400,
     b"POST / HTTP/1.0\r\nHost: orders\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("request_line_too_long", 414, b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: orders\r\n\r\n"),
    ("field_section_too_large", 431, get("Host: orders", "X-Big: " + "a" * 70_000)),
    ("too_many_fields", 431, get("Host: orders", *[f"X-{i}: 1" for i in range(130)])),
]

#: Wrong only after a head that is fine: the app may have seen that, but never a complete request.
BODY_CASES = [
    ("invalid_chunk_size", b"zz\r\n"), ("invalid_chunk_size", b"\r\n"),
    ("invalid_chunk_size", b"-1\r\n"), ("invalid_chunk_size", b"0x1\r\n"),
    ("invalid_chunk_size", b"1 \r\nx\r\n"),
    ("chunk_size_overflow", b"ffffffffffffffff\r\n"),
    ("missing_chunk_end", b"3\r\nabcdef\r\n"),
    ("bare_line_feed", b"3\nabc\r\n"),
    ("bare_line_feed", b"3;a\nb\r\nabc\r\n"),
    ("forbidden_trailer", b"0\r\nContent-Length: 5\r\n\r\n"),
    ("forbidden_trailer", b"0\r\nTransfer-Encoding: chunked\r\n\r\n"),
    ("whitespace_before_colon", b"0\r\nX : 5\r\n\r\n"),
]


class Malformed(EndToEndCase):
    def _assert_refused(self, proxy, connect, reason, status, data, direction):
        def counted():
            return proxy.admin.metrics().sum(
                "mesh_malformed_requests_total", direction=direction, reason=reason)
        before = counted()
        with connect() as client:
            response = client.send(data).response()
            self.assertEqual(status, response.status, response)
            self.assertEqual("application/problem+json", response.value("Content-Type"))
            self.assertEqual("close", (response.value("Connection") or "").lower())
            self.assertTrue(client.is_closed(), "the connection stays open")
        eventually(lambda: counted() == before + 1, f"{reason} is counted once", 5)

    def test_a_malformed_head_is_refused_closed_counted_and_not_forwarded(self):
        app, proxy = self.plain_hop()
        for reason, status, data in CASES:
            with self.subTest(f"{reason}: {data[:80]!r}"):
                self._assert_refused(
                    proxy, lambda: RawClient(proxy.port("outbound")), reason, status, data,
                    "outbound")
        self.assertEqual([], app.requests)

    def test_the_inbound_listener_refuses_the_same(self):
        app, authority = self.app(), self.authority()
        orders = self.inbound_proxy(app, authority.issue("orders"), authority)
        web = authority.issue("web")
        context = tls_context(authority.bundle, web.certificate, web.key)
        for reason, status, data in CASES:
            with self.subTest(f"{reason}: {data[:80]!r}"):
                self._assert_refused(
                    orders, lambda: RawClient(orders.port("inbound"), context), reason, status,
                    data, "inbound")
        self.assertEqual([], app.requests)

    def test_a_malformed_body_never_becomes_a_complete_request(self):
        completed, cut = [], []
        def handler(exchange):
            try:
                completed.append(exchange.read_body())
                exchange.reply(200, b"")
            except Closed:
                cut.append(exchange.request)
                raise
        app, proxy = self.plain_hop(handler)
        for reason, body in BODY_CASES:
            with self.subTest(f"{reason}: {body!r}"):
                self._assert_refused(
                    proxy, lambda: RawClient(proxy.port("outbound")), reason, 400,
                    request("POST", "orders", "/", "Transfer-Encoding: chunked") + body, "outbound")
        eventually(lambda: app.connections_open() == 0, "no cut request stays open at the app", 5)
        self.assertEqual([], completed)

    def test_a_request_smuggled_behind_a_refused_one_is_not_read(self):
        app, proxy = self.plain_hop()
        smuggled = request("GET", "orders", "/admin")
        with RawClient(proxy.port("outbound")) as client:
            client.send(get("Host: orders", f"Content-Length: {len(smuggled)}",
                            "Transfer-Encoding: chunked") + b"0\r\n\r\n" + smuggled)
            self.assertEqual(400, client.response().status)
            self.assertTrue(client.is_closed())
        self.assertEqual([], app.requests)

    def test_a_limit_is_named_with_the_field_that_crossed_it(self):
        _, proxy = self.plain_hop(limits={"fieldSectionBytesMax": 2048})
        with RawClient(proxy.port("outbound")) as client:
            response = client.get("orders", "/", "X-Huge-Cookie: " + "a" * 4000)
        self.assertEqual(431, response.status)
        self.assertIn("X-Huge-Cookie", response.body.decode())
        self.assertIn("2048", response.body.decode())

    def test_a_malformed_response_is_a_502_and_nothing_of_it_passes(self):
        for data in (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
                     b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nab",
                     b"HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n", b"garbage\r\n\r\n",
                     b"HTTP/1.1 20 OK\r\n\r\n"):
            with self.subTest(data[:60]):
                def handler(exchange, data=data):
                    exchange.send(data)
                    exchange.close()
                _, proxy = self.plain_hop(handler)
                with RawClient(proxy.port("outbound")) as client:
                    response = client.get("orders")
                self.assertEqual(502, response.status)
                self.assertEqual("application/problem+json", response.value("Content-Type"))
