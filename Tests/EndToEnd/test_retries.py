"""What is tried again, where, how often, and what becomes of the body: through real connections."""

import collections
import hashlib
import itertools
import random
import threading
import time

from harness import snapshots
from harness.app import named
from harness.case import EndToEndCase
from harness.client import RawClient, request
from localmesh import manifests
from localmesh.waiting import eventually

IN_TURN = {"algorithm": "roundRobin"}
UNBOUNDED = {"share": "100%", "perSecond": 10_000}
QUICK = {"base": "1ms", "max": "5ms"}
REPLAY_BYTES_MAX = 65_536


class RetryCase(EndToEndCase):
    def retrying(self, handlers, retry, **cluster):
        """(apps, proxy): endpoints in turn that are never set aside, so that each is asked."""
        apps = [self.app(handler) for handler in handlers]
        proxy = self.outbound_proxy(
            [snapshots.service("orders", [snapshots.route(
                "orders", "o", retry={"backoff": QUICK, **retry})])],
            [snapshots.cluster("o", *(app.port for app in apps), **{
                "balancing": IN_TURN, "outlierDetection": "none", "retryBudget": UNBOUNDED,
                **cluster})])
        return apps, proxy

    def client(self, proxy):
        client = RawClient(proxy.port("outbound"), timeout=20)
        self.addCleanup(client.socket.close)
        return client

    def counts(self, proxy, reason=None):
        """(retries, refused ones), the latter for one reason if it is given."""
        metrics = proxy.admin.metrics()
        labels = {"reason": reason} if reason else {}
        return (metrics.sum("mesh_retries_total"),
                metrics.sum("mesh_retries_refused_total", **labels))


def failing(status, *fields):
    """A handler that always answers this."""
    return lambda exchange: (exchange.read_body(), exchange.reply(status, b"no", *fields))


class WhatIsRepeated(RetryCase):
    def test_an_endpoint_that_failed_is_not_the_one_that_is_asked_next(self):
        (bad, good), proxy = self.retrying(
            [failing(503), named("good")], {"attempts": 1, "statuses": [503]})
        client = self.client(proxy)
        for _ in range(40):
            answer = client.get("orders")
            self.assertEqual((200, b"good"), (answer.status, answer.body))
        self.assertEqual(40, len(good.requests))
        self.assertEqual((len(bad.requests), 0), self.counts(proxy))

    def test_nothing_but_what_was_asked_for_is_repeated(self):
        (app,), proxy = self.retrying([failing(500)], {"attempts": 3, "statuses": [502, 503]})
        client = self.client(proxy)
        for status in (500, 404, 429, 504):
            app.handler = failing(status)
            self.assertEqual(status, client.get("orders").status)
        self.assertEqual(4, len(app.requests))
        app.handler = failing(502)
        self.assertEqual(502, client.get("orders").status)
        self.assertEqual(4 + 1 + 3, len(app.requests), "one and three more")

    def test_who_may_change_something_is_asked_once_unless_it_says_that_it_may_be_repeated(self):
        (app,), proxy = self.retrying([failing(503)], {"attempts": 2, "statuses": [503]})
        client = self.client(proxy)
        for method, fields, times in (
                ("POST", (), 1), ("PATCH", (), 1), ("PUT", (), 3), ("DELETE", (), 3), ("GET", (), 3),
                ("POST", ("Idempotency-Key: 8e03978e",), 3)):
            before = len(app.requests)
            self.assertEqual(503, client.exchange(
                request(method, "orders", "/", *fields, body=b"x")).status)
            self.assertEqual(times, len(app.requests) - before, f"{method} {fields}")
        self.assertEqual(2, self.counts(proxy, "non_idempotent")[1])

    def test_attempts_tell_the_application_which_they_are(self):
        (app,), proxy = self.retrying([failing(503)], {"attempts": 2, "statuses": [503]})
        self.client(proxy).get("orders")
        self.assertEqual(["1", "2", "3"], [seen.value("mesh-attempt") for seen in app.requests])

    def test_a_layer_above_that_repeats_is_not_joined(self):
        (app,), proxy = self.retrying([failing(503)], {"attempts": 3, "statuses": [503]})
        self.assertEqual(503, self.client(proxy).get("orders", "/", "mesh-attempt: 1").status)
        self.assertEqual(1, len(app.requests))

    def test_retry_after_is_waited_for_or_the_answer_is_the_callers(self):
        moments = []

        def first_not_yet(exchange):
            moments.append(time.monotonic())
            exchange.read_body()
            if len(moments) == 1:
                exchange.reply(503, b"not yet", "Retry-After: 1")
            else:
                exchange.reply(200, b"now")
        (app,), proxy = self.retrying([first_not_yet], {"attempts": 1, "statuses": [503]})
        self.assertEqual(b"now", self.client(proxy).get("orders").body)
        self.assertGreaterEqual(moments[1] - moments[0], 0.99)
        app.handler = failing(503, "Retry-After: 30")
        answer = self.client(proxy).get("orders")
        self.assertEqual((503, b"no", "30"), (answer.status, answer.body, answer.value("Retry-After")))
        self.assertEqual(3, len(app.requests))
        self.assertEqual(1, self.counts(proxy, "pushback")[1])

    def test_an_attempt_that_takes_too_long_is_given_up_for_another_endpoint(self):
        given_up = threading.Semaphore(0)

        def silent(exchange):
            exchange.read_body()
            # Ends when the proxy ends the connection, for nothing else arrives.
            self.assertEqual(b"", exchange.socket.recv(1))
            given_up.release()
        (slow, _), proxy = self.retrying(
            [silent, named("good")],
            {"attempts": 1, "conditions": ["perTryTimeout"], "perTryTimeout": "300ms"})
        client = self.client(proxy)
        for _ in range(4):
            self.assertEqual(b"good", client.get("orders").body)
        self.assertGreater(len(slow.requests), 0)
        for _ in slow.requests:
            self.assertTrue(given_up.acquire(timeout=10))
        self.assertGreater(proxy.admin.metrics().sum("mesh_timeouts_total"), 0)

    def test_the_deadline_is_that_of_all_attempts_and_what_is_left_travels(self):
        (app,), proxy = self.retrying(
            [failing(503)], {"attempts": 10, "statuses": [503],
                             "backoff": {"base": "200ms", "max": "1s"}})
        client = self.client(proxy)
        answer = client.get("orders", "/", "mesh-timeout: 700m")
        self.assertIn(answer.status, (503, 504))
        left = [_nanoseconds(seen.value("mesh-timeout")) for seen in app.requests]
        self.assertLess(left[0], 700e6)
        self.assertEqual(sorted(left, reverse=True), left)
        # Ten waits of half a second in the mean would be too long.
        self.assertLess(len(left), 11)
        # Expired work is refused before it is sent.
        seen = len(app.requests)
        self.assertEqual(504, client.get("orders", "/", "mesh-timeout: 0m").status)
        self.assertEqual(504, client.get("orders", "/", "mesh-deadline: 1000").status)
        self.assertEqual(seen, len(app.requests))


