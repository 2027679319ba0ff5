"""Policies as operators write them: manifests through a controller, seen by real traffic."""

import collections
import itertools
import threading

import test_grpc  # first: it says how grpcio is to behave when processes are started
import grpc

from harness import snapshots
from harness.app import named
from harness.case import EndToEndCase
from harness.client import RawClient
from harness.policies import GATEWAY, PlainMesh, plain_service, traffic_policy
from harness.streams import StreamServer
from localmesh import manifests
from localmesh.waiting import eventually


class Routes(PlainMesh, EndToEndCase):
    def clients(self, proxy, count=8):
        """So many that every worker has some, in turn."""
        clients = [RawClient(proxy.port("outbound")) for _ in range(count)]
        for client in clients:
            self.addCleanup(client.socket.close)
        return itertools.cycle(clients)

    def test_weights_divide_a_service_by_the_labels_of_its_endpoints(self):
        apps = [self.app(named(name)) for name in ("v1", "v1", "v2")]
        service = plain_service("orders", [app.port for app in apps])
        for endpoint, version in zip(service["spec"]["endpoints"], ("1", "1", "2")):
            endpoint["labels"] = {"version": version}
        backends = [{**manifests.backend("orders", weight), "subset": name}
                    for name, weight in (("v1", 80), ("v2", 20))]
        mesh = self.plain_mesh(
            service, manifests.route("orders", "orders", [{"backendRefs": backends}]),
            traffic_policy("orders", "orders", subsets=[
                {"name": "v1", "labels": {"version": "1"}},
                {"name": "v2", "labels": {"version": "2"}}]), workers=2)
        turns = self.clients(mesh.proxies["web"])
        counts = collections.Counter(next(turns).get("orders").body for _ in range(500))
        self.assertAlmostEqual(100, counts[b"v2"], delta=1)
        self.assertGreater(min(len(app.requests) for app in apps[:2]), 0, "both are of v1")

    def test_a_session_stays_at_its_backend_in_every_worker(self):
        apps = {name: self.app(named(name)) for name in ("one", "two")}
        mesh = self.plain_mesh(
            *(plain_service(name, [app.port]) for name, app in apps.items()),
            plain_service("orders", []),
            manifests.split("orders", "orders", {"one": 1, "two": 1},
                            sessionPersistence={"type": "Cookie", "sessionName": "shop"}), workers=2)
        turns = self.clients(mesh.proxies["web"])
        served = collections.Counter()
        for _ in range(30):
            first = next(turns).get("orders")
            cookie = first.value("Set-Cookie").split(";")[0]
            self.assertTrue(cookie.startswith("shop="), cookie)
            for _ in range(4):
                again = next(turns).get("orders", "/", f"Cookie: other=1; {cookie}")
                self.assertEqual(first.body, again.body)
                self.assertEqual([], again.values("Set-Cookie"))
            served[first.body] += 1
        self.assertEqual({b"one", b"two"}, set(served))

    def test_the_policy_of_a_rule_is_above_that_of_its_service(self):
        app = self.app(lambda exchange: (exchange.read_body(), exchange.reply(503, b"no")))
        rules = [{"name": name, "backendRefs": [manifests.backend("orders", 1)],
                  "matches": [{"path": {"value": f"/{name}"}}]} for name in ("more", "none", "as-is")]
        rules[1]["retry"] = {"attempts": 0}
        of_rule = traffic_policy("more", "orders", retry={"attempts": 3})
        of_rule["spec"]["targetRefs"] = [
            {"group": GATEWAY.split("/")[0], "kind": "HTTPRoute", "name": "orders",
             "sectionName": "more"}]
        mesh = self.plain_mesh(
            plain_service("orders", [app.port]), manifests.route("orders", "orders", rules), of_rule,
            traffic_policy("orders", "orders", outlierDetection="none", retry={
                "attempts": 1, "statuses": [503], "backoff": {"base": "1ms", "max": "2ms"}}))
        turns = self.clients(mesh.proxies["web"], 1)
        for name, times in (("more", 4), ("none", 1), ("as-is", 2)):
            before = len(app.requests)
            self.assertEqual(503, next(turns).get("orders", f"/{name}").status)
            self.assertEqual(times, len(app.requests) - before, name)

    def test_calls_are_routed_by_service_and_method(self):
        servers = {name: _server(name.encode()) for name in ("reads", "writes")}
        for server, _ in servers.values():
            self.addCleanup(server.stop, None)
        route = {"apiVersion": GATEWAY, "kind": "GRPCRoute", "metadata": {"name": "orders"}, "spec": {
            "parentRefs": [{"group": "mesh.internal", "kind": "Service", "name": "orders"}],
            "rules": [
                {"matches": [{"method": {"type": "RegularExpression", "service": r"shop\.v1\..*",
                                         "method": "Get.*|List.*"}},
                             {"method": {"service": "shop.Orders", "method": "GetOrder"}}],
                 "backendRefs": [manifests.backend("reads", 1)]},
                {"matches": [{"method": {"service": "shop.Orders"}}],
                 "backendRefs": [manifests.backend("writes", 1)]}]}}
        documents = [plain_service(name, [port]) for name, (_, port) in servers.items()]
        documents.append(plain_service("orders", []))
        for document in documents:
            document["spec"]["protocol"] = "grpc"
        mesh = self.plain_mesh(*documents, route)
        channel = grpc.insecure_channel(
            f"127.0.0.1:{mesh.proxies['web'].port('outbound')}", options=[
                ("grpc.default_authority", "orders"), ("grpc.enable_http_proxy", 0),
                ("grpc.use_local_subchannel_pool", 1)])
        self.addCleanup(channel.close)
        for method, name in (("shop.Orders/GetOrder", "reads"), ("shop.v1.Any/ListAll", "reads"),
                             ("shop.Orders/Put", "writes"), ("shop.Orders/Forget", "writes")):
            self.assertEqual(name.encode(), channel.unary_unary(f"/{method}")(b"", timeout=10))
        with self.assertRaises(grpc.RpcError) as caught:
            channel.unary_unary("/bank.Accounts/Put")(b"", timeout=10)
        self.assertEqual(grpc.StatusCode.UNIMPLEMENTED, caught.exception.code())


