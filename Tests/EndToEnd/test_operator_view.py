"""What an operator sees of traffic policy at the admin port: endpoints' standing, running requests."""

import threading

from harness import snapshots
from harness.app import named
from harness.case import EndToEndCase
from harness.client import RawClient, request
from localmesh.load import Load
from localmesh.waiting import eventually


def failing(exchange):
    exchange.read_body()
    exchange.reply(500, b"broken")


class Endpoints(EndToEndCase):
    def test_the_table_and_clusters_show_what_is_out_by_worker(self):
        good, bad = self.app(named("good")), self.app(failing)
        cluster = snapshots.cluster("o", good.port, bad.port)
        proxy = self.outbound_proxy(
            [snapshots.service("orders", [snapshots.route("orders", "o")])], [cluster], workers=2)

        def endpoints():
            [cluster] = proxy.admin.json("/clusters")
            return {endpoint["address"]: endpoint for endpoint in cluster["endpoints"]}
        address = f"127.0.0.1:{bad.port}"
        self.assertEqual("healthy", endpoints()[address]["standing"])
        self.assertIn("no endpoint is out", proxy.admin.request("GET", "/endpoints")[1].decode())
        with Load(proxy.port("outbound"), "orders", clients=8):
            eventually(lambda: endpoints()[address]["standing"] == "ejected", "it is shown as out")
            views = endpoints()[address]["workers"]
            self.assertEqual([0, 1], [view["worker"] for view in views])
            out = next(view for view in views if view["standing"] == "ejected")
            self.assertIn(out["cause"], ("consecutive-failures", "success-rate", "probe"))
            self.assertGreater(out["failures"], 0)
            self.assertGreaterEqual(out["outMilliseconds"], 0)
            self.assertLessEqual(out["ejectedMilliseconds"], 8000)

            def first_lines():
                return proxy.admin.request("GET", "/endpoints")[1].decode().splitlines()[:6]
            lines = eventually(
                lambda: next((said for said in [first_lines()] if "ejected" in said[-1]), None),
                "the table begins with it")
        self.assertEqual("1 OUT, first below", lines[0])
        self.assertIn("1 of 2 endpoints out", lines[2])
        self.assertRegex(lines[-1], rf"ejected +{address} +\d .*out for [\d.]+ s: .* probes it in")


class Running(EndToEndCase):
    def test_a_request_that_hangs_is_explained_at_both_proxies(self):
        begun, release = threading.Event(), threading.Event()
        self.addCleanup(release.set)

        def held(exchange):
            exchange.read_body()
            begun.set()
            release.wait(30)
            exchange.reply(200, b"late")
        _, web, orders = self.two_hops(held)
        with RawClient(web.port("outbound"), timeout=30) as client:
            client.send(request(
                "GET", "orders", "/slow?secret=1", "X-Request-Id: stuck-1", "mesh-timeout: 20000"))
            self.assertTrue(begun.wait(10))
            for proxy in (web, orders):
                [said] = proxy.admin.json("/explain?request-id=stuck-1&format=json")
                self.assertTrue(said["isRunning"])
                self.assertEqual("waitingForResponse", said["step"])
                self.assertEqual((0, 1), (said["status"], said["attemptCount"]))
                self.assertGreater(said["durationNanoseconds"], 0)
                self.assertIsNotNone(said["decisions"])
            text = web.admin.request("GET", "/explain?request-id=stuck-1")[1].decode()
            self.assertRegex(text, r"(?m)^running +for [\d.]+ ms, waiting for the response; ")
            self.assertRegex(text, r"(?m)^attempt 1 .* so far$")
            self.assertNotIn("secret", text)
            release.set()
            self.assertEqual(200, client.response("GET").status)

        def ended():
            [said] = web.admin.json("/explain?request-id=stuck-1&format=json")
            return not said["isRunning"] and said["status"] == 200
        eventually(ended, "it is told as one that has ended")
