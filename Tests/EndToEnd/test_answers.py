"""What a route answers itself or changes: the end of an API version, CORS, redirects, rewrites, and what is
left when nobody is."""

import datetime
import email.utils
import json
import time

from harness import snapshots
from harness.app import named
from harness.case import EndToEndCase
from harness.client import RawClient, request

DAY = 24 * 3600


class RouteCase(EndToEndCase):
    def with_filters(self, match=None, **filters):
        """(app, client) of a proxy whose one route has these filters; a redirect leads nowhere else."""
        app = self.app()
        route = snapshots.route("orders", "o", match=match, filters=filters)
        if "redirect" in filters:
            route["backends"] = []
        proxy = self.outbound_proxy(
            [snapshots.service("orders", [route])], [snapshots.cluster("o", app.port)])
        return app, self.client(proxy)

    def client(self, proxy):
        client = RawClient(proxy.port("outbound"))
        self.addCleanup(client.socket.close)
        return client


class Lifecycle(RouteCase):
    LINK = "https://docs.example/orders/v2"

    def test_a_deprecated_version_says_so_and_when_it_ends(self):
        now = int(time.time())
        sunset = now + 30 * DAY
        app, client = self.with_filters(
            lifecycle={"deprecation": now - DAY, "sunset": sunset, "link": self.LINK})
        # The application's own dates would contradict it; its own links are about other things.
        app.handler = lambda exchange: (exchange.read_body(), exchange.reply(
            200, b"v1", "Sunset: Sat, 31 Dec 2050 23:59:59 GMT", 'Link: </next>; rel="next"'))
        answer = client.get("orders")
        self.assertEqual((200, b"v1"), (answer.status, answer.body))
        # RFC 9745 §2.1: a date of structured fields. RFC 8594 §3: an HTTP date.
        self.assertEqual(f"@{now - DAY}", answer.value("Deprecation"))
        said = email.utils.parsedate_to_datetime(answer.value("Sunset"))
        self.assertEqual(datetime.datetime.fromtimestamp(sunset, datetime.timezone.utc), said)
        links = ", ".join(answer.values("Link"))
        self.assertIn('</next>; rel="next"', links)
        self.assertIn(f'<{self.LINK}>; rel="deprecation sunset"', links)

    def test_from_the_sunset_on_it_is_gone_and_the_application_is_not_asked(self):
        now = int(time.time())
        app, client = self.with_filters(
            lifecycle={"deprecation": now - 2 * DAY, "sunset": now - DAY, "link": self.LINK})
        for method in ("GET", "POST"):
            answer = client.exchange(request(method, "orders", body=b"x" if method == "POST" else None))
            self.assertEqual(410, answer.status)
            self.assertEqual("sunset", json.loads(answer.body)["title"])
            self.assertTrue(answer.value("Sunset"))
            self.assertIn(self.LINK, ", ".join(answer.values("Link")))
        self.assertEqual([], app.requests)

    def test_it_ends_in_the_second_it_says_without_a_change_of_the_configuration(self):
        sunset = int(time.time()) + 3
        app, client = self.with_filters(lifecycle={"sunset": sunset})
        seen = []
        while time.time() < sunset + 1 and 410 not in seen:
            before = time.time()
            status = client.get("orders").status
            seen.append(status)
            if status == 410:
                self.assertGreaterEqual(time.time(), sunset)
            elif before >= sunset + 0.1:
                self.fail("it outlives its end")
        self.assertEqual({200, 410}, set(seen))


class CORS(RouteCase):
    POLICY = {"allowOrigins": ["https://shop.example", "https://*.partners.example"],
              "allowMethods": ["GET", "PUT"], "allowHeaders": ["Content-Type"],
              "exposeHeaders": ["X-Total"], "allowCredentials": True, "maxAge": "10m"}

    def preflight(self, client, origin, method="PUT"):
        return client.exchange(request(
            "OPTIONS", "orders", "/x", f"Origin: {origin}",
            f"Access-Control-Request-Method: {method}",
            "Access-Control-Request-Headers: content-type"))

    def test_a_preflight_is_answered_and_not_passed_on(self):
        app, client = self.with_filters(cors=self.POLICY)
        for origin in ("https://shop.example", "https://a.partners.example"):
            answer = self.preflight(client, origin)
            self.assertIn(answer.status, (200, 204))
            self.assertEqual(origin, answer.value("Access-Control-Allow-Origin"))
            self.assertEqual("GET, PUT", answer.value("Access-Control-Allow-Methods"))
            self.assertEqual("Content-Type", answer.value("Access-Control-Allow-Headers"))
            self.assertEqual("true", answer.value("Access-Control-Allow-Credentials"))
            self.assertEqual("600", answer.value("Access-Control-Max-Age"))
        for origin in ("https://shop.example.evil", "http://shop.example", "null",
                       "https://partners.example", "https://evil/.partners.example"):
            answer = self.preflight(client, origin)
            self.assertIsNone(answer.value("Access-Control-Allow-Origin"), origin)
            self.assertIn("Origin", ", ".join(answer.values("Vary")))
        self.assertEqual([], app.requests)

    def test_an_answer_tells_its_origin_whatever_the_application_says(self):
        app, client = self.with_filters(cors=self.POLICY)
        app.handler = lambda exchange: (exchange.read_body(), exchange.reply(
            200, b"ok", "Access-Control-Allow-Origin: *", "Vary: Accept"))
        answer = client.get("orders", "/", "Origin: https://shop.example")
        self.assertEqual("https://shop.example", answer.value("Access-Control-Allow-Origin"))
        self.assertEqual("X-Total", answer.value("Access-Control-Expose-Headers"))
        self.assertIn("Accept", ", ".join(answer.values("Vary")))
        self.assertIn("Origin", ", ".join(answer.values("Vary")))
        other = client.get("orders", "/", "Origin: https://evil.example")
        # It is served; its browser keeps the answer from the page.
        self.assertEqual(200, other.status)
        self.assertNotIn("https://evil.example", other.values("Access-Control-Allow-Origin"))

    def test_options_that_is_no_preflight_is_the_applications(self):
        app, client = self.with_filters(cors=self.POLICY)
        self.assertEqual(200, client.exchange(request("OPTIONS", "orders", "/x")).status)
        self.assertEqual(1, len(app.requests))


