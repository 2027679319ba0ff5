"""Large bodies, slow readers, many at once: constant memory, unchanged content."""

import hashlib
import random
import threading
from concurrent.futures import ThreadPoolExecutor

from harness import case
from harness.case import EndToEndCase
from harness.client import RawClient, request
from harness.kernel import standing_bytes_max
from localmesh.waiting import eventually

MIB = 1024 * 1024
#: What a proxy may hold of bodies in flight: watermarks, TLS records and buffers of two sides. It
#: grows by 1.5 MiB in practice.
GROWTH_MAX = 8 * MIB


def pattern(seed):
    """A MiB of unrepeating bytes."""
    return random.Random(seed).randbytes(MIB)


class Bodies(EndToEndCase):
    @property
    def mebibytes(self):
        # So many that back-pressure shows however much the kernel takes.
        return max(1024 if case.is_long else 256, 2 * self.standing_max)

    @property
    def standing_max(self):
        return standing_bytes_max() // MIB

    def _assert_memory_stays(self, proxies, idle):
        for proxy, before in zip(proxies, idle):
            growth = proxy.peak_resident_bytes() - before
            self.assertLess(growth, GROWTH_MAX, f"{proxy.name} grew by {growth / MIB:.1f} MiB")

    def test_a_large_download_with_a_slow_reader_takes_constant_memory(self):
        block, count = pattern(1), self.mebibytes
        sent = []
        def handler(exchange):
            exchange.read_body()
            exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (count * MIB))
            for _ in range(count):
                exchange.send(block)
                sent.append(1)
        _, web, orders = self.two_hops(handler)
        idle = [web.resident_bytes(), orders.resident_bytes()]
        digest, expected = hashlib.sha256(), hashlib.sha256()
        with RawClient(web.port("outbound"), timeout=60, receive_buffer=64 * 1024) as client:
            client.send(request("GET", "orders"))
            head = client.reader.head()
            # Nothing is read until the app is blocked: that is the back-pressure under test.
            self._wait_until_steady(lambda: len(sent))
            self.assertLess(len(sent), self.standing_max,
                            "the app could send on although nobody reads")
            for chunk in client.reader.chunks(head, is_response=True):
                digest.update(chunk)
        for _ in range(count):
            expected.update(block)
        self.assertEqual(expected.hexdigest(), digest.hexdigest())
        self._assert_memory_stays([web, orders], idle)

    def test_a_large_upload_to_a_slow_app_takes_constant_memory(self):
        block, count = pattern(2), self.mebibytes
        go, digest = threading.Event(), hashlib.sha256()
        def handler(exchange):
            go.wait(60)
            for chunk in exchange.body_chunks():
                digest.update(chunk)
            exchange.reply(200, digest.hexdigest().encode())
        _, web, orders = self.two_hops(handler)
        idle = [web.resident_bytes(), orders.resident_bytes()]
        expected, sent = hashlib.sha256(), []
        with RawClient(web.port("outbound"), timeout=60) as client:
            client.send(request("POST", "orders", "/", "Transfer-Encoding: chunked"))
            def upload():
                for _ in range(count):
                    client.send(b"%x\r\n" % MIB + block + b"\r\n")
                    expected.update(block)
                    sent.append(1)
                client.send(b"0\r\n\r\n")
            uploader = threading.Thread(target=upload, daemon=True)
            uploader.start()
            self._wait_until_steady(lambda: len(sent))
            self.assertLess(len(sent), self.standing_max,
                            "the client could send on although the app reads nothing")
            go.set()
            response = client.response("POST")
            uploader.join(10)
        self.assertEqual(expected.hexdigest(), response.body.decode())
        self._assert_memory_stays([web, orders], idle)

    def _wait_until_steady(self, measure):
        """Waits until a growing number has begun to grow and then kept still."""
        seen = []
        def is_steady():
            seen.append(measure())
            return len(seen) > 20 and seen[-1] > 0 and len(set(seen[-20:])) == 1
        eventually(is_steady, "the sender is blocked by back-pressure", 30)

    def test_many_random_bodies_at_once_arrive_unchanged(self):
        _, web, _ = self.two_hops(lambda exchange: exchange.reply(200, exchange.read_body()))
        def echo_bodies(seed):
            generator, wrong = random.Random(seed), []
            with RawClient(web.port("outbound"), timeout=30) as client:
                for turn in range(15):
                    body = generator.randbytes(generator.choice([0, 10, 5_000, 70_000, 400_000]))
                    response = client.exchange(request("POST", "orders", "/", body=body))
                    if response.status != 200 or response.body != body:
                        wrong.append((seed, turn, len(body), response.status, len(response.body)))
            return wrong
        with ThreadPoolExecutor(8) as pool:
            # A client's exception fails the test too: `map` raises it here.
            for wrong in pool.map(echo_bodies, range(8)):
                self.assertEqual([], wrong)

    def test_clients_that_abort_in_mid_body_leave_nothing_behind(self):
        block = pattern(3)
        def handler(exchange):
            exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (64 * MIB))
            for _ in range(64):
                exchange.send(block)
        app, web, orders = self.two_hops(handler)
        for _ in range(20):
            client = RawClient(web.port("outbound"))
            client.send(request("GET", "orders"))
            client.reader.head()
            client.reset()
        eventually(lambda: app.connections_open() == 0, "aborts reach the app")
        for proxy in (web, orders):
            eventually(
                lambda proxy=proxy: proxy.admin.metrics().sum("mesh_requests_active") == 0,
                f"{proxy.name} has no exchange left")
