"""The way of a request: backends, and the proxies of a scenario between a caller and them."""

from __future__ import annotations

import contextlib
import itertools
import pathlib
from typing import Iterator, Optional

from .certificates import Identity, make_identities
from .machine import Failed, Ports, Server
from .proxies import Proxy, Seat
from .proxies.proxy import find_program, user_name
from .scenarios import CALL_PATH, HUGE_BODY, HUGE_PATH, LARGE_BODY, SMALL_BODY, Scenario

DIRECT = "direct"
# Of the backend in HTTP/1.1 and of inbound proxies, where an endpoint more is one of these.
ADDRESSES = ("127.0.0.1", "127.0.0.2", "127.0.0.3")


class Path:
    """The running proxies of one contender: servers by role, and where to call."""

    def __init__(self, entry: int, start_seconds_max: float = 15):
        self.entry, self.start_seconds_max = entry, start_seconds_max
        self.servers: dict[str, Server] = {}
        self.inbound_port: Optional[int] = None

    def cpu_seconds(self) -> dict[str, float]:
        return {role: server.cpu_seconds() for role, server in self.servers.items()}

    def peak_memory(self) -> dict[str, float]:
        return {role: round(server.memory()["peak"], 2) for role, server in self.servers.items()}

    def stop(self):
        for server in self.servers.values():
            server.stop()


class Site:
    """What all paths of a run share: identities and the two backends, one worker each."""

    def __init__(self, directory: pathlib.Path, connections_max: int):
        self._directory = directory
        self._connections_max = connections_max
        self._started = itertools.count(1)
        self.identities = make_identities(directory / "certificates")
        self._backends = {"h1": self._start_h1_backend(), "h2": self._start_h2_backend()}

    def backend(self, scenario: Scenario) -> Server:
        return self._backends[scenario.origin][0]

    def _start_h1_backend(self) -> tuple[Server, int]:
        d = self._directory / "backend-h1"
        d.mkdir()
        (d / "large").write_bytes(bytes(LARGE_BODY))
        with (d / HUGE_PATH.lstrip("/")).open("wb") as huge:
            huge.truncate(HUGE_BODY)  # a hole: it takes no room and no disk
        port = Ports.take()
        listen = "\n".join(f"        listen {address}:{port} backlog=4096;" for address in ADDRESSES)
        temporary = "\n".join(f"    {kind}_temp_path {d}/{kind};" for kind in
                              ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        (d / "nginx.conf").write_text(f"""
daemon off;
user {user_name()};
pid {d}/pid;
worker_processes 1;
error_log stderr crit;
events {{ worker_connections 8192; }}
http {{
{temporary}
    access_log off;
    sendfile on;
    open_file_cache max=8;
    keepalive_timeout 3600s;
    keepalive_requests 1000000000;
    server {{
{listen}
        default_type application/octet-stream;
        location / {{ return 200 "{'x' * SMALL_BODY}"; }}
        location = /large {{ root {d}; }}
        location = {HUGE_PATH} {{ root {d}; }}
    }}
}}
""")
        return self._start_backend("nginx as backend", port, [
            find_program("nginx", "nginx"), "-e", "stderr", "-p", str(d),
            "-c", str(d / "nginx.conf")], d)

    def _start_h2_backend(self) -> tuple[Server, int]:
        d = self._directory / "backend-h2"
        file = d / CALL_PATH.lstrip("/")
        file.parent.mkdir(parents=True)
        file.write_bytes(b"x" * SMALL_BODY)
        (d / "index.html").write_bytes(b"x" * SMALL_BODY)
        port = Ports.take()
        return self._start_backend("nghttpd as backend", port, [
            find_program("nghttpd", "nghttp2-server"), "--no-tls", "--address=127.0.0.1",
            "--workers=1", "--max-concurrent-streams=1000", f"--htdocs={d}",
            "--trailer=grpc-status: 0", str(port)], d)

    @staticmethod
    def _start_backend(name: str, port: int, argv: list[str], directory: pathlib.Path):
        server = Server(name, argv, directory / "log")
        server.wait_until_listening(port)
        return server, port

    @contextlib.contextmanager
    def path(self, proxy: Optional[Proxy], scenario: Scenario, callee: str = "callee",
             start_seconds_max: float = 15, endpoints: int = 1) -> Iterator[Path]:
        """The proxies of the scenario as fresh processes; without a proxy the backend itself.

        `endpoints`: addresses of the upstream that a plain or outbound proxy knows.
        """
        backend_port = self._backends[scenario.origin][1]
        made = Path(backend_port, start_seconds_max)
        try:
            if proxy is not None and scenario.hop is None:
                self._add(made, proxy, "plain", scenario.caller, scenario.origin, backend_port,
                          endpoints=endpoints)
            elif proxy is not None:
                hop = scenario.hop + "tls"
                self._add(made, proxy, "inbound", hop, scenario.origin, backend_port, callee)
                made.inbound_port = made.entry
                if scenario.kind not in ("idle", "handshakes"):
                    self._add(made, proxy, "outbound", scenario.caller, hop, made.entry,
                              endpoints=endpoints)
            yield made
        finally:
            made.stop()

    @contextlib.contextmanager
    def outbound_to(self, proxy: Proxy, scenario: Scenario, port: int) -> Iterator[Path]:
        """An outbound alone, whose callee is somebody else on that port."""
        made = Path(port)
        try:
            self._add(made, proxy, "outbound", scenario.caller, f"{scenario.hop}tls", port)
            yield made
        finally:
            made.stop()

    def _add(self, made: Path, proxy: Proxy, role: str, listen: str, upstream: str,
             upstream_port: int, callee: str = "callee", endpoints: int = 1):
        directory = self._directory / f"{next(self._started)}-{proxy.name}-{role}"
        directory.mkdir()
        own, peer = (callee, "caller") if role == "inbound" else ("caller", "callee")
        seat = Seat(role, listen, upstream, Ports.take(), upstream_port, self.identity(own),
                    self.identity(peer), directory, self._connections_max,
                    ADDRESSES[:endpoints])
        server = Server(f"{proxy.name} ({role})", proxy.command(seat), directory / "log")
        made.servers[role] = server
        server.wait_until_listening(seat.listen_port, proxy.ready_line, made.start_seconds_max)
        made.entry = seat.listen_port

    def identity(self, name: str) -> Identity:
        if name not in self.identities:
            raise Failed(f"no identity {name}")
        return self.identities[name]