class Elsewhere(RouteCase):
    def test_a_redirect_says_where_and_keeps_the_query(self):
        _, client = self.with_filters(
            {"path": {"prefix": "/basket"}},
            redirect={"scheme": "https", "hostname": "shop.example", "port": 8443, "status": 308,
                      "path": {"prefix": "/shop/basket"}})
        for target, location in (
                ("/basket/7?a=b&c=%20d", "https://shop.example:8443/shop/basket/7?a=b&c=%20d"),
                ("/basket", "https://shop.example:8443/shop/basket")):
            answer = client.get("orders", target)
            self.assertEqual((308, location), (answer.status, answer.value("Location")))
        self.assertEqual(404, client.get("orders", "/baskets").status)

    def test_a_rewrite_changes_what_the_application_sees(self):
        app, client = self.with_filters(
            {"path": {"prefix": "/shop"}},
            rewrite={"hostname": "internal.example", "path": {"prefix": "/"}},
            requestHeaders={"set": [{"name": "X-Channel", "value": "shop"}],
                            "add": [{"name": "X-Via", "value": "mesh"}], "remove": ["x-internal"]},
            responseHeaders={"set": [{"name": "Cache-Control", "value": "no-store"}]})
        answer = client.get("orders", "/shop/a%2Fb?q=1", "X-Channel: other", "X-Via: me",
                            "X-Internal: 1")
        self.assertEqual("no-store", answer.value("Cache-Control"))
        seen = app.requests[0]
        self.assertEqual(("/a%2Fb?q=1", "internal.example"), (seen.target, seen.value("Host")))
        self.assertEqual(["shop"], seen.values("X-Channel"))
        self.assertEqual(["me", "mesh"], seen.values("X-Via"))
        self.assertEqual([], seen.values("X-Internal"))
        client.get("orders", "/shop")
        self.assertEqual("/", app.requests[1].target)


class Fallback(RouteCase):
    RESPONSE = {"status": 203, "contentType": "text/plain", "body": "please try again"}
    #: Out after one failure, and for as long as the test takes.
    OUT = {"consecutiveFailures": 1, "ejection": "1m", "ejectionMax": "1m", "panicBelow": "0%",
           "ejectedMax": "100%"}

    def proxy_with_fallback(self, fallback, ports, other):
        return self.outbound_proxy(
            [snapshots.service("orders", [snapshots.route("orders", "o", fallback=fallback)])],
            [snapshots.cluster("o", *ports, outlierDetection=self.OUT),
             snapshots.cluster("other", *other)])

    def test_the_other_backend_is_asked_when_no_endpoint_is_left(self):
        apps, other = [self.app(named("own")) for _ in range(2)], self.app(named("other"))
        proxy = self.proxy_with_fallback(
            {"cluster": "other"}, [app.port for app in apps], [other.port])
        client = self.client(proxy)
        self.assertEqual(b"own", client.get("orders").body)
        self.assertEqual([], other.requests)
        for app in apps:
            app.stop()
        answers = [client.get("orders") for _ in range(20)]
        # Nobody notices but in what it says: what could not be sent is sent there, too.
        self.assertEqual([200] * 10, [answer.status for answer in answers[-10:]])
        self.assertEqual({b"other"}, {answer.body for answer in answers[-10:]})
        self.assertGreaterEqual(
            proxy.admin.metrics().sum("mesh_fallbacks_total", kind="cluster"), 10)

    def test_the_response_is_given_when_there_is_no_backend(self):
        for name, fallback in (("alone", {"response": self.RESPONSE}),
                               ("after a backend", {"cluster": "other", "response": self.RESPONSE})):
            with self.subTest(name):
                client = self.client(self.proxy_with_fallback(fallback, [], []))
                for method in ("GET", "HEAD", "POST"):
                    answer = client.exchange(request(
                        method, "orders", body=b"x" if method == "POST" else None))
                    self.assertEqual(203, answer.status)
                    self.assertEqual("text/plain", answer.value("Content-Type"))
                    self.assertEqual(
                        b"" if method == "HEAD" else b"please try again", answer.body)
