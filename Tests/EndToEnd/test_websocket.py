"""WebSockets with a client and a server that we did not write, over one hop and two, the second of
them in HTTP/1.1 and in HTTP/2 (RFC 8441)."""

import asyncio
import hashlib
import http
import random
import threading

from harness import snapshots
from harness.case import EndToEndCase
from harness.kernel import standing_bytes_max
from harness.websocket import WebSocketApp, echo
from localmesh.waiting import eventually, unchanged
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.extensions.permessage_deflate import PerMessageDeflate

WAYS = ("one hop", "two hops h1", "two hops h2")
BIG = 6 * 1024 * 1024


def digest(message):
    return hashlib.sha256(message.encode() if isinstance(message, str) else message).hexdigest()


def incompressible(size, seed=1):
    return random.Random(seed).randbytes(size)


class WebSockets(EndToEndCase):
    def _one_authority(self):
        if not hasattr(self, "_made"):
            self._made = self.authority()
        return self._made

    def _proxies(self, way, port):
        """The port that leads to the application's `port`."""
        name, mutual = "orders.default", {}
        if way != "one hop":
            authority = self._one_authority()
            target = type("Target", (), {"port": port})
            orders = self.inbound_proxy(target, authority.issue("orders"), authority)
            port = orders.port("inbound")
            mutual = {"identities": [authority.spiffe_id("orders")],
                      "protocol": "http1" if way == "two hops h1" else "http2"}
            web = authority.issue("web")
        cluster = snapshots.cluster(name, port, **mutual)
        services = [snapshots.service("orders", [snapshots.route("orders", name)])]
        more = (web, authority) if mutual else ()
        return self.outbound_proxy(services, [cluster], *more).port("outbound")

    def _each_way(self, story, handler=echo, **options):
        """Runs `story(connect)` on every way to a server with this handler."""
        for way in WAYS:
            with self.subTest(way):
                app = WebSocketApp(handler, **options)
                try:
                    port = self._proxies(way, app.port)

                    def to_app(path="/", **more):
                        more = {"max_size": None, "proxy": None, **more}
                        return connect(f"ws://orders{path}", host="127.0.0.1", port=port, **more)

                    asyncio.run(asyncio.wait_for(story(to_app), 120))
                finally:
                    app.stop()

    @staticmethod
    def _much():
        """(a message, how many may be on their way to who reads nothing, clearly more than that)"""
        part = incompressible(256 * 1024)
        standing_max = standing_bytes_max() // len(part)
        return part, standing_max, standing_max * 5 // 4

    @staticmethod
    async def _standing(sent):
        """How many messages were taken when the sender is held up."""
        return await asyncio.to_thread(
            unchanged, lambda: sent[0], "the sender is held up")

    def test_messages_of_every_kind_and_size_come_back(self):
        async def story(to_app):
            async with to_app(compression=None) as socket:
                for message in ("", "text", "\u00e4\u20ac\U0001f600", b"", b"\x00\xff" * 70, "x" * 125,
                                "x" * 126, b"y" * 65535, b"y" * 65536, incompressible(BIG),
                                "z" * BIG):
                    await socket.send(message)
                    back = await socket.recv()
                    self.assertEqual((type(message), len(message), digest(message)),
                                     (type(back), len(back), digest(back)))
                await socket.send([b"in ", b"", b"fragments"])
                self.assertEqual(b"in fragments", await socket.recv())
        self._each_way(story, max_size=None, compression=None)

    def test_the_handshake_crosses_as_it_is(self):
        seen = []

        async def handler(socket):
            request = socket.request
            seen.append((request.path, request.headers["Origin"], request.headers["X-Mine"],
                         request.headers["Host"], socket.subprotocol))
            await socket.send("hello")

        async def story(to_app):
            seen.clear()
            async with to_app("/chat?room=1", origin="http://site", subprotocols=["talk", "chat"],
                              additional_headers={"X-Mine": "1"}) as socket:
                self.assertEqual("chat", socket.subprotocol)
                self.assertEqual("hello", await socket.recv())
            self.assertEqual([("/chat?room=1", "http://site", "1", "orders", "chat")], seen)
        self._each_way(story, handler, subprotocols=["chat"])

    def test_thousands_of_small_messages_keep_their_order(self):
        count = 3000

        async def story(to_app):
            async with to_app(compression=None) as socket:
                async def send():
                    for number in range(count):
                        await socket.send(str(number))
                sending = asyncio.create_task(send())
                self.assertEqual([str(number) for number in range(count)],
                                 [await socket.recv() for _ in range(count)])
                await sending
        self._each_way(story, compression=None)

    def test_pings_of_both_sides_are_answered(self):
        async def handler(socket):
            latency = await (await socket.ping(b"from the server"))
            await socket.send(f"{latency >= 0}")
            await socket.wait_closed()

        async def story(to_app):
            async with to_app() as socket:
                self.assertEqual("True", await socket.recv())
                self.assertGreaterEqual(await (await socket.ping(b"from the client")), 0)
        self._each_way(story, handler)

    def test_close_codes_and_reasons_cross_both_ways(self):
        seen = []

        async def handler(socket):
            if socket.request.path == "/server":
                return await socket.close(1001, "going")
            try:
                await socket.recv()
            except ConnectionClosed as closed:
                seen.append((closed.rcvd.code, closed.rcvd.reason))

        async def story(to_app):
            seen.clear()
            async with to_app("/client") as socket:
                await socket.close(4001, "why not")
                self.assertEqual(4001, socket.close_code)
            async with to_app("/server") as socket:
                with self.assertRaises(ConnectionClosed) as raised:
                    await socket.recv()
                self.assertEqual((1001, "going"),
                                 (raised.exception.rcvd.code, raised.exception.rcvd.reason))
            self.assertEqual([(4001, "why not")], seen)
        self._each_way(story, handler)

    def test_a_side_that_breaks_off_is_noticed_by_the_other(self):
        noticed = threading.Event()

        async def handler(socket):
            if socket.request.path == "/server":
                return socket.transport.abort()
            try:
                await socket.recv()
            except ConnectionClosed as closed:
                if closed.rcvd is None:
                    noticed.set()

        async def story(to_app):
            noticed.clear()
            async with to_app("/server") as socket:
                with self.assertRaises(ConnectionClosed) as raised:
                    await socket.recv()
                self.assertIsNone(raised.exception.rcvd)
            async with to_app("/client") as socket:
                socket.transport.abort()
            self.assertTrue(await asyncio.to_thread(noticed.wait, 20))
        self._each_way(story, handler)

    def test_permessage_deflate_is_negotiated_end_to_end(self):
        async def story(to_app):
            async with to_app(compression="deflate") as socket:
                self.assertEqual([PerMessageDeflate],
                                 [type(one) for one in socket.protocol.extensions])
                for message in ("a" * BIG, incompressible(BIG // 4), "short", "a" * BIG):
                    await socket.send(message)
                    self.assertEqual(digest(message), digest(await socket.recv()))
        self._each_way(story, max_size=None, compression="deflate")

    def test_a_slow_reader_holds_the_sender_and_loses_nothing(self):
        part, standing_max, count = self._much()
        sent = [0]

        async def handler(socket):
            for _ in range(count):
                await socket.send(part)
                sent[0] += 1

        async def story(to_app):
            sent[0] = 0
            async with to_app(compression=None, max_queue=1) as socket:
                # The first ones are on their way, then the sender stands still.
                self.assertLess(await self._standing(sent), standing_max)
                for _ in range(count):
                    self.assertEqual(digest(part), digest(await socket.recv()))
        self._each_way(story, handler, compression=None)

    def test_a_slow_server_holds_the_caller_and_loses_nothing(self):
        part, standing_max, count = self._much()
        may_read = threading.Event()

        async def handler(socket):
            await asyncio.to_thread(may_read.wait, 60)
            for _ in range(count):
                if digest(await socket.recv()) != digest(part):
                    return await socket.send("other bytes")
            await socket.send("all there")

        async def story(to_app):
            may_read.clear()
            sent = [0]
            async with to_app(compression=None) as socket:
                async def send():
                    for _ in range(count):
                        await socket.send(part)
                        sent[0] += 1
                sending = asyncio.create_task(send())
                self.assertLess(await self._standing(sent), standing_max)
                may_read.set()
                await sending
                self.assertEqual("all there", await socket.recv())
        self._each_way(story, handler, compression=None, max_queue=1)

    def test_200_at_once(self):
        async def story(to_app):
            sockets = await asyncio.gather(
                *(to_app(f"/{number}", open_timeout=60) for number in range(200)))
            for turn in range(3):
                await asyncio.gather(*(
                    socket.send(f"{turn} of {number}") for number, socket in enumerate(sockets)))
                self.assertEqual([f"{turn} of {number}" for number in range(200)],
                                 await asyncio.gather(*(socket.recv() for socket in sockets)))
            await asyncio.gather(*(socket.close() for socket in sockets))
        self._each_way(story)

    def test_a_refusal_reaches_the_client_as_it_is(self):
        def refuse(connection, request):
            return connection.respond(http.HTTPStatus.FORBIDDEN, "not you\n")

        async def story(to_app):
            with self.assertRaises(InvalidStatus) as raised:
                await to_app()
            response = raised.exception.response
            self.assertEqual((403, b"not you\n"), (response.status_code, response.body))
        self._each_way(story, process_request=refuse)

    def test_the_proxies_count_and_log_a_websocket_as_one_exchange(self):
        app = WebSocketApp()
        self.addCleanup(app.stop)
        authority = self.authority()
        orders = self.inbound_proxy(app, authority.issue("orders"), authority, accessLog="all")
        web = self.outbound_proxy(
            [snapshots.service("orders", [snapshots.route("orders", "orders.default")])],
            [snapshots.cluster("orders.default", orders.port("inbound"),
                               identities=[authority.spiffe_id("orders")])],
            authority.issue("web"), authority, accessLog="all")

        async def talk():
            async with connect("ws://orders/", host="127.0.0.1", port=web.port("outbound"),
                               proxy=None) as socket:
                await socket.send("x" * 100)
                await socket.recv()
        asyncio.run(talk())
        for proxy in (web, orders):
            lines = eventually(
                lambda proxy=proxy: [line for line in proxy.logged() if line.get("status") == 101],
                f"{proxy.name} logs the WebSocket")
            self.assertEqual(1, len(lines))
