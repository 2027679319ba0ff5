"""HTTP/2 by outside judges (curl, nghttp, h2load), and malformed messages written by hand."""

import hashlib
import json
import os
import re
import signal
import subprocess
import threading

from hyperframe.frame import GoAwayFrame

from harness import snapshots
from harness.bystander import Bystander
from harness.case import EndToEndCase
from harness.client import tls_context
from harness.http2 import (
    COMPRESSION_ERROR, FRAME_SIZE_ERROR, PREFACE, PROTOCOL_ERROR, STREAM_CLOSED, ConnectionOver,
    FrameClient, StreamReset, frame, literal)
from localmesh.processes import run
from localmesh.waiting import eventually

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, \
    CONTINUATION = range(10)
END_STREAM, END_HEADERS = 0x1, 0x4

METHOD, SCHEME, PATH, AUTHORITY = (
    (":method", "GET"), (":scheme", "{scheme}"), (":path", "/evil"), (":authority", "orders"))
HEAD = [METHOD, SCHEME, PATH, AUTHORITY]
POST = [(":method", "POST"), SCHEME, PATH, AUTHORITY]

#: Heads that no request has (RFC 9113 §8.2, §8.3): each costs its stream, nothing else.
HEADS = {
    "no method": [SCHEME, PATH, AUTHORITY],
    "no scheme": [METHOD, PATH, AUTHORITY],
    "no path": [METHOD, SCHEME, AUTHORITY],
    "no authority": [METHOD, SCHEME, PATH],
    "empty method": [(":method", ""), SCHEME, PATH, AUTHORITY],
    "empty path": [METHOD, SCHEME, (":path", ""), AUTHORITY],
    "empty authority": [METHOD, SCHEME, PATH, (":authority", "")],
    "method that is no token": [(":method", "GE T"), SCHEME, PATH, AUTHORITY],
    "request line in the method": [(":method", "GET /evil HTTP/1.1\r\nx:"), SCHEME, PATH, AUTHORITY],
    "path without slash": [METHOD, SCHEME, (":path", "evil"), AUTHORITY],
    "path with a space": [METHOD, SCHEME, (":path", "/evil HTTP/1.1"), AUTHORITY],
    "path with CRLF": [METHOD, SCHEME, (":path", "/evil\r\nx: y"), AUTHORITY],
    "path with LF": [METHOD, SCHEME, (":path", "/evil\nx: y"), AUTHORITY],
    "path with NUL": [METHOD, SCHEME, (":path", "/evil\0"), AUTHORITY],
    "path with a fragment": [METHOD, SCHEME, (":path", "/evil#x"), AUTHORITY],
    "asterisk without OPTIONS": [METHOD, SCHEME, (":path", "*"), AUTHORITY],
    "duplicate method": [METHOD, METHOD, SCHEME, PATH, AUTHORITY],
    "duplicate path": [METHOD, SCHEME, PATH, PATH, AUTHORITY],
    "duplicate scheme": [METHOD, SCHEME, SCHEME, PATH, AUTHORITY],
    "duplicate authority": [METHOD, SCHEME, PATH, AUTHORITY, (":authority", "other")],
    "unknown pseudo-header": [*HEAD, (":evil", "1")],
    "pseudo-header of responses": [*HEAD, (":status", "200")],
    "protocol without CONNECT": [*HEAD, (":protocol", "websocket")],
    "pseudo-header behind a field": [METHOD, SCHEME, ("x", "y"), PATH, AUTHORITY],
    "authority behind a field": [METHOD, SCHEME, PATH, ("x", "y"), AUTHORITY],
    "CONNECT": [(":method", "CONNECT"), AUTHORITY],
    "authority with user information": [METHOD, SCHEME, PATH, (":authority", "me@orders")],
    "authority with a space": [METHOD, SCHEME, PATH, (":authority", "orders x")],
    "authority with CRLF": [METHOD, SCHEME, PATH, (":authority", "orders\r\nx: y")],
    "authority with a path": [METHOD, SCHEME, PATH, (":authority", "orders/x")],
    "another host": [*HEAD, ("host", "other")],
    "two hosts": [METHOD, SCHEME, PATH, ("host", "orders"), ("host", "other")],
    "two hosts beside the authority": [*HEAD, ("host", "orders"), ("host", "orders")],
    "upper case": [*HEAD, ("X-Evil", "1")],
    "empty name": [*HEAD, ("", "1")],
    "name with a space": [*HEAD, ("x evil", "1")],
    "name with a colon": [*HEAD, ("x:evil", "1")],
    "name with CRLF": [*HEAD, ("x\r\ny", "1")],
    "name with NUL": [*HEAD, ("x\0", "1")],
    "name above ASCII": [*HEAD, ("x\xe4", "1")],
    "value with CRLF": [*HEAD, ("x", "a\r\nx-smuggled: 1")],
    "value with CR": [*HEAD, ("x", "a\rb")],
    "value with LF": [*HEAD, ("x", "a\nb")],
    "value with NUL": [*HEAD, ("x", "a\0b")],
    "a whole request in a value": [*HEAD, ("x", "y\r\n\r\nGET /evil HTTP/1.1\r\nHost: orders")],
    "connection": [*HEAD, ("connection", "close")],
    "keep-alive": [*HEAD, ("keep-alive", "1")],
    "proxy-connection": [*HEAD, ("proxy-connection", "close")],
    "upgrade": [*HEAD, ("upgrade", "websocket")],
    "transfer-encoding": [*POST, ("transfer-encoding", "chunked")],
    "transfer-encoding with a length": [
        *POST, ("content-length", "0"), ("transfer-encoding", "chunked")],
    "te that is not trailers": [*HEAD, ("te", "gzip")],
    "content-length that is no number": [*POST, ("content-length", "x")],
    "content-length with a sign": [*POST, ("content-length", "+0")],
    "negative content-length": [*POST, ("content-length", "-1")],
    "content-length beyond 64 bits": [*POST, ("content-length", "9" * 30)],
    "two content-lengths": [*POST, ("content-length", "0"), ("content-length", "1")],
    "content-length of a request that has ended": [*POST, ("content-length", "5")],
}

