"""Runs the end-to-end tests on built binaries.

    "$(deploy/lib/test-venv)" Tests/EndToEnd [--filter TEXT] [--long] [--binaries DIRECTORY]
        [--count FILE]

Prints one line per test; `--count` writes "PASSED FAILED" for deploy/test to add up.
"""

import argparse
import os
import sys
import time
import traceback
import unittest

_HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, _HERE)

from harness import case  # noqa: E402 (needs the path above)
from localmesh.processes import Binaries  # noqa: E402


class Report(unittest.TestResult):
    """One line per test as it ends; for a failed one also the logs of its processes."""

    def __init__(self):
        super().__init__()
        self.passed = 0
        self.failed = set()
        self.skipped_count = 0

    def startTest(self, test):
        super().startTest(test)
        self._began = time.monotonic()
        self._skipped = False

    def _fail(self, test, error, context=""):
        if test.id() not in self.failed:
            self.failed.add(test.id())
        print(f"FAIL  {test.id()} {context}", flush=True)
        traceback.print_exception(*error, limit=-4)
        for child in getattr(test, "children", []) and test.all_children():
            print(f"  log of {child.name} (pid {child.pid}, ended {child.process.poll()}):")
            print(child.tail())
        sys.stdout.flush()

    def addFailure(self, test, error):
        self._fail(test, error)

    def addError(self, test, error):
        self._fail(test, error)

    def addSubTest(self, test, subtest, error):
        if error:
            self._fail(test, error, subtest._subDescription())

    def addSkip(self, test, reason):
        self._skipped = True
        self.skipped_count += 1
        print(f"skip  {test.id()}: {reason}", flush=True)

    def stopTest(self, test):
        if test.id() not in self.failed and not self._skipped:
            self.passed += 1
            print(f"ok    {test.id()} ({time.monotonic() - self._began:.1f} s)", flush=True)
        super().stopTest(test)


def all_cases(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from all_cases(test)
        else:
            yield test


def main():
    parser = argparse.ArgumentParser(prog="Tests/EndToEnd")
    parser.add_argument("--filter", default="", help="only tests whose name contains this")
    parser.add_argument("--long", action="store_true", help="the long forms too")
    parser.add_argument("--binaries", default=os.path.join(_HERE, "..", "..", ".build", "debug"))
    parser.add_argument("--count", help="file for PASSED FAILED")
    options = parser.parse_args()

    case.binaries = Binaries(options.binaries)
    case.is_long = options.long
    tests = [test for test in all_cases(unittest.defaultTestLoader.discover(_HERE, "test_*.py"))
             if options.filter.lower() in test.id().lower()]
    report = Report()
    began = time.monotonic()
    for test in tests:
        # One by one: children die with the thread that started them, and the machine is small.
        test.run(report)
    print(f"end to end: {report.passed} passed, {len(report.failed)} failed, "
          f"{report.skipped_count} skipped in {time.monotonic() - began:.0f} s", flush=True)
    if options.count:
        with open(options.count, "w") as file:
            file.write(f"{report.passed} {len(report.failed)}\n")
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
