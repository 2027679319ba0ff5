"""nghttpx (Debian package nghttp2-proxy): every scenario."""

from __future__ import annotations

from ..certificates import CIPHER_SUITE
from .proxy import ALL, Proxy, Seat, find_program, first_line


class Nghttpx(Proxy):
    name = "nghttpx"
    scenarios = ALL

    def version(self) -> str:
        program = find_program("nghttpx", "nghttp2-proxy")
        return first_line(program, "--version").replace("nghttp2/", "")

    def command(self, seat: Seat) -> list[str]:
        listens_with_tls = seat.listen.endswith("tls")
        calls_with_tls = seat.upstream.endswith("tls")
        frontend = f"127.0.0.1,{seat.listen_port}" + ("" if listens_with_tls else ";no-tls")
        backend = f"127.0.0.1,{seat.upstream_port};"
        backend += f";tls;sni={seat.peer.name}" if calls_with_tls else ""
        backend += ";proto=h2" if seat.upstream.startswith("h2") else ""
        argv = [
            find_program("nghttpx", "nghttp2-proxy"), "--conf=/dev/null", "--workers=1",
            "--log-level=ERROR", "--errorlog-file=/dev/stderr", "--no-ocsp", "--backlog=4096",
            f"--frontend={frontend}", f"--backend={backend}",
            "--frontend-read-timeout=1h", "--frontend-http2-read-timeout=1h",
            "--frontend-keep-alive-timeout=1h", "--backend-keep-alive-timeout=1h",
            "--frontend-http2-max-concurrent-streams=1000",
            "--frontend-http2-window-size=1M", "--frontend-http2-connection-window-size=16M",
            "--backend-http2-window-size=1M",
            "--tls-min-proto-version=TLSv1.3", f"--tls13-ciphers={CIPHER_SUITE}",
            f"--tls13-client-ciphers={CIPHER_SUITE}",
        ]
        if listens_with_tls:
            argv += ["--verify-client", f"--verify-client-cacert={seat.own.issuer}"]
        if calls_with_tls:
            argv += [f"--cacert={seat.own.issuer}", f"--client-cert-file={seat.own.certificate}",
                     f"--client-private-key-file={seat.own.key}"]
        if listens_with_tls:
            argv += [str(seat.own.key), str(seat.own.certificate)]
        return argv