#: What follows a head that is fine, on the same stream.
BODIES = {
    "more than content-length": ("3", lambda s: frame(DATA, b"four", s, END_STREAM)),
    "less than content-length": ("5", lambda s: frame(DATA, b"four", s, END_STREAM)),
    "nothing of content-length": ("5", lambda s: frame(DATA, b"", s, END_STREAM)),
    "more in a second frame": (
        "4", lambda s: frame(DATA, b"four", s) + frame(DATA, b"GET /evil HTTP/1.1", s, END_STREAM)),
    "pseudo-header in trailers": (None, lambda s: frame(
        HEADERS, literal(":path", "/evil"), s, END_STREAM | END_HEADERS)),
    "upper case in trailers": (None, lambda s: frame(
        HEADERS, literal("X-Evil", "1"), s, END_STREAM | END_HEADERS)),
    "CRLF in trailers": (None, lambda s: frame(
        HEADERS, literal("x", "a\r\nb: c"), s, END_STREAM | END_HEADERS)),
    "transfer-encoding in trailers": (None, lambda s: frame(
        HEADERS, literal("transfer-encoding", "chunked"), s, END_STREAM | END_HEADERS)),
    "a second head instead of trailers": (None, lambda s: frame(
        HEADERS, literal("x", "y"), s, END_HEADERS)),
}


def padded(kind, stream, flags=0):
    """A frame with more padding than payload."""
    return frame(kind, b"\xff" + b"x" * 5, stream, 0x8 | flags)


