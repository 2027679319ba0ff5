"""Callers of the inbound over mutual TLS: what the idle and handshake clients share."""

import argparse
import os
import socket
import ssl
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
# In HPACK's static table. Before it may stand a change of the table's size: to 0 here.
STATUS_200 = b"\x88"
DATA, HEADERS, RST_STREAM, SETTINGS, GOAWAY = 0, 1, 3, 4, 7
# Local addresses, each with its own range of ports: 127.0.0.2 and on.
CONNECTIONS_PER_ADDRESS = 20000


def arguments(description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--name", required=True, help="DNS name in the server's certificate")
    parser.add_argument("--certificate", required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--issuer", required=True)
    parser.add_argument("--proto", choices=("h1", "h2"), default="h1")
    return parser


def context(given):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    made.load_verify_locations(given.issuer)
    if given.certificate:
        made.load_cert_chain(given.certificate, given.key)
    made.set_alpn_protocols(["h2" if given.proto == "h2" else "http/1.1"])
    return made


def connect(given, tls, index=0, session=None):
    source = ("127.0.0.%d" % (2 + index // CONNECTIONS_PER_ADDRESS), 0)
    raw = socket.socket()
    # The port is chosen by connect(), which may use one for several destinations.
    raw.setsockopt(socket.IPPROTO_IP, getattr(socket, "IP_BIND_ADDRESS_NO_PORT", 24), 1)
    raw.bind(source)
    raw.settimeout(15)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    raw.connect(("127.0.0.1", given.port))
    return tls.wrap_socket(raw, server_hostname=given.name, session=session)


def _receive(connection):
    data = connection.recv(65536)
    if not data:
        raise ConnectionError("the proxy closed a connection")
    return data


def ask_h1(connection):
    connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    data = b""
    while b"\r\n\r\n" not in data:
        data += _receive(connection)
    head, body = data.split(b"\r\n\r\n", 1)
    if head[9:12] != b"200":
        raise ConnectionError("answered %r" % head[:60])
    length = int(head.lower().split(b"\r\ncontent-length:", 1)[1].split(b"\r\n", 1)[0])
    while len(body) < length:
        body += _receive(connection)


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def ask_h2(connection):
    """The first request of a connection, until it is answered and our settings are acknowledged."""
    head = b"\x82\x86\x84\x01\x09localhost"  # GET, http, "/", :authority
    connection.sendall(PREFACE + frame(SETTINGS, 0, 0) + frame(HEADERS, 5, 1, head))
    data, is_acknowledged, has_ended = b"", False, False
    while not (is_acknowledged and has_ended):
        data += _receive(connection)
        while len(data) >= 9 and len(data) >= 9 + int.from_bytes(data[:3], "big"):
            length, kind, flags = int.from_bytes(data[:3], "big"), data[3], data[4]
            payload, data = data[9:9 + length], data[9 + length:]
            if kind in (RST_STREAM, GOAWAY):
                raise ConnectionError("reset" if kind == RST_STREAM else "GOAWAY")
            is_head = kind == HEADERS and not flags & 1  # with END_STREAM these are trailers
            if is_head and payload.lstrip(b"\x20")[:1] != STATUS_200:
                raise ConnectionError("answered %r" % payload[:16])
            if kind == SETTINGS and flags & 1:
                is_acknowledged = True
            elif kind == SETTINGS:
                connection.sendall(frame(SETTINGS, 1, 0))
            elif kind in (DATA, HEADERS) and flags & 1:
                has_ended = True


def ask(given, connection):
    (ask_h2 if given.proto == "h2" else ask_h1)(connection)


def end(code):
    """Without closing one by one what the kernel closes at once."""
    os._exit(code)
