"""More than can be served: by a worker, by a service, and by what may run at once."""

import collections
import contextlib
import json
import os
import shutil
import subprocess
import threading
import time

from harness import snapshots
from harness.case import EndToEndCase
from harness.client import RawClient, request
from localmesh.load import Load, percentile
from localmesh.waiting import eventually

PRIORITIES = ("sheddable", "normal", "critical")


class Shedding(EndToEndCase):
    """A worker that is late with everything refuses what matters least first."""

    #: The worker answers these itself, so that it is all there is to wait for.
    ANSWERED = {"redirect": {"path": {"full": "/elsewhere"}}}
    #: Of each priority: one request after the other on each connection, or many at once on few.
    MANY_CONNECTIONS = ("--h1", "-c", "80")
    MANY_STREAMS = ("-c", "4", "-m", "100")
    SHEDDING = {"target": "1ms", "interval": "200ms"}

    def setUp(self):
        super().setUp()
        if not shutil.which("h2load"):
            self.skipTest("h2load, which asks faster than a proxy answers, is not installed")

    def proxy_with_priorities(self, **shedding):
        app = self.app()
        routes = [
            {"name": f"orders/{priority}", "match": {"path": {"prefix": f"/{priority}"}},
             "backends": [], "filters": self.ANSWERED, "priority": priority}
            for priority in PRIORITIES]
        return self.outbound_proxy(
            [snapshots.service("orders", [*routes, snapshots.route("rest", "o")])],
            [snapshots.cluster("o", app.port)], mesh={"loadShedding": shedding})

    @contextlib.contextmanager
    def overload(self, proxy, listener="outbound", callers=MANY_CONNECTIONS):
        """So many callers of each priority at once that each turn of the worker is a long one.

        They go first where both want the same processor: the worker then finds all of them waiting,
        however busy the machine is, and not one after the other.
        """
        for thread in os.listdir(f"/proc/{proxy.pid}/task"):
            os.setpriority(os.PRIO_PROCESS, int(thread), 10)
        # One program for each, or all their connections would ask for the same one at the same time.
        loads = [subprocess.Popen(
            ["h2load", *callers, "-D", "240",
             f"--connect-to=127.0.0.1:{proxy.port(listener)}", f"http://orders/{priority}"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            for priority in PRIORITIES]
        try:
            yield
        finally:
            for load in loads:
                load.kill()
                load.wait()

    def refuse_all(self, proxy):
        """Waits until even what is critical was refused; each less important one was refused earlier, and
        so more often."""
        def counts():
            metrics = proxy.admin.metrics()
            seen = [metrics.sum("mesh_shed_total", priority=priority) for priority in PRIORITIES]
            return seen if seen[-1] else None
        seen = eventually(counts, "an overload that nothing helps refuses all", 120)
        print(f"      refused: {dict(zip(PRIORITIES, seen))}")
        self.assertGreater(seen[0], seen[1])
        self.assertGreater(seen[1], seen[2])

    def test_the_least_important_goes_first_and_all_are_back_when_the_load_ends(self):
        proxy = self.proxy_with_priorities(**self.SHEDDING)
        with RawClient(proxy.port("outbound"), timeout=60) as client:
            def statuses():
                return {client.get("orders", f"/{priority}").status for priority in PRIORITIES}
            self.assertEqual({302}, statuses())
            with self.overload(proxy):
                self.refuse_all(proxy)

                def is_refused():
                    answer = client.get("orders", "/sheddable")
                    return answer if answer.status == 503 else None
                answer = eventually(is_refused, "one of ours is refused, too", 60)
                self.assertEqual("1", answer.value("Retry-After"))
                self.assertEqual("overloaded", json.loads(answer.body)["title"])
            eventually(lambda: statuses() == {302}, "all are served again", 20)
        metrics = proxy.admin.metrics()
        self.assertEqual(metrics.sum("mesh_shed_total"),
                         metrics.sum("mesh_local_replies_total", cause="overloaded"))

    def test_few_connections_with_many_streams_are_a_load_too(self):
        # What sidecars have with each other: few events, each with much to do.
        proxy = self.proxy_with_priorities(**self.SHEDDING)
        with self.overload(proxy, callers=self.MANY_STREAMS):
            self.refuse_all(proxy)

    def test_at_the_service_its_own_priorities_count(self):
        # A limit that is used up makes the sidecar itself the one who answers.
        proxy = self.inbound_proxy(self.app(), mesh={"loadShedding": self.SHEDDING}, inbound={
            "rateLimits": [{"name": "none", "requests": 1, "period": "24h"}],
            "priorities": [{"priority": priority, "matches": [{"path": {"prefix": f"/{priority}"}}]}
                           for priority in PRIORITIES]})
        with self.overload(proxy, "inbound"):
            self.refuse_all(proxy)
        self.assertEqual(0, proxy.admin.metrics().sum("mesh_shed_total", direction="outbound"))

    def test_a_load_below_the_target_refuses_nobody(self):
        proxy = self.proxy_with_priorities(target="10s", interval="20s")
        with self.overload(proxy):
            eventually(lambda: proxy.admin.metrics().sum("http_requests_total") > 20_000,
                       "many have asked", 120)
        self.assertEqual(0, proxy.admin.metrics().sum("mesh_shed_total"))


class Crowded:
    """A handler of an application that serves only so many at once; the others wait, as in a pool of
    threads. It notes how many were in it."""

    def __init__(self, places, seconds):
        self._places, self.seconds = threading.Semaphore(places), seconds
        self._lock = threading.Lock()
        self.running, self.peaks = 0, []

    def __call__(self, exchange):
        exchange.read_body()
        with self._lock:
            self.running += 1
            self.peaks.append(self.running)
        with self._places:
            # What it does takes its time, as long as nobody ends it.
            threading.Event().wait(self.seconds)
        with self._lock:
            self.running -= 1
        exchange.reply(200, b"served")


class AdaptiveConcurrency(EndToEndCase):
    CLIENTS = 64

    def test_the_bound_follows_latency_and_recovers(self):
        crowded = Crowded(places=4, seconds=0.02)
        app = self.app(crowded)
        proxy = self.outbound_proxy(
            [snapshots.service("orders", [snapshots.route("orders", "o")])],
            [snapshots.cluster("o", app.port, adaptiveConcurrency={
                "initial": 60, "min": 2, "max": 200})])
        port = proxy.port("outbound")
        with Load(port, "orders", clients=self.CLIENTS, rate=400) as load:
            load.wait_for(1200, 60)
            at, seen = load.count(), len(crowded.peaks)
            load.wait_for(1200, 60)
            outcomes, peaks = load.outcomes(at), crowded.peaks[seen:]
        served = [outcome for outcome in outcomes if outcome.status == 200]
        refused = [outcome for outcome in outcomes if outcome.status == 503]
        self.assertEqual(len(outcomes), len(served) + len(refused))
        took = sorted(outcome.ended - outcome.began for outcome in served)
        print(f"      {len(served)} served in {percentile(took, 0.5) * 1000:.0f} ms, {len(refused)} "
              f"refused; {percentile(peaks, 0.9)} in the application, of {self.CLIENTS} callers")
        self.assertGreater(len(served), 0)
        self.assertGreater(len(refused), 0)
        for outcome in refused:
            self.assertEqual("concurrency_limit", json.loads(outcome.body)["title"])
        # All callers would be in it without a bound.
        self.assertLess(percentile(peaks, 0.9), self.CLIENTS / 2)
        # The room is there again: the bound grows, and nobody is refused.
        crowded.seconds = 0
        with Load(port, "orders", clients=16, rate=400) as load:
            def all_are_served():
                load.wait_for(200)
                return {outcome.status for outcome in load.outcomes()[-200:]} == {200}
            eventually(all_are_served, "nobody is refused any more", 30)

    def test_without_it_all_wait_in_the_application(self):
        crowded = Crowded(places=4, seconds=0.02)
        app = self.app(crowded)
        proxy = self.outbound_proxy(
            [snapshots.service("orders", [snapshots.route("orders", "o")])],
            [snapshots.cluster("o", app.port)])
        with Load(proxy.port("outbound"), "orders", clients=self.CLIENTS, rate=400) as load:
            load.wait_for(800, 60)
        self.assertNoFailures(load)
        self.assertGreater(max(crowded.peaks), self.CLIENTS / 2)


class Bounds(EndToEndCase):
    """What may run, wait or be connected at once; the next one is refused at once and told why."""

    def held_hop(self, **cluster):
        entered, release = threading.Semaphore(0), threading.Event()
        self.addCleanup(release.set)

        def held(exchange):
            exchange.read_body()
            entered.release()
            release.wait(30)
            exchange.reply(200, b"at last")
        app = self.app(held)
        proxy = self.outbound_proxy(
            [snapshots.service("orders", [snapshots.route("orders", "o")])],
            [snapshots.cluster("o", app.port, **cluster)])
        return proxy, entered, release

    def _exceed(self, limits, cause, running):
        proxy, entered, release = self.held_hop(limits=limits)
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(RawClient(proxy.port("outbound"), timeout=30))
                       for _ in range(5)]
            for number, client in enumerate(clients[:4]):
                client.send(request("GET", "orders"))
                # Who waits for a connection that is being made waits, too: so one after the other.
                if number < running:
                    self.assertTrue(entered.acquire(timeout=10))
            eventually(lambda: proxy.admin.metrics().sum("mesh_requests_active") == 4,
                       "all are taken in")
            began = time.monotonic()
            refused = clients[4].get("orders")
            self.assertLess(time.monotonic() - began, 5, "refused, but not at once")
            self.assertEqual(503, refused.status)
            self.assertEqual(cause, json.loads(refused.body)["title"])
            self.assertEqual("1", refused.value("Retry-After"))
            release.set()
            self.assertEqual(collections.Counter({200: 4}), collections.Counter(
                client.response().status for client in clients[:4]))
        metrics = proxy.admin.metrics()
        self.assertEqual(1, metrics.sum("mesh_local_replies_total", cause=cause))
        self.assertEqual(0, metrics.sum("mesh_retries_total"))

    def test_of_running_requests(self):
        self._exceed({"requests": 4}, "too_many_requests", running=4)

    def test_of_waiting_requests(self):
        self._exceed({"connections": 2, "pendingRequests": 2}, "too_many_pending_requests",
                     running=2)
