"""A caller in an open loop, as a program of its own: requests begin on schedule, answered or not.

    python3 caller.py --port 15001 [--address 127.0.0.1] --host orders --rate 300 [--seconds 10]

Prints a line for each request as it ends: when it was due, when it ended (both on the clock that all
processes of a machine share), its status or 0, who served it or what went wrong. Ends after
`--seconds`, or when its standard input ends, and waits for what is under way.
"""

import argparse
import asyncio
import sys
import time

#: Until a request counts as failed: the patience of who waits behind the caller.
PATIENCE_SECONDS = 5.0


class Caller:
    def __init__(self, options):
        self._options = options
        self._idle = []
        self._request = (f"{options.method} {options.path} HTTP/1.1\r\nHost: {options.host}\r\n"
                         + ("" if options.method == "GET" else "Content-Length: 0\r\n")
                         + "\r\n").encode()
        self._is_over = asyncio.Event()

    async def run(self):
        """Makes the requests, each due at its time whatever became of those before."""
        loop = asyncio.get_running_loop()
        loop.add_reader(sys.stdin, self._read)
        pace, next_at, running = 1 / self._options.rate, time.monotonic(), set()
        until = next_at + self._options.seconds if self._options.seconds else float("inf")
        while not self._is_over.is_set() and next_at < until:
            wait = next_at - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            task = loop.create_task(self._one(next_at))
            running.add(task)
            task.add_done_callback(running.discard)
            next_at += pace
        if running:
            await asyncio.wait(running)

    def _read(self):
        if not sys.stdin.buffer.read1(100):
            asyncio.get_running_loop().remove_reader(sys.stdin)
            self._is_over.set()

    async def _one(self, due):
        try:
            status, said = await asyncio.wait_for(self._exchange(), PATIENCE_SECONDS)
        except (OSError, EOFError, ValueError, asyncio.TimeoutError) as error:
            status, said = 0, type(error).__name__
        print(f"{due:.6f} {time.monotonic():.6f} {status} {said}", flush=True)

    async def _exchange(self):
        connection = self._idle.pop() if self._idle else await asyncio.open_connection(
            self._options.address, self._options.port)
        reader, writer = connection
        try:
            writer.write(self._request)
            head = await reader.readuntil(b"\r\n\r\n")
            lines = head.decode("latin-1").split("\r\n")
            fields = dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line)
            await reader.readexactly(int(fields.get("content-length", 0)))
        except BaseException:
            writer.close()
            raise
        if fields.get("connection") == "close":
            writer.close()
        else:
            self._idle.append(connection)
        return int(lines[0].split()[1]), fields.get("served-by", "-")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--host", default="orders")
    parser.add_argument("--path", default="/")
    parser.add_argument("--method", default="GET")
    parser.add_argument("--rate", type=float, default=300)
    parser.add_argument("--seconds", type=float, default=0)
    asyncio.run(Caller(parser.parse_args()).run())
