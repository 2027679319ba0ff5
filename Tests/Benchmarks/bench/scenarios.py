"""The work that is measured. The names are those of the project's goals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

SMALL_BODY = 1024
LARGE_BODY = 1 << 20
HUGE_BODY = 1 << 30
HUGE_PATH = "/huge"
CALL_PATH = "/bench.Echo/Call"
CALL_BODY = 128


@dataclass(frozen=True)
class Scenario:
    """A path and what goes along it.

    `kind` is `requests` (small answers), `bulk` (1 MiB each), `idle` (memory of open connections),
    `handshakes`, or `beside` (small answers while a huge one is on its way). `caller`, `hop` and `origin` are the protocols on the way: `h1` or `h2`; without a
    hop there is one proxy and no TLS. Kinds `idle` and `handshakes` speak to the inbound directly.
    """

    name: str
    title: str
    kind: str
    caller: str
    hop: Optional[str]
    origin: str

    @property
    def uses_http2(self) -> bool:
        return "h2" in (self.caller, self.hop, self.origin)

    @property
    def path(self) -> str:
        if self.kind == "bulk":
            return "/large"
        return CALL_PATH if self.origin == "h2" else "/"

    @property
    def is_call(self) -> bool:
        """gRPC-like: POST, and trailers in the answer."""
        return self.origin == "h2"


SCENARIOS = {s.name: s for s in (
    Scenario("S1", "one hop, plain: h1 → proxy → h1", "requests", "h1", None, "h1"),
    Scenario("S2", "two hops, mTLS h1: h1 → outbound → mTLS h1 → inbound → h1",
             "requests", "h1", "h1", "h1"),
    Scenario("S3", "two hops, mTLS h2: h1 → outbound → mTLS h2 → inbound → h1",
             "requests", "h1", "h2", "h1"),
    Scenario("S4", "gRPC-like: h2 POST → outbound → mTLS h2 → inbound → h2, trailers",
             "requests", "h2", "h2", "h2"),
    Scenario("S5h1", "answers of 1 MiB over the path of S2", "bulk", "h1", "h1", "h1"),
    Scenario("S5h2", "answers of 1 MiB over the path of S3", "bulk", "h1", "h2", "h1"),
    Scenario("S6h1", "idle mTLS h1 connections at the inbound", "idle", "h1", "h1", "h1"),
    Scenario("S6h2", "idle mTLS h2 connections at the inbound", "idle", "h2", "h2", "h1"),
    Scenario("S7", "TLS handshakes at the inbound, full and resumed",
             "handshakes", "h1", "h1", "h1"),
    Scenario("S8", "small answers beside one of 1 GiB on the multiplexed hop of S3",
             "beside", "h1", "h2", "h1"),
)}
GROUPS = {"S5": ("S5h1", "S5h2"), "S6": ("S6h1", "S6h2")}


def named(text: str) -> list[Scenario]:
    """The scenarios of a list like `S1,S5`."""
    names = [name for word in text.split(",") for name in GROUPS.get(word, (word,))]
    unknown = [name for name in names if name not in SCENARIOS]
    if unknown:
        raise ValueError(f"no scenario {unknown[0]}; there are {' '.join(SCENARIOS)}")
    return [SCENARIOS[name] for name in names]
