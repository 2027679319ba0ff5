"""`mesh-proxy validate` and `run` on bad configuration files, and static certificates."""

import json
import os
import shutil

from harness import snapshots
from harness.app import named
from harness.case import EndToEndCase
from harness.client import RawClient
from localmesh.waiting import eventually


class Validate(EndToEndCase):
    def _validate(self, value):
        text = value if isinstance(value, str) else json.dumps(value, indent=2)
        path = self.configuration_file("candidate.json", text)
        return self.command("mesh-proxy", "validate", "--config", path, check=False)

    def _good(self):
        return {"admin": snapshots.address(15000), "outbound": snapshots.address(15001),
                "mesh": snapshots.mesh("web", [snapshots.service(
                    "orders", [snapshots.route("orders", "o")])], [snapshots.cluster("o", 8080)])}

    def test_a_good_file_is_accepted(self):
        status, _, errors = self._validate(self._good())
        self.assertEqual(0, status, errors)

    def test_all_errors_are_shown_at_once_with_their_paths(self):
        bad = self._good()
        bad["workers"] = 0
        bad["surprise"] = 1
        bad["mesh"]["services"][0]["routes"][0]["backends"][0]["cluster"] = "nowhere"
        bad["mesh"]["clusters"][0]["connectTimeout"] = "soon"
        status, output, errors = self._validate(bad)
        self.assertNotEqual(0, status)
        for part in ("workers", "surprise", "connectTimeout", "soon"):
            self.assertIn(part, output + errors)

    def test_a_dangling_reference_is_named(self):
        bad = self._good()
        bad["mesh"]["services"][0]["routes"][0]["backends"][0]["cluster"] = "nowhere"
        status, output, errors = self._validate(bad)
        self.assertNotEqual(0, status)
        self.assertIn("nowhere", output + errors)

    def test_a_syntax_error_has_its_line(self):
        status, output, errors = self._validate('{\n  "workers": 1,\n  oops\n}')
        self.assertNotEqual(0, status)
        self.assertRegex(output + errors, r"candidate\.json:3")

    def test_an_admin_address_beyond_loopback_is_refused(self):
        bad = self._good()
        bad["admin"]["address"] = "0.0.0.0"
        status, output, errors = self._validate(bad)
        self.assertNotEqual(0, status)
        self.assertIn("admin", output + errors)

    def test_run_refuses_the_same_file_and_starts_nothing(self):
        bad = self._good()
        bad["workers"] = 0
        path = self.configuration_file("bad.json", json.dumps(bad))
        status, output, errors = self.command("mesh-proxy", "run", "--config", path, check=False)
        self.assertNotEqual(0, status)
        self.assertIn("workers", output + errors)
        self.assertNotIn("listening", errors)

    def test_a_file_that_is_not_there_is_named(self):
        status, output, errors = self.command(
            "mesh-proxy", "validate", "--config", "/no/such/file.json", check=False)
        self.assertNotEqual(0, status)
        self.assertIn("/no/such/file.json", output + errors)

    def test_version_prints_one_line(self):
        _, output, _ = self.command("mesh-proxy", "version")
        self.assertRegex(output, r"^\S.*\n$")

    def test_a_port_in_use_is_named(self):
        app = self.app()
        configuration = self._good()
        configuration["admin"]["port"] = 0
        configuration["outbound"]["port"] = app.port
        proxy = self.proxy("web", configuration, ready=False)
        self.assertNotEqual(0, proxy.wait())
        self.assertIn(str(app.port), proxy.tail())


class StaticCertificates(EndToEndCase):
    def test_replaced_files_are_used_for_new_connections(self):
        authority, app = self.authority(), self.app(named("orders"))
        orders_certificate = authority.issue("orders")
        orders = self.inbound_proxy(app, orders_certificate, authority)
        before = orders.admin.json("/certs")
        successor = authority.issue("orders", "orders-2")
        for new, old in ((successor.certificate, orders_certificate.certificate),
                         (successor.key, orders_certificate.key)):
            shutil.copy(new, old + ".new")
            os.rename(old + ".new", old)
        eventually(lambda: orders.admin.json("/certs") != before, "the new certificate is in use", 30)
        web = self.outbound_proxy(
            [snapshots.service("orders", [snapshots.route("orders", "o")])],
            [snapshots.cluster("o", orders.port("inbound"),
                               identities=[authority.spiffe_id("orders")])],
            authority.issue("web"), authority)
        with RawClient(web.port("outbound")) as client:
            self.assertEqual(200, client.get("orders").status)