def _nanoseconds(text):
    """A time as it travels: digits and a unit (`grpc-timeout`)."""
    return int(text[:-1]) * {"n": 1, "u": 1e3, "m": 1e6, "S": 1e9}[text[-1]]


class Bodies(RetryCase):
    """Each attempt sees every byte once, up to what is kept; beyond that there is no other attempt."""

    RETRY = {"attempts": 3, "conditions": ["reset"], "statuses": [503]}
    #: Around what is kept, what is read at once, and a chunk.
    SIZES = tuple(base + delta for base in (4_096, 16_384, 32_768, REPLAY_BYTES_MAX)
                  for delta in (-1, 0, 1)) + (0, 1)

    def resetting(self, limits):
        """A handler that resets after so many bytes of the body, in turn; None: that reads all."""
        turns, lock = itertools.cycle(limits), threading.Lock()

        def handler(exchange):
            with lock:
                limit = next(turns)
            if limit is None:
                body = exchange.read_body()
                return exchange.reply(200, hashlib.sha256(body).hexdigest().encode())
            count = 0
            for piece in exchange.body_chunks() if limit else ():
                count += len(piece)
                if count >= limit:
                    break
            exchange.reset()
        return handler

    def upload(self, client, body, pieces, is_chunked):
        client.send(request(
            "PUT", "orders", "/",
            "Transfer-Encoding: chunked" if is_chunked else f"Content-Length: {len(body)}"))
        at = 0
        try:
            while at < len(body):
                piece = body[at:at + next(pieces)]
                at += len(piece)
                client.send(b"%x\r\n%s\r\n" % (len(piece), piece) if is_chunked else piece)
            if is_chunked:
                client.send(b"0\r\n\r\n")
        except ConnectionError:
            pass  # answered before all was sent; the answer says why
        return client.response("PUT")

    def test_every_size_that_is_kept_arrives_whole_however_it_is_cut(self):
        generator = random.Random(20_261_130)
        limits = (0, None, 1, None, 4_096, None, 20_000, None)
        (app,), proxy = self.retrying([self.resetting(limits)], self.RETRY)
        cuts = itertools.cycle((1_000, 7, 16_384, 4_096, 65_536, 333))
        for number, (size, is_chunked) in enumerate(
                itertools.product(self.SIZES, (False, True))):
            body = generator.randbytes(size)
            with RawClient(proxy.port("outbound"), timeout=20) as client:
                answer = self.upload(client, body, cuts, is_chunked)
            kept = size <= REPLAY_BYTES_MAX
            if kept:
                self.assertEqual(200, answer.status, f"{size} bytes, chunked {is_chunked}")
            if answer.status == 200:
                self.assertEqual(hashlib.sha256(body).hexdigest().encode(), answer.body)
        self.assertGreater(self.counts(proxy)[0], len(self.SIZES))

    def test_more_than_is_kept_is_not_repeated_and_counted(self):
        # What answers has read everything, so that all of it has passed the proxy.
        (app,), proxy = self.retrying([failing(503)], self.RETRY)
        for is_chunked in (False, True):
            with RawClient(proxy.port("outbound"), timeout=20) as client:
                answer = self.upload(
                    client, bytes(REPLAY_BYTES_MAX + 1), itertools.repeat(10_000), is_chunked)
            self.assertEqual((503, b"no"), (answer.status, answer.body))
        self.assertEqual(2, len(app.requests))
        self.assertEqual((0, 2), self.counts(proxy, "replay"))
        with RawClient(proxy.port("outbound"), timeout=20) as client:
            self.upload(client, bytes(REPLAY_BYTES_MAX), itertools.repeat(10_000), False)
        self.assertEqual(2 + 4, len(app.requests), "exactly as much is kept")

    def test_a_connection_that_turns_out_closed_is_replaced_without_being_asked_for(self):
        (app,), proxy = self.retrying([named("good")], {})
        client = self.client(proxy)
        counts = collections.Counter()
        for _ in range(30):
            counts[client.get("orders").status] += 1
            app.reset_connections()
            eventually(lambda: app.connections_open() == 0, "they are gone")
            counts[client.exchange(request("PUT", "orders", body=b"y" * 1_000)).status] += 1
        self.assertEqual({200: 60}, dict(counts))


