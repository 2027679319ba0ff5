"""Waiting for conditions. The only place that lets time pass."""

import time


class NotInTime(AssertionError):
    """A condition did not hold before its deadline."""


def eventually(condition, what, seconds=20.0):
    """The first truthy result of `condition()`; raises NotInTime with the last thing seen.

    Errors of connecting and asserting count as "not yet": processes are starting and stopping.
    """
    deadline = time.monotonic() + seconds
    pause, last = 0.002, None
    while True:
        try:
            last = condition()
            if last:
                return last
        except (OSError, AssertionError, LookupError, ValueError) as error:
            last = repr(error)
        if time.monotonic() >= deadline:
            raise NotInTime(f"not within {seconds:g} s: {what}; last seen: {last!r}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)


def unchanged(value, what, seconds=20.0):
    """The first truthy `value()` that is still the same 0.3 s later."""
    deadline, last = time.monotonic() + seconds, None
    while time.monotonic() < deadline:
        before, last = last, value()
        if last and last == before:
            return last
        time.sleep(0.3)
    raise NotInTime(f"not within {seconds:g} s: {what}; last seen: {last!r}")
