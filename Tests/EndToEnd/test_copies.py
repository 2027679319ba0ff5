"""Requests that are sent a second time beside the first one: hedges of slow ones, and mirrors."""

import contextlib
import hashlib
import threading

from harness import snapshots
from harness.app import named
from harness.case import EndToEndCase
from harness.client import RawClient, request
from harness.streams import StreamServer
from localmesh.load import Load
from localmesh.waiting import eventually, unchanged

#: In turn, so that a request of two is sure to meet the slow endpoint first.
IN_TURN = {"algorithm": "roundRobin"}
UNBOUNDED = {"share": "100%", "perSecond": 10_000}


class Hedges(EndToEndCase):
    HEDGE = {"hedge": {"delay": "50ms"}}

    def setUp(self):
        super().setUp()
        self.release = threading.Event()
        self.addCleanup(self.release.set)

    def held(self, exchange):
        """Answers when the test is over, which is too late."""
        exchange.read_body()
        self.release.wait(60)
        with contextlib.suppress(OSError):
            exchange.reply(200, b"slow")

    def pair(self, retry=None, **cluster):
        slow, quick = self.app(self.held), self.app(named("quick"))
        proxy = self.outbound_proxy(
            [snapshots.service("orders", [snapshots.route(
                "orders", "o", retry=retry or self.HEDGE)])],
            [snapshots.cluster("o", slow.port, quick.port, balancing=IN_TURN,
                               outlierDetection="none", **{"retryBudget": UNBOUNDED, **cluster})])
        return slow, quick, proxy

    def test_what_the_slow_endpoint_was_asked_the_hedge_answers(self):
        slow, quick, proxy = self.pair()
        # Ends when the proxy ends the connection, for nothing else arrives.
        slow.handler = lambda exchange: self.assertEqual(b"", exchange.socket.recv(1))
        with RawClient(proxy.port("outbound"), timeout=20) as client:
            for method in ("GET", "HEAD", "OPTIONS") * 10:
                self.assertEqual(200, client.exchange(request(method, "orders")).status)
        self.assertGreater(len(slow.requests), 0)
        metrics = proxy.admin.metrics()
        self.assertEqual(len(slow.requests), metrics.sum("mesh_hedges_won_total"))
        eventually(lambda: slow.connections_open() == 0, "what lost is given up", 10)
        eventually(lambda: proxy.admin.metrics().sum("mesh_requests_active") == 0, "nothing runs")

    def test_who_may_change_something_is_asked_once(self):
        slow, quick, proxy = self.pair()
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(RawClient(proxy.port("outbound"), timeout=30))
                       for _ in range(8)]
            for number, client in enumerate(clients):
                client.send(request(("POST", "PUT", "DELETE", "PATCH")[number % 4], "orders",
                                    "/", f"X-Id: {number}", body=b"x"))
            eventually(lambda: len(slow.requests) + len(quick.requests) == 8, "all are asked")
            self.assertGreater(len(slow.requests), 0)
            # A safe one, begun later, is hedged: so the others' time has come and gone.
            with RawClient(proxy.port("outbound"), timeout=20) as later:
                eventually(lambda: later.get("orders").status == 200 and
                           proxy.admin.metrics().sum("mesh_hedges_total") > 0, "one is hedged")
            self.release.set()
            for client in clients:
                self.assertEqual(200, client.response("POST").status)
        ids = [value for app in (slow, quick) for seen in app.requests
               for value in seen.values("X-Id")]
        self.assertEqual([str(number) for number in range(8)], sorted(ids))

    def test_the_budget_bounds_them(self):
        # 10 % of what is asked, no floor: a mesh that is slow as a whole does not get twice the load.
        slow, quick, proxy = self.pair(
            retryBudget={"share": "10%", "perSecond": 0, "window": "1m"})
        quick.handler = lambda exchange: (exchange.read_body(), threading.Event().wait(0.15),
                                          exchange.reply(200, b"late"))
        slow.handler = quick.handler
        with Load(proxy.port("outbound"), "orders", clients=16) as load:
            load.wait_for(400, 60)
        self.assertNoFailures(load)
        metrics = proxy.admin.metrics()
        hedges = metrics.sum("mesh_hedges_total")
        print(f"      {hedges:.0f} hedges of {load.count()} requests")
        self.assertGreater(hedges, 0.03 * load.count())
        self.assertLessEqual(hedges, 0.1 * load.count() + 1)
        self.assertGreater(metrics.sum("mesh_retries_refused_total", reason="hedge_budget"), 0)