#: Bytes that end the connection (RFC 9113 §4–§6), and the codes that may be said.
CONNECTIONS = {
    "DATA on stream 0": (frame(DATA, b"x"), [PROTOCOL_ERROR]),
    "HEADERS on stream 0": (frame(HEADERS, b"\x82", 0, 5), [PROTOCOL_ERROR]),
    "PING on a stream": (frame(PING, b"8 bytes!", 1), [PROTOCOL_ERROR]),
    "SETTINGS on a stream": (frame(SETTINGS, b"", 1), [PROTOCOL_ERROR]),
    "GOAWAY on a stream": (frame(GOAWAY, b"\0" * 8, 1), [PROTOCOL_ERROR]),
    "RST_STREAM on stream 0": (frame(RST_STREAM, b"\0" * 4), [PROTOCOL_ERROR]),
    "DATA on an idle stream": (frame(DATA, b"x", 5), [PROTOCOL_ERROR, STREAM_CLOSED]),
    "RST_STREAM on an idle stream": (frame(RST_STREAM, b"\0" * 4, 5), [PROTOCOL_ERROR]),
    "WINDOW_UPDATE on an idle stream": (
        frame(WINDOW_UPDATE, b"\0\0\0\1", 5), [PROTOCOL_ERROR]),
    "CONTINUATION of nothing": (frame(CONTINUATION, b"\x82", 1, 4), [PROTOCOL_ERROR]),
    "a stream with an even number": (
        frame(HEADERS, b"\x82\x86\x84\x01\x06orders", 2, 5), [PROTOCOL_ERROR]),
    "something inside a header block": (
        frame(HEADERS, b"\x82", 1) + frame(PING, b"8 bytes!"), [PROTOCOL_ERROR]),
    "another stream inside a header block": (
        frame(HEADERS, b"\x82", 1) + frame(CONTINUATION, b"\x86", 3, 4), [PROTOCOL_ERROR]),
    "PUSH_PROMISE of a client": (
        frame(PUSH_PROMISE, b"\0\0\0\2\x82", 1, 4), [PROTOCOL_ERROR]),
    "a frame that is too large": (
        frame(DATA, b"", 1, length=16_385) + b"x" * 16_385, [FRAME_SIZE_ERROR, PROTOCOL_ERROR]),
    "PING of 7 bytes": (frame(PING, b"7 bytes"), [FRAME_SIZE_ERROR]),
    "SETTINGS of 5 bytes": (frame(SETTINGS, b"\0" * 5), [FRAME_SIZE_ERROR]),
    "acknowledgement with payload": (frame(SETTINGS, b"\0" * 6, 0, 1), [FRAME_SIZE_ERROR]),
    "WINDOW_UPDATE of 3 bytes": (frame(WINDOW_UPDATE, b"\0" * 3), [FRAME_SIZE_ERROR]),
    "RST_STREAM of 3 bytes": (frame(RST_STREAM, b"\0" * 3, 1), [FRAME_SIZE_ERROR]),
    "MAX_FRAME_SIZE out of range": (frame(SETTINGS, b"\0\5\0\0\0\1"), [PROTOCOL_ERROR]),
    "ENABLE_PUSH of 2": (frame(SETTINGS, b"\0\2\0\0\0\2"), [PROTOCOL_ERROR]),
    "padding longer than the frame": (padded(HEADERS, 1, 5), [PROTOCOL_ERROR]),
    "index 0 of HPACK": (frame(HEADERS, b"\x80", 1, 5), [COMPRESSION_ERROR]),
    "index of HPACK that is not in the table": (
        frame(HEADERS, b"\xff\xff\x01", 1, 5), [COMPRESSION_ERROR]),
    "integer of HPACK without end": (
        frame(HEADERS, b"\xff" + b"\xff" * 20, 1, 5), [COMPRESSION_ERROR]),
    "string of HPACK beyond the block": (
        frame(HEADERS, b"\x00\x7f\xff\x7fx", 1, 5), [COMPRESSION_ERROR]),
    "table of HPACK larger than allowed": (
        frame(HEADERS, b"\x3f\xe1\xff\x03\x82", 1, 5), [COMPRESSION_ERROR]),
    "Huffman code with EOS": (
        frame(HEADERS, b"\x00\x84\xff\xff\xff\xff\x00", 1, 5), [COMPRESSION_ERROR]),
}


