"""Start, drain, stop, and `run -- command`."""

import signal
import sys
import threading

from harness import snapshots
from harness.app import named
from harness.case import EndToEndCase
from harness.client import RawClient, request
from localmesh.load import Load
from localmesh.waiting import eventually

#: A command that says when it is there and which signal ended it.
CHILD = """
import signal, sys
def stop(number, frame):
    print("stopped by", number, flush=True)
    sys.exit(7)
signal.signal(signal.SIGTERM, stop)
print("started", flush=True)
signal.pause()
"""


class Start(EndToEndCase):
    def test_who_calls_as_soon_as_the_listener_is_announced_is_served(self):
        app, authority = self.app(), self.authority()
        orders = self.inbound_proxy(app, authority.issue("orders"), authority)
        certificate = authority.issue("web")
        for _ in range(5):
            web = self.proxy("web", {
                "outbound": snapshots.address(0),
                "identity": {"certificateFile": certificate.certificate, "keyFile": certificate.key,
                             "trustBundleFile": authority.bundle},
                "mesh": snapshots.mesh(
                    "web",
                    [snapshots.service("orders", [snapshots.route("orders", "orders.default")])],
                    [snapshots.cluster("orders.default", orders.port("inbound"),
                                       identities=[authority.spiffe_id("orders")])]),
            }, ready=False)
            # The log is read without waiting for "ready".
            with RawClient(web.port("outbound")) as client:
                self.assertEqual(200, client.get("orders", "/").status)


class Drain(EndToEndCase):
    def test_readiness_fails_first_and_running_requests_end_well(self):
        release = threading.Event()
        self.addCleanup(release.set)
        def handler(exchange):
            release.wait(30)
            exchange.reply(200, b"late but whole")
        app, web, orders = self.two_hops(handler)
        with RawClient(web.port("outbound"), timeout=30) as client:
            client.send(request("GET", "orders"))
            app.wait_for_requests(1)
            orders.send(signal.SIGTERM)
            eventually(
                lambda: orders.admin.request("GET", "/ready")[0] == 503, "readiness fails")
            self.assertEqual(200, orders.admin.request("GET", "/live")[0])
            release.set()
            self.assertEqual(b"late but whole", client.response().body)
        self.assertEqual(0, orders.wait())

    def test_one_of_two_endpoints_drains_under_load_without_a_failed_request(self):
        apps, authority = [self.app(named("a")), self.app(named("b"))], self.authority()
        certificate = authority.issue("orders")
        drain = {"gracePeriod": "10s", "propagation": "500ms"}
        servers = [
            self.inbound_proxy(app, certificate, authority, name=f"orders-{index}", drain=drain)
            for index, app in enumerate(apps)]
        web = self.outbound_proxy(
            [snapshots.service("orders", [snapshots.route("orders", "o")])],
            [snapshots.cluster("o", *[server.port("inbound") for server in servers],
                               identities=[authority.spiffe_id("orders")])],
            authority.issue("web"), authority)
        with Load(web.port("outbound"), "orders", clients=6) as load:
            load.wait_for(200)
            servers[0].send(signal.SIGTERM)
            self.assertEqual(0, servers[0].wait())
            load.wait_for(200)
        self.assertNoFailures(load)

    def test_a_caller_that_connected_just_before_the_end_still_gets_its_answer(self):
        orders = self.inbound_proxy(self.app(named("orders")))
        fresh = RawClient(orders.port("inbound"))
        orders.send(signal.SIGTERM)
        def listener_is_closed():
            try:
                RawClient(orders.port("inbound")).socket.close()
                return False
            except ConnectionError:
                return True
        eventually(listener_is_closed, "the listener is closed", 5)
        response = fresh.get("orders")
        self.assertEqual((200, "close"), (response.status, response.value("Connection")))
        self.assertEqual(0, orders.wait())

    def test_the_proxy_in_front_of_the_caller_never_refuses_while_it_drains(self):
        app = self.app(named("orders"))
        web = self.proxy("web", {
            "outbound": snapshots.address(0),
            # An inbound side has peers that must learn of the drain, which gives it its time.
            "inbound": {"listen": snapshots.address(0), "plaintext": True,
                        "application": snapshots.address(app.port)},
            "drain": {"gracePeriod": "10s", "propagation": "1s"},
            "mesh": snapshots.mesh(
                "web", [snapshots.service("orders", [snapshots.route("orders", "o")])],
                [snapshots.cluster("o", app.port)])})
        held = RawClient(web.port("outbound"))
        self.assertEqual(200, held.get("orders").status)
        web.send(signal.SIGTERM)
        eventually(lambda: web.admin.request("GET", "/ready")[0] == 503, "the drain has begun")
        with RawClient(web.port("outbound")) as late:
            self.assertEqual(200, late.get("orders").status)
        response = held.get("orders")
        self.assertEqual((200, "close"), (response.status, response.value("Connection")))
        self.assertTrue(held.is_closed())
        self.assertEqual(0, web.wait())

    def test_post_drain_begins_it_too(self):
        _, proxy = self.plain_hop()
        status, _ = proxy.admin.request("POST", "/drain")
        self.assertIn(status, (200, 202))
        self.assertEqual(0, proxy.wait())

    def test_the_grace_period_ends_what_does_not_end(self):
        never = threading.Event()
        self.addCleanup(never.set)
        app, proxy = self.plain_hop(
            lambda exchange: never.wait(30),
            drain={"gracePeriod": "300ms", "propagation": "100ms"})
        with RawClient(proxy.port("outbound")) as client:
            client.send(request("GET", "orders"))
            app.wait_for_requests(1)
            proxy.send(signal.SIGTERM)
            self.assertEqual(503, client.response().status)
            proxy.wait(5)

    def test_a_peer_that_leaves_an_idle_connection_costs_its_caller_nothing(self):
        _, web, orders = self.two_hops(named("orders"))
        with RawClient(web.port("outbound")) as client:
            client.get("orders")
            orders.stop()
            eventually(lambda: web.admin.metrics().sum("mesh_upstream_connections_active") == 0,
                       "the caller lets go of the connection")
            self.assertEqual(503, client.get("orders").status)
        self.assertTrue(web.is_running())

    def test_a_peer_that_leaves_during_an_exchange_ends_it_and_then_the_connection(self):
        entered, go_on = threading.Event(), threading.Event()

        def slow(exchange):
            exchange.read_body()
            entered.set()
            go_on.wait(20)
            exchange.reply(200, b"late")
        _, web, orders = self.two_hops(slow)
        with RawClient(web.port("outbound")) as client:
            client.send(request("GET", "orders"))
            self.assertTrue(entered.wait(20))
            orders.send(signal.SIGTERM)
            orders.wait_for_log("draining")
            go_on.set()
            self.assertEqual(b"late", client.response().body)
            self.assertEqual(0, orders.wait())
            eventually(lambda: web.admin.metrics().sum("mesh_upstream_connections_active") == 0,
                       "the caller lets go of the connection")
        self.assertTrue(web.is_running())

    def test_a_second_signal_stops_at_once(self):
        never = threading.Event()
        self.addCleanup(never.set)
        app, proxy = self.plain_hop(
            lambda exchange: never.wait(30),
            drain={"gracePeriod": "1h", "propagation": "1h"})
        with RawClient(proxy.port("outbound")) as client:
            client.send(request("GET", "orders"))
            app.wait_for_requests(1)
            proxy.send(signal.SIGTERM)
            eventually(lambda: proxy.admin.request("GET", "/ready")[0] == 503, "the drain begins")
            proxy.send(signal.SIGTERM)
            proxy.wait(5)


