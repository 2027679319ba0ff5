"""Somebody else on the same proxy, who must not notice what happens to another."""

import threading

from .http2 import FrameClient


class Bystander:
    """Makes one request after another on one HTTP/2 connection while the block runs.

    At its end the requests must all have been answered with 200.
    """

    def __init__(self, port, tls=None, **options):
        self._client = FrameClient(port, tls, timeout=20.0, **options)
        self._over, self._first = threading.Event(), threading.Event()
        self.count, self.errors = 0, []
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        try:
            while not self._over.is_set():
                answer = self._client.get("/bystander")
                if answer.status != 200:
                    raise AssertionError(f"{answer}")
                self.count += 1
                self._first.set()
        except Exception as error:
            self.errors.append(error)
            self._first.set()

    def __enter__(self):
        self._thread.start()
        self._first.wait(20.0)
        return self

    def __exit__(self, kind, *_):
        # One more, which begins after all that happened.
        wanted = self.count + 2
        while kind is None and self.count < wanted and self._thread.is_alive():
            self._thread.join(0.01)
        self._over.set()
        self._thread.join(30.0)
        self._client.socket.close()
        if kind is None and (self.errors or self.count < wanted):
            raise AssertionError(f"a bystander noticed: {self.errors}, {self.count} answers")
