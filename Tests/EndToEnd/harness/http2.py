"""An HTTP/2 client that sends exactly the frames it is given.

Frames come from `hyperframe`, header blocks from `hpack`: nothing checks what a test sends.
"""

import socket
import ssl

import hpack
from hyperframe.frame import (
    DataFrame, Frame, GoAwayFrame, HeadersFrame, PingFrame, RstStreamFrame, SettingsFrame,
    WindowUpdateFrame)

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

PROTOCOL_ERROR, FLOW_CONTROL_ERROR, STREAM_CLOSED = 1, 3, 5
FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, ENHANCE_YOUR_CALM = 6, 7, 8, 9, 11


class StreamReset(AssertionError):
    """The other side reset the stream."""

    def __init__(self, code):
        super().__init__(f"RST_STREAM with code {code}")
        self.code = code


class ConnectionOver(AssertionError):
    """The connection ended; `code` is that of its last GOAWAY, None without one."""

    def __init__(self, code):
        super().__init__(f"the connection ended, GOAWAY code {code}")
        self.code = code


class Answer:
    """A complete response."""

    def __init__(self):
        self.interim, self.fields, self.body, self.trailers = [], [], b"", []

    @property
    def status(self):
        return int(dict(self.fields)[":status"])

    def __repr__(self):
        return f"{self.fields} {self.body[:200]!r} {self.trailers}"


