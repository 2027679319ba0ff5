"""The live view of the demo: redrawn in place on a terminal, plain lines elsewhere.

Fits 80 columns and 24 rows; events get the rows that are left.
"""

import datetime
import sys
import textwrap
import threading
import time

from localmesh.load import percentile
from observation import name_of

WIDTH, HEIGHT = 80, 24
BAR = 20
REDRAW = 0.5
#: Rate and latency of the client are over the last so many seconds.
RECENT = 5.0
#: Without a terminal, one line of state this often.
PLAIN_INTERVAL = 5.0
#: How long each of two pages that take turns is shown.
PAGE_SECONDS = 8
_CLEAR, _HOME, _ERASE_LINE, _ERASE_BELOW = "\x1b[2J", "\x1b[H", "\x1b[K", "\x1b[J"
_HIDE, _SHOW = "\x1b[?25l", "\x1b[?25h"
_BOLD, _DIM, _REVERSE, _PLAIN = "\x1b[1m", "\x1b[2m", "\x1b[7m", "\x1b[0m"


def bar(share, width=BAR):
    full = round(max(0.0, min(1.0, share)) * width)
    return "█" * full + "·" * (width - full)


def milliseconds(seconds):
    return "–" if seconds is None else f"{seconds * 1000:.1f} ms"


def since_and_until(said):
    """`out 2.1 s, probe in 0.9 s` of what /clusters says of an endpoint; empty: it is not out."""
    if said["outMilliseconds"] is None:
        return ""
    text = f"out {said['outMilliseconds'] / 1000:.1f} s"
    if said["ejectedMilliseconds"] is not None:
        text += f", probe in {said['ejectedMilliseconds'] / 1000:.1f} s"
    return text


def table(header, rows):
    """Columns as wide as their widest cell."""
    widths = [max(len(str(row[i])) for row in [header, *rows]) for i in range(len(header))]
    return "\n".join(
        "  ".join(str(cell).ljust(width) for cell, width in zip(row, widths)).rstrip()
        for row in [header, *rows])