class Malformed(EndToEndCase):
    def _outbound(self):
        app, proxy = self.plain_hop(cluster={"protocol": "http1"})
        return app, proxy, "outbound", None

    def _inbound(self):
        app, authority = self.app(), self.authority()
        proxy = self.inbound_proxy(
            app, authority.issue("orders"), authority, inbound={"protocol": "http1"})
        web = authority.issue("web")
        context = tls_context(authority.bundle, web.certificate, web.key, ["h2"])
        return app, proxy, "inbound", context

    def _assert_nothing_arrived(self, app, since=0):
        """Nothing but the requests of those who behave."""
        targets = {request.target for request in app.requests[since:]}
        self.assertLessEqual(targets, {"/bystander", "/neighbour"})
        for seen in app.requests[since:]:
            self.assertEqual([], seen.values("x-smuggled"))

    def _heads(self, app, proxy, listener, tls):
        port = proxy.port(listener)
        with Bystander(port, tls):
            for name, fields in HEADS.items():
                with self.subTest(name), FrameClient(port, tls) as client:
                    fields = [(key, value.format(scheme=client.scheme) if key == ":scheme"
                               else value) for key, value in fields]
                    stream = client.next_stream()
                    client.send(client.headers(stream, fields))
                    try:
                        status = client.answer(stream).status
                        self.assertIn(status, (400, 404, 421, 501), f"{name}: {status}")
                    except StreamReset as reset:
                        self.assertEqual(PROTOCOL_ERROR, reset.code)
                    # A neighbour on the same connection is not harmed either.
                    self.assertEqual(200, client.get("/neighbour").status)
        self._assert_nothing_arrived(app)
        counted = proxy.admin.metrics().sum(
            "mesh_malformed_requests_total", direction=listener)
        self.assertGreater(counted, len(HEADS) * 0.8)

    def test_malformed_heads_of_an_application_cost_their_stream_only(self):
        self._heads(*self._outbound())

    def test_malformed_heads_of_a_peer_cost_their_stream_only(self):
        self._heads(*self._inbound())

    def test_malformed_bodies_never_become_a_complete_request(self):
        completed = []
        def handler(exchange):
            body = exchange.read_body()
            completed.append((exchange.request.value("x-case"), body))
            exchange.reply()
        app, proxy = self.plain_hop(handler, cluster={"protocol": "http1"})
        port = proxy.port("outbound")
        with Bystander(port):
            for name, (length, rest) in BODIES.items():
                with self.subTest(name), FrameClient(port) as client:
                    more = [("content-length", length)] if length else []
                    fields = client.fields("/evil", "POST", "orders", ("x-case", name), *more)
                    stream = client.next_stream()
                    client.send(client.headers(stream, fields, "END_HEADERS"))
                    client.send_bytes(rest(stream))
                    try:
                        self.assertEqual(400, client.answer(stream).status)
                    except StreamReset as reset:
                        self.assertEqual(PROTOCOL_ERROR, reset.code)
                    self.assertEqual(200, client.get("/neighbour").status)
        eventually(lambda: app.connections_open() <= 2, "no cut request stays open at the app")
        # What was announced may have been passed on before more of it arrives; the more never is.
        self.assertLessEqual({entry for entry in completed if entry[0]},
                             {("more in a second frame", b"four")})

    def _connections(self, app, proxy, listener, tls):
        port = proxy.port(listener)
        with Bystander(port, tls):
            for name, (data, codes) in CONNECTIONS.items():
                with self.subTest(name), FrameClient(port, tls) as client:
                    client.send_bytes(data)
                    self.assertIn(client.wait_for_end(), codes)
        eventually(lambda: proxy.admin.metrics().sum("mesh_requests_active") == 0,
                   "nothing of it runs any more")
        self._assert_nothing_arrived_but_valid_heads(app)

    def _assert_nothing_arrived_but_valid_heads(self, app):
        self.assertLessEqual(
            {request.target for request in app.requests}, {"/bystander", "/neighbour", "/"})

    def test_frames_that_break_the_protocol_end_an_applications_connection(self):
        self._connections(*self._outbound())

    def test_frames_that_break_the_protocol_end_a_peers_connection(self):
        self._connections(*self._inbound())

    def test_a_stream_number_that_was_passed_over_is_not_a_request(self):
        # It may be a stream that has just ended, so it is dropped, not an error.
        app, proxy, listener, _ = self._outbound()
        with FrameClient(proxy.port(listener)) as client:
            client.send(client.headers(9, client.fields("/neighbour")))
            client.send(client.headers(7, client.fields("/evil")))
            self.assertEqual(200, client.answer(9).status)
            self.assertTrue(client.is_alive())
        self._assert_nothing_arrived(app)

    def test_a_wrong_preface_ends_the_connection(self):
        app, proxy, listener, _ = self._outbound()
        for data in (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r", b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
                     b"PRI * HTTP/1.1\r\nHost: orders\r\n\r\n" + b"x" * 30,
                     PREFACE + frame(PING, b"8 bytes!")):
            with self.subTest(data), FrameClient(proxy.port(listener), begin=False) as client:
                client.send_bytes(data + b"\0" * 20)
                client.wait_for_end()
        self.assertEqual([], app.requests)

    def test_cookie_crumbs_become_one_field_and_authority_the_host(self):
        app, proxy, listener, _ = self._outbound()
        with FrameClient(proxy.port(listener)) as client:
            client.get("/", ("cookie", "a=1"), ("x", "y"), ("cookie", "b=2"), ("host", "orders"))
        self.assertEqual(["a=1; b=2"], app.requests[0].values("cookie"))
        self.assertEqual(["orders"], app.requests[0].values("host"))


