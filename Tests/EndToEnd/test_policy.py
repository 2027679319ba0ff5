"""Traffic policy through real proxies: what must hold of weights, retries, bodies and changes."""

import collections
import contextlib
import hashlib
import http.client
import itertools
import math
import random
import threading
import time

import test_controller
from harness import snapshots
from harness.app import echo, named
from harness.case import EndToEndCase
from harness.client import RawClient, request
from localmesh import manifests
from localmesh.load import Load
from localmesh.waiting import eventually
from resilience.processes import Caller

WINDOW = 1_000
WORKERS = 4


class WeightsCase(EndToEndCase):
    def assertExact(self, served, weights):
        """Each window of `served`, in the order of the requests, has each backend's part."""
        total = sum(weights.values())
        for name, weight in weights.items():
            sums = list(itertools.accumulate((one == name for one in served), initial=0))
            expected = WINDOW * weight / total
            worst = max(abs(sums[at + WINDOW] - sums[at] - expected)
                        for at in range(len(served) - WINDOW + 1))
            self.assertLessEqual(worst, 1, f"{name}, of weight {weight}")

    @contextlib.contextmanager
    def clients(self, proxy, count=24):
        """So many connections that every worker has some."""
        with contextlib.ExitStack() as stack:
            yield [stack.enter_context(RawClient(proxy.port("outbound"))) for _ in range(count)]


class Weights(WeightsCase):
    """Exact over any window of a thousand requests, whichever worker takes them."""

    def test_they_hold_over_all_workers(self):
        weights = {"v1": 700, "v2": 297, "v3": 3, "never": 0}
        apps = {name: self.app(named(name)) for name in weights}
        proxy = self.outbound_proxy(
            [snapshots.service("orders", [snapshots.route("orders", weights)])],
            [snapshots.cluster(name, app.port) for name, app in apps.items()], workers=WORKERS)
        with self.clients(proxy) as clients:
            served = [client.get("orders").body.decode()
                      for _, client in zip(range(2 * WINDOW), itertools.cycle(clients))]
        self.assertExact(served, weights)
        self.assertEqual([], apps["never"].requests)


class LiveChanges(test_controller.ControllerCase, WeightsCase):
    """What a controller changes, in all workers at once and without anybody noticing."""

    def test_weights_stay_exact_across_an_update_of_something_else(self):
        weights = {"inventory-v1": 90, "inventory-v2": 10}
        mesh = self.shop(weights, workers=WORKERS)
        backends = [manifests.backend(name, weight) for name, weight in weights.items()]
        other = {"matches": [{"path": {"type": "PathPrefix", "value": "/other"}}],
                 "backendRefs": [manifests.backend("inventory-v2", 1)]}
        served = []
        with self.clients(mesh.proxies["orders"]) as clients:
            turns = itertools.cycle(clients)
            for rules in ([{"backendRefs": backends}, other], [{"backendRefs": backends}], None):
                served += [next(turns).get("inventory").body.decode() for _ in range(700)]
                if rules:
                    before = self.versions(mesh)["orders"]
                    mesh.apply("routes.yaml", [manifests.route("inventory", "inventory", rules)])
                    self.assertGreater(self.versions(mesh)["orders"], before)
        self.assertExact(served, weights)

    def test_a_change_reaches_all_workers_within_200_ms_and_no_running_exchange(self):
        mesh = self.shop({"inventory-v1": 1, "inventory-v2": 0}, workers=WORKERS)
        port = mesh.proxies["orders"].port("outbound")
        begun, release = threading.Event(), threading.Event()
        self.addCleanup(release.set)
        block = random.Random(5).randbytes(100_000)

        def held(exchange):
            if exchange.request.target != "/held":
                return named("inventory-v1")(exchange)
            pieces = exchange.body_chunks()
            digest = hashlib.sha256(next(pieces))
            exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 200064\r\n\r\n" + block)
            begun.set()
            release.wait(30)
            for piece in pieces:
                digest.update(piece)
            exchange.send(block + digest.hexdigest().encode())
        self.inventory["inventory-v1"].handler = held
        with RawClient(port, timeout=30) as client:
            client.send(request("POST", "inventory", "/held", f"Content-Length: {2 * len(block)}"))
            client.send(block)
            self.assertTrue(begun.wait(10))
            with Load(port, "inventory", clients=16) as load:
                load.wait_for(200)
                saved = time.monotonic()
                mesh.save("routes.yaml", [self.split({"inventory-v1": 0, "inventory-v2": 1})])
                eventually(lambda: {o.body for o in load.outcomes()[-64:]} == {b"inventory-v2"},
                           "the change is in force everywhere")
            release.set()
            client.send(block)
            response = client.response("POST")
        self.assertEqual(2 * block + hashlib.sha256(2 * block).hexdigest().encode(), response.body)
        self.assertNoFailures(load)
        outcomes = load.outcomes()
        first = min(o.ended for o in outcomes if o.body == b"inventory-v2")
        last = max(o.began for o in outcomes if o.body == b"inventory-v1")
        print(f"      {(first - saved) * 1000:.0f} ms from saved manifest to the first worker, "
              f"{max(0, last - first) * 1000:.0f} ms more to the last")
        self.assertLess(last - first, 0.2)


