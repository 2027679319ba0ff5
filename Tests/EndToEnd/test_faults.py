"""Failures made on purpose: each kind, its share, whom it meets, and the switch that ends them all."""

import collections
import contextlib

from harness import snapshots
from harness.case import EndToEndCase
from harness.client import RawClient
from harness.http1 import Closed
from harness.policies import PlainMesh, fault_policy, plain_service
from localmesh import manifests
from localmesh.load import Load


class Faults(EndToEndCase):
    def faulty(self, *faults, **cluster):
        app = self.app()
        return app, self.outbound_proxy(
            [snapshots.service("orders", [snapshots.route("orders", "o", faults=list(faults))])],
            [snapshots.cluster("o", app.port, **cluster)])

    def injected(self, proxy, kind):
        return proxy.admin.metrics().sum("mesh_faults_injected_total", kind=kind)

    def test_a_status_meets_its_share_before_anything_is_sent(self):
        app, proxy = self.faulty({"abort": {"share": "30%", "kind": {"status": 418}}})
        with RawClient(proxy.port("outbound")) as client:
            answers = [client.get("orders") for _ in range(1_000)]
        counts = collections.Counter(answer.status for answer in answers)
        # Five times the deviation of chance.
        self.assertAlmostEqual(300, counts[418], delta=75)
        self.assertEqual(1_000, counts[418] + counts[200])
        self.assertEqual(counts[200], len(app.requests))
        teapot = next(answer for answer in answers if answer.status == 418)
        self.assertIn(b'"title":"fault_injected"', teapot.body)
        metrics = proxy.admin.metrics()
        self.assertEqual(counts[418], metrics.sum("mesh_faults_injected_total"))
        self.assertEqual(0, metrics.sum("mesh_endpoint_ejections_total"))

    def test_a_reset_ends_the_callers_connection_without_a_byte(self):
        app, proxy = self.faulty({"matches": [{"path": {"prefix": "/reset"}}],
                                  "abort": {"kind": "reset"}})
        for _ in range(5):
            with RawClient(proxy.port("outbound")) as client:
                self.assertEqual(200, client.get("orders", "/fine").status)
                with self.assertRaises(Closed):
                    client.get("orders", "/reset")
        self.assertEqual(["/fine"] * 5, [seen.target for seen in app.requests])
        self.assertEqual(5, self.injected(proxy, "reset"))

    def test_a_delay_meets_its_share_and_holds_up_nobody_else(self):
        app, proxy = self.faulty({"delay": {"share": "50%", "duration": "1s"}})
        with Load(proxy.port("outbound"), "orders", clients=20) as load:
            load.wait_for(100, 60)
        self.assertNoFailures(load)
        # Whoever is not delayed is through in a fraction of that, also on a busy machine.
        slow = sum(outcome.ended - outcome.began >= 1 for outcome in load.outcomes())
        delayed = self.injected(proxy, "delay")
        self.assertLessEqual(delayed, slow)
        self.assertAlmostEqual(0.5, delayed / load.count(), delta=0.25)
        self.assertLess(slow, load.count())
        self.assertEqual(load.count(), len(app.requests))

    def test_the_first_that_matches_is_made_and_others_are_left_alone(self):
        def by_header(value):
            return [{"headers": [{"name": "x-experiment", "value": value}]}]
        _, proxy = self.faulty(
            {"matches": by_header("one"), "abort": {"kind": {"status": 501}}},
            {"matches": by_header("one") + by_header("two"), "abort": {"kind": {"status": 502}}})
        with RawClient(proxy.port("outbound")) as client:
            for value, status in (("one", 501), ("two", 502), ("three", 200)):
                self.assertEqual(
                    status, client.get("orders", "/", f"X-Experiment: {value}").status)
            self.assertEqual(200, client.get("orders").status)

    def test_a_delayed_request_whose_caller_leaves_is_never_sent(self):
        app, proxy = self.faulty({"matches": [{"path": {"prefix": "/slow"}}],
                                  "delay": {"duration": "1s"}})
        clients = [RawClient(proxy.port("outbound")) for _ in range(10)]
        for client in clients:
            client.send(b"GET /slow HTTP/1.1\r\nHost: orders\r\n\r\n")
        with Load(proxy.port("outbound"), "orders", "/slow", clients=1) as load:
            for client in clients:
                client.reset()
            # Delayed as long, and begun later.
            load.wait_for(1)
        self.assertLessEqual(len(app.requests), load.count())


class OffSwitch(PlainMesh, EndToEndCase):
    def test_disabled_ends_aborts_and_delays_at_once_in_all_workers_and_enabled_brings_them_back(self):
        app = self.app()
        mesh = self.plain_mesh(
            plain_service("orders", [app.port]),
            fault_policy("broken", "orders", [
                {"matches": [{"path": {"value": "/slow"}}], "delay": {"duration": "1h"}},
                {"abort": {"kind": {"status": 503}}}]), workers=3)
        proxy = mesh.proxies["web"]

        def switch(value):
            document = manifests.mesh(mesh.leaf_lifetime, mesh.trust_domain)
            document["spec"]["faultInjection"] = value
            mesh.apply("mesh.yaml", [document])
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(RawClient(proxy.port("outbound"))) for _ in range(12)]

            def statuses(path="/"):
                return {client.get("orders", path).status for client in clients}
            self.assertEqual({503}, statuses())
            self.assertEqual([], app.requests)
            switch("disabled")
            self.assertEqual({200}, statuses())
            self.assertEqual({200}, statuses("/slow"))
            switch("enabled")
            self.assertEqual({503}, statuses())
