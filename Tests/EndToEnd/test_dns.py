"""Names: endpoints that have one, and the server that tells applications where services are."""

import json
import socket
import threading

from localmesh.waiting import eventually

from harness import dns, snapshots
from harness.app import named
from harness.case import EndToEndCase
from harness.client import RawClient


class PortTwin:
    """Passes connections to another address of the loopback on to an app on its port."""

    def __init__(self, address, port, app_port):
        self._listener = socket.create_server((address, port))
        self._app_port = app_port
        self.accepted = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self):
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            far = socket.create_connection(("127.0.0.1", self._app_port))
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._copy, args=(source, sink), daemon=True).start()

    @staticmethod
    def _copy(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # either end left


class NamedEndpoints(EndToEndCase):
    def setUp(self):
        super().setUp()
        self.server = dns.NameServer(["127.0.0.1"])
        self.addCleanup(self.server.stop)

    def named_proxy(self, port, **more):
        cluster = {"name": "orders.default", "security": "plaintext",
                   "endpoints": [{"name": "orders.example.test", "port": port}]}
        return self.proxy("web", {
            "outbound": snapshots.address(0),
            "dns": {"upstreams": [snapshots.address(self.server.port)], **more},
            "mesh": snapshots.mesh("web", [snapshots.service(
                "orders", [snapshots.route("orders", "orders.default")])], [cluster])})

    def test_traffic_follows_a_name_without_an_error(self):
        old, new = self.app(named("old")), self.app(named("new"))
        twin = PortTwin("127.0.0.2", old.port, new.port)
        self.addCleanup(twin.stop)
        proxy = self.named_proxy(old.port)
        with RawClient(proxy.port("outbound")) as client:
            # The very first request waits for the first answer.
            self.assertEqual(b"old", client.get("orders").body)
            self.server.addresses = ["127.0.0.2"]

            def has_moved():
                response = client.get("orders")
                self.assertEqual(200, response.status)
                return response.body == b"new"
            eventually(has_moved, "the traffic moves to the new address")
            count = len(old.requests)
            for _ in range(50):
                self.assertEqual(b"new", client.get("orders").body)
            self.assertEqual(count, len(old.requests))
        self.assertEqual({"orders.example.test"}, set(self.server.asked))
        self.assertIn(f"127.0.0.2:{old.port}", json.dumps(proxy.admin.json("/clusters")))

    def test_a_name_server_that_fails_changes_nothing(self):
        app = self.app(named("orders"))
        proxy = self.named_proxy(app.port)
        with RawClient(proxy.port("outbound")) as client:
            self.assertEqual(b"orders", client.get("orders").body)
            self.server.code = dns.SERVFAIL
            asked = len(self.server.asked)
            eventually(lambda: len(self.server.asked) > asked + 1, "the name is asked for again")
            for _ in range(20):
                self.assertEqual(b"orders", client.get("orders").body)

    def test_a_name_that_is_not_there_is_a_503_that_says_so(self):
        self.server.code = dns.NXDOMAIN
        proxy = self.named_proxy(1)
        with RawClient(proxy.port("outbound")) as client:
            response = client.get("orders")
        self.assertEqual(503, response.status)
        self.assertIn("urn:mesh:problem:dns", response.body.decode())


class ServiceNames(EndToEndCase):
    def setUp(self):
        super().setUp()
        self.upstream = dns.NameServer(["192.0.2.7"], ttl=77)
        self.addCleanup(self.upstream.stop)
        services = [
            {**snapshots.service("orders", [snapshots.route("orders", "o")]),
             "addresses": ["240.0.0.7", "fd00::7"]},
            snapshots.service("plain", [snapshots.route("plain", "o")])]
        self.port = self.proxy("web", {
            "outbound": snapshots.address(0),
            "dns": {"listen": snapshots.address(0),
                    "upstreams": [snapshots.address(self.upstream.port)]},
            "mesh": snapshots.mesh("web", services, [snapshots.cluster("o")])}).port("dns")

    def test_every_name_of_a_service_has_its_virtual_address(self):
        for name in ("orders", "ORDERS.default", "orders.default.svc",
                     "orders.default.svc.cluster.local"):
            with self.subTest(name):
                answer = dns.ask(self.port, name)
                self.assertEqual((0, ["240.0.0.7"]), (answer.code, answer.addresses))
                self.assertEqual([5], answer.ttls)
        self.assertEqual(["fd00::7"], dns.ask(self.port, "orders", dns.AAAA).addresses)
        self.assertEqual([], self.upstream.asked)

    def test_other_names_are_asked_of_the_machine_s_servers(self):
        for name in ("www.example.test", "plain", "x.orders"):
            with self.subTest(name):
                answer = dns.ask(self.port, name)
                self.assertEqual(["192.0.2.7"], answer.addresses)
                self.assertEqual(([77], 0x4242), (answer.ttls, answer.id))
        self.upstream.code = dns.NXDOMAIN
        self.assertEqual(dns.NXDOMAIN, dns.ask(self.port, "none.example.test").code)

    def test_over_tcp_too(self):
        answers = dns.ask_over_tcp(self.port, "orders", "www.example.test", "orders.default")
        self.assertEqual([["240.0.0.7"], ["192.0.2.7"], ["240.0.0.7"]],
                         [answer.addresses for answer in answers])

    def test_garbage_and_silence_harm_nobody_else(self):
        self.upstream.is_silent = True
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            for number in range(2_000):
                client.sendto(dns.query(f"n{number}.example.test", number=number),
                              ("127.0.0.1", self.port))
                client.sendto(bytes([number & 0xFF]) * (number % 40), ("127.0.0.1", self.port))
        self.assertEqual(["240.0.0.7"], dns.ask(self.port, "orders").addresses)
