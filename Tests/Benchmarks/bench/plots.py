"""The pictures of a run, as SVG written by hand: no library is needed to rerun the benchmark."""

from __future__ import annotations

import math
import pathlib
from xml.sax.saxutils import escape

from . import figures
from .figures import FLOOR, Figures
from .path import DIRECT
from .scenarios import SCENARIOS

_COLOURS = {"nginx": "#2f9e6e", "haproxy": "#3b78c3", "nghttpx": "#8a63b8", "envoy": "#b0498f",
            FLOOR: "#b5b5b5", DIRECT: "#8c8c8c"}
_OURS = "#e2571e"
_INK, _FAINT = "#24292f", "#d8dee4"
_WIDTH = 960


class _Drawing:
    """SVG elements in order; coordinates in pixels from the top left."""

    def __init__(self, width: float, height: float, title: str):
        self._parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
            f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="sans-serif" font-size="12">',
            f"<title>{escape(title)}</title>",
            f'<rect width="{width:.0f}" height="{height:.0f}" fill="#ffffff"/>']

    def text(self, x, y, words, anchor="start", size=12, colour=_INK, bold=False):
        weight = ' font-weight="bold"' if bold else ""
        self._parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" '
            f'fill="{colour}"{weight}>{escape(str(words))}</text>')

    def box(self, x, y, width, height, colour):
        self._parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0.5):.1f}" '
                           f'height="{height:.1f}" fill="{colour}" rx="2"/>')

    def line(self, points, colour, width=1.0, dashes=""):
        where = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
        self._parts.append(f'<polyline points="{where}" fill="none" stroke="{colour}" '
                           f'stroke-width="{width}" stroke-linejoin="round"{dashed}/>')

    def finish(self) -> str:
        return "\n".join(self._parts + ["</svg>", ""])


def write(run: dict, subject: str, directory: pathlib.Path) -> dict[str, str]:
    """Writes the pictures; title by file name."""
    found = Figures(run["samples"])
    pictures = {
        "cpu.svg": ("CPU per request", _bars(found, subject, "saturated", "Always 32 requests in flight (4 in S5)")),
        "cpu-at-rate.svg": ("CPU per request at 1,000 requests a second",
                            _bars(found, subject, "rate", "1,000 requests a second")),
        "latency.svg": ("Latency percentiles at 1,000 requests a second",
                        _curves(found, subject)),
    }
    for name, (_, drawn) in pictures.items():
        if drawn:
            (directory / name).write_text(drawn)
    return {name: title for name, (title, drawn) in pictures.items() if drawn}


def _colour(name: str, subject: str) -> str:
    return _OURS if name == subject else _COLOURS.get(name, "#777777")


def _bars(found: Figures, subject: str, kind: str, condition: str) -> str:
    """A panel per scenario, two in a row; bars by proxy, the cheapest first."""
    panels = []
    for scenario in SCENARIOS.values():
        names = found.proxies(scenario.name, kind)
        if names:
            values = sorted((found.median(scenario.name, kind, n, figures.cpu), n) for n in names)
            panels.append((scenario, values))
    if not panels:
        return ""
    bar, pitch, top, gap = 15, 20, 58, 44
    columns = 2
    rows = [panels[i:i + columns] for i in range(0, len(panels), columns)]
    heights = [34 + pitch * max(len(values) for _, values in row) for row in rows]
    d = _Drawing(_WIDTH, top + sum(heights) + 10, "CPU per request")
    d.text(20, 24, "CPU per request, microseconds: all proxies on the path", size=16, bold=True)
    d.text(20, 43, f"Less is better. {condition}; medians of slices. "
                   "relay carries bytes unread and unencrypted: the floor.", colour="#57606a")
    width = (_WIDTH - 20) / columns
    y = top
    for row, height in zip(rows, heights):
        for column, (scenario, values) in enumerate(row):
            x = 20 + column * width
            d.text(x, y + 14, f"{scenario.name}  {scenario.title.split(':')[0]}", bold=True)
            room = width - 86 - gap - 24
            scale = room / max(value for value, _ in values)
            for index, (value, name) in enumerate(values):
                at = y + 24 + index * pitch
                d.text(x + 78, at + 12, name, anchor="end", bold=name == subject)
                d.box(x + 84, at, value * scale, bar, _colour(name, subject))
                d.text(x + 90 + value * scale, at + 12, f"{value:,.1f}" if value < 1000
                       else f"{value:,.0f}", bold=name == subject)
        y += height
    return d.finish()


