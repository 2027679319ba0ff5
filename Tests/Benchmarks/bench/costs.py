"""What a request costs in instructions and heap allocations: figures that repeat exactly.

One caller asks one request after the other, so nothing is batched and every request does the same.
Instructions are counted by callgrind between two commands to the running proxy, allocations by a
preloaded library in a second proxy at full speed. Both are the difference of a long and a short run of
a caller, so that its connection is not counted, and come after requests that warm pools and caches.
"""

from __future__ import annotations

import os
import pathlib
import re
import statistics
import struct
import subprocess
from dataclasses import dataclass

from . import machine
from .machine import Failed
from .path import ADDRESSES, Path, Site
from .proxies import Absent, MeshProxy, Proxy, Seat
from .proxies.proxy import find_program
from .scenarios import CALL_BODY, SCENARIOS, Scenario
from .tools import Tools

WARM_UP_REQUESTS = 300
SHORT_RUN, LONG_RUN = 50, 550
COUNTED_REQUESTS = LONG_RUN - SHORT_RUN
# Timers and the end of the caller before allocate too, in some windows: hence the median of several,
# and no more than a tenth is told.
WINDOWS = 5

# Each place where requests pass through ours.
PLACES = tuple((SCENARIOS[name], role) for name, roles in (
    ("S1", ("plain",)), ("S2", ("outbound", "inbound")), ("S3", ("outbound", "inbound")),
    ("S4", ("outbound", "inbound"))) for role in roles)


@dataclass(frozen=True)
class Cost:
    """Per request. What is `own` is of the binary itself, our code and Swift's runtime, without any
    library; all the rest depends on the versions of libraries and on the processor."""

    instructions: float
    own_instructions: float
    allocations: float
    own_allocations: float
    allocated_bytes: float


@dataclass(frozen=True)
class PolicyCost:
    """Instructions per request, libraries included, with all default policies and without any."""

    with_all: float
    without: float

    @property
    def share(self) -> float:
        return self.with_all / self.without - 1


class _Observed(Proxy):
    """Ours, with one role of it started by another command."""

    name = MeshProxy.name
    ready_line = MeshProxy.ready_line

    def __init__(self, role: str, prefix: list[str], binary: pathlib.Path,
                 has_policies: bool = True):
        self._role, self._prefix, self._binary = role, prefix, binary
        self._proxy = MeshProxy(has_policies)

    def command(self, seat: Seat) -> list[str]:
        argv = self._proxy.command(seat)
        return [*self._prefix, str(self._binary), *argv[1:]] if seat.role == self._role else argv