class RunCommand(EndToEndCase):
    def _run(self, *command):
        app = self.app()
        return self.proxy("orders", {
            "inbound": {"listen": snapshots.address(0), "plaintext": True,
                        "application": snapshots.address(app.port)},
            "mesh": snapshots.mesh("orders")}, ready=False, command=command)

    def test_it_ends_with_the_exit_status_of_the_command(self):
        for status in (0, 3):
            with self.subTest(status):
                self.assertEqual(status, self._run("sh", "-c", f"exit {status}").wait())

    def test_a_command_killed_by_a_signal_gives_128_and_its_number(self):
        self.assertEqual(128 + 9, self._run("sh", "-c", "kill -9 $$").wait())

    def test_the_command_starts_when_the_proxy_is_ready(self):
        proxy = self._run(sys.executable, "-c", CHILD)
        proxy.wait_for_output(b"started")
        self.assertTrue(proxy.admin.is_ready())
        proxy.wait_for_log("ready")

    def test_signals_reach_the_command_and_its_status_comes_back(self):
        proxy = self._run(sys.executable, "-c", CHILD)
        proxy.wait_for_output(b"started")
        proxy.send(signal.SIGTERM)
        self.assertEqual(7, proxy.wait())
        self.assertIn(b"stopped by 15", proxy.output)

    def test_a_command_that_cannot_start_is_an_error_that_names_it(self):
        proxy = self._run("/no/such/command")
        self.assertEqual(127, proxy.wait())
        self.assertIn("/no/such/command", proxy.tail())


class Admin(EndToEndCase):
    def test_every_endpoint_answers(self):
        _, web, orders = self.two_hops()
        for path in ("/live", "/ready", "/metrics"):
            self.assertEqual(200, web.admin.request("GET", path)[0], path)
        for path in ("/config", "/clusters", "/certs"):
            self.assertTrue(web.admin.json(path), path)
        self.assertIn("/ns/default/sa/orders", str(orders.admin.json("/certs")))
        self.assertEqual(404, web.admin.request("GET", "/nothing")[0])
        self.assertEqual(405, web.admin.request("GET", "/drain")[0])

    def test_no_private_key_is_shown(self):
        _, web, _ = self.two_hops()
        for path in ("/config", "/clusters", "/certs"):
            self.assertNotIn(b"PRIVATE KEY", web.admin.request("GET", path)[1])
