"""An HTTP/1.1 endpoint that can be told to misbehave, as a program of its own.

    python3 endpoint.py --name a [--address 127.0.0.1] [--port 0] [--latency 0.005]

Prints `listening PORT`, then does what it reads from its standard input, a line at a time, and answers
each with a line: `mode NAME` (see `_MODES`), `arrivals` (JSON: times at which requests arrived, on the
clock that all processes of a machine share). What a request was answered with says the endpoint's name.
"""

import argparse
import asyncio
import json
import socket
import struct
import sys
import time

#: healthy; 503 at once; 503 from time to time; 429 and 404 at once; 20 times the latency; a head of
#: one byte a second; accepts and never answers; the same, and RST after 300 ms.
_MODES = ("healthy", "errors", "flaky", "refuses", "missing", "slow", "drip", "silent", "resets")
_STATUS = {"errors": "503 Service Unavailable", "refuses": "429 Too Many Requests",
           "missing": "404 Not Found"}
SLOWER = 20
RESET_SECONDS = 0.3


class Endpoint:
    def __init__(self, name, latency):
        self.name, self.latency, self.mode = name, latency, "healthy"
        #: When each request arrived.
        self.arrivals = []

    async def serve(self, reader, writer):
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.arrivals.append(time.monotonic())
                await self._skip_body(reader, head)
                if not await self._answer(writer):
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the other side left
        finally:
            writer.close()

    @staticmethod
    async def _skip_body(reader, head):
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                await reader.readexactly(int(line.split(b":")[1]))

    async def _answer(self, writer):
        """Answers by the mode of the moment; whether the connection goes on."""
        mode = self.mode
        if mode == "silent":
            await asyncio.sleep(3600)
        if mode == "resets":
            await asyncio.sleep(RESET_SECONDS)
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()
            return False
        if mode in ("healthy", "slow", "drip", "flaky"):
            await asyncio.sleep(self.latency * (SLOWER if mode == "slow" else 1))
        if mode == "flaky":
            mode = "errors" if len(self.arrivals) % 2 else "healthy"
        status = _STATUS.get(mode, "200 OK")
        body = self.name.encode()
        answer = (f"HTTP/1.1 {status}\r\nServed-By: {self.name}\r\n"
                  f"Content-Length: {len(body)}\r\n\r\n").encode() + body
        if mode == "drip":
            for byte in answer:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(1)
        writer.write(answer)
        await writer.drain()
        return True


async def _obey(endpoint):
    """Does what standard input says until its end."""
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := (await lines.readline()).decode():
        word, *rest = line.split()
        if word == "mode" and rest[0] in _MODES:
            endpoint.mode = rest[0]
            print("ok", flush=True)
        elif word == "arrivals":
            print(json.dumps(endpoint.arrivals), flush=True)
        else:
            print(f"what is {line!r}?", flush=True)


async def _main(options):
    endpoint = Endpoint(options.name, options.latency)
    server = await asyncio.start_server(
        endpoint.serve, options.address, options.port, backlog=1024, reuse_address=True)
    print("listening", server.sockets[0].getsockname()[1], flush=True)
    await _obey(endpoint)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--name", required=True)
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency", type=float, default=0.005)
    asyncio.run(_main(parser.parse_args()))