class _Handler(grpc.GenericRpcHandler):
    """Answers everything alike, and health checks by what `serving` says."""

    def __init__(self, answer):
        self.answer, self.serving, self.asked = answer, 1, []

    def service(self, details):
        if details.method == "/grpc.health.v1.Health/Check":
            return grpc.unary_unary_rpc_method_handler(self._check)
        return grpc.unary_unary_rpc_method_handler(lambda request, context: self.answer)

    def _check(self, request, context):
        self.asked.append(request)
        return bytes((0x08, self.serving))


def _server(answer, handler=None):
    """(server, port) of gRPC."""
    server = grpc.server(test_grpc.concurrent.futures.ThreadPoolExecutor(8),
                         handlers=[handler or _Handler(answer)], options=test_grpc.OPTIONS)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, port


class HealthChecks(EndToEndCase):
    """Endpoints are asked how they are; who is unwell gets no requests and is back when it is well."""

    CHECK = {"interval": "50ms", "timeout": "500ms", "failuresMax": 2, "successesMin": 2}

    def checked(self, kind, *ports, **cluster):
        proxy = self.outbound_proxy(
            [snapshots.service("orders", [snapshots.route("orders", "o")])],
            [snapshots.cluster("o", *ports, healthCheck={**self.CHECK, "kind": kind}, **cluster)])
        client = RawClient(proxy.port("outbound"))
        self.addCleanup(client.socket.close)

        def served():
            answers = [client.get("orders") for _ in range(20)]
            return {answer.body.decode() if answer.status == 200 else answer.status
                    for answer in answers}
        return proxy, served

    def test_by_http_and_requests_are_not_what_tells(self):
        well = threading.Event()
        well.set()

        def answer(exchange):
            exchange.read_body()
            if exchange.request.target == "/health":
                return exchange.reply(200 if well.is_set() else 503)
            exchange.reply(200, b"a")
        apps = [self.app(answer), self.app(named("b"))]
        proxy, served = self.checked({"http": "/health"}, *(app.port for app in apps))
        eventually(lambda: served() == {"a", "b"}, "both serve")
        well.clear()
        eventually(lambda: served() == {"b"}, "who says that it is unwell gets nothing")
        well.set()
        eventually(lambda: served() == {"a", "b"}, "it is back")
        eventually(lambda: proxy.admin.metrics().sum("mesh_health_checks_total") > 4,
                   "checks are counted")

    def test_by_tcp(self):
        apps = [self.app(named("a")), self.app(named("b"))]
        _, served = self.checked("tcp", *(app.port for app in apps))
        eventually(lambda: served() == {"a", "b"}, "both serve")
        apps[0].stop()
        eventually(lambda: served() == {"b"}, "who does not accept gets nothing")
        apps[0].start()
        eventually(lambda: served() == {"a", "b"}, "it is back")

    def test_an_endpoint_that_accepts_and_says_nothing_is_unwell_in_time(self):
        over = threading.Event()
        self.addCleanup(over.set)
        hole = StreamServer(lambda connection: over.wait(60))
        self.addCleanup(hole.stop)
        app = self.app(named("b"))
        proxy, served = self.checked({"http": "/health"}, hole.port, app.port)
        eventually(lambda: proxy.admin.metrics().sum("mesh_endpoint_ejections_total") == 1,
                   "it is found out without a single request")
        self.assertEqual({"b"}, served())

    def test_by_grpc(self):
        handler = _Handler(b"a")
        server, port = _server(b"a", handler)
        self.addCleanup(server.stop, None)
        other, other_port = _server(b"b")
        self.addCleanup(other.stop, None)
        proxy, _ = self.checked({"grpc": "shop.Orders"}, port, other_port, protocol="http2")
        channel = grpc.insecure_channel(f"127.0.0.1:{proxy.port('outbound')}", options=[
            ("grpc.default_authority", "orders"), ("grpc.enable_http_proxy", 0),
            ("grpc.use_local_subchannel_pool", 1)])
        self.addCleanup(channel.close)
        method = channel.unary_unary("/shop.Orders/Get")

        def served():
            return {method(b"", timeout=10) for _ in range(20)}
        eventually(lambda: served() == {b"a", b"b"}, "both serve")
        # The name of the service, as the only field of the request.
        self.assertEqual(b"\x0a\x0bshop.Orders", handler.asked[0])
        handler.serving = 2
        eventually(lambda: served() == {b"b"}, "who does not serve gets nothing")
        handler.serving = 1
        eventually(lambda: served() == {b"a", b"b"}, "it is back")
