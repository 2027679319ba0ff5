"""Measures mesh-proxy side by side with other proxies. See README.md beside this file.

    python3 Tests/Benchmarks [--quick] [--scenarios S1,S2] [--proxies nginx,envoy] [--out DIRECTORY]
    python3 Tests/Benchmarks --report FILE.json     the tables and plots of an earlier run again
    python3 Tests/Benchmarks --check                only that every path works and is verified
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

_HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(_HERE))

from bench import machine, plots, proxies, report, scenarios  # noqa: E402 (needs the path above)
from bench.check import check_paths  # noqa: E402
from bench.measure import Effort, Measurement, stop_everything  # noqa: E402
from bench.path import Site  # noqa: E402
from bench.tools import Tools  # noqa: E402

SUBJECT = proxies.MeshProxy.name
FULL = Effort(rounds=5, slices=5, requests=12000, bulk_requests=250, rate_seconds=2,
              single_requests=2000, handshakes=300, idle_counts=(1000, 10000), idle_rounds=2)
QUICK = Effort(rounds=1, slices=3, requests=4000, bulk_requests=100, rate_seconds=1,
               single_requests=800, handshakes=200, idle_counts=(1000,), idle_rounds=1)


def say(text: str):
    print(text, file=sys.stderr, flush=True)


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one short round: under 5 minutes")
    parser.add_argument("--scenarios", default="S1,S2,S3,S4,S5,S6,S7,S8", help="default: all")
    parser.add_argument("--proxies", help="with commas; default: all that run here")
    parser.add_argument("--rounds", type=int, help="of fresh processes; default 5")
    parser.add_argument("--slices", type=int, help="turns per round; default 5")
    parser.add_argument("--idle", help="connection counts of S6, with commas; default 1000,10000")
    parser.add_argument("--realtime", action="store_true",
                        help="run all that takes part before anything else on a busy machine (root)")
    parser.add_argument("--out", type=pathlib.Path, help="directory for results; default: a new one")
    parser.add_argument("--report", type=pathlib.Path, help="measure nothing: print FILE's tables")
    parser.add_argument("--check", action="store_true", help="measure nothing: try every path")
    return parser.parse_args()


def effort_of(given) -> Effort:
    effort = QUICK if given.quick else FULL
    changes = {}
    if given.rounds:
        changes.update(rounds=given.rounds, idle_rounds=min(given.rounds, effort.idle_rounds))
    if given.slices:
        changes.update(slices=given.slices)
    if given.idle:
        changes.update(idle_counts=tuple(map(int, given.idle.split(","))))
    return Effort(**{**effort.__dict__, **changes})


def present(known: dict, wanted) -> tuple[dict, dict]:
    """The proxies that can run, and their versions; a word about each that can't."""
    names = wanted.split(",") if wanted else list(known)
    if wanted and SUBJECT not in names:
        names = [SUBJECT, *names]
    able, versions = {}, {}
    for name in names:
        if name not in known:
            sys.exit(f"no proxy {name}; there are {' '.join(known)}")
        try:
            versions[name] = known[name].version()
            able[name] = known[name]
        except proxies.Absent as reason:
            say(f"skipped {name}: {reason}")
    return able, versions


def commit() -> str:
    done = subprocess.run(["git", "-C", str(_HERE), "describe", "--always", "--dirty"],
                          capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def write(run: dict, directory: pathlib.Path):
    directory.mkdir(parents=True, exist_ok=True)
    text = report.markdown(run, SUBJECT)
    names = plots.write(run, SUBJECT, directory)
    text += "\n" + "\n".join(f"![{title}]({name})" for name, title in names.items()) + "\n"
    (directory / "README.md").write_text(text)
    # A sample per line: readable in a diff, and a third of the indented size.
    head = {key: value for key, value in run.items() if key != "samples"}
    lines = ",\n".join(json.dumps(s, separators=(",", ":")) for s in run["samples"])
    (directory / "samples.json").write_text(
        json.dumps(head, indent=1)[:-2] + ',\n "samples": [\n' + lines + "\n]}\n")
    print(text)
    say(f"written: {directory}")


def main():
    given = parse()
    if given.report:
        run = json.loads(given.report.read_text())
        write(run, given.out) if given.out else print(report.markdown(run, SUBJECT))
        return
    effort = effort_of(given)
    try:
        chosen = scenarios.named(given.scenarios)
    except ValueError as error:
        sys.exit(str(error))
    if given.realtime:
        try:
            # Inherited by proxies, backends and clients alike.
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
        except PermissionError:
            sys.exit("--realtime needs root")
    files = machine.raise_file_limit(1 << 17)
    connections_max = min(max(16384, max(effort.idle_counts) + 1024), files * 9 // 10)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit("stopped"))

    with tempfile.TemporaryDirectory(prefix="mesh-bench-") as temporary:
        directory = pathlib.Path(temporary)
        try:
            tools = Tools(directory / "tools")
            able, versions = present(proxies.known(tools), given.proxies)
            if SUBJECT not in able:
                sys.exit("without mesh-proxy there is nothing to compare")
            site = Site(directory, connections_max)
            if given.check:
                sys.exit(check_paths(site, able, chosen))
            run = measure(given, effort, chosen, site, tools, able, versions)
        except (machine.Failed, proxies.Absent) as error:
            sys.exit(str(error))
        finally:
            stop_everything()
    date = datetime.date.today().isoformat()
    write(run, given.out or pathlib.Path(tempfile.mkdtemp(prefix=f"mesh-bench-{date}-")))


def measure(given, effort: Effort, chosen, site, tools, able, versions) -> dict:
    h2load = proxies.proxy.find_program("h2load", "nghttp2-client")
    measurement = Measurement(site, tools, h2load, able, effort, say)
    began = time.monotonic()
    try:
        for number in range(effort.rounds):
            for scenario in chosen:
                measurement.run(scenario, number)
    except KeyboardInterrupt:
        say("interrupted: reporting what there is")
    return {
        "about": {
            "date": datetime.date.today().isoformat(), "commit": commit(),
            "command": " ".join(["deploy/bench", *sys.argv[1:]]),
            "minutes": round((time.monotonic() - began) / 60, 1),
            "load1": round(os.getloadavg()[0], 2),
        },
        "machine": machine.description(), "effort": effort.__dict__, "proxies": versions,
        "failures": measurement.failures, "samples": measurement.samples,
    }


main()
