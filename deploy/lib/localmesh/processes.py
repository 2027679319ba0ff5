"""The mesh's binaries as child processes: start, watch the log, ask the admin port, stop.

No child outlives us: the kernel kills it when our thread that started it ends (PR_SET_PDEATHSIG),
so start children from the main thread only. Each has its own session, so that Ctrl-C on the
terminal reaches us alone and we stop them in order.
"""

import ctypes
import http.client
import json
import os
import signal
import subprocess
import threading
import time

from .metrics import Metrics
from .waiting import NotInTime, eventually

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1


def _die_with_parent():
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Binaries:
    """Where mesh-proxy, mesh-controller and meshctl are; they may be in different directories."""

    def __init__(self, directory, **elsewhere):
        self._directory, self._elsewhere = directory, elsewhere

    def path(self, name):
        directory = self._elsewhere.get(name.replace("-", "_"), self._directory)
        path = os.path.join(os.path.abspath(directory), name)
        if not os.access(path, os.X_OK):
            raise FileNotFoundError(f"{path}: not built")
        return path


class Child:
    """A process whose standard error is a log of one JSON object per line."""

    def __init__(self, name, arguments, log_path=None, pass_fds=(), env=None, cwd=None):
        self.name = name
        self.log = []
        self._changed = threading.Condition()
        self._log_path = log_path
        self.process = subprocess.Popen(
            arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            pass_fds=pass_fds, env=env, cwd=cwd, start_new_session=True,
            preexec_fn=_die_with_parent)
        self.output = b""
        self._readers = [
            threading.Thread(target=self._read_log, daemon=True),
            threading.Thread(target=self._read_output, daemon=True)]
        for reader in self._readers:
            reader.start()

    @property
    def pid(self):
        return self.process.pid

    def _read_log(self):
        sink = open(self._log_path, "ab", buffering=0) if self._log_path else None
        for line in self.process.stderr:
            if sink:
                sink.write(line)
            self._append(line)
        self.process.stderr.close()
        if sink:
            sink.close()
        with self._changed:
            self._changed.notify_all()

    def _append(self, line):
        text = line.decode("utf-8", "replace").rstrip("\n")
        try:
            entry = json.loads(text)
            if not isinstance(entry, dict):
                raise ValueError
        except ValueError:
            entry = {"message": text, "unstructured": True}
        entry["_monotonic"] = time.monotonic()
        with self._changed:
            self.log.append(entry)
            self._changed.notify_all()

    def _read_output(self):
        while chunk := self.process.stdout.read1(65536):
            with self._changed:
                self.output += chunk
                self._changed.notify_all()
        self.process.stdout.close()

    def logged(self, message=None, since=0, **fields):
        """Entries from index `since` on whose message contains `message` and whose fields match."""
        with self._changed:
            entries = self.log[since:]
        return [
            entry for entry in entries
            if (message is None or message in str(entry.get("message", "")))
            and all(entry.get(key) == value for key, value in fields.items())]

    def wait_for_log(self, message=None, since=0, seconds=20.0, **fields):
        """The first such entry, waiting for it; fails at once when the process has ended."""
        deadline = time.monotonic() + seconds
        while True:
            found = self.logged(message, since, **fields)
            if found:
                return found[0]
            remaining = deadline - time.monotonic()
            ended = self.process.poll() is not None and not self._readers[0].is_alive()
            if remaining <= 0 or ended:
                why = f"it ended with {self.process.returncode}" if ended else "time is up"
                raise NotInTime(
                    f"{self.name}: no log line {message!r} {fields or ''}: {why}; "
                    f"last lines:\n{self.tail()}")
            with self._changed:
                self._changed.wait(min(remaining, 0.1))

    def wait_for_output(self, text, seconds=20.0):
        """Waits until standard output contains the bytes `text`."""
        return eventually(lambda: text in self.output, f"{self.name} prints {text!r}", seconds)

    def tail(self, count=15):
        with self._changed:
            return "\n".join(
                "    " + json.dumps({k: v for k, v in entry.items() if k != "_monotonic"})
                for entry in self.log[-count:])

    def resident_bytes(self):
        """Resident memory now (VmRSS)."""
        return self._status_kib("VmRSS") * 1024

    def peak_resident_bytes(self):
        """The most resident memory so far (VmHWM)."""
        return self._status_kib("VmHWM") * 1024

    def _status_kib(self, key):
        with open(f"/proc/{self.pid}/status") as status:
            for line in status:
                if line.startswith(key + ":"):
                    return int(line.split()[1])
        raise LookupError(key)

    def is_running(self):
        return self.process.poll() is None

    def send(self, number):
        if self.is_running():
            self.process.send_signal(number)

    def kill(self):
        """SIGKILL, and wait."""
        self.send(signal.SIGKILL)
        return self.wait()

    def wait(self, seconds=20.0):
        """The exit status, negative for a signal."""
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise NotInTime(f"{self.name} still runs after {seconds:g} s:\n{self.tail()}") from None
        for reader in self._readers:
            reader.join(seconds)
        return status

    def stop(self):
        """Ends it, draining only as long as that is quick."""
        stop_all([self])


