"""Every attack on HTTP/2 we know of, by hand, against the real binary.

The connection that attacks goes, with the right GOAWAY and counted under its reason; memory stays
bounded; and a bystander on another connection notices nothing.
"""

import time

from harness.bystander import Bystander
from harness.case import EndToEndCase
from harness.client import tls_context
from harness.http2 import (
    CANCEL, ENHANCE_YOUR_CALM, FLOW_CONTROL_ERROR, PROTOCOL_ERROR, FrameClient, frame, literal)
from localmesh.waiting import eventually

#: Resident bytes that an attack may cost: what one connection may make us hold, and slack.
MEMORY_MAX = 24 << 20

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PING, WINDOW_UPDATE, CONTINUATION = (
    0, 1, 2, 3, 4, 6, 8, 9)
END_STREAM, END_HEADERS = 0x1, 0x4


def word(number):
    return number.to_bytes(4, "big")


def repeated(client, make, count, at_once=50):
    """Sends what `make(i)` gives for i in 0..<count, until the other side has had enough."""
    for start in range(0, count, at_once):
        data = b"".join(make(i) for i in range(start, min(start + at_once, count)))
        if not client.try_to_send(data):
            return


def open_stream(client, method="POST"):
    """A stream whose body is still to come."""
    stream = client.next_stream()
    client.send(client.headers(stream, client.fields("/attack", method), "END_HEADERS"))
    return stream


def rapid_reset(client):
    head = client.block(client.fields("/attack"))
    repeated(client, lambda i: frame(HEADERS, head, 2 * i + 1, END_HEADERS | END_STREAM)
             + frame(RST_STREAM, word(CANCEL), 2 * i + 1), 2000)


def made_you_reset_by_window(client):
    head = client.block(client.fields("/attack", "POST"))
    repeated(client, lambda i: frame(HEADERS, head, 2 * i + 1, END_HEADERS)
             + frame(WINDOW_UPDATE, word(0x7FFFFFFF), 2 * i + 1), 2000)


def made_you_reset_by_length(client):
    head = client.block(client.fields("/attack", "POST", "orders", ("content-length", "1")))
    repeated(client, lambda i: frame(HEADERS, head, 2 * i + 1, END_HEADERS)
             + frame(DATA, b"four", 2 * i + 1), 2000)


def made_you_reset_by_fields(client):
    head = client.block(client.fields("/attack", "GET", "orders", ("Upper", "x")))
    repeated(client, lambda i: frame(HEADERS, head, 2 * i + 1, END_HEADERS | END_STREAM), 2000)


def continuations(client, piece):
    client.send(client.headers(1, client.block(client.fields("/attack")), "END_STREAM"))
    repeated(client, lambda i: frame(CONTINUATION, piece, 1), 20_000)


def hpack_bomb(client):
    """One field of 4,000 bytes put into the table, then named 16,000 times in a frame."""
    bomb = literal("x", "a" * 3_900, 0x40) + b"\xbe" * 12_000
    client.send_bytes(frame(
        HEADERS, client.block(client.fields("/attack")) + bomb, 1, END_HEADERS | END_STREAM))


def empty_data(client):
    stream = open_stream(client)
    repeated(client, lambda i: frame(DATA, b"", stream), 20_000, 500)


#: (reason of the counter, attack)
FLOODS = [
    ("flood_resets", rapid_reset),
    ("flood_provoked_resets", made_you_reset_by_window),
    ("flood_provoked_resets", made_you_reset_by_length),
    ("flood_provoked_resets", made_you_reset_by_fields),
    ("flood_continuations", lambda client: continuations(client, b"")),
    ("flood_continuations", lambda client: continuations(client, literal("x", "a" * 10))),
    ("flood_header_bytes", hpack_bomb),
    ("flood_settings",
     lambda client: repeated(client, lambda i: frame(SETTINGS), 20_000, 500)),
    ("flood_settings", lambda client: repeated(
        client, lambda i: frame(SETTINGS, b"\0\4" + word(65_535 + i)), 20_000, 500)),
    ("flood_pings", lambda client: repeated(client, lambda i: frame(PING, b"8 bytes!"), 20_000, 500)),
    ("flood_empty_frames", empty_data),
    ("flood_useless_frames", lambda client: repeated(
        client, lambda i: frame(PRIORITY, word(0) + b"\x10", 2 * i + 1), 20_000, 500)),
    ("flood_useless_frames", lambda client: repeated(
        client, lambda i: frame(0x77, b"who knows"), 20_000, 500)),
    ("flood_window_updates", lambda client: repeated(
        client, lambda i: frame(WINDOW_UPDATE, word(1)), 20_000, 500)),
]