class Chain(EndToEndCase):
    """Four hops, each of which would retry: only one does."""

    #: What a route must say for 503 to be tried again.
    RETRY = {"attempts": 3, "statuses": [503], "conditions": ["reset"]}
    #: Share and floor of the default budget, and its window, which grants the floor as a whole.
    SHARE, FLOOR_PER_SECOND, WINDOW_SECONDS = 1.2, 10, 10

    def _hop(self, port):
        return self.outbound_proxy(
            [snapshots.service("orders", [snapshots.route("orders", "o", retry=self.RETRY)])],
            [snapshots.cluster("o", port)]).port("outbound")

    def _fail_through(self, port, last, rate):
        """Calls for 8 s; the last application was not asked more often than the budget says."""
        caller = Caller(port, rate)
        self.addCleanup(caller.stop)
        caller.wait_for(8 * rate, 60)
        outcomes = caller.finish()
        self.assertEqual([], [outcome for outcome in outcomes if outcome.status != 503][:5])
        seconds = outcomes[-1].ended - outcomes[0].due
        windows = math.ceil(seconds / self.WINDOW_SECONDS)
        floor = self.FLOOR_PER_SECOND * self.WINDOW_SECONDS * windows
        bound = self.SHARE * len(outcomes) + floor
        print(f"      {len(outcomes)} requests, {len(last.requests)} at the last application, "
              f"{bound:.0f} allowed")
        self.assertGreater(len(last.requests), len(outcomes), "nothing was tried again")
        self.assertLessEqual(len(last.requests), bound)

    def test_four_proxies_in_a_row_retry_once(self):
        last = self.app(lambda exchange: exchange.reply(503, b"no"))
        port = last.port
        for _ in range(4):
            port = self._hop(port)
        self._fail_through(port, last, rate=100)

    def test_applications_between_them_pass_on_whose_attempt_it_is(self):
        last = self.app(lambda exchange: exchange.reply(503, b"no"))
        port = self._hop(last.port)
        for _ in range(3):
            port = self._hop(self.app(_relay(port)).port)
        # So few that three applications in Python keep up on a slow machine.
        self._fail_through(port, last, rate=25)


def _relay(port):
    """A handler that asks the next service, as applications that pass on trace fields do."""
    def handler(exchange):
        exchange.read_body()
        fields = {"Host": "orders"}
        for name in ("mesh-attempt", "mesh-timeout", "traceparent"):
            for value in exchange.request.values(name):
                fields[name] = value
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        with contextlib.closing(connection):
            connection.request("GET", "/", headers=fields)
            exchange.reply(connection.getresponse().status)
    return handler


class Leaving(EndToEndCase):
    def test_who_leaves_cancels_at_once_and_counts_nowhere(self):
        entered = threading.Semaphore(0)
        release = threading.Event()
        self.addCleanup(release.set)

        def held(exchange):
            if exchange.request.target == "/":
                return echo(exchange)
            entered.release()
            # Ends when the proxy ends the connection, for nothing else arrives.
            self.assertEqual(b"", exchange.socket.recv(1))
        app, proxy = self.plain_hop(held)
        for _ in range(20):
            client = RawClient(proxy.port("outbound"))
            client.send(request("GET", "orders", "/held"))
            self.assertTrue(entered.acquire(timeout=10))
            left = time.monotonic()
            client.reset()
            eventually(lambda: app.connections_open() == 0, "the application learns of it", 5)
            self.assertLess(time.monotonic() - left, 1)
        metrics = proxy.admin.metrics()
        self.assertEqual(20, sum(seen.target == "/held" for seen in app.requests))
        self.assertEqual(0, metrics.sum("mesh_retries_total"))
        self.assertEqual(0, metrics.sum("mesh_endpoint_ejections_total"))
        with RawClient(proxy.port("outbound")) as client:
            self.assertEqual(200, client.get("orders").status)


