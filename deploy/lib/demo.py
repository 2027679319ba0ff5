"""The demo: web → orders → inventory v1/v2, each behind its sidecar, and the story told on it.

Started by deploy/demo. The story runs in the main thread, the view in another; what both look at
is `observation.py`, what is drawn is `screen.py`.
"""

import argparse
import collections
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
import time

from localmesh import manifests
from localmesh.load import Load, percentile
from localmesh.mesh import LocalMesh
from localmesh.processes import Binaries, Child, stop_all
from localmesh.waiting import eventually
from observation import Observer
from resilience import BROKEN, ResilienceAct
from screen import Screen, table

VERSIONS = ("inventory-v1", "inventory-v2")
FIRST_WEIGHTS, CANARY_WEIGHTS, FINAL_WEIGHTS = (90, 10), (50, 50), (0, 100)
CLIENTS, RATE = 4, 120
#: Short, so that rotations can be watched.
LEAF_LIFETIME = "20s"
#: Requests in one phase before its split is judged.
SAMPLE = 600
#: Without --once: how long all goes well before something breaks.
CALM_SECONDS = 10


class Phase:
    """A time with the same weights {service: weight}, and who answered the requests that began in
    it."""

    def __init__(self, weights):
        self.weights, self.began, self.ended = weights, time.monotonic(), None
        self.counts = collections.Counter()


class Tally:
    """What became of the traffic: counts, the latest latencies, the first failures."""

    def __init__(self):
        self.total = self.failed = 0
        self.failures, self.phases = [], []
        #: The latest requests' (ended, latency, failed).
        self.latest = collections.deque(maxlen=20_000)
        #: Answers of each instance of inventory.
        self.instances = collections.Counter()
        #: Whether a failed request is one of those a story is about, and not to be shown in full.
        self.expects_failures = False

    def add(self, outcome):
        self.total += 1
        self.latest.append((outcome.ended, outcome.ended - outcome.began, outcome.failed))
        if outcome.failed:
            self.failed += 1
            if len(self.failures) < 10 and not self.expects_failures:
                self.failures.append(outcome)
            return
        answer = json.loads(outcome.body)["called"]["called"]
        self.instances[answer["instance"]] += 1
        for phase in reversed(self.phases):
            if outcome.began >= phase.began:
                if phase.ended is None or outcome.began < phase.ended:
                    phase.counts[answer["service"]] += 1
                return

    def between(self, began, ended):
        """(requests, failed ones) that began in this time, of those that have ended."""
        those = [failed for end, latency, failed in list(self.latest)
                 if began <= end - latency < ended]
        return len(those), sum(those)


