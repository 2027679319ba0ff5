"""What the project promises, and whether a run keeps it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from . import figures
from .figures import Figures, Ratio, Value

BEST = "the best peer"


@dataclass(frozen=True)
class Goal:
    """A ratio of ours to a rival's that may not exceed `most`.

    With `beyond_noise` a ratio counts as kept where the middle half of the turns reaches down to it.
    """

    scenario: str
    what: str
    kind: str
    value: Value
    against: str
    most: float
    other_kind: Optional[str] = None
    beyond_noise: bool = False

    def ratio(self, found: Figures, subject: str) -> Optional[Ratio]:
        if self.against == BEST:
            return found.against_best(self.scenario, self.kind, subject, self.value)
        return found.ratio(self.scenario, self.kind, subject, self.against, self.value,
                           self.other_kind)

    def is_met(self, ratio: Ratio) -> bool:
        return round(ratio.low if self.beyond_noise else ratio.median, 2) <= self.most

    def verdict(self, ratio: Ratio) -> str:
        if not self.is_met(ratio):
            return "**missed**"
        return "met" if round(ratio.median, 2) <= self.most else "within noise"


def _load(scenario: str, best: float, envoy: float, at_rate: float, envoy_word: str = "envoy"):
    cost = "CPU per request"
    yield Goal(scenario, cost, "saturated", figures.cpu, BEST, best)
    yield Goal(scenario, cost, "saturated", figures.cpu, envoy_word, envoy)
    yield Goal(scenario, f"{cost} at 1,000/s", "rate", figures.cpu, BEST, at_rate)
    yield Goal(scenario, "p99 at 1,000/s", "rate", figures.latency(0.99), BEST, 1.0,
               beyond_noise=True)
    yield Goal(scenario, "p99 of one connection", "single", figures.latency(0.99), BEST, 1.0,
               beyond_noise=True)


def _bulk(scenario: str):
    for against in (BEST, "envoy"):
        yield Goal(scenario, "CPU per MiB", "saturated", figures.cpu, against, 1.0)


def _idle(scenario: str, best: float):
    for against, most in ((BEST, best), ("envoy", 0.60)):
        yield Goal(scenario, "memory per idle connection", "idle", figures.per_connection,
                   against, most)


GOALS: tuple[Goal, ...] = (
    *_load("S1", 0.90, 0.40, 0.95),
    Goal("S1", "CPU per request", "saturated", figures.cpu, "relay", 1.15),
    *_load("S2", 0.80, 0.35, 0.90),
    *_load("S3", 0.80, 0.35, 0.90),
    *_load("S4", 0.90, 0.30, 0.90),
    *_bulk("S5h1"),
    *_bulk("S5h2"),
    *_idle("S6h1", 0.66),
    *_idle("S6h2", 0.75),
    Goal("S6h1", "resident with 10 connections", "idle", figures.resident(10), BEST, 0.60),
    Goal("S6h1", "resident with 10 connections", "idle", figures.resident(10), "envoy", 0.20),
    Goal("S8", "p99 beside a huge answer", "beside", figures.latency(0.99), BEST, 1.0,
         beyond_noise=True),
    Goal("S7", "CPU per full handshake", "full", figures.cpu, "nginx", 1.0),
    Goal("S7", "CPU per resumed handshake, against a full one", "resumed", figures.cpu, "nginx", 0.5,
         other_kind="full"),
)
# KiB per idle connection, whatever the peers need.
KIB_PER_CONNECTION_MAX = {"S6h1": 16.0, "S6h2": 18.0}
