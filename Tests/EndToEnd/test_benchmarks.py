"""That the benchmark measures what it says: its arithmetic, and its latency client on a real socket."""

import contextlib
import http.client
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "Benchmarks"))

from bench import costs, figures, goals, report  # noqa: E402 (needs the path above)
from bench.tools import Tools  # noqa: E402
from resilience import figures as figures_of_trouble  # noqa: E402
from resilience import report as report_of_trouble  # noqa: E402
from resilience.processes import Caller, Endpoint, Outcome  # noqa: E402

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def _sample(proxy, turn, cpu, kind="saturated", **more):
    return dict(scenario="S1", proxy=proxy, kind=kind, round=0, slice=turn,
                cpu_us={"plain": cpu}, **more)


class Figures(unittest.TestCase):
    def test_a_slow_spell_of_the_machine_moves_no_ratio(self):
        slow = [1, 5, 1]
        found = figures.Figures(
            [_sample("mesh-proxy", t, 8 * s) for t, s in enumerate(slow)]
            + [_sample("nginx", t, 10 * s) for t, s in enumerate(slow)])
        ratio = found.ratio("S1", "saturated", "mesh-proxy", "nginx", figures.cpu)
        self.assertEqual((ratio.median, ratio.low, ratio.high), (0.8, 0.8, 0.8))

    def test_the_best_peer_is_the_strongest_rival_and_never_the_floor(self):
        found = figures.Figures([_sample(name, 0, cpu) for name, cpu in (
            ("mesh-proxy", 9), ("nginx", 10), ("envoy", 30), ("relay", 3), ("direct", 1))])
        best = found.against_best("S1", "saturated", "mesh-proxy", figures.cpu)
        self.assertEqual((best.other, best.median), ("nginx", 0.9))

    def test_turns_that_one_side_missed_are_not_compared(self):
        found = figures.Figures([_sample("mesh-proxy", 0, 9), _sample("mesh-proxy", 1, 9),
                                 _sample("nginx", 1, 10)])
        ratio = found.ratio("S1", "saturated", "mesh-proxy", "nginx", figures.cpu)
        self.assertEqual(ratio.turns, 1)

    def test_a_percentile_is_the_bucket_in_which_it_falls(self):
        buckets = {"100": 989, "300": 11}
        self.assertAlmostEqual(figures.percentile(buckets, 0.5), 1.02 ** 100)
        self.assertAlmostEqual(figures.percentile(buckets, 0.99), 1.02 ** 300)

    def test_a_goal_is_missed_above_its_bound(self):
        goal = next(g for g in goals.GOALS if g.scenario == "S1" and g.against == goals.BEST)
        for cpu, word in ((9, "met"), (9.2, "**missed**")):
            found = figures.Figures([_sample("mesh-proxy", 0, cpu), _sample("nginx", 0, 10)])
            line = next(row for row in report.goals_table(found, "mesh-proxy").splitlines()
                        if row.startswith(f"| S1 | {goal.what} | the best peer: nginx"))
            self.assertTrue(line.endswith(f"{word} |"), line)


class RequestCosts(unittest.TestCase):
    def test_own_cost_is_summed_by_object_and_calls_are_not_counted_twice(self):
        dump = ("events: Ir\nob=(1) /x/mesh-proxy\nfn=(1) main\n10 5\n+3 7\ncfn=(2) send\n"
                "cob=(2) /lib/libc.so\ncalls=1 20\n12 1000\n* 1\nob=(2)\nfn=(2)\n20 900\n-4 100\n"
                "ob=(1)\nfn=(3) other\n30 2\ntotals: 1015\n")
        self.assertEqual(costs.instructions_by_object(dump),
                         {"/x/mesh-proxy": 15, "/lib/libc.so": 1000})


def _outcome(due, status=200, who="a"):
    return Outcome(due, due + 0.01, status, who)


