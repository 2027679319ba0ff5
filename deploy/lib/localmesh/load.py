"""Steady traffic over kept-alive connections, every answer checked and remembered."""

import http.client
import threading
import time


class Outcome:
    """One request: when it began and ended (monotonic seconds), its status or error, its body."""

    __slots__ = ("began", "ended", "status", "error", "body")

    def __init__(self, began, ended, status, error, body):
        self.began, self.ended = began, ended
        self.status, self.error, self.body = status, error, body

    @property
    def failed(self):
        return self.error is not None or self.status != 200

    def __repr__(self):
        return f"{self.error or self.status} {self.body[:300]!r}"


class Load:
    """`clients` threads that ask for `path` of `host` at a port, each on its own connection.

    `rate` is the sum of requests per second, None for as fast as answers come. A connection the
    server closed after a complete answer (its right at any time) is opened anew before the next
    request, as HTTP/1.1 clients do; any other trouble is a failed request.

    With `observe`, each outcome goes to that function, in turn, instead of being kept.
    """

    def __init__(self, port, host, path="/", clients=4, rate=None, method="GET", body=None,
                 timeout=10.0, observe=None):
        self._port, self._host, self._path = port, host, path
        self._method, self._body, self._timeout = method, body, timeout
        self._pace = clients / rate if rate else 0.0
        self._observe, self._count = observe, 0
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._outcomes = []
        self._answered = threading.Condition(self._lock)
        self._threads = [
            threading.Thread(target=self._run, args=(index,), daemon=True)
            for index in range(clients)]

    def start(self):
        self.began = time.monotonic()
        for thread in self._threads:
            thread.start()
        return self

    def stop(self):
        """Lets running requests end, then returns all outcomes."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        return self.outcomes()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def outcomes(self, since=0):
        with self._lock:
            return self._outcomes[since:]

    def count(self):
        with self._lock:
            return self._count

    def failures(self):
        return [outcome for outcome in self.outcomes() if outcome.failed]

    def wait_for(self, more, seconds=20.0):
        """Waits for `more` further answers."""
        deadline = time.monotonic() + seconds
        with self._answered:
            target = self._count + more
            while self._count < target:
                remaining = deadline - time.monotonic()
                if remaining <= 0 or not self._answered.wait(remaining):
                    raise AssertionError(
                        f"{target - self._count} of {more} answers missing after {seconds:g} s")

    def _run(self, index):
        connection = None
        next_at = time.monotonic() + self._pace * index / max(1, len(self._threads))
        while not self._stopping.is_set():
            if self._pace:
                if self._stopping.wait(max(0.0, next_at - time.monotonic())):
                    break
                # After a stall the missed requests are not made up in a burst.
                next_at = max(next_at + self._pace, time.monotonic() - self._pace)
            if connection is None:
                connection = http.client.HTTPConnection(
                    "127.0.0.1", self._port, timeout=self._timeout)
            began = time.monotonic()
            status, error, body, keep = None, None, b"", False
            try:
                connection.request(
                    self._method, self._path, body=self._body, headers={"Host": self._host})
                response = connection.getresponse()
                status, body = response.status, response.read()
                keep = not response.will_close
            except (OSError, http.client.HTTPException) as raised:
                error = repr(raised)
            outcome = Outcome(began, time.monotonic(), status, error, body)
            with self._answered:
                self._count += 1
                if self._observe:
                    self._observe(outcome)
                else:
                    self._outcomes.append(outcome)
                self._answered.notify_all()
            if not keep:
                connection.close()
                connection = None
        if connection:
            connection.close()


def percentile(values, share):
    """The value below which `share` of the values lie; None without values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None
