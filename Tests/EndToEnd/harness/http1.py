"""Reads HTTP/1.1 messages off a socket and keeps every byte of their heads."""


class Closed(AssertionError):
    """The other side closed (or reset) before the message was complete."""


class Message:
    """A request or a response: its first line and fields as sent, its body, its trailers."""

    def __init__(self, head):
        self.head = head
        lines = head.split(b"\r\n")
        self.first_line = lines[0]
        self.fields = [tuple(line.split(b": ", 1)) if b": " in line else tuple(line.split(b":", 1))
                       for line in lines[1:] if line]
        self.body = b""
        self.trailers = []
        self.interim = []

    @property
    def status(self):
        return int(self.first_line.split(b" ")[1])

    @property
    def method(self):
        return self.first_line.split(b" ")[0].decode()

    @property
    def target(self):
        return self.first_line.split(b" ")[1].decode()

    def names(self):
        """Field names as written by the sender."""
        return [name for name, _ in self.fields]

    def values(self, name):
        """All values of a field, whatever its case."""
        wanted = name.lower().encode()
        return [value.strip().decode("latin-1") for have, value in self.fields
                if have.lower() == wanted]

    def value(self, name):
        """The only value of a field, None when absent."""
        values = self.values(name)
        if len(values) > 1:
            raise AssertionError(f"{name} appears {len(values)} times: {values}")
        return values[0] if values else None

    def __repr__(self):
        return f"{self.head!r} + {len(self.body)} body bytes {self.body[:200]!r}"


class MessageReader:
    """Reads one message after another from a socket."""

    def __init__(self, socket):
        self._socket = socket
        self._buffer = bytearray()

    def _receive(self):
        try:
            data = self._socket.recv(65536)
        except ConnectionError as error:
            raise Closed(f"reset: {error}; had {bytes(self._buffer)[:200]!r}") from error
        except TimeoutError as error:
            raise AssertionError(
                f"nothing arrives; had {bytes(self._buffer)[:200]!r}") from error
        if not data:
            raise Closed(f"end of stream; had {bytes(self._buffer)[:200]!r}")
        self._buffer += data

    def _until(self, delimiter):
        start = 0
        while (index := self._buffer.find(delimiter, start)) < 0:
            start = max(0, len(self._buffer) - len(delimiter))
            self._receive()
        taken = bytes(self._buffer[:index + len(delimiter)])
        del self._buffer[:index + len(delimiter)]
        return taken

    def _some(self, at_most):
        if not self._buffer:
            self._receive()
        taken = bytes(self._buffer[:at_most])
        del self._buffer[:at_most]
        return taken

    def head(self):
        return Message(self._until(b"\r\n\r\n")[:-2])

    def chunks(self, message, is_response=False, request_method="GET"):
        """The body's bytes in pieces; sets the trailers at the end."""
        if is_response and (request_method == "HEAD" or message.status in (204, 304)
                            or message.status < 200):
            return
        if (message.value("Transfer-Encoding") or "").lower() == "chunked":
            while size := int(self._until(b"\r\n").split(b";")[0], 16):
                while size:
                    piece = self._some(size)
                    size -= len(piece)
                    yield piece
                if self._until(b"\r\n") != b"\r\n":
                    raise AssertionError("a chunk is longer than its size says")
            while (line := self._until(b"\r\n")) != b"\r\n":
                name, value = line[:-2].split(b":", 1)
                message.trailers.append((name.decode(), value.strip().decode()))
        elif message.value("Content-Length") is not None:
            size = int(message.value("Content-Length"))
            while size:
                piece = self._some(size)
                size -= len(piece)
                yield piece
        elif is_response:
            while True:
                try:
                    yield self._some(65536)
                except Closed as closed:
                    if "reset" in str(closed):
                        raise
                    return

    def response(self, request_method="GET"):
        """The next final response with its body; 1xx before it are in `interim`."""
        interim = []
        message = self.head()
        while message.status < 200 and message.status != 101:
            interim.append(message)
            message = self.head()
        message.interim = interim
        message.body = b"".join(self.chunks(message, True, request_method))
        return message

    def is_at_end(self):
        """Waits for the end of the stream; false when bytes arrive instead."""
        if self._buffer:
            return False
        try:
            self._receive()
            return False
        except Closed:
            return True
