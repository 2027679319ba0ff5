"""Our own proxy, configured by a file as the controller would configure it over the stream."""

from __future__ import annotations

import json
import os
import pathlib

from .proxy import ALL, Absent, Proxy, Seat, first_line

_ROOT = pathlib.Path(__file__).resolve().parents[4]
_LIMITS = {"connections": 100_000, "pendingRequests": 100_000, "requests": 100_000}
# What every policy is that can be switched off, and what the others are when they decide least.
_NO_POLICIES = {
    "mesh": {"loadShedding": "none"},
    "route": {"retry": {"attempts": 0}},
    "cluster": {"balancing": {"algorithm": "leastRequest", "locality": "none"},
                "outlierDetection": "none", "retryBudget": "none"},
}


def binary() -> str:
    return os.environ.get("MESH_PROXY") or str(_ROOT / ".build/data-plane/release/mesh-proxy")


class MeshProxy(Proxy):
    """Metrics, trace fields, identities and policies are on, as in a default mesh."""

    name = "mesh-proxy"
    scenarios = ALL
    ready_line = '"message":"ready"'

    def __init__(self, has_policies: bool = True):
        self._has_policies = has_policies

    def version(self) -> str:
        if not os.access(binary(), os.X_OK):
            raise Absent(f"{binary()} is not built: run deploy/build-proxy")
        return first_line(binary(), "version")

    def command(self, seat: Seat) -> list[str]:
        file = seat.directory / "mesh-proxy.json"
        file.write_text(json.dumps(configuration(seat, self._has_policies), indent=1))
        return [binary(), "run", "--config", str(file)]


def configuration(seat: Seat, has_policies: bool = True) -> dict:
    """The proxy's configuration for a seat: with the defaults of all policies, or without any."""
    # All of 127.0.0.0/8 is this machine: a peer may know several addresses of it.
    listen = {"address": "0.0.0.0" if seat.role == "inbound" else "127.0.0.1",
              "port": seat.listen_port}
    upstream = {"address": "127.0.0.1", "port": seat.upstream_port}
    none = {} if has_policies else _NO_POLICIES
    mesh = {
        "trustDomain": seat.own.uri.split("/")[2],
        "workload": seat.own.uri,
        "inbound": {"name": "backend", "limits": _LIMITS, "protocol": _protocol(seat.upstream)},
        "services": [],
        "clusters": [],
        **none.get("mesh", {}),
    }
    whole = {
        "workers": 1,
        "admin": {"address": "127.0.0.1", "port": 0},
        "accessLog": "off",
        "drain": {"gracePeriod": "1s", "propagation": "0s"},
        "limits": {"connectionIdle": "1h", "connectionsMax": 100_000},
        "mesh": mesh,
    }
    if seat.role != "plain":
        whole["identity"] = {
            "certificateFile": str(seat.own.certificate),
            "keyFile": str(seat.own.key),
            "trustBundleFile": str(seat.own.issuer),
        }
    if seat.role == "inbound":
        whole["inbound"] = {"listen": listen, "application": upstream}
        return whole
    whole["outbound"] = listen
    is_mutual = seat.upstream.endswith("tls")
    mesh["services"] = [{
        "name": "backend", "hosts": ["127.0.0.1", "localhost"], "port": seat.listen_port,
        "routes": [{"name": "backend", "backends": [{"cluster": "backend", "weight": 1}],
                    **none.get("route", {})}],
    }]
    mesh["clusters"] = [{
        "name": "backend", "limits": _LIMITS, "protocol": _protocol(seat.upstream),
        "endpoints": [{"address": {"address": address, "port": seat.upstream_port}}
                      for address in seat.upstream_addresses],
        "security": {"mutual": [seat.peer.uri]} if is_mutual else "plaintext",
        **none.get("cluster", {}),
    }]
    return whole


def _protocol(words: str) -> str:
    return "http2" if words.startswith("h2") else "http1"