class NoFailureOfAnEndpoint(EndToEndCase):
    def _ask(self, status, *fields, **cluster):
        """What 300 requests become when one endpoint of three always answers this."""
        odd = self.app(lambda exchange: (exchange.read_body(), exchange.reply(
            status, b"odd", *fields)))
        good = [self.app(named("good")) for _ in range(2)]
        proxy = self.outbound_proxy(
            [snapshots.service("orders", [snapshots.route("orders", "o")])],
            [snapshots.cluster("o", odd.port, *(app.port for app in good), **cluster)])
        seen = collections.Counter()
        with RawClient(proxy.port("outbound")) as client:
            for _ in range(300):
                seen[client.get("orders").status] += 1
        self.assertEqual(0, proxy.admin.metrics().sum("mesh_endpoint_ejections_total"))
        return seen

    def test_a_404_is_the_application_s_answer(self):
        # In turn, as one slow answer on a busy machine would make the endpoint a seldom choice.
        seen = self._ask(404, balancing={"algorithm": "roundRobin"})
        self.assertEqual({404: 100, 200: 200}, seen)

    def test_a_429_is_asked_less_and_never_set_aside(self):
        seen = self._ask(429, "Retry-After: 1")
        self.assertEqual(300, seen[429] + seen[200])
        # It refuses faster than others answer, and is still not what gets the load.
        self.assertLess(seen[429], 60)


