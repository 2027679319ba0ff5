"""The tables of a run, in Markdown."""

from __future__ import annotations

from typing import Optional

from . import figures
from .figures import FLOOR, Figures
from .goals import GOALS, KIB_PER_CONNECTION_MAX
from .path import DIRECT
from .scenarios import SCENARIOS, Scenario

Row = list


def _table(head: list[str], rows: list[Row]) -> str:
    lines = [head, ["---"] + ["--:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def _number(value: Optional[float], digits: int = 0) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"


def _ratio(found: Figures, scenario: str, kind: str, subject: str, other: str,
           value: figures.Value) -> str:
    if other in (subject, DIRECT):
        return ""
    ratio = found.ratio(scenario, kind, subject, other, value)
    return str(ratio) if ratio else "–"


def _spread(found: Figures, scenario: str, kind: str, proxy: str) -> str:
    values = sorted(map(figures.cpu, found.samples(scenario, kind, proxy)))
    middle = values[len(values) // 2]
    half = values[(len(values) * 3) // 4] - values[len(values) // 4]
    return f"{half / middle * 100:.0f}" if middle else "–"


def _load_row(found: Figures, scenario: Scenario, subject: str, proxy: str) -> Row:
    name = scenario.name
    role = lambda r: found.median(name, "saturated", proxy, lambda s: s["cpu_us"].get(r))  # noqa: E731
    row: Row = [proxy]
    if proxy == DIRECT:
        row += ["–"] * (6 if scenario.hop else 4)
    else:
        if scenario.hop:
            row += [_number(role("outbound"), 1), _number(role("inbound"), 1)]
        row += [_number(found.median(name, "saturated", proxy, figures.cpu), 1),
                _number(found.least(name, "saturated", proxy, figures.cpu), 1),
                _spread(found, name, "saturated", proxy),
                _ratio(found, name, "saturated", subject, proxy, figures.cpu)]
    row += [_number(found.median(name, "saturated", proxy, lambda s: s["per_second"]))]
    if scenario.kind == "requests":
        row += ["–" if proxy == DIRECT else
                _number(found.median(name, "rate", proxy, figures.cpu), 1),
                _ratio(found, name, "rate", subject, proxy, figures.cpu)]
        row += [_number(found.median(name, "rate", proxy, figures.latency(f)))
                for f in (0.5, 0.99, 0.999)]
        row += [_ratio(found, name, "rate", subject, proxy, figures.latency(0.99))]
        row += [_number(found.median(name, "single", proxy, figures.latency(f))) for f in (0.5, 0.99)]
    peak = found.median(name, "peak", proxy, lambda s: sum(s["mib"].values()))
    hop = found.median(name, "saturated", proxy, lambda s: s["hop_connections"])
    row += [_number(peak, 1)]
    if scenario.hop:
        row += [_number(hop)]
    row += [_number(found.median(name, "saturated", proxy, lambda s: s["backend_us"]), 1),
            _number(found.median(name, "saturated", proxy, lambda s: s["other_percent"]))]
    return row


def _load_table(found: Figures, scenario: Scenario, subject: str) -> str:
    head = ["proxy"] + (["out µs", "in µs"] if scenario.hop else [])
    head += ["CPU µs", "least", "spread %", "ours/it", "req/s"]
    if scenario.kind == "requests":
        head += ["CPU µs at 1,000/s", "ours/it", "p50 µs", "p99", "p99.9", "p99 ours/it",
                 "alone p50", "p99"]
    head += ["peak MiB"] + (["hop conns"] if scenario.hop else []) + ["backend µs", "other %"]
    names = found.proxies(scenario.name, "saturated", with_direct=True)
    names.sort(key=lambda n: (n != DIRECT, found.median(scenario.name, "saturated", n, figures.cpu)))
    return _table(head, [_load_row(found, scenario, subject, n) for n in names])


def _idle_table(found: Figures, scenario: Scenario, subject: str) -> str:
    name = scenario.name
    names = found.proxies(name, "idle")
    if not names:
        return ""
    names.sort(key=lambda n: found.median(name, "idle", n, figures.per_connection) or 0)
    counts = sorted(int(k) for k in found.samples(name, "idle", names[0])[0]["rss_mib"])
    rows = []
    for proxy in names:
        rows.append([
            proxy, *[_number(found.median(name, "idle", proxy, figures.resident(c)), 1)
                     for c in counts],
            _number(found.median(name, "idle", proxy, lambda s: s["pss_mib"].get(
                "10", s["pss_mib"].get(10))), 1),
            _ratio(found, name, "idle", subject, proxy, figures.resident(10)),
            _number(found.median(name, "idle", proxy, figures.per_connection), 1),
            _ratio(found, name, "idle", subject, proxy, figures.per_connection),
            _number(found.median(name, "idle", proxy, lambda s: s["cpu_us_per_connection"]))])
    head = ["proxy", *[f"MiB at {c:,}" for c in counts], "PSS at 10", "ours/it at 10",
            "KiB per connection", "ours/it", "CPU µs per connection"]
    return _table(head, rows)


def _handshake_table(found: Figures, scenario: Scenario, subject: str) -> str:
    name, rows = scenario.name, []
    for proxy in found.proxies(name, "full"):
        row: Row = [proxy]
        for kind in ("full", "resumed"):
            row += [_number(found.median(name, kind, proxy, figures.cpu)),
                    _number(found.least(name, kind, proxy, figures.cpu)),
                    _ratio(found, name, kind, subject, proxy, figures.cpu)]
        rows.append(row)
    head = ["proxy", "full µs", "least", "ours/it", "resumed µs", "least", "ours/it"]
    return _table(head, rows)


def _beside_table(found: Figures, scenario: Scenario, subject: str) -> str:
    name, rows = scenario.name, []
    for proxy in found.proxies(name, "beside"):
        row: Row = [proxy]
        for kind in ("alone", "beside"):
            row += [_number(found.median(name, kind, proxy, figures.latency(f)))
                    for f in (0.5, 0.99)]
        rows.append(row + [
            _ratio(found, name, "beside", subject, proxy, figures.latency(0.99)),
            _number(found.median(name, "peak", proxy, lambda s: sum(s["mib"].values())), 1)])
    return _table(["proxy", "alone p50 µs", "p99", "beside p50", "p99", "p99 ours/it", "peak MiB"],
                  rows)


def goals_table(found: Figures, subject: str) -> str:
    """Every goal with what was measured; `not measured` where a side is missing."""
    rows: list[Row] = []
    for goal in GOALS:
        ratio = goal.ratio(found, subject)
        if ratio is None:
            rows.append([goal.scenario, goal.what, goal.against, f"≤ {goal.most:.2f}",
                         "not measured", ""])
            continue
        against = ratio.other if ratio.other == goal.against else f"{goal.against}: {ratio.other}"
        rows.append([goal.scenario, goal.what, against, f"≤ {goal.most:.2f}", str(ratio),
                     goal.verdict(ratio)])
    for scenario, most in KIB_PER_CONNECTION_MAX.items():
        value = found.median(scenario, "idle", subject, figures.per_connection)
        rows.append([scenario, "KiB per idle connection", "–", f"≤ {most:.0f}",
                     "not measured" if value is None else f"{value:.1f}",
                     "" if value is None else "met" if value <= most else "**missed**"])
    return _table(["scenario", "what", "against", "goal", "measured", ""], rows)


def markdown(run: dict, subject: str) -> str:
    """The whole report of a run's JSON."""
    found = Figures(run["samples"])
    about, machine = run["about"], run["machine"]
    parts = [
        f"# Side by side, {about['date']}",
        f"Commit `{about['commit']}`; {machine['cpus']} × {machine['cpu']}"
        f"{' (virtual)' if machine['virtual'] else ''}, kernel {machine['kernel']}, "
        f"{machine['memoryMiB'] // 1024} GiB. `{about['command']}`, {about['minutes']} minutes.",
        "\n".join(f"- {name}: {version}" for name, version in run["proxies"].items()),
        "Ratios are ours over the other's in the same turn: the median, and the middle half in "
        "brackets. The README beside says what each column means.",
        "## Goals", goals_table(found, subject),
    ]
    tables = {"requests": _load_table, "bulk": _load_table, "idle": _idle_table,
              "handshakes": _handshake_table, "beside": _beside_table}
    for scenario in SCENARIOS.values():
        if any(s["scenario"] == scenario.name for s in run["samples"]):
            parts += [f"## {scenario.name}: {scenario.title}",
                      tables[scenario.kind](found, scenario, subject)]
    if run["failures"]:
        parts += ["## What failed", "\n".join(
            f"- {f['scenario']} {f['proxy']}, round {f['round'] + 1}: {f['error']}"
            for f in run["failures"])]
    return "\n\n".join(parts) + "\n"


__all__ = ["markdown", "goals_table", "FLOOR"]