class Judges(EndToEndCase):
    """Programs of others, over one hop and over two."""

    def _two_hops(self):
        """As `two_hops`; the inbound side is told that the app speaks HTTP/1.1 only."""
        app, authority = self.app(), self.authority()
        orders = self.inbound_proxy(
            app, authority.issue("orders"), authority, inbound={"protocol": "http1"})
        web = self.outbound_proxy(
            [snapshots.service("orders", [snapshots.route("orders", "orders.default")])],
            [snapshots.cluster("orders.default", orders.port("inbound"),
                               identities=[authority.spiffe_id("orders")])],
            authority.issue("web"), authority)
        return app, web, orders

    def _curl(self, port, *arguments, path="/"):
        status, output, _ = run([
            "curl", "-sS", "--noproxy", "*", "--max-time", "30",
            "--connect-to", f"orders:80:127.0.0.1:{port}", "-w", "\\n%{http_version} %{http_code}",
            *arguments, f"http://orders{path}"])
        body, result = output.rsplit("\n", 1)
        return result, body

    def test_curl_with_prior_knowledge_and_without_gets_the_same(self):
        _, web, orders = self._two_hops()
        file = os.path.join(self.directory, "body")
        with open(file, "wb") as out:
            out.write(os.urandom(3_000_000))
        with open(file, "rb") as data:
            digest = hashlib.sha256(data.read()).hexdigest()
        for version, option in (("2", "--http2-prior-knowledge"), ("1.1", "--http1.1"),
                                # h2c by Upgrade is ignored (RFC 9113 §3.1): an answer in HTTP/1.1.
                                ("1.1", "--http2")):
            with self.subTest(option):
                result, body = self._curl(web.port("outbound"), option)
                self.assertEqual(f"{version} 200", result)
                self.assertEqual("GET", json.loads(body)["method"])
                result, body = self._curl(
                    web.port("outbound"), option, "--data-binary", f"@{file}", path="/upload")
                self.assertEqual(f"{version} 200", result)
                self.assertEqual(digest, json.loads(body)["sha256"])
                result, _ = self._curl(web.port("outbound"), option, "-I")
                self.assertEqual(f"{version} 200", result)
        handshakes = orders.admin.metrics().sum("mesh_tls_handshakes_total", direction="inbound")
        self.assertEqual(1, handshakes, "the sidecars share one connection")

    def test_nghttp_and_h2load_get_every_answer(self):
        _, web, orders = self._two_hops()
        address = f"http://127.0.0.1:{web.port('outbound')}/"
        _, output, _ = run(["nghttp", "-n", "-v", "--no-dep", "-H:authority: orders", address])
        self.assertIn(":status: 200", output)
        _, output, _ = run([
            "h2load", "-n", "600", "-c", "3", "-m", "20", "-H:authority: orders", address])
        self.assertRegex(output, r"600 succeeded, 0 failed, 0 errored, 0 timeout")
        self.assertRegex(output, r"status codes: 600 2xx")
        eventually(lambda: all(proxy.admin.metrics().sum("mesh_requests_active") == 0
                               for proxy in (web, orders)), "nothing runs any more")

    def test_a_service_that_closes_while_h2load_runs_costs_no_request_that_can_be_repeated(self):
        app, web, _ = self._two_hops()
        address = f"http://127.0.0.1:{web.port('outbound')}/"
        load = subprocess.Popen(
            ["h2load", "-n", "1500", "-c", "2", "-m", "10", "-H:authority: orders", address],
            stdout=subprocess.PIPE, text=True)
        app.wait_for_requests(200)
        app.handler = _closing_after(app.handler)
        output, _ = load.communicate(timeout=60)
        counts = re.search(r"status codes: (\d+) 2xx, \d+ 3xx, \d+ 4xx, (\d+) 5xx", output)
        self.assertIsNotNone(counts, output)
        self.assertEqual("1500", counts.group(1), output)

    def test_the_inbound_listener_tells_no_version_but_those_it_speaks(self):
        app, authority = self.app(), self.authority()
        orders = self.inbound_proxy(app, authority.issue("orders"), authority)
        web = authority.issue("web")
        for offered, chosen in ((["h2", "http/1.1"], "h2"), (["http/1.1", "h2"], "h2"),
                                (["http/1.1"], "http/1.1")):
            context = tls_context(authority.bundle, web.certificate, web.key, offered)
            with self.subTest(offered), FrameClient(
                    orders.port("inbound"), context, begin=False) as client:
                self.assertEqual(chosen, client.socket.selected_alpn_protocol())


