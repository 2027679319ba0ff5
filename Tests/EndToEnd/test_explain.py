"""Why a request went where it went: of one that was seen, by its id, and of one that nobody has sent."""

import json

from harness import snapshots
from harness.app import named
from harness.case import EndToEndCase
from harness.client import RawClient
from harness.policies import PlainMesh, plain_service, traffic_policy
from localmesh import manifests


class Seen(EndToEndCase):
    def setUp(self):
        super().setUp()
        self.app_of = {name: self.app(named(name)) for name in ("a", "b")}
        retry = {"statuses": [503], "attempts": 1, "backoff": {"base": "1ms", "max": "5ms"}}
        self.proxy_under_test = self.outbound_proxy(
            [snapshots.service("orders", [
                snapshots.route("orders/shop", {"a": 3, "b": 1}, {"path": {"prefix": "/shop"}},
                                {"request": "5s"}, retry=retry),
                snapshots.route("orders/few", "a", {"path": {"prefix": "/few"}}, rateLimits=[
                    {"name": "few", "requests": 1, "period": "24h"}]),
                snapshots.route("orders/broken", "a", {"path": {"prefix": "/broken"}}, faults=[
                    {"abort": {"kind": {"status": 501}}}])])],
            [snapshots.cluster(name, app.port) for name, app in self.app_of.items()], workers=3)
        self.client = RawClient(self.proxy_under_test.port("outbound"))
        self.addCleanup(self.client.socket.close)

    def explained(self, path, request_id):
        """(the answer of a request with this id, what is told of it)."""
        answer = self.client.get("orders", path, f"X-Request-Id: {request_id}")
        told = self.proxy_under_test.admin.json(f"/explain?request-id={request_id}&format=json")
        self.assertEqual(1, len(told))
        self.assertEqual((request_id, answer.status), (told[0]["requestID"], told[0]["status"]))
        return answer, told[0]

    def text(self, query):
        status, body = self.proxy_under_test.admin.request("GET", f"/explain?{query}")
        return status, body.decode()

    def test_a_retried_request_tells_its_attempts_route_and_backend(self):
        turns = iter((503, 200))
        app = self.app_of["a"]
        app.handler = lambda exchange: (exchange.read_body(), exchange.reply(next(turns, 200)))
        _, told = self.explained("/shop/x?secret=1", "id-of-a-retry")
        self.assertEqual(2, told["attemptCount"])
        self.assertEqual([503, 200], [attempt["status"] for attempt in told["attempts"]])
        self.assertEqual({f"127.0.0.1:{app.port}"},
                         {attempt["endpoint"] for attempt in told["attempts"]})
        self.assertEqual(("orders.default", "orders/shop", "a", 5_000_000_000), (
            told["service"], told["route"], told["cluster"], told["limitNanoseconds"]))
        decided = told["decisions"]
        self.assertEqual([("a", 7500, True), ("b", 2500, False)], [
            (one["cluster"], one["shareBasisPoints"], one["isChosen"]) for one in decided["backends"]])
        endpoint = decided["clusters"][0]["endpoints"][0]
        self.assertEqual(("healthy", 1), (endpoint["standing"], endpoint["failures"]))
        self.assertNotIn("secret", json.dumps(told), "no query is kept")

    def test_a_refusal_names_what_refused(self):
        for path, request_id, status, denial in (
                ("/few", "within", 200, None), ("/few", "over", 429, "few"),
                ("/broken", "broken", 501, "fault_abort")):
            with self.subTest(request_id):
                answer, told = self.explained(path, request_id)
                self.assertEqual(status, answer.status)
                if denial:
                    self.assertIn(denial, json.dumps(told["denial"]))
                else:
                    self.assertIsNone(told["denial"])
        _, told = self.explained("/elsewhere", "lost")
        self.assertEqual(404, told["status"])
        self.assertEqual(3, sum(not one["isTaken"] for one in told["decisions"]["routes"]))
        status, text = self.text("request-id=lost")
        self.assertEqual(200, status)
        self.assertIn("the path /elsewhere is another", text)

    def test_the_proxys_own_ids_are_told_in_its_problems_and_unknown_ones_are_not_found(self):
        problem = json.loads(self.client.get("orders", "/elsewhere").body)
        status, text = self.text(f"trace-id={problem['trace_id']}")
        self.assertEqual(200, status)
        self.assertIn("orders/elsewhere", text)
        for query, status in (("request-id=nobody", 404), ("trace-id=" + "0" * 31 + "1", 404),
                              ("", 400), ("request-id=", 400), ("format=json", 400)):
            self.assertEqual(status, self.text(query)[0], query)

    def test_every_worker_is_asked_and_each_forgets_the_oldest(self):
        ids = [f"id-{number}" for number in range(24)]
        for request_id in ids:
            with RawClient(self.proxy_under_test.port("outbound")) as client:
                client.get("orders", "/shop", f"X-Request-Id: {request_id}")
        workers = {self.proxy_under_test.admin.json(
            f"/explain?request-id={request_id}&format=json")[0]["worker"] for request_id in ids}
        self.assertGreater(len(workers), 1)
        # As many as a worker keeps, on one connection and so of one worker.
        self.client.get("orders", "/shop", "X-Request-Id: the-oldest")
        self.assertEqual(200, self.text("request-id=the-oldest")[0])
        for _ in range(256):
            self.client.get("orders", "/shop")
        self.assertEqual(404, self.text("request-id=the-oldest")[0])


