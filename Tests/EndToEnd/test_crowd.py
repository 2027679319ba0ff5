"""Very many mTLS connections on one inbound sidecar: served, cheap while idle, still served later."""

from harness import case
from harness.app import named
from harness.case import EndToEndCase
from harness.crowd import Crowd, connections_possible
from localmesh.waiting import eventually

#: Resident memory of the proxy per idle connection.
IDLE_BYTES_MAX = {"h1": 16 * 1024, "h2": 18 * 1024}
#: Opened before the first measurement, so that what any use needs is not charged to the crowd.
FIRST = 20


class Crowds(EndToEndCase):
    def _crowd(self, protocol):
        """(crowd, proxy): the clients' processes and the inbound proxy before an app."""
        app, authority = self.app(named("orders")), self.authority()
        orders = self.inbound_proxy(app, authority.issue("orders"), authority)
        crowd = Crowd(orders.port("inbound"), protocol, authority.issue("web"), authority.bundle)
        self.addCleanup(crowd.close)
        return crowd, orders

    def _assert_no_error(self, proxy, connections):
        metrics = proxy.admin.metrics()
        self.assertEqual(
            (connections, 0, 0, 0),
            tuple(metrics.sum(name, direction="inbound") for name in (
                "mesh_connections_accepted_total", "mesh_connections_refused_total",
                "mesh_tls_failures_total", "mesh_connections_closed_total")))

    def _idle(self, protocol):
        count = connections_possible(50_000) if case.is_long else 200
        crowd, proxy = self._crowd(protocol)
        crowd.open(FIRST)
        before = proxy.resident_bytes()
        crowd.open(count)

        def each():
            return (proxy.resident_bytes() - before) / count

        if case.is_long:
            # A connection counts as idle, and gives back what it can, after some seconds.
            try:
                eventually(lambda: each() <= IDLE_BYTES_MAX[protocol], "memory is given back")
            finally:
                print(f"      {protocol}: {each() / 1024:.1f} KiB resident for each of {count:,} "
                      "idle connections", flush=True)
        # None was dropped, and each is still of use.
        crowd.talk()
        self._assert_no_error(proxy, FIRST + count)

    def test_idle_connections_of_http1_are_small_and_stay_usable(self):
        self._idle("h1")

    def test_idle_connections_of_http2_are_small_and_stay_usable(self):
        self._idle("h2")

    def _active(self, protocol):
        count = connections_possible(10_000) if case.is_long else 200
        crowd, proxy = self._crowd(protocol)
        crowd.open(count)
        for _ in range(3):
            crowd.talk()
        self._assert_no_error(proxy, count)

    def test_many_active_connections_of_http1_are_served_without_error(self):
        self._active("h1")

    def test_many_active_connections_of_http2_are_served_without_error(self):
        self._active("h2")