def _closing_after(handler):
    """Ends each connection in good order after its answer."""
    def closing(exchange):
        exchange.read_body()
        exchange.reply(200, b"ok", "Connection: close")
        exchange.close()
    return closing


class Drain(EndToEndCase):
    def test_a_proxy_that_leaves_says_goaway_twice_and_finishes_what_runs(self):
        def slow(exchange):
            exchange.read_body()
            if exchange.request.target == "/slow":
                self.assertTrue(leaving.wait(20))
            exchange.reply(200, b"done")
        leaving = threading.Event()
        app, authority = self.app(slow), self.authority()
        orders = self.inbound_proxy(
            app, authority.issue("orders"), authority, inbound={"protocol": "http1"})
        web = authority.issue("web")
        context = tls_context(authority.bundle, web.certificate, web.key, ["h2"])
        port = orders.port("inbound")
        with FrameClient(port, context) as idle, FrameClient(port, context) as busy:
            idle.get("/")
            running = busy.begin("/slow")
            app.wait_for_requests(2)
            orders.send(signal.SIGTERM)
            goaways = []
            with self.assertRaises(ConnectionOver):
                while True:
                    seen = idle.receive()
                    if isinstance(seen, GoAwayFrame):
                        goaways.append((seen.last_stream_id, seen.error_code))
            self.assertEqual([(0x7FFFFFFF, 0), (1, 0)], goaways[:2])
            leaving.set()
            self.assertEqual(b"done", busy.answer(running).body)
            self.assertEqual(0, busy.wait_for_end())
        self.assertEqual(0, orders.wait())