class Mirrors(EndToEndCase):
    def mirrored(self, *mirrors):
        """(app, proxy): each of `mirrors` is (cluster, share)."""
        app = self.app(lambda exchange: exchange.reply(
            200, hashlib.sha256(exchange.read_body()).hexdigest().encode()))
        proxy = self.outbound_proxy(
            [snapshots.service("orders", [snapshots.route("orders", "o", filters={"mirrors": [
                {"cluster": cluster["name"], "share": share} for cluster, share in mirrors]})])],
            [snapshots.cluster("o", app.port), *(cluster for cluster, _ in mirrors)])
        return app, proxy

    def assertUnharmed(self, app, proxy, count=200):
        """Every caller is answered, none waits, and the application is asked once for each."""
        body = b"x" * 5_000
        expected = hashlib.sha256(body).hexdigest().encode()
        with Load(proxy.port("outbound"), "orders", clients=8, method="POST", body=body) as load:
            load.wait_for(count, 60)
        self.assertNoFailures(load)
        self.assertEqual({expected}, {outcome.body for outcome in load.outcomes()})
        self.assertEqual(load.count(), len(app.requests))
        metrics = proxy.admin.metrics()
        self.assertEqual(load.count(), metrics.sum("http_requests_total", status="200"))
        self.assertEqual(0, metrics.sum("mesh_retries_total"))
        return load

    def test_a_share_of_the_requests_is_copied(self):
        first, second = self.app(), self.app()
        app, proxy = self.mirrored(
            (snapshots.cluster("a", first.port), "25%"), (snapshots.cluster("b", second.port), "100%"))
        with RawClient(proxy.port("outbound")) as client:
            for _ in range(800):
                self.assertEqual(200, client.get("orders").status)
        second.wait_for_requests(800)
        # Five times the deviation of chance; and the copies are not copied.
        self.assertAlmostEqual(200, unchanged(lambda: len(first.requests), "copies arrive"), delta=61)
        self.assertEqual((800, 800), (len(app.requests), len(second.requests)))

    def test_a_copy_arrives_whole(self):
        mirror = self.app()
        bodies, lock = [], threading.Lock()

        def keep(exchange):
            body = exchange.read_body()
            with lock:
                bodies.append((exchange.request.value("X-Hash"), hashlib.sha256(body).hexdigest()))
            exchange.reply(500, b"its answer is nobody's")
        mirror.handler = keep
        app, proxy = self.mirrored((snapshots.cluster("m", mirror.port), "100%"))
        sizes = (0, 1, 1_000, 16_384, 40_000)
        with RawClient(proxy.port("outbound"), timeout=20) as client:
            for size in sizes * 4:
                body = bytes([size % 251]) * size
                digest = hashlib.sha256(body).hexdigest()
                answer = client.exchange(request("PUT", "orders", "/", f"X-Hash: {digest}", body=body))
                self.assertEqual((200, digest.encode()), (answer.status, answer.body))
        eventually(lambda: len(bodies) == 4 * len(sizes), "every copy arrives")
        for sent, arrived in bodies:
            self.assertEqual(sent, arrived)

    def test_a_mirror_that_is_dead_changes_nothing(self):
        dead = self.app()
        dead.stop()
        app, proxy = self.mirrored((snapshots.cluster("m", dead.port), "100%"))
        self.assertUnharmed(app, proxy)

    def test_a_mirror_that_accepts_and_never_reads_changes_nothing(self):
        over = threading.Event()
        self.addCleanup(over.set)
        hole = StreamServer(lambda connection: over.wait(60))
        self.addCleanup(hole.stop)
        # So few at once that the copies have nowhere to go.
        app, proxy = self.mirrored((snapshots.cluster(
            "m", hole.port, limits={"connections": 2, "pendingRequests": 2, "requests": 4}), "100%"))
        load = self.assertUnharmed(app, proxy)
        dropped = proxy.admin.metrics().sum("mesh_mirrors_dropped_total")
        self.assertGreater(dropped, load.count() / 2)

    def test_a_mirror_without_endpoints_changes_nothing(self):
        app, proxy = self.mirrored((snapshots.cluster("m"), "100%"))
        load = self.assertUnharmed(app, proxy)
        self.assertEqual(load.count(), proxy.admin.metrics().sum(
            "mesh_mirrors_dropped_total", reason="no_endpoint"))