class Bodies(EndToEndCase):
    """No byte is lost, doubled or out of order, whatever is tried again, at once or beside."""

    SIZES = (0, 1, 100, 4_095, 16_384, 65_535, 65_536, 65_537, 200_000)
    RETRY = {"attempts": 3, "statuses": [503], "conditions": ["reset"],
             "retriesNonIdempotent": True, "backoff": {"base": "1ms", "max": "5ms"}}
    COUNT = 150

    def setUp(self):
        super().setUp()
        self.seed = 20_250_101
        #: (application, id) of each body that arrived whole.
        self.whole, self.wrong = collections.Counter(), []

    def _note(self, name, exchange, body):
        seen = exchange.request
        if hashlib.sha256(body).hexdigest() != seen.value("x-hash"):
            self.wrong.append((name, seen.value("x-id"), len(body)))
        self.whole[name, seen.value("x-id")] += 1

    def _moody(self, name, seed):
        """A handler that fails at a random point of a third of the requests, and else proves what it
        has read."""
        generator, lock = random.Random(seed), threading.Lock()

        def handler(exchange):
            with lock:
                mood = generator.choice(("reset", "503", *("fine",) * 4))
                limit = generator.choice((0, 1, 5_000, 70_000, 1 << 30))
            if mood == "reset":
                count = 0
                for piece in exchange.body_chunks() if limit else ():
                    count += len(piece)
                    if count >= limit:
                        break
                return exchange.reset()
            body = exchange.read_body()
            self._note(name, exchange, body)
            if mood == "503":
                return exchange.reply(503, b"not now")
            exchange.reply(200, hashlib.sha256(body).hexdigest().encode())
        return handler

    def _upload(self, client, generator, number):
        """Sends a random body in random pieces: (its hash, the response)."""
        body = generator.randbytes(generator.choice(self.SIZES))
        digest = hashlib.sha256(body).hexdigest()
        is_chunked = generator.random() < 0.5
        client.send(request(
            "POST", "orders", "/", f"X-Hash: {digest}", f"X-Id: {number}",
            "Transfer-Encoding: chunked" if is_chunked else f"Content-Length: {len(body)}"))
        at = 0
        try:
            while at < len(body):
                piece = body[at:at + generator.choice((1, 700, 20_000, 300_000))]
                at += len(piece)
                client.send(b"%x\r\n%s\r\n" % (len(piece), piece) if is_chunked else piece)
            if is_chunked:
                client.send(b"0\r\n\r\n")
        except ConnectionError:
            pass  # answered before all was sent; the answer says why
        return digest, client.response("POST")

    def _upload_all(self, proxy):
        """Statuses of many uploads; each that succeeded arrived as it was sent."""
        generator, statuses = random.Random(self.seed), collections.Counter()
        client = RawClient(proxy.port("outbound"), timeout=20)
        try:
            for number in range(self.COUNT):
                digest, response = self._upload(client, generator, number)
                statuses[response.status] += 1
                if response.status == 200:
                    self.assertEqual(digest, response.body.decode(), f"request {number}")
                if response.value("Connection") == "close":
                    client.socket.close()
                    client = RawClient(proxy.port("outbound"), timeout=20)
        finally:
            client.socket.close()
        self.assertEqual([], self.wrong, f"seed {self.seed}")
        return statuses

    def test_a_retry_sends_each_byte_once(self):
        apps = [self.app(self._moody(f"app{n}", n)) for n in range(3)]
        proxy = self.outbound_proxy(
            [snapshots.service("orders", [snapshots.route("orders", "o", retry=self.RETRY)])],
            [snapshots.cluster("o", *(app.port for app in apps), outlierDetection="none",
                               retryBudget={"share": "100%", "perSecond": 1_000})])
        statuses = self._upload_all(proxy)
        print(f"      statuses {dict(statuses)}, {sum(self.whole.values())} whole bodies arrived")
        self.assertGreater(statuses[200], 0.8 * self.COUNT)
        self.assertGreater(proxy.admin.metrics().sum("mesh_retries_total"), 10)

    def test_a_mirror_gets_the_same_bytes_once_and_changes_nothing(self):
        app = self.app(lambda exchange: exchange.reply(
            200, hashlib.sha256(exchange.read_body()).hexdigest().encode()))
        mirror = self.app(self._moody("mirror", 7))
        proxy = self.outbound_proxy(
            [snapshots.service("orders", [snapshots.route(
                "orders", "o", filters={"mirrors": [{"cluster": "m"}]})])],
            [snapshots.cluster("o", app.port),
             snapshots.cluster("m", mirror.port, outlierDetection="none")])
        statuses = self._upload_all(proxy)
        self.assertEqual({200: self.COUNT}, dict(statuses))
        eventually(lambda: len(mirror.requests) > self.COUNT / 2, "the mirror is asked", 10)
        self.assertEqual([], self.wrong)
        self.assertLessEqual(max(collections.Counter(
            seen.value("x-id") for seen in mirror.requests).values()), 1)

    def test_a_mirror_that_is_silent_delays_nobody(self):
        silent = threading.Event()
        self.addCleanup(silent.set)
        app, mirror = self.app(named("app")), self.app(lambda exchange: silent.wait(30))
        proxy = self.outbound_proxy(
            [snapshots.service("orders", [snapshots.route(
                "orders", "o", filters={"mirrors": [{"cluster": "m"}]})])],
            [snapshots.cluster("o", app.port), snapshots.cluster("m", mirror.port)])
        with RawClient(proxy.port("outbound")) as client:
            began = time.monotonic()
            for _ in range(50):
                self.assertEqual(b"app", client.get("orders").body)
            self.assertLess(time.monotonic() - began, 10)
        self.assertGreater(len(mirror.requests), 0)

    def test_a_hedged_answer_is_one_server_s_whole_answer(self):
        release = threading.Event()
        self.addCleanup(release.set)
        turns = itertools.count()

        def answer(name):
            def handler(exchange):
                exchange.read_body()
                # Now and then one is slow, and a second attempt is what answers it.
                if next(turns) % 3 == 0:
                    release.wait(0.4)
                body = name.encode() * 50_000
                with contextlib.suppress(OSError):  # the other attempt was faster
                    exchange.reply(200, body)
            return handler
        apps = [self.app(answer(name)) for name in "ab"]
        proxy = self.outbound_proxy(
            [snapshots.service("orders", [snapshots.route(
                "orders", "o", retry={"hedge": {"delay": "50ms"}})])],
            [snapshots.cluster("o", *(app.port for app in apps),
                               retryBudget={"share": "100%", "perSecond": 1_000})])
        with RawClient(proxy.port("outbound"), timeout=20) as client:
            for _ in range(40):
                body = client.get("orders").body
                self.assertIn(body, (b"a" * 50_000, b"b" * 50_000))
        asked = sum(len(app.requests) for app in apps)
        self.assertGreater(asked, 45, "nothing was hedged")
        self.assertLessEqual(asked, 80, "more than one hedge of a request")
        eventually(lambda: proxy.admin.metrics().sum("mesh_requests_active") == 0,
                   "the attempts that lost are given up")
