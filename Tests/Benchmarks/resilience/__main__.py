"""What callers notice of failing endpoints behind our proxy, and behind Envoy with the same policy.

    deploy/bench --resilience [--rounds 3] [--scenarios TEXT] [--out DIRECTORY]

Contenders run at the same time, each with endpoints and a caller of its own. Prints the table; `--out`
also writes it as README.md with every sample as samples.json.
"""

import argparse
import concurrent.futures
import contextlib
import datetime
import json
import os
import pathlib
import subprocess
import sys
import tempfile

_HERE = pathlib.Path(__file__).resolve().parent
for _directory in (_HERE.parent, _HERE.parents[1] / "EndToEnd"):
    sys.path.insert(0, str(_directory))

from bench import machine  # noqa: E402 (needs the path above)
from bench.proxies import Absent  # noqa: E402
from resilience import experiment, report  # noqa: E402
from resilience.contenders import Envoy, Ours  # noqa: E402
from harness.namespaces import Network, unavailable  # noqa: E402


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="default: 3")
    parser.add_argument("--scenarios", default="", help="only those whose name contains this")
    parser.add_argument("--out", type=pathlib.Path, help="directory for README.md and samples.json")
    return parser.parse_args()


def say(text):
    print(text, file=sys.stderr, flush=True)


def contenders():
    """Those that can run here, with their versions; ours has to."""
    found = {Ours: Ours.version()}
    try:
        found[Envoy] = Envoy.version()
    except Absent as reason:
        say(f"resilience: without Envoy: {reason}")
    return found


def machines(network, kind):
    """Machines for the endpoints of one contender, and one for itself."""
    return [network.add(f"{kind.name[:4]}{index}") for index in range(experiment.ENDPOINTS + 1)]


def compare(kinds, scenario, directory):
    """Result by contender's name; all of them run at once."""
    with contextlib.ExitStack() as stack:
        places = {kind: None for kind in kinds}
        if scenario.trouble and scenario.trouble.needs_machine:
            network = stack.enter_context(Network())
            places = {kind: machines(network, kind) for kind in kinds}
        # Children die with the thread that started them, so each contender has one to the end.
        pool = stack.enter_context(concurrent.futures.ThreadPoolExecutor(len(kinds)))
        running = {kind.name: pool.submit(experiment.run, kind, scenario, directory, places[kind])
                   for kind in kinds}
        return {name: future.result() for name, future in running.items()}


def about(versions, given):
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=_HERE, text=True,
                            capture_output=True).stdout.strip()
    here = machine.description()
    return [
        f"{datetime.date.today()}, commit {commit}; {here['cpus']} × {here['cpu']}, kernel "
        f"{here['kernel']}",
        *(f"{kind.name}: {version}" for kind, version in versions.items()),
        f"medians of {given.rounds} rounds; {experiment.RATE} requests/s in an open loop, "
        f"{experiment.ENDPOINTS} endpoints of 5 ms, trouble for {experiment.TROUBLE_SECONDS:.0f} s",
    ]


def main():
    given = parse()
    try:
        versions = contenders()
    except Absent as reason:
        sys.exit(f"resilience: {reason}")
    samples = {}
    with tempfile.TemporaryDirectory(prefix="resilience-") as directory:
        os.chmod(directory, 0o755)
        for turn in range(given.rounds):
            for scenario in experiment.SCENARIOS:
                if given.scenarios not in scenario.name:
                    continue
                if scenario.trouble and scenario.trouble.needs_machine and unavailable():
                    say(f"resilience: without {scenario.name!r}: {unavailable()}")
                    continue
                say(f"round {turn + 1}: {scenario.name}")
                for name, result in compare(list(versions), scenario, directory).items():
                    by_proxy = samples.setdefault(scenario.name, {})
                    by_proxy.setdefault(name, []).append(result.as_json())
    page = report.markdown(samples, Ours.name, about(versions, given))
    print(page)
    if given.out:
        given.out.mkdir(parents=True, exist_ok=True)
        (given.out / "README.md").write_text(page)
        (given.out / "samples.json").write_text(json.dumps(samples, indent=1) + "\n")


main()
