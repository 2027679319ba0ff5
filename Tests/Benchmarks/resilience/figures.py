"""What follows from the outcomes of a caller and the arrivals at an endpoint. Times are monotonic."""

import bisect
import itertools

#: The window of a share, and what of its fair part an endpoint gets in it when it counts as back.
WINDOW_SECONDS = 1.0
BACK_SHARE = 0.5
#: What of its fair part it gets at most when it counts as out.
OUT_SHARE = 0.15
#: The window of a burst.
BURST_SECONDS = 0.25
#: So many slow ones in a row are a stall of the machine: one endpoint of three is not met each time.
STALL_REQUESTS = 8


def between(outcomes, start, end=float("inf")):
    """Those that were due in start..<end."""
    return [outcome for outcome in outcomes if start <= outcome.due < end]


def failed_share(outcomes):
    """Failures per request; 1 when there was none, for nothing was shown."""
    return sum(o.failed for o in outcomes) / len(outcomes) if outcomes else 1.0


def percentile(values, share):
    """The value below which `share` of the values lie; None without values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None


def served_by(outcomes, name):
    """When requests that this endpoint served ended."""
    return sorted(o.ended for o in outcomes if not o.failed and o.who == name)


def touched(outcomes, arrivals, is_blind, slow_seconds):
    """When requests were spent on the endpoint in trouble: what it saw, or else who waited for it."""
    if not is_blind:
        return sorted(arrivals)
    found = []
    for is_slow, row in itertools.groupby(
            sorted(outcomes), lambda o: o.failed or o.latency >= slow_seconds):
        row = list(row)
        if is_slow and len(row) < STALL_REQUESTS:
            found += [outcome.due for outcome in row]
    return found


def back_after(moments, since, fair_rate):
    """Seconds from `since` to the start of the first window with its part of `moments`; None: never."""
    wanted = max(1, int(BACK_SHARE * fair_rate * WINDOW_SECONDS))
    first = bisect.bisect_left(moments, since)
    for at in range(first, len(moments) - wanted + 1):
        if moments[at + wanted - 1] - moments[at] <= WINDOW_SECONDS:
            return moments[at] - since
    return None


def out_after(moments, since, until, fair_rate):
    """Seconds from `since` until the rate of `moments` in each later window stays low; None: it never
    does. What is given a request a second is out: somebody has to find out when it is well again."""
    most = OUT_SHARE * fair_rate * WINDOW_SECONDS
    at = since
    for index in range(bisect.bisect_left(moments, since), len(moments)):
        moment = moments[index]
        if moment >= until:
            break
        later = bisect.bisect_left(moments, min(moment + WINDOW_SECONDS, until))
        if later - index > most:
            # This window is too full, so the endpoint is in at least until its rate has sunk.
            at = moments[later - 1]
    return at - since if at < until - WINDOW_SECONDS else None


def herd(arrivals, others, start, end=float("inf")):
    """The fullest quarter of a second of an endpoint over that of the busiest other one: 1 is no herd.

    Not over the fair part: who balances by latency prefers now the one and now the other, and a caller
    that was held up makes up for it, but that meets all of them.
    """
    busiest = max((burst(other, start, end) for other in others), default=0)
    return burst(arrivals, start, end) / max(1, busiest)


def burst(moments, start, end):
    """The most of `moments` in any window of BURST_SECONDS that begins in start..<end."""
    most = 0
    for index in range(bisect.bisect_left(moments, start), bisect.bisect_left(moments, end)):
        last = bisect.bisect_left(moments, moments[index] + BURST_SECONDS)
        most = max(most, last - index)
    return most
