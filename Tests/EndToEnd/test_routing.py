"""Routes: which service, which rule, which share."""

import collections
import json

from harness import snapshots
from harness.app import echo, named
from harness.case import EndToEndCase
from harness.client import RawClient, request


class Routing(EndToEndCase):
    def test_a_request_goes_through_both_proxies_to_the_app(self):
        app, web, orders = self.two_hops()
        with RawClient(web.port("outbound")) as client:
            response = client.exchange(request("POST", "orders", "/a?b=c", body=b"hello"))
        self.assertEqual(200, response.status)
        seen = json.loads(response.body)
        self.assertEqual(["POST", "/a?b=c", 5], [seen[k] for k in ("method", "target", "length")])
        self.assertGreaterEqual(orders.admin.metrics().sum("mesh_tls_handshakes_total"), 1)

    def test_every_name_of_a_service_reaches_it_with_or_without_its_port(self):
        _, proxy = self.plain_hop(named("orders"))
        with RawClient(proxy.port("outbound")) as client:
            for name in ("orders", "orders.default", "orders.default.svc",
                         "orders.default.svc.cluster.local", "ORDERS"):
                for host in (name, f"{name}:80"):
                    with self.subTest(host):
                        self.assertEqual(b"orders", client.get(host).body)

    def test_an_absolute_form_target_names_the_service_and_replaces_host(self):
        app, proxy = self.plain_hop()
        with RawClient(proxy.port("outbound")) as client:
            response = client.exchange(request("GET", "ignored", "http://orders/x?y=1"))
        self.assertEqual(200, response.status)
        self.assertEqual(("/x?y=1", "orders"), (app.requests[0].target, app.requests[0].value("Host")))

    def test_a_service_the_workload_may_not_see_is_refused_and_named(self):
        app, proxy = self.plain_hop()
        with RawClient(proxy.port("outbound")) as client:
            for host in ("billing", "orders:81", "orders.other"):
                with self.subTest(host):
                    response = client.get(host)
                    self.assertEqual(404, response.status)
                    self.assertEqual("application/problem+json", response.value("Content-Type"))
        self.assertEqual([], app.requests)

    def test_the_first_rule_that_matches_wins(self):
        apps = {name: self.app(named(name)) for name in ("exact", "method", "header", "prefix", "rest")}
        matches = {
            "exact": {"path": {"exact": "/a"}}, "method": {"method": "PUT"},
            "header": {"headers": [{"name": "x-canary", "value": "yes"}]},
            "prefix": {"path": {"prefix": "/a"}}, "rest": None}
        proxy = self.outbound_proxy(
            [snapshots.service("orders", [
                snapshots.route(f"orders/{i}", name, match)
                for i, (name, match) in enumerate(matches.items())])],
            [snapshots.cluster(name, app.port) for name, app in apps.items()])
        expectations = [
            (("GET", "/a"), "exact"), (("GET", "/a?q=/b"), "exact"), (("PUT", "/b"), "method"),
            (("GET", "/b", "X-Canary: yes"), "header"), (("GET", "/b", "X-Canary: Yes"), "rest"),
            (("GET", "/a/b"), "prefix"), (("GET", "/a/"), "prefix"), (("GET", "/ab"), "rest"),
            (("GET", "/"), "rest")]
        with RawClient(proxy.port("outbound")) as client:
            for (method, path, *fields), expected in expectations:
                with self.subTest(f"{method} {path} {fields}"):
                    response = client.exchange(request(method, "orders", path, *fields))
                    self.assertEqual(expected, response.body.decode())

    def test_no_matching_rule_is_a_404_of_the_proxy(self):
        app = self.app()
        proxy = self.outbound_proxy(
            [snapshots.service("orders", [
                snapshots.route("orders/0", "o", {"path": {"exact": "/only"}})])],
            [snapshots.cluster("o", app.port)])
        with RawClient(proxy.port("outbound")) as client:
            self.assertEqual(404, client.get("orders", "/other").status)

    def test_a_service_without_endpoints_is_a_503_that_says_so(self):
        proxy = self.outbound_proxy(
            [snapshots.service("orders", [snapshots.route("orders", "o")])],
            [snapshots.cluster("o")])
        with RawClient(proxy.port("outbound")) as client:
            response = client.get("orders")
        self.assertEqual(503, response.status)
        self.assertIn("endpoint", response.body.decode().lower())

    def test_weights_hold_to_one_request_in_a_thousand(self):
        weights = {"v1": 900, "v2": 97, "v3": 3, "never": 0}
        apps = {name: self.app(named(name)) for name in weights}
        proxy = self.outbound_proxy(
            [snapshots.service("orders", [snapshots.route("orders", weights)])],
            [snapshots.cluster(name, app.port) for name, app in apps.items()])
        with RawClient(proxy.port("outbound")) as client:
            for _ in range(2):
                counts = collections.Counter(
                    client.get("orders").body.decode() for _ in range(1000))
                for name, weight in weights.items():
                    self.assertLessEqual(abs(counts[name] - weight), 1, f"{name}: {counts}")
                self.assertEqual(0, counts["never"])

    def test_endpoints_of_a_cluster_share_its_requests(self):
        apps = [self.app(named(str(index))) for index in range(3)]
        proxy = self.outbound_proxy(
            [snapshots.service("orders", [snapshots.route("orders", "o")])],
            [snapshots.cluster("o", *[app.port for app in apps])])
        with RawClient(proxy.port("outbound")) as client:
            counts = collections.Counter(client.get("orders").body for _ in range(300))
        self.assertEqual({b"0", b"1", b"2"}, set(counts))

    def test_the_answers_are_counted_by_service_route_and_status(self):
        app, proxy = self.plain_hop(echo)
        with RawClient(proxy.port("outbound")) as client:
            for _ in range(7):
                client.get("orders")
        metrics = proxy.admin.metrics()
        self.assertEqual(7, metrics.sum(
            "http_requests_total", direction="outbound", service="orders.default", status="200"))
        self.assertEqual(7, metrics.sum(
            "http_request_duration_seconds_count", direction="outbound", service="orders.default"))
