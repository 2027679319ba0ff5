"""The measurements: slices of work, taken in turns by the contenders of a scenario.

All contenders of a scenario run at once, each in fresh processes per round, and idle but for the one
whose slice it is. A slice is short (some tenths of a second), and the turns rotate (A B C, B C A, …).
So the figures that are compared lie within seconds of each other, and what slows the machine for
longer slows both: the ratio of two slices of the same turn holds still where the figures do not.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import re
import select
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from typing import Callable, Optional

from . import machine
from .machine import Failed, Server
from .path import DIRECT, Path, Site
from .proxies import Proxy
from .scenarios import CALL_BODY, HUGE_PATH, LARGE_BODY, SMALL_BODY, Scenario

_CLIENTS = pathlib.Path(__file__).resolve().parent / "clients"


@dataclass(frozen=True)
class Effort:
    """How long to measure. `slices` are turns per round; requests and seconds are per slice."""

    rounds: int
    slices: int
    requests: int
    bulk_requests: int
    rate_seconds: float
    single_requests: int
    handshakes: int
    idle_counts: tuple[int, ...]
    idle_rounds: int
    rate: int = 1000
    in_flight: int = 32
    bulk_in_flight: int = 4


class Measurement:
    """Runs scenarios and collects samples: plain dictionaries, as they go into the JSON file."""

    def __init__(self, site: Site, tools, h2load: str, proxies: dict[str, Proxy], effort: Effort,
                 say: Callable[[str], None]):
        self._site = site
        self._load = tools.program("load")
        self._h2load = h2load
        self._proxies = proxies
        self._effort = effort
        self._say = say
        self.samples: list[dict] = []
        self.failures: list[dict] = []

    def run(self, scenario: Scenario, round_number: int):
        """One round of a scenario with all that support it."""
        kinds = {"requests": self._requests, "bulk": self._bulk, "idle": self._idle,
                 "handshakes": self._handshakes, "beside": self._beside}
        began = time.monotonic()
        kinds[scenario.kind](scenario, round_number)
        self._say(f"round {round_number + 1}/{self._effort.rounds} {scenario.name}: "
                  f"{time.monotonic() - began:.0f} s")

    # -------------------------------------------------------------- who takes part

    def _contenders(self, scenario: Scenario) -> list[str]:
        return [name for name, proxy in self._proxies.items() if scenario.name in proxy.scenarios]

    def _fail(self, scenario: Scenario, name: str, round_number: int, error: Exception):
        self._say(f"{scenario.name} {name}: {error}")
        self.failures.append(dict(scenario=scenario.name, proxy=name, round=round_number,
                                  error=str(error)))

    @contextlib.contextmanager
    def _all_paths(self, scenario: Scenario, round_number: int, with_direct: bool):
        with contextlib.ExitStack() as stack:
            paths: dict[str, Path] = {}
            for name in ([DIRECT] if with_direct else []) + self._contenders(scenario):
                try:
                    path = stack.enter_context(self._site.path(self._proxies.get(name), scenario))
                    self._h2load_slice(scenario, path, self._requests_per_slice(scenario) // 4)
                    paths[name] = path
                except Failed as error:
                    self._fail(scenario, name, round_number, error)
            yield paths

    def _turns(self, scenario: Scenario, round_number: int, paths: dict[str, Path], count: int,
               kind: str, slice_of: Callable[[Path], dict]):
        for turn in range(count):
            names = list(paths)
            first = turn % max(len(names), 1)
            for name in names[first:] + names[:first]:
                try:
                    sample = slice_of(paths[name])
                except Failed as error:
                    self._fail(scenario, name, round_number, error)
                    del paths[name]
                    continue
                self.samples.append(dict(scenario=scenario.name, proxy=name, kind=kind,
                                         round=round_number, slice=turn, **sample))

    # -------------------------------------------------------------- load

    def _requests(self, scenario: Scenario, round_number: int):
        effort = self._effort
        with self._all_paths(scenario, round_number, with_direct=True) as paths:
            self._turns(scenario, round_number, paths, effort.slices, "saturated",
                        lambda path: self._saturated(scenario, path))
            self._turns(scenario, round_number, paths, effort.slices, "rate",
                        lambda path: self._paced(
                            scenario, path, "--rate", effort.rate, "--seconds",
                            effort.rate_seconds, "--conns", 4 if scenario.caller == "h2" else 16))
            self._turns(scenario, round_number, paths, effort.slices, "single",
                        lambda path: self._paced(
                            scenario, path, "--requests", effort.single_requests))
            self._add_peaks(scenario, round_number, paths)

    def _bulk(self, scenario: Scenario, round_number: int):
        with self._all_paths(scenario, round_number, with_direct=True) as paths:
            self._turns(scenario, round_number, paths, self._effort.slices, "saturated",
                        lambda path: self._saturated(scenario, path))
            self._add_peaks(scenario, round_number, paths)

    def _beside(self, scenario: Scenario, round_number: int):
        """At an easy rate, first alone and then beside the huge answer, in the same turn."""
        effort = self._effort
        shape = ("--rate", effort.rate // 5, "--seconds", effort.rate_seconds, "--conns", 4)
        with self._all_paths(scenario, round_number, with_direct=False) as paths:
            for kind, is_busy in (("alone", False), ("beside", True)):
                self._turns(scenario, round_number, paths, effort.slices, kind,
                            lambda path: self._paced_beside(scenario, path, is_busy, *shape))
            self._add_peaks(scenario, round_number, paths)

    def _paced_beside(self, scenario: Scenario, path: Path, is_busy: bool, *shape: object) -> dict:
        with contextlib.ExitStack() as stack:
            if is_busy:
                huge = subprocess.Popen(
                    [self._load, "--port", str(path.entry), "--path", HUGE_PATH, "--seconds", "60"],
                    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                stack.callback(huge.wait)
                stack.callback(huge.kill)
            return self._paced(scenario, path, *shape)

    def _add_peaks(self, scenario: Scenario, round_number: int, paths: dict[str, Path]):
        for name, path in paths.items():
            if name != DIRECT:
                self.samples.append(dict(scenario=scenario.name, proxy=name, kind="peak",
                                         round=round_number, mib=path.peak_memory()))

    def _requests_per_slice(self, scenario: Scenario) -> int:
        effort = self._effort
        return effort.bulk_requests if scenario.kind == "bulk" else effort.requests

    def _spent(self, path: Path, scenario: Scenario, work: Callable[[], tuple[int, float]]) -> dict:
        """CPU per request by role while `work` ran; it tells its requests and own CPU seconds."""
        backend = self._site.backend(scenario)
        before, backend_before = path.cpu_seconds(), backend.cpu_seconds()
        busy, began = machine.busy_seconds(), time.monotonic()
        requests, client = work()
        wall = time.monotonic() - began
        busy = machine.busy_seconds() - busy
        after, backend_after = path.cpu_seconds(), backend.cpu_seconds()
        cpu = {role: after[role] - before[role] for role in after}
        known = sum(cpu.values()) + client + backend_after - backend_before
        return dict(
            requests=requests,
            cpu_us={role: round(spent / requests * 1e6, 3) for role, spent in cpu.items()},
            backend_us=round((backend_after - backend_before) / requests * 1e6, 3),
            # /proc/stat counts in ticks of 10 ms: of a short slice this is a rough figure.
            other_percent=round(max(0.0, busy - known) / wall / (os.cpu_count() or 1) * 100, 1))

    def _saturated(self, scenario: Scenario, path: Path) -> dict:
        rate = 0.0
        hop_connections: Optional[int] = None

        def work():
            nonlocal rate
            rate, client = self._h2load_slice(scenario, path, self._requests_per_slice(scenario))
            return self._requests_per_slice(scenario), client

        def count_hop():
            nonlocal hop_connections
            hop_connections = machine.established(path.inbound_port)

        timer = threading.Timer(0.15, count_hop) if path.inbound_port else None
        if timer:
            timer.start()
        sample = self._spent(path, scenario, work)
        if timer:
            timer.join()
        return dict(sample, per_second=round(rate, 1), hop_connections=hop_connections)

    def _h2load_slice(self, scenario: Scenario, path: Path, count: int) -> tuple[float, float]:
        """Requests per second, and the client's CPU seconds. All answers must be whole and good."""
        effort = self._effort
        in_flight = effort.bulk_in_flight if scenario.kind == "bulk" else effort.in_flight
        shape = ["--h1", "-c", str(in_flight)]
        if scenario.caller == "h2":
            body = pathlib.Path(self._load).parent / "body"
            body.write_bytes(b"x" * CALL_BODY)
            shape = ["-c", str(in_flight // 8), "-m", "8", "-d", str(body),
                     "-H", "content-type: application/grpc", "-H", "te: trailers"]
        count = max(count, 2 * in_flight)
        output, client = machine.run(
            [self._h2load, "-t", "1", "-n", str(count), *shape,
             f"http://127.0.0.1:{path.entry}{scenario.path}"], 60)
        rate = re.search(r"finished in .*, ([\d.]+) req/s", output)
        done = re.search(r"(\d+) done, \d+ succeeded, \d+ failed, (\d+) errored", output)
        classes = re.search(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", output)
        size = re.search(r"\((\d+)\) data", output)
        if not (rate and done and classes and size):
            raise Failed(f"h2load says {output.strip()[-200:]}")
        counts = [int(text) for text in classes.groups()]
        # It reads no status from a line without a reason phrase, which is legal; the bytes tell.
        is_good = counts == [count, 0, 0, 0] or (scenario.caller == "h1" and counts == [0] * 4)
        expected = count * (LARGE_BODY if scenario.kind == "bulk" else SMALL_BODY)
        if (int(done[1]), int(done[2]), int(size[1])) != (count, 0, expected) or not is_good:
            raise Failed(f"not all is well: {done[0]}; {classes[0]}; {size[1]} of {expected} bytes")
        return float(rate[1]), client

    def _paced(self, scenario: Scenario, path: Path, *shape: object) -> dict:
        argv = [self._load, "--port", path.entry, "--path", scenario.path, *shape]
        argv += ["--proto", "h2c"] if scenario.caller == "h2" else []
        argv += ["--body", CALL_BODY] if scenario.is_call else []
        result: dict = {}

        def work():
            output, client = machine.run([str(word) for word in argv], 60)
            result.update(json.loads(output))
            if result["failed"]:
                raise Failed(f"{result['failed']} of {result['requests']} answers were errors")
            return result["requests"], client

        return dict(self._spent(path, scenario, work), buckets=result["buckets"])

    # -------------------------------------------------------------- connections

    def _secure_client(self, scenario: Scenario, path: Path, program: str) -> list[str]:
        caller, callee = self._site.identity("caller"), self._site.identity("callee")
        return [sys.executable, "-B", str(_CLIENTS / f"{program}.py"), "--port",
                str(path.inbound_port), "--name", callee.name, "--proto", scenario.caller,
                "--certificate", str(caller.certificate), "--key", str(caller.key),
                "--issuer", str(caller.issuer)]

    def _idle(self, scenario: Scenario, round_number: int):
        if round_number >= self._effort.idle_rounds:
            return
        for name in self._contenders(scenario):
            try:
                with self._site.path(self._proxies[name], scenario) as path:
                    sample = self._hold(scenario, path)
                self.samples.append(dict(scenario=scenario.name, proxy=name, kind="idle",
                                         round=round_number, **sample))
            except Failed as error:
                self._fail(scenario, name, round_number, error)

    def _hold(self, scenario: Scenario, path: Path) -> dict:
        counts = (10, *self._effort.idle_counts)
        inbound = path.servers["inbound"]
        client = subprocess.Popen(
            self._secure_client(scenario, path, "idle") + ["--counts", ",".join(map(str, counts))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        memory, cpu = {}, {}
        try:
            for count in counts:
                if not select.select([client.stdout], [], [], 20 + count / 100)[0]:
                    raise Failed(f"{count} connections are not open after {20 + count / 100:.0f} s")
                line = client.stdout.readline().strip()
                if line != f"open {count}":
                    raise Failed(line or "the client ended")
                cpu[count] = inbound.cpu_seconds()
                memory[count] = inbound.settled_memory()
                if machine.established(path.inbound_port) < count:
                    raise Failed("idle connections were closed")
                client.stdin.write("\n")
                client.stdin.flush()
        finally:
            client.kill()
            client.wait()
        top = counts[-1]
        growth = (memory[top]["rss"] - memory[10]["rss"]) * 1024 / (top - 10)
        return dict(
            rss_mib={count: round(m["rss"], 2) for count, m in memory.items()},
            pss_mib={count: round(m["pss"], 2) for count, m in memory.items()},
            kib_per_connection=round(growth, 3),
            cpu_us_per_connection=round((cpu[top] - cpu[10]) / (top - 10) * 1e6, 1))

    def _handshakes(self, scenario: Scenario, round_number: int):
        count = self._effort.handshakes
        with contextlib.ExitStack() as stack:
            paths = {}
            for name in self._contenders(scenario):
                try:
                    paths[name] = stack.enter_context(
                        self._site.path(self._proxies[name], scenario))
                    self._shake(scenario, paths[name], 30, False)
                except Failed as error:
                    self._fail(scenario, name, round_number, error)
                    paths.pop(name, None)
            for kind, resumes in (("full", False), ("resumed", True)):
                self._turns(scenario, round_number, paths.copy(), self._effort.slices, kind,
                            lambda path: self._shake(scenario, path, count, resumes))

    def _shake(self, scenario: Scenario, path: Path, count: int, resumes: bool) -> dict:
        argv = self._secure_client(scenario, path, "handshakes") + ["--count", str(count)]

        def work():
            return count, machine.run(argv + (["--resume"] if resumes else []), 60)[1]

        return self._spent(path, scenario, work)


def stop_everything():
    Server.stop_all()