class Demo:
    rate = RATE

    def __init__(self, options):
        self.once = options.once
        self.directory = tempfile.mkdtemp(prefix="mesh-demo-")
        binaries = Binaries(options.control_binaries, mesh_proxy=options.proxy_binaries)
        self.mesh = LocalMesh(
            binaries, self.directory, leaf_lifetime=LEAF_LIFETIME,
            drain={"gracePeriod": "10s", "propagation": "200ms"})
        self.services = []
        self.load, self.tally = None, Tally()
        #: [(expectation, held, what was seen)]
        self.expectations = []
        self.screen = Screen(self)
        self.observer = Observer(self.mesh)

    # The stage.

    @staticmethod
    def listeners(names):
        """{name: a listening socket}, for applications that are started later."""
        return {name: socket.create_server(("127.0.0.1", 0), backlog=256) for name in names}

    @staticmethod
    def port(listener):
        return listener.getsockname()[1]

    def start(self):
        listeners = self.listeners(("web", "orders", *VERSIONS))

        def port(name):
            return self.port(listeners[name])
        # The edge of this mesh: `web` alone takes plain text from outside.
        self.mesh.add("web", port("web"), uses=["orders"], plaintext=True)
        self.mesh.add("orders", port("orders"), uses=["inventory"])
        self.mesh.virtual_service("inventory")
        for name in VERSIONS:
            self.mesh.add(name, port(name))
        self.mesh.routes = [self._split(FIRST_WEIGHTS)]
        self.screen.event("controller with its CA, and four sidecars that enrol with it")
        self.mesh.start()
        self.start_services(listeners)
        self.tally.phases.append(Phase(dict(zip(VERSIONS, FIRST_WEIGHTS))))
        self.began = time.monotonic()
        self._start_load()
        self.screen.event(f"traffic: {RATE} requests/s into web, mTLS between all sidecars")

    def start_services(self, listeners, fails=None):
        """Starts an application at each socket; `fails`: {name: of a hundred requests}."""
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "sample_service.py")
        for name, listener in listeners.items():
            arguments = [sys.executable, script, "--name", self.mesh.workload_of(name),
                         "--instance", name, "--listen-fd", str(listener.fileno()),
                         "--fails", str((fails or {}).get(name, 0))]
            uses = self.mesh.workloads[name].uses
            if uses:
                outbound = self.mesh.proxies[name].port("outbound")
                arguments += ["--calls", uses[0], "--outbound", f"127.0.0.1:{outbound}"]
            self.services.append(Child(
                name, arguments, os.path.join(self.directory, f"{name}-service.log"),
                pass_fds=[listener.fileno()]))
            listener.close()

    def service(self, name):
        """The application of this name."""
        [child] = [child for child in self.services if child.name == name]
        return child

    def _start_load(self):
        self.load = Load(
            self.mesh.proxies["web"].port("inbound"), "web", "/checkout", CLIENTS, RATE,
            observe=self.tally.add).start()
        self.load.wait_for(1)

    @staticmethod
    def _split(weights):
        return manifests.split("inventory", "inventory", dict(zip(VERSIONS, weights)))

    def stop(self):
        self.observer.stop()
        self.screen.stop()
        running = [child for child in self.mesh.history + self.services if child.is_running()]
        stop_all(running)
        shutil.rmtree(self.directory)

    # What was seen.

    def expect(self, what, held, seen):
        self.expectations.append((what, bool(held), seen))
        self.screen.event(("ok  " if held else "NOT ") + f"{what}: {seen}")

    def _expect_split(self, phase):
        counts, total = phase.counts, sum(phase.counts.values())
        # Exact but for one of rounding per thousand, and what was under way at the two ends.
        tolerance = 1 + total / 1000 + CLIENTS
        off = max(abs(counts[name] - total * weight / sum(phase.weights.values()))
                  for name, weight in phase.weights.items())
        self.expect(
            "weights %d/%d" % tuple(phase.weights.values()), total > 0 and off <= tolerance,
            "%d : %d of %d" % (counts[VERSIONS[0]], counts[VERSIONS[1]], total))

    # The story.

    def apply_weights(self, weights):
        """Through meshctl; judges the phase that ends here."""
        phase = self.tally.phases[-1]
        phase.ended = time.monotonic()
        self._expect_split(phase)
        seconds = self.mesh.apply("routes.yaml", [self._split(weights)])
        self.tally.phases.append(Phase(dict(zip(VERSIONS, weights))))
        self.screen.event("meshctl apply --wait: v1 %d, v2 %d; acknowledged after %.0f ms" % (
            *weights, seconds * 1000))

    def wait_for_rotations(self, since, label):
        """Until every sidecar has a newer certificate than in `since`."""
        def all_rotated():
            now = self.observer.rotations()
            return all(now[name] > since[name] for name in since)
        try:
            eventually(all_rotated, label, 40)
            held = True
        except AssertionError:
            held = False
        now = self.observer.rotations()
        self.expect(label, held, ", ".join(f"{name} {now[name] - since[name]}" for name in since))

    def tell(self):
        first = self.observer.rotations()
        self.load.wait_for(SAMPLE)
        self.apply_weights(CANARY_WEIGHTS)
        self.load.wait_for(SAMPLE)
        self.wait_for_rotations(first, "all certificates rotated under load")

        total, failed = self.tally.total, self.tally.failed
        controller = self.mesh.controller
        controller.kill()
        self.screen.event(f"controller killed (SIGKILL, pid {controller.pid})")
        self.load.wait_for(3 * RATE)
        self.expect(
            "traffic goes on without the controller", self.tally.failed == failed,
            f"{self.tally.total - total} requests, {self.tally.failed - failed} failed")
        restarted = self.observer.rotations()
        self.mesh.start_controller()
        self.screen.event(f"controller started again (pid {self.mesh.controller.pid})")
        self.mesh.wait_until_settled()
        self.screen.event("every sidecar has reconnected")
        self.apply_weights(FINAL_WEIGHTS)
        self.load.wait_for(RATE)
        self.wait_for_rotations(restarted, "all certificates rotated by the restarted controller")
        self.load.wait_for(RATE)
        self._expect_split(self.tally.phases[-1])
        self.load.stop()
        self.expect(
            "no request failed", self.tally.failed == 0 and self.tally.total > 0,
            f"{self.tally.total - self.tally.failed} of {self.tally.total} succeeded")
        self.play_resilience()
        self.load.stop()

    def play_resilience(self):
        """The act in which things break; whatever went before is judged by then."""
        self.tally.expects_failures = True
        self.load.stop()
        self._start_load()
        ResilienceAct(self).play()

    def watch(self):
        """Until interrupted: whoever edits the manifests sees what becomes of it."""
        self.load.wait_for(CALM_SECONDS * RATE, seconds=2 * CALM_SECONDS)
        self.apply_weights(FINAL_WEIGHTS)
        self.play_resilience()
        self.tally.phases.append(Phase(self.observer.weights))
        self.screen.page = "both"
        self.screen.hints = [
            f"edit {self.mesh.manifests}/routes.yaml and watch",
            f"kill -USR1 {self.service(BROKEN).pid} breaks {BROKEN}, and again repairs it; "
            "Ctrl-C ends all"]
        while True:
            weights = self.observer.weights
            if weights and weights != self.tally.phases[-1].weights:
                self.tally.phases.append(Phase(weights))
                said = ", ".join(f"{name} {weight}" for name, weight in weights.items())
                self.screen.event(f"new weights in force: {said}")
            self.load.wait_for(RATE // 2)

    def summary(self):
        """Prints the table; true when everything held."""
        latencies = [1000 * latency for _, latency, _ in self.tally.latest]
        sidecars = self.observer.latest
        print()
        print(table(
            ["SIDECAR", "CONFIG VERSION", "ROTATIONS", "MEMORY"],
            [[name, f"{row.version:.0f}", f"{row.rotations}", f"{row.memory / 2**20:.1f} MiB"]
             for name, row in sidecars.items()]))
        print()
        print(table(["EXPECTATION", "HELD", "SEEN"], [
            [what, "yes" if held else "NO", seen] for what, held, seen in self.expectations]))
        print()
        print("%d requests in %.0f s over two hops with mTLS; p50 %.1f ms, p99 %.1f ms" % (
            self.tally.total, time.monotonic() - self.began,
            percentile(latencies, 0.5), percentile(latencies, 0.99)))
        for failure in self.tally.failures:
            print(f"failed: {failure!r}")
        return bool(self.expectations) and all(held for _, held, _ in self.expectations)


def main():
    parser = argparse.ArgumentParser(prog="deploy/demo")
    parser.add_argument("--once", action="store_true")
    parser.add_argument("--proxy-binaries", required=True)
    parser.add_argument("--control-binaries", required=True)
    options = parser.parse_args()

    def interrupt(*_):
        raise KeyboardInterrupt
    signal.signal(signal.SIGTERM, interrupt)
    signal.signal(signal.SIGHUP, interrupt)

    demo = Demo(options)
    held = False
    try:
        demo.screen.start()
        demo.start()
        demo.observer.start()
        if options.once:
            demo.tell()
        else:
            demo.watch()
        demo.screen.stop()
        held = demo.summary()
    except KeyboardInterrupt:
        held = not options.once
    except (AssertionError, OSError) as error:
        demo.screen.stop()
        print(f"demo: {error}")
        for child in demo.mesh.history + demo.services:
            print(f"last lines of {child.name} (ended: {child.process.poll()}):\n{child.tail(5)}")
    finally:
        # Nothing may interrupt the cleaning up.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        demo.stop()
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
