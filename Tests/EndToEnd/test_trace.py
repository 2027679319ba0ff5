"""Trace context: W3C traceparent and tracestate, B3, baggage, x-request-id; problem details."""

import json
import re

from harness.case import EndToEndCase
from harness.client import RawClient

TRACE_ID, PARENT_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = re.compile(r"^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$")


class Trace(EndToEndCase):
    def setUp(self):
        super().setUp()
        self.orders_app, self.web, _ = self.two_hops()

    def _send(self, *fields):
        """(the fields the app saw of a request with these, its traceparent's parts)"""
        with RawClient(self.web.port("outbound")) as client:
            self.assertEqual(200, client.get("orders", "/", *fields).status)
        seen = self.orders_app.requests[-1]
        parts = TRACEPARENT.match(seen.value("traceparent") or "")
        self.assertTrue(parts, seen)
        return seen, parts.groups()

    def test_a_trace_goes_on_with_a_new_parent_and_its_flags(self):
        seen, (trace, parent, flags) = self._send(
            f"traceparent: 00-{TRACE_ID}-{PARENT_ID}-01", "tracestate: a=1,b=2", "baggage: k=v")
        self.assertEqual((TRACE_ID, "01"), (trace, flags))
        self.assertNotEqual(PARENT_ID, parent)
        self.assertEqual(("a=1,b=2", "k=v"), (seen.value("tracestate"), seen.value("baggage")))

    def test_an_unsampled_trace_stays_unsampled(self):
        _, (_, _, flags) = self._send(f"traceparent: 00-{TRACE_ID}-{PARENT_ID}-00")
        self.assertEqual(0, int(flags, 16) & 1)

    def test_without_a_trace_one_begins(self):
        seen, (trace, parent, _) = self._send()
        self.assertNotEqual(("0" * 32, "0" * 16), (trace, parent))
        self.assertEqual([], seen.values("tracestate"))

    def test_a_malformed_traceparent_begins_a_new_trace_without_tracestate(self):
        for bad in (f"00-{TRACE_ID.upper()}-{PARENT_ID}-01", f"ff-{TRACE_ID}-{PARENT_ID}-01",
                    f"00-{'0' * 32}-{PARENT_ID}-01", f"00-{TRACE_ID}-{'0' * 16}-01",
                    f"00-{TRACE_ID}-{PARENT_ID}-01-extra", f"00-{TRACE_ID}-{PARENT_ID}", "junk"):
            with self.subTest(bad):
                seen, (trace, _, _) = self._send(f"traceparent: {bad}", "tracestate: a=1")
                self.assertNotEqual(TRACE_ID, trace)
                self.assertEqual([], seen.values("tracestate"))

    def test_a_later_version_is_read_as_far_as_it_is_known(self):
        _, (trace, _, _) = self._send(f"traceparent: 01-{TRACE_ID}-{PARENT_ID}-01-what-ever")
        self.assertEqual(TRACE_ID, trace)

    def test_b3_single_and_multi_carry_the_same_trace(self):
        for fields in ((f"b3: {TRACE_ID}-{PARENT_ID}-1",),
                       (f"X-B3-TraceId: {TRACE_ID}", f"X-B3-SpanId: {PARENT_ID}", "X-B3-Sampled: 1")):
            with self.subTest(fields):
                _, (trace, _, flags) = self._send(*fields)
                self.assertEqual((TRACE_ID, 1), (trace, int(flags, 16) & 1))

    def test_a_request_id_is_kept_or_made(self):
        seen, _ = self._send("X-Request-Id: mine-1")
        self.assertEqual("mine-1", seen.value("x-request-id"))
        seen, _ = self._send()
        self.assertTrue(seen.value("x-request-id"))


class LocalReplies(EndToEndCase):
    def test_a_reply_of_the_proxy_is_problem_json_with_status_and_trace_id(self):
        app, proxy = self.plain_hop()
        app.stop()
        with RawClient(proxy.port("outbound")) as client:
            response = client.get(
                "orders", "/", f"traceparent: 00-{TRACE_ID}-{PARENT_ID}-01")
        self.assertEqual(503, response.status)
        self.assertEqual("application/problem+json", response.value("Content-Type"))
        problem = json.loads(response.body)
        self.assertEqual(503, problem["status"])
        self.assertTrue(problem["title"])
        self.assertIn(TRACE_ID, problem.values())

    def test_a_reply_of_the_proxy_tells_nothing_internal(self):
        app, proxy = self.plain_hop()
        app.stop()
        with RawClient(proxy.port("outbound")) as client:
            text = client.get("orders").head + client.get("orders").body
        for secret in (str(app.port), "127.0.0.1", "errno", "ECONNREFUSED", ".swift", "/"
                       + self.directory.strip("/")):
            self.assertNotIn(secret.encode(), text)

    def test_a_reply_to_head_has_no_body(self):
        app, proxy = self.plain_hop()
        app.stop()
        with RawClient(proxy.port("outbound")) as client:
            self.assertEqual(b"", client.exchange(b"HEAD / HTTP/1.1\r\nHost: orders\r\n\r\n").body)
            self.assertEqual(503, client.get("orders").status)

    def test_every_line_of_the_access_log_has_the_trace_id(self):
        _, proxy = self.plain_hop(accessLog="all")
        with RawClient(proxy.port("outbound")) as client:
            client.get("orders", "/path", f"traceparent: 00-{TRACE_ID}-{PARENT_ID}-01")
        line = proxy.wait_for_log(status=200)
        self.assertIn(TRACE_ID, line.values())
