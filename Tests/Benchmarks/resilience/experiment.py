"""One trouble, one proxy: what callers and endpoints saw, as figures."""

import threading
import time
from dataclasses import asdict, dataclass
from typing import Optional

from . import figures, trouble
from .processes import Caller, Endpoint

RATE = 200
ENDPOINTS = 3
FAIR_RATE = RATE / ENDPOINTS
WARM_UP_SECONDS, TROUBLE_SECONDS, AFTER_SECONDS = 2.0, 6.0, 14.0
_POLL_SECONDS = 0.02
#: So long took at least what met an endpoint first that does not answer.
TRY_SECONDS = 0.24


@dataclass(frozen=True)
class Scenario:
    """What happens to how many of the endpoints."""

    trouble: Optional[trouble.Trouble]
    count: int = 1

    @property
    def name(self):
        if self.trouble is None:
            return "nothing happens"
        return f"{'all three' if self.count == ENDPOINTS else 'one of three'}: {self.trouble.name}"


SCENARIOS = (Scenario(None), *(Scenario(each) for each in trouble.ALL),
             Scenario(trouble.ERRORS, ENDPOINTS), Scenario(trouble.KILLED, ENDPOINTS))


@dataclass(frozen=True)
class Result:
    """Milliseconds and seconds; None where a figure says nothing, or never came true."""

    requests: int
    failed: int
    #: Of those that were due a second after the trouble began, or later.
    failed_later: int
    #: Requests sent upstream for each received, while the trouble lasted; None where an endpoint could
    #: not tell.
    upstream: Optional[float]
    p50_ms: float
    p99_ms: float
    #: The same after it ended.
    p99_after_ms: float
    out_seconds: Optional[float]
    back_seconds: Optional[float]
    #: Until the last failure after the end of the trouble; 0 without one.
    recovered_seconds: float
    #: The most requests within 250 ms at the endpoint that returned, over those at the busiest other.
    herd: Optional[float]

    def as_json(self):
        return {key: round(value, 3) if isinstance(value, float) else value
                for key, value in asdict(self).items()}


class _Watch:
    """When the proxy first set an endpoint aside after the trouble began."""

    def __init__(self, contender, endpoint):
        self.out_at = None
        self._contender, self._endpoint = contender, endpoint
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._over.wait(_POLL_SECONDS):
            try:
                if self._contender.is_out(self._endpoint):
                    self.out_at = time.monotonic()
                    return
            except OSError:
                pass  # asked again

    def stop(self):
        self._over.set()
        self._thread.join(10)


def run(kind, scenario, directory, machines=None):
    """The result of this proxy in this scenario; `machines` are for the endpoints and the proxy."""
    *places, home = machines or [None] * (ENDPOINTS + 1)
    endpoints = [Endpoint(f"e{index}", machine=place) for index, place in enumerate(places)]
    contender = caller = None
    try:
        contender = kind(endpoints, directory, home)
        caller = Caller(contender.port, RATE, wrapper=home.wrapper() if home else ())
        return _observe(contender, caller, endpoints, scenario)
    finally:
        for each in (caller, contender, *endpoints):
            if each:
                each.stop()


def _observe(contender, caller, endpoints, scenario):
    bad = endpoints[:scenario.count] if scenario.trouble else []
    caller.wait_until_due(time.monotonic() + WARM_UP_SECONDS)
    began = time.monotonic()
    for endpoint in bad:
        scenario.trouble.begin(endpoint)
    watch = _Watch(contender, endpoints[0])
    caller.wait_until_due(began + TROUBLE_SECONDS)
    ended = time.monotonic()
    for endpoint in bad:
        scenario.trouble.end(endpoint)
    caller.wait_until_due(ended + AFTER_SECONDS)
    watch.stop()
    return _result(caller.finish(), endpoints, scenario, began, ended, watch.out_at)


def _out(outcomes, arrivals, what, began, ended, out_at):
    """Seconds until the endpoint was out: set aside, or avoided."""
    touched = figures.touched(outcomes, arrivals, what.is_blind, TRY_SECONDS)
    avoided = None if what is trouble.KILLED else figures.out_after(
        touched, began, ended, FAIR_RATE)
    set_aside = out_at - began if out_at and out_at < ended else None
    return min((each for each in (avoided, set_aside) if each is not None), default=None)


def _result(outcomes, endpoints, scenario, began, ended, out_at):
    arrivals = [endpoint.arrivals() for endpoint in endpoints]
    during = figures.between(outcomes, began, ended)
    after = figures.between(outcomes, ended)
    sent = sum(began <= at < ended for each in arrivals for at in each)
    failures = [outcome for outcome in outcomes if outcome.failed]
    is_one = scenario.trouble is not None and scenario.count == 1
    served = figures.served_by(outcomes, endpoints[0].name)
    return Result(
        requests=len(outcomes), failed=len(failures),
        failed_later=sum(failure.due >= began + 1 for failure in failures),
        upstream=None if scenario.trouble and scenario.trouble.is_blind else sent / len(during),
        p50_ms=1000 * figures.percentile([o.latency for o in during], 0.5),
        p99_ms=1000 * figures.percentile([o.latency for o in during], 0.99),
        p99_after_ms=1000 * figures.percentile([o.latency for o in after], 0.99),
        out_seconds=_out(outcomes, arrivals[0], scenario.trouble, began, ended, out_at)
        if is_one else None,
        back_seconds=figures.back_after(served, ended, FAIR_RATE) if is_one else None,
        recovered_seconds=max((f.ended - ended for f in failures if f.due >= ended), default=0.0),
        herd=figures.herd(arrivals[0], arrivals[1:], ended) if is_one else None)
