"""Rate limits: by what they count, in all workers together, and what a caller over one is told."""

import collections
import contextlib
import http.client
import itertools
import re

from harness import snapshots
from harness.case import EndToEndCase
from harness.client import RawClient, request
from localmesh.waiting import eventually

#: Far too long for a token to come back during a test, so that counts are exact.
PERIOD = "24h"


def limit(name, requests, **more):
    return {"name": name, "requests": requests, "period": PERIOD, **more}


class RateLimits(EndToEndCase):
    def limited(self, *routes, workers=4):
        """(app, proxy): each of `routes` is the fields of one; all lead to the app."""
        app = self.app()
        return app, self.outbound_proxy(
            [snapshots.service("orders", [
                snapshots.route(f"orders/{number}", "o", **fields)
                for number, fields in enumerate(routes)])],
            [snapshots.cluster("o", app.port)], workers=workers)

    @contextlib.contextmanager
    def clients(self, proxy, count=16):
        """So many that every worker has some, in turn."""
        with contextlib.ExitStack() as stack:
            yield itertools.cycle([
                stack.enter_context(RawClient(proxy.port("outbound"))) for _ in range(count)])

    def allowed(self, answers):
        """How many were; the others are refused for being too many."""
        counts = collections.Counter(answer.status for answer in answers)
        self.assertLessEqual(set(counts), {200, 429})
        return counts[200]

    def test_a_limit_is_exact_over_all_workers(self):
        app, proxy = self.limited({"rateLimits": [limit("everybody", 37)]})
        with self.clients(proxy) as turns:
            answers = [next(turns).get("orders") for _ in range(120)]
        self.assertEqual([200] * 37 + [429] * 83, [answer.status for answer in answers])
        self.assertEqual(37, len(app.requests))
        metrics = proxy.admin.metrics()
        self.assertEqual(83, metrics.sum("mesh_rate_limited_total"))
        self.assertEqual(83, metrics.sum("mesh_local_replies_total", cause="rate_limited"))

    def test_who_is_over_a_limit_is_told_which_and_when_to_come_back(self):
        _, proxy = self.limited({"rateLimits": [
            {"name": "each-hour", "requests": 10, "period": "1h", "burst": 2}]})
        with RawClient(proxy.port("outbound")) as client:
            for _ in range(2):
                self.assertEqual(200, client.get("orders").status)
            refused = client.get("orders")
            again = client.get("orders")
        self.assertEqual((429, 429), (refused.status, again.status))
        self.assertEqual("application/problem+json", refused.value("Content-Type"))
        self.assertIn(b'"title":"rate_limited"', refused.body)
        # One every six minutes, and as long again for the other one of the bucket.
        self.assertAlmostEqual(360, int(refused.value("Retry-After")), delta=5)
        self.assertEqual('"each-hour";q=10;w=3600', refused.value("RateLimit-Policy"))
        said = re.fullmatch(r'"each-hour";r=0;t=(\d+)', refused.value("RateLimit"))
        self.assertTrue(said, refused.value("RateLimit"))
        self.assertAlmostEqual(720, int(said.group(1)), delta=5)

    def test_tokens_come_back(self):
        _, proxy = self.limited({"rateLimits": [
            {"name": "quick", "requests": 2, "period": "500ms"}]})
        with RawClient(proxy.port("outbound")) as client:
            eventually(lambda: client.get("orders").status == 429, "the bucket is empty")
            eventually(lambda: client.get("orders").status == 200, "a token is back", 5)

    def test_each_value_of_a_field_has_its_own_and_those_without_share_one(self):
        _, proxy = self.limited({"rateLimits": [limit("each-user", 5, key={"header": "x-user"})]})
        with self.clients(proxy) as turns:
            for user in ("X-User: anna", "X-User: ben", "x-user: anna2", "X-Other: anna"):
                answers = [next(turns).get("orders", "/", user) for _ in range(12)]
                self.assertEqual(5, self.allowed(answers), user)
            self.assertEqual(429, next(turns).get("orders", "/").status)

    def test_each_address_has_its_own(self):
        _, proxy = self.limited({"rateLimits": [limit("each-address", 3, key="address")]})
        counts = collections.Counter()
        for address, _ in itertools.product(("127.0.0.1", "127.0.0.9"), range(7)):
            connection = http.client.HTTPConnection(
                "127.0.0.1", proxy.port("outbound"), source_address=(address, 0), timeout=10)
            with contextlib.closing(connection):
                connection.request("GET", "/", headers={"Host": "orders"})
                counts[address, connection.getresponse().status] += 1
        for address in ("127.0.0.1", "127.0.0.9"):
            self.assertEqual((3, 4), (counts[address, 200], counts[address, 429]))

    def test_only_what_matches_is_counted(self):
        _, proxy = self.limited({"rateLimits": [
            limit("writes", 4, matches=[{"method": "POST"}, {"path": {"prefix": "/admin"}}])]})
        with self.clients(proxy) as turns:
            for _ in range(20):
                self.assertEqual(200, next(turns).get("orders", "/").status)
            writes = [next(turns).exchange(request("POST", "orders", body=b"x")) for _ in range(3)]
            self.assertEqual(3, self.allowed(writes))
            admin = [next(turns).get("orders", "/admin/x") for _ in range(3)]
            self.assertEqual(1, self.allowed(admin))

    def test_a_limit_of_one_name_is_one_limit_of_all_routes_and_others_are_their_own(self):
        common = limit("all-of-orders", 10)
        _, proxy = self.limited(
            {"match": {"path": {"prefix": "/a"}}, "rateLimits": [common, limit("of-a", 2)]},
            {"match": {"path": {"prefix": "/b"}}, "rateLimits": [common]},
            {"match": {"path": {"prefix": "/free"}}})
        with self.clients(proxy) as turns:
            of_a = [next(turns).get("orders", "/a") for _ in range(5)]
            self.assertEqual(2, self.allowed(of_a))
            # Those of /a took from the common one before their own refused them.
            of_b = [next(turns).get("orders", "/b") for _ in range(12)]
            self.assertEqual(10 - 5, self.allowed(of_b))
            self.assertEqual(12, self.allowed(
                [next(turns).get("orders", "/free") for _ in range(12)]))

    def test_each_caller_is_known_by_its_certificate_and_has_its_own(self):
        app, authority = self.app(), self.authority()
        orders = self.inbound_proxy(
            app, authority.issue("orders"), authority, workers=2,
            inbound={"rateLimits": [limit("each-caller", 6, key="caller")]})
        for name, proxies in (("web", 2), ("shop", 1)):
            certificate = authority.issue(name)
            answers = []
            for _ in range(proxies):
                caller = self.outbound_proxy(
                    [snapshots.service("orders", [snapshots.route("orders", "orders.default")])],
                    [snapshots.cluster("orders.default", orders.port("inbound"),
                                       identities=[authority.spiffe_id("orders")])],
                    certificate, authority, name=name)
                with RawClient(caller.port("outbound")) as client:
                    # It cannot pass for somebody else.
                    answers += [client.get("orders", "/", f"X-Caller: {number}", "By: me")
                                for number in range(5)]
            self.assertEqual(min(6, len(answers)), self.allowed(answers), name)
            last = answers[-1]
            if last.status == 429:
                self.assertTrue(last.value("RateLimit-Policy").startswith('"each-caller";q='))
                self.assertTrue(last.value("Retry-After"))

    def test_a_refusal_is_not_repeated_and_says_nothing_against_the_endpoint(self):
        app, authority = self.app(), self.authority()
        orders = self.inbound_proxy(
            app, authority.issue("orders"), authority,
            inbound={"rateLimits": [limit("few", 3)]})
        web = self.outbound_proxy(
            [snapshots.service("orders", [snapshots.route(
                "orders", "orders.default", retry={"statuses": [503], "conditions": ["reset"]})])],
            [snapshots.cluster("orders.default", orders.port("inbound"),
                               identities=[authority.spiffe_id("orders")])],
            authority.issue("web"), authority)
        with RawClient(web.port("outbound")) as client:
            self.assertEqual(3, self.allowed([client.get("orders") for _ in range(40)]))
        metrics = web.admin.metrics()
        self.assertEqual(0, metrics.sum("mesh_retries_total"))
        self.assertEqual(0, metrics.sum("mesh_endpoint_ejections_total"))
        self.assertEqual(37, orders.admin.metrics().sum("mesh_rate_limited_total"))
