"""Traffic policy for gRPC, by a client and a server that are not ours (grpcio)."""

import collections
import itertools
import threading
import time

import test_grpc  # first: it says how grpcio is to behave when processes are started
import grpc

from harness import snapshots
from harness.case import EndToEndCase

UNBOUNDED = {"share": "100%", "perSecond": 10_000}


class ScriptedServer(test_grpc.Server):
    """Answers each call by the next of these codes, None for success; then goes on with the last one."""

    def __init__(self, *codes, pushback=None):
        self.codes, self.pushback = itertools.chain(codes, itertools.repeat(codes[-1])), pushback
        self.moments, self._lock = [], threading.Lock()
        super().__init__()

    def service(self, details):
        return grpc.unary_unary_rpc_method_handler(self._scripted)

    def _scripted(self, request, context):
        self._note(context)
        with self._lock:
            self.moments.append(time.monotonic())
            code = next(self.codes)
        if code is None:
            return request
        if self.pushback is not None:
            context.set_trailing_metadata((("grpc-retry-pushback-ms", str(self.pushback)),))
        context.abort(code, "as the script says")


class PolicyCase(EndToEndCase):
    def server(self, *codes, **options):
        server = ScriptedServer(*codes, **options)
        self.addCleanup(server.stop)
        return server

    def call_through(self, proxy):
        """A function that makes a call: its status, None for success. It never repeats one by itself."""
        channel = grpc.insecure_channel(f"127.0.0.1:{proxy.port('outbound')}", options=[
            ("grpc.default_authority", "orders"), ("grpc.enable_http_proxy", 0),
            ("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1)])
        self.addCleanup(channel.close)
        method = channel.unary_unary(f"/{test_grpc.SERVICE}/Unary")

        def call(timeout=20, **options):
            try:
                self.assertEqual(b"hello", method(b"hello", timeout=timeout, **options))
            except grpc.RpcError as error:
                return error.code()
            return None
        return call

    def proxy_to(self, *servers, route=None, **cluster):
        return self.outbound_proxy(
            [snapshots.service("orders", [snapshots.route("orders", "o", **(route or {}))])],
            [snapshots.cluster("o", *(server.port for server in servers), **{
                "outlierDetection": "none", "retryBudget": UNBOUNDED, **cluster})])


class Retries(PolicyCase):
    RETRY = {"attempts": 2, "grpcCodes": [14], "retriesNonIdempotent": True,
             "backoff": {"base": "1ms", "max": "5ms"}}

    def retried(self, server, **retry):
        return self.proxy_to(server, route={"retry": {**self.RETRY, **retry}})

    def test_a_code_that_is_asked_for_is_repeated(self):
        busy = grpc.StatusCode.UNAVAILABLE
        server = self.server(busy, busy, None)
        proxy = self.retried(server)
        self.assertIsNone(self.call_through(proxy)())
        attempts = [dict(metadata)["mesh-attempt"] for metadata in server.metadata]
        self.assertEqual(["1", "2", "3"], attempts)
        self.assertEqual(2, proxy.admin.metrics().sum("mesh_retries_total"))

    def test_other_codes_are_not_and_the_last_answer_is_the_callers(self):
        server = self.server(grpc.StatusCode.ABORTED, grpc.StatusCode.UNAVAILABLE)
        call = self.call_through(self.retried(server))
        self.assertEqual(grpc.StatusCode.ABORTED, call())
        self.assertEqual(1, len(server.moments))
        self.assertEqual(grpc.StatusCode.UNAVAILABLE, call())
        self.assertEqual(1 + 3, len(server.moments))

    def test_a_call_is_a_post_and_nobody_repeats_it_unless_told_that_it_is_safe(self):
        server = self.server(grpc.StatusCode.UNAVAILABLE)
        proxy = self.retried(server, retriesNonIdempotent=False)
        self.assertEqual(grpc.StatusCode.UNAVAILABLE, self.call_through(proxy)())
        self.assertEqual(1, len(server.moments))
        self.assertEqual(1, proxy.admin.metrics().sum(
            "mesh_retries_refused_total", reason="non_idempotent"))

    def test_a_server_that_pushes_back_is_waited_for(self):
        server = self.server(grpc.StatusCode.UNAVAILABLE, None, pushback=400)
        self.assertIsNone(self.call_through(self.retried(server))())
        self.assertGreaterEqual(server.moments[1] - server.moments[0], 0.39)

    def test_a_server_that_forbids_it_or_asks_for_too_much_is_not_asked_again(self):
        for pushback in (-1, "soon", 60_000):
            with self.subTest(pushback):
                server = self.server(grpc.StatusCode.UNAVAILABLE, None, pushback=pushback)
                proxy = self.retried(server)
                self.assertEqual(grpc.StatusCode.UNAVAILABLE, self.call_through(proxy)())
                self.assertEqual(1, len(server.moments))
                self.assertEqual(1, proxy.admin.metrics().sum(
                    "mesh_retries_refused_total", reason="pushback"))


class Health(PolicyCase):
    def _thirty_calls(self, code):
        """(seen codes, ejections) when one of two servers always says this."""
        bad, good = self.server(code), self.server(None)
        proxy = self.proxy_to(
            bad, good, outlierDetection={"consecutiveFailures": 3, "ejection": "1m",
                                         "ejectionMax": "1m"},
            balancing={"algorithm": "roundRobin"})
        call = self.call_through(proxy)
        seen = collections.Counter(call() for _ in range(30))
        return seen, proxy.admin.metrics().sum("mesh_endpoint_ejections_total")

    def test_what_was_refused_or_wrong_says_nothing_against_the_server(self):
        for code in (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.INVALID_ARGUMENT,
                     grpc.StatusCode.NOT_FOUND, grpc.StatusCode.PERMISSION_DENIED):
            with self.subTest(code):
                seen, ejections = self._thirty_calls(code)
                self.assertEqual(0, ejections)
                self.assertGreater(seen[code], 0)

    def test_a_server_that_is_exhausted_is_asked_less(self):
        # It refuses faster than the other one answers, and is still not what gets the load.
        busy, good = self.server(grpc.StatusCode.RESOURCE_EXHAUSTED), self.server(None)
        call = self.call_through(self.proxy_to(busy, good))
        seen = collections.Counter(call() for _ in range(200))
        self.assertLess(seen[grpc.StatusCode.RESOURCE_EXHAUSTED], 40)

    def test_a_server_that_fails_is_set_aside(self):
        seen, ejections = self._thirty_calls(grpc.StatusCode.INTERNAL)
        self.assertEqual((3, 27, 1), (seen[grpc.StatusCode.INTERNAL], seen[None], ejections))


class Deadlines(PolicyCase):
    def test_each_hop_takes_what_it_has_used_off_the_deadline(self):
        server, authority = self.server(None), self.authority()
        orders = self.inbound_proxy(server, authority.issue("orders"), authority)
        web = self.outbound_proxy(
            [snapshots.service("orders", [snapshots.route(
                "orders", "orders.default", faults=[{"delay": {"duration": "1500ms"}}])])],
            [snapshots.cluster("orders.default", orders.port("inbound"),
                               identities=[authority.spiffe_id("orders")])],
            authority.issue("web"), authority)
        call = self.call_through(web)
        self.assertIsNone(call(timeout=20))
        # The client may round up to whole seconds.
        self.assertLess(server.deadlines[0], 21 - 1.5)
        self.assertGreater(server.deadlines[0], 5)
        self.assertEqual(grpc.StatusCode.DEADLINE_EXCEEDED, call(timeout=0.5))
        self.assertEqual(1, len(server.deadlines), "what is over is not sent on")


class Answers(PolicyCase):
    def test_injected_codes_and_statuses_arrive_as_clients_know_them(self):
        server = self.server(None)
        kinds = {"a": ({"grpc": 10}, grpc.StatusCode.ABORTED),
                 "b": ({"grpc": 5}, grpc.StatusCode.NOT_FOUND),
                 "c": ({"status": 503}, grpc.StatusCode.UNAVAILABLE),
                 "d": ({"status": 403}, grpc.StatusCode.PERMISSION_DENIED)}
        proxy = self.proxy_to(server, route={"faults": [
            {"matches": [{"headers": [{"name": "x-fault", "value": value}]}],
             "abort": {"kind": kind}} for value, (kind, _) in kinds.items()]})
        call = self.call_through(proxy)
        for value, (_, code) in kinds.items():
            self.assertEqual(code, call(metadata=(("x-fault", value),)), value)
        self.assertEqual([], server.moments)
        self.assertIsNone(call())

    def test_a_call_over_a_limit_is_told_so(self):
        server = self.server(None)
        proxy = self.proxy_to(server, route={"rateLimits": [
            {"name": "few", "requests": 2, "period": "24h"}]})
        call = self.call_through(proxy)
        self.assertEqual([None, None, grpc.StatusCode.RESOURCE_EXHAUSTED],
                         [call() for _ in range(3)])
        self.assertEqual(2, len(server.moments))