class Sidecars(EndToEndCase):
    """web → a → b → c, each with its sidecar, and each told to repeat what c always refuses."""

    COUNT, SHARE = 150, 0.2

    def test_only_the_outermost_repeats_and_within_its_budget(self):
        mesh = self.mesh()
        last = self.app(failing(503))
        mesh.add("c", last.port)
        for name, behind in (("b", "c"), ("a", "b"), ("web", "a")):
            mesh.add(name, self.app(_relay(mesh, name, behind)).port, uses=[behind])
        mesh.start()
        document = manifests.mesh(mesh.leaf_lifetime, defaults={
            "retry": {"attempts": 3, "statuses": [503], "backoff": {"base": "1ms", "max": "2ms"}},
            "retryBudget": {"share": f"{self.SHARE:.0%}", "perSecond": 0}, "outlierDetection": "none"})
        mesh.apply("mesh.yaml", [document])
        with RawClient(mesh.proxies["web"].port("outbound"), timeout=20) as client:
            for _ in range(self.COUNT):
                self.assertEqual(503, client.get("a").status)
        retries = {name: proxy.admin.metrics().sum("mesh_retries_total")
                   for name, proxy in mesh.proxies.items()}
        print(f"      {len(last.requests)} requests at the last, retries: {retries}")
        self.assertEqual((0, 0, 0), (retries["a"], retries["b"], retries["c"]))
        self.assertGreater(retries["web"], 0)
        self.assertLessEqual(len(last.requests), (1 + self.SHARE) * self.COUNT)
        self.assertEqual(self.COUNT + retries["web"], len(last.requests))


def _relay(mesh, name, behind):
    """A handler of an application that asks the next service through its sidecar, and passes on what
    travels with a request."""
    def handler(exchange):
        exchange.read_body()
        fields = [f"{field}: {value}" for field in ("mesh-attempt", "mesh-deadline")
                  for value in exchange.request.values(field)]
        with RawClient(mesh.proxies[name].port("outbound"), timeout=20) as client:
            exchange.reply(client.get(behind, "/", *fields).status)
    return handler
