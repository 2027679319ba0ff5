"""The live view of the demo: redrawn in place on a terminal, plain lines elsewhere.

Fits 80 columns and 24 rows.
"""

import datetime
import sys
import threading
import time

from localmesh.load import percentile

WIDTH, EVENTS = 80, 6
BAR = 20
REDRAW = 0.5
#: Rate and latency of the client are over the last so many seconds.
RECENT = 5.0
#: Without a terminal, one line of state this often.
PLAIN_INTERVAL = 5.0
_CLEAR, _HOME, _ERASE_LINE, _ERASE_BELOW = "\x1b[2J", "\x1b[H", "\x1b[K", "\x1b[J"
_HIDE, _SHOW = "\x1b[?25l", "\x1b[?25h"
_BOLD, _DIM, _REVERSE, _PLAIN = "\x1b[1m", "\x1b[2m", "\x1b[7m", "\x1b[0m"


def bar(share, width=BAR):
    full = round(max(0.0, min(1.0, share)) * width)
    return "█" * full + "·" * (width - full)


def milliseconds(seconds):
    return "–" if seconds is None else f"{seconds * 1000:.1f} ms"


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
        self.hint = "Ctrl-C ends all"

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
            if count > self._seen_rotations.get(name, 0):
                self.event(f"certificate of {name} rotated (number {count})")
            self._seen_rotations[name] = count

    def _plain_state(self):
        tally = self._demo.tally
        counts = tally.phases[-1].counts
        split = ", ".join(f"{name} {counts[name]}" for name in sorted(counts))
        return f"{tally.total} requests, {tally.failed} failed; since the weights changed: {split}"

    def _draw(self):
        with self._lock:
            events = self._events[-EVENTS:]
        lines = [
            _REVERSE + self._fit(
                " mesh demo   web → orders → inventory v1/v2".ljust(WIDTH - 7) + self._clock())
            + _PLAIN]
        if self._demo.load:
            lines += self._routes() + [""] + self._split() + [""] + self._sidecars()
        lines += [""] + [_DIM + self._fit("  " + event) + _PLAIN for event in events]
        lines += [self._fit("  " + self.hint)]
        self._write(
            _HOME + "\n".join(line + _ERASE_LINE for line in lines) + _ERASE_BELOW)

    @staticmethod
    def _fit(text):
        return text[:WIDTH].ljust(WIDTH)

    def _routes(self):
        row = "  {:<20}{:>11}{:>9}{:>12}{:>11}{:>11}".format
        lines = [_BOLD + row("ROUTE", "REQUESTS", "RATE", "SUCCESS", "P50", "P99") + _PLAIN]
        tally, now = self._demo.tally, time.monotonic()
        latencies = [latency for ended, latency in list(tally.latest) if ended > now - RECENT]
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
        counts, weights = phase.counts, dict(zip(self._demo.versions, phase.weights))
        total, sum_of_weights = sum(counts.values()), sum(weights.values())
        row = "  {:<20}{:>11}{:>9}{:>12}  {}".format
        lines = [_BOLD + row("VERSION", "REQUESTS", "WEIGHT", "SHARE", "") + _PLAIN]
        for name, weight in weights.items():
            share = counts[name] / total if total else 0.0
            lines.append(row(
                name, counts[name], f"{100 * weight / sum_of_weights:.1f} %",
                f"{100 * share:.1f} %", bar(share)))
        return lines

    def _sidecars(self):
        row = "  {:<13}{:>12}{:>7}  {:<25}{:>8}{:>10}".format
        lines = [_BOLD + row(
            "SIDECAR", "CONFIG", "ACKED", "CERTIFICATE", "ROTATED", "MEMORY") + _PLAIN]
        acknowledged = self._demo.observer.acknowledged
        now = datetime.datetime.now(datetime.timezone.utc)
        for name, sidecar in self._demo.observer.latest.items():
            begins, ends = sidecar.certificate
            life, age = (ends - begins).total_seconds(), (now - begins).total_seconds()
            # Unknown while the controller is away.
            acked = "?" if acknowledged is None else \
                "yes" if acknowledged.get(name) == sidecar.version else "no"
            lines.append(row(
                name, f"{sidecar.version:.0f}", acked,
                f"{bar(age / life, 12)} {age:.0f} of {life:.0f} s",
                sidecar.rotations, f"{sidecar.memory / 2**20:.1f} MiB"))
        controller = self._demo.mesh.controller
        state = f"up, pid {controller.pid}" if controller.is_running() else "DOWN"
        lines.append(f"  {'controller':<13}  {state}")
        return lines
