"""Processes, and what the kernel says they cost."""

from __future__ import annotations

import contextlib
import ctypes
import os
import pathlib
import platform
import resource
import signal
import socket
import subprocess
import threading
import time

_PROC = pathlib.Path("/proc")
_TICKS = os.sysconf("SC_CLK_TCK")
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


class Failed(Exception):
    """A measurement that could not be made, and why."""


def _die_with_parent():
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class Server:
    """A process and its children, until `stop()`. Output goes to a log that errors quote."""

    _alive: list["Server"] = []

    def __init__(self, name: str, argv: list[str], log: pathlib.Path):
        self.name = name
        self._log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=log.parent,
                start_new_session=True, preexec_fn=_die_with_parent)
        Server._alive.append(self)

    def wait_until_listening(self, port: int, ready_line: str = "", patience: float = 15):
        """Until connections are taken and the log holds `ready_line`."""
        give_up = time.monotonic() + patience
        while time.monotonic() < give_up:
            if self._process.poll() is not None:
                raise Failed(f"{self.name} did not start: {self._tail()}")
            with socket.socket() as probe:
                is_listening = probe.connect_ex(("127.0.0.1", port)) == 0
            if is_listening and ready_line in self._log.read_text(errors="replace"):
                return
            time.sleep(0.02)
        raise Failed(f"{self.name} is not listening after {patience} s: {self._tail()}")

    def processes(self) -> list[int]:
        """The process and all below it."""
        found, queue = [], [self._process.pid]
        while queue:
            pid = queue.pop()
            found.append(pid)
            for children in _PROC.glob(f"{pid}/task/*/children"):
                with contextlib.suppress(OSError):
                    queue += map(int, children.read_text().split())
        return found

    def cpu_seconds(self) -> float:
        """Run time of all threads, in user and system mode, as the scheduler measured it."""
        nanoseconds = 0
        for pid in self.processes():
            for thread in _PROC.glob(f"{pid}/task/*/schedstat"):
                try:
                    nanoseconds += int(thread.read_text().split()[0])
                except OSError:
                    raise Failed(f"a process of {self.name} ended while measured: {self._tail()}")
        return nanoseconds / 1e9

    def memory(self) -> dict[str, float]:
        """MiB: resident, resident with shared pages divided among their users, and the peak."""
        total = {"rss": 0.0, "pss": 0.0, "peak": 0.0}
        fields = {"VmRSS:": "rss", "VmHWM:": "peak", "Pss:": "pss"}
        for pid in self.processes():
            for file in ("status", "smaps_rollup"):
                with contextlib.suppress(OSError):
                    for line in (_PROC / str(pid) / file).read_text().splitlines():
                        words = line.split()
                        if words and words[0] in fields:
                            total[fields[words[0]]] += int(words[1]) / 1024
        return total

    def settled_memory(self, still: float = 2.5, patience: float = 15) -> dict[str, float]:
        """The memory once the resident figure has not moved for some time."""
        give_up = time.monotonic() + patience
        last, unmoved_since = self.memory()["rss"], time.monotonic()
        while time.monotonic() < min(give_up, unmoved_since + still):
            time.sleep(0.1)
            now = self.memory()["rss"]
            if abs(now - last) > 0.05:
                last, unmoved_since = now, time.monotonic()
        return self.memory()

    def stop(self):
        if self not in Server._alive:
            return
        Server._alive.remove(self)
        for number, patience in ((signal.SIGTERM, 2), (signal.SIGKILL, 3)):
            # The session's group holds the workers of a master that is gone.
            with contextlib.suppress(OSError):
                os.killpg(self._process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(patience)
                if number == signal.SIGTERM:
                    continue_at = time.monotonic() + 0.5
                    while self._group_lives() and time.monotonic() < continue_at:
                        time.sleep(0.02)
            if not self._group_lives():
                return

    def _group_lives(self) -> bool:
        try:
            os.killpg(self._process.pid, 0)
            return True
        except OSError:
            return False

    def _tail(self) -> str:
        return self._log.read_text(errors="replace").strip()[-600:] or "(it said nothing)"

    @classmethod
    def stop_all(cls):
        for server in list(cls._alive):
            server.stop()


def run(argv: list[str], patience: float) -> tuple[str, float]:
    """What a short-lived program printed, and its CPU seconds."""
    process = subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        preexec_fn=_die_with_parent, text=True)
    alarm = threading.Timer(patience, process.kill)
    alarm.start()
    try:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        output = process.communicate()[0]
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    finally:
        alarm.cancel()
        if process.poll() is None:
            process.kill()
            process.wait()
    if process.returncode != 0:
        name = os.path.basename(argv[0])
        raise Failed(f"{name} ended with {process.returncode}: {output.strip()[-300:]}")
    return output, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def busy_seconds() -> float:
    """CPU time of the whole machine that was not idle, stolen time included."""
    fields = [int(x) for x in (_PROC / "stat").read_text().split("\n", 1)[0].split()[1:9]]
    idle_and_waiting = fields[3] + fields[4]
    return (sum(fields) - idle_and_waiting) / _TICKS


class Ports:
    """Free ports below the range from which the kernel takes those of callers."""

    _next = 22000 + os.getpid() % 4000
    _lock = threading.Lock()

    @classmethod
    def take(cls) -> int:
        with cls._lock:
            return cls._take()

    @classmethod
    def _take(cls) -> int:
        while True:
            cls._next = cls._next + 1 if cls._next < 32000 else 20000
            with socket.socket() as probe:
                with contextlib.suppress(OSError):
                    probe.bind(("127.0.0.1", cls._next))
                    return cls._next


def established(port: int) -> int:
    """The number of open connections that a listener on loopback has accepted."""
    suffix = f":{port:04X}"
    with open("/proc/net/tcp") as table:
        lines = (line.split() for line in table)
        return sum(1 for line in lines if line[1].endswith(suffix) and line[3] == "01")


def raise_file_limit(wanted: int) -> int:
    """Raises the limit of open files as far as permitted; what it is now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for limit in (wanted, hard):
        if limit <= soft:
            break
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, max(limit, hard)))
            break
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def description() -> dict[str, object]:
    """What is worth knowing of the machine beside a figure."""
    model = platform.machine()
    memory = 0
    with contextlib.suppress(OSError):
        for line in (_PROC / "cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
        memory = int((_PROC / "meminfo").read_text().split()[1]) // 1024
    hypervisor = pathlib.Path("/sys/hypervisor/type").exists() or "hypervisor" in (
        _PROC / "cpuinfo").read_text()
    return {"cpu": model, "cpus": os.cpu_count(), "virtual": hypervisor,
            "kernel": platform.release(), "memoryMiB": memory, "python": platform.python_version()}
