"""Thousands of mTLS connections to one inbound proxy, kept open by a few processes.

A process does what it reads from its standard input, a line at a time, and answers each line with
`ok` or with what went wrong: `open N` connects N times more and makes a request on each connection;
`talk` makes a request on every connection, some of them at the same time. Meanwhile it answers what
the proxy sends of its own accord (HTTP/2's PING), as every client does, and a connection that is
closed while nobody talks is an error.
"""

import argparse
import os
import resource
import select
import socket
import ssl
import struct
import subprocess
import sys

#: Requests of one process under way at the same time.
CONCURRENT = 64
#: Until an answer is there.
SECONDS_MAX = 60
#: Descriptors that the proxy, or a process here, needs besides its connections.
SPARE_DESCRIPTORS = 600


class Crowd:
    """The processes. Start and use it from the main thread only."""

    def __init__(self, port, protocol, certificate, trust_bundle, processes=4):
        arguments = [sys.executable, "-B", os.path.abspath(__file__), "--port", str(port),
                     "--protocol", protocol, "--certificate", certificate.certificate,
                     "--key", certificate.key, "--trust-bundle", trust_bundle]
        self._processes = [
            subprocess.Popen([*arguments, "--address", f"127.0.0.{index + 2}"], text=True,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            for index in range(processes)]

    def open(self, count):
        """Opens `count` connections more, evenly from all processes."""
        size = len(self._processes)
        self._all([f"open {count // size + (index < count % size)}" for index in range(size)])

    def talk(self):
        """Makes one request on every open connection."""
        self._all(["talk"] * len(self._processes))

    def _all(self, lines):
        for process, line in zip(self._processes, lines):
            print(line, file=process.stdin, flush=True)
        answers = [process.stdout.readline().strip() for process in self._processes]
        if set(answers) != {"ok"}:
            raise AssertionError(f"{lines[0]}: {answers}")

    def close(self):
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.communicate()
        self._processes = []


def connections_possible(wanted):
    """`wanted`, or as many as the limit of descriptors of one process lets a proxy hold."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard == resource.RLIM_INFINITY:
        return wanted
    return min(wanted, hard - SPARE_DESCRIPTORS)


class HTTP1:
    REQUEST = b"GET / HTTP/1.1\r\nHost: orders\r\n\r\n"
    ALPN = "http/1.1"

    def __init__(self, stream):
        self._stream = stream

    def ask(self):
        self._stream.sendall(self.REQUEST)

    def check(self):
        """Reads one response to its end; raises unless it is 200."""
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._more()
        head, _, body = data.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200 "):
            raise ConnectionError(head[:60])
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        length = int(fields[b"content-length"])
        while len(body) < length:
            body += self._more()

    def attend(self):
        """Takes what came unasked."""
        self._stream.setblocking(False)
        try:
            while True:
                self._unasked(self._more())
        except ssl.SSLWantReadError:
            pass
        finally:
            self._stream.settimeout(SECONDS_MAX)

    def _unasked(self, data):
        raise ConnectionError(f"unasked: {data[:60]!r}")

    def _more(self):
        data = self._stream.recv(65_536)
        if not data:
            raise ConnectionError("closed")
        return data


class HTTP2(HTTP1):
    """Frames by hand (RFC 9113); the header block uses no table of its own."""

    ALPN = "h2"
    #: GET, http, / from the static table; :authority as a literal.
    BLOCK = b"\x82\x87\x84\x01\x06orders"
    DATA, HEADERS, RESET, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7

    def __init__(self, stream):
        super().__init__(stream)
        self._next_stream = 1
        self._unread = b""
        stream.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + self._frame(self.SETTINGS, 0, 0))

    @staticmethod
    def _frame(kind, flags, stream, payload=b""):
        return (struct.pack(">I", len(payload))[1:] + bytes((kind, flags))
                + struct.pack(">I", stream) + payload)

    def ask(self):
        # END_HEADERS and END_STREAM.
        self._stream.sendall(self._frame(self.HEADERS, 5, self._next_stream, self.BLOCK))

    def check(self):
        while not self._take_frames():
            self._unread += self._more()

    def _unasked(self, data):
        self._unread += data
        self._take_frames()

    def _take_frames(self):
        """Takes the whole frames received; true when they end the response under way."""
        is_over = False
        while len(self._unread) >= 9:
            size = int.from_bytes(self._unread[:3], "big")
            if len(self._unread) < 9 + size:
                break
            kind, flags = self._unread[3], self._unread[4]
            stream = int.from_bytes(self._unread[5:9], "big")
            payload, self._unread = self._unread[9:9 + size], self._unread[9 + size:]
            if kind in (self.RESET, self.GOAWAY):
                raise ConnectionError(f"frame {kind}: {payload.hex()}")
            # :status 200 of the static table comes first in every block.
            if kind == self.HEADERS and payload[:1] != b"\x88":
                raise ConnectionError(f"not 200: {payload.hex()}")
            if kind in (self.SETTINGS, self.PING) and not flags & 1:
                answer = payload if kind == self.PING else b""
                self._stream.sendall(self._frame(kind, 1, 0, answer))
            if kind in (self.DATA, self.HEADERS) and flags & 1 and stream == self._next_stream:
                self._next_stream += 2
                is_over = True
        return is_over


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--address", required=True, help="the local address to connect from")
    parser.add_argument("--protocol", choices=("h1", "h2"), required=True)
    parser.add_argument("--certificate", required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--trust-bundle", required=True)
    options = parser.parse_args()

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    kind = HTTP1 if options.protocol == "h1" else HTTP2
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.set_alpn_protocols([kind.ALPN])
    context.load_verify_locations(options.trust_bundle)
    context.load_cert_chain(options.certificate, options.key)
    connections = []
    by_descriptor = {}
    poll = select.epoll()
    poll.register(sys.stdin)

    def attend(seconds):
        """Serves what came unasked; true when there is a line to read."""
        has_line = False
        for descriptor, _ in poll.poll(seconds):
            if descriptor == sys.stdin.fileno():
                has_line = True
            else:
                by_descriptor[descriptor].attend()
        return has_line

    def connect():
        plain = socket.socket()
        plain.settimeout(SECONDS_MAX)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        plain.bind((options.address, 0))
        plain.connect(("127.0.0.1", options.port))
        stream = context.wrap_socket(plain)
        connection = kind(stream)
        connection.ask()
        connection.check()
        connections.append(connection)
        by_descriptor[stream.fileno()] = connection
        poll.register(stream, select.EPOLLIN)
        if len(connections) % CONCURRENT == 0:
            attend(0)

    def talk():
        for start in range(0, len(connections), CONCURRENT):
            some = connections[start:start + CONCURRENT]
            for connection in some:
                connection.ask()
            for connection in some:
                connection.check()

    while True:
        try:
            while not attend(-1):
                pass
            line = sys.stdin.readline()
            if not line:
                return
            word, *rest = line.split()
            if word == "talk":
                talk()
            else:
                for _ in range(int(rest[0])):
                    connect()
            print("ok", flush=True)
        except (OSError, ValueError, KeyError) as error:
            # Also before the next line is read: the parent takes it for the answer to that.
            print(f"{type(error).__name__} after {len(connections)}: {error}", flush=True)
            return


if __name__ == "__main__":
    main()