class Resilience(unittest.TestCase):
    def test_an_endpoint_is_back_when_it_has_half_of_its_part_again(self):
        # A probe at 11 and at 14, from 20 on ten a second.
        moments = [11, 14, *(20 + i / 10 for i in range(50))]
        self.assertEqual(figures_of_trouble.back_after(moments, 10, 10), 10)
        self.assertIsNone(figures_of_trouble.back_after([11, 14], 10, 10))

    def test_an_endpoint_is_out_from_its_last_full_second_on(self):
        busy = [10 + i / 10 for i in range(20)]
        self.assertAlmostEqual(
            figures_of_trouble.out_after([*busy, 14, 16], 10, 20, 10), 1.9)
        self.assertEqual(figures_of_trouble.out_after([14, 16], 10, 20, 10), 0)
        self.assertIsNone(figures_of_trouble.out_after(
            [10 + i / 10 for i in range(100)], 10, 20, 10))

    def test_who_waited_tells_of_an_endpoint_that_cannot_and_a_stall_of_all_does_not(self):
        waits = [1, 5, *range(20, 30)]
        outcomes = [Outcome(due, due + (0.3 if due in waits else 0.01), 200, "a")
                    for due in range(40)]
        self.assertEqual(figures_of_trouble.touched(outcomes, [7], True, 0.25), [1, 5])
        self.assertEqual(figures_of_trouble.touched(outcomes, [7], False, 0.25), [7])

    def test_a_burst_is_the_fullest_quarter_of_a_second(self):
        moments = [1, 2, 2.1, 2.2, 2.3, 3]
        self.assertEqual(figures_of_trouble.burst(moments, 0, 9), 3)
        self.assertEqual(figures_of_trouble.burst(moments, 2.15, 9), 2)

    def test_a_herd_is_more_than_what_the_others_get_at_their_busiest(self):
        self.assertEqual(
            figures_of_trouble.herd([1, 5, 5.1, 5.2, 5.21], [[5, 5.1], [7, 8]], 2), 2)

    def test_nothing_asked_shows_nothing(self):
        self.assertEqual(figures_of_trouble.failed_share([]), 1)
        self.assertEqual(figures_of_trouble.failed_share(
            [_outcome(1), _outcome(2, 503), _outcome(3), _outcome(4, 0, "OSError")]), 0.5)

    def test_what_never_came_true_is_worse_than_any_number(self):
        self.assertTrue(report_of_trouble.is_worse(None, 30, "back_seconds"))
        self.assertFalse(report_of_trouble.is_worse(30, None, "back_seconds"))
        self.assertTrue(report_of_trouble.is_worse(20, 10, "failed"))
        self.assertFalse(report_of_trouble.is_worse(11, 10, "failed"))

    def test_a_caller_in_an_open_loop_goes_on_while_answers_are_awaited(self):
        endpoint = Endpoint("a", latency=0.3)
        self.addCleanup(endpoint.stop)
        caller = Caller(endpoint.port, 50)
        self.addCleanup(caller.stop)
        caller.wait_for(50)
        outcomes = caller.finish()
        self.assertEqual({(200, "a")}, {(o.status, o.who) for o in outcomes})
        self.assertGreaterEqual(min(o.latency for o in outcomes), 0.3)
        # A caller that waited for each answer would have made four requests in that time.
        self.assertGreater(len(outcomes) / (outcomes[-1].due - outcomes[0].due), 25)

    def test_an_endpoint_errs_as_it_is_told_and_keeps_its_port(self):
        endpoint = Endpoint("a", latency=0)
        self.addCleanup(endpoint.stop)
        port = endpoint.port

        def status():
            with contextlib.closing(http.client.HTTPConnection(
                    "127.0.0.1", port, timeout=5)) as connection:
                connection.request("GET", "/")
                return connection.getresponse().status
        for mode, expected in (("errors", 503), ("refuses", 429), ("missing", 404), ("healthy", 200)):
            endpoint.mode(mode)
            self.assertEqual(expected, status())
        endpoint.kill()
        self.assertRaises(ConnectionRefusedError, status)
        endpoint.start()
        self.assertEqual(200, status())
        self.assertEqual(5, len(endpoint.arrivals()))


class LatencyClient(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.program = Tools(pathlib.Path(directory.name)).program("load")
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(self.listener.close)

    def load(self, *arguments):
        port = str(self.listener.getsockname()[1])
        return subprocess.run([self.program, "--port", port, *arguments], capture_output=True,
                              text=True, timeout=30)

    def serve(self, answer, stall=None):
        """Answers one connection; `stall` is the request before which it waits, and how long."""
        def run():
            connection, _ = self.listener.accept()
            with connection, contextlib.suppress(ConnectionError):  # the client has seen enough
                count, data = 0, b""
                while chunk := connection.recv(65536):
                    data += chunk
                    while b"\r\n\r\n" in data:
                        data = data.split(b"\r\n\r\n", 1)[1]
                        count += 1
                        if stall and count == stall[0]:
                            time.sleep(stall[1])
                        connection.sendall(answer)
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        self.addCleanup(thread.join, 10)

    def test_a_stall_is_charged_to_every_request_that_was_due_meanwhile(self):
        self.serve(_ANSWER, stall=(50, 0.3))
        result = json.loads(self.load("--rate", "200", "--seconds", "1").stdout)
        self.assertEqual((result["requests"], result["failed"]), (200, 0))
        # 60 requests were due in those 0.3 s; at least half of them waited for more than 0.1 s.
        late = sum(n for b, n in result["buckets"].items() if 1.02 ** int(b) > 100_000)
        self.assertGreaterEqual(late, 30)

    def test_answers_other_than_200_are_counted_as_failed(self):
        self.serve(_ANSWER.replace(b"200 OK", b"503 No"))
        result = json.loads(self.load("--requests", "5").stdout)
        self.assertEqual((result["requests"], result["failed"]), (5, 5))

    def test_a_closed_connection_fails_the_run(self):
        threading.Thread(target=lambda: self.listener.accept()[0].close(), daemon=True).start()
        done = self.load("--requests", "5")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("load:", done.stderr)