class FrameClient:
    """One connection; as TLS when a context is given. Answers PING and SETTINGS by itself."""

    def __init__(self, port, tls=None, timeout=10.0, settings=None, begin=True, scheme=None,
                 receive_buffer=None):
        self.scheme = scheme or ("https" if tls else "http")
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout)
        try:
            self.socket.connect(("127.0.0.1", port))
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if tls:
                self.socket = tls.wrap_socket(self.socket, server_hostname=None)
        except BaseException:
            self.socket.close()
            raise
        self.encoder, self.decoder = hpack.Encoder(), hpack.Decoder()
        self.goaway = None
        self.peer_settings = {}
        self._buffer, self._next = bytearray(), 1
        self._answers, self._resets, self._complete = {}, {}, set()
        if begin:
            self.send_bytes(PREFACE)
            self.send(SettingsFrame(0, settings=settings or {}))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    # Sending

    def send_bytes(self, data):
        self.socket.sendall(data)

    def send(self, *frames):
        self.send_bytes(b"".join(frame.serialize() for frame in frames))

    def try_to_send(self, data):
        """For what the other side may answer by closing: whether it still listened."""
        try:
            self.send_bytes(data)
            return True
        except (ConnectionError, ssl.SSLError):
            return False

    def fields(self, path="/", method="GET", authority="orders", *more):
        return [(":method", method), (":scheme", self.scheme), (":path", path),
                (":authority", authority), *more]

    def block(self, fields):
        """Literals without indexing: what is sent does not depend on what was sent."""
        return b"".join(literal(name, value) for name, value in fields)

    def next_stream(self):
        self._next += 2
        return self._next - 2

    def headers(self, stream, fields, *flags):
        """A HEADERS frame; `fields` may be a finished block."""
        block = fields if isinstance(fields, bytes) else self.block(fields)
        return HeadersFrame(stream, block, flags=list(flags) or ["END_HEADERS", "END_STREAM"])

    def data(self, stream, data, ends=True):
        return DataFrame(stream, data, flags=["END_STREAM"] if ends else [])

    def begin(self, path="/", method="GET", *more, authority="orders", body=None):
        """Sends a request; returns its stream."""
        stream = self.next_stream()
        fields = self.fields(path, method, authority, *more)
        if body is None:
            self.send(self.headers(stream, fields))
        else:
            self.send(self.headers(stream, fields, "END_HEADERS"))
            self.send(self.data(stream, body))
        return stream

    def get(self, path="/", *more, **options):
        return self.answer(self.begin(path, "GET", *more, **options))

    # Receiving

    def answer(self, stream):
        """The complete response on this stream."""
        while stream not in self._complete:
            if stream in self._resets:
                raise StreamReset(self._resets[stream])
            self.receive()
        return self._answers[stream]

    def wait_for_end(self):
        """Reads until the connection ends; returns the code of GOAWAY, None without one."""
        try:
            while True:
                self.receive()
        except ConnectionOver as over:
            return over.code

    def reset_code(self, stream):
        """Reads until the stream is reset."""
        while stream not in self._resets:
            if stream in self._complete:
                raise AssertionError(f"answered instead: {self._answers[stream]}")
            self.receive()
        return self._resets[stream]

    def is_alive(self):
        """Whether PING is answered."""
        try:
            self.send(PingFrame(0, opaque_data=b"are you?"))
            while True:
                frame = self.receive()
                if isinstance(frame, PingFrame) and "ACK" in frame.flags:
                    return True
        except (ConnectionOver, ConnectionError):
            return False

    def receive(self):
        """The next frame, noted in what this client knows."""
        frame, body_length = Frame.parse_frame_header(memoryview(self._bytes(9)), strict=False)
        frame.parse_body(memoryview(self._bytes(body_length)))
        self._note(frame)
        return frame

    def _bytes(self, count):
        while len(self._buffer) < count:
            try:
                data = self.socket.recv(65536)
            except (ConnectionError, ssl.SSLError):
                data = b""
            except TimeoutError as error:
                raise AssertionError("nothing arrives") from error
            if not data:
                raise ConnectionOver(self.goaway)
            self._buffer += data
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    def _note(self, frame):
        if isinstance(frame, SettingsFrame) and "ACK" not in frame.flags:
            self.peer_settings.update(frame.settings)
            self.try_to_send(SettingsFrame(0, flags=["ACK"]).serialize())
        elif isinstance(frame, PingFrame) and "ACK" not in frame.flags:
            answer = PingFrame(0, opaque_data=frame.opaque_data, flags=["ACK"])
            self.try_to_send(answer.serialize())
        elif isinstance(frame, GoAwayFrame):
            self.goaway = frame.error_code
        elif isinstance(frame, RstStreamFrame):
            self._resets[frame.stream_id] = frame.error_code
        elif isinstance(frame, HeadersFrame):
            self._note_head(frame, self.decoder.decode(frame.data))
        elif isinstance(frame, DataFrame):
            self._answers[frame.stream_id].body += frame.data
            if frame.data:
                self.try_to_send(b"".join(
                    WindowUpdateFrame(stream, window_increment=frame.flow_controlled_length)
                    .serialize() for stream in (0, frame.stream_id)))
        if "END_STREAM" in frame.flags and frame.stream_id:
            self._complete.add(frame.stream_id)

    def _note_head(self, frame, fields):
        answer = self._answers.setdefault(frame.stream_id, Answer())
        if answer.fields:
            answer.trailers = fields
        elif dict(fields)[":status"].startswith("1"):
            answer.interim.append(fields)
        else:
            answer.fields = fields


def _octets(text):
    return text if isinstance(text, bytes) else text.encode("latin-1")


def _length(count):
    """An integer with a prefix of seven bits (RFC 7541 §5.1)."""
    if count < 127:
        return bytes([count])
    result, count = bytearray([127]), count - 127
    while count >= 128:
        result.append(count & 127 | 128)
        count >>= 7
    result.append(count)
    return bytes(result)


def literal(name, value, first=0x00):
    """A literal field without Huffman coding; `first` 0x40 also puts it into the table."""
    name, value = _octets(name), _octets(value)
    return bytes([first]) + _length(len(name)) + name + _length(len(value)) + value


def frame(kind, payload=b"", stream=0, flags=0, length=None):
    """Any frame, right or wrong."""
    length = len(payload) if length is None else length
    return (length.to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big")
            + payload)