class CostMeter:
    """Measures the places of a built proxy."""

    def __init__(self, site: Site, tools: Tools, binary: str, directory: pathlib.Path):
        for program in ("valgrind", "vgdb"):
            find_program(program, "valgrind")
        self._site = site
        self._load = tools.program("load")
        self._library = tools.library("allocations")
        self._directory = directory
        # valgrind cannot read Swift's debugging information.
        self._binary = directory / "mesh-proxy"
        subprocess.run(["strip", "-g", "-o", self._binary, binary], check=True)

    def cost(self, scenario: Scenario, role: str) -> Cost:
        return Cost(*self._instructions(scenario, role), *self._allocations(scenario, role))

    def policies(self, scenario: Scenario, role: str) -> PolicyCost:
        """What the default policies add, where there are endpoints to choose from."""
        endpoints = 1 if role == "inbound" else len(ADDRESSES)
        with_all, without = (self._instructions(scenario, role, endpoints, has_policies)[0]
                             for has_policies in (True, False))
        return PolicyCost(with_all, without)

    def _ask(self, scenario: Scenario, path: Path, count: int):
        argv = [self._load, "--port", str(path.entry), "--path", scenario.path,
                "--requests", str(count)]
        argv += ["--proto", "h2c"] if scenario.caller == "h2" else []
        argv += ["--body", str(CALL_BODY)] if scenario.is_call else []
        output, _ = machine.run(argv, 600)
        if '"failed":0,' not in output:
            raise Failed(f"requests failed: {output.strip()[:200]}")

    # -------------------------------------------------------------- instructions

    def _instructions(self, scenario: Scenario, role: str, endpoints: int = 1,
                      has_policies: bool = True) -> tuple[float, float]:
        out = self._directory / f"{scenario.name}-{role}-{endpoints}-{has_policies}.callgrind"
        proxy = _Observed(role, ["valgrind", "--tool=callgrind", "--instr-atstart=no",
                                 f"--callgrind-out-file={out}"], self._binary, has_policies)
        # Under valgrind, and beside other such runs, a start takes many times as long.
        with self._site.path(proxy, scenario, start_seconds_max=120,
                             endpoints=endpoints) as path:
            pid = path.servers[role].processes()[0]
            self._ask(scenario, path, WARM_UP_REQUESTS)
            _command(pid, "instrumentation", "on")
            self._ask(scenario, path, SHORT_RUN)
            for count in (SHORT_RUN, LONG_RUN):
                _command(pid, "zero")
                self._ask(scenario, path, count)
                _command(pid, "dump")
            # What follows, the end of the process, is of no interest and slow to count.
            _command(pid, "instrumentation", "off")
        short, long = (_dumped(out.with_name(f"{out.name}.{n}")) for n in (1, 2))
        per_request = {name: (long[name] - short.get(name, 0)) / COUNTED_REQUESTS for name in long}
        own = sum(n for name, n in per_request.items() if name.endswith("/mesh-proxy"))
        return sum(per_request.values()), own

    # -------------------------------------------------------------- allocations

    def _allocations(self, scenario: Scenario, role: str) -> tuple[float, float, float]:
        counts = self._directory / f"{scenario.name}-{role}.allocations"
        proxy = _Observed(role, ["env", f"ALLOCATIONS={counts}", f"LD_PRELOAD={self._library}"],
                          self._binary)
        with self._site.path(proxy, scenario) as path:
            self._ask(scenario, path, WARM_UP_REQUESTS)
            windows = [self._window(scenario, path, counts) for _ in range(WINDOWS)]
        calls, size, own = (statistics.median(column) / COUNTED_REQUESTS
                            for column in zip(*windows))
        return max(0.0, round(calls, 1)), max(0.0, round(own, 1)), max(0.0, round(size))

    def _window(self, scenario: Scenario, path: Path, counts: pathlib.Path) -> list[int]:
        seen = [_read_counts(counts)]
        for count in (SHORT_RUN, LONG_RUN):
            self._ask(scenario, path, count)
            seen.append(_read_counts(counts))
        before, short, long = seen
        return [l - 2 * s + b for b, s, l in zip(before, short, long)]


def _dumped(file: pathlib.Path) -> dict[str, int]:
    if not file.exists():
        raise Failed("callgrind wrote nothing")
    return instructions_by_object(file.read_text())


def _command(pid: int, *words: str):
    try:
        done = subprocess.run(["vgdb", f"--pid={pid}", *words], capture_output=True, text=True,
                              timeout=120)
    except subprocess.TimeoutExpired as late:
        said = (late.stderr or b"").decode(errors="replace")
        raise _refused(words, said) from None
    if done.returncode != 0:
        raise _refused(words, done.stderr)


def _refused(words: tuple[str, ...], said: str) -> Exception:
    """vgdb wakes the idle program by ptrace, which containers may not allow."""
    kind = Absent if "ptrace" in said else Failed
    return kind(f"vgdb {' '.join(words)}: {said.strip()[-200:]}")


def _read_counts(file: pathlib.Path) -> tuple[int, int, int]:
    calls, size, own_calls = struct.unpack("=QQQ", file.read_bytes())
    if calls == 0:
        raise Failed("the library that counts allocations was not loaded")
    return calls, size, own_calls


def instructions_by_object(dump: str) -> dict[str, int]:
    """Own cost by binary and library, from callgrind's format: `ob=` sets the object of the lines.

    A name is written in full once, as `(id) name`, and then as `(id)`. The line after `calls=` is the
    inclusive cost of the call and belongs to nobody here.
    """
    names: dict[str, str] = {}
    total: dict[str, int] = {}
    current, is_call = "", False
    for line in dump.splitlines():
        found = re.match(r"c?ob=\((\d+)\)(?: (.*))?$", line)
        if found:
            if found[2]:
                names[found[1]] = found[2]
            if line.startswith("ob="):
                current = names.get(found[1], "")
        elif line.startswith("calls="):
            is_call = True
        elif line[:1] in "+-*0123456789" and line:
            if not is_call:
                words = line.split()
                total[current] = total.get(current, 0) + int(words[1] if len(words) > 1 else 0)
            is_call = False
    return total


def surroundings() -> dict[str, str]:
    """What else a figure depends on."""
    first = lambda *argv: subprocess.run(  # noqa: E731
        argv, capture_output=True, text=True).stdout.strip().split("\n")[0]
    return {
        "swift": first("swift", "--version"),
        "openssl": first("openssl", "version"),
        "libc": os.confstr("CS_GNU_LIBC_VERSION") or "",
        "valgrind": first("valgrind", "--version"),
        "cpu": str(machine.description()["cpu"]),
    }