_FRACTIONS = [0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.975, 0.99, 0.995,
              0.9975, 0.999]
_TICKS = [(0.5, "50"), (0.9, "90"), (0.99, "99"), (0.999, "99.9")]


def _place(fraction: float) -> float:
    """Percentiles by the nines they have: 0 at p0, 1 at p90, 2 at p99, 3 at p99.9."""
    return -math.log10(1 - fraction)


def _curve(found: Figures, scenario: str, name: str) -> list[tuple[float, float]]:
    """Each percentile's median over the slices, so that one disturbed slice bends no curve."""
    return [(f, found.median(scenario, "rate", name, figures.latency(f)) or 0) for f in _FRACTIONS]


def _curves(found: Figures, subject: str) -> str:
    panels = []
    for scenario in SCENARIOS.values():
        names = found.proxies(scenario.name, "rate", with_direct=True)
        if names:
            panels.append((scenario, {n: _curve(found, scenario.name, n) for n in names}))
    if not panels:
        return ""
    columns, height, top = 2, 250, 62
    d = _Drawing(_WIDTH, top + height * math.ceil(len(panels) / columns) + 40, "Latency")
    d.text(20, 24, "Latency at 1,000 requests a second, by percentile", size=16, bold=True)
    d.text(20, 43, "Microseconds from when a request was due to the end of its answer; logarithmic. "
                   "direct is the backend without a proxy.", colour="#57606a")
    for index, (scenario, curves) in enumerate(panels):
        x = 20 + (index % columns) * (_WIDTH - 20) / columns
        _curve_panel(d, x, top + height * (index // columns), (_WIDTH - 20) / columns - 20,
                     height - 20, scenario, curves, subject)
    names = sorted({n for _, curves in panels for n in curves}, key=lambda n: n != subject)
    x, y = 20, top + height * math.ceil(len(panels) / columns) + 14
    for name in names:
        d.line([(x, y), (x + 22, y)], _colour(name, subject), 3 if name == subject else 1.8,
               "4 3" if name in (DIRECT, FLOOR) else "")
        d.text(x + 28, y + 4, name, bold=name == subject)
        x += 52 + 7.2 * len(name)
    return d.finish()


def _curve_panel(d: _Drawing, x, y, width, height, scenario, values, subject):
    everything = [v for points in values.values() for _, v in points]
    low, high = math.log10(min(everything)), math.log10(max(everything))
    left, bottom = x + 46, y + height - 20
    across = lambda f: left + _place(f) / _place(_FRACTIONS[-1]) * (width - 50)  # noqa: E731
    up = lambda v: bottom - (math.log10(v) - low) / (high - low) * (height - 50)  # noqa: E731
    d.text(x, y + 12, f"{scenario.name}  {scenario.title.split(':')[0]}", bold=True)
    for decade in range(1, 8):
        for step in (1, 2, 5):
            v = step * 10 ** decade
            if low <= math.log10(v) <= high:
                d.line([(left, up(v)), (x + width, up(v))], _FAINT)
                d.text(left - 6, up(v) + 4, f"{v:,}", anchor="end", size=10, colour="#57606a")
    for fraction, label in _TICKS:
        d.line([(across(fraction), y + 24), (across(fraction), bottom)], _FAINT)
        d.text(across(fraction), bottom + 14, f"p{label}", anchor="middle", size=10,
               colour="#57606a")
    for name in sorted(values, key=lambda n: n == subject):
        d.line([(across(f), up(v)) for f, v in values[name]], _colour(name, subject),
               2.6 if name == subject else 1.4, "4 3" if name in (DIRECT, FLOOR) else "")
