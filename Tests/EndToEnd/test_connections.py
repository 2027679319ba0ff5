"""Upstream connections: reuse, stale ones, timeouts, loss of the app, lack of descriptors."""

import threading

from harness import snapshots
from harness.app import echo, named
from harness.case import EndToEndCase
from harness.client import RawClient, request
from localmesh.load import Load
from localmesh.waiting import eventually


class Connections(EndToEndCase):
    def test_upstream_connections_are_reused(self):
        app, proxy = self.plain_hop()
        with RawClient(proxy.port("outbound")) as client:
            for _ in range(50):
                self.assertEqual(200, client.get("orders").status)
        self.assertEqual(1, app.connections_accepted)

    def _dies_on_second_use(self):
        """The first connection answers once, then dies on the next request without a byte: what a
        keep-alive timeout at the app looks like when it meets a request under way."""
        def handler(exchange):
            if exchange.connection_index == 0 and exchange.turn == 1:
                exchange.reset()
            else:
                echo(exchange)
        return self.plain_hop(handler)

    def test_a_get_on_a_stale_connection_is_sent_again(self):
        app, proxy = self._dies_on_second_use()
        with RawClient(proxy.port("outbound")) as client:
            self.assertEqual([200, 200], [client.get("orders").status for _ in range(2)])
        self.assertEqual((3, 2), (len(app.requests), app.connections_accepted))
        self.assertEqual(1, proxy.admin.metrics().sum("mesh_retries_total", direction="outbound"))

    def test_a_post_on_a_stale_connection_is_not_sent_again(self):
        app, proxy = self._dies_on_second_use()
        with RawClient(proxy.port("outbound")) as client:
            self.assertEqual(200, client.get("orders").status)
            response = client.exchange(request("POST", "orders", "/pay", body=b"1000"))
        self.assertIn(response.status, (502, 503))
        self.assertEqual(1, sum(seen.method == "POST" for seen in app.requests))

    def test_a_get_is_not_sent_again_after_a_byte_of_the_answer(self):
        for start in (b"HTTP/1.1 200 O", b"HTTP/1.1 103 Early Hints\r\n\r\n"):
            with self.subTest(start):
                def handler(exchange, start=start):
                    if exchange.turn == 1:
                        exchange.send(start)
                        exchange.close()
                    else:
                        echo(exchange)
                app, proxy = self.plain_hop(handler)
                with RawClient(proxy.port("outbound")) as client:
                    client.get("orders")
                    self.assertEqual(502, client.get("orders").status)
                self.assertEqual(2, len(app.requests))

    def test_idle_connections_the_app_closed_cost_no_request(self):
        app, proxy = self.plain_hop()
        with RawClient(proxy.port("outbound")) as client:
            for _ in range(10):
                self.assertEqual(
                    200, client.exchange(request("POST", "orders", "/", body=b"x")).status)
                app.close_connections()
                eventually(
                    lambda: proxy.admin.metrics().sum("mesh_upstream_connections_active") == 0,
                    "the proxy notices that the idle connection is gone")

    def test_a_request_timeout_is_a_504_and_frees_the_exchange(self):
        never = threading.Event()
        self.addCleanup(never.set)
        app, proxy = self.plain_hop(lambda exchange: never.wait(30), timeouts={"request": "1s"})
        with RawClient(proxy.port("outbound")) as client:
            self.assertEqual(504, client.get("orders").status)
            self.assertGreaterEqual(proxy.admin.metrics().sum("mesh_timeouts_total"), 1)
        self.assertEqual(1, len(app.requests))
        eventually(lambda: proxy.admin.metrics().sum("mesh_requests_active") == 0, "nothing is left")

    def test_a_stalled_answer_ends_at_the_stream_idle_timeout(self):
        never = threading.Event()
        self.addCleanup(never.set)
        def handler(exchange):
            exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
            never.wait(30)
        _, proxy = self.plain_hop(handler, timeouts={"streamIdle": "1s"})
        with RawClient(proxy.port("outbound")) as client:
            with self.assertRaisesRegex(AssertionError, "end of stream|reset"):
                client.get("orders")

    def test_a_head_that_does_not_end_is_a_408(self):
        app, proxy = self.plain_hop(limits={"headTimeout": "200ms"})
        with RawClient(proxy.port("outbound")) as client:
            client.send(b"GET / HTTP/1.1\r\nHost: ord")
            self.assertEqual(408, client.response().status)
            self.assertTrue(client.is_closed())
        self.assertEqual([], app.requests)

    def test_an_idle_downstream_connection_is_closed_without_a_word(self):
        _, proxy = self.plain_hop(limits={"connectionIdle": "1s"})
        with RawClient(proxy.port("outbound")) as client:
            self.assertEqual(200, client.get("orders").status)
            self.assertTrue(client.is_closed())

    def test_an_app_that_died_is_a_503_and_serves_again_when_it_is_back(self):
        app, web, _ = self.two_hops(named("orders"))
        with RawClient(web.port("outbound")) as client:
            self.assertEqual(200, client.get("orders").status)
            app.stop()
            response = client.get("orders")
            self.assertIn(response.status, (502, 503))
            self.assertEqual("application/problem+json", response.value("Content-Type"))
            app.start()
            eventually(lambda: client.get("orders").status == 200, "requests succeed again")

    def test_an_app_that_dies_under_load_fails_only_while_it_is_down(self):
        app, web, _ = self.two_hops(named("orders"))
        with Load(web.port("outbound"), "orders", clients=4) as load:
            load.wait_for(100)
            app.stop()
            eventually(lambda: load.failures(), "some request meets the dead app")
            app.start()
            eventually(
                lambda: not any(o.failed for o in load.outcomes(since=max(0, load.count() - 50))),
                "fifty good answers in a row")
            for outcome in load.failures():
                self.assertIn(outcome.status, (502, 503), outcome)

    def test_a_dead_endpoint_costs_no_request_while_another_lives(self):
        dead, alive = self.app(), self.app(named("alive"))
        dead.stop()
        proxy = self.outbound_proxy(
            [snapshots.service("orders", [snapshots.route("orders", "o")])],
            [snapshots.cluster("o", dead.port, alive.port)])
        with RawClient(proxy.port("outbound")) as client:
            for _ in range(20):
                self.assertEqual(b"alive", client.get("orders").body)

    def test_too_many_running_requests_are_refused_at_once_and_counted(self):
        release = threading.Event()
        self.addCleanup(release.set)
        def handler(exchange):
            release.wait(30)
            exchange.reply(200, b"")
        app, proxy = self.plain_hop(
            handler, cluster={"limits": {"connections": 2, "pendingRequests": 0, "requests": 2}})
        with RawClient(proxy.port("outbound")) as a, RawClient(proxy.port("outbound")) as b, \
                RawClient(proxy.port("outbound")) as c:
            a.send(request("GET", "orders"))
            b.send(request("GET", "orders"))
            app.wait_for_requests(2)
            self.assertEqual(503, c.get("orders").status)
            release.set()
            self.assertEqual([200, 200], [a.response().status, b.response().status])
            self.assertEqual(200, c.get("orders").status)
        self.assertEqual(1, proxy.admin.metrics().sum("mesh_local_replies_total"))


class Descriptors(EndToEndCase):
    LIMIT = 48

    def test_without_descriptors_accepting_pauses_and_recovers(self):
        app = self.app(named("orders"))
        proxy = self.proxy("web", {
            "outbound": snapshots.address(0),
            "mesh": snapshots.mesh(
                "web", [snapshots.service("orders", [snapshots.route("orders", "o")])],
                [snapshots.cluster("o", app.port)])},
            wrapper=("prlimit", f"--nofile={self.LIMIT}:{self.LIMIT}"))
        crowd = []
        try:
            with RawClient(proxy.port("outbound")) as first:
                self.assertEqual(200, first.get("orders").status)
                for _ in range(2 * self.LIMIT):
                    crowd.append(RawClient(proxy.port("outbound")))
                # The connection that already has its upstream goes on although nothing is left.
                self.assertEqual(200, first.get("orders").status)
        finally:
            for client in crowd:
                client.socket.close()
        def serves():
            with RawClient(proxy.port("outbound"), timeout=2) as client:
                return client.get("orders").status == 200
        eventually(serves, "new connections are served again")
        self.assertTrue(proxy.is_running())
        self.assertGreaterEqual(proxy.admin.metrics().sum("mesh_accept_pauses_total"), 1)
