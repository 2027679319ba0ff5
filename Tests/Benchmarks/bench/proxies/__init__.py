"""How each proxy is run. One file per proxy; `known()` finds what is here."""

from __future__ import annotations

from .envoy import Envoy
from .haproxy import HAProxy
from .mesh_proxy import MeshProxy
from .nghttpx import Nghttpx
from .nginx import Nginx
from .proxy import Absent, Proxy, Seat
from .relay import Relay

__all__ = ["Absent", "Proxy", "Seat", "MeshProxy", "Relay", "known"]


def known(tools) -> "dict[str, Proxy]":
    """All proxies by name, ours first."""
    proxies = (MeshProxy(), Nginx(), HAProxy(), Nghttpx(), Envoy(), Relay(tools))
    return {proxy.name: proxy for proxy in proxies}