class Screen:
    def __init__(self, demo):
        self._demo = demo
        self._is_terminal = sys.stdout.isatty()
        self._events = []
        self._began = time.monotonic()
        self._last_plain = self._began
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._lock = threading.Lock()
        self._seen_rotations = {}
        #: "mesh", "resilience", or "both" in turn.
        self.page = "mesh"
        self.hints = ["Ctrl-C ends all"]

    def start(self):
        if self._is_terminal:
            self._write(_HIDE + _CLEAR)
        self._thread.start()

    def stop(self):
        """Draws once more, then leaves the terminal as it was; may be called again."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(10)
        if self._is_terminal:
            self._draw()
            self._write(_SHOW + "\n")

    def event(self, text):
        """Something happened that the spectator should know."""
        line = f"{self._clock()}  {text}"
        with self._lock:
            self._events.append(line)
            if not self._is_terminal:
                self._write(line + "\n")

    def _clock(self):
        elapsed = int(time.monotonic() - self._began)
        return f"{elapsed // 60:02d}:{elapsed % 60:02d}"

    @staticmethod
    def _write(text):
        sys.stdout.write(text)
        sys.stdout.flush()

    def _run(self):
        while not self._stopping.wait(REDRAW):
            self._report_rotations()
            if self._is_terminal:
                self._draw()
            elif time.monotonic() - self._last_plain >= PLAIN_INTERVAL and self._demo.load:
                self._last_plain = time.monotonic()
                self.event(self._plain_state())

    def _report_rotations(self):
        for name, count in self._demo.observer.rotations().items():
            # While things break on purpose, certificates are not what there is to see.
            if count > self._seen_rotations.get(name, 0) and self.page == "mesh":
                self.event(f"certificate of {name} rotated (number {count})")
            self._seen_rotations[name] = count

    def _plain_state(self):
        tally = self._demo.tally
        counts = tally.phases[-1].counts
        split = ", ".join(f"{name} {counts[name]}" for name in sorted(counts))
        return f"{tally.total} requests, {tally.failed} failed; since the weights changed: {split}"

    def _draw(self):
        lines = [
            _REVERSE + self._fit(
                " mesh demo   web → orders → inventory".ljust(WIDTH - 7) + self._clock())
            + _PLAIN]
        if self._demo.load:
            page = self._resilience if self._shows_resilience() else self._mesh
            lines += self._routes() + [""] + page()
        hints = [self._fit("  " + hint) for hint in self.hints]
        with self._lock:
            latest = self._events[-HEIGHT:]
        # As they were told, the last ones whole; long ones go on below their text.
        events = [line for event in latest for line in textwrap.wrap(
            event, WIDTH - 2, subsequent_indent=" " * 7)]
        events = events[-max(1, HEIGHT - 1 - len(lines) - len(hints)):]
        lines += [""] + [_DIM + self._fit("  " + event) + _PLAIN for event in events] + hints
        self._write(
            _HOME + "\n".join(line + _ERASE_LINE for line in lines) + _ERASE_BELOW)

    def _shows_resilience(self):
        turn = int((time.monotonic() - self._began) / PAGE_SECONDS) % 2 == 1
        return self.page == "resilience" or self.page == "both" and turn

    def _mesh(self):
        return self._split() + [""] + self._sidecars()

    def _resilience(self):
        lines = self._canary()
        return lines + ([""] if lines else []) + self._endpoints()

    @staticmethod
    def _fit(text):
        return text[:WIDTH].ljust(WIDTH)

    def _routes(self):
        row = "  {:<20}{:>11}{:>9}{:>12}{:>11}{:>11}".format
        lines = [_BOLD + row("ROUTE", "REQUESTS", "RATE", "SUCCESS", "P50", "P99") + _PLAIN]
        tally, now = self._demo.tally, time.monotonic()
        latencies = [latency for ended, latency, _ in list(tally.latest)
                     if ended > now - RECENT]
        lines.append(row(
            "client → web", tally.total, f"{len(latencies) / RECENT:.0f}/s",
            f"{100 * (1 - tally.failed / tally.total):.2f} %" if tally.total else "–",
            milliseconds(percentile(latencies, 0.5)), milliseconds(percentile(latencies, 0.99))))
        for label, workload in (("web → orders", "web"), ("orders → inventory", "orders")):
            traffic = self._demo.observer.traffic(workload, "outbound")
            if traffic:
                lines.append(row(
                    label, f"{traffic.requests:.0f}", f"{traffic.rate:.0f}/s",
                    "–" if traffic.success is None else f"{100 * traffic.success:.2f} %",
                    milliseconds(traffic.p50), milliseconds(traffic.p99)))
        return lines

    def _split(self):
        phase = self._demo.tally.phases[-1]
        counts, weights = phase.counts, phase.weights
        total, sum_of_weights = sum(counts.values()), sum(weights.values())
        row = "  {:<20}{:>11}{:>9}{:>12}  {}".format
        lines = [_BOLD + row("VERSION", "REQUESTS", "WEIGHT", "SHARE", "") + _PLAIN]
        for name, weight in weights.items():
            share = counts[name] / total if total else 0.0
            lines.append(row(
                name, counts[name], f"{100 * weight / sum_of_weights:.1f} %",
                f"{100 * share:.1f} %", bar(share)))
        return lines

    def _canary(self):
        """Step, share, what the proxies counted of both versions, and the judgement."""
        said = self._demo.observer.canary
        if not said:
            return []
        row = "  {:<24}{:>11}{:>11}{:>12}".format
        phase = {"rolledBack": "ROLLED BACK"}.get(said["phase"], said["phase"])
        lines = [_BOLD + row("CANARY", "REQUESTS", "FAILURES", "SUCCESS")
                 + f"   {phase}"[:20] + _PLAIN]
        for label, side in (("canary", said["canary"]), ("baseline", said["baseline"])):
            rate = side.get("successRate")
            where = f"   step {said['step']} of {said['stepCount']}, {said['share']:.0%}" \
                if label == "canary" else ""
            lines.append(row(
                f"{label} {name_of(side['service'])}", side["requests"], side["failures"],
                "–" if rate is None else f"{100 * rate:.2f} %") + where)
        lines.append(self._fit("  " + (said.get("judgement") or "not judged yet")))
        return lines

    def _endpoints(self):
        """Where the sidecar of orders has each endpoint of inventory."""
        row = "  {:<15}{:<10}{:>7}{:>8}{:>10}  {}".format
        lines = [_BOLD + row("ENDPOINT", "STANDING", "OK", "FAILED", "LATENCY", "") + _PLAIN]
        for name, service, endpoint in self._demo.observer.endpoints:
            said = endpoint["workers"][0]
            line = self._fit(row(
                name, said["standing"], said["successes"], said["failures"],
                milliseconds(said["latencyNanoseconds"] / 1e9), since_and_until(said)))
            lines.append(line if said["standing"] == "healthy" else _REVERSE + line + _PLAIN)
        return lines

    def _sidecars(self):
        row = "  {:<15}{:>10}{:>7}  {:<25}{:>8}{:>10}".format
        lines = [_BOLD + row(
            "SIDECAR", "CONFIG", "ACKED", "CERTIFICATE", "ROTATED", "MEMORY") + _PLAIN]
        acknowledged = self._demo.observer.acknowledged
        now = datetime.datetime.now(datetime.timezone.utc)
        for name, sidecar in self._demo.observer.latest.items():
            begins, ends = sidecar.certificate
            life, age = (ends - begins).total_seconds(), (now - begins).total_seconds()
            # Unknown while the controller is away.
            acked = "?" if acknowledged is None else \
                "yes" if acknowledged.get(self._demo.mesh.workload_of(name)) == sidecar.version \
                else "no"
            lines.append(row(
                name, f"{sidecar.version:.0f}", acked,
                f"{bar(age / life, 12)} {age:.0f} of {life:.0f} s",
                sidecar.rotations, f"{sidecar.memory / 2**20:.1f} MiB"))
        controller = self._demo.mesh.controller
        state = f"up, pid {controller.pid}" if controller.is_running() else "DOWN"
        lines.append(f"  {'controller':<15}  {state}")
        return lines
