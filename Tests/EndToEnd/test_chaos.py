"""One bad endpoint of three, in every way an endpoint can be bad: what callers notice, how soon it is
out, how soon and how gently it is back. The numbers are promises to users, not measurements."""

import time

from harness import snapshots
from harness.case import EndToEndCase, prebuilt
from harness.machines import RemoteAdmin
from harness.namespaces import Network, unavailable
from localmesh.processes import Proxy
from localmesh.waiting import eventually
from resilience import figures, trouble
from resilience.processes import Caller, Endpoint

#: Requests per second; a third of them is what an endpoint gets.
RATE = 200
FAIR_RATE = RATE / 3
#: Seconds of the first experience, of the trouble, and of watching after the return.
WARM_UP_SECONDS, TROUBLE_SECONDS, WATCH_SECONDS = 1.5, 5.0, 2.0

#: From the first second on.
FAILED_SHARE_MAX = 0.01
OUT_SECONDS_MAX, BACK_SECONDS_MAX = 2.0, 10.0
#: The fullest quarter of a second of the endpoint that returns, over that of the busiest other. Who takes
#: the better of two asks the best of three at most four times as often as another.
HERD_MAX = 3.0

#: For failures which do not prove that nothing was done: the manifest has to ask.
RETRY = {"attempts": 2, "conditions": ["reset", "perTryTimeout"], "statuses": [503],
         "perTryTimeout": "250ms"}
#: So long took what met the bad endpoint first.
TRY_SECONDS = 0.24


class RemoteProxy(Proxy):
    """A proxy on a machine, with an admin port of the kernel's choice."""

    def __init__(self, machine, *arguments):
        self.machine = machine
        super().__init__(*arguments, wrapper=machine.wrapper())

    @property
    def admin(self):
        return RemoteAdmin(self.machine, self.port("admin"))


class OneBadOfThree(EndToEndCase):
    def _start(self, retry, machines, caller_machine, has_sidecars):
        """Three endpoints with a proxy before them, and a caller of the proxy."""
        endpoints = [Endpoint(name, machine=machine)
                     for name, machine in zip(("a", "b", "bad"), machines)]
        for endpoint in endpoints:
            self.addCleanup(endpoint.stop)
        targets = [{"address": e.address, "port": e.port} for e in endpoints]
        if has_sidecars:
            targets = [snapshots.address(self.inbound_proxy(e).port("inbound")) for e in endpoints]
        cluster = {"name": "orders.default", "security": "plaintext",
                   "endpoints": [{"address": target} for target in targets]}
        configuration = {
            "admin": snapshots.address(0), "outbound": snapshots.address(0), "accessLog": "off",
            "drain": {"gracePeriod": "1s", "propagation": "0s"},
            "mesh": snapshots.mesh("web", [snapshots.service("orders", [snapshots.route(
                "orders", "orders.default", **({"retry": retry} if retry else {}))])], [cluster])}
        if caller_machine:
            proxy = RemoteProxy(caller_machine, prebuilt(), "web", configuration, self.directory)
            self.children.append(proxy)
            proxy.wait_until_ready()
        else:
            proxy = self.proxy("web", configuration)
        caller = Caller(proxy.port("outbound"), RATE,
                        wrapper=caller_machine.wrapper() if caller_machine else ())
        self.addCleanup(caller.stop)
        return endpoints, caller

    def _story(self, what, retry=None, machines=(None, None, None), caller_machine=None,
               has_sidecars=False):
        """The trouble begins, lasts and ends under load; the promises are kept."""
        endpoints, caller = self._start(retry, machines, caller_machine, has_sidecars)
        bad = endpoints[-1]
        caller.wait_for(int(WARM_UP_SECONDS * RATE))
        began = time.monotonic()
        what.begin(bad)
        # Whether it is out is judged by what it gets: what fails costs its endpoint latency, so that on a
        # quick machine it may never fail five times in a row, and is avoided without an ejection.
        caller.wait_until_due(began + TROUBLE_SECONDS)
        ended = time.monotonic()
        what.end(bad)

        def is_back():
            served = figures.served_by(caller.outcomes, bad.name)
            return figures.back_after(served, ended, FAIR_RATE) is not None
        eventually(is_back, "the endpoint is back", 30)
        caller.wait_until_due(time.monotonic() + WATCH_SECONDS)
        self._judge(what, endpoints, caller.finish(), began, ended)

    def _judge(self, what, endpoints, outcomes, began, ended):
        *others, bad = endpoints
        served = figures.served_by(outcomes, bad.name)
        before = figures.between(outcomes, 0, began - 1)
        self.assertEqual([], [outcome for outcome in before if outcome.failed][:5])
        after = figures.between(outcomes, began + 1)
        failed = [outcome for outcome in after if outcome.failed]
        back = figures.back_after(served, ended, FAIR_RATE)
        arrivals = bad.arrivals()
        herd = figures.herd(arrivals, [other.arrivals() for other in others], ended)
        out = figures.out_after(
            figures.touched(outcomes, arrivals, what.is_blind, TRY_SECONDS),
            began, ended, FAIR_RATE)
        first = sum(outcome.failed for outcome in figures.between(outcomes, began - 1, began + 1))
        print(f"      {first} failures in the first second, then {len(failed)} of {len(after)}; out "
              f"after {out} s, back after {back:.1f} s, herd {herd:.2f}")
        self.assertLess(len(failed), FAILED_SHARE_MAX * len(after), failed[:5])
        self.assertLessEqual(back, BACK_SECONDS_MAX)
        self.assertLessEqual(herd, HERD_MAX, "the endpoint that returns is overrun")
        self.assertIsNotNone(out, "the bad endpoint got its part all the time")
        self.assertLessEqual(out, OUT_SECONDS_MAX)

    def test_it_is_killed(self):
        # A refused connection proves that nothing was done, a reset one does not.
        self._story(trouble.KILLED, {"conditions": ["reset"]})

    def test_it_is_killed_behind_a_sidecar_that_lives(self):
        self._story(trouble.KILLED, RETRY, has_sidecars=True)

    def test_it_is_stopped(self):
        self._story(trouble.STOPPED, RETRY)

    def test_it_answers_errors(self):
        self._story(trouble.ERRORS, RETRY)

    def test_it_is_20_times_slower(self):
        self._story(trouble.SLOW)

    def test_it_sends_a_byte_a_second(self):
        self._story(trouble.DRIP, RETRY)

    def test_it_accepts_and_never_answers(self):
        self._story(trouble.SILENT, RETRY)

    def test_it_accepts_and_resets_later(self):
        self._story(trouble.RESETS, RETRY)

    def test_its_packets_vanish(self):
        if reason := unavailable():
            self.skipTest(reason)
        network = Network()
        self.addCleanup(network.remove)
        machines = [network.add(name) for name in ("a", "b", "bad")]
        self._story(trouble.HOLE, RETRY, machines, network.add("web"))
