"""Endpoints and callers as child processes that are told what to do and asked what they saw."""

import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from typing import NamedTuple

from localmesh.waiting import NotInTime

_libc = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1
_HERE = os.path.dirname(os.path.abspath(__file__))
_ANSWER_SECONDS_MAX = 20


class Outcome(NamedTuple):
    """A request as its caller saw it: when it was due and when it ended (monotonic seconds), its status
    or 0, and who served it or what went wrong."""

    due: float
    ended: float
    status: int
    who: str

    @property
    def failed(self):
        return self.status != 200

    @property
    def latency(self):
        return self.ended - self.due


def _die_with_parent():
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _start(program, arguments, wrapper):
    return subprocess.Popen(
        [*wrapper, sys.executable, "-B", os.path.join(_HERE, program), *arguments],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
        preexec_fn=_die_with_parent)


class Endpoint:
    """endpoint.py under a name, on a machine of its own if one is given; it keeps its port over
    restarts."""

    def __init__(self, name, latency=0.005, machine=None):
        self.name, self.machine, self.port = name, machine, 0
        self.address = machine.ipv4 if machine else "127.0.0.1"
        self._latency, self._wrapper = latency, machine.wrapper() if machine else ()
        self._former_arrivals = []
        self.start()

    def start(self):
        """Starts it, again after `kill`."""
        self.launch()
        self._wait_until_listening()

    def launch(self):
        """Starts it and does not wait until it listens."""
        self._process = _start("endpoint.py", [
            "--name", self.name, "--address", self.address, "--port", str(self.port),
            "--latency", str(self._latency)], self._wrapper)
        self._is_listening = False

    def _wait_until_listening(self):
        self.port = int(self._answer().split()[1])
        self._is_listening = True

    def mode(self, name):
        """How it answers from now on."""
        self._tell(f"mode {name}")

    def arrivals(self):
        """When each request arrived; those of a killed process as far as they had been asked for."""
        return self._former_arrivals + json.loads(self._tell("arrivals"))

    def kill(self):
        """As a crash of the process."""
        self._former_arrivals = self.arrivals()
        self._process.kill()
        self._process.communicate()

    def pause(self):
        """The kernel goes on to accept for it, but it does nothing more."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self):
        self._process.send_signal(signal.SIGCONT)

    def stop(self):
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()

    def _tell(self, line):
        if not self._is_listening:
            self._wait_until_listening()
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        answer = self._answer()
        if answer.startswith("what"):
            raise ValueError(answer)
        return answer

    def _answer(self):
        if not select.select([self._process.stdout], [], [], _ANSWER_SECONDS_MAX)[0]:
            raise NotInTime(f"endpoint {self.name} says nothing")
        return self._process.stdout.readline().strip()


class Caller:
    """caller.py from its start to `finish`; `outcomes` grows meanwhile."""

    def __init__(self, port, rate, address="127.0.0.1", wrapper=(), **options):
        self.rate = rate
        self.outcomes = []
        self._changed = threading.Condition()
        more = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        self._process = _start("caller.py", [
            "--port", str(port), "--address", address, "--rate", str(rate), *more], wrapper)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self._process.stdout:
            due, ended, status, who = line.split()
            with self._changed:
                self.outcomes.append(Outcome(float(due), float(ended), int(status), who))
                self._changed.notify_all()

    def wait_for(self, more, seconds=30.0):
        """Waits for `more` further outcomes."""
        self._wait_until(lambda target=len(self.outcomes) + more: len(self.outcomes) >= target,
                         f"{more} further requests end", seconds)

    def wait_until_due(self, moment):
        """Waits until a request that was due at or after `moment` has ended."""
        self._wait_until(
            lambda: any(outcome.due >= moment for outcome in self.outcomes[-200:]),
            "requests reach the moment", moment - time.monotonic() + 20)

    def _wait_until(self, condition, what, seconds):
        with self._changed:
            if not self._changed.wait_for(condition, seconds):
                raise NotInTime(f"not within {seconds:g} s: {what}")

    def finish(self):
        """Lets what is under way end; every outcome, in the order of what was due."""
        self._process.stdin.close()
        self._process.wait(30)
        self._reader.join(10)
        self._process.stdout.close()
        return sorted(self.outcomes)

    def stop(self):
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
