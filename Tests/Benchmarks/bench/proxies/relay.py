"""The floor: bytes carried unread and unencrypted. Shown, and never a rival."""

from __future__ import annotations

from .proxy import Proxy, Seat


class Relay(Proxy):
    """Where the path has a mesh hop, two relays in a row without TLS."""

    name = "relay"
    scenarios = ("S1", "S2", "S5h1")

    def __init__(self, tools):
        self._tools = tools

    def version(self) -> str:
        self._tools.program("relay")
        return "bare relay, no TLS"

    def command(self, seat: Seat) -> list[str]:
        return [self._tools.program("relay"), str(seat.listen_port), str(seat.upstream_port)]
