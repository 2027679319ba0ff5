"""That every path works and that both sides of the mesh hop verify: else a figure means nothing."""

from __future__ import annotations

import argparse
import contextlib
import socket
import ssl
import threading
from typing import Iterable

from .certificates import CIPHER_SUITE
from .clients import secure
from .machine import Failed
from .path import Site
from .proxies import Proxy
from .proxies.relay import Relay
from .scenarios import Scenario

_REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def check_paths(site: Site, proxies: dict[str, Proxy], scenarios: Iterable[Scenario]) -> int:
    """Prints a line per path; the exit status."""
    wrong_count = 0
    for scenario in scenarios:
        for name, proxy in proxies.items():
            if scenario.name not in proxy.scenarios or isinstance(proxy, Relay):
                continue
            try:
                wrong = list(_wrong(site, proxy, scenario))
            except Failed as error:
                wrong = [str(error)]
            wrong_count += bool(wrong)
            print(f"{scenario.name:5} {name:10} {'; '.join(wrong) or 'ok'}", flush=True)
    return 1 if wrong_count else 0


def _wrong(site: Site, proxy: Proxy, scenario: Scenario):
    with site.path(proxy, scenario) as path:
        if scenario.kind not in ("idle", "handshakes") and scenario.caller == "h1":
            if not _is_answered(path.entry):
                yield "the path does not answer"
        if scenario.hop is None:
            return
        for who in ("caller", "", "stranger-caller"):
            is_served = _is_served(site, path.inbound_port, who, scenario.hop)
            if is_served != (who == "caller"):
                yield f"the inbound {'serves' if is_served else 'refuses'} {who or 'anonymous'}"
    if scenario.kind in ("idle", "handshakes") or scenario.caller != "h1":
        return
    with site.path(proxy, scenario, callee="stranger-callee") as path:
        if _is_answered(path.entry):
            yield "the outbound calls a stranger"
    if scenario.hop == "h1":
        offered = _offered(site, proxy, scenario)
        if offered != ("TLSv1.3", CIPHER_SUITE, site.identity("caller").uri):
            yield f"the outbound offers {offered}"


def _is_answered(port: int) -> bool:
    """A 200 comes for a request in plain HTTP/1.1."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 10) as s:
        s.sendall(_REQUEST)
        return s.recv(65536)[9:12] == b"200"
    return False


def _is_served(site: Site, port: int, who: str, protocol: str) -> bool:
    """Whether the inbound answers a request of this caller.

    In TLS 1.3 a caller is done before its certificate was judged, and some judge only the request.
    """
    given = argparse.Namespace(
        port=port, name=site.identity("callee").name, proto=protocol,
        issuer=site.identity("caller").issuer, certificate=None)
    if who:
        given.certificate, given.key = site.identity(who).certificate, site.identity(who).key
    with contextlib.suppress(OSError):
        with secure.connect(given, secure.context(given)) as connection:
            secure.ask(given, connection)
            return True
    return False


def _offered(site: Site, proxy: Proxy, scenario: Scenario) -> tuple:
    """Version, first cipher and identity that an outbound offers to a server."""
    callee, seen = site.identity("callee"), []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(callee.certificate, callee.key)
    context.load_verify_locations(callee.issuer)
    context.verify_mode = ssl.CERT_REQUIRED
    context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_alpn_protocols(["http/1.1"])

    def serve():
        try:
            with context.wrap_socket(listener.accept()[0], server_side=True) as s:
                names = s.getpeercert()["subjectAltName"]
                seen.extend((s.version(), s.cipher()[0], *(v for k, v in names if k == "URI")))
                s.recv(65536)
        except OSError as error:
            seen.append(str(error))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        thread = threading.Thread(target=serve)
        thread.start()
        with site.outbound_to(proxy, scenario, listener.getsockname()[1]) as path:
            _is_answered(path.entry)
            thread.join()
    return tuple(seen)
