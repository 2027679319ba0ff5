"""The resilience act: a bad version rolls itself back, and a broken instance is set aside.

Nobody operates anything here but what an operator would do anyway: scale a service out, apply a
Canary manifest, repair an instance. What is judged is what the client of the mesh saw.
"""

import signal
import time

from localmesh import manifests
from localmesh.waiting import eventually

#: Who serves, and the instances added to it; one of those is broken.
SERVING, REPLICAS = "inventory-v2", ("inventory-v2-b", "inventory-v2-c")
BROKEN = REPLICAS[0]
BAD = "inventory-v3"
#: Of a hundred requests the bad version answers so many with 500.
BAD_PERCENT = 50
#: The canary's first step, and so the most that a bad version can cost.
FIRST_STEP = 0.10
CANARY = {
    "baseline": {"name": SERVING}, "steps": ["10%", "50%"], "interval": "30s",
    "minimumSample": 20, "latency": "none"}
#: So many failures in a row set an instance aside, by default 5; one more may be under way on each
#: of the client's connections.
FAILURES_MAX = 5 + 4
#: After a second in which its failures show, a broken instance may cost callers so much: a request
#: in each few seconds asks whether it has recovered.
COST_MAX = 0.01
#: A repaired instance is asked again no later than the longest ejection, 8 s.
RETURN_SECONDS = 10.0
CANARY_FILE = "canary.yaml"


class ResilienceAct:
    def __init__(self, demo):
        self._demo, self._mesh, self._observer = demo, demo.mesh, demo.observer
        self._screen = demo.screen

    def play(self):
        self._screen.page = "resilience"
        try:
            self._scale_out()
            self._bad_version()
            self._broken_instance()
        finally:
            self._screen.page = "mesh"

    # A service with three instances, and a version that is not released yet.

    def _scale_out(self):
        demo, mesh = self._demo, self._mesh
        listeners = demo.listeners([*REPLICAS, BAD])
        for name in REPLICAS:
            mesh.add_replica(name, SERVING, demo.port(listeners[name]))
        mesh.add(BAD, demo.port(listeners[BAD]))
        # Its identity must be known before its proxy may enrol.
        mesh.apply("services.yaml", mesh.service_documents())
        for name in listeners:
            mesh.start_proxy(name)
        demo.start_services(listeners, fails={BAD: BAD_PERCENT})
        for name in listeners:
            mesh.proxies[name].wait_until_ready()
        mesh.apply("services.yaml", mesh.service_documents())
        eventually(
            lambda: {SERVING, *REPLICAS} <= {name for name, *_ in self._observer.endpoints},
            "orders knows three instances")
        self._screen.event(f"{SERVING} has three instances, each behind its sidecar")

    # A bad version.

    def _bad_version(self):
        demo, screen = self._demo, self._screen
        self._observer.watches_canary = True
        began = time.monotonic()
        self._mesh.apply(CANARY_FILE, [manifests.canary("inventory", "inventory", BAD, **CANARY)])
        screen.event(
            f"{BAD} rolled out as canary to {FIRST_STEP:.0%}; "
            f"it answers {BAD_PERCENT} % of its requests with 500")
        decided = self._mesh.controller.wait_for_log("canary", action="rolledBack", seconds=30)
        eventually(lambda: (self._observer.weights or {}).get(BAD) == 0, "orders went back")
        ended = time.monotonic()
        self._observer.look_at_canary()
        said = self._observer.canary
        demo.expect(
            "the bad version rolls itself back",
            said["phase"] == "rolledBack" and said["share"] == 0 and said["step"] == 1,
            "after %.1f s, in step %d: %s" % (
                decided["_monotonic"] - began, said["step"], decided["reason"]))
        # Nobody repeats a 500: work may have been done. So the step bounds what callers see.
        total, failed = demo.tally.between(began, ended)
        demo.expect(
            "it cost no more than its share", 0 < failed <= FIRST_STEP * total + 1,
            f"{failed} of {total} requests failed ({failed / total:.1%}); "
            f"its share was {FIRST_STEP:.0%}")
        demo.load.wait_for(2 * demo.rate)
        total, failed = demo.tally.between(ended, time.monotonic())
        demo.expect("nothing fails after it", failed == 0 and total > 0,
                    f"{failed} of {total} requests failed")

    # A broken instance.

    def _broken_instance(self):
        demo, screen = self._demo, self._screen
        orders, child = self._mesh.proxies["orders"], demo.service(BROKEN)
        address = f"127.0.0.1:{self._mesh.proxies[BROKEN].port('inbound')}"
        since = len(orders.log)
        child.send(signal.SIGUSR1)
        broken = child.wait_for_log("broken")["_monotonic"]
        screen.event(f"{BROKEN} breaks: it answers everything with 500")
        ejected = orders.wait_for_log(
            "endpoint ejected", since=since, endpoint=address)["_monotonic"]
        eventually(lambda: self._observer.endpoint(BROKEN)["standing"] != "healthy",
                   "/clusters shows that it is out")
        said = self._observer.endpoint(BROKEN)
        # Its first failure already makes the balancer prefer the others, so that the last of the
        # failures in a row may be seconds away: what counts is how many there were.
        _, failed = demo.tally.between(broken, ejected)
        demo.expect(
            "the broken instance is set aside", failed <= FAILURES_MAX and said["cause"],
            f"after {failed} failed requests and {ejected - broken:.1f} s: "
            + said["explanation"].split(";")[0])
        # Until after its first probe, which fails.
        orders.wait_for_log("endpoint ejected", since=since, endpoint=address, reason="probe")
        demo.load.wait_for(demo.rate)

        child.send(signal.SIGUSR1)
        repaired = child.wait_for_log("repaired")["_monotonic"]
        screen.event(f"{BROKEN} is repaired; one request at a time asks whether it is")
        total, failed = demo.tally.between(broken + 1, repaired)
        demo.expect(
            "callers notice less than 1 % of it", failed < COST_MAX * total,
            f"{failed} of {total} requests failed from the second on ({failed / total:.2%})")
        restored = orders.wait_for_log(
            "endpoint restored", since=since, endpoint=address)["_monotonic"]
        screen.event(f"{BROKEN} is back: the request that probed it succeeded")
        eventually(lambda: self._observer.endpoint(BROKEN)["standing"] == "healthy",
                   "/clusters shows that it is back")
        seen = demo.tally.instances[BROKEN]
        demo.load.wait_for(demo.rate)
        served = demo.tally.instances[BROKEN] - seen
        demo.expect(
            "repaired, it serves again", restored - repaired < RETURN_SECONDS and served > 0,
            f"back after {restored - repaired:.1f} s; {served} of the next {demo.rate} requests")
        total, failed = demo.tally.between(restored, time.monotonic())
        demo.expect("nothing fails with it", failed == 0 and total > 0,
                    f"{failed} of {total} requests failed")
