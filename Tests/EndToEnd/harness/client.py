"""A client that sends exactly the bytes it is given."""

import socket
import ssl
import struct

from .http1 import MessageReader


class RawClient:
    """One connection; as TLS when a context is given."""

    def __init__(self, port, tls=None, timeout=10.0, receive_buffer=None):
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
        self.reader = MessageReader(self.socket)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)
        return self

    def response(self, method="GET"):
        return self.reader.response(method)

    def exchange(self, data, method=None):
        """Sends a request, reads its response."""
        self.send(data)
        return self.response(method or data.split(b" ", 1)[0].decode("latin-1"))

    def get(self, host, path="/", *fields):
        return self.exchange(request("GET", host, path, *fields))

    def is_closed(self):
        """Waits until the other side closes; false when it sends something instead."""
        return self.reader.is_at_end()

    def reset(self):
        """Closes so that the other side sees RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


def request(method, host, path="/", *fields, body=None):
    """The bytes of a request; `fields` are whole lines."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *fields]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body or b"")


def tls_context(trust_bundle, certificate=None, key=None, protocols=("http/1.1",)):
    """A client's TLS 1.3 context that checks the chain, not a host name (SPIFFE has none)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.set_alpn_protocols(list(protocols))
    context.load_verify_locations(trust_bundle)
    if certificate:
        context.load_cert_chain(certificate, key)
    return context
