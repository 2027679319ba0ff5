"""Who may talk to whom: every wrong certificate is refused, counted and logged once."""

import ssl

from harness import snapshots
from harness.app import named
from harness.case import EndToEndCase
from harness.client import RawClient, tls_context
from localmesh.waiting import eventually


class Inbound(EndToEndCase):
    def setUp(self):
        super().setUp()
        self.ours = self.authority()
        self.app_behind = self.app(named("orders"))
        self.orders = self.inbound_proxy(self.app_behind, self.ours.issue("orders"), self.ours)

    def _failures(self):
        return self.orders.admin.metrics().sum("mesh_tls_failures_total", direction="inbound")

    def _assert_refused(self, certificate, **context):
        before, log = self._failures(), len(self.orders.log)
        files = (certificate.certificate, certificate.key) if certificate else ()
        tls = tls_context(self.ours.bundle, *files)
        for name, value in context.items():
            setattr(tls, name, value)
        # In TLS 1.3 the client learns of its refusal only when it reads.
        with self.assertRaises((ssl.SSLError, OSError, AssertionError)):
            with RawClient(self.orders.port("inbound"), tls, timeout=5) as client:
                client.get("orders")
        eventually(lambda: self._failures() == before + 1, "the refusal is counted", 5)
        self.orders.wait_for_log("TLS failed", since=log, seconds=5)
        self.assertEqual(1, len(self.orders.logged("TLS failed", since=log)), self.orders.tail())
        self.assertEqual([], self.app_behind.requests)

    def test_a_workload_of_the_mesh_is_accepted(self):
        web = self.ours.issue("web")
        with RawClient(self.orders.port("inbound"),
                       tls_context(self.ours.bundle, web.certificate, web.key)) as client:
            self.assertEqual(b"orders", client.get("orders").body)

    def test_no_certificate_is_refused(self):
        self._assert_refused(None)

    def test_an_unknown_root_is_refused(self):
        self._assert_refused(self.authority(name="stranger").issue("web"))

    def test_another_trust_domain_under_our_root_is_refused(self):
        self._assert_refused(
            self.ours.issue("web", "elsewhere", names="URI:spiffe://other.example/ns/default/sa/web"))

    def test_an_expired_certificate_is_refused(self):
        self._assert_refused(self.ours.issue("web", begins=-7200, ends=-3600))

    def test_a_certificate_not_yet_valid_is_refused(self):
        self._assert_refused(self.ours.issue("web", begins=3600, ends=7200))

    def test_a_certificate_without_a_spiffe_id_is_refused(self):
        self._assert_refused(self.ours.issue("web", "plain", names="DNS:web"))

    def test_a_certificate_with_two_spiffe_ids_is_refused(self):
        one, two = self.ours.spiffe_id("web"), self.ours.spiffe_id("admin")
        self._assert_refused(self.ours.issue("web", "two", names=f"URI:{one},URI:{two}"))

    def test_a_certificate_for_servers_only_is_refused(self):
        self._assert_refused(self.ours.issue("web", "server", usages="serverAuth"))

    def test_tls_1_2_is_refused(self):
        web = self.ours.issue("web")
        self._assert_refused(
            web, minimum_version=ssl.TLSVersion.TLSv1_2, maximum_version=ssl.TLSVersion.TLSv1_2)

    def test_plain_text_is_refused_and_not_forwarded(self):
        before = self._failures()
        with RawClient(self.orders.port("inbound")) as client:
            client.send(b"GET / HTTP/1.1\r\nHost: orders\r\n\r\n")
            self.assertFalse(b"HTTP/1.1 200" in self._all_of(client))
        eventually(lambda: self._failures() == before + 1, "the refusal is counted", 5)
        self.assertEqual([], self.app_behind.requests)

    @staticmethod
    def _all_of(client):
        data = b""
        try:
            while more := client.socket.recv(4096):
                data += more
        except ConnectionError:
            pass  # a reset is an end too
        return data

    def test_a_refused_client_does_not_disturb_the_others(self):
        web = self.ours.issue("web")
        context = tls_context(self.ours.bundle, web.certificate, web.key)
        with RawClient(self.orders.port("inbound"), context) as client:
            self.assertEqual(200, client.get("orders").status)
            self.app_behind.requests.clear()
            self._assert_refused(None)
            self.assertEqual(200, client.get("orders").status)


class Outbound(EndToEndCase):
    def _web_against(self, server_certificate, authority=None, expected="orders"):
        """web's proxy before an inbound proxy that shows `server_certificate`."""
        ours = self.ours
        app = self.app(named("orders"))
        server = self.inbound_proxy(app, server_certificate, authority or ours)
        web = self.outbound_proxy(
            [snapshots.service("orders", [snapshots.route("orders", "o")])],
            [snapshots.cluster("o", server.port("inbound"), identities=[ours.spiffe_id(expected)])],
            ours.issue("web"), ours)
        return app, web

    def setUp(self):
        super().setUp()
        self.ours = self.authority()

    def _assert_refused(self, app, web):
        with RawClient(web.port("outbound")) as client:
            response = client.get("orders")
        self.assertIn(response.status, (502, 503))
        self.assertEqual([], app.requests)
        self.assertGreaterEqual(
            web.admin.metrics().sum("mesh_upstream_connect_failures_total"), 1)
        web.wait_for_log("TLS failed", seconds=5)

    def test_the_service_it_meant_is_accepted(self):
        _, web = self._web_against(self.ours.issue("orders"))
        with RawClient(web.port("outbound")) as client:
            self.assertEqual(b"orders", client.get("orders").body)

    def test_another_workload_of_the_same_mesh_is_refused(self):
        self._assert_refused(*self._web_against(self.ours.issue("billing")))

    def test_a_server_of_an_unknown_root_is_refused(self):
        stranger = self.authority(name="stranger")
        self._assert_refused(*self._web_against(stranger.issue("orders"), stranger))

