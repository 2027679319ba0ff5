"""A name server whose answers a test chooses, and a client that asks byte by byte."""

import contextlib
import socket
import struct
import threading

A, AAAA, NXDOMAIN, SERVFAIL = 1, 28, 3, 2


def encode_name(name):
    labels = [label.encode() for label in name.rstrip(".").split(".")]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def query(name, kind=A, number=0x4242):
    return struct.pack("!6H", number, 0x0100, 1, 0, 0, 0) + encode_name(name) + struct.pack(
        "!2H", kind, 1)


class Answer:
    """The parts of an answer that tests look at; names are taken to be compressed or whole."""

    def __init__(self, data):
        self.id, self.flags, questions, answers = struct.unpack("!4H", data[:8])
        self.code = self.flags & 0xF
        self.is_truncated = bool(self.flags & 0x0200)
        self.addresses, self.ttls = [], []
        at = 12
        for _ in range(questions):
            at = self._skip_name(data, at) + 4
        for _ in range(answers):
            at = self._skip_name(data, at)
            kind, _, ttl, length = struct.unpack("!2HIH", data[at:at + 10])
            value = data[at + 10:at + 10 + length]
            at += 10 + length
            if kind in (A, AAAA):
                family = socket.AF_INET if kind == A else socket.AF_INET6
                self.addresses.append(socket.inet_ntop(family, value))
                self.ttls.append(ttl)

    @staticmethod
    def _skip_name(data, at):
        while data[at]:
            if data[at] >= 0xC0:
                return at + 2
            at += 1 + data[at]
        return at + 1


def ask(port, name, kind=A, attempts=10):
    """Asks again after a second without an answer, as applications do."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(1.0)
        client.connect(("127.0.0.1", port))
        for attempt in range(attempts):
            client.send(query(name, kind))
            try:
                return Answer(client.recv(65535))
            except TimeoutError:
                if attempt == attempts - 1:
                    raise


def ask_over_tcp(port, *names):
    """Asks all at once on one connection; the answers in the order of the names."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        stream = client.makefile("rb")
        for number, name in enumerate(names):
            message = query(name, number=number)
            client.sendall(struct.pack("!H", len(message)) + message)
        answers = [Answer(stream.read(struct.unpack("!H", stream.read(2))[0])) for _ in names]
        stream.close()
    return sorted(answers, key=lambda answer: answer.id)


class NameServer:
    """Answers A queries over UDP and TCP; `addresses` and `code` may be changed at any time."""

    def __init__(self, addresses=(), ttl=1):
        self.addresses, self.ttl, self.code, self.is_silent = list(addresses), ttl, 0, False
        #: Names asked for, one for each query.
        self.asked = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._datagrams.bind(("127.0.0.1", self.port))
        for serve in (self._serve_datagrams, self._serve_streams):
            threading.Thread(target=serve, daemon=True).start()

    def stop(self):
        for each in (self._datagrams, self._listener):
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # a datagram socket has no connection to shut down; it wakes all the same
            each.close()

    def _serve_datagrams(self):
        while True:
            try:
                data, source = self._datagrams.recvfrom(65535)
                if not data:
                    return
                if not self.is_silent:
                    self._datagrams.sendto(self._answer(data), source)
            except OSError:
                return

    def _serve_streams(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with contextlib.suppress(ConnectionError), connection, \
                    connection.makefile("rb") as stream:
                while len(prefix := stream.read(2)) == 2:
                    answer = self._answer(stream.read(struct.unpack("!H", prefix)[0]))
                    connection.sendall(struct.pack("!H", len(answer)) + answer)

    def _answer(self, data):
        end = 12
        while data[end]:
            end += 1 + data[end]
        question = data[12:end + 5]
        labels, at = [], 12
        while data[at]:
            labels.append(data[at + 1:at + 1 + data[at]].decode())
            at += 1 + data[at]
        self.asked.append(".".join(labels))
        kind = struct.unpack("!H", data[end + 1:end + 3])[0]
        addresses = self.addresses if kind == A and not self.code else []
        header = data[:2] + struct.pack(
            "!5H", 0x8180 | self.code, 1, len(addresses), 0, 0)
        return header + question + b"".join(
            struct.pack("!3HIH", 0xC00C, A, 1, self.ttl, 4) + socket.inet_aton(address)
            for address in addresses)