def stop_all(children):
    """SIGTERM (drain), soon again (at once), and SIGKILL for what ignores even that."""
    for number, seconds in ((signal.SIGTERM, 0.3), (signal.SIGTERM, 2.0), (signal.SIGKILL, 10.0)):
        for child in children:
            child.send(number)
        deadline = time.monotonic() + seconds
        for child in children:
            try:
                child.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                pass  # the next signal is stronger
    for child in children:
        child.wait()


def port_of(address):
    """The port of "127.0.0.1:1234"."""
    return int(address.rsplit(":", 1)[1])


class Admin:
    """The admin endpoints of a proxy."""

    def __init__(self, port):
        self.port = port

    def request(self, method, path):
        """(status, body bytes)"""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def json(self, path):
        status, body = self.request("GET", path)
        if status != 200:
            raise ValueError(f"{path} answered {status}: {body[:200]!r}")
        return json.loads(body)

    def is_ready(self):
        return self.request("GET", "/ready")[0] == 200

    def metrics(self):
        return Metrics(self.request("GET", "/metrics")[1].decode())


class Proxy(Child):
    """A mesh-proxy. `configuration` is its JSON; ports of 0 are read back from its log."""

    def __init__(self, binaries, name, configuration, directory, command=(), wrapper=()):
        self.configuration = configuration
        self.directory = directory
        path = os.path.join(directory, f"{name}.json")
        with open(path, "w") as file:
            json.dump(configuration, file, indent=2)
        arguments = [*wrapper, binaries.path("mesh-proxy"), "run", "--config", path]
        if command:
            arguments += ["--", *command]
        super().__init__(name, arguments, os.path.join(directory, f"{name}.log"))

    def port(self, listener):
        """The real port of "admin", "outbound" or "inbound"."""
        return port_of(self.wait_for_log("listening", listener=listener)["address"])

    @property
    def admin(self):
        return Admin(self.port("admin"))

    def wait_until_ready(self, seconds=20.0):
        self.wait_for_log("ready", seconds=seconds)
        eventually(self.admin.is_ready, f"{self.name} is ready", seconds)
        return self

    def configuration_with_real_ports(self):
        """The configuration to start a successor on the same ports."""
        fixed = json.loads(json.dumps(self.configuration))
        fixed["admin"]["port"] = self.port("admin")
        if "outbound" in fixed:
            fixed["outbound"]["port"] = self.port("outbound")
        if "inbound" in fixed:
            fixed["inbound"]["listen"]["port"] = self.port("inbound")
        return fixed


class Controller(Child):
    """A mesh-controller over a manifests directory and a data directory."""

    def __init__(self, binaries, manifests, data, log_path, stream_port=0, web_port=0):
        self.manifests, self.data = manifests, data
        super().__init__(
            "controller",
            [binaries.path("mesh-controller"), "run", "--manifests", manifests, "--data", data,
             "--listen", f"127.0.0.1:{stream_port}", "--web", f"127.0.0.1:{web_port}"],
            log_path)
        self.stream_port = port_of(self.wait_for_log("listening", listener="stream")["address"])
        self.web_port = port_of(self.wait_for_log("listening", listener="web")["address"])
        self.wait_for_log("listening", listener="operator")


class CommandFailed(AssertionError):
    """A command ended with an error."""


def run(arguments, seconds=60.0, check=True):
    """Runs a command to its end: (status, standard output, standard error)."""
    done = subprocess.run(
        arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        timeout=seconds, text=True)
    if check and done.returncode != 0:
        raise CommandFailed(
            f"{' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.returncode, done.stdout, done.stderr
