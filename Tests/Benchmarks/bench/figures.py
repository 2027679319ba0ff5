"""From samples to figures: medians, and ratios of what was measured in the same turn."""

from __future__ import annotations

import collections
import math
import statistics
from dataclasses import dataclass
from typing import Callable, Iterable, Optional

from .path import DIRECT

FLOOR = "relay"
Value = Callable[[dict], Optional[float]]


def cpu(sample: dict) -> float:
    """CPU per request of all proxies on the path."""
    return sum(sample["cpu_us"].values())


def percentile(buckets: dict[str, int], fraction: float) -> float:
    """Microseconds, to within the two percent of a bucket."""
    wanted = fraction * sum(buckets.values())
    seen = 0
    for bucket in sorted(map(int, buckets)):
        seen += buckets[str(bucket)]
        if seen >= wanted:
            return 1.02 ** bucket
    return math.nan


def latency(fraction: float) -> Value:
    return lambda sample: percentile(sample["buckets"], fraction)


def resident(count: int) -> Value:
    """MiB with so many connections."""
    return lambda sample: {int(k): v for k, v in sample["rss_mib"].items()}[count]


def per_connection(sample: dict) -> float:
    return sample["kib_per_connection"]


@dataclass(frozen=True)
class Ratio:
    """Of the subject to another proxy: the median over the turns, and the middle half."""

    other: str
    median: float
    low: float
    high: float
    turns: int

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f}–{self.high:.2f})"


class Figures:
    """The samples of a run, indexed."""

    def __init__(self, samples: Iterable[dict]):
        self._by_turn: dict = collections.defaultdict(dict)
        self._by_proxy: dict = collections.defaultdict(list)
        self._names: list[str] = []
        for sample in samples:
            key, name = (sample["scenario"], sample["kind"]), sample["proxy"]
            self._by_turn[(*key, name)][(sample["round"], sample.get("slice", 0))] = sample
            self._by_proxy[(*key, name)].append(sample)
            if name not in self._names:
                self._names.append(name)

    def proxies(self, scenario: str, kind: str, with_direct: bool = False) -> list[str]:
        return [n for n in self._names if (scenario, kind, n) in self._by_proxy
                and (with_direct or n != DIRECT)]

    def samples(self, scenario: str, kind: str, proxy: str) -> list[dict]:
        return self._by_proxy.get((scenario, kind, proxy), [])

    def median(self, scenario: str, kind: str, proxy: str, value: Value) -> Optional[float]:
        values = [v for v in map(value, self.samples(scenario, kind, proxy)) if v is not None]
        return statistics.median(values) if values else None

    def least(self, scenario: str, kind: str, proxy: str, value: Value) -> Optional[float]:
        """The cheapest slice: what disturbs a slice only adds."""
        return min(map(value, self.samples(scenario, kind, proxy)), default=None)

    def ratio(self, scenario: str, kind: str, subject: str, other: str, value: Value,
              other_kind: Optional[str] = None) -> Optional[Ratio]:
        """Subject over other, turn by turn; `other_kind` compares with another kind of slice."""
        mine = self._by_turn.get((scenario, kind, subject), {})
        theirs = self._by_turn.get((scenario, other_kind or kind, other), {})
        turns = sorted(value(mine[t]) / value(theirs[t]) for t in mine.keys() & theirs.keys()
                       if value(theirs[t]))
        if not turns:
            return None
        pick = lambda f: turns[min(len(turns) - 1, int(f * len(turns)))]  # noqa: E731
        return Ratio(other, statistics.median(turns), pick(0.25), pick(0.75), len(turns))

    def against_best(self, scenario: str, kind: str, subject: str, value: Value) -> Optional[Ratio]:
        """The ratio to the strongest rival, which is the one that makes it largest."""
        ratios = [self.ratio(scenario, kind, subject, other, value)
                  for other in self.proxies(scenario, kind) if other not in (subject, FLOOR)]
        return max(filter(None, ratios), key=lambda r: r.median, default=None)
