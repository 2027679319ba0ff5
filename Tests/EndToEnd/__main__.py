"""Runs the end-to-end tests on built binaries.

    "$(deploy/lib/test-venv)" Tests/EndToEnd [--filter TEXT] [--long] [--binaries DIRECTORY]
        [--count FILE]

Prints one line per test; `--count` writes for deploy/test how many passed and failed, and those
that failed, each on a line with what was wrong.
"""

import argparse
import os
import signal
import sys
import threading
import time
import traceback
import unittest
import weakref

_HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, _HERE)

from harness import case  # noqa: E402 (needs the path above)
from localmesh.processes import Binaries  # noqa: E402

#: Until a test is taken to hang.
_SECONDS_MAX, _LONG_SECONDS_MAX = 600, 3600
#: Characters of a failure that are told again at the end.
_WORDS_MAX = 300


class Report(unittest.TestResult):
    """One line per test as it ends; for a failed one also the logs of its processes.

    An exception that ends a thread fails the test that was running when the thread began: nobody
    waits for most threads, so their trouble would otherwise be a line of output and no more.
    """

    def __init__(self):
        super().__init__()
        self.passed = set()
        #: What was wrong first, by name of the failed test.
        self.failed = {}
        #: Reasons by name of the skipped test.
        self.skips = {}
        self._current = None
        self._lock = threading.Lock()
        self._crashes = []
        self._owners = weakref.WeakKeyDictionary()
        threading.excepthook = self._note_crash

    def startTest(self, test):
        super().startTest(test)
        self._claim_threads(self._current)
        self._current = test
        self._began = time.monotonic()

    def _claim_threads(self, test):
        for thread in threading.enumerate():
            self._owners.setdefault(thread, test)

    def _note_crash(self, crash):
        if crash.exc_type is not SystemExit:
            with self._lock:
                self._crashes.append((
                    crash.thread, (crash.exc_type, crash.exc_value, crash.exc_traceback)))

    def fail_for_crashes(self):
        """Fails the tests whose threads ended by an exception since the last call."""
        with self._lock:
            crashes, self._crashes = self._crashes, []
        for thread, error in crashes:
            owner = self._owners.get(thread) or self._current
            self._fail(owner, error, f"in {thread.name}")
            self.passed.discard(owner.id())

    def _fail(self, test, error, context=""):
        why = " ".join(f"{error[0].__name__} {context} {error[1]}".split())
        self.failed.setdefault(test.id(), why[:_WORDS_MAX])
        print(f"FAIL  {test.id()} {context}", flush=True)
        traceback.print_exception(*error, limit=-4, file=sys.stdout)
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
        self.skips[test.id()] = reason
        print(f"skip  {test.id()}: {reason}", flush=True)

    def stopTest(self, test):
        self.fail_for_crashes()
        if test.id() not in self.failed and test.id() not in self.skips:
            self.passed.add(test.id())
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
    parser.add_argument("--count", help="file for counts and names")
    options = parser.parse_args()

    case.binaries = Binaries(options.binaries)
    case.is_long = options.long
    tests = [test for test in all_cases(unittest.defaultTestLoader.discover(_HERE, "test_*.py"))
             if options.filter.lower() in test.id().lower()]
    report = Report()
    began = time.monotonic()
    signal.signal(signal.SIGALRM, _give_up)
    for test in tests:
        # One by one: children die with the thread that started them, and the machine is small.
        signal.alarm(_LONG_SECONDS_MAX if options.long else _SECONDS_MAX)
        test.run(report)
    signal.alarm(0)
    report.fail_for_crashes()
    print(f"end to end: {len(report.passed)} passed, {len(report.failed)} failed, "
          f"{len(report.skips)} skipped in {time.monotonic() - began:.0f} s", flush=True)
    for name, reason in report.skips.items():
        print(f"  skipped {name}: {reason}")
    failed = [f"{name}: {why}" for name, why in report.failed.items()]
    for line in failed:
        print(f"  FAILED {line}", flush=True)
    if options.count:
        with open(options.count, "w") as file:
            print(len(report.passed), len(failed), *failed, sep="\n", file=file)
    return 1 if report.failed else 0


def _give_up(*_):
    raise AssertionError("the test does not end")


if __name__ == "__main__":
    sys.exit(main())
