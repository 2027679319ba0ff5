"""A controllable HTTP/1.1 application inside the test process.

A handler decides each exchange and can misbehave on the wire as it likes; the default one echoes
what arrived. Everything that arrived is kept in `requests`.
"""

import contextlib
import hashlib
import json
import socket
import struct
import threading

from localmesh.waiting import eventually

from .http1 import Closed, Message, MessageReader


class Exchange:
    """One request on one connection, and the means to answer it."""

    def __init__(self, connection, reader, request, connection_index, turn):
        self.socket, self.request = connection, request
        #: Which connection of the app this is, and which request on it, both from 0.
        self.connection_index, self.turn = connection_index, turn
        self.is_over = False
        self._reader, self._body_read = reader, False

    def read_body(self):
        self.request.body = b"".join(self.body_chunks())
        return self.request.body

    def body_chunks(self):
        self._body_read = True
        return self._reader.chunks(self.request)

    def finish_reading(self):
        if not self._body_read:
            self.read_body()

    def send(self, data):
        """Raw bytes."""
        self.socket.sendall(data)

    def reply(self, status=200, body=b"", *fields):
        lines = [f"HTTP/1.1 {status} Some Reason", *fields, f"Content-Length: {len(body)}"]
        data = "\r\n".join(lines).encode() + b"\r\n\r\n"
        self.send(data if self.request.method == "HEAD" else data + body)

    def reply_json(self, value, *fields):
        self.reply(200, json.dumps(value).encode(), "Content-Type: application/json", *fields)

    def close(self):
        """Ends the connection in good order."""
        self.is_over = True
        self.socket.close()

    def reset(self):
        """Ends the connection with RST."""
        self.is_over = True
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


def echo(exchange):
    """Answers with what arrived: app's name, method, target, fields, hash of the body."""
    body = exchange.read_body()
    request = exchange.request
    exchange.reply_json({
        "method": request.method, "target": request.target,
        "fields": [[n.decode("latin-1"), v.decode("latin-1")] for n, v in request.fields],
        "trailers": request.trailers, "length": len(body),
        "sha256": hashlib.sha256(body).hexdigest()})


def named(name):
    """A handler whose answer is only the app's name."""
    def answer(exchange):
        exchange.read_body()
        exchange.reply(200, name.encode(), f"Served-By: {name}")
    return answer


class App:
    """Listens on a port of the loopback; `handler` may be replaced at any time."""

    def __init__(self, handler=echo, port=0):
        self.handler = handler
        self.requests = []
        #: Exceptions of handlers that are not the peer's hanging up; a test fails on them.
        self.errors = []
        self._lock = threading.Lock()
        self._connections = set()
        self._accepted = 0
        self._listener = None
        self.port = port
        self.start()

    def start(self):
        """Listens, again on the same port after `stop`."""
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", self.port))
        self._listener.listen(1024)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def stop(self):
        """As a crash: the listener and every connection are gone."""
        # Shutdown wakes the thread in accept(); close alone would leave the port listening.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.reset_connections()

    def reset_connections(self):
        """Resets every open connection."""
        self._close_connections(struct.pack("ii", 1, 0))

    def close_connections(self):
        """Closes every open connection in good order."""
        self._close_connections(struct.pack("ii", 0, 0))

    def _close_connections(self, linger):
        with self._lock:
            connections, self._connections = self._connections, set()
        for connection in connections:
            try:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                if linger == struct.pack("ii", 0, 0):
                    connection.shutdown(socket.SHUT_RDWR)
                connection.close()
            except OSError:
                pass  # its own thread closed it first

    @property
    def is_listening(self):
        return self._listener.fileno() >= 0

    @property
    def connections_accepted(self):
        return self._accepted

    def connections_open(self):
        with self._lock:
            return len(self._connections)

    def wait_for_requests(self, count, seconds=10.0):
        eventually(lambda: len(self.requests) >= count, f"the app sees {count} requests", seconds)

    def _accept(self, listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with contextlib.suppress(OSError):  # reset before it was accepted: _serve will see
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                index = self._accepted
                self._accepted += 1
                self._connections.add(connection)
            threading.Thread(target=self._serve, args=(connection, index), daemon=True).start()

    def _serve(self, connection, index):
        reader, turn = MessageReader(connection), 0
        try:
            while True:
                request: Message = reader.head()
                self.requests.append(request)
                exchange = Exchange(connection, reader, request, index, turn)
                self.handler(exchange)
                if exchange.is_over:
                    return
                exchange.finish_reading()
                turn += 1
        except (Closed, OSError):
            pass  # the peer hung up, or `stop` closed the connection under us
        except Exception as error:  # reported by the test case, which owns us
            self.errors.append(error)
        finally:
            with self._lock:
                self._connections.discard(connection)
            connection.close()
