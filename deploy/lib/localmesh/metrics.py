"""Reads the Prometheus text format."""

import re

_LABEL = re.compile(r'([A-Za-z_][A-Za-z0-9_]*)="((?:[^"\\]|\\.)*)"')
_SAMPLE = re.compile(r"^([A-Za-z_:][A-Za-z0-9_:]*)(?:\{(.*)\})? (\S+)$")


class Metrics:
    """One scrape."""

    def __init__(self, text):
        self.text = text
        self.samples = []
        for line in text.splitlines():
            if not line or line.startswith("#"):
                continue
            match = _SAMPLE.match(line)
            if not match:
                raise ValueError(f"not a Prometheus sample: {line!r}")
            labels = {name: value.replace('\\"', '"').replace("\\n", "\n").replace("\\\\", "\\")
                      for name, value in _LABEL.findall(match.group(2) or "")}
            self.samples.append((match.group(1), labels, float(match.group(3))))

    def matching(self, name, **labels):
        """[(labels, value)] of the samples of `name` that carry these labels."""
        return [
            (have, value) for sample, have, value in self.samples
            if sample == name and all(have.get(key) == want for key, want in labels.items())]

    def sum(self, name, **labels):
        return sum(value for _, value in self.matching(name, **labels))

    def buckets(self, name, **labels):
        """Cumulative {upper bound: count} of a histogram, added over its series."""
        total = {}
        for have, value in self.matching(name + "_bucket", **labels):
            bound = float(have["le"])
            total[bound] = total.get(bound, 0.0) + value
        return total


def quantile(share, buckets, earlier=None):
    """The quantile within cumulative buckets, less those of an earlier scrape; None when empty.

    Linear inside a bucket, as Prometheus' histogram_quantile.
    """
    earlier = earlier or {}
    counts = [(bound, buckets[bound] - earlier.get(bound, 0.0)) for bound in sorted(buckets)]
    if not counts or counts[-1][1] <= 0:
        return None
    rank, low, below = share * counts[-1][1], 0.0, 0.0
    for bound, count in counts:
        if count >= rank:
            if bound == float("inf"):
                return low
            inside = count - below
            return low + (bound - low) * ((rank - below) / inside if inside else 1.0)
        low, below = bound, count
    return low