class Imagined(PlainMesh, EndToEndCase):
    def test_it_says_what_the_proxy_then_does(self):
        apps = {name: self.app(named(name)) for name in ("orders", "billing")}
        backends = {name: [manifests.backend(name, 1)] for name in apps}
        rules = [
            {"name": "testers", "backendRefs": backends["billing"], "matches": [
                {"headers": [{"name": "x-tester", "value": "yes"}]}]},
            {"name": "api", "backendRefs": backends["billing"], "matches": [
                {"path": {"type": "RegularExpression", "value": "/api/v[0-9]+"}, "method": "POST"}]},
            {"name": "rest", "backendRefs": backends["orders"]}]
        mesh = self.plain_mesh(
            *(plain_service(name, [app.port]) for name, app in apps.items()),
            manifests.route("orders", "orders", rules),
            traffic_policy("orders", "orders", retry={"attempts": 0}))
        with RawClient(mesh.proxies["web"].port("outbound")) as client:
            for arguments, fields, rule in (
                    (("GET", "/"), (), "rest"), (("GET", "/api/v1"), (), "rest"),
                    (("POST", "/api/v12"), (), "api"), (("POST", "/api/v12/x"), (), "rest"),
                    (("GET", "/"), ("x-tester: yes",), "testers"),
                    (("GET", "/"), ("X-Tester: no",), "rest")):
                with self.subTest(f"{arguments} {fields}"):
                    options = [word for field in fields for word in ("-H", field)]
                    said = json.loads(mesh.meshctl(
                        "explain", "--from", "web", "--to", "orders", *arguments, *options,
                        "--json")[1])
                    self.assertEqual(f"orders/{rule}", said["route"])
                    chosen = [one["cluster"] for one in said["backends"] if one["isChosen"]]
                    lines = "".join(f"{field}\r\n" for field in fields)
                    answer = client.exchange(
                        f"{arguments[0]} {arguments[1]} HTTP/1.1\r\nHost: orders\r\n{lines}"
                        "Content-Length: 0\r\n\r\n".encode())
                    self.assertEqual([f"{answer.body.decode()}.default"], chosen)

    def test_a_service_that_may_not_be_called_is_named(self):
        mesh = self.plain_mesh(plain_service("orders", [self.app().port]))
        _, said, _ = mesh.meshctl("explain", "--from", "web", "--to", "billing")
        self.assertIn("unknown service: the workload calls none by billing; it calls orders", said)
