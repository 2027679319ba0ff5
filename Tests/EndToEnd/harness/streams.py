"""Raw TCP: a server whose connections a test scripts, and what a test does with a socket."""

import hashlib
import random
import socket
import struct
import threading


class StreamServer:
    """Listens on a port of the loopback; `handler(socket)` has each connection in its own thread."""

    def __init__(self, handler):
        self.handler, self.errors = handler, []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection:
            try:
                connection.settimeout(30)
                self.handler(connection)
            except Exception as error:  # reported by the test, which owns us
                self.errors.append(error)

    def stop(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def connect(port, timeout=30.0):
    return socket.create_connection(("127.0.0.1", port), timeout=timeout)


def read_all(connection):
    """Everything until the other side ends."""
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)


def send_random(connection, count, seed):
    """Sends `count` bytes in pieces of random sizes, then ends its side; their hash."""
    generator, digest = random.Random(seed), hashlib.sha256()
    while count > 0:
        piece = generator.randbytes(min(count, generator.choice((1, 100, 4_000, 70_000, 300_000))))
        digest.update(piece)
        connection.sendall(piece)
        count -= len(piece)
    connection.shutdown(socket.SHUT_WR)
    return digest.hexdigest()


def hash_all(connection):
    """The hash of everything until the other side ends."""
    digest = hashlib.sha256()
    while part := connection.recv(65536):
        digest.update(part)
    return digest.hexdigest()


def reset(connection):
    """Closes so that the other side sees RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