class HTTP2Attacks(EndToEndCase):
    def _outbound(self, **more):
        """(app, proxy, port, TLS context): the listener for applications, plain text."""
        app, proxy = self.plain_hop(cluster={"protocol": "http1"}, **more)
        return app, proxy, proxy.port("outbound"), None

    def _inbound(self, **more):
        """The same of the listener for the mesh, with a certificate of the mesh."""
        app, authority = self.app(), self.authority()
        proxy = self.inbound_proxy(
            app, authority.issue("orders"), authority, inbound={"protocol": "http1"}, **more)
        web = authority.issue("web")
        context = tls_context(authority.bundle, web.certificate, web.key, ["h2"])
        return app, proxy, proxy.port("inbound"), context

    def _counted(self, proxy, reason):
        return proxy.admin.metrics().sum("mesh_http2_connection_errors_total", reason=reason)

    def _attack(self, proxy, port, tls, reason, attack, code=ENHANCE_YOUR_CALM):
        before = self._counted(proxy, reason)
        with Bystander(port, tls), FrameClient(port, tls) as attacker:
            resident = proxy.resident_bytes()
            attack(attacker)
            self.assertEqual(code, attacker.wait_for_end())
        self.assertEqual(before + 1, self._counted(proxy, reason), f"{reason} is counted once")
        self.assertLess(proxy.peak_resident_bytes() - resident, MEMORY_MAX)

    def _all_floods(self, app, proxy, port, tls):
        for number, (reason, attack) in enumerate(FLOODS):
            with self.subTest(f"{number}: {reason}"):
                self._attack(proxy, port, tls, reason, attack)
        eventually(lambda: proxy.admin.metrics().sum("mesh_requests_active") == 0,
                   "nothing of the attacks runs any more")

    def test_floods_of_an_application_end_its_connection_only(self):
        self._all_floods(*self._outbound())

    def test_floods_of_a_peer_of_the_mesh_end_its_connection_only(self):
        self._all_floods(*self._inbound())

    def test_rapid_reset_reaches_the_application_no_more_often_than_allowed(self):
        app, proxy, port, tls = self._outbound(http2={"resetsMax": 20})
        with FrameClient(port) as attacker:
            rapid_reset(attacker)
            self.assertEqual(ENHANCE_YOUR_CALM, attacker.wait_for_end())
        eventually(lambda: proxy.admin.metrics().sum("mesh_requests_active") == 0,
                   "all are cancelled")
        self.assertLess(len(app.requests), 120)

    def test_windows_that_overflow_or_grow_by_nothing_end_the_connection(self):
        _, proxy, port, tls = self._outbound()
        for code, data in (
                (FLOW_CONTROL_ERROR, frame(WINDOW_UPDATE, word(0x7FFFFFFF))),
                (PROTOCOL_ERROR, frame(WINDOW_UPDATE, word(0))),
                (FLOW_CONTROL_ERROR, frame(SETTINGS, b"\0\4" + word(0x80000000)))):
            with self.subTest(data):
                self._attack(proxy, port, tls, "protocol_error",
                             lambda client, data=data: client.send_bytes(data), code)

    def test_a_body_beyond_its_window_ends_the_connection(self):
        _, proxy, port, tls = self._outbound(
            handler=lambda exchange: exchange.request.value("x-read") or exchange.read_body()
            or exchange.reply())
        def overflow(client):
            stream = open_stream(client)
            repeated(client, lambda i: frame(DATA, b"x" * 16_384, stream), 3_000, 10)
        # The application reads all of it, so windows grow; a sender who ignores them is caught
        # as soon as it is faster.
        with Bystander(port, tls), FrameClient(port, tls) as attacker:
            resident = proxy.resident_bytes()
            overflow(attacker)
        self.assertLess(proxy.peak_resident_bytes() - resident, MEMORY_MAX)

    def test_a_head_over_its_limit_is_answered_and_the_connection_goes_on(self):
        app, proxy, port, tls = self._outbound()
        with Bystander(port), FrameClient(port) as client:
            stream = client.next_stream()
            block = client.block(client.fields("/large")) + literal("x-large", "a" * 8_000) * 10
            client.send_bytes(frame(HEADERS, block[:16_384], stream, END_STREAM))
            pieces = [block[i:i + 16_384] for i in range(16_384, len(block), 16_384)]
            for piece in pieces:
                flags = END_HEADERS if piece is pieces[-1] else 0
                client.send_bytes(frame(CONTINUATION, piece, stream, flags))
            self.assertEqual(431, client.answer(stream).status)
            self.assertEqual(200, client.get("/small").status)
        self.assertNotIn("/large", [request.target for request in app.requests])

    def test_a_head_that_never_ends_is_cut_after_its_time(self):
        _, proxy, port, tls = self._outbound(limits={"headTimeout": "1s"})
        with Bystander(port), FrameClient(port) as attacker:
            began = time.monotonic()
            attacker.send(attacker.headers(1, attacker.fields("/slow")[:2], "END_STREAM"))
            # One frame of a length that it never reaches, byte by byte.
            attacker.send_bytes(frame(CONTINUATION, b"", 1, length=10_000))
            def trickle():
                return not attacker.try_to_send(b"\x10") or time.monotonic() - began > 10
            eventually(trickle, "the connection is closed", 15)
            self.assertEqual(ENHANCE_YOUR_CALM, attacker.wait_for_end())
            self.assertLess(time.monotonic() - began, 8)
        self.assertEqual(1, proxy.admin.metrics().sum(
            "mesh_timeouts_total", kind="request_head", direction="outbound"))

    def test_streams_that_never_end_are_ended_after_their_idle_time(self):
        # Long enough for the bystander's requests where the machine is slow.
        _, proxy, port, tls = self._outbound(timeouts={"streamIdle": "2s"})
        with Bystander(port), FrameClient(port) as attacker:
            resident = proxy.resident_bytes()
            streams = [open_stream(attacker) for _ in range(100)]
            for stream in streams:
                self.assertIn(attacker.answer(stream).status, (408, 504))
            self.assertEqual(200, attacker.get("/after").status)
        self.assertLess(proxy.peak_resident_bytes() - resident, MEMORY_MAX)

    def test_more_streams_than_allowed_are_refused(self):
        _, proxy, port, tls = self._outbound(http2={"concurrentStreamsMax": 10})
        with Bystander(port), FrameClient(port) as attacker:
            attacker.get("/settings-are-known")
            for _ in range(11):
                open_stream(attacker)
            self.assertNotEqual(None, attacker.wait_for_end())

    def test_a_peer_that_asks_for_much_and_reads_nothing_costs_little(self):
        body = b"x" * 4_000_000
        def large(exchange):
            exchange.read_body()
            exchange.reply(200, b"ok" if exchange.request.target == "/bystander" else body)
        _, proxy, port, tls = self._outbound(
            handler=large, timeouts={"streamIdle": "5s"})
        resident = proxy.resident_bytes()
        for window in (0, 0x7FFFFFFF):
            with self.subTest(f"window {window}"), Bystander(port):
                with FrameClient(port, settings={4: window}, receive_buffer=4096) as attacker:
                    for _ in range(100):
                        attacker.begin("/large")
                    eventually(
                        lambda: proxy.admin.metrics().sum(
                            "mesh_requests_active", direction="outbound") <= 1,
                        "what the attacker asked for is given up", 30)
                    self.assertLess(proxy.peak_resident_bytes() - resident, 64 << 20)

    def test_a_peer_that_pings_and_reads_nothing_is_closed(self):
        _, proxy, port, tls = self._outbound()
        with Bystander(port), FrameClient(port, receive_buffer=4096) as attacker:
            resident = proxy.resident_bytes()
            repeated(attacker, lambda i: frame(PING, b"8 bytes!"), 200_000, 1_000)
            self.assertFalse(attacker.is_alive())
        self.assertLess(proxy.peak_resident_bytes() - resident, MEMORY_MAX)
