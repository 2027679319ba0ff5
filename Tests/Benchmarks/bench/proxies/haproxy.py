"""HAProxy: every scenario."""

from __future__ import annotations

from ..certificates import CIPHER_SUITE
from .proxy import ALL, Proxy, Seat, find_program, first_line


class HAProxy(Proxy):
    name = "haproxy"
    scenarios = ALL

    def version(self) -> str:
        words = first_line(find_program("haproxy", "haproxy"), "-v").split()
        return f"HAProxy {words[2]}"

    def command(self, seat: Seat) -> list[str]:
        tls = (f"crt {seat.own.certificate_and_key} ca-file {seat.own.issuer} verify required "
               f"ssl-min-ver TLSv1.3 ciphersuites {CIPHER_SUITE}")
        bind = {"h1": "", "h2": "proto h2"}.get(seat.listen, f"ssl {tls} alpn h2,http/1.1")
        checked = f"ssl {tls} verifyhost {seat.peer.name} sni str({seat.peer.name})"
        server = {"h1": "", "h2": "proto h2", "h1tls": f"{checked} alpn http/1.1",
                  "h2tls": f"{checked} alpn h2 proto h2"}[seat.upstream]
        file = seat.directory / "haproxy.cfg"
        # Its count of connections has two ends each; it refuses to start when files are too few.
        file.write_text(f"""
global
    nbthread 1
    maxconn {seat.connections_max}
    no strict-limits
    tune.h2.initial-window-size 1048576
defaults
    mode http
    http-reuse always
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    timeout http-keep-alive 1h
frontend callers
    bind 127.0.0.1:{seat.listen_port} backlog 4096 {bind}
    default_backend backend
backend backend
    server one 127.0.0.1:{seat.upstream_port} {server}
""")
        return [find_program("haproxy", "haproxy"), "-db", "-f", str(file)]
