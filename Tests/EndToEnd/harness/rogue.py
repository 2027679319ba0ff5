"""A controller that misbehaves: it speaks the stream to a proxy and says what a test wants."""

import json
import socket
import ssl
import threading

from localmesh.waiting import eventually


def checksum(text):
    """FNV-1a over 64 bits, as the stream's snapshots carry it."""
    value = 0xCBF29CE484222325
    for byte in text.encode():
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


class RogueController:
    """Listens where the real one did, with whatever certificate it is given."""

    def __init__(self, port, certificate):
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.minimum_version = ssl.TLSVersion.TLSv1_3
        self._context.set_alpn_protocols(["mesh-control/1"])
        self._context.load_cert_chain(certificate.certificate, certificate.key)
        self._listener = socket.create_server(("127.0.0.1", port))
        self._connection = None
        #: Messages of proxies, in order.
        self.received = []
        #: Connections that ended before TLS was established.
        self.refused = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        if self._connection:
            self._connection.close()

    def message(self, kind):
        """The first message of this type, waiting for it."""
        return eventually(
            lambda: next((one for one in self.received if one["type"] == kind), None),
            f"a proxy sends {kind!r}")

    def send(self, **message):
        payload = json.dumps(message).encode()
        self._connection.sendall(len(payload).to_bytes(4, "big") + payload)

    def _serve(self):
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return  # closed
            try:
                self._connection = self._context.wrap_socket(plain, server_side=True)
                self._read(self._connection.makefile("rb"))
            except ValueError:
                return  # `close` took the connection from under us
            except OSError:
                self.refused += 1

    def _read(self, stream):
        while len(size := stream.read(4)) == 4:
            self.received.append(json.loads(stream.read(int.from_bytes(size, "big"))))
