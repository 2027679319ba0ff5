"""gRPC by a client and a server that are not ours (grpcio): application → sidecar → mTLS → sidecar →
application. Messages are bytes, methods are generic, so nothing has to be generated."""

import os

# Children are started by fork; grpcio's own handlers of it would wait for its threads.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "false"

import concurrent.futures  # noqa: E402 (needs the setting above)
import hashlib  # noqa: E402
import threading  # noqa: E402
import time  # noqa: E402

import grpc  # noqa: E402

from harness import snapshots  # noqa: E402
from harness.case import EndToEndCase  # noqa: E402
from localmesh.waiting import eventually  # noqa: E402

SERVICE = "mesh.test.Echo"
#: Larger than the largest message sent here.
MESSAGE_BYTES_MAX = 64 << 20
OPTIONS = [("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
           ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
           ("grpc.so_reuseport", 0)]


class Server(grpc.GenericRpcHandler):
    """A gRPC application whose methods are the functions below; it notes what it sees."""

    def __init__(self, port=0):
        self.cancelled = threading.Event()
        self.deadlines, self.metadata = [], []
        self.release = threading.Event()
        self.started = threading.Event()
        self._server = grpc.server(
            concurrent.futures.ThreadPoolExecutor(64), handlers=[self], options=OPTIONS)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{port}")
        self._server.start()

    def stop(self):
        # First the calls are cut, then their functions may return.
        self._server.stop(0).wait(5)
        self.release.set()

    def service(self, details):
        name = details.method.rsplit("/", 1)[1]
        kinds = {"Unary": grpc.unary_unary_rpc_method_handler,
                 "Slow": grpc.unary_unary_rpc_method_handler,
                 "Fails": grpc.unary_unary_rpc_method_handler,
                 "Metadata": grpc.unary_unary_rpc_method_handler,
                 "Many": grpc.unary_stream_rpc_method_handler,
                 "Endless": grpc.unary_stream_rpc_method_handler,
                 "BreaksOff": grpc.unary_stream_rpc_method_handler,
                 "Sum": grpc.stream_unary_rpc_method_handler,
                 "Talk": grpc.stream_stream_rpc_method_handler}
        if name not in kinds:
            return None
        return kinds[name](getattr(self, "_" + name.lower()))

    def _note(self, context):
        self.deadlines.append(context.time_remaining())
        self.metadata.append(context.invocation_metadata())
        context.add_callback(self.cancelled.set)
        self.started.set()

    def _unary(self, request, context):
        self._note(context)
        return request

    def _slow(self, request, context):
        self._note(context)
        self.release.wait(30)
        return request

    def _fails(self, request, context):
        # Trailers only: the status is the whole answer.
        context.set_trailing_metadata((("why", "because"), ("detail-bin", b"\0\1\xff")))
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not now, ü 100%")

    def _metadata(self, request, context):
        self._note(context)
        context.send_initial_metadata((("first", "1"), ("first-bin", bytes(range(256)))))
        context.set_trailing_metadata((("last", "2"), ("last-bin", b"\xff\0")))
        return request

    def _many(self, request, context):
        count, size = (int(part) for part in request.split())
        for number in range(count):
            yield number.to_bytes(4, "big") * (size // 4)

    def _endless(self, request, context):
        self._note(context)
        while context.is_active():
            yield b"more"
            time.sleep(0.001)

    def _breaksoff(self, request, context):
        yield b"first"
        context.abort(grpc.StatusCode.DATA_LOSS, "that was all")

    def _sum(self, requests, context):
        digest, count = hashlib.sha256(), 0
        for request in requests:
            digest.update(request)
            count += 1
        return f"{count} {digest.hexdigest()}".encode()

    def _talk(self, requests, context):
        self._note(context)
        for request in requests:
            yield b"you said " + request


class GRPC(EndToEndCase):
    def server(self, port=0):
        server = Server(port)
        self.addCleanup(server.stop)
        return server

    def hops(self, server, timeouts=None, protocol="auto"):
        authority = self._authority
        self.orders = self.inbound_proxy(
            server, authority.issue("orders"), authority, inbound={"protocol": protocol})
        self.web = self.outbound_proxy(
            [snapshots.service("orders", [snapshots.route(
                "orders", "orders.default", timeouts=timeouts)])],
            [snapshots.cluster("orders.default", self.orders.port("inbound"),
                               identities=[authority.spiffe_id("orders")])],
            authority.issue("web"), authority)
        return self.channel()

    def channel(self, authority="orders"):
        channel = grpc.insecure_channel(
            f"127.0.0.1:{self.web.port('outbound')}",
            options=[*OPTIONS, ("grpc.default_authority", authority),
                     ("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1)])
        self.addCleanup(channel.close)
        return channel

    def setUp(self):
        super().setUp()
        self.web = self.orders = None
        self._authority = self.authority()

    def call(self, channel, kind, name):
        return getattr(channel, kind)(f"/{SERVICE}/{name}")

    def assertStatus(self, status, call):
        with self.assertRaises(grpc.RpcError) as caught:
            call()
        self.assertEqual(status, caught.exception.code(), caught.exception)
        return caught.exception

    def _nothing_runs(self):
        eventually(lambda: all(
            proxy.admin.metrics().sum("mesh_requests_active") == 0
            for proxy in (self.web, self.orders)), "no exchange runs any more")

    def test_the_four_kinds_of_calls(self):
        for protocol in ("auto", "http2"):
            with self.subTest(protocol):
                self._four_kinds(self.hops(self.server(), protocol=protocol))

    def _four_kinds(self, channel):
        self.assertEqual(b"hello", self.call(channel, "unary_unary", "Unary")(b"hello", timeout=10))
        self.assertEqual(b"", self.call(channel, "unary_unary", "Unary")(b"", timeout=10))
        many = list(self.call(channel, "unary_stream", "Many")(b"500 4000", timeout=20))
        self.assertEqual([n.to_bytes(4, "big") * 1000 for n in range(500)], many)
        pieces = [os.urandom(5000) for _ in range(300)]
        summed = self.call(channel, "stream_unary", "Sum")(iter(pieces), timeout=20)
        self.assertEqual(f"300 {hashlib.sha256(b''.join(pieces)).hexdigest()}", summed.decode())
        # Each message is sent only when the answer to the last has come: nothing may be held back.
        said = threading.Semaphore(1)
        def talk():
            for number in range(50):
                self.assertTrue(said.acquire(timeout=10))
                yield f"{number}".encode()
        answers = []
        for answer in self.call(channel, "stream_stream", "Talk")(talk(), timeout=20):
            answers.append(answer)
            said.release()
        self.assertEqual([f"you said {number}".encode() for number in range(50)], answers)
        self._nothing_runs()

    def test_messages_of_8_mib_both_ways(self):
        channel = self.hops(self.server())
        message = os.urandom(8 << 20)
        self.assertEqual(message, self.call(channel, "unary_unary", "Unary")(message, timeout=60))
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            unary = self.call(channel, "unary_unary", "Unary")
            for answer in pool.map(lambda _: unary(message, timeout=60), range(4)):
                self.assertEqual(message, answer)

    def test_a_deadline_is_kept_and_told_to_the_server(self):
        server = self.server()
        channel = self.hops(server)
        self.assertStatus(
            grpc.StatusCode.DEADLINE_EXCEEDED,
            lambda: self.call(channel, "unary_unary", "Slow")(b"x", timeout=2))
        self.assertLessEqual(server.deadlines[0], 2)
        self.assertTrue(server.cancelled.wait(10), "the server learns of it")
        self.call(channel, "unary_unary", "Unary")(b"x", timeout=100)
        # The client rounds up to whole seconds.
        self.assertTrue(90 < server.deadlines[1] <= 101, server.deadlines)
        self._nothing_runs()

    def test_a_deadline_of_the_route_is_a_deadline_of_the_call(self):
        server = self.server()
        channel = self.hops(server, timeouts={"request": "2s"})
        error = self.assertStatus(
            grpc.StatusCode.DEADLINE_EXCEEDED,
            lambda: self.call(channel, "unary_unary", "Slow")(b"x", timeout=20))
        self.assertTrue(error.details())
        self.assertTrue(server.cancelled.wait(10))
        self._nothing_runs()

    def test_errors_of_the_server_arrive_with_details_and_metadata(self):
        channel = self.hops(self.server())
        error = self.assertStatus(
            grpc.StatusCode.FAILED_PRECONDITION,
            lambda: self.call(channel, "unary_unary", "Fails")(b"x", timeout=10))
        self.assertEqual("not now, ü 100%", error.details())
        trailers = dict(error.trailing_metadata())
        self.assertEqual("because", trailers["why"])
        self.assertEqual(b"\0\1\xff", trailers["detail-bin"])
        self.assertStatus(
            grpc.StatusCode.UNIMPLEMENTED,
            lambda: self.call(channel, "unary_unary", "Nothing")(b"x", timeout=10))
        got = []
        def read():
            for message in self.call(channel, "unary_stream", "BreaksOff")(b"x", timeout=10):
                got.append(message)
        self.assertEqual(
            "that was all", self.assertStatus(grpc.StatusCode.DATA_LOSS, read).details())
        self.assertEqual([b"first"], got)

    def test_metadata_crosses_both_ways_binary_too(self):
        server = self.server()
        channel = self.hops(server)
        sent = (("plain", "a, b"), ("twice", "1"), ("twice", "2"), ("raw-bin", bytes(range(256))))
        _, call = self.call(channel, "unary_unary", "Metadata").with_call(
            b"x", metadata=sent, timeout=10)
        seen = [(key, value) for key, value in server.metadata[0]
                if key in ("plain", "twice", "raw-bin")]
        self.assertEqual(sorted(sent), sorted(seen))
        first, last = dict(call.initial_metadata()), dict(call.trailing_metadata())
        self.assertEqual(("1", bytes(range(256))), (first["first"], first["first-bin"]))
        self.assertEqual(("2", b"\xff\0"), (last["last"], last["last-bin"]))

    def test_a_client_that_cancels_is_heard_by_the_server(self):
        for kind, name in (("unary_unary", "Slow"), ("unary_stream", "Endless"),
                           ("stream_stream", "Talk")):
            with self.subTest(name):
                server = self.server()
                channel = self.hops(server)
                method = self.call(channel, kind, name)
                if kind == "unary_unary":
                    call = method.future(b"x", timeout=60)
                elif kind == "unary_stream":
                    call = method(b"x", timeout=60)
                    self.assertEqual(b"more", next(call))
                else:
                    over = threading.Event()
                    self.addCleanup(over.set)
                    def requests():
                        yield b"hello"
                        over.wait(60)
                    call = method(requests(), timeout=60)
                    self.assertEqual(b"you said hello", next(call))
                self.assertTrue(server.started.wait(10))
                self.assertFalse(server.cancelled.is_set())
                call.cancel()
                self.assertTrue(server.cancelled.wait(10), "the server learns of it")
                server.release.set()
                self._nothing_runs()

    def test_a_server_that_goes_away_mid_call_is_unavailable_and_its_successor_is_used(self):
        server = self.server()
        channel = self.hops(server)
        call = self.call(channel, "unary_stream", "Endless")(b"x", timeout=60)
        self.assertEqual(b"more", next(call))
        slow = self.call(channel, "unary_unary", "Slow").future(b"x", timeout=60)
        eventually(lambda: len(server.deadlines) == 2, "both calls run")
        server.stop()
        for pending in (lambda: list(call), slow.result):
            with self.assertRaises(grpc.RpcError) as caught:
                pending()
            self.assertIn(caught.exception.code(), (
                grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED,
                grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL))
        unary = self.call(channel, "unary_unary", "Unary")
        error = self.assertStatus(
            grpc.StatusCode.UNAVAILABLE, lambda: unary(b"x", timeout=10))
        self.assertTrue(error.details(), "the proxy says why")
        again = self.server(server.port)
        self.assertEqual(b"back", unary(b"back", timeout=10))
        self.assertEqual(server.port, again.port)

    def test_what_the_proxy_has_to_say_is_a_status_of_grpc(self):
        channel = self.hops(self.server())
        error = self.assertStatus(
            grpc.StatusCode.UNIMPLEMENTED,
            lambda: self.call(self.channel("nobody"), "unary_unary", "Unary")(b"x", timeout=10))
        self.assertTrue(error.details())
        self.orders.kill()
        error = self.assertStatus(
            grpc.StatusCode.UNAVAILABLE,
            lambda: self.call(channel, "unary_unary", "Unary")(b"x", timeout=10))
        self.assertTrue(error.details())

    def test_200_calls_at_once_share_a_few_connections(self):
        server = self.server()
        channel = self.hops(server)
        unary = self.call(channel, "unary_unary", "Unary")
        calls = [unary.future(f"{number}".encode(), timeout=60) for number in range(200)]
        self.assertEqual(
            [f"{number}".encode() for number in range(200)], [call.result() for call in calls])
        connects = self.orders.admin.metrics().sum(
            "mesh_upstream_connects_total", direction="inbound")
        self.assertLessEqual(connects, 3)
        self._nothing_runs()
