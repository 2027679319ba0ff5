"""What a proxy must be able to do to take part."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
from dataclasses import dataclass

from ..certificates import Identity


class Absent(Exception):
    """The proxy cannot run here, and why."""


@dataclass(frozen=True)
class Seat:
    """Where one proxy sits: `role` is `plain`, `outbound` or `inbound`.

    `listen` and `upstream` are `h1`, `h2` (both plain, h2 with prior knowledge), `h1tls` or `h2tls`
    (mutual TLS, protocol by ALPN). `own` and `peer` are the identities of the two ends of that hop.
    Upstream is one address or several that lead to the same program.
    """

    role: str
    listen: str
    upstream: str
    listen_port: int
    upstream_port: int
    own: Identity
    peer: Identity
    directory: pathlib.Path
    connections_max: int
    upstream_addresses: tuple[str, ...] = ("127.0.0.1",)


class Proxy:
    """One worker, no access log, keep-alive without end, and otherwise what one would deploy."""

    name = ""
    scenarios: tuple[str, ...] = ()
    # What its log says when it serves, where taking connections is not yet that.
    ready_line = ""

    def version(self) -> str:
        """Raises `Absent` where the proxy cannot run."""
        raise NotImplementedError

    def command(self, seat: Seat) -> list[str]:
        """Writes the configuration; the program to run, which stays in the foreground."""
        raise NotImplementedError


ALL = ("S1", "S2", "S3", "S4", "S5h1", "S5h2", "S6h1", "S6h2", "S7", "S8")


def find_program(name: str, package: str) -> str:
    """The program from the environment (`NGINX=…`) or the usual directories."""
    given = os.environ.get(name.upper())
    places = os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin"
    found = given or shutil.which(name, path=places)
    if not found or not os.access(found, os.X_OK):
        raise Absent(f"no {name} (Debian package {package})")
    return found


def first_line(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    return (done.stdout + done.stderr).strip().split("\n")[0]


def user_name() -> str:
    return subprocess.run(["id", "-un"], capture_output=True, text=True).stdout.strip()
