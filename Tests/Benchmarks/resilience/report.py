"""The results of all rounds side by side, and the rows in which ours is worse."""

import statistics

#: A figure, how it is named, how it is written, and what counts as equal: so much more, and this share.
#: Latencies are those of a shared machine; a second is what polling and chance make of an ejection.
_FIGURES = (
    ("failed", "failed", "{:.0f}", 2, 0.05),
    ("failed_later", "failed later", "{:.0f}", 1, 0.05),
    ("upstream", "sent for each received", "{:.2f}", 0.02, 0),
    ("p50_ms", "p50 ms", "{:.1f}", 2, 0.1),
    ("p99_ms", "p99 ms", "{:.0f}", 10, 0.1),
    ("p99_after_ms", "p99 after ms", "{:.0f}", 10, 0.1),
    ("out_seconds", "out s", "{:.2f}", 0.3, 0),
    ("back_seconds", "back s", "{:.1f}", 1.0, 0.1),
    ("recovered_seconds", "last failure after s", "{:.1f}", 0.5, 0),
    ("herd", "herd", "{:.2f}", 0.3, 0),
)
_NEVER = "never"


def median(rounds, figure):
    """The median of a figure over the rounds; None where a round has none."""
    values = [each[figure] for each in rounds]
    return None if None in values else statistics.median(values)


def is_worse(ours, other, figure):
    """Whether ours is clearly more than the other; `never` is more than any number."""
    if ours is None or other is None:
        return ours is None and other is not None
    slack, share = next(f[3:] for f in _FIGURES if f[0] == figure)
    return ours > other * (1 + share) + slack


def rows(samples, subject):
    """[(scenario, proxy, {figure: median}, figures in which the subject is worse)]"""
    found = []
    for scenario, by_proxy in samples.items():
        medians = {proxy: {f[0]: median(rounds, f[0]) for f in _FIGURES}
                   for proxy, rounds in by_proxy.items()}
        others = [values for proxy, values in medians.items() if proxy != subject]
        for proxy, values in medians.items():
            worse = [f[0] for f in _FIGURES if proxy == subject and any(
                is_worse(values[f[0]], other[f[0]], f[0]) for other in others
                # Who never let go of an endpoint need not come back to it.
                if f[0] != "back_seconds" or other["out_seconds"] is not None)]
            found.append((scenario, proxy, values, worse))
    return found


def markdown(samples, subject, about):
    """The whole page."""
    lines = ["# Failing endpoints, side by side", "", *(f"- {line}" for line in about), "",
             "| scenario | proxy | " + " | ".join(f[1] for f in _FIGURES) + " |",
             "| --- | --- |" + " --: |" * len(_FIGURES)]
    last, worse_rows = None, []
    for scenario, proxy, values, worse in rows(samples, subject):
        is_one = scenario.startswith("one of three")
        cells = []
        for figure, _, form, *_ in _FIGURES:
            value = values[figure]
            if value is None and figure not in ("out_seconds", "back_seconds") or (
                    figure in ("out_seconds", "back_seconds", "herd") and not is_one):
                text = ""
            else:
                text = _NEVER if value is None else form.format(value)
            cells.append(f"**{text}**" if figure in worse else text)
        lines.append(f"| {'' if scenario == last else scenario} | {proxy} | "
                     + " | ".join(cells) + " |")
        if worse:
            worse_rows.append(f"- {scenario}: {', '.join(worse)}")
        last = scenario
    lines += ["", f"Rows in which {subject} is worse beyond noise (bold above):"
              if worse_rows else f"In no row is {subject} worse beyond noise.", *worse_rows, ""]
    return "\n".join(lines)
